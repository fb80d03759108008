"""How true probabilities are: expected calibration error, Brier score, the bins of a reliability diagram."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import LabelSet

N_BINS = 15
"""Of equal width, after Guo et al. (2017)."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Answers with a confidence from ``low`` up to ``high``: how many, how sure on average, how many of them right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def confidence_and_hits(answers: Array, targets: Array, labels: LabelSet) -> tuple[Array, Array]:
    """How sure each decision is ``(n,)`` and whether it is right, 0 to 1.

    Of one class that holds, the largest probability and whether it is the class, or the share of raters that chose it.
    Of several, every class of every utterance by itself: its probability, and whether it holds.
    """
    if not labels.is_exclusive:
        return answers.ravel(), (targets > 0).astype(np.float64).ravel()
    best = answers.argmax(axis=1)
    rows = np.arange(len(answers))
    return answers[rows, best], targets[rows, best].astype(np.float64)


def reliability(confidence: Array, hits: Array, n_bins: int = N_BINS) -> list[Bin]:
    """Sort answers into bins of equal width by how sure they are; empty bins are left out."""
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    found = []
    for index in np.unique(place).tolist():
        inside = place == index
        found.append(
            Bin(
                index / n_bins,
                (index + 1) / n_bins,
                int(inside.sum()),
                float(confidence[inside].mean()),
                float(hits[inside].mean()),
            )
        )
    return found


def calibration_error(confidence: Array, hits: Array, n_bins: int = N_BINS) -> float:
    """Mean distance of confidence and accuracy over bins, by how many answers they hold (ECE)."""
    bins = reliability(confidence, hits, n_bins)
    return sum(of.n * abs(of.confidence - of.accuracy) for of in bins) / max(1, len(confidence))


def brier(answers: Array, targets: Array) -> float:
    """Squared distance of probabilities and truth, summed over classes, mean over utterances (Brier, 1950)."""
    return float(np.square(answers - targets).sum(axis=1).mean())
