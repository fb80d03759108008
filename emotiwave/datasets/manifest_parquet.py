"""Parquet files as tables of a manifest: read row by row, but not unpacked before it is known how large they are."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emotiwave.errors import DatasetError

INDEX_COLUMN = re.compile(r"__index_level_\d+__")
"""What pandas calls the index of a frame in Parquet; it is passed over."""
ROW_BYTES = 64
"""What a row counts as at least: a row without a value takes no place in the file, but some here."""
_VALUE_BYTES = 8


def read_parquet(path: Path, *, max_bytes: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Read the names of the columns, and the rows as values by column.

    Text is read as indices into the different texts, so that one text of many rows is there once until all are counted;
    where texts are written as differences to others, this cannot be done, and one row is unpacked at a time.

    Raises:
        DatasetError: If it unpacks to more bytes than that, a column holds what no cell can, or it is damaged.
        OSError: If it cannot be read.
    """
    try:
        rows = [
            {name: cell for name, cell in row.items() if not INDEX_COLUMN.fullmatch(name)}
            for row in _rows(path, max_bytes)
        ]
        names = [name for name in pq.read_schema(path).names if not INDEX_COLUMN.fullmatch(name)]
    except (pa.ArrowException, ValueError, ArithmeticError) as error:
        raise DatasetError(f"{path}: cannot be read as Parquet ({error})") from None
    return names, rows


def parquet_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write a table to bytes."""
    sink = io.BytesIO()
    pq.write_table(pa.table({column: [row.get(column) for row in rows] for column in columns}), sink)
    return sink.getvalue()


def _rows(path: Path, max_bytes: int) -> Iterator[dict[str, Any]]:
    too_large = DatasetError(f"{path}: unpacks to more than {max_bytes:,} bytes, which is no manifest")
    metadata = pq.read_metadata(path)
    if _declared_bytes(metadata) > max_bytes:
        raise too_large
    texts = {column.path for column, _ in _chunks(metadata) if column.physical_type == "BYTE_ARRAY"}
    differences = {column.path for column, chunk in _chunks(metadata) if any("DELTA" in e for e in chunk.encodings)}
    with pq.ParquetFile(path, read_dictionary=sorted(texts - differences)) as file:
        _check_types(path, file.schema_arrow)
        n_bytes = 0
        for batch in _batches(file, 1 if texts & differences else 64):
            n_bytes += ROW_BYTES * batch.num_rows + sum(map(_unpacked_bytes, batch.columns))
            if n_bytes > max_bytes:
                raise too_large
            yield from batch.to_pylist()


def _batches(file: pq.ParquetFile, n_rows: int) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):  # lists of texts read as indices cannot run on from one to the next
        yield from file.iter_batches(batch_size=n_rows, row_groups=[group])


def _chunks(metadata: pq.FileMetaData) -> Iterator[tuple[pq.ColumnSchema, pq.ColumnChunkMetaData]]:
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            yield metadata.schema.column(column), metadata.row_group(group).column(column)


def _declared_bytes(metadata: pq.FileMetaData) -> int:
    """What the file says that it unpacks to at least, values that are repeated counted each time but for texts."""
    sizes = (
        max(chunk.total_uncompressed_size, chunk.num_values * max(_VALUE_BYTES, column.length))
        for column, chunk in _chunks(metadata)
    )
    return ROW_BYTES * metadata.num_rows + sum(sizes)


def _check_types(path: Path, schema: pa.Schema) -> None:
    for field in schema:
        is_list = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        if pa.types.is_nested(field.type.value_type if is_list else field.type):
            raise DatasetError(
                f"{path}: column {field.name!r} holds {field.type}; expected text, numbers, true or false, or lists of "
                "names"
            )


def _unpacked_bytes(array: pa.Array) -> int:
    if isinstance(array, pa.ListArray | pa.LargeListArray):
        return _VALUE_BYTES * len(array) + _unpacked_bytes(array.flatten())
    if isinstance(array, pa.DictionaryArray) and _is_text(array.dictionary.type):
        lengths = pc.call_function("binary_length", [array.dictionary]).cast(pa.int64())
        return pc.call_function("sum", [lengths.take(array.indices)]).as_py() or 0
    return array.nbytes


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)
