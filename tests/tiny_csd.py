"""Writers of tiny ``.csd`` files whose content a reader of the test can work out by hand."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.writer import write_csd

Row = tuple[float, float, Sequence[float]]
"""Start and end of a labelled segment in seconds, and its values."""


def seconds(*times: float) -> NDArray[np.float64]:
    """Intervals ``(frames, 2)`` of one second each, which begin at these times."""
    return np.array([[time, time + 1] for time in times], dtype=np.float64).reshape(-1, 2)


def numbered(n: int, size: int = 2, first: float = 0.0) -> NDArray[np.float32]:
    """Frames ``(n, size)``: frame k holds ``first + k`` in column 0, a tenth more in each column after."""
    return (first + np.arange(n)[:, None] + np.arange(size) / 10).astype(np.float32)


def write_features(path: Path, videos: Mapping[str, int], *, size: int = 2, root: str = "Features") -> Path:
    """Videos by their length in frames of one second; the k-th video counts from 100 k."""
    entries = [
        (video, numbered(n, size, first=100.0 * k), seconds(*range(n))) for k, (video, n) in enumerate(videos.items())
    ]
    return write_csd(path, root=root, entries=entries, metadata={})


def write_words(path: Path, videos: Mapping[str, Sequence[str]]) -> Path:
    """One word per second."""
    entries = [
        (video, np.array([[word.encode()] for word in words], dtype="S32"), seconds(*range(len(words))))
        for video, words in videos.items()
    ]
    return write_csd(path, root="words", entries=entries, metadata={})


def write_labels(
    path: Path, videos: Mapping[str, Sequence[Row]], names: Sequence[str] | None, *, root: str = "All Labels"
) -> Path:
    """Labelled segments by video; ``names`` are the dimension names of the metadata, if there are any."""
    entries = [
        (video, np.array([row[2] for row in rows], np.float32), np.array([row[:2] for row in rows], np.float64))
        for video, rows in videos.items()
    ]
    return write_csd(path, root=root, entries=entries, metadata={} if names is None else {"dimension names": names})


def write_folds(path: Path, train: Iterable[str], valid: Iterable[str], test: Iterable[str]) -> Path:
    path.write_text(json.dumps({"train": list(train), "valid": list(valid), "test": list(test)}))
    return path


def write_spoilt(path: Path, spoil: Callable[[h5py.Group], Any]) -> Path:
    """A sound video ``sound``, and whatever ``spoil`` does to the group of the video ``spoilt``."""
    write_csd(path, root="R", entries=[("sound", numbered(3), seconds(0, 1, 2))], metadata={"dimension names": ["a"]})
    with h5py.File(path, "r+") as file:
        spoil(file.create_group("R/data/spoilt"))
    return path


# CMU-MOSEI in little: 7 videos, 10 segments of which 8 can be used, two ids that are a prefix of another.
NAN = float("nan")
MOSEI_NAMES = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]
MOSEI_LABELS: dict[str, list[Row]] = {
    "-a": [(5.0, 10.0, (1.0, 2, 0, 0, 0, 0, 0)), (0.0, 5.0, (-1.5, 0, 1, 2, 0, 0, 0))],  # not in order of time
    "-a_1": [(0.0, 4.0, (0.0, 0, 0, 0, 0, 0, 0)), (3.0, 9.0, (2.0, 1, 0, 0, 1, 0, 0))],  # zeros; tied; overlapping
    "b": [(-0.5, 6.0, (3.5, 0, 0, 0, 0, 0, 3))],  # begins below 0, sentiment out of range
    "b_2": [(1.0, 2.0, (-3.0, 0, 0, 0, 0, 1, 0)), (4.0, 4.0, (0.0, 1, 0, 0, 0, 0, 0))],  # the second has no length
    "c": [(0.0, 8.0, (0.5, 0, 0, 0.5, 0, 0, 0)), (2.0, 3.0, (NAN, 1, 0, 0, 0, 0, NAN))],
    "nofold": [(0.0, 3.0, (1.0, 1, 0, 0, 0, 0, 0))],
}
MOSEI_FOLDS = {"train": ("-a", "b", "ghost"), "valid": ("-a_1",), "test": ("c", "b_2")}
USABLE = ("-a[0]", "-a[1]", "-a_1[0]", "-a_1[1]", "b[0]", "b_2[0]", "c[0]")
"""The segments that are in a fold and have a length and a label, in the order of the file."""


def write_tiny_mosei(folder: Path, labels: Mapping[str, Sequence[Row]] | None = None) -> Path:
    """The official file names; ``b`` has no audio, ``c`` no vision; 10 s of one frame per second."""
    videos = dict.fromkeys(MOSEI_LABELS, 10)
    write_labels(folder / "CMU_MOSEI_Labels.csd", labels or MOSEI_LABELS, MOSEI_NAMES)
    write_features(folder / "CMU_MOSEI_TimestampedWordVectors.csd", videos, size=3, root="glove_vectors")
    write_features(
        folder / "CMU_MOSEI_COVAREP.csd", {video: n for video, n in videos.items() if video != "b"}, root="COVAREP"
    )
    write_features(
        folder / "CMU_MOSEI_VisualOpenFace2.csd",
        {video: n for video, n in videos.items() if video != "c"},
        root="OpenFace_2",
    )
    words = ["oh", "sp", "well", "sp", "so", "it", "is", "sp", "that", "then"]
    write_words(folder / "CMU_MOSEI_TimestampedWords.csd", {video: words for video in videos})
    write_folds(folder / "standard_folds.json", **MOSEI_FOLDS)
    return folder
