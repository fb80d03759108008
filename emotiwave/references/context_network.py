"""Recurrent nets over the utterances of a dialogue: one per modality, then one over all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from emotiwave.models.layers import side_by_side
from emotiwave.references.utterance_vectors import UtteranceVectors


@dataclass(frozen=True, eq=False)
class Dialogues:
    """Some dialogues, padded to the longest; both dictionaries are keyed by modality."""

    rows: Int[Tensor, "dialogue step"]
    """Which utterance of the split stands where; -1 where the dialogue is over."""
    values: dict[str, Float[Tensor, "dialogue step _features"]]
    present: dict[str, Bool[Tensor, "dialogue step"]]

    @property
    def is_utterance(self) -> Bool[Tensor, "dialogue step"]:
        """Whether there is an utterance."""
        return self.rows >= 0

    def keep(self, kept: Mapping[str, Bool[Tensor, " utterance"]]) -> "Dialogues":
        """Hide a modality in the utterances, dialogue after dialogue, where ``kept`` is False."""
        return replace(self, present={name: here & kept[name].view_as(here) for name, here in self.present.items()})


class ContextNetwork(nn.Module):
    """Bidirectional LSTM over the utterances per modality, another over their states side by side, two linear layers.

    The LSTM of a modality passes over utterances that lack it; a learned vector stands for their state.
    """

    def __init__(self, sizes: Mapping[str, int], n_classes: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.names = tuple(sorted(sizes))
        # lists, for a dictionary of modules refuses some names that a modality may have
        self.lstms = nn.ModuleList(
            [nn.LSTM(sizes[name], hidden, batch_first=True, bidirectional=True) for name in self.names]
        )
        self.absent = nn.ParameterList([nn.Parameter(torch.zeros(2 * hidden)) for _ in self.names])
        self.fusion = nn.LSTM(2 * hidden * len(self.names), hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_classes)
        )

    def forward(self, dialogues: Dialogues) -> Float[Tensor, "dialogue step classes"]:
        """Answer every utterance; what stands where there is none, or nothing of one, means nothing."""
        states = {
            name: states_in_context(lstm, dialogues.values[name], dialogues.present[name]).flatten(0, 1)
            for name, lstm in zip(self.names, self.lstms, strict=True)
        }
        present = {name: dialogues.present[name].flatten() for name in self.names}
        joined = side_by_side(states, present, dict(zip(self.names, self.absent, strict=True)))
        joined = self.dropout(joined).unflatten(0, dialogues.rows.shape)
        return self.head(self.dropout(states_in_context(self.fusion, joined, dialogues.is_utterance)))


def states_in_context(
    lstm: nn.Module, vectors: Float[Tensor, "dialogue step _"], mask: Bool[Tensor, "dialogue step"]
) -> Float[Tensor, "dialogue step states"]:
    """States of an LSTM at each step that the mask holds, as if there were no others; what the others get is finite."""
    order = torch.argsort(~mask, dim=1, stable=True)  # those of the mask to the front, in order
    vectors = vectors.gather(1, order[..., None].expand_as(vectors))
    lengths = mask.sum(dim=1).clamp(min=1).cpu()
    packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
    back = torch.argsort(order, dim=1)
    return states.gather(1, back[..., None].expand_as(states))


def in_batches(dialogues: Sequence[NDArray[np.int64]], n_utterances: int) -> Iterator[Sequence[NDArray[np.int64]]]:
    """Take whole dialogues together, in order, until they have at least so many utterances."""
    start, n_taken = 0, 0
    for end, rows in enumerate(dialogues, start=1):
        n_taken += len(rows)
        if n_taken >= n_utterances or end == len(dialogues):
            yield dialogues[start:end]
            start, n_taken = end, 0


def gather_dialogues(vectors: UtteranceVectors, names: Sequence[str], chosen: Sequence[NDArray[np.int64]]) -> Dialogues:
    """Bring some modalities of dialogues together."""
    rows = pad_sequence([torch.from_numpy(dialogue) for dialogue in chosen], batch_first=True, padding_value=-1)
    here = rows.clamp(min=0)
    return Dialogues(
        rows,
        {name: torch.from_numpy(vectors.values[name])[here] for name in names},
        {name: torch.from_numpy(vectors.present[name])[here] & (rows >= 0) for name in names},
    )
