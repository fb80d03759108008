"""What clients send, saved under names of our own: theirs are never opened, only told back."""

import errno
import os
import secrets
from pathlib import Path
from typing import IO, Any

from emotiwave.errors import MediaError, printable

CHUNK = 2**20
LONGEST_NAME = 80
TRANSCRIPTS = (".srt", ".vtt", ".json", ".txt")


def new_id() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(16)


def save(source: IO[bytes], folder: Path, field: str, name: str | None) -> Path:
    """Write an upload to a folder.

    Raises:
        MediaError: If it is empty.
        OSError: If it cannot be written.
    """
    first = source.read(CHUNK)
    if not first:
        raise MediaError(f"{field}: is empty (0 bytes); send the file itself")
    path = folder / f"{field}{_suffix(field, name, first)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while first:
            file.write(first)
            first = source.read(CHUNK)
    return path


def shown_name(given: dict[str, str | None], text: str | None) -> str:
    """How a clip is called in its answer: as the client calls its first file, without folders."""
    for field, name in given.items():
        bare = printable((name or "").replace("\\", "/").rsplit("/", 1)[-1].strip())
        return bare[:LONGEST_NAME] if bare.strip(".") else field
    return "text" if text is not None else "nothing"


def cannot_store(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a lack of room, or a disk that fails."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            return True
        error = error.__cause__ or error.__context__
    return False


def _suffix(field: str, name: Any, first: bytes) -> str:
    """The form of a transcript: by the client's name if that is a known one, or else by how it begins."""
    if field != "transcript":
        return ""
    suffix = os.path.splitext(str(name or ""))[1].lower()
    if suffix in TRANSCRIPTS:
        return suffix
    begins = first[:4096].lstrip(b"\xef\xbb\xbf \r\n\t")
    if begins.startswith(b"WEBVTT"):
        return ".vtt"
    if begins.startswith((b"{", b"[")):
        return ".json"
    return ".srt" if b"-->" in begins else ".txt"
