"""What a file holds, in numbers: the facts that tables and pictures show, whether or not anything is wrong."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import printable

FileKind = Literal["labels", "words", "features", "store", "mmsa", "npz", "folds"]

SENTIMENT_EDGES = tuple((np.arange(14) / 2 - 3.25).tolist())
LENGTH_EDGES = tuple(map(float, range(21)))
"""Seconds."""


@dataclass(frozen=True)
class Histogram:
    """How many values lie between neighbouring ``edges``; the last bin is closed."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class LabelFacts:
    """What is labelled.

    There are ``n_rows``, of which ``n_segments`` have a length and numbers; shares (0-1) are of finite rows.
    """

    columns: tuple[str, ...]
    named_by: str
    n_rows: int
    n_segments: int
    class_shares: Mapping[str, float]
    all_zero_share: float | None
    tied_share: float | None
    sentiment: Histogram | None
    lengths: Histogram | None
    """Seconds."""
    folds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Split -> videos and segments."""


@dataclass(frozen=True)
class ModalityFacts:
    """One modality of a corpus, or one array of an archive; ``n_missing`` utterances have no frame of it."""

    size: int | None
    dtype: str
    n_frames: int
    n_unobserved: int
    n_missing: int | None = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FileFacts:
    """What one file or store holds; None is what such a file has not.

    ``seconds`` is the time from first to last frame, summed over videos; ``rate`` is 1 over the median length of a
    frame, in Hz. ``n_unobserved`` counts frames that are no measurement: not finite, all zero, or failed.
    """

    file: str
    kind: FileKind
    n_bytes: int
    root: str | None = None
    size: int | None = None
    dtype: str | None = None
    n_videos: int | None = None
    n_frames: int | None = None
    seconds: float | None = None
    rate: float | None = None
    n_unobserved: int | None = None
    labels: LabelFacts | None = None
    splits: Mapping[str, int] | None = None
    modalities: Mapping[str, ModalityFacts] | None = None

    @property
    def name(self) -> str:
        """The name of the file without its folders."""
        return Path(self.file).name

    def to_dict(self) -> dict[str, Any]:
        """Everything that is known, as what JSON can hold."""
        return known_only(asdict(self))


def known_only(described: Any) -> Any:
    """Leave out what is None or no number, at every depth."""
    if isinstance(described, Mapping):
        return {str(key): known_only(value) for key, value in described.items() if _is_known(value)}
    return [known_only(value) for value in described] if isinstance(described, list | tuple) else described


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def all_printable(described: Any) -> Any:
    """Escape every text in facts and findings, at every depth: names, ids and errors may hold any characters."""
    if isinstance(described, str):
        return printable(described)
    if isinstance(described, Mapping):
        return {all_printable(key): all_printable(value) for key, value in described.items()}
    if isinstance(described, tuple):
        return tuple(map(all_printable, described))
    if is_dataclass(described) and not isinstance(described, type):
        parts = {part.name: all_printable(getattr(described, part.name)) for part in fields(described)}
        return replace(described, **parts)
    return described


def sentiment_histogram(values: NDArray[np.float64]) -> Histogram:
    """Count sentiment, -3 to 3, in steps of a half."""
    return _histogram(values, SENTIMENT_EDGES)


def length_histogram(seconds: NDArray[np.float64]) -> Histogram:
    """Count lengths second by second; the last bin holds all that are longer, too.

    >>> length_histogram(np.array([0.5, 7.9, 400.0])).counts
    (1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    """
    return _histogram(np.minimum(seconds, LENGTH_EDGES[-1]), LENGTH_EDGES)


def _histogram(values: NDArray[np.float64], edges: tuple[float, ...]) -> Histogram:
    return Histogram(edges, tuple(np.histogram(values, edges)[0].tolist()))
