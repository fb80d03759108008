"""Directed cross-modal attention among sequences, built for modalities that may be missing.

The directed streams follow Tsai et al. (ACL 2019), whose model is `emotiwave.models.mult`. Here a target has one stream
that hears all its sources side by side, in place of one stack per pair, and learned queries read the streams.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.directed_attention import DirectedStack
from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import AttentionBlock, FrameEncoder, QueryPooling

N_BLOCKS = 2
N_QUERIES = 4
HEAD_WIDTH = 16
DROPOUT = 0.3


class CrossModalTransformer(FusionModel):
    """Each modality hears the others by directed attention, then itself; learned queries read all streams.

    Per modality: frame encoder, directed blocks, self-attention over time, a few queries that sum up the stream.
    Together: one query that reads the sums of the streams whose modality is present. An absent source adds exactly
    zero to a stream, an absent target has no stream, and the stream of a modality that is alone is its own path.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        n_heads = width // HEAD_WIDTH
        self.frames = nn.ModuleDict({n: FrameEncoder(self.sizes[n], width) for n in self.modalities})
        self.directed = nn.ModuleDict(
            {n: DirectedStack(self.sources(n), N_BLOCKS, width, n_heads, DROPOUT, expansion=2) for n in self.modalities}
        )
        self.over_time = nn.ModuleDict({n: AttentionBlock(width, n_heads, DROPOUT) for n in self.modalities})
        self.norm = nn.ModuleDict({n: nn.LayerNorm(width) for n in self.modalities})
        self.queries = nn.ModuleDict({n: QueryPooling(width, N_QUERIES, n_heads, DROPOUT) for n in self.modalities})
        self.norm_sums = nn.LayerNorm(width)
        self.readout = QueryPooling(width, 1, n_heads, DROPOUT)
        self.head = nn.Sequential(nn.LayerNorm(width), self.answer_layer(width))

    def sources(self, target: str) -> tuple[str, ...]:
        """List the modalities that a target hears: all others."""
        return tuple(name for name in self.modalities if name != target)

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time width"]:
        return self.frames[name](frames, mask)

    def streams(self, encoded: Encoded) -> dict[str, Float[Tensor, "batch _time width"]]:
        """Give the frames of each modality after they have heard the others that are present, then themselves."""
        masks = {name: encoded.mask[name] & encoded.present[name][:, None] for name in self.modalities}
        streams = {}
        for name in self.modalities:
            heard = self.directed[name](encoded.values[name], encoded.values, masks)
            streams[name] = self.norm[name](self.over_time[name](heard, masks[name]))
        return streams

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        streams = self.streams(encoded)
        sums = [self.queries[name](streams[name], encoded.mask[name]) for name in self.modalities]
        present = torch.stack([encoded.present[name] for name in self.modalities], dim=1)
        tokens = self.norm_sums(torch.cat(sums, dim=1))
        return self.head(self.readout(tokens, present.repeat_interleave(N_QUERIES, dim=1))[:, 0])
