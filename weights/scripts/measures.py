"""What the experts are fitted and measured on: texts, faces and spoiled faces of the corpora."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.corruption.pictures import Picture, blur, cover, darken, shrink
from emotiwave.datasets import dair_emotion, fer2013, goemotions, meld
from emotiwave.labels import SEVEN
from emotiwave.media.photos import read_photo
from emotiwave.recordings import MediaRecordings
from emotiwave.types import Utterance

SPOILED_FACES: dict[str, tuple[float, ...]] = {
    "blur": (0.5, 1.0, 2.0, 3.0),
    "dark": (0.5, 0.2, 0.1, 0.05),
    "small": (36, 24, 16, 12),
    "cover": (0.1, 0.2, 0.4),
}
"""Standard deviation in pixels of 48; share of the light; pixels along a side; share of the area."""
FITTED_FACES: dict[str, tuple[float, ...]] = {
    "blur": (0.7, 1.5, 2.5),
    "dark": (0.3, 0.07),
    "small": (30, 20, 14),
    "cover": (0.15, 0.3),
}
"""What the confidence of the face expert is fitted on: the same kinds, other amounts."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of one split with targets ``(texts, 7)`` that sum to 1."""

    texts: tuple[str, ...]
    targets: NDArray[np.float64]
    groups: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of one split with targets ``(faces, 7)``; ``is_copy`` tells which are also in another split."""

    pictures: tuple[Picture, ...]
    targets: NDArray[np.float64]
    is_copy: NDArray[np.bool_]

    def without_copies(self) -> "Faces":
        """Those that are in no other split."""
        kept = np.flatnonzero(~self.is_copy)
        return Faces(tuple(self.pictures[k] for k in kept), self.targets[kept], self.is_copy[kept])


_CORPORA: dict[str, Callable[[], MediaRecordings]] = {
    "goemotions": lambda: goemotions.load(goemotions.GoEmotionsSettings(task="shares")),
    "meld": lambda: meld.load(meld.MeldSettings(task="seven")),
    "dair_emotion": lambda: dair_emotion.load(dair_emotion.DairEmotionSettings(task="seven")),
}


def read_texts(corpus: str, split: str) -> Texts:
    """Read the texts of a split of GoEmotions, MELD or dair-ai's emotion."""
    utterances = [utterance for utterance in _CORPORA[corpus]().utterances if utterance.split == split]
    texts = tuple(utterance.transcript or "" for utterance in utterances)
    groups = tuple(utterance.group for utterance in utterances)
    return Texts(texts, np.array([_shares(utterance) for utterance in utterances]), groups)


def _shares(utterance: Utterance) -> list[float]:
    if isinstance(utterance.label, str):
        return [float(utterance.label == name) for name in SEVEN]
    return [float(share) for share in utterance.label]


def read_faces(split: str) -> Faces:
    """Read the pictures of a split of FER2013; train without those that are also elsewhere."""
    duplicates = "drop_from_train" if split == "train" else "keep"
    recordings = fer2013.load(fer2013.Fer2013Settings(duplicates=duplicates))
    elsewhere = {_content(recordings, utterance) for utterance in recordings.utterances if utterance.split != split}
    utterances = [utterance for utterance in recordings.utterances if utterance.split == split]
    pictures = tuple(read_photo(_path(recordings, utterance)).image for utterance in utterances)
    copies = np.array([_content(recordings, utterance) in elsewhere for utterance in utterances])
    return Faces(pictures, np.array([_shares(utterance) for utterance in utterances]), copies)


def _path(recordings: MediaRecordings, utterance: Utterance) -> Path:
    path = recordings.sources[utterance.id].image
    assert path is not None
    return path


def _content(recordings: MediaRecordings, utterance: Utterance) -> bytes:
    return _path(recordings, utterance).read_bytes()


def spoil_face(picture: Picture, kind: str, amount: float, generator: np.random.Generator) -> Picture:
    """Spoil a picture in one of the ways of `SPOILED_FACES`, or ``none``."""
    if kind == "blur":
        return blur(picture, amount)
    if kind == "dark":
        return darken(picture, amount, generator)
    if kind == "small":
        return shrink(picture, round(amount))
    return cover(picture, amount, generator) if kind == "cover" else picture
