"""Finding videos, sounds and transcripts by their names, and the text of a segment by its times."""

import math
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotiwave.datasets.roots import files_below
from emotiwave.datasets.text_lines import read_lines
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.recordings import Count
from emotiwave.types import Segment, Utterance

KINDS = {
    "videos": frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".flv", ".wmv", ".mpg", ".mpeg", ".ts"}),
    "sounds": frozenset({".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"}),
    "transcripts": frozenset({".txt"}),
}
SEGMENTED = "segmented"
"""The SDK's folder of files that are cut into segments and named ``ID_NUMBER``, which may be another video's id."""
SEPARATOR = "___"
MOST_APART = 0.1
"""Seconds that the times of a line and of a segment may differ by, at either end."""


@dataclass(frozen=True)
class MediaFiles:
    """Id of a video -> its file of each kind, relative to ``folder``."""

    folder: Path
    videos: Mapping[str, str]
    sounds: Mapping[str, str]
    transcripts: Mapping[str, str]

    def path(self, kind: Mapping[str, str], video: str) -> Path | None:
        """Where the file of a video is; None if there is none."""
        return self.folder / kind[video] if video in kind else None


def find_media(folder: Path, videos: Collection[str], counts: dict[str, Count]) -> MediaFiles:
    """Find the files at any depth whose name without its ending is the id of a video, and nothing but the id.

    Where there are several of one kind the first is taken, by the order of their paths; whole videos only.

    Raises:
        DatasetError: If the folder cannot be listed.
    """
    known = frozenset(videos)
    kind_of = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    several = set()
    for name in files_below(folder):
        *folders, file = name.split("/")
        stem, _, suffix = file.rpartition(".")
        kind = kind_of.get(f".{suffix.lower()}")
        if kind is None or stem not in known:
            continue
        if kind != "transcripts" and SEGMENTED in map(str.lower, folders):
            continue
        if found[kind].setdefault(stem, name) != name:
            several.add((kind, stem))
    for kind in KINDS:
        if n := sum(of == kind for of, _ in several):
            counts[f"{kind} that are there several times, the first taken"] = n
    return MediaFiles(folder, **found)


# Transcripts


@dataclass(frozen=True)
class Line:
    """One line of a transcript: seconds from the start of the video, and what was said."""

    start: float
    end: float
    text: str


def segment_texts(files: MediaFiles, utterances: Iterable[Utterance], counts: dict[str, Count]) -> dict[str, str]:
    """Find the text of segments by their times: utterance id -> text of the line that is nearest in time.

    A transcript that cannot be read is warned of and left out.
    """
    texts: dict[str, str] = {}
    by_video: dict[str, list[tuple[str, Segment]]] = {}
    for utterance in utterances:
        if utterance.segment is not None and utterance.segment.file in files.transcripts:
            by_video.setdefault(utterance.segment.file, []).append((utterance.id, utterance.segment))
    unreadable: list[str] = []
    n_bad = 0
    for video, segments in by_video.items():
        try:
            lines, bad = read_transcript(files.folder / files.transcripts[video], video)
        except DatasetError as error:
            unreadable.append(str(error))
            continue
        n_bad += bad
        for name, segment in segments:
            if (line := nearest_line(lines, segment)) is not None:
                texts[name] = line.text
    if n_bad:
        counts["lines of transcripts that are not as they must be, passed over"] = n_bad
    if unreadable:
        counts["transcripts that cannot be read, left out"] = len(unreadable)
        warnings.warn(f"{len(unreadable)} transcripts cannot be read; {unreadable[0]}", DataWarning, stacklevel=2)
    return texts


def read_transcript(path: Path, video: str) -> tuple[list[Line], int]:
    """Read lines of ``ID___NUMBER___START___END___TEXT``; also count those that are something else.

    Raises:
        DatasetError: If the file cannot be read as lines of text.
    """
    lines: list[Line] = []
    n_bad = 0
    for _, line in read_lines(path, corpus="transcripts"):
        if not line.strip():
            continue
        # after the id, which may itself end in an underscore
        cells = line.removeprefix(video + SEPARATOR).split(SEPARATOR, 3)
        try:
            start, end = float(cells[1]), float(cells[2])
        except (IndexError, ValueError):
            n_bad += 1
            continue
        if len(cells) == 4 and line.startswith(video + SEPARATOR) and math.isfinite(start) and math.isfinite(end):
            lines.append(Line(max(start, 0.0), end, cells[3].strip()))
        else:
            n_bad += 1
    return lines, n_bad


def nearest_line(lines: Sequence[Line], segment: Segment) -> Line | None:
    """Find the line whose times are nearest to those of a segment; None if none is within `MOST_APART`.

    The numbers of the lines are of no use: the rows of the label file have another order.

    >>> lines = [Line(0, 2.5, "so"), Line(2.5, 4, "well")]
    >>> nearest_line(lines, Segment("v", 2.52, 4.0)).text
    'well'
    """
    apart = [max(abs(line.start - segment.start), abs(line.end - segment.end)) for line in lines]
    if not apart or min(apart) > MOST_APART:
        return None
    return lines[apart.index(min(apart))]
