"""Opening a media file of unknown origin, and saying what is in it.

A container is read from the one file that was named and from nothing else: the file is opened here, its name never
reaches FFmpeg, formats that are lists of other files (playlists, ``concat``, image patterns) are not among those
accepted, and what a container asks to be opened beside itself is refused.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from emotiwave.errors import MediaError

TrackT = TypeVar("TrackT", bound=Stream)

MAX_PIXELS = 50_000_000
"""Pictures that declare more pixels than this are refused before they are decoded."""
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,ogg,mxf,nut,rm,dv,gif,ivf,h264,hevc,m4v,"
    "wav,w64,flac,mp3,aac,aiff,au,caf,amr,amrnb,amrwb,ac3,eac3,dts,truehd,wv,ape,tta,mpc,mpc8,voc,nistsphere,gsm"
)
"""FFmpeg's names of the formats that are read: those that hold their media in one file."""
_BUFFER_BYTES = 2**16
_NOT_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_UNREADABLE = (FFmpegError, OSError, MemoryError, OverflowError)
"""What PyAV raises of damaged files, the last ones for fields that hold absurd numbers."""


@dataclass(frozen=True)
class SoundDescription:
    """A track of sound: its codec, samples per second and channel, and number of channels."""

    codec: str
    rate: int
    channels: int


@dataclass(frozen=True)
class PicturesDescription:
    """A track of pictures: its codec, pixels as stored, mean frames per second, and how far players turn it.

    ``rotation`` is in degrees counter-clockwise, None where no picture could be decoded.
    """

    codec: str
    width: int
    height: int
    frame_rate: float | None
    rotation: int | None


@dataclass(frozen=True)
class SubtitleDescription:
    """A track of subtitles: its codec, and its language as the file names it."""

    codec: str
    language: str | None


@dataclass(frozen=True)
class MediaDescription:
    """What a media file says of itself: ``duration`` in seconds, if it is known, and the tracks that would be read."""

    format: str
    duration: float | None
    n_bytes: int
    sound: SoundDescription | None
    pictures: PicturesDescription | None
    subtitles: tuple[SubtitleDescription, ...]


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a media file; whatever goes wrong with it until it is closed becomes a MediaError that names it.

    Raises:
        MediaError: If it is missing, empty, no regular file, not readable, no media, or damaged.
    """
    with media_errors(path), open_regular_file(path) as file:
        try:
            container = av.open(
                _Nameless(file, path.suffix),
                mode="r",
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={"format_whitelist": FORMATS, "protocol_whitelist": "none"},
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
                io_open=_refuse,
            )
        except FFmpegError as error:
            raise MediaError(
                f"{path}: no media file of a known format, or damaged at its start ({_reason(error)}); expected a "
                "video or sound file such as .mp4, .mkv, .webm, .avi, .wav, .flac, .mp3"
            ) from None
        with container:
            yield container


@contextmanager
def media_errors(path: Path) -> Iterator[None]:
    """Turn what is raised while a file is read into a MediaError that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise MediaError(f"{path}: damaged, cannot be decoded ({_reason(error)})") from None


@contextmanager
def open_regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that has content for reading; folders, pipes and devices are none.

    Raises:
        MediaError: If it cannot be opened, is no regular file or is empty.
    """
    try:
        status = path.stat()  # looked at first: opening a pipe would wait for its other end
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{path}: is a folder; expected a media file")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{path}: is a pipe or a device; expected a regular file")
        if status.st_size == 0:
            raise MediaError(f"{path}: is empty (0 bytes); copy or download it again")
        file = path.open("rb")
    except FileNotFoundError:
        raise MediaError(f"{path}: does not exist; check the name and the folder") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise MediaError(f"{path}: cannot be opened ({_reason(error)}); expected a media file") from None
    with file:
        yield file


def audio_track(container: InputContainer, path: Path) -> AudioStream:
    """The track of sound that is read: the one marked as default, else the first.

    Raises:
        MediaError: If there is none, or none of a codec that can be decoded.
    """
    return _main_track(container.streams.audio, path, "sound")


def video_track(container: InputContainer, path: Path) -> VideoStream:
    """The track of moving pictures that is read: the one marked as default, else the first; no cover, no thumbnails.

    Raises:
        MediaError: If there is none, none of a codec that can be decoded, or its pictures are too large.
    """
    moving = [track for track in container.streams.video if not track.disposition & _NOT_PICTURES]
    track = _main_track(moving, path, "pictures")
    check_pixels(path, track.codec_context.width, track.codec_context.height)
    return track


def check_pixels(path: Path, width: int, height: int) -> None:
    """Refuse pictures that are too large to be decoded safely.

    Raises:
        MediaError: If they have more than MAX_PIXELS pixels.
    """
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"{path}: pictures of {width:,} x {height:,} pixels; expected at most {MAX_PIXELS:,}: scale them down"
        )


def start_of(container: InputContainer) -> Fraction:
    """The timestamp, in seconds, that times count from.

    What a container dates before zero (the run-in of a codec) is not shown, so a negative start is none.
    """
    return Fraction(max(0, container.start_time or 0), av.time_base)


def describe_media(path: Path) -> MediaDescription:
    """Say what a media file holds, without decoding more than one picture of it.

    Raises:
        MediaError: If it is no media file, or its tracks are of unknown codecs.
    """
    with open_container(path) as container:
        has_video = any(not track.disposition & _NOT_PICTURES for track in container.streams.video)
        return MediaDescription(
            format=container.format.name,
            duration=container.duration / av.time_base if container.duration else None,
            n_bytes=os.path.getsize(path),
            sound=_describe_sound(audio_track(container, path)) if container.streams.audio else None,
            pictures=_describe_pictures(container, video_track(container, path)) if has_video else None,
            subtitles=tuple(
                SubtitleDescription(track.codec_context.name if track.codec_context else "unknown", track.language)
                for track in container.streams.subtitles
            ),
        )


class _Nameless:
    """A file object as FFmpeg sees it: the kind of file may be guessed by its suffix, but its name is not known.

    Names hold ``%03d``, ``:`` or a leading dash, and relative references would be looked up beside them.
    """

    def __init__(self, file: BinaryIO, suffix: str) -> None:
        self.name = f"media{suffix}" if suffix[1:].isalnum() and suffix.isascii() else "media"
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("the file refers to another file, which is not read")


def _main_track(tracks: Sequence[TrackT], path: Path, content: str) -> TrackT:
    if not tracks:
        raise MediaError(f"{path}: has no {content}; expected a file with a track of {content}")
    known = [track for track in tracks if track.codec_context is not None]
    if not known:
        raise MediaError(f"{path}: its {content} are of a codec that is not known; convert the file, say to .mp4")
    return next((track for track in known if track.disposition & Disposition.default), known[0])


def _describe_sound(track: AudioStream) -> SoundDescription:
    context = track.codec_context
    return SoundDescription(context.name, context.sample_rate or 0, context.channels)


def _describe_pictures(container: InputContainer, track: VideoStream) -> PicturesDescription:
    try:
        rotation = next((frame.rotation for frame in container.decode(track)), None)
    except _UNREADABLE:  # what can be said of the file is said all the same
        rotation = None
    context = track.codec_context
    rate = track.average_rate or track.guessed_rate
    return PicturesDescription(context.name, context.width, context.height, float(rate) if rate else None, rotation)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
