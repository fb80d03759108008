"""Sound into frames, a block at a time: hours of it take no more memory than half a minute, unless it is spoiled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extraction.frames import Frames
from emotiwave.features.extractor import AudioExtractor
from emotiwave.media.sound import SoundBlock, cut_blocks, read_sound, sound_blocks
from emotiwave.media.usability import UsabilitySettings, unusable_sound
from emotiwave.signals import Span, Waveform

BLOCK_SECONDS = 30.0
FindSpans = Callable[[Waveform], Sequence[Span]]
SpoilSamples = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


def extract_sound(
    path: Path,
    start: float | None,
    end: float | None,
    extractors: Mapping[str, AudioExtractor],
    settings: UsabilitySettings,
    find_non_speech: FindSpans | None = None,
    spoil: SpoilSamples | None = None,
) -> tuple[dict[str, Frames], tuple[Span, ...], float]:
    """Extract the sound of one segment.

    Args:
        path: A file with sound.
        start: Seconds from the start of the file; its beginning by default.
        end: Likewise; its end by default.
        extractors: By modality.
        settings: What counts as unusable.
        find_non_speech: Tells further spans of no use.
        spoil: What is done to the samples of the segment before anything looks at them; takes their rate too. It sees
            them all at once, as how loud noise is hangs on all of them; so a segment may last two hours at most.

    Returns:
        Frames by modality; the unusable spans on the clock of the utterance, the same in every frames' ``spans``; and
        how many seconds there are.

    Raises:
        MediaError: If there is no sound, or none that can be decoded, or too much of it to be spoiled.
    """
    origin, seconds = start or 0.0, 0.0
    # also enough to see a silence that the border of two blocks cuts
    context = max(settings.shortest_silence, *(extractor.context for extractor in extractors.values()))
    found = {name: Frames(extractor.size) for name, extractor in extractors.items()}
    spans: list[Span] = []
    for block in _blocks(path, start, end, context, spoil):
        waveform, (first, last) = block.waveform, block.core
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


def _blocks(
    path: Path, start: float | None, end: float | None, context: float, spoil: SpoilSamples | None
) -> Iterator[SoundBlock]:
    if spoil is None:
        return sound_blocks(path, start, end, seconds=BLOCK_SECONDS, context=context)
    waveform = read_sound(path, start, end)
    spoiled = replace(waveform, samples=spoil(waveform.samples, waveform.rate))
    return cut_blocks(spoiled, seconds=BLOCK_SECONDS, context=context)


def _slice(waveform: Waveform, begin: float, end: float) -> tuple[NDArray[np.float32], float]:
    """Samples between two moments of the file, and when the first of them is; what one extractor sees of a block."""
    first = max(0, round((begin - waveform.start) * waveform.rate))
    last = max(first, round((end - waveform.start) * waveform.rate))
    return waveform.samples[first:last], waveform.start + first / waveform.rate


def _between(spans: Sequence[Span], first: float, last: float, origin: float) -> list[Span]:
    """Keep what of spans lies between two moments of the file, on the clock of the utterance."""
    cut = [Span(max(span.start, first), min(span.end, last), span.reason) for span in spans]
    return [Span(span.start - origin, span.end - origin, span.reason) for span in cut if span.end > span.start]
