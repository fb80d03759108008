"""Cheap tests of frames: what is no measurement, which columns never change, and which times make no sense."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.align import observed_frames
from emotiwave.features.video import failed_frames

SAME_TIME = 0.01
"""Frames may overlap by this share of their length: times are rounded."""


@dataclass(frozen=True)
class FrameCounts:
    """How many of some frames are not finite, exact zeros, failed, and any of these."""

    n_non_finite: int = 0
    n_all_zero: int = 0
    n_failed: int = 0
    n_unobserved: int = 0

    def __add__(self, other: "FrameCounts") -> "FrameCounts":
        return FrameCounts(
            self.n_non_finite + other.n_non_finite,
            self.n_all_zero + other.n_all_zero,
            self.n_failed + other.n_failed,
            self.n_unobserved + other.n_unobserved,
        )


class FrameCheck:
    """Looks at frames block by block; remembers one frame, whatever the number of blocks.

    ``failure_columns`` are those in which a face tracker writes 0 where it failed.
    """

    def __init__(self, size: int, failure_columns: Sequence[int] = ()) -> None:
        self.size = size
        self._failure_columns = [column for column in failure_columns if column < size]
        self._first: NDArray[np.float32] | None = None
        self._unchanged = np.arange(size)

    def add(self, values: NDArray[np.float32]) -> FrameCounts:
        """Look at frames ``(frames, size)``."""
        measured = observed_frames(values)
        failed = failed_frames(values, self._failure_columns)
        self._compare(values, measured)
        n_all_zero = int(np.count_nonzero(~values[~measured].any(axis=1)))  # NaN counts as any value
        return FrameCounts(
            n_non_finite=int(np.count_nonzero(~measured)) - n_all_zero,
            n_all_zero=n_all_zero,
            n_failed=int(np.count_nonzero(failed)),
            n_unobserved=int(np.count_nonzero(~measured | failed)),
        )

    def _compare(self, values: NDArray[np.float32], usable: NDArray[np.bool_]) -> None:
        if not len(self._unchanged) or not usable.any():
            return
        first = self._first = values[usable.argmax()].copy() if self._first is None else self._first
        candidates = values[:, self._unchanged]
        if not usable.all():
            candidates = candidates[usable]
        self._unchanged = self._unchanged[(candidates == first[self._unchanged]).all(axis=0)]

    @property
    def constant(self) -> tuple[int, ...]:
        """The columns that had one value in all usable frames (finite, not all zero), if there were any."""
        return () if self._first is None else tuple(self._unchanged.tolist())


@dataclass(frozen=True, eq=False)
class TimeCounts:
    """What the intervals of one video say: counts of frames, and times in seconds.

    ``midpoints`` are those of frames that have one, sorted. ``length`` is the median of frames that have one, else 0.
    """

    n_negative: int
    n_inverted: int
    n_overlapping: int
    sorted: bool
    seconds: float
    length: float
    midpoints: NDArray[np.float64]


def check_times(intervals: NDArray[np.float64]) -> TimeCounts:
    """Look at the start and end of each frame ``(frames, 2)`` in seconds."""
    start, end = intervals[:, 0], intervals[:, 1]
    with np.errstate(all="ignore"):
        good = np.isfinite(intervals).all(axis=1) & (end >= start)
        middle = intervals.mean(axis=1)
        middle = middle[np.isfinite(middle)]
    in_order = bool((middle[1:] >= middle[:-1]).all())
    start, end = start[good], end[good]
    length = end - start
    return TimeCounts(
        n_negative=int(np.count_nonzero(intervals[:, 0] < 0)),
        n_inverted=len(good) - len(start),
        n_overlapping=_overlapping(start, end),
        sorted=in_order,
        seconds=float(end.max() - start.min()) if len(start) else 0.0,
        length=float(np.median(length)) if len(length) else 0.0,
        midpoints=middle if in_order else np.sort(middle),
    )


def _overlapping(start: NDArray[np.float64], end: NDArray[np.float64]) -> int:
    """Count the frames that begin before all earlier ones have ended."""
    if (start[1:] < start[:-1]).any():
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
    ended = np.maximum.accumulate(end)[:-1]
    return int(np.count_nonzero(ended - start[1:] > SAME_TIME * (end - start)[1:]))
