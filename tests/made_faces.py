"""A detector for made pictures: every bright square is a face, whose colour tells who it is."""

import cv2
import numpy as np
from numpy.typing import NDArray

from emotiwave.faces.detectors import FaceDetector, FaceSettings
from emotiwave.faces.face import Face

SCORE = 0.9


class SquareDetector(FaceDetector):
    """Finds squares that are brighter than 200 somewhere, and counts how often it was asked."""

    name = "squares"
    sha256 = "0" * 64

    def __init__(self, settings: FaceSettings | None = None) -> None:
        super().__init__(settings or FaceSettings())
        self.n_detected = self.n_followed = 0

    def _find(self, image: NDArray[np.uint8]) -> list[Face]:
        self.n_detected += 1
        return squares(image)

    def _find_near(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        self.n_followed += 1
        near = [one for one in squares(image) if abs(one.x - face.x) < face.width and abs(one.y - face.y) < face.width]
        return near[0] if near else None


def squares(image: NDArray[np.uint8]) -> list[Face]:
    """The boxes of all regions with a bright frame, from left to right."""
    bright = (image.min(axis=2) > 200).astype(np.uint8)
    shapes, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = sorted(cv2.boundingRect(shape) for shape in shapes)
    return [Face(x, y, width, height, SCORE) for x, y, width, height in boxes if min(width, height) > 10]


def scene(*places: tuple[int, int, int], size: tuple[int, int] = (160, 120), seed: int = 0) -> NDArray[np.uint8]:
    """A picture with a face (x, y, side) at every place: a bright frame around stripes; noise, so that it moves."""
    picture = np.random.default_rng(seed).integers(60, 90, (size[1], size[0], 3)).astype(np.uint8)
    for number, (x, y, side) in enumerate(places):
        face = np.full((side, side, 3), 230, np.uint8)
        inside = side // 6
        face[inside:-inside:4, inside:-inside] = 40 + 30 * number
        picture[y : y + side, x : x + side] = face
    return picture
