"""Layers that know the mask: standardisation, attention, the encoder of frames, and what sums up a sequence."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

CLIP = 5.0
"""Standardised values are cut at this many standard deviations: raw features hold wild outliers."""
FARTHEST = 100.0
"""Where features are said to have no outliers, they are cut only here, so that arithmetic stays finite."""


class Standardize(nn.Module):
    """Centre and scale each feature by statistics of observed training frames, which are part of the model.

    Unobserved frames come out as zeros, whatever they held.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, size: int, clip: float = CLIP) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time size"]:
        values = torch.where(mask[..., None], values, self.center)  # a new tensor, so in place from here
        return values.sub_(self.center).mul_(self.scale.reciprocal()).clamp_(-self.clip, self.clip)


class RankScores(nn.Module):
    """Replace each feature's value by the normal score of its rank among the training values, whatever its scale.

    Between the quantiles that are kept the score is interpolated; a value that many training frames share gets the
    middle of their scores. Unobserved frames come out as zeros, whatever they held.
    """

    quantiles: Tensor
    scores: Tensor

    def __init__(self, size: int, n_quantiles: int = 101) -> None:
        super().__init__()
        levels = torch.linspace(0, 1, n_quantiles).clamp(0.5 / (n_quantiles - 1), 1 - 0.5 / (n_quantiles - 1))
        self.register_buffer("quantiles", torch.zeros(size, n_quantiles))
        self.register_buffer("scores", math.sqrt(2) * torch.erfinv(2 * levels - 1), persistent=False)

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time size"]:
        values = torch.where(mask[..., None], values, self.quantiles[:, 0])
        by_feature = values.flatten(0, 1).T.contiguous()
        scores = (self._scores(by_feature, right=False) + self._scores(by_feature, right=True)) / 2
        return torch.where(mask[..., None], scores.T.unflatten(0, values.shape[:2]), 0.0)

    def _scores(self, values: Float[Tensor, "size frames"], *, right: bool) -> Float[Tensor, "size frames"]:
        above = torch.searchsorted(self.quantiles, values, right=right).clamp(1, len(self.scores) - 1)
        low, high = self.quantiles.gather(1, above - 1), self.quantiles.gather(1, above)
        is_flat = high == low
        beside = torch.where(values > low, 1.0, torch.where(values < low, 0.0, 1.0 if right else 0.0))
        share = (values - low) / torch.where(is_flat, 1.0, high - low)  # no 0 / 0, of which gradients are NaN
        share = torch.where(is_flat, beside, share).clamp(0, 1)
        return torch.lerp(self.scores[above - 1], self.scores[above], share)


