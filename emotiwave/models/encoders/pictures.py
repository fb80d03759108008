"""Frames that are pictures: what shape they have, and whether they hold pixels."""

import math

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import FeatureError

TOLERANCE = 0.01


def check_pixels(frames: NDArray[np.float32], encoder: str) -> None:
    """Refuse frames that hold anything but pixels from 0 to 1.

    Raises:
        FeatureError: If they do; the message goes on after the modality's name.
    """
    low, high = float(frames.min()), float(frames.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise FeatureError(
            f"holds values from {low:.4g} to {high:.4g}; {encoder} takes pixels from 0 to 1, as the extractor face "
            "gives them"
        )


def shape_of_square(size: int) -> tuple[int, int, int]:
    """Height, width and channels of a square picture of so many values; zeros where there is no such picture."""
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if side * side * channels == size:
            return side, side, channels
    return 0, 0, 0
