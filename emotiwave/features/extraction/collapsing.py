"""From all frames of an utterance to the few of the store, a block at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.align import Plan, collapse, observed_frames
from emotiwave.features.extraction.frames import Frames, covered_frames
from emotiwave.features.extractor import Extractor

ROWS_AT_ONCE = 2**24
"""Values that are brought to the frames of the store at a time."""
CUT = " is cut after "
"""In the name of each count of utterances that were cut."""


@dataclass(frozen=True, eq=False)
class CutFrames:
    """The first frames of an utterance, how many others among them were left out, and whether more follow."""

    values: NDArray[np.float32]
    intervals: NDArray[np.float64]
    n_left_out: int
    is_cut: bool


def useless(frames: Frames, extractor: Extractor[Any, Any]) -> NDArray[np.bool_]:
    """Find the frames ``(frames,)`` that lie in spans of no use; none where a row stands for all of a block."""
    if extractor.summarises:
        return np.zeros(len(frames), dtype=bool)
    return covered_frames(frames.intervals, frames.spans)


def cut_frames(frames: Frames, is_useless: NDArray[np.bool_], most: int, *, with_unobserved: bool) -> CutFrames:
    """Take the first frames as they are, frames of zeros too; they keep their times.

    Unobserved frames do not count towards ``most`` and are left out, so that a long silence at the start costs nothing
    of what is said after it; ``with_unobserved`` takes them all the same, those of no use as NaN.
    """
    step = max(1, ROWS_AT_ONCE // frames.size)
    values, rows = [np.empty((0, frames.size), np.float32)], np.empty(0, np.int64)
    for first in range(0, len(frames), step):
        block = frames.rows(first, min(first + step, len(frames))).copy()
        block[is_useless[first : first + step]] = np.nan
        is_taken = np.isfinite(block).all(axis=1) | with_unobserved
        values.append(block[is_taken])
        rows = np.concatenate([rows, first + np.flatnonzero(is_taken)])
        if len(rows) > most:
            break
    is_cut = len(rows) > most
    rows = rows[:most]
    n_seen = int(rows[-1]) + 1 if is_cut else len(frames)
    return CutFrames(np.concatenate(values)[:most], frames.intervals[rows], n_seen - len(rows), is_cut)


def cut_count(modality: str, most: int, frames_per_second: float | None) -> str:
    """Name the count of utterances that were cut.

    >>> cut_count("audio", 750, 50.0)
    'utterances whose audio is cut after 750 frames (15 s)'
    """
    seconds = "" if frames_per_second is None else f" ({most / frames_per_second:g} s)"
    return f"utterances whose {modality}{CUT}{most} frames{seconds}"


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
