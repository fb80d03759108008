"""Frames of features that know their neighbours, by a convolution over time."""

from jaxtyping import Bool, Float
from pydantic import Field, field_validator
from torch import Tensor

from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.features import Features
from emotiwave.models.layers import FrameEncoder
from emotiwave.settings import Settings


class ConvSettings(Settings):
    """Keys of ``conv``."""

    width: int = Field(128, ge=1, le=8192)
    """Features per frame that come out."""
    kernel: int = Field(5, ge=1, le=101)
    """Frames that a frame sees, itself in their middle; an odd number."""

    @field_validator("kernel")
    @classmethod
    def _kernel_has_a_middle(cls, given: int) -> int:
        if given % 2 == 0:
            raise ValueError("expected an odd number")
        return given


class Conv(Features):
    """Standardised features, projected, told their place in time, and convolved; unobserved neighbours are zeros."""

    def __init__(self, settings: ConvSettings, origin: Origin) -> None:
        super().__init__(settings, origin)
        self.width, self.kernel = settings.width, settings.kernel
        self.frames = FrameEncoder(origin.size, settings.width, settings.kernel)

    @property
    def described(self) -> str:
        return f"{super().described}, convolved over {self.kernel} frames to width {self.width}"

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time width"], Bool[Tensor, "batch time"]]:
        frames, mask = super().forward(values, mask)
        return self.frames(frames, mask), mask
