"""Metrics of continuous labels as functions of sums, which groups and resamples add up.

Statistics have shape ``(..., n_labels, 16)``; leading axes are resamples or groups. What MOSI papers print follows the
code they share, MMSA (https://github.com/thuiar/MMSA): its rules are stated with each metric. Every function is checked
against scikit-learn, scipy or numpy.
"""

import numpy as np
from numpy.typing import NDArray

from emotiwave.metrics import counts
from emotiwave.metrics.counts import fixed_thresholds
from emotiwave.types import LabelSet

Statistics = NDArray[np.float64]
N_STATISTICS = 16
N, ERROR, TRUTH, PREDICTED, TRUTH_2, PREDICTED_2, PRODUCT = range(7)
DECIDED, SIGNED, SEVEN = slice(7, 11), slice(11, 15), 15
"""Two 2 x 2 tables, truth before decision, and how often the rounded values agree."""
SEVEN_STEPS = (-3.0, 3.0)
ROUNDING = 1e-12
"""A variance below this share of the sum of squares is what rounding left of none."""
TWO_CLASSES = LabelSet("categorical", ("negative", "non-negative"))
PRESENCE = LabelSet("multilabel", ("present",))


def measure(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    groups: NDArray[np.int64],
    labels: LabelSet,
    thresholds: NDArray[np.float64] | None = None,
) -> Statistics:
    """Sum up what the metrics need, per group and label.

    Args:
        truth: ``(n, n_labels)``.
        predicted: ``(n, n_labels)``, clipped to the ranges.
        groups: ``(n,)``, 0 to n_groups - 1: the video or speaker of each utterance.
        labels: Continuous.
        thresholds: ``(n_labels,)``: above it, an intensity counts as present; `fixed_thresholds` by default.

    Returns:
        ``(n_groups, n_labels, 16)``.
    """
    limits = fixed_thresholds(labels) if thresholds is None else thresholds
    crosses = labels.bounds[0] < 0
    positive = np.where(crosses, truth >= 0, truth > 0)
    decision = np.where(crosses, predicted >= 0, predicted > limits)
    # correlation does not change when values are shifted, and sums of small numbers keep their digits
    t, p = truth - np.median(truth, axis=0), predicted - np.median(predicted, axis=0)
    parts = [np.ones_like(t), np.abs(truth - predicted), t, p, t * t, p * p, t * p]
    parts += [(positive == left) & (decision == right) for left in (False, True) for right in (False, True)]
    signed = truth != 0
    parts += [
        signed & ((truth > 0) == left) & ((predicted > 0) == right) for left in (False, True) for right in (False, True)
    ]
    parts.append(np.round(np.clip(truth, *SEVEN_STEPS)) == np.round(np.clip(predicted, *SEVEN_STEPS)))
    statistics = np.zeros((int(groups.max()) + 1, truth.shape[1], N_STATISTICS))
    np.add.at(statistics, groups, np.stack(parts, axis=-1).astype(np.float64))
    return statistics


def f1(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """F1 per label: the mean F1 of negative and non-negative where the range crosses zero, else the F1 of presence.

    Present is a truth above 0 and a prediction above the threshold.
    """
    table = _table(statistics, DECIDED)
    presence = counts.f1(table[..., None, :, :], PRESENCE)[..., 0]
    return np.where(_crosses(labels), counts.macro_f1(table, TWO_CLASSES), presence)


def mae(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Mean absolute error per label, in units of the label; lower is better."""
    return _divide(statistics[..., ERROR], statistics[..., N])


def pearson(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Pearson correlation r of truth and prediction per label; 0 where either is constant."""
    s = np.moveaxis(statistics, -1, 0)
    truth, predicted = s[N] * s[TRUTH_2] - s[TRUTH] ** 2, s[N] * s[PREDICTED_2] - s[PREDICTED] ** 2
    varies = (truth > ROUNDING * s[N] * s[TRUTH_2]) & (predicted > ROUNDING * s[N] * s[PREDICTED_2])
    spread = np.sqrt(np.where(varies, truth * predicted, 0.0))
    return np.clip(_divide(s[N] * s[PRODUCT] - s[TRUTH] * s[PREDICTED], spread), -1, 1)


def macro_f1(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Mean F1 over continuous labels, read as decisions: negative or not, or (a range from zero) present or not."""
    return f1(statistics, labels).mean(axis=-1)


def mean_mae(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Mean absolute error, in units of the labels; mean over labels. Lower is better, so it has no retention."""
    return mae(statistics, labels).mean(axis=-1)


def mean_pearson(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Pearson correlation r of truth and prediction, -1 to 1; mean over labels, 0 where either is constant."""
    return pearson(statistics, labels).mean(axis=-1)


def accuracy_2(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Acc-2, negative or non-negative: share of values on the right side; mean over labels that cross zero."""
    return counts.accuracy(_table(statistics, DECIDED), TWO_CLASSES)[..., _crosses(labels)].mean(axis=-1)


def accuracy_2_signed(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Acc-2, negative or positive: truths of exactly 0 are left out; a prediction of 0 is then not positive."""
    return counts.accuracy(_table(statistics, SIGNED), TWO_CLASSES)[..., _crosses(labels)].mean(axis=-1)


def weighted_f1_2_signed(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Weighted F1 of negative and positive, the other "F1" of MOSI papers; truths of exactly 0 are left out."""
    return counts.mean_weighted_f1(_table(statistics, SIGNED), TWO_CLASSES)[..., _crosses(labels)].mean(axis=-1)


def weighted_f1_2(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Weighted F1 of negative and non-negative, one "F1" of MOSI papers; mean over labels that cross zero."""
    return counts.mean_weighted_f1(_table(statistics, DECIDED), TWO_CLASSES)[..., _crosses(labels)].mean(axis=-1)


def accuracy_7(statistics: Statistics, labels: LabelSet) -> NDArray[np.float64]:
    """Acc-7: share of values that round to the truth's integer, -3 to 3 (numpy.round: halves go to the even)."""
    return _divide(statistics[..., SEVEN], statistics[..., N])[..., has_seven_steps(labels)].mean(axis=-1)


def has_seven_steps(labels: LabelSet) -> NDArray[np.bool_]:
    """Which labels range from -3 to 3 ``(n_labels,)``."""
    return (labels.bounds == np.array(SEVEN_STEPS)[:, None]).all(axis=0)


def _crosses(labels: LabelSet) -> NDArray[np.bool_]:
    return labels.bounds[0] < 0


def _table(statistics: Statistics, place: slice) -> counts.Counts:
    return statistics[..., place].reshape(*statistics.shape[:-1], 2, 2)


def _divide(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
