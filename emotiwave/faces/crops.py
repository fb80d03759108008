"""Faces cut out of pictures: square, upright, of one size."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from emotiwave.faces.face import Face, check_picture

FINER = 4
"""When a square shrinks, it is cut out at most so many times finer, and then each pixel is the mean of those in it."""


def cut_face(
    image: NDArray[np.uint8], face: Face, *, side: int, is_grey: bool, margin: float, align: bool
) -> NDArray[np.uint8]:
    """Cut a face out as ``(side, side, 3)`` RGB, or ``(side, side, 1)`` grey.

    The square is centred on the box; its edge is the longer side of the box and ``margin`` times that on either end.
    With ``align``, and if the eyes say so, it is turned until they are level.

    Raises:
        MediaError: If the image is no picture.
    """
    tilt = face.tilt if align else None
    edge = max(face.width, face.height) * (1 + 2 * margin)
    return cut_square(image, face.centre, edge, tilt or 0.0, side=side, is_grey=is_grey)


def fit_face(image: NDArray[np.uint8], side: int, is_grey: bool) -> NDArray[np.uint8]:
    """Bring a picture that is one face to the form of `cut_face`; one that is not square keeps its proportions.

    Raises:
        MediaError: If the image is no picture.
    """
    check_picture(image)
    height, width = image.shape[:2]
    return cut_square(image, (width / 2, height / 2), max(height, width), 0.0, side=side, is_grey=is_grey)


def cut_square(
    image: NDArray[np.uint8], centre: tuple[float, float], edge: float, angle: float, *, side: int, is_grey: bool
) -> NDArray[np.uint8]:
    """Cut a square out of a picture and bring it to a size; what lies outside repeats the pixels of the border.

    ``centre`` and ``edge`` are in pixels of the picture, whose upper left corner is (0, 0); the square is turned
    clockwise by ``angle`` degrees, and upright when cut out.

    Raises:
        MediaError: If the image is no picture.
    """
    check_picture(image)
    region, left, top = _region(image, centre, edge, angle)
    if is_grey:  # first of all: what follows is done to one channel, not to three
        region = np.asarray(cv2.cvtColor(region, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = region.shape[:2]
    shrink = min(1.0, FINER * side / edge)
    if shrink < 1:  # what is then turned is small, whatever was given
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        region = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    finer = min(FINER, max(1, math.ceil(edge / side)))
    across, down = region.shape[1] / width, region.shape[0] / height
    turn, step = math.radians(angle), edge / (side * finer)
    from_square = np.array(
        [
            [math.cos(turn) * step * across, -math.sin(turn) * step * across, (centre[0] - left) * across],
            [math.sin(turn) * step * down, math.cos(turn) * step * down, (centre[1] - top) * down],
        ]
    )
    from_square[:, 2] -= from_square[:, :2].sum(axis=1) * (side * finer - 1) / 2 + 0.5  # pixels count by their middles
    square = cv2.warpAffine(
        region,
        from_square,
        (side * finer, side * finer),
        flags=(cv2.INTER_CUBIC if edge < side else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if finer > 1:
        square = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(square, np.uint8).reshape(side, side, -1)


def _region(
    image: NDArray[np.uint8], centre: tuple[float, float], edge: float, angle: float
) -> tuple[NDArray[np.uint8], int, int]:
    """The part of a picture that a turned square lies in, and its left and top: at least one pixel."""
    turn = math.radians(angle)
    reach = edge * (abs(math.cos(turn)) + abs(math.sin(turn))) / 2 + 2
    (height, width), (across, down) = image.shape[:2], centre
    left, right = _inside(across - reach, across + reach, width)
    top, bottom = _inside(down - reach, down + reach, height)
    return np.ascontiguousarray(image[top:bottom, left:right]), left, top


def _inside(low: float, high: float, n_pixels: int) -> tuple[int, int]:
    first = min(max(0, math.floor(low)), n_pixels - 1)
    return first, max(first + 1, min(n_pixels, math.ceil(high)))
