"""The two layouts that RAF-DB is passed on in: numbered class folders, and a list of labels beside aligned faces."""

from dataclasses import replace
from pathlib import Path

from emotiwave.datasets.class_folders import Picture, find_pictures
from emotiwave.datasets.text_lines import read_lines
from emotiwave.errors import DatasetError
from emotiwave.recordings import Count

NUMBERS = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
LIST_FILE = "list_patition_label.txt"
"""As RAF-DB spells it."""
LISTS = tuple(f"{folder}{LIST_FILE}" for folder in ("", "EmoLabel/", "basic/EmoLabel/"))
ALIGNED = ("aligned", "Image/aligned", "basic/Image/aligned")
RAFDB_LAYOUT = f"DATASET/train/1/*.jpg to DATASET/test/7/*.jpg, or EmoLabel/{LIST_FILE} and Image/aligned/*_aligned.jpg"


def find_rafdb(root: Path, counts: dict[str, Count]) -> tuple[list[Picture], tuple[Path, ...]]:
    """Find the pictures of RAF-DB and the list that they were read from, if there is one.

    Raises:
        DatasetError: If neither layout is there, or a class is not one of its numbers.
    """
    listed = next((root / name for name in LISTS if (root / name).is_file()), None)
    if listed is not None:
        return _read_list(root, listed, counts), (listed,)
    folder = root / "DATASET" if (root / "DATASET").is_dir() else root
    pictures = find_pictures(folder, counts)
    for picture in pictures:
        if picture.split is None or picture.label not in NUMBERS:
            raise DatasetError(
                f"image_folder: {picture.path.parent} is no folder of RAF-DB; expected below {root}: {RAFDB_LAYOUT}"
            )
    return [replace(picture, label=NUMBERS[picture.label]) for picture in pictures], ()


def _read_list(root: Path, listed: Path, counts: dict[str, Count]) -> list[Picture]:
    """Lines such as ``train_00001.jpg 5``; the face of it is ``train_00001_aligned.jpg``."""
    aligned = next((root / name for name in ALIGNED if (root / name).is_dir()), None)
    if aligned is None:
        raise DatasetError(f"image_folder: no folder of aligned faces in {root}; expected {RAFDB_LAYOUT}")
    pictures: dict[str, Picture] = {}
    for number, line in read_lines(listed, corpus="image_folder"):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        split = {"train": "train", "test": "test"}.get(name.split("_")[0])
        if split is None or label not in NUMBERS or Path(name).name != name:
            raise DatasetError(
                f"image_folder: {listed}: line {number}: {line[:50]!r}; expected a name that begins with train_ or "
                "test_ and a class from 1 to 7, such as 'train_00001.jpg 5'"
            )
        if name in pictures:
            raise DatasetError(f"image_folder: {listed}: line {number}: {name!r} a second time; expected it once")
        file = f"{Path(name).stem}_aligned.jpg"
        pictures[name] = Picture(aligned / file, file, split, NUMBERS[label])
    missing = sum(not picture.path.exists() for picture in pictures.values())
    if missing == len(pictures):
        raise DatasetError(f"image_folder: {aligned} holds none of the {missing} faces of {listed.name}")
    if missing:
        counts["pictures that are listed but not there"] = missing
    return list(pictures.values())
