"""Sound of a clip, a few seconds at a time, as the voice expert hears it; memory does not grow with its length."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from emotiwave.labels import SEVEN
from emotiwave.media.sound import SoundBlock, cut_blocks, sound_blocks
from emotiwave.media.usability import UsabilitySettings, summarise, unusable_sound
from emotiwave.recognizer.reading import Ask, Reading
from emotiwave.signals import Span, Waveform

WINDOWS_AT_ONCE = 8
SMOOTHED = 0.5
"""Seconds before and after a block that silences are looked for in too."""


def read_voice(
    blocks: Iterable[SoundBlock],
    expert: Ask,
    usability: UsabilitySettings,
    *,
    window: float,
    reliability: float,
    find_non_speech: Callable[[Waveform], Sequence[Span]] | None = None,
    kept: float = 0.0,
) -> Reading:
    """Hear sound in windows of a few seconds; times count from its start.

    Args:
        blocks: Of sound, as `blocks_of` gives them.
        expert: Of audio.
        usability: What counts as silence or damage.
        window: Seconds that are heard at once.
        reliability: What the evidence is worth.
        find_non_speech: Finds where nobody speaks.
        kept: Seconds up to which what was heard is kept; of more nothing is.

    Raises:
        MediaError: If there is no sound, or none that can be decoded.
    """
    evidence, intervals, weights, content = [], [], [], []
    spans: list[Span] = []
    doubts: dict[str, None] = {}
    origin, end = None, 0.0
    for block in blocks:
        origin = block.core[0] if origin is None else origin
        end = block.core[1]
        unusable = [*unusable_sound(block.waveform, usability)]
        unusable += find_non_speech(block.waveform) if find_non_speech else ()
        spans += _between(unusable, *block.core)
        parts = [part for part in windows(*block.core, window) if not _is_useless(unusable, part, usability)]
        heard = [_of_use(unusable, part) for part in parts]
        sounds = [_cut(block.waveform, *part) for part in heard]
        answer = expert(sounds)
        for row, (first, last) in enumerate(heard):
            reason = answer.reasons[row]
            if not answer.observed[row]:
                spans.append(Span(first, last, re.split(r" \(|;", reason or "unreadable")[0]))
            else:
                evidence.append(answer.log_posterior[row] - np.log(answer.prior))
                intervals.append((first, last))
                weights.append(last - first - _lost(unusable, (first, last)))
                content.append(sounds[row])
            if reason is not None:
                doubts[reason] = None
        if end - origin > kept:
            content.clear()
    start = origin or 0.0
    shifted = [Span(span.start - start, span.end - start, span.reason) for span in spans]
    return Reading(
        "audio",
        np.array(evidence).reshape(-1, len(SEVEN)),
        np.array(intervals).reshape(-1, 2) - start,
        np.array(weights),
        summarise("audio", shifted, 0.0, end - start, usability),
        end - start,
        reliability,
        tuple(doubts)[:3],
        tuple(content) if len(content) == len(evidence) else (),
    )


def blocks_of(sound: Path | Waveform, start: float | None, end: float | None, window: float) -> Iterator[SoundBlock]:
    """Give the sound of a file, or of an array, in blocks of eight windows.

    Raises:
        MediaError: If a file cannot be read or has no sound.
    """
    if isinstance(sound, Path):
        yield from sound_blocks(sound, start, end, seconds=WINDOWS_AT_ONCE * window, context=SMOOTHED)
        return
    yield from cut_blocks(sound, seconds=WINDOWS_AT_ONCE * window, context=SMOOTHED)


def windows(start: float, end: float, window: float) -> list[tuple[float, float]]:
    """Divide a stretch into windows of equal length, as near to ``window`` seconds as may be.

    >>> windows(0.0, 6.5, 4.0)
    [(0.0, 3.25), (3.25, 6.5)]
    """
    number = max(1, round((end - start) / window))
    edges = np.linspace(start, end, number + 1).tolist()
    return list(pairwise(edges))


def _of_use(unusable: Sequence[Span], part: tuple[float, float]) -> tuple[float, float]:
    """Tell the first and the last moment of a window that is of use."""
    first, last = part
    for span in sorted(unusable, key=lambda span: span.start):
        if span.start <= first:
            first = max(first, min(span.end, last))
    for span in sorted(unusable, key=lambda span: -span.end):
        if span.end >= last:
            last = min(last, max(span.start, first))
    return first, last


def _cut(waveform: Waveform, first: float, last: float) -> Waveform:
    begin = round((first - waveform.start) * waveform.rate)
    return Waveform(waveform.samples[begin : round((last - waveform.start) * waveform.rate)], waveform.rate, first)


def _is_useless(unusable: Sequence[Span], part: tuple[float, float], usability: UsabilitySettings) -> bool:
    return summarise("audio", unusable, *part, usability).ignored


def _lost(unusable: Sequence[Span], part: tuple[float, float]) -> float:
    """Seconds of a window that are of no use."""
    seconds = part[1] - part[0]
    return seconds * min(1.0, sum(summarise("", unusable, *part, UsabilitySettings()).reasons.values()))


def _between(spans: Sequence[Span], first: float, last: float) -> list[Span]:
    cut = [Span(max(span.start, first), min(span.end, last), span.reason) for span in spans]
    return [span for span in cut if span.end > span.start]
