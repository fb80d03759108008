"""Means over utterances, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 1000


@dataclass(frozen=True)
class Mean:
    """A mean over utterances with its 95 % interval, by bootstrap over groups; ``n`` utterances that had a value."""

    value: float
    low: float
    high: float
    n: int


def mean_over_groups(
    values: NDArray[np.float64], groups: Sequence[str], seed: int = 0, n_resamples: int = 1000
) -> Mean:
    """Average values ``(utterances,)`` that are no NaN, with an interval by resampling groups."""
    there = np.isfinite(values)
    if not there.any():
        return Mean(np.nan, np.nan, np.nan, 0)
    _, number = np.unique(np.asarray(groups)[there], return_inverse=True)
    sums, counts = np.bincount(number, values[there]), np.bincount(number)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(N_RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return Mean(float(values[there].mean()), float(low), float(high), int(there.sum()))
