"""Pictures in folders that are named by their class: ``SPLIT/CLASS/*.jpg`` or ``CLASS/*.jpg``."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emotiwave.datasets.roots import files_below
from emotiwave.errors import DatasetError, printable
from emotiwave.labels import SEVEN
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.types import LabelSet, Utterance

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders of a split are called, in any case -> what we call it."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
WORDS = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}
"""What folders call the seven shared classes -> our word."""


@dataclass(frozen=True)
class Picture:
    """A picture, its path relative to the folder of the corpus, and what its folder or a list says of it.

    ``split`` is None where the folders know none.
    """

    path: Path
    name: str
    split: str | None
    label: str


def find_pictures(root: Path, counts: dict[str, Count]) -> list[Picture]:
    """Find the pictures below a folder; those in folders below that of a class are of this class.

    Raises:
        DatasetError: If there is none, or some folders are named by a split and others are not.
    """
    found: list[tuple[str, list[str]]] = []
    outside = others = 0
    for name in files_below(root):
        if name[name.rfind(".") :].lower() not in SUFFIXES:
            others += 1
            continue
        folders = name.split("/")[:-1]
        if not folders or (len(folders) == 1 and folders[0].lower() in SPLITS):
            outside += 1
        else:
            found.append((name, folders))
    has_splits = _has_splits(root, {folders[0] for _, folders in found})
    if others:
        counts["files that are no pictures, passed over"] = others
    if outside:
        counts["pictures in no folder of a class, left out"] = outside
    return [
        Picture(root / name, name, SPLITS[folders[0].lower()], folders[1])
        if has_splits
        else Picture(root / name, name, None, folders[0])
        for name, folders in found
    ]


def _has_splits(root: Path, folders: set[str]) -> bool:
    if not folders:
        raise DatasetError(
            f"{root}: no picture in a folder of a class; expected SPLIT/CLASS/*.jpg (train/happiness/1.jpg) or "
            f"CLASS/*.jpg, of {', '.join(sorted(SUFFIXES))}"
        )
    splits = {name for name in folders if name.lower() in SPLITS}
    if splits and splits != folders:
        raise DatasetError(
            f"{root}: folder {min(splits)!r} is named like a split and {min(folders - splits)!r} is not; expected "
            f"splits only ({', '.join(SPLITS)}) or classes only"
        )
    return bool(splits)


def hold_out(
    pictures: Sequence[Picture],
    split: str,
    share: float,
    seed: int,
    counts: dict[str, Count],
    *,
    copies: Iterable[Sequence[Picture]] = (),
) -> list[Picture]:
    """Move a share of the train pictures of every class, at least one, to another split; the same with the same seed.

    A class with a single picture keeps it in train. ``copies``, groups as of `find_copies`, count as one picture, of
    the class of the first of them, and stay together.
    """
    first_of = {picture.name: group[0].name for group in copies for picture in group}
    together: dict[str, list[int]] = {}
    for index, picture in enumerate(pictures):
        if picture.split == "train":
            together.setdefault(first_of.get(picture.name, picture.name), []).append(index)
    by_class: dict[str, list[list[int]]] = {}
    for indices in together.values():
        by_class.setdefault(pictures[indices[0]].label, []).append(indices)
    random = np.random.default_rng([seed, len(split)])  # another draw for another split
    moved: set[int] = set()
    for label in sorted(by_class):
        of_class = by_class[label]
        n_moved = min(max(1, round(share * len(of_class))), len(of_class) - 1)
        moved.update(index for k in random.permutation(len(of_class))[:n_moved] for index in of_class[k])
    counts[f"{split} pictures drawn from train"] = f"{len(moved)}, seed {seed}"
    return [replace(picture, split=split) if i in moved else picture for i, picture in enumerate(pictures)]


# Copies


def find_copies(pictures: Iterable[Picture]) -> list[list[Picture]]:
    """Group the pictures whose files are equal byte by byte; those that are alone and those not there are left out.

    Raises:
        DatasetError: If a file cannot be read.
    """
    by_size: dict[int, list[Picture]] = {}
    for picture in pictures:
        if os.path.isfile(picture.path):
            by_size.setdefault(os.path.getsize(picture.path), []).append(picture)
    by_content: dict[bytes, list[Picture]] = {}
    for picture in (picture for group in by_size.values() if len(group) > 1 for picture in group):
        try:
            with picture.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise DatasetError(f"{picture.path}: cannot be read ({error.strerror})") from None
        by_content.setdefault(content, []).append(picture)
    return [group for group in by_content.values() if len(group) > 1]


def count_copies(copies: Sequence[Sequence[Picture]]) -> dict[str, Count]:
    """Say how many pictures there are several times, with several labels, and across splits."""
    counts: dict[str, Count] = {
        "pictures that occur several times": len(copies),
        "pictures that occur with several labels": sum(len({p.label for p in group}) > 1 for group in copies),
    }
    for split, other in (("validation", "train"), ("test", "train"), ("validation", "test")):
        also = [group for group in copies if any(picture.split == other for picture in group)]
        counts[f"{split} pictures that are also in {other}"] = sum(p.split == split for group in also for p in group)
    return counts


def without_copies(pictures: Sequence[Picture], copies: Sequence[Sequence[Picture]]) -> list[Picture]:
    """Drop the train pictures that are also in another split."""
    dropped = {
        picture.name
        for group in copies
        if any(picture.split != "train" for picture in group)
        for picture in group
        if picture.split == "train"
    }
    return [picture for picture in pictures if picture.name not in dropped]


# Recordings


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Put the seven shared classes first and in their order, the others by name.

    >>> order_classes({"contempt", "neutral", "anger"})
    ('anger', 'neutral', 'contempt')
    """
    found = set(labels)
    return (*(name for name in SEVEN if name in found), *sorted(found.difference(SEVEN)))


def picture_recordings(
    pictures: Sequence[Picture],
    *,
    name: str,
    task: str,
    licence: str,
    classes: tuple[str, ...],
    is_face: bool,
    counts: Mapping[str, Count],
    tables: tuple[Path, ...] = (),
) -> MediaRecordings:
    """Make a corpus of pictures, one utterance each, whose id is the path below the folder of the corpus.

    Raises:
        DatasetError: If no picture is left.
    """
    if not pictures:
        said = "; ".join(f"{what}: {count}" for what, count in counts.items())
        raise DatasetError(f"{name}: no picture is left ({said})")
    utterances, sources = [], {}
    for picture in pictures:
        name_of_picture = printable(picture.name)  # names of files need not be text
        utterances.append(Utterance(id=name_of_picture, split=picture.split or "train", label=picture.label))
        sources[name_of_picture] = Sources(image=picture.path, is_face=is_face)
    by_split = Counter(utterance.split for utterance in utterances)
    return MediaRecordings(
        name=name,
        task=task,
        licence=licence,
        label_set=LabelSet("categorical", classes),
        utterances=tuple(utterances),
        sources=sources,
        tables=tables,
        counts=dict(counts) | {f"{split} pictures": by_split[split] for split in ("train", "validation", "test")},
    )
