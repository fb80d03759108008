"""Each frame of features on its own, brought to another width."""

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.features import Features
from emotiwave.settings import Settings


class ProjectionSettings(Settings):
    """Keys of ``projection``."""

    width: int = Field(128, ge=1, le=8192)
    """Features per frame that come out."""


class Projection(Features):
    """Standardised features, a linear layer and a layer norm."""

    def __init__(self, settings: ProjectionSettings, origin: Origin) -> None:
        super().__init__(settings, origin)
        self.width = settings.width
        self.project = nn.Sequential(nn.Linear(origin.size, settings.width), nn.LayerNorm(settings.width))

    @property
    def described(self) -> str:
        return f"{super().described}, projected to width {self.width}"

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time width"], Bool[Tensor, "batch time"]]:
        frames, mask = super().forward(values, mask)
        return self.project(frames), mask
