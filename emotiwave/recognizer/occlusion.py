"""When: how the answer of the experts falls when a word, or half a second of sound or pictures, is left out.

The experts are asked again without it, their evidence is summed up and put together again. It suits any expert, also
one whose answer has no gradient to its frames, as statistics of a voice have none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.analysis import AttributedSpan, Attribution
from emotiwave.recognizer.reading import Array, Ask, Reading
from emotiwave.signals import Waveform, Word, join_words

SECONDS = 0.5
"""Of sound and pictures that are left out together."""
MOST_AGAIN = 120
"""Times that an expert is asked again about a clip; of longer ones whole sentences and windows are left out."""
BASELINE = "left out"
MOST_PARTS = 120
"""Parts of a modality; of longer clips they grow."""
Evidence = tuple[Array, float]
"""Pooled evidence of a modality, and what it is worth."""
Score = Callable[[Mapping[str, Evidence]], float]
"""Of the class that is explained."""


@dataclass(frozen=True, eq=False)
class _Without:
    """A reading without a part of it, which was from ``start`` to ``end`` (NaN without times)."""

    start: float
    end: float
    reading: Reading | None
    text: str | None = None


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
    """Say how the score of a class falls without each part of each modality, the others as they are.

    Args:
        readings: Of what is used of a clip, with what their pieces were.
        experts: Those that are asked again.
        score: What is explained.
        target: The class that it is of.
    """
    pooled: dict[str, Evidence] = {name: (reading.pool(), reading.worth) for name, reading in readings.items()}
    full, found = score(pooled), []
    for name, reading in readings.items():
        spans = []
        for part in _parts(reading, experts[name]):
            left = {other: of for other, of in pooled.items() if other != name}
            if part.reading is not None:
                left[name] = (part.reading.pool(), part.reading.worth)
            spans.append(_span(part, full - score(left)))
        found.append(
            Attribution(modality=name, target=target, method="occlusion", baseline=BASELINE, spans=tuple(spans))
        )
    return tuple(found)


def _span(part: _Without, value: float) -> AttributedSpan:
    is_timed = np.isfinite(part.start) and np.isfinite(part.end)
    return AttributedSpan(
        start=max(0.0, part.start) if is_timed else None,
        end=max(0.0, part.end) if is_timed else None,
        text=part.text,
        value=value,
    )


def _parts(reading: Reading, expert: Ask) -> Iterator[_Without]:
    if reading.modality == "vision" or not reading.content or _n_units(reading) > MOST_AGAIN:
        yield from _without_pieces(reading)
    else:
        yield from _asked_again(reading, expert)


def _n_units(reading: Reading) -> int:
    return sum(
        len(piece) if reading.modality == "text" else max(1, round(len(piece.samples) / piece.rate / SECONDS))
        for piece in reading.content
    )


def _without_pieces(reading: Reading) -> Iterator[_Without]:
    """Leave out whole pieces: sentences, windows, or the pictures of half a second."""
    groups: list[list[int]] = []
    longest = max(SECONDS, reading.seconds / MOST_PARTS)
    for index, (start, end) in enumerate(reading.intervals):
        is_near = bool(groups) and end - reading.intervals[groups[-1][0], 0] <= longest + 1e-6
        if is_near and np.isfinite(start):
            groups[-1].append(index)
        else:
            groups.append([index])
    for group in groups:
        kept = np.setdiff1d(np.arange(len(reading.evidence)), group)
        text = None
        if reading.modality == "text" and reading.content:
            text = " ".join(join_words(reading.content[index]) for index in group)
        yield _Without(reading.intervals[group[0], 0], reading.intervals[group[-1], 1], _keep(reading, kept), text)


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


def _asked_again(reading: Reading, expert: Ask) -> Iterator[_Without]:
    """Leave out a word, or half a second of sound, and let the expert answer what is left of the piece."""
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
            left = replace(reading, evidence=changed, weights=weights, content=())
        else:  # nothing is left of the piece that could be read
            left = _keep(reading, np.setdiff1d(np.arange(len(reading.evidence)), [row]))
        yield _Without(cut.start, cut.end, left, cut.text)


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
