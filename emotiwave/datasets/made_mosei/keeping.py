"""Made CMU-MOSEI files that are kept: written once, whole or not at all, and used again for equal settings only."""

import json
import os
import reprlib
import tempfile
from pathlib import Path
from typing import Any

from emotiwave.datasets.csd.corpus import FOLDS_FILE, TRUTH_FILE
from emotiwave.datasets.made_mosei.settings import FILES, MadeMoseiSettings
from emotiwave.datasets.made_mosei.writing import PLANTED_FILE, describe, write_made_mosei
from emotiwave.errors import DatasetError

MAX_TOLD_BYTES = 2**28
"""Of made_truth.json; files with as many segments as CMU-MOSEI need a fiftieth."""
MADE_FILES = frozenset({FOLDS_FILE, TRUTH_FILE, *(file for file, _ in FILES.values())})
"""All names that made_truth.json may give: it comes from a folder that anyone may have filled."""
SHOWN_DIFFERENCES = 5


def keep_made_mosei(folder: Path, settings: MadeMoseiSettings) -> Path:
    """Give the folder of made files, which are written if it is not there yet or is empty.

    They are written into a hidden folder beside it that is renamed at the end. So a process that is stopped leaves no
    broken files, and of two at once, the second takes what the first has put there.

    Raises:
        DatasetError: If the folder holds anything else, or files that are not as they were written, or if nothing can
            be written there.
    """
    wished = describe(settings)
    try:
        folder = Path(os.path.realpath(folder))  # a link to an empty folder could not be replaced
    except ValueError as error:
        raise DatasetError(f"{str(folder)!r}: is no path of a folder ({error})") from None
    if _is_empty(folder):
        try:
            _write(folder, settings)
        except OSError as error:
            raise DatasetError(f"{folder}: made files cannot be written there ({error})") from None
    _check(folder, wished)
    return folder


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing at a place, or an empty folder."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        raise DatasetError(f"{folder}: made files cannot be written there: it, or a folder above, is a file") from None
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed ({error})") from None


def _write(folder: Path, settings: MadeMoseiSettings) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent) as partial:
        written = Path(partial) / "files"  # the temporary folder itself would be closed to other users
        write_made_mosei(written, settings)
        try:
            written.replace(folder)
        except OSError:
            if _is_empty(folder):
                raise  # else another process was faster


def _check(folder: Path, wished: dict[str, Any]) -> None:
    """Refuse a folder that does not hold the files that are wished, all of them as long as they were written."""
    told = _read_told(folder)
    found = told["made_with"]
    if found != wished:
        keys = sorted(key for key in wished.keys() | found.keys() if wished.get(key) != found.get(key))
        said = [f"{_name(key)} = {_said(found, key)} instead of {_said(wished, key)}" for key in keys]
        more = f" and {len(said) - SHOWN_DIFFERENCES} more" if len(said) > SHOWN_DIFFERENCES else ""
        differences = ", ".join(said[:SHOWN_DIFFERENCES]) + more
        raise DatasetError(f"{folder}: holds files that were made with {differences}; name another folder as root")
    strangers = sorted(told["bytes"].keys() - MADE_FILES)
    if strangers or TRUTH_FILE not in told["bytes"]:
        got = f"names the file {reprlib.repr(strangers[0])}" if strangers else f"does not name {TRUTH_FILE}"
        raise DatasetError(f"{folder / PLANTED_FILE}: {got}, and so was not written here; name another folder as root")
    for name, n_bytes in told["bytes"].items():
        path = folder / name
        n_found = path.stat().st_size if path.is_file() else None
        if n_found != n_bytes:
            got = (
                "is not there"
                if n_found is None
                else f"has {n_found} bytes and was written with {reprlib.repr(n_bytes)}"
            )
            raise DatasetError(f"{path}: {got}; delete the folder {folder}, and its files are made again")


def _name(key: str) -> str:
    return key if key == "version" or key in MadeMoseiSettings.model_fields else reprlib.repr(key)


def _said(described: dict[str, Any], key: str) -> str:
    return reprlib.repr(described[key]) if key in described else "nothing"


def _read_told(folder: Path) -> dict[str, Any]:
    path = folder / PLANTED_FILE
    if not path.is_file():
        raise DatasetError(
            f"{folder}: is not empty and holds no whole made files (no {PLANTED_FILE}); name another folder as root"
        )
    try:
        if path.stat().st_size > MAX_TOLD_BYTES:
            raise ValueError(f"more than {MAX_TOLD_BYTES:,} bytes")
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); delete the folder {folder}, or name another") from None
    if not isinstance(told, dict) or not all(isinstance(told.get(key), dict) for key in ("made_with", "bytes")):
        raise DatasetError(f"{path}: does not say what the files were made with; name another folder as root")
    return told
