"""Frames of features read in order, forwards and backwards, by a recurrent network."""

from jaxtyping import Bool, Float
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.features import Features
from emotiwave.settings import Settings


class LstmSettings(Settings):
    """Keys of ``lstm``."""

    width: int = Field(128, ge=2, le=8192)
    """Features per frame that come out, half of them of either direction; an even number."""

    @field_validator("width")
    @classmethod
    def _width_has_halves(cls, given: int) -> int:
        if given % 2:
            raise ValueError("expected an even number, half of it for either direction")
        return given


class Lstm(Features):
    """Standardised features through a bidirectional LSTM of one layer, which never meets an unobserved frame.

    Its states come out one after the other, without the gaps.
    """

    def __init__(self, settings: LstmSettings, origin: Origin) -> None:
        super().__init__(settings, origin)
        self.width = settings.width
        self.lstm = nn.LSTM(origin.size, settings.width // 2, batch_first=True, bidirectional=True)

    @property
    def described(self) -> str:
        return f"{super().described}, bidirectional LSTM of width {self.width}"

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        frames, mask = super().forward(values, mask)
        first = mask.sort(dim=1, descending=True, stable=True)  # observed frames to the front, in order
        frames = frames.gather(1, first.indices[..., None].expand_as(frames))
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return states, first.values[:, : states.shape[1]]
