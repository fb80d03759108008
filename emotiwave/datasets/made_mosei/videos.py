"""The videos of made CMU-MOSEI files: ids, folds, segments that overlap, presence of emotions, and labels."""

import csv
import json
import math
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.folds import read_folds
from emotiwave.datasets.made_mosei.settings import PREVALENCE, SHARES, MadeMoseiSettings
from emotiwave.errors import DatasetError

FOLD_NAMES = {"train": "train", "validation": "valid", "test": "test"}
"""Our splits -> what the published file calls them."""
INTENSITIES = np.arange(1, 10) / 3
"""Means of three annotators who rate from 0 to 3."""
LOWER_IS_COMMONER = 0.75
VALENCE = np.array([1.5, -1.2, -1.2, 0.3, -1.0, -0.8])
"""What each emotion at full intensity adds to the sentiment, in the order of `PREVALENCE`."""
UNLABELLED_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class MadeVideo:
    """One video, whose rows are those of the label file; ``fold`` is None where it is in none.

    ``segments (rows, 2)`` and ``duration`` in seconds, ``presence (rows, emotions)``, ``labels (rows, 7)``.
    """

    index: int
    id: str
    fold: str | None
    segments: NDArray[np.float64]
    duration: float
    presence: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, len(PREVALENCE)), bool))
    labels: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1 + len(PREVALENCE)), np.float32))

    @property
    def row_ids(self) -> tuple[str, ...]:
        """The ids of its segments: ``VIDEO[row]``."""
        return tuple(f"{self.id}[{row}]" for row in range(len(self.segments)))


def make_videos(settings: MadeMoseiSettings, rng: np.random.Generator) -> tuple[MadeVideo, ...]:
    """Make the labelled videos, as clean as they can be.

    Raises:
        DatasetError: If the real segment times or folds cannot be read, or are too few.
    """
    if settings.segments is None or settings.folds is None:
        videos = _invented(settings, rng)
    else:
        videos = _real(settings.segments, settings.folds, settings.n_videos, rng)
    prevalence = np.array([settings.prevalence[name] for name in PREVALENCE])
    labelled = []
    for video in videos:
        presence = rng.random((len(video.segments), len(prevalence))) < prevalence
        labelled.append(replace(video, presence=presence, labels=rate_segments(presence, rng)))
    return tuple(labelled)


