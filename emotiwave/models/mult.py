"""MulT, the Multimodal Transformer of Tsai et al. (ACL 2019): one directed stack per ordered pair of modalities."""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.directed_attention import DirectedStack
from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import AttentionBlock, sinusoids

KERNEL = 3
HEAD_WIDTH = 8
EXPANSION = 4
N_DIRECTED_BLOCKS = 4
N_SELF_BLOCKS = 3
DROPOUT = 0.1


class Mult(FusionModel):
    """Temporal convolution, a directed stack per ordered pair, self-attention per target, its last step, two layers.

    Streams are half as wide as the dial says: 32 at the size ``small``, close to the paper's 30 to 40. The paper knows
    neither masks nor missing modalities. Here unobserved frames are zero to the convolution and hidden from attention,
    and the last step is the last observed one. Attention to an absent source adds exactly zero, so what remains of
    that pair is the target's own path; the state of an absent target is zero. Positions are added once,
    and frames are not multiplied by the square root of their width before (the authors' code multiplies them). GELU
    stands for ReLU inside the blocks, and attention weights have no dropout.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size] // 2
        n_pairs = max(1, len(self.modalities) - 1)  # a modality that has no other is its own stream
        wide = n_pairs * width
        self.convolution = nn.ModuleDict(
            {n: nn.Conv1d(self.sizes[n], width, KERNEL, padding=KERNEL // 2, bias=False) for n in self.modalities}
        )
        self.pairs = nn.ModuleDict(
            {target: nn.ModuleDict(self._stacks(target, width)) for target in self.modalities},
        )
        self.over_time = nn.ModuleDict({n: nn.ModuleList(_self_blocks(wide)) for n in self.modalities})
        self.norm = nn.ModuleDict({n: nn.LayerNorm(wide) for n in self.modalities})
        joined = wide * len(self.modalities)
        self.residual = nn.Sequential(
            nn.Linear(joined, joined), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(joined, joined)
        )
        self.answer = self.answer_layer(joined)

    def _stacks(self, target: str, width: int) -> dict[str, DirectedStack]:
        return {
            source: DirectedStack([source], N_DIRECTED_BLOCKS, width, width // HEAD_WIDTH, DROPOUT, EXPANSION)
            for source in self.modalities
            if source != target
        }

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time width"]:
        convolved = self.convolution[name]((frames * mask[..., None]).mT).mT
        return convolved + sinusoids(convolved.shape[1], convolved.shape[2]).to(convolved)

    def streams(self, encoded: Encoded) -> dict[str, Float[Tensor, "batch _time wide"]]:
        """Give the frames of each target: what it heard in each pair, side by side, after self-attention."""
        masks = {name: encoded.mask[name] & encoded.present[name][:, None] for name in self.modalities}
        streams = {}
        for target in self.modalities:
            own = encoded.values[target]
            stacks = cast(nn.ModuleDict, self.pairs[target]).values()
            heard = [stack(own, encoded.values, masks) for stack in stacks]
            stream = torch.cat(heard, dim=-1) if heard else own
            for block in cast(nn.ModuleList, self.over_time[target]):
                stream = block(stream, masks[target])
            streams[target] = self.norm[target](stream)
        return streams

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        streams = self.streams(encoded)
        states = [
            torch.where(encoded.present[name][:, None], last_observed(streams[name], encoded.mask[name]), 0.0)
            for name in self.modalities
        ]
        joined = torch.cat(states, dim=1)
        return self.answer(joined + self.residual(joined))


def last_observed(
    frames: Float[Tensor, "batch time width"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch width"]:
    """Pick the last observed frame of each utterance; the first where none is."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, steps, 0).amax(dim=1)
    return frames[torch.arange(len(frames), device=mask.device), last]


def _self_blocks(width: int) -> list[AttentionBlock]:
    return [AttentionBlock(width, width // HEAD_WIDTH, DROPOUT, EXPANSION) for _ in range(N_SELF_BLOCKS)]
