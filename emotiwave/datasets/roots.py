"""Where the folder of a corpus is, and the files below it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from emotiwave.errors import DatasetError

MAX_FILES = 5_000_000
"""A folder that holds more is none of one corpus."""


def data_folder(*names: str) -> Path | None:
    """Find a corpus in the folder that EMOTIWAVE_DATA names: the first of these folders that is there, else the first.

    The path is absolute, so that a recipe means the same files wherever it is read; None if EMOTIWAVE_DATA is not set.
    """
    data = os.environ.get("EMOTIWAVE_DATA")
    if not data:
        return None
    folders = [(Path(data) / name).absolute() for name in names]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def check_root(root: Path | None, *, corpus: str, folder: str, layout: str) -> Path:
    """Give back the folder of a corpus if it is one.

    Args:
        root: What the recipe names, or None.
        corpus: The name of the dataset.
        folder: What the folder is called below the one that EMOTIWAVE_DATA names.
        layout: What is expected in it, for whoever gave another.

    Raises:
        DatasetError: If none is given or it is no folder.
    """
    if root is None:
        raise DatasetError(
            f'{corpus}: no folder given; set [dataset] root = ".../{folder}" or the environment variable '
            f"EMOTIWAVE_DATA to the folder that holds {folder}; expected in it: {layout}"
        )
    if not root.is_dir():
        raise DatasetError(f"{corpus}: {root} is no folder; expected one that holds {layout}")
    return root


def files_below(root: Path) -> Iterator[str]:
    """Give the paths, relative to a folder, of all files at any depth below it, in the order of their names.

    Hidden files and folders are passed over, and so is what is no file (a pipe). Links are followed, but no folder is
    entered twice. A link to nothing, or to itself, counts as a file: it stands for one that was not fetched.

    Raises:
        DatasetError: If a folder cannot be listed, or there are more than `MAX_FILES` files.
    """
    entered: set[tuple[int, int]] = set()
    waiting, n_files = [""], 0
    while waiting:
        below = waiting.pop()
        try:
            status = os.stat(root / below)
            with os.scandir(root / below) as entries:
                listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise DatasetError(f"{root / below}: cannot be listed ({error.strerror})") from None
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        folders = []
        for entry in listed:
            kind = _kind(entry)
            if kind == "folder":
                folders.append(below + entry.name + "/")
            elif kind == "file":
                n_files += 1
                yield below + entry.name
        if n_files > MAX_FILES:
            raise DatasetError(f"{root}: holds more than {MAX_FILES:,} files; expected the folder of one corpus")
        waiting += reversed(folders)


def _kind(entry: os.DirEntry[str]) -> Literal["folder", "file", "other"]:
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() or not os.path.exists(entry.path) else "other"
    except OSError:  # a link that cannot be followed: to itself, or into a folder that may not be entered
        return "file"
