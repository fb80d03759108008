"""Late fusion: every modality answers alone, and the probabilities or values of those present are averaged."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import FrameEncoder, QueryPooling, mean_of_present

DROPOUT = 0.3


class Late(FusionModel):
    """Per modality: frame encoder, one learned query, linear head. The mean is of probabilities, not of logits."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        self.frames = nn.ModuleDict({n: FrameEncoder(self.sizes[n], width) for n in self.modalities})
        self.pooling = nn.ModuleDict({n: QueryPooling(width, 1, width // 16, DROPOUT) for n in self.modalities})
        self.heads = nn.ModuleDict(
            {n: nn.Sequential(nn.LayerNorm(width), self.answer_layer(width)) for n in self.modalities}
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch classes"]:
        return self.heads[name](self.pooling[name](self.frames[name](frames, mask), mask)[:, 0])

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        logits = torch.stack([encoded.values[name] for name in self.modalities])  # (modality, batch, classes)
        present = torch.stack([encoded.present[name] for name in self.modalities])[..., None]
        if self.spec.label_set.kind == "continuous":
            return mean_of_present(logits, present[..., 0])
        if self.spec.label_set.is_exclusive:
            return _log_mean(F.log_softmax(logits, dim=-1), present)
        return _log_mean(F.logsigmoid(logits), present) - _log_mean(F.logsigmoid(-logits), present)


class Unimodal(Late):
    """One modality alone; where it is missing, the answer is the class prior."""

    def __init__(self, spec: ModelSpec) -> None:
        modality = spec.settings.modality
        if modality is None:
            raise ConfigError(f"model 'unimodal' needs model.modality; choose one of {', '.join(spec.sizes)}")
        if modality not in spec.sizes:
            raise ConfigError(unknown_name("modality", modality, spec.sizes))
        super().__init__(replace(spec, sizes={modality: spec.sizes[modality]}))


def _log_mean(
    logs: Float[Tensor, "modality batch classes"], present: Bool[Tensor, "modality batch 1"]
) -> Float[Tensor, "batch classes"]:
    """Log of the mean over the modalities present; finite where none is."""
    total = torch.logsumexp(logs.masked_fill(~present, -1e4), dim=0)
    return total - present.sum(dim=0).clamp(min=1).log()
