"""Hidden states of a pretrained text encoder, one vector per word: BERT, RoBERTa, MiniLM and their kind."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.features.extractor import TextExtractor
from emotiwave.pretrained.files import ModelName
from emotiwave.pretrained.loading import Encoder, load_encoder
from emotiwave.pretrained.running import Device, Precision, Resolved, choose_device, choose_precision, inference, place
from emotiwave.pretrained.text import Pieces, TextPreprocessing, encode_words
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings


class TextEncoderSettings(Settings):
    """Keys of ``text_encoder``."""

    model: ModelName = "sentence-transformers/all-MiniLM-L6-v2"
    """A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub."""
    revision: str | None = None
    """A branch, tag or commit of the Hub."""
    layer: int | Annotated[tuple[int, ...], Field(min_length=1)] = -1
    """Which hidden state: 0 is what the first layer is given, -1 the last; several are put one after the other."""
    pieces: Pieces = "mean"
    """Whether a word that is cut into pieces is the mean of them or the first."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware multiplies in it; values then differ by at most 3 %."""
    device: Device = "auto"
    """``auto`` takes a GPU where there is one."""


class TextEncoder(TextExtractor):
    """One row per word, with the interval of the word; a word that the tokenizer makes nothing of is unobserved.

    A text that is longer than the model can take goes through in windows that overlap by a quarter.
    """

    VERSION: ClassVar[int] = 1

    def __init__(self, settings: TextEncoderSettings) -> None:
        self.settings = settings
        self.encoder = load_encoder(settings.model, "text", revision=settings.revision, weights=False)
        asked = (settings.layer,) if isinstance(settings.layer, int) else settings.layer
        self.layers = [self.encoder.layer_index(layer) for layer in asked]
        self.size = self.encoder.width * len(self.layers)
        self.device = choose_device(settings.device)
        self.precision: Resolved = choose_precision(settings.precision, self.device)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version, the model's files, layers, how pieces are joined, and precision."""
        return {
            "name": "text_encoder",
            "version": self.VERSION,
            "model": dict(self.encoder.identity),
            "layers": self.layers,
            "pieces": self.settings.pieces,
            "precision": self.precision,
        }

    @cached_property
    def _ready(self) -> Encoder:
        return place(self.encoder, self.device)

    @cached_property
    def _preprocessing(self) -> TextPreprocessing:
        return TextPreprocessing.of(self.encoder)

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Encode the words of one text.

        Raises:
            CheckpointError: At the first call, if weights or tokenizer are missing or damaged.
        """
        return self.many([(signal, timing)])[0]

    def many(self, signals: Sequence[tuple[Sequence[str], NDArray[np.float64]]]) -> list[FeatureSequence]:
        """Encode several texts, those of like length in one batch."""
        texts = [words for words, _ in signals]
        with inference(self.encoder, self.device, self.precision):
            states = encode_words(self._ready, self._preprocessing, texts, self.layers, self.settings.pieces)
        return [
            FeatureSequence(state.float().cpu().numpy(), intervals)
            for state, (_, intervals) in zip(states, signals, strict=True)
        ]
