"""A speaker encoder: three LSTM layers over mel bands, trained to tell voices apart.

Wan et al., 2018, "Generalized end-to-end loss for speaker verification", ICASSP, as trained and published by Resemble
AI in Resemblyzer 0.1.4 (Apache-2.0). Written anew; the weights converted by ``weights/scripts/convert.py``. Silence is
not cut out here, and sound quieter than -30 dB of full scale is brought to that.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 16_000
"""Hz of the sound that it takes."""
BANDS, WIDTH = 40, 256
WINDOW, HOP = 400, 160
STRETCH, STEP = 160, 80
"""Frames of 10 ms that it was trained on at a time, and from one such stretch to the next."""
QUIET = -30.0
"""dB of full scale; quieter sound is made louder."""
NOTHING = 1e-9
CORNER_HERTZ, CORNER_MEL = 1000.0, 15.0
"""Where the mel scale of Slaney's Auditory Toolbox (1998) turns from linear to logarithmic."""
MEL_STEP = np.log(6.4) / 27.0
"""Of the logarithm of the frequency, for each mel above it."""


class SpeakerEncoder(nn.Module):
    """Sound to hidden states; without its weights until a state dict is loaded."""

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = slaney_filters(WINDOW // 2 + 1, BANDS, RATE)
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


def slaney_filters(n_bins: int, n_bands: int, rate: int) -> NDArray[np.float64]:
    """Weights ``(n_bins, n_bands)`` of triangular bands over a spectrum up to half the rate, each of the same area.

    Their corners are equally far apart in mel, from 0 Hz up.
    """
    highest = CORNER_MEL + np.log(rate / 2 / CORNER_HERTZ) / MEL_STEP
    mel = np.linspace(0.0, highest, n_bands + 2)
    above = CORNER_HERTZ * np.exp(MEL_STEP * (np.maximum(mel, CORNER_MEL) - CORNER_MEL))
    corners = np.where(mel < CORNER_MEL, mel * CORNER_HERTZ / CORNER_MEL, above)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    frequencies = np.linspace(0, rate // 2, n_bins)[:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
