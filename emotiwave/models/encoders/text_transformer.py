"""Words through a published transformer, one vector each: BERT, RoBERTa, MiniLM and their kind."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import AfterValidator
from torch import Tensor

from emotiwave.features.extractors.words import SIZE, decode_words
from emotiwave.features.extractors.words import encode_words as write_words
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.pretrained_part import PretrainedPart, PretrainedSettings, pad_rows, seen_frames
from emotiwave.pretrained.files import Kind, ModelName
from emotiwave.pretrained.loading import Encoder
from emotiwave.pretrained.text import Pieces, TextPreprocessing, encode_known_words
from emotiwave.sequences import ComputationalSequence

DEFAULT = "google-bert/bert-base-uncased"


def _named(pretrained: bool | str) -> bool | str:
    if pretrained is False:
        raise ValueError('one from scratch would need a tokenizer; the encoder "gru" builds its own vocabulary')
    return pretrained


class TextTransformerSettings(PretrainedSettings):
    """Keys of ``text_transformer``."""

    pretrained: Annotated[bool | ModelName, AfterValidator(_named)] = DEFAULT
    """A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub."""
    pieces: Pieces = "mean"
    """Whether a word that is cut into pieces is the mean of them or the first."""


class TextTransformer(PretrainedPart):
    """Gives the last hidden state of each word; a word that the tokenizer makes nothing of is unobserved.

    A text that is longer than the model can take goes through in windows that overlap by a quarter.
    """

    takes = "words"
    kind: ClassVar[Kind] = "text"
    form = f"text_transformer takes words as frames of {SIZE} numbers"
    settings: TextTransformerSettings

    def __init__(self, settings: TextTransformerSettings, origin: Origin) -> None:
        super().__init__(settings, origin, DEFAULT if isinstance(settings.pretrained, bool) else settings.pretrained)

    @classmethod
    def fits(cls, size: int) -> bool:
        return size == SIZE

    def _read(self, encoder: Encoder) -> Encoder:
        self.preprocessing = TextPreprocessing.of(encoder)
        return encoder

    def _example(self) -> Float[Tensor, "1 time size"]:
        return torch.from_numpy(write_words(["a"]))[None]

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Check that some training frames are words.

        Raises:
            FeatureError: If they are not.
        """
        decode_words(seen_frames(sequence, ids))

    def _encode(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        frames = [row[observed].cpu().numpy() for row, observed in zip(values, mask, strict=True)]
        texts = [decode_words(of_text) for of_text in frames]
        depth, pieces = self.encoder.depth, self.settings.pieces
        encoded = encode_known_words(self.encoder, self.preprocessing, texts, [depth], pieces)
        return pad_rows([words for words, _ in encoded], values, [known for _, known in encoded])
