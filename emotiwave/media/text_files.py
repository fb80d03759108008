"""Text files as people have them: of any usual encoding, repaired where they were read wrongly before, never binary."""

import codecs
import re
import warnings
from pathlib import Path

from emotiwave.errors import DataWarning, MediaError

LARGEST_TEXT = 16 * 2**20
"""Bytes of one transcript; what is larger is no transcript."""

_MARKS = (  # UTF-32 before UTF-16: its mark begins with the mark of the other
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters, but white space and the escape that starts colours of a terminal."""
_MOST_CONTROLS = 0.02
"""Share of control characters; NUL is never text."""
_CP1252_BYTES = {
    ord(char): byte for byte in range(0x80, 0xA0) if (char := bytes([byte]).decode("cp1252", errors="ignore"))
}


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, UTF-16 or UTF-32 (with a byte order mark), else as Windows-1252 with a warning.

    Text that was once read in the wrong encoding is repaired with a warning; see `repair_mojibake`.

    Raises:
        MediaError: If it is missing, too large, binary, or of another encoding.
    """
    content = _read_bytes(path)
    text = _decode(content, path)
    n_controls = len(_NO_TEXT.findall(text))
    if "\0" in text or n_controls > _MOST_CONTROLS * len(text):
        raise MediaError(f"{path}: looks like a binary file; expected text")
    repaired = repair_mojibake(text)
    if repaired != text:
        warnings.warn(f"{path}: was read in a wrong encoding and saved again ('Ã©' for 'é'); repaired", DataWarning, 2)
    return repaired


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise MediaError(f"{path}: {'is no file' if path.exists() else 'does not exist'}; expected a text file")
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise MediaError(f"{path}: cannot be read ({error})") from None
    if len(content) > LARGEST_TEXT:
        raise MediaError(f"{path}: is larger than {LARGEST_TEXT // 2**20} MiB; expected the words of one recording")
    return content


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        if error.encoding != "utf-8":
            raise MediaError(
                f"{path}: is damaged: no {error.encoding} at byte {error.start}; save it as UTF-8"
            ) from None
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise MediaError(f"{path}: is neither UTF-8, UTF-16 nor Windows-1252; save it as UTF-8") from None
    if not _NO_TEXT.search(text):
        warnings.warn(f"{path}: is no UTF-8; read as Windows-1252. Save it as UTF-8 to be sure", DataWarning, 2)
    return text


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # Without a mark: every second byte of most UTF-16 texts is NUL, and no byte of others.
    n_even, n_odd = content[::2].count(0), content[1::2].count(0)
    if max(n_even, n_odd) * 4 > len(content) and min(n_even, n_odd) == 0:
        return "utf-16-be" if n_even else "utf-16-le"
    return "utf-8"


def repair_mojibake(text: str) -> str:
    """Undo the reading of UTF-8 as Windows-1252, if all of the text shows it.

    >>> repair_mojibake("cafÃ© â€” dâ€™accord")
    'café — d’accord'
    >>> repair_mojibake("café — d’accord")
    'café — d’accord'
    """
    if text.isascii():
        return text
    try:
        return text.translate(_CP1252_BYTES).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
