"""Tables of a manifest on disk, as CSV, JSON lines or Parquet: read cell by cell with their places, and written."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotiwave.datasets.manifest_parquet import parquet_bytes, read_parquet
from emotiwave.errors import DatasetError
from emotiwave.files import replace_file

MAX_BYTES = 128 * 2**20
"""A table of more bytes than this, packed or unpacked, is refused."""

Cell = str | tuple[str, ...]
Value = str | float | bool | tuple[str, ...] | None
"""What may be written into a cell."""

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_NO_TEXT_REASON = "a character that is none: NUL or half of a surrogate pair"
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class TableRow:
    """The cells of one row that are not empty, and where it stands: ``line 5`` or ``row 5``."""

    file: Path
    place: str
    cells: Mapping[str, Cell]
    decimal_comma: bool = False
    """Whether ``1,5`` is a number; where commas stand between cells, or nobody types, they may set off thousands."""

    def error(self, message: str) -> DatasetError:
        """Make an error that names file and row."""
        return DatasetError(f"{self.file}, {self.place}: {message}")

    def text(self, column: str) -> str | None:
        """Read a cell that holds one text.

        Raises:
            DatasetError: If it holds a list.
        """
        cell = self.cells.get(column)
        if isinstance(cell, tuple):
            raise self.error(f"{column} is a list; expected one text")
        return cell

    def name(self, column: str) -> str | None:
        """Read a cell that holds one name, without spaces at its ends.

        Raises:
            DatasetError: If it holds a list.
        """
        text = self.text(column)
        return None if text is None else text.strip()

    def names(self, column: str) -> tuple[str, ...]:
        """Read a cell that holds names: a list, or a text of names with ``;`` between them."""
        cell = self.cells.get(column, ())
        found = cell.split(";") if isinstance(cell, str) else cell
        return tuple(name.strip() for name in found if name.strip())

    def number(self, column: str) -> float | None:
        """Read a cell that holds a finite number, with a decimal comma where the table may have such.

        Raises:
            DatasetError: If it holds anything else.
        """
        text = self.text(column)
        if text is None:
            return None
        digits = text.strip().replace(",", ".") if self.decimal_comma else text.strip()
        number = float(digits) if _DECIMAL.fullmatch(digits) else math.inf
        if not math.isfinite(number):
            hint = " (a decimal comma is read only where ; or tabs stand between cells)" if "," in digits else ""
            raise self.error(f"{column} is {text!r}; expected a number, such as 12.5{hint}")
        return number

    def flag(self, column: str) -> bool:
        """Read a cell that holds true or false; false if it is empty.

        Raises:
            DatasetError: If it holds anything else.
        """
        text = (self.text(column) or "false").strip()
        if text.lower() not in _FLAGS:
            raise self.error(f"{column} is {text!r}; expected true or false")
        return _FLAGS[text.lower()]


@dataclass(frozen=True)
class CellTable:
    """A table: its columns, its rows, and how many rows without any cell were passed over."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    n_empty: int


def read_table(path: Path) -> CellTable:
    """Read a table by the suffix of its file.

    Raises:
        DatasetError: If it cannot be read as that, is too large, or a cell holds what no cell of a manifest can.
    """
    readers: Mapping[str, Callable[[Path], tuple[Sequence[str], list[TableRow]]]] = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".jsonl": _read_json_lines,
        ".parquet": _read_parquet,
    }
    read = readers.get(path.suffix.lower())
    if read is None:
        raise DatasetError(f"{path}: {path.suffix or 'no suffix'!r} is no form of table; expected {', '.join(readers)}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read as a table")
        columns, rows = read(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from None
    filled = tuple(row for row in rows if row.cells)
    if not filled:
        raise DatasetError(f"{path}: holds no row; expected a header and at least one row")
    return CellTable(tuple(columns), filled, len(rows) - len(filled))


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Value]]) -> None:
    """Write a table by the suffix of its file, whole or not at all.

    Raises:
        DatasetError: If the suffix names no form, or a cell would not be read back as it is.
        OSError: If the file cannot be written.
    """
    writers: Mapping[str, Callable[[Sequence[str], Sequence[Mapping[str, Value]]], bytes]] = {
        ".csv": _csv_bytes,
        ".jsonl": _json_lines_bytes,
        ".parquet": parquet_bytes,
    }
    write = writers.get(path.suffix.lower())
    if write is None:
        raise DatasetError(f"{path}: {path.suffix or 'no suffix'!r} is no form of table; expected {', '.join(writers)}")
    for column in columns:
        if _NO_TEXT.search(column):
            raise DatasetError(f"{path}: column {column!r} cannot be written ({_NO_TEXT_REASON}); rename it")
    for number, row in enumerate(rows, start=1):
        for column, value in row.items():
            _check_written(f"{path}, row {number}: {column}", value)
    replace_file(path, write(columns, rows))


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from None


