"""The baseline that people know: one bidirectional LSTM per modality, final states concatenated, two linear layers."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec


class LstmConcat(FusionModel):
    """Hidden 128 per direction at the size ``small``; three modalities give 768 -> 128 -> classes.

    The state of an absent modality is a learned vector that starts at zero. Where training never lacks a modality, it
    stays there, and this is the classic model that sees zeros.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        hidden = 2 * WIDTHS[spec.settings.size]
        self.lstm = nn.ModuleDict(
            {n: nn.LSTM(spec.sizes[n], hidden, batch_first=True, bidirectional=True) for n in self.modalities}
        )
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(2 * hidden)) for name in self.modalities})
        self.head = nn.Sequential(
            nn.Linear(2 * hidden * len(self.modalities), hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, self.n_classes),
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch state"]:
        first = torch.argsort(~mask, dim=1, stable=True)  # observed frames to the front, in order
        frames = frames.gather(1, first[..., None].expand_as(frames))
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        _, (state, _) = self.lstm[name](packed)
        return state.transpose(0, 1).flatten(1)  # (batch, 2 directions x hidden)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        states = [
            torch.where(encoded.present[name][:, None], encoded.values[name], self.absent[name])
            for name in self.modalities
        ]
        return self.head(torch.cat(states, dim=1))
