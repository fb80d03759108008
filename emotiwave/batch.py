"""The batch, and the one mask: True = observed. Padding, lost frames and missing modalities are all False.

Where answers need the neighbours of an utterance in its dialogue, those are further rows of the batch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded inputs of some utterances. Every dictionary is keyed by modality.

    The first rows are the utterances to answer, ``asked`` of them; what follows are neighbours that none of them is.
    """

    ids: tuple[str, ...]
    inputs: dict[str, Float[Tensor, "rows _time _features"]]
    mask: dict[str, Bool[Tensor, "rows _time"]]
    targets: Float[Tensor, "asked classes"]
    n_non_finite: dict[str, int]
    """Frames that held NaN or infinity among other values, and so are unobserved; of the utterances to answer."""
    neighbours: Int[Tensor, "asked neighbours"] | None = None
    """The rows of the neighbours of each utterance to answer, -1 for none; None where no context is asked for."""

    @property
    def present(self) -> dict[str, Bool[Tensor, " batch"]]:
        """Whether each utterance has an observed frame, per modality."""
        return {name: mask.any(dim=1) for name, mask in self.mask.items()}

    def to(self, device: torch.device | str) -> "Batch":
        """Move to a device."""
        return replace(
            self,
            inputs={name: values.to(device) for name, values in self.inputs.items()},
            mask={name: mask.to(device) for name, mask in self.mask.items()},
            targets=self.targets.to(device),
            neighbours=None if self.neighbours is None else self.neighbours.to(device),
        )


def keep_only(batch: Batch, modalities: Collection[str]) -> Batch:
    """Hide every modality but these."""
    return replace(batch, mask={name: mask & (name in modalities) for name, mask in batch.mask.items()})


def collate(corpus: Corpus, indices: Sequence[int] | np.ndarray, neighbours: NDArray[np.int64] | None = None) -> Batch:
    """Bring utterances together, padded to the longest in each modality.

    Args:
        corpus: Where they are from.
        indices: Which ones are to be answered.
        neighbours: Those of every utterance of the corpus, as `find_neighbours` gives them; they come along.

    A frame with a non-finite value is unobserved; its values become zero so that no arithmetic meets them. A frame of
    NaN alone was marked as unobserved by its maker; only others are counted.
    """
    indices = np.asarray(indices, dtype=np.int64)
    rows, among = (indices, None) if neighbours is None else _with_neighbours(indices, neighbours)
    ids = tuple(corpus.utterances[i].id for i in rows)
    inputs, mask, n_non_finite = {}, {}, {}
    for name, sequence in corpus.sequences.items():
        inputs[name], mask[name], spoilt = _pad(sequence, ids)
        n_non_finite[name] = int(spoilt[: len(indices)].sum())
    return Batch(ids, inputs, mask, torch.from_numpy(corpus.targets[indices]), n_non_finite, among)


def _with_neighbours(indices: NDArray[np.int64], neighbours: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensor]:
    """Put the neighbours behind the utterances, each once, and say in which rows they are."""
    wanted = neighbours[indices]
    rows = np.array(list(dict.fromkeys([*indices.tolist(), *wanted[wanted >= 0].tolist()])), dtype=np.int64)
    order = np.argsort(rows)
    found = order[np.searchsorted(rows[order], wanted.clip(min=0)).clip(max=len(rows) - 1)]
    return rows, torch.from_numpy(np.where(wanted >= 0, found, -1))


def _pad(sequence: ComputationalSequence, ids: tuple[str, ...]) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Pad values, say which frames are observed, and count by row those with some non-finite value."""
    lengths = [sequence.n_frames(name) for name in ids]
    values = np.zeros((len(ids), max(1, *lengths), sequence.size), dtype=np.float32)
    observed = np.zeros(values.shape[:2], dtype=bool)
    for row, (name, length) in enumerate(zip(ids, lengths, strict=True)):
        if length:
            values[row, :length] = sequence[name].values
            observed[row, :length] = True
    finite = np.isfinite(values)
    usable = finite.all(axis=2)
    if usable.all():
        return torch.from_numpy(values), torch.from_numpy(observed), np.zeros(len(ids), dtype=np.int64)
    spoilt = (~usable & ~np.isnan(values).all(axis=2)).sum(axis=1)
    values[~usable] = 0.0
    return torch.from_numpy(values), torch.from_numpy(observed & usable), spoilt
