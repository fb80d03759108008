"""Metrics of shares of raters: those of decisions, against the largest share, and how well the shares are foretold.

Statistics have shape ``(..., n_classes, n_classes + 1)``: counts, truth before decision, and in the last column the sum
of cross-entropies of the utterances with that truth; leading axes are resamples or groups.
"""

from collections.abc import Mapping
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from emotiwave.metrics.counts import Metric, count, decide
from emotiwave.types import LabelSet

Statistics = NDArray[np.float64]
SMALLEST = np.finfo(np.float64).eps
"""Probabilities count as this at least, as in scikit-learn's log_loss, so that a sure error costs 36 nats."""


def measure(
    shares: NDArray[np.float64], probabilities: NDArray[np.float64], groups: NDArray[np.int64], labels: LabelSet
) -> Statistics:
    """Count decisions and sum up cross-entropies, per group.

    Args:
        shares: ``(n, n_classes)``, of the raters.
        probabilities: ``(n, n_classes)``.
        groups: ``(n,)``, 0 to n_groups - 1: the video or speaker of each utterance.
        labels: A distribution.

    Returns:
        ``(n_groups, n_classes, n_classes + 1)``.
    """
    truth = labels.holds(shares)
    decided = count(truth, decide(probabilities, labels), groups, labels)
    lost = np.zeros(decided.shape[:2])
    cross_entropy = -(shares * np.log(np.maximum(probabilities, SMALLEST))).sum(axis=1)
    np.add.at(lost, (groups, truth.argmax(axis=1)), cross_entropy)
    return np.concatenate([decided, lost[..., None]], axis=-1)


def nll(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Cross-entropy of the raters' shares under the answer, mean over utterances, in nats; lower is better."""
    lost, n = statistics[..., -1].sum(axis=-1), statistics[..., :-1].sum(axis=(-2, -1))
    return np.divide(lost, n, out=np.zeros_like(n), where=n > 0)


def of_counts(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Make metrics of counts take these statistics."""
    return {name: _of_counts(metric) for name, metric in metrics.items()}


def _of_counts(metric: Metric) -> Metric:
    @wraps(metric)
    def of_statistics(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
        return metric(statistics[..., :-1], labels)

    return of_statistics
