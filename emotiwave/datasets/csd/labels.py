"""The label file of CMU-MOSEI and CMU-MOSI: every row is one segment of a video, with its own interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.errors import DatasetError

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
