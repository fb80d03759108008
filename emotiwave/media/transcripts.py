"""Transcripts of recordings: words, with their times where the file has any."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

from emotiwave.errors import MediaError
from emotiwave.media.cues import Phrase, parse_cues
from emotiwave.media.text_files import read_text
from emotiwave.media.transcript_json import parse_json
from emotiwave.settings import PathLike
from emotiwave.signals import Word

TRANSCRIPT_SUFFIXES = (".txt", ".srt", ".vtt", ".json")

_MARKS = r"\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f"
"""Full-width punctuation that ends a phrase of Chinese or Japanese."""
_CLOSING = r"\u300d\u300f\u2019\u201d\uff09"
_BETWEEN_WORDS = re.compile(rf"[\s\u200b\ufeff]+|(?<=[{_MARKS}])(?![{_MARKS}{_CLOSING}])")
"""White space, the zero-width space of scripts without spaces, and the end of a phrase."""


def split_words(text: str) -> tuple[str, ...]:
    """Split text at white space; punctuation stays with its word.

    Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer) are not segmented: a word is all that stands between
    spaces (zero-width ones too) and after a full-width punctuation mark. Encoders cut it into pieces themselves, and
    every piece has the time of its phrase.

    >>> split_words("Well, that's  great!")
    ('Well,', "that's", 'great!')
    >>> split_words("你好。我很高兴。")
    ('你好。', '我很高兴。')
    """
    return tuple(word for word in _BETWEEN_WORDS.split(text) if word)


def read_transcript(path: PathLike, start: float | None = None, end: float | None = None) -> tuple[Word, ...]:
    """Read the words of a ``.txt``, ``.srt``, ``.vtt`` or ``.json`` file, in order of time.

    Words of one cue or segment without times of their own share its interval in proportion to their length, so a
    word's time is then a guess. ``start`` and ``end`` in seconds keep the words whose middle lies between them. Words
    of a plain text have no times. A file of 0 bytes holds no words.

    Raises:
        MediaError: If the file cannot be read as what its name says, or has no times and a stretch of it is wanted;
            the file and the line or key are named.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in TRANSCRIPT_SUFFIXES:
        raise MediaError(f"{path}: is no transcript by its name; expected {', '.join(TRANSCRIPT_SUFFIXES)}")
    text = read_text(path)
    try:
        return words_between(to_words(_phrases(text, suffix)), start, end)
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from None


def _phrases(text: str, suffix: str) -> list[Phrase]:
    if not text.strip():
        return []
    if suffix == ".json":
        return parse_json(text)
    if suffix == ".txt":
        return [Phrase(text, math.nan, math.nan)]
    return parse_cues(text, is_vtt=suffix == ".vtt")


def to_words(phrases: Iterable[Phrase]) -> tuple[Word, ...]:
    """Split phrases into words, in order of time if all have times.

    >>> to_words([Phrase("to be", 1.0, 3.0)])
    (Word(text='to', start=1.0, end=2.0), Word(text='be', start=2.0, end=3.0))
    """
    phrases = list(phrases)
    if not any(math.isnan(phrase.start) for phrase in phrases):
        phrases.sort(key=lambda phrase: phrase.start)
    return tuple(word for phrase in phrases for word in _split(phrase))


def _split(phrase: Phrase) -> list[Word]:
    texts = split_words(phrase.text)
    n_letters = sum(map(len, texts))
    words, at, n_before = [], phrase.start, 0
    for text in texts:
        n_before += len(text)
        end = phrase.start + (phrase.end - phrase.start) * n_before / n_letters
        words.append(Word(text, at, end))
        at = end
    return words


def words_between(words: tuple[Word, ...], start: float | None, end: float | None) -> tuple[Word, ...]:
    """Keep the words whose middle lies from ``start`` up to, but not at, ``end``; None is no bound.

    Raises:
        MediaError: If a bound is given and a word has no times.
    """
    if start is None and end is None:
        return words
    low, high = -math.inf if start is None else start, math.inf if end is None else end
    for word in words:
        if math.isnan(word.start):
            raise MediaError(
                f"words from {low:g} to {high:g} s are wanted, but {word.text[:40]!r} has no time; give a transcript "
                "with times (.srt, .vtt or .json), or one file per stretch"
            )
    return tuple(word for word in words if low <= (word.start + word.end) / 2 < high)
