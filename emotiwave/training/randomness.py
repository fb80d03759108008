"""All randomness of training comes from (seed, epoch, step), so that a resumed run repeats what it would have done."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

BATCHES_PER_BUCKET = 20


def derived_seed(*path: int) -> int:
    """One 63-bit seed for a path such as (seed, epoch, step)."""
    # with its length, for a seed sequence takes (0,) and (0, 0) for the same
    return int(np.random.SeedSequence((len(path), *path)).generate_state(1, dtype=np.uint64)[0] >> 1)


class EpochBatches(Sampler[NDArray[np.int64]]):
    """Shuffled batches of an epoch, utterances of like length together so that little is padded.

    With several processes each takes every ``world``-th batch; all take the same number.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        lengths: NDArray[np.int64],
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.indices, self.lengths, self.batch_size = indices, lengths, batch_size
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, -(-len(self.indices) // self.batch_size) // self.world)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        # a generator: on resume Lightning asks for the iterator first and sets the epoch afterwards
        rng = np.random.default_rng(derived_seed(self.seed, self.epoch))
        order = rng.permutation(len(self.indices))
        bucket = self.batch_size * BATCHES_PER_BUCKET
        order = np.concatenate(
            [
                part[np.argsort(self.lengths[part], kind="stable")]
                for part in np.split(order, range(bucket, len(order), bucket))
            ]
        )
        batches = np.split(order, range(self.batch_size, len(order), self.batch_size))
        shuffled = [self.indices[batches[i]] for i in rng.permutation(len(batches))]
        for i in range(self.rank, len(self) * self.world, self.world):
            yield shuffled[i % len(shuffled)]


def draw_kept_by_batch(
    present: dict[str, Bool[Tensor, " batch"]], dropout: float, generator: torch.Generator
) -> dict[str, Bool[Tensor, " batch"]]:
    """Draw which modalities a whole batch keeps: each is dropped with probability ``dropout``, perhaps all of them."""
    kept = torch.rand(len(present), generator=generator) >= dropout
    return {name: torch.full_like(present[name], bool(keep)) for name, keep in zip(sorted(present), kept, strict=True)}


def draw_kept(
    present: dict[str, Bool[Tensor, " batch"]], dropout: float, generator: torch.Generator
) -> dict[str, Bool[Tensor, " batch"]]:
    """Draw which modalities each utterance keeps: each is dropped with probability ``dropout``, never all present."""
    names = sorted(present)
    stacked = torch.stack([present[name].cpu() for name in names], dim=1)  # (batch, modality)
    kept = torch.rand(stacked.shape, generator=generator) >= dropout
    saved = (torch.rand(stacked.shape, generator=generator) * stacked).argmax(dim=1)  # one of those present
    emptied = ~(kept & stacked).any(dim=1)
    kept[emptied, saved[emptied]] = True
    return {name: kept[:, column].to(present[name].device) for column, name in enumerate(names)}
