"""The label file of CMU-MOSEI and CMU-MOSI: every row is one segment of a video, with its own interval."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.errors import DatasetError
from emotiwave.recordings import Count

COLUMN_NAMES = {
    "sentiment": "sentiment",
    "happy": "happiness",
    "happiness": "happiness",
    "sad": "sadness",
    "sadness": "sadness",
    "anger": "anger",
    "angry": "anger",
    "surprise": "surprise",
    "disgust": "disgust",
    "fear": "fear",
}
"""What label files call their columns -> what we call them."""


MAX_ROWS = 10**6
"""CMU-MOSEI has 23,259."""


@dataclass(frozen=True, eq=False)
class LabelledRow:
    """One row of a label file: a segment of a video, seconds, and its values ``(columns,)``."""

    video: str
    row: int
    start: float
    end: float
    values: NDArray[np.float64]

    @property
    def id(self) -> str:
        """``VIDEO[row]``: the row of the file, which is not the order in time."""
        return f"{self.video}[{self.row}]"


@dataclass(frozen=True, eq=False)
class LabelFile:
    """All rows of a label file.

    ``named_by`` says whose word the column names are: ``metadata``, ``recipe`` or ``documentation``.
    """

    path: Path
    columns: tuple[str, ...]
    named_by: str
    rows: tuple[LabelledRow, ...]
    damaged: Mapping[str, str]
    """Videos whose entry cannot be read, and why."""


def read_labels(path: Path, *, documented: Sequence[str], columns: Sequence[str] | None = None) -> LabelFile:
    """Read every row of a label file.

    Args:
        path: The file.
        documented: Our names of the columns in the order that the corpus documents, taken where metadata names none.
        columns: Names that override those of the file.

    Raises:
        DatasetError: If the file cannot be read, or most of its rows have another number of columns than names.
    """
    with CsdFile(path) as file:
        names, named_by = name_columns(file, documented) if columns is None else (tuple(columns), "recipe")
        if file.holds_words or file.size != len(names):
            raise DatasetError(
                f"{path}: {file.size} label columns; expected {len(names)} ({', '.join(names)}); if the file is of "
                "another release, name its columns with dataset.columns"
            )
        rows: list[LabelledRow] = []
        damaged: dict[str, str] = {}
        for video in file.ids:
            try:
                entry = file[video]
                if entry.is_text or entry.size != len(names):
                    raise DatasetError(f"{path}: {video!r} has {entry.size} label columns; the file has {len(names)}")
                values, intervals = entry.values(), entry.intervals
            except DatasetError as error:
                damaged[video] = str(error)
                continue
            if len(rows) + len(values) > MAX_ROWS:
                raise DatasetError(f"{path}: holds more than {MAX_ROWS:,} labelled segments; is this the label file?")
            numbers = values.astype(np.float64)
            rows += [
                LabelledRow(video, row, float(start), float(end), numbers[row])
                for row, (start, end) in enumerate(intervals)
            ]
    if not rows:
        reason = f"; {len(damaged)} videos cannot be read, the first: {next(iter(damaged.values()))}" if damaged else ""
        raise DatasetError(f"{path}: holds no labelled segment{reason}")
    return LabelFile(path, names, named_by, tuple(rows), damaged)


def name_columns(file: CsdFile, documented: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Name the label columns by the metadata, or as documented where the metadata does not help; and say which."""
    given = file.dimension_names or ()
    names = tuple(COLUMN_NAMES.get(name.strip().lower(), "") for name in given)
    if names and all(names) and len(set(names)) == len(names):
        return names, "metadata"
    return tuple(documented), "documentation"


def usable_rows(
    labels: LabelFile,
    ranges: Mapping[str, tuple[float, float]],
    needs: Sequence[str],
    counts: dict[str, Count],
) -> list[LabelledRow]:
    """Clamp starts and values, and leave out what has no length or lacks a number that is needed; count each."""
    needed = [labels.columns.index(name) for name in needs]
    anything = (-math.inf, math.inf)  # of columns that are another corpus's
    low, high = np.array([ranges.get(name, anything) for name in labels.columns]).T
    found: Counter[str] = Counter()
    rows = []
    for row in labels.rows:
        if not np.isfinite(row.values[needed]).all():
            found["segments without a finite label, left out"] += 1
            continue
        if not max(row.start, 0.0) < row.end < math.inf:
            found["segments without length, left out"] += 1
            continue
        if row.start < 0:
            found["segments that began below 0 s, now at 0"] += 1
        finite = np.isfinite(row.values)
        if not finite.all():
            found["segments that keep their label but lack another rating"] += 1
        clamped = np.where(finite, np.clip(row.values, low, high), np.nan)  # infinity is no rating, not the highest
        if (clamped != row.values)[finite].any():
            found["segments with labels out of range, clamped"] += 1
        rows.append(replace(row, start=max(row.start, 0.0), values=clamped))
    counts |= found
    return rows


def average_videos(rows: Sequence[LabelledRow], counts: dict[str, Count]) -> list[LabelledRow]:
    """One row per video, with the mean of its labels, from its beginning to its end."""
    by_video: dict[str, list[LabelledRow]] = {}
    for row in rows:
        by_video.setdefault(row.video, []).append(row)
    counts["segments whose labels were averaged by video"] = len(rows)
    return [
        LabelledRow(video, -1, 0.0, math.inf, np.mean([row.values for row in of_video], axis=0))
        for video, of_video in by_video.items()
    ]
