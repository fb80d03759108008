"""One pass over a ``.csd`` file of features or words: a video at a time, long videos in blocks."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import PAUSE, CsdEntry, CsdFile
from emotiwave.doctor.facts import FileFacts
from emotiwave.doctor.findings import Finding, Tally, finding, percent, shown
from emotiwave.doctor.frames import FrameCheck, FrameCounts, TimeCounts, check_times
from emotiwave.errors import DatasetError
from emotiwave.features.video import failure_columns

BLOCK_BYTES = 2**22
"""Frames are read in blocks that stay in the processor's cache."""
CHUNKED_BLOCK_BYTES = 2**27
"""Chunks are unpacked whole: in larger blocks, so that few are unpacked twice."""
MOST_COLUMNS = 2**16
CAP = 300
"""Frames that a common notebook keeps of a segment, whatever its length."""
OF_VIDEOS = ("damaged_entries", "unsorted_intervals", "fewer_vectors_than_words")
"""Kinds that count videos; the others count what lies in one."""
Progress = Callable[[int, int], None]
"""Is told how many videos are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """What other files say of the videos: segments ``(segments, 2)`` in seconds, and how many words they have."""

    segments: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    n_words: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class VideoSurvey:
    """What was seen in one video; ``per_segment (segments,)`` counts the frames of each labelled segment."""

    n_frames: int
    frames: FrameCounts
    times: TimeCounts
    n_pauses: int
    per_segment: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FeatureSurvey:
    """What was seen in a file: facts, findings, and the number of frames of each video that can be read."""

    facts: FileFacts
    findings: tuple[Finding | None, ...]
    n_frames: Mapping[str, int]


def survey_features(file: CsdFile, labelled: Labelled, progress: Progress) -> FeatureSurvey:
    """Look at every frame of a file once.

    Raises:
        DatasetError: If no video in it can be read.
    """
    survey = _Survey(file, labelled)
    for index, video in enumerate(file.ids):
        survey.take(video)
        progress(index + 1, len(file.ids))
    return survey.result()


class _Survey:
    """Sums over the videos of one file."""

    def __init__(self, file: CsdFile, labelled: Labelled) -> None:
        self.file, self.labelled = file, labelled
        self.name = str(file.path)
        self.vectors = is_word_vectors(file)
        self.tallies: dict[str, Tally] = {}
        self.check = FrameCheck(file.size, list(failure_columns(file).values()))
        self.dtype: np.dtype[Any] | None = None
        self.n_frames: dict[str, int] = {}
        self.lengths: list[float] = []
        self.seconds = 0.0
        self.counts = FrameCounts()
        self.damage = ""
        self.n_segments = self.n_segment_frames = self.n_beyond_cap = 0

    def take(self, video: str) -> None:
        try:
            seen = self._look(video)
        except DatasetError as error:
            self.damage = self.damage or str(error).removeprefix(f"{self.file.path}: ")
            self._tally("damaged_entries", 1, video)
            return
        self.n_frames[video] = seen.n_frames
        self.counts += seen.frames
        self.seconds += seen.times.seconds
        if seen.times.length:
            self.lengths.append(seen.times.length)
        found = {
            "non_finite": seen.frames.n_non_finite,
            "all_zero_frames": seen.frames.n_all_zero,
            "failed_frames": seen.frames.n_failed,
            "negative_intervals": seen.times.n_negative,
            "inverted_intervals": seen.times.n_inverted,
            "overlapping_intervals": seen.times.n_overlapping,
            "unsorted_intervals": int(not seen.times.sorted),
            "pause_tokens": seen.n_pauses,
            "fewer_vectors_than_words": int(self.vectors and seen.n_frames < self.labelled.n_words.get(video, 0)),
            "long_segments": int(np.count_nonzero(seen.per_segment > CAP)),
            "segments_without_frames": int(np.count_nonzero(seen.per_segment == 0)),
        }
        for kind, count in found.items():
            self._tally(kind, count, video)
        self.n_segments += len(seen.per_segment)
        self.n_segment_frames += int(seen.per_segment.sum())
        self.n_beyond_cap += int(np.maximum(seen.per_segment - CAP, 0).sum())

    def _look(self, video: str) -> VideoSurvey:
        entry = self.file[video]
        _check_size(entry)
        if (entry.size, entry.is_text) != (self.file.size, self.file.holds_words):
            raise DatasetError(
                f"{video!r}: {entry.size} columns of {entry.dtype}; most videos of the file have {self.file.size} of "
                f"{'words' if self.file.holds_words else 'numbers'}"
            )
        frames, n_pauses = FrameCounts(), 0
        for values in blocks(entry):
            if entry.is_text:
                n_pauses += int(np.count_nonzero(values == PAUSE.encode()))
            else:
                frames += self.check.add(values)
        times = check_times(entry.intervals)
        self.dtype = entry.dtype if self.dtype is None else self.dtype
        segments = self.labelled.segments.get(video, np.empty((0, 2)))
        first, last = np.searchsorted(times.midpoints, segments.T)
        return VideoSurvey(entry.n_frames, frames, times, n_pauses, last - first)

    def _tally(self, kind: str, count: int, video: str) -> None:
        self.tallies.setdefault(kind, Tally(inside=kind not in OF_VIDEOS)).add(count, video)

    def result(self) -> FeatureSurvey:
        if self.dtype is None:
            reason = f"the first error: {self.damage}" if self.damage else "it has no entry"
            raise DatasetError(f"{self.file.path}: none of its {len(self.file.ids)} videos can be read; {reason}")
        text, n_frames = self.file.holds_words, sum(self.n_frames.values())
        length = float(np.median(self.lengths)) if self.lengths else 0.0
        facts = FileFacts(
            file=self.name,
            kind="words" if text else "features",
            n_bytes=self.file.path.stat().st_size,
            root=self.file.root,
            size=self.file.size,
            dtype=str(self.dtype),
            n_videos=len(self.n_frames),
            n_frames=n_frames,
            seconds=self.seconds,
            rate=1 / length if length else None,
            n_unobserved=None if text else self.counts.n_unobserved,
        )
        return FeatureSurvey(facts, tuple(self._findings(n_frames)), self.n_frames)

    def _findings(self, n_frames: int) -> list[Finding | None]:
        totals = {"damaged_entries": len(self.file.ids), "unsorted_intervals": len(self.n_frames)}
        totals |= dict.fromkeys(("long_segments", "segments_without_frames"), self.n_segments)
        totals["fewer_vectors_than_words"] = len(self.n_frames)
        more = {
            "damaged_entries": f"The first: {self.damage}.",
            "long_segments": f"Keeping the first {CAP} would throw away "
            f"{percent(self.n_beyond_cap / max(self.n_segment_frames, 1))} of the frames of all segments.",
        }
        if self.vectors:
            more["all_zero_frames"] = "Among word vectors these are unknown words."
        found = [
            finding(kind, self.name, tally, total=totals.get(kind, n_frames), more=more.get(kind, ""))
            for kind, tally in self.tallies.items()
        ]
        names = self.file.dimension_names
        found.append(constant_columns(self.name, self.check.constant, self.check.size, names=names))
        found.append(root_name(self.file))
        missing = [video for video in self.labelled.segments if video not in self.file]
        found.append(finding("missing_modality", self.name, Tally.of(missing), total=len(self.labelled.segments)))
        return found


def constant_columns(
    file: str, columns: Sequence[int], size: int, *, names: Sequence[str] | None = None, more: str = ""
) -> Finding | None:
    """Word which columns never change, by name where there is one."""
    known = names if names is not None and len(names) == size else [f"column {column}" for column in range(size)]
    return finding("constant_columns", file, Tally.of([known[column] for column in columns]), total=size, more=more)


def root_name(file: CsdFile) -> Finding | None:
    """Word that a root is named otherwise than its file."""
    if file.root == file.path.stem:
        return None
    more = f"The root is {shown(file.root)}."
    found = finding("root_name", str(file.path), Tally(1), total=1, more=more)
    return found and replace(found, share=0.0)  # it touches no frame


def is_word_vectors(file: CsdFile) -> bool:
    """Whether the name of the file or of its root says that its rows are vectors of words."""
    return bool(re.search("glove|word.?vec", f"{file.path.stem} {file.root}", re.IGNORECASE))


def blocks(entry: CsdEntry) -> Iterator[NDArray[Any]]:
    """Read the frames of a video ``(frames, size)``, some megabytes at a time."""
    step = max(1, (CHUNKED_BLOCK_BYTES if entry.is_chunked else BLOCK_BYTES) // (entry.size * entry.dtype.itemsize))
    for start in range(0, entry.n_frames, step):
        yield entry.values(start, min(start + step, entry.n_frames))


def _check_size(entry: CsdEntry) -> None:
    if not 0 < entry.size <= MOST_COLUMNS:
        raise DatasetError(f"{entry.id!r}: {entry.size:,} columns; expected 1 to {MOST_COLUMNS:,}")
    if entry.dtype.itemsize * entry.size > BLOCK_BYTES:
        raise DatasetError(f"{entry.id!r}: one frame has {entry.dtype.itemsize * entry.size:,} bytes; not read")
