"""Log-mel spectrogram of sound: the logarithm of the power in bands that are equally wide to the ear."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.features.extractor import AudioExtractor
from emotiwave.features.extractors.framing import (
    check_sound,
    cut,
    frame_intervals,
    in_blocks,
    in_samples,
    mel_filters,
    power_spectra,
    spectrum_size,
)
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

FLOOR = 1e-10
"""Power in a band below which nothing is told apart: 97 dB below a sine of full scale, as quiet as 16 bits can be."""


class LogMelSettings(Settings):
    """Keys of ``logmel``."""

    bands: int = Field(64, ge=1, le=512)
    """How many, one feature each."""
    window: float = Field(0.025, ge=0.001, le=1)
    """Seconds that the spectrum of a frame is taken over."""
    hop: float = Field(0.010, ge=0.001, le=1)
    """Seconds from frame to frame; at most the window."""
    lowest: float = Field(20, ge=0)
    """Hz, where the first band begins."""
    highest: float = Field(8000, gt=0)
    """Hz, where the last band ends; at most half the rate of the sound."""

    @model_validator(mode="after")
    def _check(self) -> "LogMelSettings":
        if self.lowest >= self.highest:
            raise ValueError(f"highest is {self.highest:g} Hz; expected more than lowest, {self.lowest:g} Hz")
        if self.hop > self.window:
            raise ValueError(f"hop is {self.hop:g} s; expected at most the window, {self.window:g} s")
        return self


class LogMel(AudioExtractor):
    """Natural logarithm of mel-band powers, not below that of `FLOOR`.

    Ten times louder sound is higher by ``ln 100`` in every band above the floor. Frames of a block are those of the
    whole if the block begins on a hop.
    """

    VERSION: ClassVar[int] = 1

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings = settings
        self.size, self.frames_per_second = settings.bands, 1 / settings.hop
        # whole hops, so that a block with context begins on a hop where the block does
        self.context = settings.hop * np.ceil(settings.window / (2 * settings.hop))

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": "logmel", "version": self.VERSION, "settings": self.settings.model_dump(mode="json")}

    @property
    def names(self) -> tuple[str, ...]:
        """Name each feature."""
        return tuple(f"mel_{band}" for band in range(self.size))

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Extract one frame per hop; the last may stand for less.

        Raises:
            FeatureError: If the sound is not finite, or its rate too low for the highest frequency.
        """
        asked = self.settings
        check_sound(signal, timing, asked.highest)
        n_window, n_hop = in_samples(asked.window, timing), in_samples(asked.hop, timing)
        filters = mel_filters(timing, spectrum_size(n_window), asked.bands, asked.lowest, asked.highest)
        powers = [power_spectra(frames) @ filters for frames in in_blocks(cut(signal, n_window, n_hop))]
        values = np.log(np.maximum(np.concatenate(powers), np.float32(FLOOR)))
        return FeatureSequence(values, frame_intervals(len(signal), n_hop, timing))
