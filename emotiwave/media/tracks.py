"""The decoded frames of one track of a file, with their true times, from any time on."""

import math
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from av import time_base
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from emotiwave.errors import DataWarning, MediaError
from emotiwave.media.containers import (
    MAX_PIXELS,
    audio_track,
    media_errors,
    open_container,
    start_of,
    video_track,
)

FrameT = TypeVar("FrameT", AudioFrame, VideoFrame)

MAX_TIME = 1e7
"""Seconds, about four months: no segment begins or ends later."""
MAX_JUMP = 3600.0
"""Seconds; timestamps that leap further ahead are taken for damaged."""
MAX_RETURN = 1.0
"""Seconds; timestamps that leap further back are taken for damaged, or for a recording that was appended."""
MAX_SHORTFALL = 1.0
"""Seconds that may lack of what a file says, or of a segment, at its end; for more there is a warning."""
MAX_SHORTFALL_SHARE = 0.2
"""Share of what a file says that may lack at its end, where that is less."""
MIN_SHORTFALL = 0.25
"""Seconds that may lack at the end of the shortest file: containers count the last frame and the padding of codecs."""
GUESSED_DURATIONS = ("mp3", "aac")
"""FFmpeg's names of formats that state no duration; one is guessed from the size of the file."""
MAX_STRETCH = 4
"""Pixels that a file declares to be longer or broader than this are taken for square."""
_RUN_INS = (0.5, 20.0)
"""Seconds before the time sought at which decoding begins, in turn, until there is a frame that is early enough.

Codecs of sound need what came before (Opus 80 ms, MP3 up to nine frames); indexes of some containers are wrong.
"""
_USUAL_FRAME_RATE = 25.0
"""Per second, where a file says nothing of it; how long its last picture is shown depends on it."""


@dataclass(frozen=True, eq=False)
class Decoded(Generic[FrameT]):
    """A frame, and when it starts and ends, in seconds from the start of the file.

    ``after_loss`` says that packets right before it could not be decoded; ``stretch`` is how much broader than high the
    pixels of a picture are.
    """

    frame: FrameT
    start: float
    end: float
    after_loss: bool
    stretch: float = 1.0


def decoded_sound(path: Path, start: float, end: float = math.inf) -> Iterator[Decoded[AudioFrame]]:
    """Decode the sound of a file to its end, from a time in seconds or a little earlier.

    What cannot be decoded is left out; the times of what comes after it stay right. ``end`` is where the reader means
    to stop; there is a warning if the sound ends well before.

    Raises:
        MediaError: If the file cannot be read, has no sound, or nothing of it can be decoded.
    """
    return _from_time(path, "sound", start, end)


def decoded_pictures(path: Path, start: float, end: float = math.inf) -> Iterator[Decoded[VideoFrame]]:
    """Decode the pictures of a file to its end, from the one shown at a time in seconds or a little earlier.

    ``end`` is where the reader means to stop; there is a warning if the pictures end well before.

    Raises:
        MediaError: If the file cannot be read, has no pictures, or nothing of it can be decoded.
    """
    return _from_time(path, "pictures", start, end)


def measure_duration(path: Path) -> float | None:
    """Tell how many seconds a file lasts: as it states, or else by the times of its packets; None if it has none.

    Recordings of browsers state nothing, and for formats without a header FFmpeg only guesses.

    Raises:
        MediaError: If it is no media file.
    """
    with open_container(path) as container:
        is_guessed = not set(container.format.name.split(",")).isdisjoint(GUESSED_DURATIONS)
        if container.duration and not is_guessed:
            return container.duration / time_base
        with media_errors(path):
            ends = (
                (packet.pts + (packet.duration or 0)) * packet.time_base
                for packet in container.demux()
                if packet.pts is not None and packet.time_base is not None
            )
            last = max(ends, default=None)
        return None if last is None else float(last - start_of(container))


def checked_segment(path: Path, start: float | None, end: float | None) -> tuple[float, float]:
    """The start and the end of a segment in seconds; the end is infinite if none is given.

    Raises:
        MediaError: If the start is negative, or the end is not after the start.
    """
    first, last = start or 0.0, math.inf if end is None else end
    if not (0 <= first < last and first <= MAX_TIME and (end is None or last <= MAX_TIME)):
        raise MediaError(
            f"{path}: segment from {start} to {end} s; expected 0 <= start < end <= {MAX_TIME:,.0f}: correct its times"
        )
    return first, last


def _from_time(path: Path, content: Literal["sound", "pictures"], start: float, end: float) -> Iterator[Decoded[Any]]:
    sought = [start - run_in for run_in in _RUN_INS if start > run_in]
    for time in (*sought, None):
        with closing(_decode(path, content, time)) as frames:
            first = next(frames, None)
            if first is None or (time is not None and first.start > start):
                continue
            last = first
            for last in chain([first], frames):
                yield last
            _warn_of_end(path, content, start, end, last.end)
            return
    too_large = f", or of more than {MAX_PIXELS:,} pixels" if content == "pictures" else ""
    raise MediaError(f"{path}: nothing of its {content} can be decoded: missing, damaged{too_large}")


def _warn_of_end(path: Path, content: str, start: float, end: float, reached: float) -> None:
    """Warn that a segment ends well after what was read; one that begins after it is refused by the reader."""
    if start < reached < end - MAX_SHORTFALL and end < math.inf:
        message = f"{path}: the segment ends at {end:g} s, the {content} at {reached:.1f} s; check the times"
        warnings.warn(DataWarning(message), stacklevel=2)


