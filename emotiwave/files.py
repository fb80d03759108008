"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
