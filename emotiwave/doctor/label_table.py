"""The label file of CMU-MOSEI or CMU-MOSI as one table: a row per segment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.labels import COLUMN_NAMES, MAX_ROWS, name_columns
from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.datasets.mosei import EMOTIONS, MOSEI
from emotiwave.doctor.findings import Tally
from emotiwave.errors import DatasetError

SENTIMENT = "sentiment"
WIDTHS = {len(MOSEI.documented): MOSEI.documented, 1: (SENTIMENT,)}
"""Columns -> their documented names: CMU-MOSEI and CMU-MOSI."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """All rows of a label file that could be read.

    ``video (rows,)`` counts in ``videos``, ``row (rows,)`` is the number of a row within its video, ``times (rows, 2)``
    are seconds, ``values (rows, columns)``.
    """

    file: str
    videos: tuple[str, ...]
    columns: tuple[str, ...]
    named_by: str
    given_names: tuple[str, ...] | None
    video: NDArray[np.int64]
    row: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    widths: Mapping[str, int]
    """Videos with another number of columns -> that number."""
    damaged: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.video)

    @cached_property
    def finite(self) -> NDArray[np.bool_]:
        """Whether all values of a row are numbers ``(rows,)``."""
        return np.asarray(np.isfinite(self.values).all(axis=1))

    @cached_property
    def has_length(self) -> NDArray[np.bool_]:
        """Whether a row ends after it begins, which is not before 0 s ``(rows,)``."""
        return self.times[:, 1] > np.maximum(self.times[:, 0], 0.0)  # also False where either is NaN

    @cached_property
    def clamped(self) -> NDArray[np.float64]:
        """The values within the range of their scale ``(rows, columns)``."""
        return np.clip(self.values, *np.array([MOSEI.ranges[name] for name in self.columns]).T)

    @cached_property
    def emotions(self) -> NDArray[np.float64]:
        """The clamped values of the emotions ``(rows, emotions)``, in the order of the file."""
        return self.clamped[:, [index for index, name in enumerate(self.columns) if name in EMOTIONS]]

    @cached_property
    def all_zero(self) -> NDArray[np.bool_]:
        """Rows with numbers and without an emotion ``(rows,)``."""
        if not self.emotions.shape[1]:
            return np.zeros(len(self), dtype=bool)
        return self.finite & (self.emotions == 0).all(axis=1)

    @cached_property
    def tied(self) -> NDArray[np.bool_]:
        """Rows with numbers in which several emotions share the largest value ``(rows,)``."""
        if not self.emotions.shape[1]:
            return np.zeros(len(self), dtype=bool)
        top = self.emotions.max(axis=1, keepdims=True)
        return self.finite & (top[:, 0] > 0) & ((self.emotions == top).sum(axis=1) > 1)

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Rows that have a length and numbers ``(rows,)``."""
        return self.finite & self.has_length

    @cached_property
    def segments(self) -> dict[str, NDArray[np.float64]]:
        """Video -> its segments ``(segments, 2)`` in seconds, of rows that have a length, perhaps none."""
        bounds = np.searchsorted(self.video, np.arange(len(self.videos) + 1))
        kept = np.stack([np.maximum(self.times[:, 0], 0.0), self.times[:, 1]], axis=1)
        return {
            name: kept[first:last][self.has_length[first:last]]
            for name, (first, last) in zip(self.videos, pairwise(bounds), strict=True)
            if last > first
        }

    def tally(self, rows: NDArray[np.bool_]) -> Tally:
        """Count rows, with examples by id."""
        found = np.flatnonzero(rows)
        examples = [f"{self.videos[self.video[index]]}[{self.row[index]}]" for index in found[:3]]
        return Tally(len(found), examples)


def is_label_file(file: CsdFile) -> bool:
    """Whether root, name, metadata or shape say that a file holds labels."""
    if "label" in f"{file.root} {file.path.stem}".lower():
        return True
    names = {COLUMN_NAMES.get(name.strip().lower()) for name in file.dimension_names or ()}
    if SENTIMENT in names:
        return True
    try:
        if file.holds_words or file.size != len(MOSEI.documented):
            return False
        seconds = np.diff(file[file.ids[len(file.ids) // 2]].intervals, axis=1)
        return float(np.median(seconds)) > 1.0
    except (DatasetError, IndexError):
        return False  # not by its shape; what is wrong with the entry is found when its turn comes


def read_label_table(file: CsdFile, progress: Callable[[int, int], None]) -> LabelTable:
    """Read all rows.

    Raises:
        DatasetError: If no video in it can be read, or it has more rows than the labels of any corpus.
    """
    parts: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []
    widths: dict[str, int] = {}
    damaged: dict[str, str] = {}
    width, n_rows = _documented_width(file), 0
    as_documented = (file.size, file.holds_words) == (width, False)
    for index, video in enumerate(file.ids):
        progress(index + 1, len(file.ids))
        try:
            entry = file[video]
            if (entry.size, entry.is_text) == (width, False):
                n_rows += entry.n_frames
                if n_rows <= MAX_ROWS:
                    parts.append((index, entry.values().astype(np.float64), entry.intervals))
            elif as_documented:
                damaged[video] = (
                    f"{video!r}: {entry.size} columns of {entry.dtype}; most videos of the file have {width}"
                )
            else:
                widths[video] = entry.size
        except DatasetError as error:
            damaged[video] = str(error).removeprefix(f"{file.path}: ")
    if n_rows > MAX_ROWS:
        raise DatasetError(f"{file.path}: holds {n_rows:,} rows; at most {MAX_ROWS:,} are read: is this a label file?")
    if not parts and not widths:
        reason = f"the first error: {next(iter(damaged.values()))}" if damaged else "it has no entry"
        raise DatasetError(f"{file.path}: none of its {len(file.ids)} videos can be read; {reason}")
    columns, named_by = name_columns(file, WIDTHS[width])
    if len(columns) != width:
        columns, named_by = WIDTHS[width], "documentation"
    lengths = [len(values) for _, values, _ in parts]
    return LabelTable(
        file=str(file.path),
        videos=file.ids,
        columns=columns,
        named_by=named_by,
        given_names=file.dimension_names,
        video=np.repeat(np.array([index for index, _, _ in parts], dtype=np.int64), lengths),
        row=np.concatenate([np.empty(0, np.int64), *(np.arange(length) for length in lengths)]),
        times=np.concatenate([np.empty((0, 2)), *(times for _, _, times in parts)]),
        values=np.concatenate([np.empty((0, width)), *(values for _, values, _ in parts)]),
        widths=widths,
        damaged=damaged,
    )


def _documented_width(file: CsdFile) -> int:
    """Seven columns, or the single one of CMU-MOSI where the file says that it is this."""
    names = [name.strip().lower() for name in file.dimension_names or ()]
    one = names == [SENTIMENT] or bool(re.search("opinion|mosi(?!x)", f"{file.root} {file.path.stem}", re.IGNORECASE))
    return 1 if one else len(MOSEI.documented)