def _read_csv(path: Path) -> tuple[list[str], list[TableRow]]:
    text = _read_text(path)
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    rows = []
    try:
        with _long_fields():
            for cells in reader:
                if not columns:
                    columns = _check_columns(path, [cell.strip() for cell in cells])
                    continue
                place = f"line {reader.line_num}"
                if cells and len(cells) != len(columns):
                    raise DatasetError(f"{path}, {place}: {len(cells)} cells; expected {len(columns)} as in the header")
                row = dict(zip(columns, cells, strict=False))  # as many, or no cell at all
                rows.append(_row(path, place, row, decimal_comma=delimiter != ","))
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: cannot be read as CSV ({error})") from None
    return columns, rows


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read cells as long as a table may be, and only here: its limit is one for all."""
    limit = csv.field_size_limit(MAX_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _read_json_lines(path: Path) -> tuple[list[str], list[TableRow]]:
    columns: dict[str, None] = {}
    rows = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}, {place}: cannot be read as JSON ({error})") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{path}, {place}: {line.strip()[:40]!r}; expected an object of cells by column")
        columns |= dict.fromkeys(row)
        rows.append(_row(path, place, row))
    return _check_columns(path, list(columns)), rows


def _read_parquet(path: Path) -> tuple[list[str], list[TableRow]]:
    columns, rows = read_parquet(path, max_bytes=MAX_BYTES)
    return _check_columns(path, columns), [_row(path, f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _check_columns(path: Path, columns: list[str]) -> list[str]:
    for number, column in enumerate(columns, start=1):
        if not column:
            raise DatasetError(f"{path}: column {number} has no name; name it or take it out")
        if column in columns[: number - 1]:
            raise DatasetError(f"{path}: two columns are called {column!r}; expected each once")
    return columns


def _row(path: Path, place: str, cells: Mapping[str, Any], *, decimal_comma: bool = False) -> TableRow:
    filled = {}
    for column, value in cells.items():
        try:
            cell = _cell(value)
        except TypeError as error:
            raise DatasetError(
                f"{path}, {place}: {column} holds {error}; expected text, a number, true or false, or a list of names"
            ) from None
        except ValueError as error:
            raise DatasetError(f"{path}, {place}: {column} holds {error}") from None
        if cell:
            filled[column] = cell
    return TableRow(path, place, filled, decimal_comma)


def _cell(value: Any) -> Cell | None:
    """Bring what a table can hold to text.

    Raises:
        TypeError: If it is none of what a cell may hold.
        ValueError: If it is text that is none.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise TypeError("a list in a list")
        return tuple(name for name in map(_cell, value) if isinstance(name, str))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        # pandas makes 3.0 of 3 where a number is missing in the column
        return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(value)
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__}")
    if _NO_TEXT.search(value):
        raise ValueError(_NO_TEXT_REASON)
    return value if value.strip() else None


def _check_written(place: str, value: Value) -> None:
    """Refuse to write what would not be read back."""
    if isinstance(value, str) and not value.strip():
        raise DatasetError(f"{place} is {value!r}, which would be read as empty")
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and _NO_TEXT.search(text):
            raise DatasetError(f"{place} is {text!r}, which cannot be written ({_NO_TEXT_REASON}); rename it")


def _csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Value]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row.get(column)) for column in columns])
    return text.getvalue().encode()


def _csv_cell(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ";".join(value)
        case str():
            return value
        case _:
            return repr(value)


def _json_lines_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Value]]) -> bytes:
    filled = ({column: row[column] for column in columns if row.get(column) is not None} for row in rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in filled).encode()
