"""Word vectors on disk: a text file of gigabytes, read once into arrays that are memory-mapped from then on."""

import gzip
import hashlib
import json
import math
import os
import shutil
import warnings
import zlib
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from emotiwave.errors import DataWarning, FeatureError, printable
from emotiwave.npz import map_array

FORMAT = 1
"""Of the folder in the cache: raised when the same file gives other arrays."""
MOST_FEATURES = 4096
MOST_WORDS = 20_000_000
LONGEST_LINE = 2**18
"""Bytes; more is no line of a word and at most `MOST_FEATURES` numbers."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors ``values (words, size)`` float32, memory-mapped, and where each word's is.

    ``hashes (words,)`` uint64, ascending, belong to rows ``order (words,)``. Words are told apart by 64 bits of
    BLAKE2b: of a million unknown words looked up among two million, one is taken for a known one with a chance of 1 in
    9 million.
    """

    values: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    order: NDArray[np.int64]
    sha256: str
    """Of the text that it was read from."""

    @property
    def size(self) -> int:
        """The number of features."""
        return self.values.shape[1]

    def rows(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Find the row of each word ``(words,)``; -1 where there is none."""
        wanted = np.array([_word_hash(word.encode("utf-8", "replace")) for word in words], np.uint64)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[at] == wanted, self.order[at], -1)


def open_vectors(path: Path, cache: Path | None = None) -> WordVectors:
    """Open the vectors of a text file; the first time it is read, and its binary form is kept.

    Args:
        path: Plain or ``.gz``.
        cache: Where binary forms lie, one folder for each state of a file; in the user's cache by default.

    Raises:
        FeatureError: If the file cannot be read, a line of it is no word with its numbers, or the cache cannot be
            written.
    """
    cache = cache or platformdirs.user_cache_path("emotiwave") / "word_vectors"
    try:
        state = path.stat()
    except OSError as error:
        raise FeatureError(f"{path}: cannot be read ({error.strerror}); expected a text file of word vectors") from None
    key = f"{path.resolve()}\n{state.st_size}\n{state.st_mtime_ns}\n{FORMAT}"
    folder = cache / f"{path.name}-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}"
    try:
        return _open_folder(folder)
    except FeatureError:  # not there yet, or damaged: it can be made anew
        pass
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        _convert(path, scratch)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
    except OSError as error:
        if not folder.exists():  # another process may have been faster
            raise FeatureError(
                f"{error.filename or cache}: {error.strerror or error}; the binary form of {path.name} needs a folder "
                "to write to: name one as `cache`"
            ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _open_folder(folder)


def _open_folder(folder: Path) -> WordVectors:
    values, hashes, order = (map_array(folder / f"{name}.npy") for name in ("values", "hashes", "order"))
    try:
        sha256 = json.loads((folder / "source.json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FeatureError(f"{folder}: damaged ({error})") from None
    forms = [(array.ndim, array.dtype.str) for array in (values, hashes, order)]
    if forms != [(2, "<f4"), (1, "<u8"), (1, "<i8")] or not len(values) >= len(hashes) == len(order) > 0:
        raise FeatureError(f"{folder}: damaged (arrays that do not belong together)")
    if order.min() < 0 or order.max() >= len(values):
        raise FeatureError(f"{folder}: damaged (rows that are not there)")
    return WordVectors(values, hashes, order, str(sha256))


def _convert(path: Path, folder: Path) -> None:
    """Read a text file, and write its arrays; of a word that occurs again, the first vector counts."""
    hashes, sha = array("Q"), hashlib.sha256()
    with (folder / "values.npy").open("wb") as file, closing(_vectors(path, sha.update)) as vectors:
        first = next(vectors, None)
        if first is None:
            raise FeatureError(f"{path}: holds no word; expected a word and its numbers in each line")
        size = len(first[1])
        _write_header(file, 0, size)
        for word, values in chain([first], vectors):
            if len(hashes) == MOST_WORDS:
                raise FeatureError(f"{path}: more than {MOST_WORDS:,} words; shorten it to the most frequent ones")
            hashes.append(_word_hash(word))
            file.write(values.data)
        file.seek(0)
        _write_header(file, len(hashes), size)
    found = np.frombuffer(hashes, np.uint64)
    unique, rows = np.unique(found, return_index=True)
    if len(unique) < len(found):
        warnings.warn(
            f"{path}: {len(found) - len(unique):,} words occur more than once; the first vector of each is used",
            DataWarning,
            stacklevel=2,
        )
    np.save(folder / "hashes.npy", unique)
    np.save(folder / "order.npy", rows.astype(np.int64))
    (folder / "source.json").write_text(json.dumps({"file": path.name, "sha256": sha.hexdigest()}), encoding="utf-8")


def _write_header(file: IO[bytes], n_words: int, size: int) -> None:
    # numpy leaves room for the first length to grow, so the header can be written again in place
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (n_words, size)})


def _vectors(path: Path, seen: Callable[[bytes], Any]) -> Generator[tuple[bytes, NDArray[np.float32]], None, None]:
    """Go through the words of a file and their vectors, which all have the length of the first; show it every line."""
    size = None
    for number, line in _lines(path):
        seen(line)
        parts = line.rstrip(b" \r\n").split(b" ")
        if number == 1 and _is_header(parts):
            continue
        if size is None:
            size = _first_size(path, number, parts)
        yield b" ".join(parts[:-size]), _parse(path, number, parts, size)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise FeatureError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; no word vectors")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise FeatureError(f"{path}: cannot be read ({error})") from None


def _is_header(parts: Sequence[bytes]) -> bool:
    """Whether a first line counts words and features, as word2vec writes it."""
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _first_size(path: Path, number: int, parts: Sequence[bytes]) -> int:
    size = len(parts) - 1
    if not 1 <= size <= MOST_FEATURES:
        raise FeatureError(
            f"{path}, line {number}: {size:,} numbers after a word; expected 1 to {MOST_FEATURES:,}, spaces between"
        )
    return size


def _parse(path: Path, number: int, parts: Sequence[bytes], size: int) -> NDArray[np.float32]:
    """Read the numbers of a line; a word may hold spaces (". . ." of GloVe 840B), but not end in a number."""
    try:
        with np.errstate(over="ignore"):  # infinity is refused below
            values = np.fromiter(map(float, parts[-size:]), np.float32, size)
    except ValueError:
        values = None
    if values is None or len(parts) <= size or not np.isfinite(values).all() or _ends_in_number(parts[:-size]):
        shown = printable(b" ".join(parts)[:60].decode("utf-8", "replace"))
        raise FeatureError(
            f"{path}, line {number}: expected a word and {size} numbers, as in the first line; got {len(parts)} parts, "
            f"{shown!r}…"
        )
    return values


def _ends_in_number(word: Sequence[bytes]) -> bool:
    if len(word) < 2:
        return False
    try:
        return math.isfinite(float(word[-1]))
    except ValueError:
        return False


def _word_hash(word: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
