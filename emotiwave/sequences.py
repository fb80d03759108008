"""Feature sequences: one utterance's frames with their times, and all of a dataset's, flat."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import FeatureError


@dataclass(frozen=True)
class FeatureSequence:
    """Features of one utterance: ``values (frames, features)`` float32, ``intervals (frames, 2)`` in seconds."""

    values: NDArray[np.float32]
    intervals: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ComputationalSequence:
    """One extractor over one dataset, flat: id -> `FeatureSequence`, in memory or memory-mapped.

    ``values (total_frames, features)`` float32 holds all utterances one after the other; utterance ``i`` owns rows
    ``offsets[i]`` to ``offsets[i + 1]``. ``intervals (total_frames, 2)`` are seconds from the start of the utterance.
    An id that is not here has no such modality. ``digest`` is known for stored sequences and computed otherwise.
    """

    ids: tuple[str, ...]
    values: NDArray[np.float32]
    intervals: NDArray[np.float64]
    offsets: NDArray[np.int64]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    known_digest: str | None = None

    def __post_init__(self) -> None:
        frames = len(self.values)
        if self.values.ndim != 2 or self.values.dtype != np.float32:
            raise FeatureError(
                f"feature values must be (frames, features) float32; got {self.values.shape} {self.values.dtype}"
            )
        if self.intervals.shape != (frames, 2):
            raise FeatureError(f"{frames} frames need intervals of shape ({frames}, 2); got {self.intervals.shape}")
        if self.offsets.ndim != 1 or self.offsets.dtype != np.int64:
            raise FeatureError(f"offsets must be one row of int64; got {self.offsets.shape} {self.offsets.dtype}")
        if len(self.offsets) != len(self.ids) + 1 or self.offsets[0] != 0 or self.offsets[-1] != frames:
            raise FeatureError(f"offsets must run from 0 to {frames} over {len(self.ids)} utterances")
        if (np.diff(self.offsets) < 0).any():
            raise FeatureError("offsets must not decrease")
        if len(self.row) != len(self.ids):
            raise FeatureError(f"duplicate id {first_duplicate(self.ids)!r} in a computational sequence")

    @classmethod
    def from_sequences(
        cls,
        sequences: Mapping[str, FeatureSequence],
        metadata: Mapping[str, Any] | None = None,
        *,
        size: int | None = None,
    ) -> "ComputationalSequence":
        """Join sequences into one flat computational sequence.

        Args:
            sequences: By utterance id.
            metadata: Whatever describes the extractor.
            size: The number of features; that of the first sequence by default, and needed if there is none.

        Raises:
            FeatureError: If sizes differ, or none is known; the utterance is named.
        """
        if size is None:
            if not sequences:
                raise FeatureError("a computational sequence of no utterance needs a feature size; got none")
            size = int(next(iter(sequences.values())).values.shape[-1])
        for name, sequence in sequences.items():
            if sequence.values.ndim != 2 or sequence.values.shape[1] != size:
                raise FeatureError(
                    f"utterance {name!r}: expected values of (frames, {size}); got {sequence.values.shape}"
                )
            if sequence.intervals.shape != (len(sequence.values), 2):
                raise FeatureError(f"utterance {name!r}: values and intervals differ in length")
        lengths = [len(sequence.values) for sequence in sequences.values()]
        return cls(
            ids=tuple(sequences),
            values=np.concatenate([np.empty((0, size), np.float32), *(s.values for s in sequences.values())]).astype(
                np.float32, copy=False
            ),
            intervals=np.concatenate([np.empty((0, 2)), *(s.intervals for s in sequences.values())]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            metadata=dict(metadata or {}),
        )

    @cached_property
    def row(self) -> dict[str, int]:
        """Where each id stands."""
        return {name: index for index, name in enumerate(self.ids)}

    @property
    def size(self) -> int:
        """The number of features."""
        return self.values.shape[1]

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self.row

    def __getitem__(self, utterance_id: str) -> FeatureSequence:
        index = self.row[utterance_id]
        frames = slice(self.offsets[index], self.offsets[index + 1])
        return FeatureSequence(self.values[frames], self.intervals[frames])

    def n_frames(self, utterance_id: str) -> int:
        """How many frames an utterance has; 0 where the modality is missing."""
        index = self.row.get(utterance_id)
        return 0 if index is None else int(self.offsets[index + 1] - self.offsets[index])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, offsets, values and intervals."""
        if self.known_digest is not None:
            return self.known_digest
        # in blocks, for a memory-mapped array may be larger than memory
        blocks = (
            np.ascontiguousarray(array[start : start + 65536]).data
            for array in (self.values, self.intervals)
            for start in range(0, len(array), 65536)
        )
        return content_digest(self.ids, self.size, self.offsets, blocks)


def content_digest(
    ids: Sequence[str], size: int, offsets: NDArray[np.int64], blocks: Iterable[bytes | memoryview]
) -> str:
    """SHA-256 of ids, offsets, and the bytes of all values, then of all intervals."""
    sha = hashlib.sha256(json.dumps([ids, size]).encode())
    sha.update(np.ascontiguousarray(offsets).data)
    for block in blocks:
        sha.update(block)
    return sha.hexdigest()


def first_duplicate(names: Sequence[str]) -> str | None:
    """Find the first name that occurs before.

    >>> first_duplicate(["a", "b", "a"])
    'a'
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
