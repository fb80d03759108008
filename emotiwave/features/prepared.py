"""What becomes of one recording on its way into the store, and what reads it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from emotiwave.recordings import Count


@dataclass(frozen=True, eq=False)
class PreparedModality:
    """The frames of one modality of some utterances, one after the other.

    ``values (total_frames, features)``, ``intervals (total_frames, 2)`` in seconds from the start of the utterance;
    ``lengths`` and ``observed`` say per utterance how many frames it has and whether any of them was observed.
    """

    values: NDArray[np.float32]
    intervals: NDArray[np.float64]
    lengths: tuple[int, ...]
    observed: tuple[bool, ...]

    def keep(self, kept: Sequence[bool]) -> "PreparedModality":
        """Take the frames out of utterances that are not kept."""
        if all(kept):
            return self
        rows = np.repeat(np.asarray(kept), self.lengths)
        lengths = tuple(n if keep else 0 for n, keep in zip(self.lengths, kept, strict=True))
        return PreparedModality(self.values[rows], self.intervals[rows], lengths, self.observed)


@dataclass(frozen=True, eq=False)
class PreparedRecording:
    """What was prepared of one recording, a video or some files; every tuple has an item per utterance."""

    recording: str
    ids: tuple[str, ...]
    kept: tuple[bool, ...]
    """Whether an utterance has an observed frame in any modality, or in all where all are required."""
    modalities: Mapping[str, PreparedModality]
    transcripts: tuple[str | None, ...]
    counts: Counter[str]
    errors: tuple[dict[str, str], ...]
    """What could not be read: recording, modality, error, and the utterance if it is about one."""
    usability: tuple[dict[str, Any], ...] = ()
    """What of the signals could be used: a row per utterance and modality that was looked at."""


class Reader(Protocol):
    """Reads recordings, each with what is wanted of it; a context manager. Every worker process opens its own."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Modality -> features per frame."""
        ...

    @property
    def metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Modality -> what the store keeps of how its values were made."""
        ...

    @property
    def notes(self) -> Mapping[str, Count]:
        """What is to be told of the reader itself, beside counts."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def read(self, recording: str, wanted: Sequence[Any]) -> Any:
        """Read one recording, for the store a `PreparedRecording`; what cannot be read is an error row."""
        ...
