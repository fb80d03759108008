"""Words as they are written, letter by letter, for text encoders that are trained as part of the model."""

import unicodedata
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import FeatureError
from emotiwave.features.extractor import TextExtractor
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

LETTERS = 31
"""Characters of a word that one frame holds."""
SIZE = 1 + LETTERS
_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
"""Code points that stand for no character; no file of text holds them."""


class WordsSettings(Settings):
    """``words`` has no keys."""


class Words(TextExtractor):
    """One frame per word, more for a word of over 31 characters; all have the interval of the word.

    `decode_words` gives the words back. A word without a character that is seen is a row of NaN. Frames are letters,
    not measurements: they are never pooled, and a text of more than 1,024 frames is cut.
    """

    size = SIZE
    is_costly = False
    is_averageable = False
    longest = 1024

    def __init__(self, settings: WordsSettings) -> None:
        self.settings = settings

    @property
    def identity(self) -> dict[str, Any]:
        """Name and version."""
        return {"name": "words", "version": 1}

    def __call__(self, signal: Sequence[str], timing: NDArray[np.float64]) -> FeatureSequence:
        """Write out each word."""
        frames = encode_words(signal)
        owners = np.cumsum(frames[:, 0] == 1.0) - 1
        is_blank = np.array([_is_blank(word) for word in signal], dtype=bool)
        frames[is_blank[owners]] = np.nan
        return FeatureSequence(frames, timing[owners])


def encode_words(words: Sequence[str]) -> NDArray[np.float32]:
    """Write words as frames ``(frames, 32)``.

    The first value is 1 where a word begins, and 0 where the frame goes on with the word before; then come up to 31
    Unicode code points, and zeros. Characters that no text can hold are left out (U+0000) or become ``?`` (surrogates).

    >>> encode_words(["so", "glad"])[:, :6]
    array([[  1., 115., 111.,   0.,   0.,   0.],
           [  1., 103., 108.,  97., 100.,   0.]], dtype=float32)
    """
    pieces = [_pieces(word.replace("\0", "")) for word in words]
    letters = "".join(piece.ljust(LETTERS, "\0") for piece in chain.from_iterable(pieces))
    codes = np.frombuffer(letters.encode("utf-32-le", "replace"), dtype="<u4").reshape(-1, LETTERS)
    frames = np.zeros((len(codes), SIZE), dtype=np.float32)
    frames[np.cumsum([0, *map(len, pieces)])[:-1], 0] = 1.0
    frames[:, 1:] = codes  # float32 holds every whole number up to 2**24
    return frames


def _is_blank(word: str) -> bool:
    """Whether all of a word is white space, controls (Cc) and marks of format (Cf) such as U+200B."""
    return all(letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") for letter in word)


def _pieces(word: str) -> list[str]:
    return [word[start : start + LETTERS] for start in range(0, max(1, len(word)), LETTERS)]


def decode_words(frames: NDArray[np.float32]) -> list[str]:
    """Read the words that `encode_words` wrote; of frames ``(frames, 32)`` that are all observed.

    A frame that goes on with a word whose beginning is not there begins one.

    >>> decode_words(encode_words(["so", "", "naïve"]))
    ['so', '', 'naïve']

    Raises:
        FeatureError: If the frames are something else than words.
    """
    codes = _checked(frames)
    letters = codes.tobytes().decode("utf-32-le")
    words: list[str] = []
    for row, begins in enumerate(frames[:, 0] == 1.0):
        piece = letters[row * LETTERS : (row + 1) * LETTERS].rstrip("\0")
        if begins or not words:
            words.append(piece)
        else:
            words[-1] += piece
    return words


def _checked(frames: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Refuse what is no code point, and what follows the end of a piece of a word."""
    cure = "prepare them with the extractor 'words'"
    if frames.ndim != 2 or frames.shape[1] != SIZE:
        raise FeatureError(f"holds frames of {frames.shape[1:]} values; expected words, of {SIZE} values: {cure}")
    first, values = frames[:, 0], frames[:, 1:]
    is_wrong = ~((first == 0.0) | (first == 1.0))
    is_code = (values >= 0) & (values <= _LAST) & ((values < _SURROGATES[0]) | (values > _SURROGATES[1]))
    codes = np.where(is_code, values, 0).astype("<u4")
    is_wrong |= ~(is_code & (codes == values)).all(axis=1)
    is_wrong |= ((codes[:, :-1] == 0) & (codes[:, 1:] != 0)).any(axis=1)
    if is_wrong.any():
        row = int(is_wrong.argmax())
        raise FeatureError(f"holds frames that are no words (frame {row}: {frames[row, :4].tolist()} …): {cure}")
    return codes
