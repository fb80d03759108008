"""A speaker encoder: three LSTM layers over mel bands, trained to tell voices apart.

Wan et al., 2018, "Generalized end-to-end loss for speaker verification", ICASSP, as trained and published by Resemble
AI in Resemblyzer 0.1.4 (Apache-2.0). Written anew; the weights converted by ``weights/scripts/convert.py``. Silence is
not cut out here, and sound quieter than -30 dB of full scale is brought to that.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

RATE = 16_000
"""Hz of the sound that it takes."""
BANDS, WIDTH = 40, 256
WINDOW, HOP = 400, 160
STRETCH, STEP = 160, 80
"""Frames of 10 ms that it was trained on at a time, and from one such stretch to the next."""
QUIET = -30.0
"""dB of full scale; quieter sound is made louder."""
NOTHING = 1e-9


class SpeakerEncoder(nn.Module):
    """Sound to hidden states; without its weights until a state dict is loaded."""

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filter_bank(WINDOW // 2 + 1, BANDS, 0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
        self.register_buffer("mel_filters", torch.tensor(filters, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.lstm = nn.LSTM(BANDS, WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def bands(self, samples: Float[Tensor, " samples"]) -> Float[Tensor, "frames 40"]:
        """Power in mel bands of each 10 ms."""
        level = 20 * torch.log10(samples.square().mean().sqrt() + NOTHING)
        louder = samples * 10 ** ((QUIET - level).clamp(min=0) / 20)
        spectra = torch.stft(louder, WINDOW, HOP, WINDOW, self.window, pad_mode="constant", return_complex=True)
        return spectra.abs().square().T @ self.mel_filters

    def forward(
        self, samples: Float[Tensor, " samples"]
    ) -> tuple[Float[Tensor, "stretches frames 256"], Float[Tensor, "stretches 768"]]:
        """Give what the last layer says at every frame, and what all three say at the end of every stretch.

        The last stretch ends with the sound; shorter sound is one stretch.
        """
        bands = self.bands(samples)
        if len(bands) <= STRETCH:
            stretches = bands[None]
        else:
            starts = [*range(0, len(bands) - STRETCH, STEP), len(bands) - STRETCH]
            stretches = torch.stack([bands[start : start + STRETCH] for start in starts])
        outputs, (hidden, _) = self.lstm(stretches)
        return outputs, hidden.transpose(0, 1).flatten(1)

    def embed(self, samples: Float[Tensor, " samples"]) -> Float[Tensor, " 256"]:
        """Give the vector of the voice, of length 1: the mean over stretches."""
        _, hidden = self(samples)
        vector = F.normalize(F.relu(self.linear(hidden[:, -WIDTH:])), dim=1).mean(dim=0)
        return F.normalize(vector, dim=0)
