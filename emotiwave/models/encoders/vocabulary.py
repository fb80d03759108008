"""The words that an embedding knows: the most frequent of the training texts, kept as ``vocabulary.json``."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotiwave.errors import CheckpointError
from emotiwave.files import replace_file

PADDING, UNKNOWN = 0, 1
"""Ids that are no word's; those of words follow."""
N_SPECIAL = 2
FILE = "vocabulary.json"
LETTERS = 31
"""A longer token gets no id of its own."""
BYTES_PER_WORD = 4 * LETTERS + 4
"""A file with more than these for each row of an embedding is not read."""
_TOKEN = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s\ud800-\udfff]")


def tokens(words: Iterable[str]) -> Iterator[str]:
    """Cut words as they stand in a text into lower-cased words and marks.

    >>> list(tokens(["Well,", "I'm", "GLAD!!"]))
    ['well', ',', "i'm", 'glad', '!', '!']
    """
    for word in words:
        yield from _TOKEN.findall(unicodedata.normalize("NFC", word.lower()))


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their ids, which begin at 2."""

    words: tuple[str, ...] = ()
    index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {word: N_SPECIAL + at for at, word in enumerate(self.words)})

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], n_words: int) -> "Vocabulary":
        """Take the most frequent words, so that there are at most ``n_words`` ids; equally frequent ones by alphabet.

        >>> Vocabulary.of([["so", "sad"], ["so", "glad"]], n_words=4).words
        ('so', 'glad')
        """
        counts = Counter(token for words in texts for token in tokens(words))
        ranked = sorted((word for word in counts if len(word) <= LETTERS), key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[: n_words - N_SPECIAL]))

    def ids(self, words: Iterable[str]) -> list[int]:
        """Number the tokens of a text; nothing for a text without any.

        >>> Vocabulary(("so", "glad")).ids(["So", "sad!"])
        [2, 1, 1]
        """
        return [self.index.get(token, UNKNOWN) for token in tokens(words)]

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.json``."""
        described = json.dumps({"format": 1, "words": self.words}, ensure_ascii=False, indent=0)
        replace_file(folder / FILE, described.encode("utf-8"))


def read_vocabulary(folder: Path, n_words: int) -> Vocabulary:
    """Read ``vocabulary.json``.

    Raises:
        CheckpointError: If it is missing or damaged, or holds more words than ``n_words`` ids, a word twice, or
            something that is no word of a text.
    """
    path = folder / FILE
    words = _read(path, 2**10 + BYTES_PER_WORD * n_words)
    if len(words) > n_words - N_SPECIAL:
        raise CheckpointError(
            f"{path}: {len(words):,} words; the embedding has {n_words:,} rows, {N_SPECIAL} of them no word's: it is "
            "the vocabulary of another model; copy the model's folder again"
        )
    seen: set[str] = set()
    for word in words:
        if not isinstance(word, str) or list(tokens([word])) != [word]:
            raise CheckpointError(f"{path}: {word!r} is no lower-cased word; copy the model's folder again")
        if word in seen:
            raise CheckpointError(f"{path}: {word!r} stands there twice; copy the model's folder again")
        seen.add(word)
    return Vocabulary(tuple(words))


def _read(path: Path, most_bytes: int) -> list[Any]:
    try:
        if (n_bytes := path.stat().st_size) > most_bytes:
            raise CheckpointError(f"{path}: {n_bytes:,} bytes; expected at most {most_bytes:,}: it is no vocabulary")
        described = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: is missing; copy the model's folder again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy the model's folder again") from None
    words = described.get("words") if isinstance(described, dict) and described.get("format") == 1 else None
    if not isinstance(words, list):
        raise CheckpointError(f"{path}: not a vocabulary of format 1; copy the model's folder again")
    return words
