"""FER2013: 35,887 faces of 48×48 grey pixels from the web, seven classes; no language; no licence stated, research use.

Goodfellow et al., "Challenges in representation learning", ICONIP 2013. The pictures are read from folders
(``train/angry/*.jpg``) or from the table of the Kaggle challenge (``fer2013.csv``, ``icml_face_data.csv``), whose
pixels are unpacked once into picture files. People are not named, so nothing keeps a person in one split; some pictures
are there twice, which is counted.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import platformdirs
from pydantic import Field

from emotiwave.datasets.class_folders import (
    Picture,
    count_copies,
    find_copies,
    find_pictures,
    picture_recordings,
    without_copies,
)
from emotiwave.datasets.fer2013_table import CLASSES, SPLITS, unpack_table
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.labels import SEVEN
from emotiwave.recordings import Count, MediaRecordings
from emotiwave.settings import AbsolutePath, Settings

LICENCE = "none stated; pictures from the web, research use (ICML 2013 challenge)"
TABLES = ("fer2013.csv", "icml_face_data.csv")
LAYOUT = "train/angry/*.jpg, …, test/surprise/*.jpg or fer2013.csv"


class Fer2013Settings(Settings):
    """Keys of ``[dataset]`` for ``name = "fer2013"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder("fer2013"))
    """The folder of train, validation and test, or of the Kaggle table; by default in the folder that EMOTIWAVE_DATA
    names."""
    task: Literal["corpus", "seven"] = "corpus"
    """The classes of the corpus, or the seven that corpora share; here they are the same."""
    duplicates: Literal["keep", "drop_from_train"] = "keep"
    """What to do with train pictures that are, byte by byte, also in validation or test."""
    unpacked: AbsolutePath | None = None
    """The folder that the pictures of a Kaggle table are written to, once, 35,887 files of 2 KB; by default the cache
    folder of the user."""


def load(settings: Fer2013Settings) -> MediaRecordings:
    """Find the pictures, and unpack them first where there is only a table.

    Raises:
        DatasetError: If the folder or the table is not as it must be.
    """
    root = check_root(settings.root, corpus="fer2013", folder="fer2013", layout=LAYOUT)
    tables = () if (root / "train").is_dir() else tuple(root / name for name in TABLES if (root / name).is_file())[:1]
    if not tables and not (root / "train").is_dir():
        raise DatasetError(f"fer2013: {root} holds neither train nor {' nor '.join(TABLES)}; expected {LAYOUT}")
    counts: dict[str, Count] = {}
    folder = _unpack_once(tables[0], settings.unpacked) if tables else root
    pictures = [_official(picture, counts) for picture in find_pictures(folder, counts)]
    copies = find_copies(pictures)
    counts |= count_copies(copies)
    if settings.duplicates == "drop_from_train":
        kept = without_copies(pictures, copies)
        counts["train pictures that are also in another split, left out"] = len(pictures) - len(kept)
        pictures = kept
    return picture_recordings(
        pictures,
        name="fer2013",
        task=settings.task,
        licence=LICENCE,
        classes=SEVEN,
        is_face=True,
        counts=counts,
        tables=tables,
    )


def _official(picture: Picture, counts: dict[str, Count]) -> Picture:
    """Name the class in our words, and take the split that the file's name says: some copies merge the two tests."""
    folder = picture.label.lower()
    if picture.split is None:
        raise DatasetError(f"fer2013: {picture.path.parent} is in no folder of a split; expected {LAYOUT}")
    if folder not in CLASSES and folder not in CLASSES.values():
        raise DatasetError(f"fer2013: {picture.path.parent}: {unknown_name('class', picture.label, CLASSES)}")
    split = SPLITS.get(picture.path.name.split("_")[0], picture.split)
    if split != picture.split:
        what = f"pictures of {split} in the folder of {picture.split}, taken as what their names say"
        counts[what] = int(counts.get(what, 0)) + 1
    return replace(picture, split=split, label=CLASSES.get(folder, folder))


def _unpack_once(table: Path, unpacked: Path | None) -> Path:
    """Give the folder of a table's pictures, named by the content of the table; make it if it is not there."""
    parent = unpacked or platformdirs.user_cache_path("emotiwave") / "fer2013"
    try:
        with table.open("rb") as file:
            folder = parent / hashlib.file_digest(file, "sha256").hexdigest()[:16]
        if folder.exists():
            return folder
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parent, prefix=".unpacking-") as scratch:
            unpack_table(table, Path(scratch) / folder.name)
            _rename_unless_there(Path(scratch) / folder.name, folder)  # whole or not at all
    except OSError as error:
        raise DatasetError(f"fer2013: {table} cannot be unpacked into {parent} ({error})") from None
    return folder


def _rename_unless_there(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.exists():  # another process may have been faster
            raise
