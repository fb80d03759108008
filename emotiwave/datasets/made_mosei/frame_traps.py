"""What is wrong with the features of CMU-MOSEI: which videos, times and frames are spoilt, and how many of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.made_mosei.settings import MadeMoseiSettings
from emotiwave.datasets.made_mosei.videos import MadeVideo

CAP = 300
"""Frames that notebooks keep of a segment."""
SAME_TIME = 0.01
"""Frames may overlap by this share of their length."""
SPACING = 8
"""Frames between two spoilt times, so that each is one finding."""


@dataclass(frozen=True)
class StreamTraps:
    """What is spoilt in one modality: videos by index, and shares of frames."""

    missing: frozenset[int] = frozenset()
    """Videos without an entry."""
    damaged: frozenset[int] = frozenset()
    """Videos with fewer intervals than features."""
    emptied: Mapping[int, int] = field(default_factory=dict)
    """Video -> row of a segment without a frame."""
    unsorted: frozenset[int] = frozenset()
    """Videos whose frames are out of order; one of these frames has no time."""
    negative: frozenset[int] = frozenset()
    """Videos whose first frame starts before 0 s."""
    overlapping: frozenset[int] = frozenset()
    inverted: frozenset[int] = frozenset()
    non_finite: float = 0.0
    all_zero: float = 0.0
    failed: float = 0.0
    burst: int = 1
    """Frames that are spoilt together."""
    surely: int = -1
    """A video in which each of the three occurs, however small the share."""


def plan_traps(
    videos: Sequence[MadeVideo], settings: MadeMoseiSettings, rng: np.random.Generator
) -> dict[str, StreamTraps]:
    """Choose what is spoilt in each modality; nothing without traps."""
    if not settings.traps:
        return dict.fromkeys(settings.made, StreamTraps())
    order = [int(index) for index in rng.permutation(len(videos))]
    few = max(1, round(0.02 * len(videos)))

    def take(n: int = few) -> frozenset[int]:
        return frozenset(order.pop() for _ in range(n))

    def a_segment() -> dict[int, int]:
        (index,) = take(1)
        lengths = np.diff(videos[index].segments, axis=1)[:, 0]
        return {index: int(lengths.argmax())}

    missing = {name: take() for name in settings.made}
    damaged, out_of_order = take(1), take()
    emptied = {"text": a_segment(), "vision": a_segment()}
    surely = order[0]
    some = frozenset(order[: max(1, len(order) // 4)])
    traps = {
        "text": StreamTraps(emptied=emptied["text"], all_zero=0.03),
        "audio": StreamTraps(damaged=damaged, negative=some, non_finite=0.02, all_zero=0.005, burst=10),
        "vision": StreamTraps(
            emptied=emptied["vision"], unsorted=out_of_order, overlapping=some, inverted=some, failed=0.06, burst=15
        ),
        "facet": StreamTraps(negative=some, all_zero=0.05, burst=15),
    }
    return {name: replace(traps[name], missing=missing[name], surely=surely) for name in settings.made}


def spoil_times(
    intervals: NDArray[np.float64], video: MadeVideo, traps: StreamTraps, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Empty a segment, let frames overlap, end before they begin, have no time, or begin below 0 s.

    Midpoints stay in order of time, but for those that are lost.
    """
    if video.index in traps.emptied:
        intervals = intervals[~inside(intervals, video.segments[traps.emptied[video.index]])]
    intervals = intervals.copy()
    places = SPACING * rng.permutation(np.arange(1, len(intervals) // SPACING)) if len(intervals) else []
    kinds = ("unsorted", "overlapping", "inverted")
    for frame, kind in zip(places, kinds, strict=False):  # as many as there is room for
        if video.index not in getattr(traps, kind):
            continue
        start, end = intervals[frame]
        if kind == "unsorted":
            intervals[frame] = np.nan
        elif kind == "overlapping":
            intervals[frame] = start, end + (end - start) / 2
        else:
            intervals[frame] = end, start
    if video.index in traps.negative and len(intervals):
        intervals[0, 0] -= (intervals[0, 1] - intervals[0, 0]) / 2
    return intervals


def inside(intervals: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which frames have their midpoint in ``[start, end)``."""
    middle = intervals.mean(axis=1)
    return (middle >= part[0]) & (middle < part[1])


def draw_bursts(n: int, share: float, length: int, rng: np.random.Generator, *, surely: bool) -> NDArray[np.bool_]:
    """Draw about a share of ``n`` frames, several in a row; ``surely`` makes it at least one."""
    begins = rng.random(n) < share / length
    if surely and share and n:
        begins[rng.integers(n)] = True
    return np.convolve(begins, np.ones(length))[:n] > 0.5


class FrameFindings:
    """Counts what a reader of one feature file must find, video by video as it is written."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: NDArray[np.float32] | None = None
        self._unchanged = np.arange(0)

    def add_times(self, intervals: NDArray[np.float64], video: MadeVideo) -> None:
        """Count what is odd about the times ``(frames, 2)`` of a video, and frames by segment."""
        start, end = intervals.T
        timed = intervals[end >= start]
        timed = timed[np.argsort(timed[:, 0], kind="stable")]
        early = np.maximum.accumulate(timed[:, 1])[:-1] - timed[1:, 0]
        middle = intervals.mean(axis=1)
        segments = [segment for segment in video.segments if segment[1] > segment[0]]
        frames = np.array([inside(intervals, np.maximum(segment, 0.0)).sum() for segment in segments])
        self.counts.update(
            negative_intervals=int((start < 0).sum()),
            inverted_intervals=int((~(end >= start)).sum()),
            overlapping_intervals=int((early > SAME_TIME * np.diff(timed[1:], axis=1)[:, 0]).sum()),
            unsorted_intervals=int((np.diff(middle[np.isfinite(middle)]) < 0).any()),
            long_segments=int((frames > CAP).sum()),
            segments_without_frames=int((frames == 0).sum()),
        )

    def add_values(self, values: NDArray[np.float32], hidden: Mapping[str, NDArray[np.bool_]]) -> None:
        """Count hidden frames by kind, and look which columns vary over finite frames that are not all zero."""
        self.counts.update({kind: int(mask.sum()) for kind, mask in hidden.items()})
        counted = [mask for kind, mask in hidden.items() if kind in ("non_finite", "all_zero_frames")]
        usable = values[~np.any(counted, axis=0)] if counted else values
        if not len(usable):
            return
        if self._first is None:
            self._unchanged = np.arange(values.shape[1])
        first = self._first = usable[0].copy() if self._first is None else self._first
        same = usable[:, self._unchanged] == first[self._unchanged]
        self._unchanged = self._unchanged[same.all(axis=0)]

    def finish(self) -> Counter[str]:
        """Give the counts of the whole file."""
        return self.counts + Counter(constant_columns=len(self._unchanged))