class Attention(nn.Module):
    """Multi-head attention over the observed keys; no dropout inside, which would turn the fast kernels off."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        queries: Float[Tensor, "batch targets width"],
        keys: Float[Tensor, "batch time width"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch targets width"]:
        key, value = self.key_value(keys).chunk(2, dim=-1)
        visible = mask | ~mask.any(dim=1, keepdim=True)  # softmax over nothing is NaN; the caller ignores such rows
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(queries)), self._split(key), self._split(value), attn_mask=visible[:, None, None, :]
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def weights(
        self,
        queries: Float[Tensor, "batch targets width"],
        keys: Float[Tensor, "batch time width"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch heads targets time"]:
        """Say where queries look: their shares of the observed keys, which add up to 1."""
        key, _ = self.key_value(keys).chunk(2, dim=-1)
        asked, offered = self._split(self.query(queries)), self._split(key)
        visible = mask | ~mask.any(dim=1, keepdim=True)
        scores = asked @ offered.mT / math.sqrt(asked.shape[-1])
        return scores.masked_fill(~visible[:, None, None, :], -torch.inf).softmax(dim=-1)

    def _split(self, values: Tensor) -> Tensor:
        return values.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (batch, heads, time, width / heads)


class AttentionBlock(nn.Module):
    """Attention, then a feed-forward net, each on normalised input and added to it (pre-norm transformer)."""

    def __init__(self, width: int, n_heads: int, dropout: float, expansion: int = 2) -> None:
        super().__init__()
        self.norm_queries = nn.LayerNorm(width)
        self.attention = Attention(width, n_heads)
        self.feed_forward = feed_forward(width, expansion)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "batch targets width"],
        mask: Bool[Tensor, "batch time"],
        keys: Float[Tensor, "batch time width"] | None = None,
    ) -> Float[Tensor, "batch targets width"]:
        """Attend to ``keys``, or to the queries themselves; ``mask`` is of what is attended to."""
        normed = self.norm_queries(queries)
        queries = queries + self.dropout(self.attention(normed, normed if keys is None else keys, mask))
        return queries + self.dropout(self.feed_forward(queries))


class FrameEncoder(nn.Module):
    """Standardised frames -> frames of the model's width that know their neighbours and their place in time."""

    def __init__(self, size: int, width: int, kernel: int = 5) -> None:
        super().__init__()
        self.project = nn.Linear(size, width)
        self.norm = nn.LayerNorm(width)
        self.neighbours = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.norm_out = nn.LayerNorm(width)

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time width"]:
        frames = self.project(values)
        frames = frames + sinusoids(frames.shape[1], frames.shape[2]).to(frames)
        normed = self.norm(frames) * mask[..., None]  # what the convolution sees of an unobserved frame is zero
        return self.norm_out(frames + F.relu(self.neighbours(normed.mT).mT))


class QueryPooling(nn.Module):
    """Learned queries read a sequence of any length into a few tokens by cross-attention."""

    def __init__(self, width: int, n_queries: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(n_queries, width) / math.sqrt(width))
        self.block = AttentionBlock(width, n_heads, dropout)

    def forward(
        self, frames: Float[Tensor, "batch time width"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch queries width"]:
        return self.block(self.queries.expand(len(frames), -1, -1), mask, keys=frames)


def feed_forward(width: int, expansion: int) -> nn.Sequential:
    """Build the feed-forward net of a pre-norm transformer, ``expansion`` times as wide inside."""
    inside = expansion * width
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inside), nn.GELU(), nn.Linear(inside, width))


def final_states(
    lstm: nn.LSTM, frames: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch states"]:
    """Final states of each layer and direction after the observed frames, joined as if there were no others.

    Where nothing is observed, the states are those after the first frame.
    """
    first = torch.argsort(~mask, dim=1, stable=True)  # observed frames to the front, in order
    frames = frames.gather(1, first[..., None].expand_as(frames))
    lengths = mask.sum(dim=1).clamp(min=1).cpu()
    packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
    _, (states, _) = lstm(packed)
    return states.transpose(0, 1).flatten(1)


def side_by_side(
    vectors: Mapping[str, Float[Tensor, "batch _width"]],
    present: Mapping[str, Bool[Tensor, " batch"]],
    stand_ins: Mapping[str, Float[Tensor, "*_"]] | nn.ParameterDict,
) -> Float[Tensor, "batch widths"]:
    """Join the vectors of modalities in the order of their names; where one is absent, what stands in for it."""
    return torch.cat(
        [torch.where(present[name][:, None], vectors[name], stand_ins[name]) for name in sorted(vectors)], dim=1
    )


def mean_of_present(
    values: Float[Tensor, "modality batch *_"], present: Bool[Tensor, "modality batch"]
) -> Float[Tensor, "batch *_"]:
    """Mean over the modalities that are present; zeros where none is."""
    there = present.reshape(*present.shape, *[1] * (values.ndim - 2))
    return torch.where(there, values, 0.0).sum(dim=0) / there.sum(dim=0).clamp(min=1)


def sinusoids(n_frames: int, width: int) -> Float[Tensor, "time width"]:
    """Give each frame index its sines and cosines (Vaswani et al., 2017, section 3.5)."""
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(n_frames)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]
