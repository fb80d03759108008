"""MBT, the Multimodal Bottleneck Transformer of Nagrani et al. (NeurIPS 2021)."""

import math
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import AttentionBlock, FrameEncoder, mean_of_present

N_OWN_BLOCKS = 2
N_FUSION_BLOCKS = 2
N_BOTTLENECK = 4
"""Tokens through which modalities exchange what they know."""
BOTTLENECK_START = 0.02
"""Standard deviation of the first bottleneck tokens, as in the paper."""
HEAD_WIDTH = 16
EXPANSION = 4
DROPOUT = 0.1


class Mbt(FusionModel):
    """A transformer per modality; from the middle block on, a few shared tokens carry all exchange between them.

    In each fusion block every modality attends to its own tokens and the bottleneck, and the bottleneck goes on as the
    mean of what the present modalities made of it. One linear layer reads the classification token of each modality,
    and the logits of the present ones are averaged. Instead of a pretrained vision transformer of 12 blocks on patches
    there are 4 blocks on frames, with dropout in place of stochastic depth.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        self.frames = nn.ModuleDict({n: FrameEncoder(self.sizes[n], width) for n in self.modalities})
        self.classification = nn.ParameterDict(
            {n: nn.Parameter(torch.randn(width) / math.sqrt(width)) for n in self.modalities}
        )
        self.own = nn.ModuleDict({n: nn.ModuleList(_blocks(width, N_OWN_BLOCKS)) for n in self.modalities})
        self.fusion = nn.ModuleDict({n: nn.ModuleList(_blocks(width, N_FUSION_BLOCKS)) for n in self.modalities})
        self.bottleneck = nn.Parameter(torch.randn(N_BOTTLENECK, width) * BOTTLENECK_START)
        self.norm = nn.ModuleDict({n: nn.LayerNorm(width) for n in self.modalities})
        self.answer = self.answer_layer(width)

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch tokens width"]:
        first = self.classification[name].expand(len(frames), 1, -1)
        tokens = torch.cat([first, self.frames[name](frames, mask)], dim=1)
        for block in cast(nn.ModuleList, self.own[name]):
            tokens = block(tokens, _visible(mask, n_shared=0))
        return tokens

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        tokens = dict(encoded.values)
        present = torch.stack([encoded.present[name] for name in self.modalities])
        visible = {name: _visible(encoded.mask[name], N_BOTTLENECK) for name in self.modalities}
        bottleneck = self.bottleneck.expand(present.shape[1], -1, -1)
        for index in range(N_FUSION_BLOCKS):
            updates = []
            for name in self.modalities:
                joined = torch.cat([tokens[name], bottleneck], dim=1)
                joined = cast(nn.ModuleList, self.fusion[name])[index](joined, visible[name])
                tokens[name], update = joined[:, :-N_BOTTLENECK], joined[:, -N_BOTTLENECK:]
                updates.append(update)
            bottleneck = mean_of_present(torch.stack(updates), present)
        logits = [self.answer(self.norm[name](tokens[name][:, 0])) for name in self.modalities]
        return mean_of_present(torch.stack(logits), present)


def _blocks(width: int, n_blocks: int) -> list[AttentionBlock]:
    return [AttentionBlock(width, width // HEAD_WIDTH, DROPOUT, EXPANSION) for _ in range(n_blocks)]


def _visible(mask: Bool[Tensor, "batch time"], n_shared: int) -> Bool[Tensor, "batch tokens"]:
    """Mask of the classification token, the frames and the bottleneck; only frames can be hidden."""
    always = mask.new_ones(len(mask), 1)
    return torch.cat([always, mask, always.expand(-1, n_shared)], dim=1)
