"""From raw frames to those of the store: which are observed, and how several become one.

What becomes of each frame is planned first, from times alone; then all frames of a video are collapsed in one go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from emotiwave.sequences import FeatureSequence

Collapse = Literal["mean", "max", "middle"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Which frames become which: raw frame ``frames[i]`` goes into new frame ``targets[i]``, in ascending order.

    ``intervals (new frames, 2)`` are seconds.
    """

    frames: NDArray[np.int64]
    targets: NDArray[np.int64]
    intervals: NDArray[np.float64]


def observed_frames(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the frames ``(frames,)`` that hold a measurement: all values finite, and not every one exactly zero.

    One product per frame tells most: a sum that is finite and not zero is of finite values that are not all zero. Only
    the others are looked at one by one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        sums = values @ np.ones(values.shape[1], dtype=np.float32)
    observed = np.isfinite(sums) & (sums != 0)
    doubtful = np.flatnonzero(~observed)
    if len(doubtful):
        rows = values[doubtful]
        observed[doubtful] = np.isfinite(rows).all(axis=1) & (rows != 0).any(axis=1)
    return observed


def plan_each(intervals: NDArray[np.float64]) -> Plan:
    """Keep every frame as it is."""
    frames = np.arange(len(intervals))
    return Plan(frames, frames, intervals)


def plan_pool(intervals: NDArray[np.float64], most: int) -> Plan:
    """Bring frames, in order of time, to at most ``most``: spans of equal length; fewer frames stay as they are.

    Without usable times the spans are of equal numbers of frames.
    """
    if len(intervals) <= most:
        return plan_each(intervals)
    middle = np.maximum.accumulate(intervals.mean(axis=1))  # words inside others may be out of order
    if not (np.isfinite(middle[[0, -1]]).all() and middle[-1] > middle[0]):
        middle = np.arange(len(middle), dtype=np.float64)
    share = (middle - middle[0]) / (middle[-1] - middle[0])
    span = np.minimum(share * most, most - 1).astype(np.int64)
    edges = np.searchsorted(span, np.arange(most + 1))
    firsts, lasts = edges[:-1], edges[1:] - 1
    pooled = np.stack([intervals[firsts, 0], intervals[lasts, 1]], axis=1)
    gaps = lasts < firsts
    if gaps.any():  # a span without frames keeps its place in time
        grid = np.linspace(intervals[0, 0], intervals[-1, 1], most + 1)
        pooled[gaps] = np.stack([grid[:-1], grid[1:]], axis=1)[gaps]
    return Plan(np.arange(len(intervals)), span, pooled)


def plan_align(intervals: NDArray[np.float64], reference: NDArray[np.float64]) -> Plan:
    """Bring frames, in order of time, to the intervals ``(targets, 2)`` of another sequence, in order of their starts.

    A frame belongs to the interval that its midpoint lies in; to the last that began, where several do.
    """
    if not len(reference):
        nothing = np.empty(0, dtype=np.int64)
        return Plan(nothing, nothing, reference)
    middle, (starts, ends) = intervals.mean(axis=1), reference.T
    target = np.searchsorted(starts, middle, side="right") - 1
    if (np.diff(ends) < 0).any():
        target = _last_open(middle, target, ends)
    inside = np.flatnonzero((target >= 0) & (middle < ends[target]))
    inside = inside[np.argsort(target[inside], kind="stable")]
    return Plan(inside, target[inside], reference)


def _last_open(middle: NDArray[np.float64], begun: NDArray[np.int64], ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each moment, of the intervals ``0 … begun`` the last that has not ended; -1 where all have.

    What has ended stays so, as moments are in order: each interval is pushed once and dropped once.
    """
    found = np.full(len(middle), -1, dtype=np.int64)
    is_open: list[int] = []
    n_begun = 0
    for row, (moment, last) in enumerate(zip(middle, begun, strict=True)):
        is_open.extend(range(n_begun, last + 1))
        n_begun = max(n_begun, last + 1)
        while is_open and ends[is_open[-1]] <= moment:
            is_open.pop()
        found[row] = is_open[-1] if is_open else -1
    return found


def then(first: Plan, second: Plan) -> Plan:
    """Do one plan, and another with its outcome."""
    becomes = np.full(len(first.intervals), -1, dtype=np.int64)
    becomes[second.frames] = second.targets
    targets = becomes[first.targets]
    kept = targets >= 0
    return Plan(first.frames[kept], targets[kept], second.intervals)


def collapse(
    values: NDArray[np.float32], observed: NDArray[np.bool_], plans: Sequence[Plan], how: Collapse = "mean"
) -> NDArray[np.float32]:
    """Carry out plans over the frames of ``values``, their new frames one after the other.

    Only observed frames count; a new frame without any is NaN.

    Args:
        values: ``(frames, features)``.
        observed: ``(frames,)``.
        plans: Each over the same frames.
        how: How several frames become one: their mean, their greatest values, or the one in their middle.
    """
    sizes = [len(plan.intervals) for plan in plans]
    begins = np.cumsum([0, *sizes])
    frames = np.concatenate([np.empty(0, np.int64), *(plan.frames for plan in plans)])
    targets = np.concatenate(
        [np.empty(0, np.int64), *(plan.targets + begin for plan, begin in zip(plans, begins[:-1], strict=True))]
    )
    used = observed[frames]
    if not used.all():
        frames, targets = frames[used], targets[used]
    counts = np.bincount(targets, minlength=begins[-1])
    rows = np.concatenate([[0], np.cumsum(counts)])
    if how == "mean":  # as a sparse product, which reads each frame once and no unobserved one
        weights = (1.0 / np.maximum(counts, 1))[targets].astype(np.float32)
        collapsed = np.asarray(csr_matrix((weights, frames, rows), shape=(begins[-1], len(values))) @ values)
    else:
        collapsed = np.empty((begins[-1], values.shape[1]), dtype=np.float32)
        if how == "middle":
            collapsed[counts > 0] = values[frames[(rows[:-1] + counts // 2)[counts > 0]]]
        elif len(frames):
            collapsed[counts > 0] = np.maximum.reduceat(values[frames], rows[:-1][counts > 0], axis=0)
    collapsed[counts == 0] = np.nan
    return collapsed


def pool(sequence: FeatureSequence, frames: int, how: Collapse = "mean") -> FeatureSequence:
    """Bring a sequence, in order of time, to at most ``frames`` frames: spans of equal length, each collapsed to one.

    Frames that are not finite or all zero count as unobserved; a span without an observed one becomes NaN. Shorter
    sequences stay.
    """
    if len(sequence.values) <= frames:
        return sequence
    plan = plan_pool(sequence.intervals, frames)
    values = collapse(sequence.values, observed_frames(sequence.values), [plan], how)
    return FeatureSequence(values, plan.intervals)
