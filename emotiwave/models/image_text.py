"""Image and text, each read by an encoder that is trained with the model, one vector of each side by side."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.errors import ConfigError
from emotiwave.models.fusion import Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import side_by_side

MODALITIES = {"vision", "text"}
HIDDEN = 1024
DROPOUT = 0.5


class ImageText(FusionModel):
    """A ResNet on faces and a GRU on words; their vectors side by side, one hidden layer, the classes.

    With the default encoders, ResNet-18 and `gru`, 512 + 512 features go through a hidden layer of 1024; the widths
    are these, whatever ``model.size`` says. A sequence counts by the mean of its observed frames. The vector of an
    absent modality is learned, and starts at zero.

    Raises:
        ConfigError: If the modalities are not vision and text.
    """

    def __init__(self, spec: ModelSpec) -> None:
        if set(spec.sizes) != MODALITIES:
            raise ConfigError(
                f"image_text reads vision and text; the data has {', '.join(sorted(spec.sizes))}: choose the two by "
                "features.extractors, or another model"
            )
        super().__init__(spec)
        self.absent = nn.ParameterDict({n: nn.Parameter(torch.zeros(self.sizes[n])) for n in self.modalities})
        self.head = nn.Sequential(
            nn.Linear(sum(self.sizes.values()), HIDDEN),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            self.answer_layer(HIDDEN),
        )

    @classmethod
    def default_encoders(cls) -> Mapping[str, str | dict[str, Any]]:
        return {"vision": {"name": "resnet", "pool": "mean"}, "text": "gru"}

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch state"]:
        observed = torch.where(mask[..., None], frames, 0.0).sum(dim=1)
        return observed / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        return self.head(side_by_side(encoded.values, encoded.present, self.absent))
