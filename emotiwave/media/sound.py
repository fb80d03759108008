"""Sound of any file as one channel at one rate, a segment at a time, in constant memory for hours of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from emotiwave.errors import MediaError
from emotiwave.media.tracks import checked_segment, decoded_sound
from emotiwave.signals import SAMPLE_RATE, Waveform

Samples = NDArray[np.float32]
Gap = tuple[float, float]

MAX_SECONDS = 7200.0
"""A longer waveform is not read at once."""
CHANNEL_WEIGHTS = {
    "FC": 1.0,
    **dict.fromkeys(("FL", "FR", "FLC", "FRC"), math.sqrt(0.5)),
    **dict.fromkeys(("BL", "BR", "BC", "SL", "SR"), 0.5),
    "LFE": 0.0,
}
"""Weights of the channels of surround sound, by FFmpeg's names, in a mix to one channel.

The downmix of 3/2 to 1/0 of ITU-R BS.775; speech of films is in the centre. They are divided by their sum. Layouts
with other channels are averaged.
"""
RATES = (1_000, 768_000)
"""Hz; sound of another rate is taken for damaged."""
_RUN_IN = 0.1
"""Seconds of sound before a segment that the resampler sees, many times as long as its filter."""
_JITTER = 0.02
"""Seconds by which timestamps may stray from a count of the samples before they are believed.

