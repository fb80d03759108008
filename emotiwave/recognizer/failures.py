"""What cannot be read of a clip: noted, and never in the way of the rest."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from emotiwave.errors import CheckpointError, ConfigError, DataWarning, EmotiwaveError, MissingExtraError

Found = TypeVar("Found")
NOT_THE_FILES_FAULT = (ConfigError, MissingExtraError, CheckpointError)


@dataclass(frozen=True)
class Failed:
    """A clip that could not be read, and why."""

    input: str
    error: str


@dataclass(frozen=True, eq=False)
class Attempt(Generic[Found]):
    """What came of reading one signal: what was found, or why not."""

    found: Found | None
    error: str | None = None


def attempt(read: Callable[[], Found]) -> Attempt[Found]:
    """Read a signal; whatever is wrong with one file must not end the others.

    Raises:
        ConfigError: And others that are not the file's fault.
    """
    try:
        return Attempt(read())
    except NOT_THE_FILES_FAULT:
        raise
    except (EmotiwaveError, OSError) as known:
        return Attempt(None, str(known))
    except Exception as unknown:  # a decoder may raise anything over a damaged file
        return Attempt(None, f"{type(unknown).__name__}: {unknown}")


@contextmanager
def noted_warnings() -> Iterator[list[str]]:
    """Collect what is warned of, in threads too; the list is filled when the context ends."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield told
    told += dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, DataWarning))
