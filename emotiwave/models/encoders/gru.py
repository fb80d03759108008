"""Words read in order by a recurrent network, over an embedding that is learned from the training texts alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from emotiwave.errors import ConfigError, FeatureError
from emotiwave.features.extractors.words import SIZE, decode_words
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.vocabulary import PADDING, Vocabulary, read_vocabulary
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings


class GruSettings(Settings):
    """Keys of ``gru``."""

    n_words: int = Field(5000, ge=3, le=200_000)
    """Rows of the embedding: the most frequent words of the training texts, one for all others, one for padding."""
    width_embedding: int = Field(256, ge=1, le=4096)
    """Features of a word."""
    width: int = Field(512, ge=1, le=4096)
    """Features of a state, which is what comes out."""
    output: Literal["last", "sequence"] = "last"
    """The state after the last word as a single frame, or the states after each word."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of an embedded word that is dropped in training."""


class Gru(ModalityEncoder):
    """Lower-cased words and marks, an embedding, and a GRU of one layer.

    Its vocabulary is that of the training texts. A word that is not in it is still a word: a text of such words alone
    is observed. An empty text is not.

    Raises:
        ConfigError: If the frames are not of the size of words.
        CheckpointError: If the vocabulary of a saved model is missing or damaged.
    """

    takes = "words"

    def __init__(self, settings: GruSettings, origin: Origin) -> None:
        super().__init__()
        if origin.size != SIZE:
            raise ConfigError(
                f"model.encoders.{origin.modality}: gru reads words, in frames of {SIZE} values; the data has "
                f'{origin.size}: prepare it with features.extractors.{origin.modality} = "words"'
            )
        self.settings, self.width = settings, settings.width
        self.vocabulary = Vocabulary() if origin.folder is None else read_vocabulary(origin.folder, settings.n_words)
        self.embedding = nn.Embedding(settings.n_words, settings.width_embedding, padding_idx=PADDING)
        self.dropout = nn.Dropout(settings.dropout)
        self.gru = nn.GRU(settings.width_embedding, settings.width, batch_first=True)

    @property
    def described(self) -> str:
        n_words = len(self.vocabulary.words)
        return f"gru of {n_words:,} words" if n_words else f"gru of at most {self.settings.n_words:,} words"

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Take the most frequent words of the training texts."""
        texts = (_observed_words(sequence[name].values) for name in ids if name in sequence)
        self.vocabulary = Vocabulary.of(texts, self.settings.n_words)
        if not self.vocabulary.words:
            raise FeatureError("has no word in training; leave it out of the corpus")

    def forward(
        self, values: Float[Tensor, "batch time 32"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        """Encode the words of each utterance.

        Raises:
            FeatureError: If the frames are no words.
        """
        texts = self._ids(values, mask)
        lengths = torch.tensor([len(text) for text in texts])
        some = [text if len(text) else text.new_tensor([PADDING]) for text in texts]  # a GRU must have a word to read
        embedded = self.dropout(self.embedding(pad_sequence(some, batch_first=True).to(values.device)))
        packed = pack_padded_sequence(embedded, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
        states, last = self.gru(packed)
        if self.settings.output == "last":
            return last.transpose(0, 1), (lengths > 0)[:, None].to(values.device)
        states, _ = pad_packed_sequence(states, batch_first=True)
        return states, (torch.arange(states.shape[1]) < lengths[:, None]).to(values.device)

    def save_files(self, folder: Path) -> None:
        """Write the vocabulary."""
        self.vocabulary.save(folder)

    def _ids(self, values: Tensor, mask: Tensor) -> list[Tensor]:
        frames, observed = values.detach().cpu().numpy(), mask.cpu().numpy()
        texts = [decode_words(of[seen]) for of, seen in zip(frames, observed, strict=True)]
        return [torch.tensor(self.vocabulary.ids(words), dtype=torch.long) for words in texts]


def _observed_words(values: NDArray[np.float32]) -> list[str]:
    return decode_words(values[np.isfinite(values).all(axis=1)])
