"""Any set of pictures in class folders, and RAF-DB; language, licence and size are those of the set.

RAF-DB: Li, Deng and Du, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the
wild", CVPR 2017; 15,339 faces of its basic set, aligned at 100×100 pixels, on request and for research only.

Pictures that are there twice, byte by byte, are counted, and are drawn into a split together.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field

from emotiwave.datasets.class_folders import (
    WORDS,
    Picture,
    count_copies,
    find_copies,
    find_pictures,
    hold_out,
    order_classes,
    picture_recordings,
)
from emotiwave.datasets.rafdb_layout import RAFDB_LAYOUT, find_rafdb
from emotiwave.datasets.roots import check_root
from emotiwave.errors import DatasetError, DataWarning, unknown_name
from emotiwave.labels import SEVEN, to_seven
from emotiwave.recordings import Count, MediaRecordings
from emotiwave.settings import AbsolutePath, Settings

LICENCE = "that of the pictures in the folder"
RAFDB_LICENCE = "RAF-DB: on request, non-commercial research only"
LAYOUT = "train/happiness/*.jpg, … or happiness/*.jpg, …"


class ImageFolderSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "image_folder"``."""

    root: AbsolutePath
    """The folder of the split folders or, where there are none, of the class folders."""
    layout: Literal["folders", "rafdb"] = "folders"
    """Folders named by their class, or RAF-DB: ``DATASET/train/1`` to ``7``, or ``list_patition_label.txt`` and
    ``aligned``."""
    task: Literal["corpus", "seven"] = "corpus"
    """The classes of the folder, or those of them that are among the seven that corpora share."""
    classes: dict[str, str] | None = None
    """Folder -> class, where a folder is not named by our word, such as ``{joyful = "happiness"}``; several folders may
    be one class. ``angry``, ``happy``, ``sad`` and the like are understood anyhow."""
    is_face: bool = False
    """Whether the pictures are faces that were cut out already, so that no face is looked for; RAF-DB's always are."""
    test_share: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Share of the train pictures of every class that become ``test`` where there is no test folder."""
    validation_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the train pictures of every class that then become ``validation`` where there is no such folder."""
    split_seed: int = Field(default=0, ge=0)


def load(settings: ImageFolderSettings) -> MediaRecordings:
    """Find the pictures, name their classes and hold out the splits that the folders lack.

    Raises:
        DatasetError: If the folder is not as it must be, or a class is mapped that no folder has.
    """
    is_rafdb = settings.layout == "rafdb"
    layout = RAFDB_LAYOUT if is_rafdb else LAYOUT
    root = check_root(settings.root, corpus="image_folder", folder="FOLDER", layout=layout)
    counts: dict[str, Count] = {}
    tables: tuple[Path, ...] = ()
    if is_rafdb:
        pictures, tables = find_rafdb(root, counts)
    else:
        pictures = find_pictures(root, counts)
    pictures = _name_classes(pictures, settings, counts)
    if settings.task == "seven":
        pictures = _only_seven(pictures, is_rafdb=is_rafdb, counts=counts)
    copies = find_copies(pictures)
    pictures = _complete_splits(pictures, copies, settings, counts)
    now = {picture.name: picture for picture in pictures}
    counts |= count_copies([[now[picture.name] for picture in group] for group in copies])
    classes = SEVEN if settings.task == "seven" else order_classes(picture.label for picture in pictures)
    if len(classes) < 2:
        raise DatasetError(
            f"image_folder: {root}: pictures of {', '.join(classes) or 'no class'} only; expected two classes"
        )
    return picture_recordings(
        pictures,
        name="image_folder",
        task=settings.task,
        licence=RAFDB_LICENCE if is_rafdb else LICENCE,
        classes=classes,
        is_face=is_rafdb or settings.is_face,
        counts=counts,
        tables=tables,
    )


def _name_classes(pictures: list[Picture], settings: ImageFolderSettings, counts: dict[str, Count]) -> list[Picture]:
    folders = sorted({picture.label for picture in pictures})
    given: Mapping[str, str] = settings.classes or {}
    for folder, name in given.items():
        if folder not in folders:
            raise DatasetError(f"image_folder: dataset.classes: {unknown_name('class folder', folder, folders)}")
        if name in SEVEN:
            continue
        if settings.task == "seven":
            raise DatasetError(f"image_folder: dataset.classes: {folder!r}: {unknown_name('class', name, SEVEN)}")
        near = get_close_matches(name, SEVEN, n=1, cutoff=0.75)
        if near:
            warnings.warn(
                f"image_folder: dataset.classes: {folder!r} is called {name!r}; is {near[0]!r} meant?",
                DataWarning,
                stacklevel=3,
            )
    named = {folder: given.get(folder, WORDS.get(folder.lower(), folder.lower())) for folder in folders}
    renamed = [f"{folder} is {name}" for folder, name in named.items() if folder != name]
    if renamed:
        counts["folders whose class has another name"] = ", ".join(renamed)
    return [replace(picture, label=named[picture.label]) for picture in pictures]


def _only_seven(pictures: list[Picture], *, is_rafdb: bool, counts: dict[str, Count]) -> list[Picture]:
    """Leave out what has no counterpart, and count it by class."""
    if is_rafdb:
        seven = {label: to_seven("rafdb", label) for label in {picture.label for picture in pictures}}
    else:
        seven = {label: label if label in SEVEN else None for label in {picture.label for picture in pictures}}
    left_out = Counter(picture.label for picture in pictures if seven[picture.label] is None)
    for label in sorted(left_out):
        counts[f"pictures of {label}, which is none of the seven, left out"] = left_out[label]
    return [replace(picture, label=name) for picture in pictures if (name := seven[picture.label])]


def _complete_splits(
    pictures: list[Picture], copies: list[list[Picture]], settings: ImageFolderSettings, counts: dict[str, Count]
) -> list[Picture]:
    pictures = [replace(picture, split=picture.split or "train") for picture in pictures]
    there = {picture.split for picture in pictures}
    for split, share in (("test", settings.test_share), ("validation", settings.validation_share)):
        if split not in there and share:
            pictures = hold_out(pictures, split, share, settings.split_seed, counts, copies=copies)
    return pictures
