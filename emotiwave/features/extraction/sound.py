"""Sound into frames, a block at a time: hours of it take no more memory than half a minute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extraction.frames import Frames
from emotiwave.features.extractor import AudioExtractor
from emotiwave.media.sound import sound_blocks
from emotiwave.media.usability import UsabilitySettings, unusable_sound
from emotiwave.signals import Span, Waveform

BLOCK_SECONDS = 30.0
FindSpans = Callable[[Waveform], Sequence[Span]]


def extract_sound(
    path: Path,
    start: float | None,
    end: float | None,
    extractors: Mapping[str, AudioExtractor],
    settings: UsabilitySettings,
    find_non_speech: FindSpans | None = None,
    spoil: Callable[[NDArray[np.float32], int], NDArray[np.float32]] | None = None,
) -> tuple[dict[str, Frames], tuple[Span, ...], float]:
    """Extract the sound of one segment.

    Args:
        path: A file with sound.
        start: Seconds from the start of the file; its beginning by default.
        end: Likewise; its end by default.
        extractors: By modality.
        settings: What counts as unusable.
        find_non_speech: Tells further spans of no use.
        spoil: What is done to the samples of each block before anything looks at them; takes their rate too.

    Returns:
        Frames by modality; the unusable spans on the clock of the utterance, the same in every frames' ``spans``; and
        how many seconds there are.

    Raises:
        MediaError: If there is no sound, or none that can be decoded.
    """
    origin, seconds = start or 0.0, 0.0
    # also enough to see a silence that the border of two blocks cuts
    context = max(settings.shortest_silence, *(extractor.context for extractor in extractors.values()))
    found = {name: Frames(extractor.size) for name, extractor in extractors.items()}
    spans: list[Span] = []
    for block in sound_blocks(path, start, end, seconds=BLOCK_SECONDS, context=context):
        waveform, (first, last) = block.waveform, block.core
        if spoil is not None:
            waveform = replace(waveform, samples=spoil(waveform.samples, waveform.rate))
        seconds = last - origin
        for name, extractor in extractors.items():
            samples, begin = _slice(waveform, first - extractor.context, last + extractor.context)
            sequence = extractor(samples, waveform.rate)
            times = sequence.intervals + begin
            middle = times.mean(axis=1)
            inside = (middle >= first) & (middle < last)
            found[name].append(sequence.values[inside], times[inside] - origin)
        unusable = [*unusable_sound(waveform, settings), *(find_non_speech(waveform) if find_non_speech else ())]
        spans += _between(unusable, first, last, origin)
    for frames in found.values():
        frames.spans = tuple(spans)
    return found, tuple(spans), seconds


def _slice(waveform: Waveform, begin: float, end: float) -> tuple[NDArray[np.float32], float]:
    """Samples between two moments of the file, and when the first of them is; what one extractor sees of a block."""
    first = max(0, round((begin - waveform.start) * waveform.rate))
    last = max(first, round((end - waveform.start) * waveform.rate))
    return waveform.samples[first:last], waveform.start + first / waveform.rate


def _between(spans: Sequence[Span], first: float, last: float, origin: float) -> list[Span]:
    """Keep what of spans lies between two moments of the file, on the clock of the utterance."""
    cut = [Span(max(span.start, first), min(span.end, last), span.reason) for span in spans]
    return [Span(span.start - origin, span.end - origin, span.reason) for span in cut if span.end > span.start]
