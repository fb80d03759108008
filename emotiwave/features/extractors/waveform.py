"""Sound as it is, sample by sample, for speech encoders that are trained as part of the model."""

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from emotiwave.features.extractor import AudioExtractor
from emotiwave.features.extractors.framing import check_sound
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

RATE = 16_000
"""Hz that all sound is brought to."""
SAMPLES = 320
"""Of one frame: 20 ms, the hop of HuBERT, wav2vec 2.0 and WavLM."""


class WaveformSettings(Settings):
    """``waveform`` has no keys."""


class Waveform(AudioExtractor):
    """One frame per 20 ms: 320 samples at 16 kHz, one channel, full scale at ±1; a rest that is shorter is left out.

    ``values.reshape(-1)`` gives the sound back. Samples are no features: they are never pooled, and sound of more than
    60 seconds is cut.
    """

    size = SAMPLES
    is_costly = False
    is_averageable = False
    frames_per_second = RATE / SAMPLES
    longest = 3000

    def __init__(self, settings: WaveformSettings) -> None:
        self.settings = settings

    @property
    def identity(self) -> dict[str, Any]:
        """Name and version."""
        return {"name": "waveform", "version": 1}

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Cut sound into frames.

        Raises:
            FeatureError: If the sound is not one row of finite numbers.
        """
        check_sound(signal, timing, highest=0.0)
        samples = signal if timing == RATE else soxr.resample(signal, timing, RATE)
        n_frames = len(samples) // SAMPLES
        values = samples[: n_frames * SAMPLES].astype(np.float32).reshape(n_frames, SAMPLES)
        edges = np.arange(n_frames + 1) * SAMPLES / RATE
        return FeatureSequence(values, np.stack([edges[:-1], edges[1:]], axis=1))
