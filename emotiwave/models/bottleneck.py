"""The default model: a few query tokens read each modality, then a transformer fuses the tokens that are present.

The cost of fusion does not depend on the length of the sequences, and an absent modality is absent: its tokens are
masked, not zero. Tokens as the meeting point follow the attention bottlenecks of Nagrani et al. (NeurIPS 2021) and the
learned queries of Perceiver (Jaegle et al., ICML 2021).
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import AttentionBlock, FrameEncoder, QueryPooling

N_QUERIES = 8
HEAD_WIDTH = 16
N_JOINT_LAYERS = 2
DROPOUT = 0.3


class Bottleneck(FusionModel):
    """Per modality: frame encoder and learned queries. Together: a joint transformer with a read-out token."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        n_heads = width // HEAD_WIDTH
        self.frames = nn.ModuleDict({n: FrameEncoder(self.sizes[n], width) for n in self.modalities})
        self.queries = nn.ModuleDict({n: QueryPooling(width, N_QUERIES, n_heads, DROPOUT) for n in self.modalities})
        self.modality_embedding = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(width) / math.sqrt(width)) for name in self.modalities}
        )
        self.readout = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.joint = nn.ModuleList(AttentionBlock(width, n_heads, DROPOUT) for _ in range(N_JOINT_LAYERS))
        self.head = nn.Sequential(nn.LayerNorm(width), self.answer_layer(width))

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch queries width"]:
        return self.queries[name](self.frames[name](frames, mask), mask) + self.modality_embedding[name]

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        batch_size = len(encoded.values[self.modalities[0]])
        readout = self.readout.expand(batch_size, 1, -1)
        tokens = torch.cat([readout, *(encoded.values[name] for name in self.modalities)], dim=1)
        present = torch.stack([encoded.present[name] for name in self.modalities], dim=1)
        visible = torch.cat(
            [torch.ones_like(present[:, :1]), present.repeat_interleave(N_QUERIES, dim=1)], dim=1
        )  # the read-out token sees itself, so attention always has a key
        for block in self.joint:
            tokens = block(tokens, visible)
        return self.head(tokens[:, 0])