def rate_segments(presence: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Rate segments by the emotions present ``(rows, 6)``: sentiment -3 to 3, then six intensities 0 to 3."""
    weights = LOWER_IS_COMMONER ** np.arange(len(INTENSITIES))
    drawn = rng.choice(INTENSITIES, size=presence.shape, p=weights / weights.sum())
    intensities = np.where(presence, drawn, 0.0)
    opinion = np.where(presence, 0.5 + drawn / 3, 0.0) @ VALENCE + rng.normal(0.0, 0.5, len(presence))
    sentiment = np.clip(np.round(3 * opinion) / 3, -3, 3)
    return np.column_stack([sentiment, intensities]).astype(np.float32)


def exclusive_parts(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the longest part of each segment ``(rows, 2)`` after 0 s that no other segment overlaps.

    A segment that has none gets an empty part.

    >>> exclusive_parts(np.array([[-1.0, 4.0], [3.0, 6.0], [9.0, 9.0]])).tolist()
    [[0.0, 3.0], [4.0, 6.0], [9.0, 9.0]]
    """
    parts = np.empty_like(segments)
    for row, (start, end) in enumerate(segments):
        others = np.delete(segments, row, axis=0)
        others = others[(others[:, 1] > others[:, 0]) & (others[:, 1] > start) & (others[:, 0] < end)]
        best, begin = (start, start), max(start, 0.0)
        for other_start, other_end in (*others[np.argsort(others[:, 0])], (math.inf, math.inf)):
            stop = min(end, other_start)
            if stop - begin > best[1] - best[0]:
                best = (begin, stop)
            begin = max(begin, other_end)
        parts[row] = best
    return parts


def _invented(settings: MadeMoseiSettings, rng: np.random.Generator) -> list[MadeVideo]:
    """Segments in order of time with gaps between them or, as a trap, mostly overlapping."""
    n = settings.n_videos
    folds = rng.permutation([name for name in SHARES for _ in range(settings.videos_by_fold[name])])
    videos = []
    for index, (video_id, fold) in enumerate(zip(made_ids(n, rng, traps=settings.traps), folds, strict=True)):
        lengths = rng.uniform(settings.shortest, settings.longest, settings.segments_per_video)
        gaps = rng.uniform(0.2, 2.0, settings.segments_per_video)
        if settings.traps:
            # at least a third of the shortest segment is left to itself
            overlaps = -rng.uniform(0.2, max(0.2, settings.shortest / 3), settings.segments_per_video)
            gaps = np.where(rng.random(settings.segments_per_video) < 0.6, overlaps, gaps)
            gaps[0] = abs(gaps[0])
        starts = np.round(np.cumsum(gaps + np.append(0.0, lengths[:-1])), 3)
        segments = np.column_stack([starts, np.round(starts + lengths, 3)])
        videos.append(MadeVideo(index, video_id, str(fold), segments, _duration(segments, rng)))
    return videos


def _duration(segments: NDArray[np.float64], rng: np.random.Generator) -> float:
    return float(segments.max()) + float(rng.uniform(1.0, 2.0))


def made_ids(n: int, rng: np.random.Generator, *, traps: bool) -> list[str]:
    """Invent ids: eleven characters or a number; as traps, some with a leading dash or another id as their prefix."""
    letters = np.array(list(string.ascii_letters + string.digits))
    ids = ["".join(rng.choice(letters, 11)) for _ in range(n)]
    for index in rng.permutation(n)[: n // 6]:
        ids[index] = str(200_000 + 37 * int(index))
    if traps:
        chosen = rng.permutation(n).tolist()
        for index in chosen[: max(1, n // 50)]:
            ids[index] = f"-{ids[index][1:]}"
        for number, index in enumerate(chosen[n // 2 : n // 2 + max(1, n // 100)]):
            ids[index] = f"{ids[chosen[-1 - number]]}_{number % 10}"
    return ids


def _real(segments: Path, folds: Path, n_videos: int, rng: np.random.Generator) -> list[MadeVideo]:
    times, by_fold = _read_segments(segments), read_folds(folds)
    known = {name: [video for video in ids if video in times] for name, ids in by_fold.items()}
    total = sum(map(len, known.values()))
    if total < n_videos or not all(known.values()):
        found = ", ".join(f"{len(ids)} in {name}" for name, ids in known.items())
        raise DatasetError(f"{segments}: {n_videos} videos wanted, but the folds {folds} have segments of {found}")
    counts = {name: min(len(ids), max(1, n_videos * len(ids) // total)) for name, ids in known.items()}
    while sum(counts.values()) != n_videos:  # what rounding down has left over, or the one each that small folds got
        step = 1 if sum(counts.values()) < n_videos else -1
        room = {name: len(known[name]) - counts[name] if step > 0 else counts[name] - 1 for name in counts}
        counts[max(room, key=room.__getitem__)] += step
    chosen = [(video, name) for name, count in counts.items() for video in known[name][:count]]
    return [
        MadeVideo(index, video, fold, times[video], _duration(times[video], rng))
        for index, (video, fold) in enumerate(chosen)
    ]


def _read_segments(path: Path) -> dict[str, NDArray[np.float64]]:
    """Segments ``(rows, 2)`` by video, rows in the order of their numbers."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                found.setdefault(row["video_id"], []).append(_read_row(row, path, number))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; expected segment times as CSV") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error})") from None
    except KeyError:
        raise DatasetError(f"{path}: expected the columns video_id, segment, start, end") from None
    return {video: np.array(sorted(rows))[:, 1:] for video, rows in found.items()}


def _read_row(row: Mapping[str, str], path: Path, number: int) -> tuple[int, float, float]:
    try:
        start, end = float(row["start"]), float(row["end"])
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError
        return int(row["segment"]), start, end
    except (ValueError, TypeError):
        raise DatasetError(
            f"{path}: line {number}: expected a whole number and two times in seconds under segment, start and end; "
            f"got {row['segment']!r}, {row['start']!r}, {row['end']!r}"
        ) from None


def unlabelled_videos(n: int, first_index: int, rng: np.random.Generator) -> Iterator[MadeVideo]:
    """Make videos that are in a fold, but have no labels."""
    for index, video_id in enumerate(made_ids(n, rng, traps=False), start=first_index):
        fold = ("train", "test")[index % 2]
        yield MadeVideo(index, f"{video_id[:9]}zz", fold, np.zeros((0, 2)), UNLABELLED_SECONDS)


def write_folds(path: Path, videos: tuple[MadeVideo, ...]) -> Path:
    """Write which video is in which fold, under the published names."""
    folds = {name: [video.id for video in videos if video.fold == split] for split, name in FOLD_NAMES.items()}
    path.write_text(json.dumps(folds), encoding="utf-8")
    return path
