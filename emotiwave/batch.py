"""The batch, and the one mask: True = observed. Padding, lost frames and missing modalities are all False."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded inputs of some utterances. Every dictionary is keyed by modality."""

    ids: tuple[str, ...]
    inputs: dict[str, Float[Tensor, "batch _time _features"]]
    mask: dict[str, Bool[Tensor, "batch _time"]]
    targets: Float[Tensor, "batch classes"]
    n_non_finite: dict[str, int]
    """Frames that held NaN or infinity among other values, and so are unobserved."""

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
        )


def keep_only(batch: Batch, modalities: Collection[str]) -> Batch:
    """Hide every modality but these."""
    return replace(batch, mask={name: mask & (name in modalities) for name, mask in batch.mask.items()})


def collate(corpus: Corpus, indices: Sequence[int] | np.ndarray) -> Batch:
    """Bring utterances together, padded to the longest in each modality.

    A frame with a non-finite value is unobserved; its values become zero so that no arithmetic meets them. A frame of
    NaN alone was marked as unobserved by its maker; only others are counted.
    """
    ids = tuple(corpus.utterances[i].id for i in indices)
    inputs, mask, n_non_finite = {}, {}, {}
    for name, sequence in corpus.sequences.items():
        inputs[name], mask[name], n_non_finite[name] = _pad(sequence, ids)
    targets = torch.from_numpy(corpus.targets[np.asarray(indices)])
    return Batch(ids, inputs, mask, targets, n_non_finite)


def _pad(sequence: ComputationalSequence, ids: tuple[str, ...]) -> tuple[Tensor, Tensor, int]:
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
        return torch.from_numpy(values), torch.from_numpy(observed), 0
    spoilt = int((~usable & ~np.isnan(values).all(axis=2)).sum())
    values[~usable] = 0.0
    return torch.from_numpy(values), torch.from_numpy(observed & usable), spoilt
