"""Small files under the official names of CMU-MOSEI and CMU-MOSI, and recipes for them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.config import Recipe, read_recipe
from emotiwave.datasets.csd.writer import write_csd

COLUMNS = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]
VIDEOS = tuple(f"v{k:02d}" for k in range(20))
SEGMENTS = ((4.0, 8.0), (0.0, 4.0), (7.0, 12.0))
"""Of every video, in seconds; not in order of time, and the last overlaps the first."""
SECONDS = 12
FILES = {
    "mosei": {
        "labels": "CMU_MOSEI_Labels.csd",
        "words": "CMU_MOSEI_TimestampedWords.csd",
        "text": "CMU_MOSEI_TimestampedWordVectors.csd",
        "audio": "CMU_MOSEI_COVAREP.csd",
        "vision": "CMU_MOSEI_VisualOpenFace2.csd",
    },
    "mosi_csd": {
        "labels": "CMU_MOSI_Opinion_Labels.csd",
        "words": "CMU_MOSI_TimestampedWords.csd",
        "text": "CMU_MOSI_TimestampedWordVectors.csd",
        "audio": "CMU_MOSI_COVAREP.csd",
        "vision": "CMU_MOSI_Visual_Facet_42.csd",
    },
}
SIZES = {"text": 5, "audio": 4, "vision": 3}
RATES = {"text": 2, "audio": 20, "vision": 10}
Arrays = dict[str, dict[str, tuple[NDArray[Any], NDArray[np.float64]]]]


def made_arrays(corpus: str = "mosei", seed: int = 0) -> Arrays:
    """File -> video -> features and intervals; nothing is wrong with any."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {name: {} for name in FILES[corpus]}
    for k, video in enumerate(VIDEOS):
        labels = np.zeros((3, 7), np.float32)
        labels[:, 0] = [k % 7 - 3, 2 - k % 5, k % 3 - 1]
        for row in range(3):
            labels[row, 1 + (k + 2 * row) % 6] = 2.0
            labels[row, 1 + (k + row + 3) % 6] += 1.0
        arrays["labels"][video] = labels if corpus == "mosei" else labels[:, :1], np.array(SEGMENTS)
        words = np.array([[b"hello"], [b"sp"], [b"big"], [b"world"]], dtype="S32")[np.arange(SECONDS) % 4]
        arrays["words"][video] = words, regular_times(SECONDS, 1)
        for name, rate in RATES.items():
            n = SECONDS * rate
            values = rng.standard_normal((n, SIZES[name])).astype(np.float32) + 1
            arrays[name][video] = values, regular_times(n, rate)
    return arrays


def regular_times(n: int, rate: float) -> NDArray[np.float64]:
    """Times of ``n`` frames one after the other, seconds."""
    return np.stack([np.arange(n), np.arange(1, n + 1)], axis=1) / rate


def write_arrays(arrays: Arrays, folder: Path, corpus: str = "mosei") -> Path:
    """Write all files, and folds of 12, 4 and 4 videos."""
    folder.mkdir(exist_ok=True)
    for name, videos in arrays.items():
        columns = COLUMNS if corpus == "mosei" else COLUMNS[:1]
        path = folder / FILES[corpus][name]
        rows = ((video, *both) for video, both in videos.items())
        write_csd(path, root=name, entries=rows, metadata={"dimension names": columns} if name == "labels" else {})
    folds = {"train": VIDEOS[:12], "valid": VIDEOS[12:16], "test": VIDEOS[16:]}
    (folder / "standard_folds.json").write_text(json.dumps(folds))
    return folder


def made_recipe(folder: Path, *overrides: str, name: str = "mosei_lstm_concat") -> Recipe:
    """A shipped recipe for the files in a folder."""
    return read_recipe(name, [f"dataset.root={folder}", *overrides])
