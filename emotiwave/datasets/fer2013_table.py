"""The table of the Kaggle challenge of FER2013: a class, 2,304 grey values and a split per row, made into pictures."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from emotiwave.errors import DatasetError

CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""The name in FER2013, in the order of its numbers 0 to 6 -> our word."""
SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The usage in FER2013 -> our split."""
COLUMNS = ("emotion", "pixels", "Usage")
SIDE = 48
MAX_LINE = 2**14
"""Characters; 2,304 numbers of three digits and their spaces need 9,216."""
MAX_ROWS = 10**6


def unpack_table(table: Path, folder: Path) -> None:
    """Write every row as ``SPLIT/CLASS/ROW.png``, ROW counting from 1 as the rows do.

    Raises:
        DatasetError: If a row is not as it must be; it is named.
        OSError: If a file cannot be read or written.
    """
    classes = tuple(CLASSES)
    for split in SPLITS.values():
        for name in classes:
            (folder / split / name).mkdir(parents=True)
    for number, row in _read_rows(table):
        where = f"fer2013: {table}: row {number}"
        if row["emotion"] not in {"0", "1", "2", "3", "4", "5", "6"}:
            raise DatasetError(f"{where}: emotion {row['emotion'][:20]!r}; expected a number from 0 to 6")
        if row["Usage"] not in SPLITS:
            raise DatasetError(f"{where}: Usage {row['Usage'][:20]!r}; expected {', '.join(SPLITS)}")
        place = folder / SPLITS[row["Usage"]] / classes[int(row["emotion"])]
        image = Image.frombytes("L", (SIDE, SIDE), _parse_pixels(row["pixels"], where))
        image.save(place / f"{number:05d}.png", compress_level=1)


def _parse_pixels(cell: str, where: str) -> bytes:
    try:
        pixels = bytes(map(int, cell.split()))
    except ValueError:
        raise DatasetError(f"{where}: pixels {cell[:20]!r}…; expected numbers from 0 to 255") from None
    if len(pixels) != SIDE**2:
        raise DatasetError(f"{where}: {len(pixels)} pixels; expected {SIDE**2} ({SIDE} by {SIDE})")
    return pixels


def _read_rows(table: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Number the rows from 1 and give their cells by column."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(iter(lambda: file.readline(MAX_LINE), ""))
        try:
            columns = [name.strip() for name in next(rows, [])]
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                raise DatasetError(
                    f"fer2013: {table} lacks column {missing[0]!r}; expected {', '.join(COLUMNS)} (Kaggle's train.csv "
                    "and test.csv do not hold the official splits; use fer2013.csv or icml_face_data.csv)"
                )
            for number, cells in enumerate(filter(None, rows), start=1):
                if len(cells) != len(columns) or number > MAX_ROWS:
                    raise DatasetError(
                        f"fer2013: {table}: row {number} has {len(cells)} cells; expected {len(columns)}, in at most "
                        f"{MAX_ROWS:,} rows"
                    )
                yield number, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
        except (csv.Error, UnicodeDecodeError) as error:
            raise DatasetError(f"fer2013: {table} cannot be read as a table ({error})") from None
