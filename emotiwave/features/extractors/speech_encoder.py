"""Hidden states of a pretrained speech encoder: HuBERT, wav2vec 2.0, WavLM and their kind, at 50 frames a second."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import soxr
from numpy.typing import NDArray

from emotiwave.errors import FeatureError
from emotiwave.features.extractor import AudioExtractor
from emotiwave.pretrained.files import ModelName
from emotiwave.pretrained.loading import Encoder, load_encoder
from emotiwave.pretrained.running import Device, Precision, Resolved, choose_device, choose_precision, inference, place
from emotiwave.pretrained.speech import SpeechPreprocessing, encode_speech
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings


class SpeechEncoderSettings(Settings):
    """Keys of ``speech_encoder``."""

    model: ModelName = "facebook/hubert-base-ls960"
    """A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub."""
    revision: str | None = None
    """A branch, tag or commit of the Hub."""
    layer: int = -1
    """Which hidden state: 0 is what the first layer is given, -1 the last. Emotion is often plainest in the middle."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware multiplies in it; values then differ by at most 3 %."""
    device: Device = "auto"
    """``auto`` takes a GPU where there is one."""


class SpeechEncoder(AudioExtractor):
    """One frame per hop of the encoder's convolutions, with the seconds around the middle of what it sees.

    Sound that is shorter than one frame sees (25 ms) gives no frame. The network sees all of a block; `context` is
    more than its positions reach.
    """

    VERSION: ClassVar[int] = 1
    context = 2.0

    def __init__(self, settings: SpeechEncoderSettings) -> None:
        self.settings = settings
        self.encoder = load_encoder(settings.model, "speech", revision=settings.revision, weights=False)
        self.layer = self.encoder.layer_index(settings.layer)
        self.preprocessing = SpeechPreprocessing.of(self.encoder)
        self.size = self.encoder.width
        self.frames_per_second = self.preprocessing.rate / self.preprocessing.hop
        self.device = choose_device(settings.device)
        self.precision: Resolved = choose_precision(settings.precision, self.device)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version, the model's files, layer, precision and preprocessing."""
        return {
            "name": "speech_encoder",
            "version": self.VERSION,
            "model": dict(self.encoder.identity),
            "layer": self.layer,
            "precision": self.precision,
            "preprocessing": str(self.preprocessing),
        }

    @cached_property
    def _ready(self) -> Encoder:
        return place(self.encoder, self.device)

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Encode one sound.

        Raises:
            FeatureError: If the sound is not finite.
            CheckpointError: At the first call, if the weights are missing or damaged.
        """
        return self.many([(signal, timing)])[0]

    def many(self, signals: Sequence[tuple[NDArray[np.float32], int]]) -> list[FeatureSequence]:
        """Encode several sounds, those that may share a batch in one."""
        sounds = [self.preprocessing.prepare(self._at_rate(samples, rate)).to(self.device) for samples, rate in signals]
        with inference(self.encoder, self.device, self.precision):
            states = encode_speech(self._ready, self.preprocessing, sounds, self.layer)
        values = [state.float().cpu().numpy() for state in states]
        return [FeatureSequence(rows, self.preprocessing.intervals(len(rows))) for rows in values]

    def _at_rate(self, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        if not np.isfinite(samples).all():
            raise FeatureError("sound holds samples that are not finite; expected numbers, full scale at ±1")
        return samples if rate == self.preprocessing.rate else soxr.resample(samples, rate, self.preprocessing.rate)
