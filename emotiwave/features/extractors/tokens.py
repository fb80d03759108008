"""Words as numbers: ids of a tokenizer, or of hashed words; for models that begin with an embedding layer."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.errors import FeatureError
from emotiwave.features.extractor import TextExtractor
from emotiwave.pretrained import load_encoder
from emotiwave.pretrained.files import ModelName
from emotiwave.pretrained.text import TextPreprocessing
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

MOST_IDS = 2**24
"""Up to here float32 holds every whole number."""


class TokensSettings(Settings):
    """Keys of ``tokens``."""

    tokenizer: ModelName | None = None
    """A Hub id or folder of the text encoder whose ids are meant; without one, words are hashed."""
    revision: str | None = None
    """The branch, tag or commit on the Hub."""
    n_ids: int = Field(32_768, ge=2, le=MOST_IDS)
    """Without a tokenizer: how many ids there are; 0 is no word's."""

    @model_validator(mode="after")
    def _check(self) -> "TokensSettings":
        if self.tokenizer is None and self.revision is not None:
            raise ValueError("revision is of a tokenizer; name one, or leave it out")
        # not what was set: a recipe that is written out names every key
        if self.tokenizer is not None and self.n_ids != type(self).model_fields["n_ids"].default:
            raise ValueError("a tokenizer brings its own ids; leave out n_ids or the tokenizer")
        return self


class Tokens(TextExtractor):
    """One id per piece of a word, with the interval of the word; special tokens are left out.

    Ids are names, not amounts: no mean of them says anything, so of several one is taken. Without a
    tokenizer, ``n_ids - 1`` buckets take the hashes (MurmurHash3) of lower-cased words, and an empty word is NaN. A row
    of 0 counts as unobserved everywhere in features; 0 is the padding of most tokenizers.

    Raises:
        ConfigError: If the tokenizer cannot be found.
        CheckpointError: If it is damaged.
        FeatureError: If it has more ids than float32 can tell apart.
    """

    size = 1
    is_costly = False
    is_averageable = False

    def __init__(self, settings: TokensSettings) -> None:
        self.settings = settings
        self._preprocessing: TextPreprocessing | None = None
        self._files: dict[str, str] = {}
        if settings.tokenizer is not None:
            encoder = load_encoder(settings.tokenizer, "text", revision=settings.revision, weights=False)
            self._files = dict(encoder.identity)
            self._preprocessing = TextPreprocessing.of(encoder)
            n_ids = len(self._preprocessing.tokenizer)
            if n_ids > MOST_IDS:
                raise FeatureError(f"{encoder.name}: {n_ids:,} ids; at most {MOST_IDS:,} can be told apart")

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version, and the tokenizer's files or the number of ids."""
        ids = self._files if self._preprocessing else {"n_ids": self.settings.n_ids}
        return {"name": "tokens", "version": 1, "ids": ids}

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Number each word, or each piece of it."""
        if self._preprocessing is None:
            ids = np.array([hashed_id(word, self.settings.n_ids) for word in signal], np.float32)
            return FeatureSequence(ids[:, None], timing)
        pieces, owners = self._preprocessing.pieces(signal) if signal else ([], np.empty(0, np.int64))
        return FeatureSequence(np.array(pieces, np.float32)[:, None], timing[owners])


def hashed_id(word: str, n_ids: int) -> float:
    """Give the id of a word, from 1 to ``n_ids - 1``; NaN for an empty one.

    >>> hashed_id("Hello", 1000) == hashed_id("hello", 1000)
    True
    """
    word = unicodedata.normalize("NFC", word).strip().lower()
    if not word:
        return np.nan
    from sklearn.utils import murmurhash3_32  # takes a second to import

    return 1.0 + murmurhash3_32(word.encode("utf-8", "replace"), positive=True) % (n_ids - 1)
