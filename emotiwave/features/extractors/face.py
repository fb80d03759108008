"""Faces as they are: the pixels of each crop, grey or in colour."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.errors import FeatureError
from emotiwave.features.extractor import VisionExtractor
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings


class FaceCropSettings(Settings):
    """Keys of ``face``."""

    side: int = Field(48, ge=8, le=512)
    """Pixels along each side of a crop."""
    is_grey: bool = True
    """One grey value per pixel; otherwise red, green and blue."""


class Face(VisionExtractor):
    """Pixel values from 0 to 1, row by row from the top, the colours of a pixel next to each other.

    ``values.reshape(-1, side, side, channels)`` gives the pictures back. They are worth keeping: to find a face again
    takes far longer than to read its pixels.
    """

    pictures = "faces"
    is_averageable = False

    def __init__(self, settings: FaceCropSettings) -> None:
        self.settings = settings
        self.side, self.is_grey = settings.side, settings.is_grey
        self._picture = (self.side, self.side, 1 if self.is_grey else 3)
        self.size = int(np.prod(self._picture))

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": "face", "version": 2, "settings": self.settings.model_dump(mode="json")}

    def __call__(self, signal: NDArray[np.uint8], timing: NDArray[np.float64]) -> FeatureSequence:
        """Flatten the pictures.

        Raises:
            FeatureError: If the pictures have another shape or kind of number.
        """
        if signal.shape[1:] != self._picture or signal.dtype != np.uint8 or timing.shape != (len(signal), 2):
            expected = ", ".join(map(str, self._picture))
            raise FeatureError(
                f"expected faces of shape (frames, {expected}) uint8 with intervals (frames, 2); got {signal.shape} "
                f"{signal.dtype} with {timing.shape}"
            )
        values = signal.reshape(len(signal), self.size).astype(np.float32)
        values /= 255
        return FeatureSequence(values, timing)
