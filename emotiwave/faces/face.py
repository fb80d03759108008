"""What a face in a picture is, and which arrays are pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import MediaError

UPRIGHT = np.array([[-0.18, -0.13], [0.18, -0.13], [0.0, 0.08], [-0.16, 0.22], [0.16, 0.22]])
"""Landmarks of an upright face, from the middle of its box, over its height: a mean over photos, made symmetric."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in pixels of the picture it was found in: the upper left corner of its box, width and height.

    The box may reach out of the picture. ``score`` goes from 0 to 1, and only orders the finds of one detector.
    ``landmarks (points, 2)`` are x and y of the right eye and the left eye (the person's own, so the right one comes
    first from the left), and with YuNet also of the tip of the nose and the right and left corner of the mouth.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    landmarks: NDArray[np.float64] | None = None

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, x and y."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def tilt(self) -> float | None:
        """How far the face is turned clockwise from upright, in degrees; None without landmarks.

        It is the turn that brings an upright face nearest to the landmarks in least squares [Umeyama, PAMI 1991]: for
        two eyes the slope of their line.

        >>> Face(0, 0, 40, 50, 0.9, np.array([[10.0, 20.0], [30.0, 40.0]])).tilt
        45.0
        """
        if self.landmarks is None:
            return None
        upright = UPRIGHT[: len(self.landmarks)]
        u, v = (upright - upright.mean(axis=0)).T
        x, y = (self.landmarks - self.landmarks.mean(axis=0)).T
        return math.degrees(math.atan2(u @ y - v @ x, u @ x + v @ y))


def check_picture(image: NDArray[np.uint8]) -> None:
    """Refuse what is no picture.

    Raises:
        MediaError: If it is no ``(height, width, 3)`` uint8 array, or has no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise MediaError(
            f"a picture must be a (height, width, 3) uint8 array of RGB; got shape {image.shape} of {image.dtype}"
        )


def overlap(faces: Sequence[Face], others: Sequence[Face]) -> NDArray[np.float64]:
    """Intersection over union of each face with each other, ``(faces, others)``.

    >>> overlap([Face(0, 0, 2, 2, 1.0)], [Face(1, 0, 2, 2, 1.0), Face(5, 5, 2, 2, 1.0)]).round(3).tolist()
    [[0.333, 0.0]]
    """
    here, there = _corners(faces)[:, None], _corners(others)[None]
    edges = np.minimum(here[..., 2:], there[..., 2:]) - np.maximum(here[..., :2], there[..., :2])
    shared = np.maximum(edges, 0.0).prod(axis=-1)
    areas = (here[..., 2:] - here[..., :2]).prod(axis=-1) + (there[..., 2:] - there[..., :2]).prod(axis=-1)
    return shared / (areas - shared)


def _corners(faces: Sequence[Face]) -> NDArray[np.float64]:
    return np.array([[face.x, face.y, face.x + face.width, face.y + face.height] for face in faces])