def _decode(
    path: Path, content: Literal["sound", "pictures"], sought: float | None
) -> Generator[Decoded[Any], None, None]:
    """Decode from the start, or from near a time; gives nothing if the file cannot be sought in."""
    with open_container(path) as container:
        track = _open_track(container, path, content)
        clock = _Clock(container, track, expected=0.0 if sought is None else None)
        if sought is not None and not _seek(container, track, clock.zero + Fraction(sought)):
            return
        stretch, is_after_loss = _stretch(track), False
        for packet in _packets(container, track, path):
            try:
                frames = track.decode(packet)
            except FFmpegError:
                is_after_loss = True
                continue
            for frame in frames:
                start, end = clock.place(frame)
                yield Decoded(frame, start, end, is_after_loss, stretch)
                is_after_loss = False
        clock.warn_if_short(container, path, content)


def _open_track(container: InputContainer, path: Path, content: str) -> Any:
    if content == "sound":
        track = audio_track(container, path)
    else:
        track = video_track(container, path)
        track.thread_type = "AUTO"
        track.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # frames may be larger than the header says
    for other in container.streams:
        if other is not track:
            other.discard = Discard.all
    return track


def _stretch(track: AudioStream | VideoStream) -> float:
    ratio = track.sample_aspect_ratio if isinstance(track, VideoStream) else None
    return float(ratio) if ratio and 1 / MAX_STRETCH <= ratio <= MAX_STRETCH else 1.0


def _seek(container: InputContainer, track: AudioStream | VideoStream, time: Fraction) -> bool:
    try:
        container.seek(int(time / (track.time_base or Fraction(1))), stream=track)
    except FFmpegError:
        return False
    return True


def _packets(container: InputContainer, track: AudioStream | VideoStream, path: Path) -> Iterator["Packet[Any] | None"]:
    """Read the packets of a track; a None or an empty packet at the end brings out what the decoder holds back."""
    try:
        yield from container.demux(track)
    except FFmpegError as error:
        warnings.warn(DataWarning(f"{path}: damaged, only its beginning can be read ({error.strerror})"), stacklevel=2)
        yield None


def _is_cut_off(container: InputContainer, track: AudioStream | VideoStream, end: Fraction) -> bool:
    """Whether no other track goes on until an end, by its packets: one track may be shorter than its file."""
    others = [other for other in (*container.streams.audio, *container.streams.video) if other is not track]
    for other in others:
        other.discard = Discard.default
    if not others or not _seek(container, track, start_of(container)):
        return True
    try:
        ends = (
            (packet.pts + (packet.duration or 0)) * packet.time_base
            for packet in container.demux(others)
            if packet.pts is not None
        )
        return all(reached <= end for reached in ends)
    except FFmpegError:
        return True


class _Clock:
    """Turns the timestamps of one track into seconds from the start of the file, and mends those that cannot be.

    A leap that cannot be meant (`MAX_JUMP`, `MAX_RETURN`, or beyond the duration that the file states) is taken for a
    damaged timestamp or for the start of an appended recording: the frame then follows the one before it.
    """

    def __init__(self, container: InputContainer, track: AudioStream | VideoStream, expected: float | None) -> None:
        self.zero = start_of(container)
        self._end = container.duration / 1e6 if container.duration else math.inf
        self._track = track
        self._stated_end = 0.0
        if container.format.name not in GUESSED_DURATIONS:
            if track.duration and track.time_base:
                self._stated_end = float(((track.start_time or 0) + track.duration) * track.time_base - self.zero)
            elif self._end <= MAX_TIME:  # later is a damaged timestamp
                self._stated_end = self._end  # Matroska states no durations of tracks
        self._unit = track.time_base or Fraction(1, 1000)
        rate = float(track.average_rate or 0) if isinstance(track, VideoStream) else 0.0
        self._usual_duration = 1 / rate if rate > 1 / MAX_JUMP else 1 / _USUAL_FRAME_RATE
        self._shift = 0.0
        self._expected = expected

    def place(self, frame: AudioFrame | VideoFrame) -> tuple[float, float]:
        """When a frame starts and ends."""
        unit = frame.time_base or self._unit
        start = self._expected or 0.0
        if frame.pts is not None:
            start = float(frame.pts * unit - self.zero) + self._shift
            leap = 0.0 if self._expected is None else start - self._expected
            is_past_end = leap > MAX_RETURN and start > self._end + MAX_RETURN
            if not -MAX_RETURN <= leap <= MAX_JUMP or is_past_end:
                self._shift -= leap
                start -= leap
        self._expected = start + self._duration(frame, unit)
        return start, self._expected

    def warn_if_short(self, container: InputContainer, path: Path, content: str) -> None:
        """Warn that a track has ended well before it, or the file where that is all that is known, should end."""
        may_lack = min(MAX_SHORTFALL, max(MIN_SHORTFALL, MAX_SHORTFALL_SHARE * self._stated_end))
        least = self._stated_end - may_lack
        if not self._expected or self._expected >= least:
            return
        if self._track.duration or _is_cut_off(container, self._track, self.zero + Fraction(least)):
            message = (
                f"{path}: {content} until {self._expected:.1f} s, where the file states {self._stated_end:.1f} s: "
                "truncated or damaged; what is there is used"
            )
            warnings.warn(DataWarning(message), stacklevel=2)

    def _duration(self, frame: AudioFrame | VideoFrame, unit: Fraction) -> float:
        if isinstance(frame, AudioFrame):
            return frame.samples / max(1, frame.sample_rate)  # a damaged header may say 0
        stated = float(frame.duration * unit)
        return stated if 0 < stated <= MAX_JUMP else self._usual_duration
