"""One table from every corpus's classes to the seven that corpora share."""

from collections.abc import Mapping

from emotiwave.errors import DatasetError, unknown_name

SEVEN = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Ekman's six and neutral, the classes that most corpora of the field can be brought to."""

_SAME = {name: name for name in SEVEN}
TO_SEVEN: Mapping[str, Mapping[str, str | None]] = {
    "cremad": _SAME,
    "dair_emotion": _SAME | {"joy": "happiness", "love": None},
    "emodb": _SAME | {"boredom": None},
    "goemotions": _SAME | {"joy": "happiness"},
    "iemocap": _SAME | {"excitement": "happiness", "frustration": None, "other": None, "unknown": None},
    "meld": _SAME | {"joy": "happiness"},
    "rafdb": _SAME,
    "ravdess": _SAME | {"calm": "neutral"},
}
"""Corpus -> its class -> one of `SEVEN`, or None where it has no counterpart there."""


def to_seven(corpus: str, label: str) -> str | None:
    """Bring a corpus's class to one of the seven; None where it has no counterpart.

    >>> to_seven("ravdess", "calm")
    'neutral'

    Raises:
        DatasetError: If the corpus has no such class.
    """
    known = TO_SEVEN[corpus]
    if label not in known:
        raise DatasetError(f"{corpus}: {unknown_name('class', label, known)}")
    return known[label]
