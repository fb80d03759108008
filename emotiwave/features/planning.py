"""Which frames of a signal become which frames of the store, as the settings say."""

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.align import Plan, plan_align, plan_each, plan_pool, then
from emotiwave.features.settings import FeatureSettings


def plan_frames(
    intervals: NDArray[np.float64], words: NDArray[np.float64], settings: FeatureSettings, budget: int
) -> tuple[Plan, bool]:
    """Align frames if asked, and bring them to the budget.

    Args:
        intervals: Of the frames, ``(frames, 2)``, in order of time.
        words: Intervals of the words ``(words, 2)`` on the same clock.
        settings: How.
        budget: The most frames.

    Returns:
        The plan, and whether there were more frames than the budget.
    """
    plan = plan_align(intervals, words) if settings.align == "words" else plan_each(intervals)
    is_longer = len(plan.intervals) > budget
    cut = settings.beyond == "cut"
    plan = then(plan, plan_each(plan.intervals[:budget]) if cut else plan_pool(plan.intervals, budget))
    if settings.pad and len(plan.intervals) < budget:
        plan = _pad(plan, budget)
    return plan, is_longer


def _pad(plan: Plan, frames: int) -> Plan:
    """Add frames that nothing goes into, at the end."""
    missing = frames - len(plan.intervals)
    end = plan.intervals[-1, 1] if len(plan.intervals) else 0.0
    return Plan(plan.frames, plan.targets, np.concatenate([plan.intervals, np.full((missing, 2), end)]))
