"""Files that appear whole or not at all, and content hashes of files."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place beside a file to write to; what was written there replaces the file in one step, or is removed.

    Raises:
        OSError: If it cannot be written; the file is named.
    """
    scratch = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(scratch)):  # what was read for it, perhaps
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):  # there may be no such folder
            scratch.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in its place in one step, flushed to disk."""
    with whole_file(path) as scratch:
        scratch.write_bytes(content)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a file that has not changed since it is not read again in this process.

    Raises:
        OSError: If it cannot be read.
    """
    stat = os.stat(path)
    return _digest(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: str, _size: int, _changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_digest() -> str:
    """SHA-256 of this package's own code: names and contents of all its files of Python."""
    root, sha = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sha.update(f"{path.relative_to(root).as_posix()} {file_digest(path)}\n".encode())
    return sha.hexdigest()
