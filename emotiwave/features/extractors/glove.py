"""Word vectors of a text file, as GloVe, word2vec and fastText publish them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extractor import TextExtractor
from emotiwave.features.extractors.word_vectors import open_vectors
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import AbsolutePath, Settings

CONTRACTION = re.compile(r"(.+)(n't|'(?:s|m|d|re|ve|ll))", re.IGNORECASE)
"""A word that vectors know in two parts only."""
CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"


class GloveSettings(Settings):
    """Keys of ``glove``."""

    file: AbsolutePath
    """A text file of a word and its numbers per line, plain or ``.gz``; a first line of two counts is skipped."""
    cache: AbsolutePath | None = None
    """A folder for the same vectors in binary form, as large as the numbers; by default in the user's cache."""


class Glove(TextExtractor):
    """One vector per word; a word that the file does not have is a row of NaN, and so unobserved.

    A word is looked up as it is, in lower case, and then both ways without the punctuation around it; last, a
    contraction is the mean of its two parts ("did", "n't"), as the tokenizer of GloVe parts them. The file is read once
    and kept in binary form; from then on processes share its memory, and only what is used is read.

    Raises:
        FeatureError: If the file is missing, or a line of it is no word with its numbers.
    """

    is_costly = False

    def __init__(self, settings: GloveSettings) -> None:
        self.settings = settings
        self._vectors = open_vectors(settings.file, settings.cache)
        self.size = self._vectors.size
        self._rows = lru_cache(maxsize=100_000)(self._find)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and the hash of the file, wherever it lies."""
        return {"name": "glove", "version": 1, "sha256": self._vectors.sha256}

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Look up each word."""
        values = np.full((len(signal), self.size), np.nan, np.float32)
        for row, word in zip(values, signal, strict=True):
            rows = self._rows(word)
            if len(rows):
                row[:] = self._vectors.values[rows].mean(axis=0)
        return FeatureSequence(values, timing)

    def _find(self, word: str) -> NDArray[np.int64]:
        """Find the one vector of a word, those of its two parts, or none."""
        rows = self._vectors.rows(lookup_forms(word))
        if (rows >= 0).any():
            return rows[rows >= 0][:1]
        rows = self._vectors.rows(contraction_parts(word))
        return rows if (rows >= 0).all() else rows[:0]


def lookup_forms(word: str) -> list[str]:
    """Give the forms in which a word is looked up, the best first.

    >>> lookup_forms("“Hello,")
    ['“Hello,', '“hello,', 'Hello', 'hello']
    """
    word = word.strip().replace(CURLY, "'")
    bare = strip_punctuation(word)
    return [form for form in dict.fromkeys([word, word.lower(), bare, bare.lower()]) if form]


def contraction_parts(word: str) -> list[str]:
    """Part a contraction as the Penn Treebank does; nothing for any other word.

    >>> contraction_parts("Didn't,")
    ['did', "n't"]
    """
    match = CONTRACTION.fullmatch(strip_punctuation(word.strip().replace(CURLY, "'")).lower())
    return list(match.groups()) if match else []


def strip_punctuation(word: str) -> str:
    """Take off what is neither letter nor digit at either end.

    >>> strip_punctuation("(rock'n'roll!)")
    "rock'n'roll"
    """
    return re.sub(r"^[\W_]+|[\W_]+$", "", word)
