"""Words as signed hashes of their letter sequences: no weights, any language, misspelt words near right ones."""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.features.extractor import TextExtractor
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

MOST_LETTERS = 64
"""Of longer words, the rest only counts in the word as a whole: what is longer is rarely a word."""


class HashedSettings(Settings):
    """Keys of ``hashed``."""

    size: int = Field(256, ge=8, le=2**16)
    """How many features a word has."""
    shortest: int = Field(3, ge=1, le=16)
    """Letters of the shortest sequences, the marks of the word's ends included."""
    longest: int = Field(6, ge=1, le=16)
    """Letters of the longest sequences."""

    @model_validator(mode="after")
    def _check(self) -> "HashedSettings":
        if self.shortest > self.longest:
            raise ValueError(f"shortest is {self.shortest}; expected at most longest, {self.longest}")
        return self


class Hashed(TextExtractor):
    """One row of length 1 per word: a sum over its letter sequences and the lower-cased word itself.

    Each adds 1 or subtracts 1 in one column, both by its hash (MurmurHash3): K. Weinberger et al., Feature hashing for
    large scale multitask learning, ICML 2009; letter sequences as P. Bojanowski et al., Enriching word vectors with
    subword information, TACL 2017. A word without letters, digits or signs is a row of NaN.
    """

    is_costly = False

    def __init__(self, settings: HashedSettings) -> None:
        self.settings = settings
        self.size = settings.size

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": "hashed", "version": 1, "settings": self.settings.model_dump(mode="json")}

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Hash each word."""
        values = np.zeros((len(signal), self.size), np.float32)
        for row, word in zip(values, signal, strict=True):
            columns, weights = _hashed(word, self.size, self.settings.shortest, self.settings.longest)
            row[columns] = weights
        return FeatureSequence(values, timing)


def letter_sequences(word: str, shortest: int, longest: int) -> Iterator[str]:
    """Give the parts of a lower-cased word, its ends marked; the word as a whole comes last.

    >>> list(letter_sequences("Sad", 3, 4))
    ['<sa', 'sad', 'ad>', '<sad', 'sad>', '<sad>']
    """
    marked = f"<{unicodedata.normalize('NFC', word).lower()}>"
    letters = marked[: MOST_LETTERS + 2]
    for length in range(shortest, min(longest, len(marked) - 1) + 1):
        for start in range(len(letters) - length + 1):
            yield letters[start : start + length]
    yield marked


@lru_cache(maxsize=20_000)
def _hashed(word: str, size: int, shortest: int, longest: int) -> tuple[NDArray[np.int64], NDArray[np.float32] | float]:
    """Give the columns of a word that are not zero, and their values; every column, and NaN, for an empty word."""
    word = word.strip()
    parts = [part.encode("utf-8", "replace") for part in letter_sequences(word, shortest, longest)] if word else []
    from sklearn.utils import murmurhash3_32  # takes a second to import

    hashes = np.array([murmurhash3_32(part) for part in parts], np.int64)
    sums = np.bincount(np.abs(hashes) % size, weights=np.where(hashes < 0, -1.0, 1.0), minlength=size)
    if not sums.any():  # no letters, or all that they add was subtracted again
        return np.arange(size), np.nan
    columns = np.flatnonzero(sums)
    return columns, (sums[columns] / np.linalg.norm(sums)).astype(np.float32)
