"""What a recipe may say of features."""

import os
from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.settings import AbsolutePath, Settings

DEFAULT_FRAMES = 64


class FeatureSettings(Settings):
    """Keys of ``[features]``: how `prepare` turns raw frames into those of the store."""

    store: AbsolutePath | None = None
    """The folder of the feature store; by default one named by the dataset and by a hash of these two tables."""
    align: Literal["none", "words"] = "none"
    """``words``: every modality gets one frame per word of the timed words (pauses left out)."""
    collapse: Literal["mean", "max", "middle"] = "mean"
    """How several frames become one: their mean, their greatest values, or the one in their middle."""
    frames: int | dict[str, int] = DEFAULT_FRAMES
    """The most frames of an utterance, for all modalities or for each by name; aligned sequences count words."""
    beyond: Literal["pool", "cut"] = "pool"
    """What happens to more frames: pooled into that many spans of equal length, or cut after the first ones."""
    unobserved: Literal["mask", "zero"] = "mask"
    """``mask``: frames that are not finite, failed or all zero are unobserved. ``zero``: every frame counts as data,
    with zeros for values that are not finite."""
    pad: bool = False
    """Fill every utterance up to ``frames`` with zeros that count as data, as notebooks do."""

    @field_validator("frames", mode="before")
    @classmethod
    def _frames_are_positive(cls, given: Any) -> Any:
        numbers = given.values() if isinstance(given, dict) else [given]
        if not all(type(number) is int and number > 0 for number in numbers):
            raise ValueError("expected a whole number above 0, or a table of such numbers by modality")
        return given

    @model_validator(mode="after")
    def _padding_is_zeros(self) -> Self:
        if self.pad and self.unobserved != "zero":
            raise ValueError('pad = true fills with zeros that count as data: set unobserved = "zero" too')
        return self

    def budget(self, modality: str) -> int:
        """The most frames of an utterance in a modality."""
        return self.frames if isinstance(self.frames, int) else self.frames.get(modality, DEFAULT_FRAMES)

    def check_modalities(self, modalities: Collection[str]) -> None:
        """Refuse frames for a modality that a corpus does not have.

        Raises:
            ConfigError: The modality is named.
        """
        for name in () if isinstance(self.frames, int) else self.frames:
            if name not in modalities:
                raise ConfigError(f"features.frames: {unknown_name('modality', name, modalities)}")


def processes_available() -> int:
    """How many processes may work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
