"""Hidden states of a pretrained text encoder, one vector per word: BERT, RoBERTa, MiniLM and their kind."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from emotiwave.features.extractor import TextExtractor
from emotiwave.pretrained.files import ModelName
from emotiwave.pretrained.loading import Encoder, load_encoder
from emotiwave.pretrained.running import Device, Precision, Resolved, choose_device, choose_precision, inference, place
from emotiwave.pretrained.text import Pieces, TextPreprocessing, encode_words
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings


class TextEncoderSettings(Settings):
    """Keys of ``text_encoder``."""

    model: ModelName | Annotated[tuple[ModelName, ...], Field(min_length=1)] = "sentence-transformers/all-MiniLM-L6-v2"
    """A folder that ``save_pretrained`` or ``emotiwave save-encoder`` has written, or a name of the Hugging Face Hub;
    the vectors of several are put one after the other."""
    revision: str | None = None
    """A branch, tag or commit of the Hub, of a single model."""
    layer: int | Annotated[tuple[int, ...], Field(min_length=1)] = -1
    """Which hidden state: 0 is what the first layer is given, -1 the last; several are put one after the other."""
    pieces: Pieces = "mean"
    """Whether a word that is cut into pieces is the mean of them or the first."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware multiplies in it; values then differ by at most 3 %."""
    device: Device = "auto"
    """``auto`` takes a GPU where there is one."""

    @field_validator("model", mode="before")
    @classmethod
    def _are_names(cls, given: Any) -> Any:
        several = [given] if isinstance(given, str) else given
        if not isinstance(several, list | tuple) or not several or not all(isinstance(name, str) for name in several):
            raise ValueError("expected a folder or a name of the Hub, or a list of them")
        return given if isinstance(given, str) else tuple(several)

    @property
    def models(self) -> tuple[str, ...]:
        """All of them."""
        return (self.model,) if isinstance(self.model, str) else self.model

    @model_validator(mode="after")
    def _revision_is_of_one(self) -> "TextEncoderSettings":
        if self.revision is not None and len(self.models) > 1:
            raise ValueError(f"revision is of one model; got {len(self.models)}: leave it out")
        return self


class TextEncoder(TextExtractor):
    """One row per word, with the interval of the word; a word that a tokenizer makes nothing of is unobserved.

    A text that is longer than the model can take goes through in windows that overlap by a quarter.
    """

    VERSION: ClassVar[int] = 2

    def __init__(self, settings: TextEncoderSettings) -> None:
        self.settings = settings
        asked = (settings.layer,) if isinstance(settings.layer, int) else settings.layer
        self.encoders = [
            load_encoder(name, "text", revision=settings.revision, weights=False) for name in settings.models
        ]
        self.layers = [[encoder.layer_index(layer) for layer in asked] for encoder in self.encoders]
        self.size = sum(encoder.width * len(asked) for encoder in self.encoders)
        self.device = choose_device(settings.device)
        self.precision: Resolved = choose_precision(settings.precision, self.device)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version, the models' files, layers, how pieces are joined, and precision."""
        models = [dict(encoder.identity) for encoder in self.encoders]
        return {
            "name": "text_encoder",
            "version": self.VERSION,
            "model": models[0] if len(models) == 1 else models,
            "layers": self.layers[0] if len(models) == 1 else self.layers,
            "pieces": self.settings.pieces,
            "precision": self.precision,
        }

    @cached_property
    def _ready(self) -> list[tuple[Encoder, TextPreprocessing]]:
        return [(place(encoder, self.device), TextPreprocessing.of(encoder)) for encoder in self.encoders]

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Encode the words of one text.

        Raises:
            CheckpointError: At the first call, if weights or tokenizer are missing or damaged.
        """
        return self.many([(signal, timing)])[0]

    def many(self, signals: Sequence[tuple[Sequence[str], NDArray[np.float64]]]) -> list[FeatureSequence]:
        """Encode several texts, those of like length in one batch."""
        texts = [words for words, _ in signals]
        by_model = []
        for (encoder, preprocessing), layers in zip(self._ready, self.layers, strict=True):
            with inference(encoder, self.device, self.precision):
                states = encode_words(encoder, preprocessing, texts, layers, self.settings.pieces)
            by_model.append([state.float().cpu().numpy() for state in states])
        sequences = []
        for *vectors, (_, intervals) in zip(*by_model, signals, strict=True):
            values = np.concatenate(vectors, axis=1)
            values[np.isnan(values).any(axis=1)] = np.nan  # what one of several does not know is unobserved
            sequences.append(FeatureSequence(values, intervals))
        return sequences
