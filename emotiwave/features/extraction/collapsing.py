"""From all frames of an utterance to the few of the store, a block at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.align import Plan, collapse, observed_frames
from emotiwave.features.extraction.frames import Frames, covered_frames
from emotiwave.features.extractor import Extractor

ROWS_AT_ONCE = 2**24
"""Values that are brought to the frames of the store at a time."""


def useless(frames: Frames, extractor: Extractor[Any, Any]) -> NDArray[np.bool_]:
    """Find the frames ``(frames,)`` that lie in spans of no use; none where a row stands for all of a block."""
    if extractor.summarises:
        return np.zeros(len(frames), dtype=bool)
    return covered_frames(frames.intervals, frames.spans)


def cut_frames(frames: Frames, is_useless: NDArray[np.bool_], most: int) -> NDArray[np.float32]:
    """Take the first frames as they are, frames of zeros too; those of no use become NaN."""
    values = frames.rows(0, min(most, len(frames))).copy()
    values[is_useless[:most]] = np.nan
    return values


def collapse_in_blocks(frames: Frames, is_useless: NDArray[np.bool_], plan: Plan, how: Any) -> NDArray[np.float32]:
    """Carry out a plan a few new frames at a time, so that long sequences need little memory."""
    usable = ~is_useless
    n_targets = len(plan.intervals)
    per_target = np.bincount(plan.targets, minlength=n_targets)
    parts, begin = [], 0
    while begin < n_targets:
        end = begin + 1
        total = per_target[begin] * frames.size
        while end < n_targets and total + per_target[end] * frames.size <= ROWS_AT_ONCE:
            total += per_target[end] * frames.size
            end += 1
        parts.append(_collapse_targets(frames, usable, plan, (begin, end), how))
        begin = end
    return np.concatenate([np.empty((0, frames.size), np.float32), *parts])


def _collapse_targets(
    frames: Frames, usable: NDArray[np.bool_], plan: Plan, targets: tuple[int, int], how: Any
) -> NDArray[np.float32]:
    begin, end = np.searchsorted(plan.targets, targets)
    rows = plan.frames[begin:end]
    first, last = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
    values = frames.rows(first, last)
    part = Plan(rows - first, plan.targets[begin:end] - targets[0], plan.intervals[slice(*targets)])
    return collapse(values, observed_frames(values) & usable[first:last], [part], how)
