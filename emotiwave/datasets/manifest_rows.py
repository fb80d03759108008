"""Rows of a manifest: which columns there are, and what a row says of one utterance."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotiwave.datasets.manifest_files import CellTable, TableRow, read_table
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.recordings import Sources
from emotiwave.settings import PathLike
from emotiwave.types import Segment

FILE_COLUMNS = ("video", "audio", "image", "transcript", "words")
"""Columns of paths. ``transcript`` is a file of words, perhaps with times; ``words`` a ``.csd`` file of timed words."""
RECORDING_COLUMNS = ("video", "audio", "image", "transcript", "words_id")
SOURCE_COLUMNS = (*FILE_COLUMNS, "text", "words_id", "face")
"""``words_id`` is the id in the file of words, ``face`` says whether an image is a face cut out already."""
UTTERANCE_COLUMNS = (
    "id",
    "recording",
    "start",
    "end",
    "label",
    "labels",
    "said",
    "speaker",
    "dialogue",
    "split",
    "language",
)
"""``start`` and ``end`` in seconds from the start of the ``recording``, which is by default called as the file is.
``said`` are words that are known and shall not be a source: sentences that actors were given, say."""
NAME_COLUMNS = ("id", "recording", "speaker", "dialogue", "split", "language")
"""Columns of names, which are read without spaces at their ends."""
RATING = "rating."
"""What columns of the corpus's own continuous ratings begin with."""
ABOUT = "about."
"""What columns of further facts begin with, by which scores can be told apart."""
SPLITS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""Name in a manifest -> our name."""


@dataclass(frozen=True)
class ManifestRow:
    """What one row says. ``label`` holds its class names, ``values`` its continuous labels; None if it says nothing."""

    source: TableRow
    file: str | None
    """The file that its times are of, as the row names it."""
    id: str
    sources: Sources
    segment: Segment | None
    label: tuple[str, ...] | None
    values: tuple[float, ...] | None
    ratings: Mapping[str, float] | None
    said: str | None
    speaker: str | None
    dialogue: str | None
    split: str | None
    language: str | None
    about: Mapping[str, str] | None


def read_rows(
    path: PathLike, *, root: PathLike | None = None, extra_columns: Collection[str] = ()
) -> list[ManifestRow]:
    """Read a manifest for extraction: labels may be missing, and files are not looked for.

    Args:
        path: The manifest: ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``.
        root: The folder that paths start from; that of the manifest by default.
        extra_columns: Columns to pass over.

    Raises:
        DatasetError: If it cannot be read, a column is unknown, a row has no source or is at odds with itself, or an id
            occurs twice.
    """
    path = Path(path).absolute()
    table = read_table(path)
    check_columns(path, table, known=(*SOURCE_COLUMNS, *UTTERANCE_COLUMNS), extra=extra_columns)
    return parse_rows(table, root=Path(root) if root is not None else path.parent)


def check_columns(
    path: Path, table: CellTable, *, known: Collection[str], extra: Collection[str], needed: Collection[str] = ()
) -> None:
    """Refuse columns that are neither known nor said to be extra, and a table without those that are needed.

    Raises:
        DatasetError: The nearest column is named.
    """
    for column in needed:
        if column not in table.columns:
            raise DatasetError(f"{path}: {unknown_name('column', column, table.columns)}")
    for column in table.columns:
        if column not in known and column not in extra and not column.startswith((RATING, ABOUT)):
            raise DatasetError(
                f"{path}: {unknown_name('column', column, known)}; or name it in extra_columns, or in about_columns "
                "if scores are to be told apart by it"
            )
    if "label" in table.columns and "labels" in table.columns:
        raise DatasetError(f"{path}: has columns label and labels; expected one of them")


def parse_rows(
    table: CellTable, *, root: Path, values: Sequence[str] = (), about: Collection[str] = ()
) -> list[ManifestRow]:
    """Read the rows of a manifest of media, whose columns were checked.

    Args:
        table: Its cells.
        root: The folder that paths start from.
        values: The columns of continuous labels.
        about: Columns of further facts, beside those that say so.

    Raises:
        DatasetError: If a row has no source or is at odds with itself, or an id occurs twice.
    """
    rows = []
    for row in table.rows:
        sources = _sources(row, root)
        if not sources.files and sources.text is None:
            raise row.error(f"has no source; fill one of {', '.join(FILE_COLUMNS)}, text")
        rows.append(parse_row(row, sources, default_recording(row.cells), values=values, about=about))
    check_ids(rows)
    return rows


def parse_row(
    row: TableRow,
    sources: Sources,
    file: str | None,
    *,
    values: Sequence[str] = (),
    about: Collection[str] = (),
) -> ManifestRow:
    """Read what a row says beside its sources.

    Args:
        row: Its cells.
        sources: Where its signals lie.
        file: The file that times and a default id are of, as the row names it.
        values: The columns of continuous labels.
        about: Columns of further facts, beside those that say so.

    Raises:
        DatasetError: If a cell is not what its column needs.
    """
    segment = _segment(row, file)
    rated = {name: row.number(name) for name in row.cells if name.startswith(RATING)}
    facts = {name.removeprefix(ABOUT): row.name(name) for name in row.cells if name.startswith(ABOUT) or name in about}
    label_column = "labels" if "labels" in row.cells else "label"
    split = row.name("split")
    if split is not None and split.lower() not in SPLITS:
        raise row.error(unknown_name("split", split, SPLITS))
    return ManifestRow(
        source=row,
        file=file,
        id=row.name("id") or _default_id(row, file, segment),
        sources=sources,
        segment=segment,
        label=row.names(label_column) or None,
        values=_values(row, values),
        ratings={name[len(RATING) :]: rating for name, rating in rated.items() if rating is not None} or None,
        said=row.text("said"),
        speaker=row.name("speaker"),
        dialogue=row.name("dialogue"),
        split=None if split is None else SPLITS[split.lower()],
        language=row.name("language"),
        about={name: fact for name, fact in facts.items() if fact is not None} or None,
    )


def check_ids(rows: Sequence[ManifestRow]) -> None:
    """Refuse an id that occurs twice.

    Raises:
        DatasetError: Both rows are named.
    """
    seen: dict[str, ManifestRow] = {}
    for row in rows:
        first = seen.setdefault(row.id, row)
        if first is not row:
            hint = "" if "id" in row.source.cells else " (from the name of its file: give a column id)"
            raise row.source.error(f"id {row.id!r}{hint} is that of {first.source.place} too; ids must be unique")


def default_recording(cells: Mapping[str, Any]) -> str | None:
    """Name what the times of a row are of: its first file, else the id in its file of words."""
    named = next((cells[column] for column in RECORDING_COLUMNS if cells.get(column)), None)
    return None if named is None else Path(named).as_posix()


def resolve_path(text: str, root: Path) -> Path:
    """Make a path of a cell: from the root, from the home folder (``~/``), or absolute as it stands."""
    return Path(os.path.expanduser(text)) if text.startswith("~/") else root / text


def _sources(row: TableRow, root: Path) -> Sources:
    paths = {column: row.text(column) for column in FILE_COLUMNS}
    found = {column: resolve_path(text, root) for column, text in paths.items() if text is not None}
    return Sources(**found, text=row.text("text"), words_id=row.text("words_id"), is_face=row.flag("face"))


def _segment(row: TableRow, file: str | None) -> Segment | None:
    start, end = row.number("start"), row.number("end")
    recording = row.name("recording") or file
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise row.error("has a start or an end but not both; expected both in seconds, or none for the whole file")
    if not 0 <= start < end:
        raise row.error(f"start {start:g} and end {end:g}; expected seconds with 0 <= start < end")
    if recording is None:
        raise row.error("has a start and an end but no file; expected a video or a sound that they are of")
    return Segment(recording, start, end)


def _default_id(row: TableRow, file: str | None, segment: Segment | None) -> str:
    stem = "" if file is None else Path(file).stem.strip() or file.strip()
    if not stem:
        return row.place.replace(" ", "-")
    return stem if segment is None else f"{stem}_{segment.start:g}-{segment.end:g}"


def _values(row: TableRow, columns: Sequence[str]) -> tuple[float, ...] | None:
    found = [row.number(column) for column in columns]
    if not found or None in found:
        return None
    return tuple(value for value in found if value is not None)
