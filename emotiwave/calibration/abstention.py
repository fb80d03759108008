"""When to say "not sure": the risk of answering at every coverage, and the confidence below which to abstain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import ConfigError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Selective:
    """What is left of answers above a confidence: which share is answered, and which share of that is wrong.

    ``risk`` is None where nothing is answered.
    """

    threshold: float
    coverage: float
    risk: float | None


def risk_coverage(confidence: Array, hits: Array) -> tuple[Array, Array]:
    """Coverage and risk ``(levels,)`` as ever less sure answers are given; answers that are as sure come together."""
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(1 - hits[order])
    n = np.arange(1, len(order) + 1)
    last = np.append(np.diff(confidence[order]) != 0, True)
    return (n / len(order))[last], (wrong / n)[last]


def area_under_risk(confidence: Array, hits: Array) -> float:
    """Mean risk over all coverages (AURC; Geifman & El-Yaniv, 2017): lower is better."""
    order = np.argsort(-confidence, kind="stable")
    ordered, right = confidence[order], hits[order].astype(np.float64)
    _, back = np.unique(-ordered, return_inverse=True)
    level = np.bincount(back, right) / np.bincount(back)  # answers that are as sure have no order
    return float((np.cumsum(1 - level[back]) / np.arange(1, len(order) + 1)).mean())


def fit_abstention(confidence: Array, hits: Array, risk: float) -> float:
    """Find the least confidence above which answers are wrong no more often than asked for, on a selection split.

    Returns:
        Infinity where even the surest answers are wrong more often: never answer.

    Raises:
        ConfigError: If the risk is not between 0 and 1.
    """
    if not 0 < risk < 1:
        raise ConfigError(f"the risk to abstain above is {risk:g}; expected a share of wrong answers between 0 and 1")
    levels = np.unique(confidence)[::-1]
    _, risks = risk_coverage(confidence, hits)
    fine = np.flatnonzero(risks <= risk)
    return float(levels[fine[-1]]) if len(fine) else float("inf")


def abstain(confidence: Array, hits: Array, threshold: float) -> Selective:
    """Answer only what is at least so sure."""
    answered = confidence >= threshold
    wrong = 1 - hits[answered]
    return Selective(threshold, float(answered.mean()), float(wrong.mean()) if len(wrong) else None)
