"""When the experts' answer is made: which word, half second of sound or picture speaks for it.

Words and sound of short clips are left out one after the other and the expert is asked again, their evidence summed up
and put together again. That suits any expert, also one whose answer has no gradient to its frames, as statistics of a
voice have none. Pieces that were answered one by one, pictures and the windows and sentences of long clips, share what
the evidence of their modality adds instead: where many say the same, a robust mean hardly misses any of them, and
leaving them out one by one would tell nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.analysis import NOTHING_SAID, AttributedSpan, Attribution
from emotiwave.recognizer.reading import TRIMMED, Array, Ask, Reading, kept_shares
from emotiwave.signals import Waveform, Word, join_words

SECONDS = 0.5
"""Of sound and pictures that are told of together."""
MOST_AGAIN = 120
"""Times that an expert is asked again about a clip; of longer ones sentences and windows are told of."""
STEPS = 16
"""Of the way from saying nothing to what is said."""
NEARBY = 1e-4
"""Of evidence, in nats: what slopes are measured over."""
LEFT_OUT = "left out"
MOST_PARTS = 120
"""Parts of a modality; of longer clips they grow."""
Evidence = tuple[Array, float]
"""Pooled evidence of a modality, and what it is worth."""
Score = Callable[[Mapping[str, Evidence]], float]
"""Of the class that is explained."""


@dataclass(frozen=True, eq=False)
class _Cut:
    """A piece without a part of it, ``left`` of 1, and when and what that part was."""

    content: Any
    left: float
    start: float
    end: float
    text: str | None = None


def explain_readings(
    readings: Mapping[str, Reading], experts: Mapping[str, Ask], score: Score, target: str
) -> tuple[Attribution, ...]:
    """Say what each part of each modality does to the score of a class, the other modalities as they are.

    Args:
        readings: Of what is used of a clip, with what their pieces were.
        experts: Those that are asked again.
        score: What is explained.
        target: The class that it is of.
    """
    pooled: dict[str, Evidence] = {name: (reading.pool(), reading.worth) for name, reading in readings.items()}
    found = []
    for name, reading in readings.items():
        others = {other: of for other, of in pooled.items() if other != name}
        score_with = partial(_score_with, score, others, name)
        if reading.modality == "vision" or not reading.content or _n_units(reading) > MOST_AGAIN:
            spans = _shared(reading, score_with)
            found.append(
                Attribution(
                    modality=name, target=target, method="integrated_gradients", baseline=NOTHING_SAID, spans=spans
                )
            )
        else:
            spans = tuple(_left_out(reading, experts[name], score_with))
            found.append(Attribution(modality=name, target=target, method="occlusion", baseline=LEFT_OUT, spans=spans))
    return tuple(found)


def _score_with(score: Score, others: Mapping[str, Evidence], name: str, evidence: Evidence | None) -> float:
    return score(others if evidence is None else {**others, name: evidence})


def _span(start: float, end: float, value: float, text: str | None = None) -> AttributedSpan:
    is_timed = np.isfinite(start) and np.isfinite(end)
    return AttributedSpan(
        start=max(0.0, start) if is_timed else None, end=max(0.0, end) if is_timed else None, text=text, value=value
    )


def _n_units(reading: Reading) -> int:
    return sum(
        len(piece) if reading.modality == "text" else max(1, round(len(piece.samples) / piece.rate / SECONDS))
        for piece in reading.content
    )


def _shared(reading: Reading, score: Callable[[Evidence], float]) -> tuple[AttributedSpan, ...]:
    """Share by pieces what their evidence adds: integrated gradients of the score over it.

    The trimmed mean of evidence that is scaled is the scaled trimmed mean. So on the straight way from no evidence to
    all of it each piece keeps its share of the mean, class by class, and only the slope of the score changes. What
    pieces get adds up to the score less that of a modality which speaks for all classes alike, and still counts: that
    others weigh a little less beside it is no piece's doing.
    """
    pooled, worth = reading.pool(), reading.worth
    centred = reading.evidence - reading.evidence.mean(axis=1, keepdims=True)
    shares = kept_shares(centred, reading.weights, TRIMMED) * centred
    slope = np.zeros(len(pooled))
    for share in (np.arange(STEPS) + 0.5) / STEPS:
        for column, step in enumerate(NEARBY * np.eye(len(pooled))):
            above, below = (score((share * pooled + side * step, worth)) for side in (1, -1))
            slope[column] += (above - below) / (2 * NEARBY * STEPS)
    values = shares @ slope
    spans = []
    for group in _groups(reading):
        text = None
        if reading.modality == "text" and reading.content:
            text = " ".join(join_words(reading.content[index]) for index in group)
        start, end = reading.intervals[group[0], 0], reading.intervals[group[-1], 1]
        spans.append(_span(start, end, float(values[group].sum()), text))
    return tuple(spans)


def _groups(reading: Reading) -> list[list[int]]:
    """Put pictures of half a second together; sentences and windows are longer."""
    groups: list[list[int]] = []
    longest = max(SECONDS, reading.seconds / MOST_PARTS)
    for index, (start, end) in enumerate(reading.intervals):
        is_near = bool(groups) and end - reading.intervals[groups[-1][0], 0] <= longest + 1e-6
        if is_near and np.isfinite(start):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _keep(reading: Reading, kept: NDArray[np.int64]) -> Reading | None:
    if not len(kept):
        return None
    return replace(
        reading,
        evidence=reading.evidence[kept],
        intervals=reading.intervals[kept],
        weights=reading.weights[kept],
        content=(),
    )


def _left_out(reading: Reading, expert: Ask, score: Callable[[Evidence | None], float]) -> Iterator[AttributedSpan]:
    """Leave out a word, or half a second of sound, and let the expert answer what is left of the piece."""
    full = score((reading.pool(), reading.worth))
    cuts = [
        (row, cut)
        for row, piece in enumerate(reading.content)
        for cut in (_words(piece) if reading.modality == "text" else _stretches(piece, reading.intervals[row, 0]))
    ]
    answer = expert([cut.content for _, cut in cuts])
    evidence = answer.log_posterior - np.log(answer.prior)
    for (row, cut), values, is_there in zip(cuts, evidence, answer.observed, strict=True):
        if is_there and cut.left > 0:
            changed, weights = reading.evidence.copy(), reading.weights.copy()
            changed[row] = values
            weights[row] *= cut.left
            left: Reading | None = replace(reading, evidence=changed, weights=weights, content=())
        else:  # nothing is left of the piece that could be read
            left = _keep(reading, np.setdiff1d(np.arange(len(reading.evidence)), [row]))
        without = score(None if left is None else (left.pool(), left.worth))
        yield _span(cut.start, cut.end, full - without, cut.text)


def _words(piece: Sequence[Word]) -> Iterator[_Cut]:
    for index, word in enumerate(piece):
        rest = [*piece[:index], *piece[index + 1 :]]
        yield _Cut(join_words(rest), 1 - 1 / len(piece), word.start, word.end, word.text)


def _stretches(piece: Waveform, start: float) -> Iterator[_Cut]:
    n, samples = len(piece.samples), piece.samples
    edges = np.linspace(0, n, max(1, round(n / piece.rate / SECONDS)) + 1).round().astype(int).tolist()
    for first, last in pairwise(edges):
        rest = Waveform(np.concatenate([samples[:first], samples[last:]]), piece.rate)
        yield _Cut(rest, 1 - (last - first) / n, start + first / piece.rate, start + last / piece.rate)
