"""Errors that a user can cause: each says what was got, what was expected and what to do."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


class EmotiwaveError(Exception):
    """Anything a user can put right; the command line prints it without a traceback."""


class ConfigError(EmotiwaveError):
    """A recipe, an option or a name that cannot be used."""


class DatasetError(EmotiwaveError):
    """A corpus whose files, labels or splits are not as they must be."""


class MediaError(EmotiwaveError):
    """A media file that cannot be decoded, or holds nothing of what is asked for."""


class MissingExtraError(EmotiwaveError):
    """An optional dependency that is not installed; the extra that brings it is named."""


class FeatureError(EmotiwaveError):
    """Feature sequences, or a feature store, that cannot be read."""


class CheckpointError(EmotiwaveError):
    """A saved model or training state that is missing, damaged or of another model."""


class TrainingError(EmotiwaveError):
    """A training that cannot go on."""


class DataWarning(UserWarning):
    """Something in the data that was dealt with, and that a user should know of."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which names are known, and which one is nearest.

    >>> unknown_name("model", "botleneck", ["late", "bottleneck"])
    "unknown model 'botleneck'; did you mean 'bottleneck'? Known: bottleneck, late"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r};{hint} Known: {', '.join(names)}"


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: what controls, formats or is no character, and breaks of lines."""


def printable(text: str) -> str:
    r"""Escape what must reach no terminal and no page: whatever controls, formats or is no character, and line breaks.

    >>> print(printable("naïve \x1b[2J\n"))
    naïve \x1b[2J\n
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char for char in text
    )