Recorders date packets by a clock that jitters; the frames of the usual codecs are no shorter, so a lost one is seen.
"""
_ROUNDING = 0.002
"""Seconds by which they may stray where a loss is known; containers round times to a millisecond."""
_LOUDEST = 1e4
"""Times full scale; samples of floating point beyond it are damage."""
_PIECE = 1.0
"""Seconds of sound that are worked on at a time."""


@dataclass(frozen=True, eq=False)
class SoundBlock:
    """A stretch of sound with some context around it; the ``core``, in seconds, is what the block stands for."""

    waveform: Waveform
    core: tuple[float, float]


def read_sound(
    path: Path, start: float | None = None, end: float | None = None, *, rate: int = SAMPLE_RATE
) -> Waveform:
    """Read a segment of the sound of a file, its channels mixed to one, resampled to ``rate`` Hz.

    A segment is the same as that slice of the whole, and ends early where the sound does; there is a warning where that
    is well before its end. More than two channels are mixed by their layout (`CHANNEL_WEIGHTS`), others averaged. After
    a seek the times are as exact as the container's: Matroska and WebM round them to a millisecond.

    Raises:
        MediaError: If the file cannot be read, has no sound (there), or the segment is longer than two hours.
    """
    first, last = checked_segment(path, start, end)
    gaps: list[Gap] = []
    pieces, n_samples = [], 0
    for piece in _segment(path, first, last, rate, gaps):
        pieces.append(piece)
        n_samples += len(piece)
        if n_samples > MAX_SECONDS * rate:
            raise MediaError(f"{path}: more than {MAX_SECONDS / 3600:g} hours of sound; read it in segments or blocks")
    return _waveform(np.concatenate(pieces), round(first * rate), rate, gaps)


def sound_blocks(
    path: Path,
    start: float | None = None,
    end: float | None = None,
    *,
    seconds: float = 30.0,
    context: float = 0.0,
    rate: int = SAMPLE_RATE,
) -> Iterator[SoundBlock]:
    """Read a segment as blocks of some seconds, whose cores tile it, with ``context`` seconds more on either side.

    Joined, the cores are what `read_sound` gives. There is no context beyond the ends of the segment, so that a segment
    holds nothing of its neighbours.

    Raises:
        MediaError: If the file cannot be read or has no sound (there).
    """
    first, last = checked_segment(path, start, end)
    size, margin = round(seconds * rate), round(context * rate)
    gaps: list[Gap] = []
    core = at = round(first * rate)  # samples from the start of the file; `held` begins at `at`
    held = np.empty(0, np.float32)

    def block() -> SoundBlock:
        begin, stop = max(at, core - margin), core + size + margin
        core_end = min(core + size, at + len(held))
        samples = held[begin - at : stop - at].copy()
        return SoundBlock(_waveform(samples, begin, rate, gaps), (core / rate, core_end / rate))

    for piece in _segment(path, first, last, rate, gaps):
        held = np.concatenate([held, piece])
        while at + len(held) >= core + size + margin:
            yield block()
            core += size
            begin = max(at, core - margin)
            held, at = held[begin - at :], begin
            gaps[:] = [gap for gap in gaps if gap[1] * rate > begin]
    while core < at + len(held):
        yield block()
        core += size


def cut_blocks(waveform: Waveform, *, seconds: float = 30.0, context: float = 0.0) -> Iterator[SoundBlock]:
    """Cut sound that is there already into the blocks that `sound_blocks` gives of a file."""
    rate = waveform.rate
    size, margin, first = round(seconds * rate), round(context * rate), round(waveform.start * rate)
    n_samples = len(waveform.samples)
    for core in range(0, n_samples, size):
        begin, end = max(0, core - margin), min(n_samples, core + size)
        samples = waveform.samples[begin : end + margin]
        times = ((first + core) / rate, (first + end) / rate)
        yield SoundBlock(_waveform(samples, first + begin, rate, waveform.gaps), times)


def _waveform(samples: Samples, first: int, rate: int, gaps: Sequence[Gap]) -> Waveform:
    """Samples with those gaps that lie in them."""
    start, end = first / rate, (first + len(samples)) / rate
    inside = [(max(start, begin), min(end, stop)) for begin, stop in gaps if begin < end and stop > start]
    return Waveform(samples, rate, start, tuple(inside))


def _segment(path: Path, start: float, end: float, rate: int, gaps: list[Gap]) -> Iterator[Samples]:
    """The samples of a segment, in pieces; ``gaps`` grows as they come.

    Resampling begins at a whole second, where samples of every rate coincide.
    """
    origin = max(0, int(start - _RUN_IN))
    first, last = round(start * rate), end * rate
    at = origin * rate
    is_empty = True
    for piece in _resampled(_joined(path, origin, end, gaps), rate):
        kept = piece[max(0, first - at) : max(0, round(min(last, at + len(piece))) - at)]
        at += len(piece)
        if len(kept):
            is_empty = False
            yield kept
        if at >= last:
            break
    if is_empty:
        raise MediaError(f"{path}: has no sound from {start:g} s on; it ends before: correct the times of the segment")


def _resampled(pieces: Iterator[tuple[Samples, int]], rate: int) -> Iterator[Samples]:
    """Resample pieces that follow one another without a break, each with its rate, which seldom changes."""
    for source_rate, run in groupby(pieces, key=itemgetter(1)):
        batches = _batches((samples for samples, _ in run), round(_PIECE * source_rate))
        if source_rate == rate:
            yield from batches
            continue
        resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32", quality="HQ")
        for batch in batches:
            yield resampler.resample_chunk(batch)
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _batches(pieces: Iterator[Samples], size: int) -> Iterator[Samples]:
    """Join small pieces until they have ``size`` samples."""
    held, n_samples = [], 0
    for piece in pieces:
        held.append(piece)
        n_samples += len(piece)
        if n_samples >= size:
            yield np.concatenate(held)
            held, n_samples = [], 0
    if held:
        yield np.concatenate(held)


def _joined(path: Path, origin: int, end: float, gaps: list[Gap]) -> Iterator[tuple[Samples, int]]:
    """Sound without a break from a time on, to the end of the file, in pieces with their rate.

    Zeros stand where it is missing, and those spans are added to ``gaps``; what overlaps is cut.
    """
    position = float(origin)
    is_first = True
    for decoded in decoded_sound(path, origin, end):
        samples, rate = _mono(decoded.frame), _checked_rate(decoded.frame, path)
        ahead = decoded.start - position
        tolerance = _ROUNDING if is_first or decoded.after_loss else _JITTER
        if ahead > tolerance:
            gaps.append((position, decoded.start))
            n_missing = round(ahead * rate)
            yield from ((np.zeros(min(rate, n_missing - done), np.float32), rate) for done in range(0, n_missing, rate))
            position += n_missing / rate
        elif ahead < -tolerance or (is_first and ahead < 0):
            samples = samples[round(-ahead * rate) :]
        if len(samples):
            is_first = False
            gaps.extend(_silence_damage(samples, position, rate))
            yield samples, rate
            position += len(samples) / rate


def _mono(frame: AudioFrame) -> Samples:
    """The weighted mean of the channels, full scale at 1."""
    array: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    mean = _weights(tuple(channel.name for channel in frame.layout.channels)) @ array.astype(np.float64)
    if array.dtype.kind == "u":
        mean = (mean - 128) / 128
    elif array.dtype.kind == "i":
        mean /= -float(np.iinfo(array.dtype).min)
    with np.errstate(over="ignore"):  # what is too large for the type is damage, seen to later
        return mean.astype(np.float32)


@cache
def _weights(channels: tuple[str, ...]) -> NDArray[np.float64]:
    """What each channel counts for; they add up to 1, so that the mix cannot be louder than full scale."""
    is_mixed = len(channels) > 2 and set(channels) <= CHANNEL_WEIGHTS.keys()
    weights = np.array([CHANNEL_WEIGHTS[name] if is_mixed else 1.0 for name in channels])
    return weights / weights.sum()


def _silence_damage(samples: Samples, start: float, rate: int) -> list[Gap]:
    """Set to zero, in place, what can be no sound (not finite, absurdly loud); gives the span it was in."""
    (bad,) = np.nonzero(~(np.abs(samples) <= _LOUDEST))
    if not len(bad):
        return []
    samples[bad] = 0
    return [(start + float(bad[0]) / rate, start + float(bad[-1] + 1) / rate)]


def _checked_rate(frame: AudioFrame, path: Path) -> int:
    if not RATES[0] <= frame.sample_rate <= RATES[1]:
        raise MediaError(
            f"{path}: {frame.sample_rate:,} samples per second; expected {RATES[0]:,} to {RATES[1]:,}: damaged"
        )
    return frame.sample_rate
