"""Reading pickles that may be hostile: builtin containers and plain numpy arrays, nothing else, and no code runs.

A pickle is a program for a small stack machine. Ours (`emotiwave.datasets.pickle_opcodes`) knows only the
instructions that build containers, and calls only the few recipes of `emotiwave.datasets.pickled_arrays`.
Pandas objects, torch tensors, and numpy subclasses, structured, date and complex types are refused by name.
"""

import os
import struct
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emotiwave.datasets.pickle_opcodes import Machine
from emotiwave.datasets.pickled_arrays import check_finished
from emotiwave.errors import DatasetError

MAX_BYTES = 16 * 2**30
"""A larger file is refused."""
MAX_DEPTH = 50
"""Containers nested deeper are refused: what walks them could exhaust the stack."""
MAX_SHARED = 64 * 2**20
"""A value may be referred to many times; written out, all of them may exceed the file by this many bytes."""

FOREIGN = {b"\x1f\x8b": "gzip", b"PK": "zip (perhaps of torch.save)", b"\x89H": "HDF5", b"\x93N": "npy"}


def read_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a pickle of dicts, lists, tuples, sets, strings, bytes, numbers and numpy arrays; protocols 0 to 5.

    Arrays may hold booleans, integers, floats, fixed-width strings, or (as objects) any of the above; do not count
    on writing to them. Strings of Python 2 are read as Latin-1, an OrderedDict as a dict.

    Args:
        path: The file.
        max_bytes: Refuse a larger file.

    Raises:
        DatasetError: If the file cannot be read, is truncated, is no pickle, or asks for anything else; what it
            asks for is named, and has not been run.
    """
    try:
        if not path.is_file():
            raise DatasetError(f"{path}: {'is no file' if path.exists() else 'does not exist'}; expected a pickle")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise DatasetError(f"{path}: holds {size:,} bytes; at most {max_bytes:,} are read")
            start = file.read(2)
            if start in FOREIGN:
                raise DatasetError(f"{path}: is {FOREIGN[start]}, not a pickle; unpack or convert it first")
            file.seek(0)
            return _run(path, Machine(file, size))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from None


def _run(path: Path, machine: Machine) -> Any:
    try:
        value = machine.run()
        check_unfolded(value, limit=machine.size + MAX_SHARED)
        return value
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    except MemoryError:
        raise DatasetError(f"{path}: needs more memory than this machine has") from None
    # a damaged stream shows as one of these, and nothing but the stream is handled in there
    except (LookupError, TypeError, ValueError, OverflowError, struct.error) as error:
        place = f"byte {machine.size - machine.left:,} of {machine.size:,}"
        raise DatasetError(
            f"{path}: truncated, damaged or no pickle ({place}: {error}); fetch or write it again"
        ) from None


def check_unfolded(value: Any, *, limit: int) -> None:
    """Refuse a value that nests deeply, contains itself, or, written out, exceeds a size in bytes.

    A few hundred bytes of references to references can stand for terabytes as soon as something copies them.

    Raises:
        DatasetError: Saying which.
    """
    _measure(value, 0, limit, {})


def _measure(value: Any, depth: int, limit: int, measured: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """The size of a value written out, and how many containers it nests."""
    children = _children(value)
    if children is None:
        return _leaf_size(value), 0
    if id(value) in measured:
        return measured[id(value)]
    size, height = 1, 1
    if depth < MAX_DEPTH:
        for child in children:
            child_size, child_height = _measure(child, depth + 1, limit, measured)
            size, height = size + child_size, max(height, child_height + 1)
    if depth == MAX_DEPTH or height > MAX_DEPTH:
        raise DatasetError(f"containers nest deeper than {MAX_DEPTH}, or contain themselves; refused")
    if size > limit:
        raise DatasetError(f"refers to the same values so often that they unfold to more than {limit:,} bytes; refused")
    measured[id(value)] = size, height
    return size, height


def _children(value: Any) -> Iterable[Any] | None:
    if isinstance(value, dict):
        return chain(value, value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.flat
    return None


def _leaf_size(value: Any) -> int:
    check_finished(value)
    if isinstance(value, str | bytes | bytearray):
        return 1 + len(value)
    return value.nbytes if isinstance(value, np.ndarray | np.generic) else 1
