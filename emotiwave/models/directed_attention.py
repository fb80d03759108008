"""Directed cross-modal attention: the frames of one modality, the target, ask those of others, the sources."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.layers import Attention, feed_forward


class DirectedBlock(nn.Module):
    """The target hears each source through an attention of its own, then a feed-forward net follows (pre-norm).

    What several sources say is added. A source of which nothing is observed adds exactly zero, whatever it holds, so
    the target's own frames pass through as if that source did not exist.
    """

    def __init__(self, sources: Sequence[str], width: int, n_heads: int, dropout: float, expansion: int) -> None:
        super().__init__()
        self.norm_target = nn.LayerNorm(width)
        self.norm_sources = nn.ModuleDict({name: nn.LayerNorm(width) for name in sources})
        self.attention = nn.ModuleDict({name: Attention(width, n_heads) for name in sources})
        self.feed_forward = feed_forward(width, expansion)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        target: Float[Tensor, "batch time width"],
        sources: Mapping[str, Float[Tensor, "batch _time width"]],
        masks: Mapping[str, Bool[Tensor, "batch _time"]],
    ) -> Float[Tensor, "batch time width"]:
        """Let the target hear; ``masks`` are those of the sources, all False where a source is absent."""
        question = self.norm_target(target)
        for name, attention in self.attention.items():
            heard = attention(question, self.norm_sources[name](sources[name]), masks[name])
            target = target + self.dropout(torch.where(masks[name].any(dim=1)[:, None, None], heard, 0.0))
        return target + self.dropout(self.feed_forward(target))


class DirectedStack(nn.Module):
    """Some `DirectedBlock`, one after another, and a last normalisation; the sources stay as they were given.

    As in Tsai et al. (ACL 2019, section 3.2) every block asks the sources themselves and not what they have heard from
    elsewhere. So a source reaches a target on one way only: from this source to this target. Without any source there
    is no block, and the target is only normalised.
    """

    def __init__(
        self, sources: Sequence[str], n_blocks: int, width: int, n_heads: int, dropout: float, expansion: int
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            DirectedBlock(sources, width, n_heads, dropout, expansion) for _ in range(n_blocks if sources else 0)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        target: Float[Tensor, "batch time width"],
        sources: Mapping[str, Float[Tensor, "batch _time width"]],
        masks: Mapping[str, Bool[Tensor, "batch _time"]],
    ) -> Float[Tensor, "batch time width"]:
        """Let the target hear; ``masks`` are those of the sources, all False where a source is absent."""
        for block in self.blocks:
            target = block(target, sources, masks)
        return self.norm(target)
