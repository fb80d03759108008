"""Frames of one modality of one utterance on their way to the store: in memory while they are few, else on disk."""

import json
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import FeatureError
from emotiwave.files import whole_file
from emotiwave.signals import Span

IN_MEMORY_BYTES = 2**24
"""Values up to this size are kept in memory."""
MAGIC = b"EWFRAME1"
_TRAILER = struct.Struct("<QQQ8s")  # frames, features, bytes of JSON, magic


@dataclass(eq=False)
class Frames:
    """Frames that grow by blocks: values in a file or in memory, intervals in seconds from the start of the utterance.

    ``spans`` are stretches of no use, on the clock of the intervals; ``facts`` whatever is to be reported.
    """

    size: int
    file: IO[bytes] = field(default_factory=lambda: SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # type: ignore[assignment]  # noqa: SIM115
    blocks: list[NDArray[np.float64]] = field(default_factory=list)
    spans: tuple[Span, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __del__(self) -> None:
        self.file.close()  # also when an extraction ends in the middle

    def append(self, values: NDArray[np.float32], intervals: NDArray[np.float64]) -> None:
        """Add frames ``(frames, size)`` and their intervals ``(frames, 2)``.

        Raises:
            FeatureError: If an extractor gave another number of features than it said.
        """
        if values.shape != (len(intervals), self.size):
            raise FeatureError(f"an extractor gave values {values.shape}; expected ({len(intervals)}, {self.size})")
        self.file.seek(0, 2)
        self.file.write(np.ascontiguousarray(values, dtype=np.float32).tobytes())
        self.blocks.append(np.asarray(intervals, dtype=np.float64))

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def intervals(self) -> NDArray[np.float64]:
        """``(frames, 2)`` in seconds from the start of the utterance."""
        self.blocks = [np.concatenate([np.empty((0, 2)), *self.blocks])]
        return self.blocks[0]

    def rows(self, first: int, last: int) -> NDArray[np.float32]:
        """Read values ``(last - first, size)``."""
        self.file.seek(4 * self.size * first)
        content = self.file.read(4 * self.size * (last - first))
        return np.frombuffer(content, dtype="<f4").reshape(last - first, self.size)

    def write(self, path: Path) -> None:
        """Write all of it into one file, which appears whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        described = json.dumps(
            {"spans": [[span.start, span.end, span.reason] for span in self.spans], "facts": dict(self.facts)}
        ).encode()
        with whole_file(path) as scratch, scratch.open("wb") as file:
            self.file.seek(0)
            shutil.copyfileobj(self.file, file, 2**20)
            file.write(self.intervals.tobytes())
            file.write(described)
            file.write(_TRAILER.pack(len(self), self.size, len(described), MAGIC))


def open_frames(path: Path) -> Frames | None:
    """Open what `Frames.write` wrote; None if the file is not there, or is damaged."""
    try:
        file = path.open("rb")
    except OSError:
        return None
    try:
        file.seek(-_TRAILER.size, 2)
        n_frames, size, n_json, magic = _TRAILER.unpack(file.read())
        n_values = 4 * n_frames * size
        if magic != MAGIC or path.stat().st_size != n_values + 16 * n_frames + n_json + _TRAILER.size:
            raise ValueError("not of this form")
        file.seek(n_values)
        intervals = np.frombuffer(file.read(16 * n_frames), dtype="<f8").reshape(n_frames, 2)
        described = json.loads(file.read(n_json))
        spans = tuple(Span(float(start), float(end), str(reason)) for start, end, reason in described["spans"])
        return Frames(size, file, [intervals], spans, dict(described["facts"]))
    except (OSError, ValueError, TypeError, KeyError, struct.error):
        file.close()
        return None


def covered_frames(intervals: NDArray[np.float64], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Find the frames ``(frames,)`` of which at least half lies in spans that are of no use.

    >>> covered_frames(np.array([[0.0, 1.0], [1.0, 2.0]]), [Span(0.4, 1.2, "silent")]).tolist()
    [True, False]
    """
    if not spans or not len(intervals):
        return np.zeros(len(intervals), dtype=bool)
    if any(np.isnan(span.start) for span in spans):
        return np.ones(len(intervals), dtype=bool)
    edges, covered = [0.0], [0.0]
    for start, end in merge_spans(spans):
        edges += [start, end]
        covered += [covered[-1], covered[-1] + end - start]
    edges[0] = min(edges[0], edges[1]) - 1.0
    starts, ends = intervals.T
    inside = np.interp(ends, edges, covered) - np.interp(starts, edges, covered)
    return inside >= 0.5 * (ends - starts) - 1e-9


def merge_spans(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """Join spans that overlap, in order of time."""
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and span.start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.end))
        else:
            merged.append((span.start, span.end))
    return merged
