"""Subtitles that a video carries with it: words with the times of the lines they are shown in."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av import Packet
from av.container import InputContainer
from av.subtitles.stream import SubtitleStream

from emotiwave.errors import MediaError
from emotiwave.media.containers import open_container, start_of
from emotiwave.media.cues import Phrase, plain_text
from emotiwave.media.text_files import LARGEST_TEXT
from emotiwave.media.transcripts import to_words, words_between
from emotiwave.settings import PathLike
from emotiwave.signals import Word

_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
"""Of SubStation Alpha: what follows are the lines of a drawing."""
_OVERRIDE = re.compile(r"\{[^{}]*\}")
_N_FIELDS = 8
"""Fields of an event of SubStation Alpha before its text."""


def has_subtitles(path: PathLike) -> bool:
    """Whether a media file has a track of subtitles that is text.

    Raises:
        MediaError: If it is no media file.
    """
    with open_container(Path(path)) as container:
        return any(_is_text(track) for track in container.streams.subtitles)


def read_subtitles(
    path: PathLike, start: float | None = None, end: float | None = None, track: int = 0
) -> tuple[Word, ...]:
    """Read the words of a track of subtitles (0 is the first), in order of time.

    The words of a line share its interval in proportion to their length. ``start`` and ``end`` in seconds keep the
    words whose middle lies between them. All of the file is read, so read once and cut by
    `emotiwave.media.transcripts.words_between` where many stretches of it are wanted.

    Raises:
        MediaError: If the file has no such track, it holds pictures of text, or it cannot be decoded.
    """
    path = Path(path)
    with open_container(path) as container:
        tracks = container.streams.subtitles
        if not 0 <= track < len(tracks):
            raise MediaError(f"{path}: has no subtitle track {track}; it has {len(tracks)} of them, counted from 0")
        if not _is_text(tracks[track]):
            raise MediaError(
                f"{path}: subtitle track {track} holds pictures of text, or is of an unknown codec "
                f"({_codec(tracks[track])}); give a transcript (.srt, .vtt, .json or .txt)"
            )
        words = to_words(_phrases(container, tracks[track], path))
    return words_between(words, start, end)


def _codec(track: SubtitleStream) -> str:
    return track.codec_context.name if track.codec_context is not None else "unknown"


def _is_text(track: SubtitleStream) -> bool:
    return track.codec_context is not None and track.codec_context.codec.text_sub


def _phrases(container: InputContainer, track: SubtitleStream, path: Path) -> Iterator[Phrase]:
    n_bytes = 0
    origin = start_of(container)
    for packet in container.demux(track):
        n_bytes += packet.size
        if n_bytes > LARGEST_TEXT:
            raise MediaError(f"{path}: more than {LARGEST_TEXT // 2**20} MiB of subtitles; expected one recording's")
        text = _shown(packet)
        if text and packet.pts is not None and packet.time_base is not None:
            start = packet.pts * packet.time_base - origin
            yield Phrase(text, float(start), float(start + max(packet.duration or 0, 0) * Fraction(packet.time_base)))


def _shown(packet: Packet) -> str:
    """Decode what a packet shows; FFmpeg gives all kinds of text as events of SubStation Alpha."""
    if packet.size == 0:  # the last one, of the end
        return ""
    shown = []
    for event in packet.decode():
        fields = bytes(getattr(event, "ass", b"")).decode("utf-8", errors="replace").split(",", _N_FIELDS)
        if len(fields) > _N_FIELDS and not _DRAWING.search(fields[_N_FIELDS]):
            marked = _OVERRIDE.sub("", fields[_N_FIELDS])
            shown.append(plain_text(re.sub(r"\\[Nnh]", " ", marked)))
    return " ".join(shown).strip()
