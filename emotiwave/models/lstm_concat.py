"""The baseline that people know: one bidirectional LSTM per modality, final states concatenated, two linear layers."""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import final_states, side_by_side

FRAMES_OF_ZEROS = 300
"""How long the sequence of zeros is that stands for an absent modality in `LstmConcatZeros`."""


class LstmConcat(FusionModel):
    """Hidden 128 per direction at the size ``small``; three modalities give 768 -> 128 -> classes.

    The state of an absent modality is a learned vector that starts at zero. Where training never lacks a modality, it
    stays there, and this is the classic model that sees zeros.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        hidden = 2 * WIDTHS[spec.settings.size]
        self.lstm = nn.ModuleDict(
            {n: nn.LSTM(self.sizes[n], hidden, batch_first=True, bidirectional=True) for n in self.modalities}
        )
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(2 * hidden)) for name in self.modalities})
        self.head = nn.Sequential(
            nn.Linear(2 * hidden * len(self.modalities), hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            self.answer_layer(hidden),
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch state"]:
        return final_states(cast(nn.LSTM, self.lstm[name]), frames, mask)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        return self.head(side_by_side(encoded.values, encoded.present, self.absent))


class LstmConcatZeros(LstmConcat):
    """As notebooks have it: an absent modality is a sequence of zeros that the LSTM reads like any other.

    For comparison only. In training even a batch without any modality is answered and learned from.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        del self.absent

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch 2 state"]:
        state = super().encode_modality(name, frames, mask)
        zeros = frames.new_zeros(1, FRAMES_OF_ZEROS, frames.shape[2])
        of_zeros = super().encode_modality(name, zeros, mask.new_ones(1, FRAMES_OF_ZEROS))
        return torch.stack([state, of_zeros.expand_as(state)], dim=1)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        states, of_zeros = ({name: both[:, part] for name, both in encoded.values.items()} for part in range(2))
        return self.head(side_by_side(states, encoded.present, of_zeros))

    def answerable(self, encoded: Encoded) -> Bool[Tensor, " batch"]:
        found = super().answerable(encoded)
        return torch.ones_like(found) if self.training else found
