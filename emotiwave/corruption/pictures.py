"""Spoiled pictures: blurred, dark, small, covered."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

READ_NOISE = 2.0
"""Standard deviation of what a camera adds to a dark picture, in steps of 1/255."""


def blur(picture: Picture, sigma: float) -> Picture:
    """Blur by a Gaussian of so many pixels."""
    if not sigma:
        return picture
    return _with_channels(cv2.GaussianBlur(picture, (0, 0), sigma), picture)


def darken(picture: Picture, light: float, generator: np.random.Generator) -> Picture:
    """Leave a share of the light; what a camera adds of its own stays as strong."""
    noise = generator.standard_normal(picture.shape) * READ_NOISE
    return (picture * light + noise).round().clip(0, 255).astype(np.uint8)


def shrink(picture: Picture, side: int) -> Picture:
    """Scale a picture down until its longer side has so many pixels."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = tuple(max(1, round(length * factor)) for length in picture.shape[1::-1])
    return _with_channels(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), picture)


def cover(picture: Picture, share: float, generator: np.random.Generator) -> Picture:
    """Hide a square of a share of the area behind its mean, somewhere."""
    height, width = picture.shape[:2]
    sides = [max(1, round(length * share**0.5)) for length in (height, width)]
    top, left = (
        int(generator.integers(length - side + 1)) for length, side in zip((height, width), sides, strict=True)
    )
    covered = picture.copy()
    covered[top : top + sides[0], left : left + sides[1]] = picture.mean(axis=(0, 1)).round()
    return covered


def _with_channels(made: NDArray[np.generic], like: Picture) -> Picture:
    """Give the axis of channels back, which OpenCV drops of grey pictures."""
    return np.asarray(made, np.uint8).reshape(*made.shape[:2], like.shape[2])
