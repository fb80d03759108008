"""Small hand-made files in the layout of CMU-MOSEI with nothing wrong, to be spoilt one thing at a time."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.writer import write_csd

IDS = tuple(f"video{letter}" for letter in "abcdefghij")
COLUMNS = ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]
SECONDS = 4.0
RATES = {"words": 2, "glove": 2, "COVAREP": 10, "OpenFace": 5}
FACE = ["face_id", "confidence", "success", "gaze"]


@dataclass
class MadeFiles:
    """``files[name][video]`` is features and intervals; everything may be changed before `write`."""

    files: dict[str, dict[str, tuple[NDArray[Any], NDArray[np.float64]]]]
    names: dict[str, list[str] | None]
    folds: dict[str, list[str]]
    roots: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        for name, entries in self.files.items():
            metadata = {} if self.names[name] is None else {"dimension names": self.names[name]}
            rows = ((video, *arrays) for video, arrays in entries.items())
            write_csd(folder / f"{name}.csd", root=self.roots.get(name, name), entries=rows, metadata=metadata)
        (folder / "standard_folds.json").write_text(json.dumps(self.folds))
        return folder

    def rename(self, old: str, new: str) -> None:
        for name, entries in self.files.items():
            self.files[name] = {new if video == old else video: arrays for video, arrays in entries.items()}
        self.folds = {split: [new if video == old else video for video in ids] for split, ids in self.folds.items()}


def made_files() -> MadeFiles:
    """Ten videos of 4 s with one segment of 3 s each; every emotion in three or four of them, none tied."""
    rng = np.random.default_rng(5)
    labels = {}
    for index, video in enumerate(IDS):
        row = np.zeros((1, 7), np.float32)
        row[0, 0] = index / 5 - 1
        row[0, 1 + index % 6], row[0, 1 + (index + 1) % 6] = 2.0, 1.0
        labels[video] = (row, np.array([[0.5, 3.5]]))
    files: dict[str, dict[str, tuple[NDArray[Any], NDArray[np.float64]]]] = {"Labels": labels}
    for name, rate in RATES.items():
        n = int(rate * SECONDS)
        times = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1) / rate
        files[name] = {video: (_features(name, n, rng), times.copy()) for video in IDS}
    names = {"Labels": list(COLUMNS), "words": None, "glove": None, "COVAREP": None, "OpenFace": list(FACE)}
    return MadeFiles(files, names, {"train": list(IDS[:6]), "valid": list(IDS[6:8]), "test": list(IDS[8:])})


def _features(name: str, n: int, rng: np.random.Generator) -> NDArray[Any]:
    if name == "words":
        return np.array([[b"word%d" % index] for index in range(n)], dtype="S32")
    values = rng.standard_normal((n, len(FACE) if name == "OpenFace" else 3)).astype(np.float32)
    if name == "OpenFace":
        values[:, 1:3] = 0.9, 1.0
        values[:, 1] += 0.01 * np.arange(n)
        values[:, 2] += 0.01 * np.arange(n)  # so that no column is constant
    return values
