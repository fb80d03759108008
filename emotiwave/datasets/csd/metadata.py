"""The metadata of a ``.csd``: one JSON text per key, mostly a string of variable length.

Such strings lie in HDF5's global heap, and HDF5 2.0 can loop without end over a damaged one. So they are read from the
file itself: a heap is a chain of sized objects (HDF5 File Format Specification 3.0, section III.E).
"""

import struct
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from emotiwave.errors import DatasetError

MAX_METADATA_BYTES = 2**22
HEAP_OBJECT = struct.Struct("<HHIQ")
"""Index, references, reserved, size in bytes."""
REFERENCE = struct.Struct("<IQI")
"""Length of the string, address of its heap, index in it."""


def read_text(path: Path, dataset: h5py.Dataset, base: int) -> str:
    """Read the single string of a dataset; empty where it holds something else.

    Addresses in a file count from ``base``, the size of what a user put before the HDF5.

    Raises:
        DatasetError: If it is damaged or too long.
    """
    place = f"{path}: {dataset.name}"
    try:
        if h5py.check_string_dtype(dataset.dtype) is None:
            return ""
        if dataset.dtype.kind == "O":
            content = _read_from_heap(path, dataset.id.get_offset(), base, place)
        elif dataset.dtype.itemsize > MAX_METADATA_BYTES:
            raise DatasetError(f"{place} has {dataset.dtype.itemsize:,} bytes; not read")
        else:
            content = bytes(np.asarray(dataset[()]).reshape(-1)[0])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, struct.error) as error:
        raise DatasetError(f"{place} is damaged ({error})") from None
    return content.decode("utf-8", "replace")


def _read_from_heap(path: Path, offset: int | None, base: int, place: str) -> bytes:
    if offset is None:
        raise DatasetError(f"{place} is not stored in one piece; write the file again")
    with path.open("rb") as file:
        length, address, index = REFERENCE.unpack(_read(file, offset, REFERENCE.size))
        if length > MAX_METADATA_BYTES:
            raise DatasetError(f"{place} has {length:,} characters; not read")
        address += base
        head = _read(file, address, 16)
        if head[:4] != b"GCOL":
            raise DatasetError(f"{place} is damaged (no heap at byte {address})")
        position, end = address + 16, address + int.from_bytes(head[8:], "little")
        while position + HEAP_OBJECT.size <= end:
            found, _, _, size = HEAP_OBJECT.unpack(_read(file, position, HEAP_OBJECT.size))
            if found == index and size >= length:
                return _read(file, position + HEAP_OBJECT.size, length)
            if found == 0:  # the free space at the end
                break
            position += HEAP_OBJECT.size + -(-size // 8) * 8
    raise DatasetError(f"{place} is damaged (its text is not in the heap)")


def _read(file: IO[bytes], position: int, n_bytes: int) -> bytes:
    file.seek(position)
    content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise OSError("the file ends before it")
    return content
