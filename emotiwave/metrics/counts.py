"""Metrics of decisions as functions of counts: fast enough to recompute on thousands of bootstrap resamples at once.

Counts have shape ``(..., n_labels, 2, 2)`` (multilabel) or ``(..., n_classes, n_classes)`` (one class holds), truth
before decision; leading axes are resamples or groups. Every function is checked against scikit-learn.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import LabelSet

Counts = NDArray[np.float64]
Metric = Callable[[NDArray[np.float64], LabelSet], NDArray[np.float64]]
HALF = 0.5


def fixed_thresholds(labels: LabelSet) -> NDArray[np.float64]:
    """Thresholds ``(n_classes,)`` that nothing was tuned for: 0.5, a probability or half a step of a rating.

    Half of the range where that is shorter than a step; 0 for continuous labels that cross zero, whose sign decides.
    """
    if labels.kind != "continuous":
        return np.full(len(labels.names), HALF)
    low, high = labels.bounds
    return np.where(low < 0, 0.0, np.minimum(HALF, high / 2))


def decide(
    answers: NDArray[np.float64], labels: LabelSet, thresholds: NDArray[np.float64] | None = None
) -> NDArray[np.bool_]:
    """Turn probabilities ``(n, n_classes)`` into decisions: the largest (one holds), or all above their threshold.

    Args:
        answers: ``(n, n_classes)``, probabilities.
        labels: Of the task.
        thresholds: ``(n_classes,)``, those of `fixed_thresholds` by default; the largest needs none.
    """
    if labels.is_exclusive:
        return np.arange(answers.shape[1]) == answers.argmax(axis=1)[:, None]
    return answers > (fixed_thresholds(labels) if thresholds is None else thresholds)


def count(truth: NDArray[np.bool_], decision: NDArray[np.bool_], groups: NDArray[np.int64], labels: LabelSet) -> Counts:
    """Count decisions per group.

    Args:
        truth: ``(n, n_classes)``, True where the class holds.
        decision: ``(n, n_classes)``, True where the model says so.
        groups: ``(n,)``, 0 to n_groups - 1: the video or speaker of each utterance.
        labels: Of the task; classes.

    Returns:
        ``(n_groups, n_classes, n_classes)`` where one class holds, ``(n_groups, n_classes, 2, 2)`` for multilabel.
    """
    n_groups, n_classes = int(groups.max()) + 1, truth.shape[1]
    if labels.is_exclusive:
        counts = np.zeros((n_groups, n_classes, n_classes))
        np.add.at(counts, (groups, truth.argmax(axis=1), decision.argmax(axis=1)), 1)
        return counts
    counts = np.zeros((n_groups, n_classes, 2, 2))
    columns = np.arange(n_classes)[None]
    np.add.at(counts, (groups[:, None], columns, truth.astype(int), decision.astype(int)), 1)
    return counts


def per_label(counts: Counts, labels: LabelSet) -> Counts:
    """Reduce to one 2 x 2 table per class, ``(..., n_classes, 2, 2)``: class against rest."""
    if labels.kind == "multilabel":
        return counts
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    miss, false = counts.sum(axis=-1) - hit, counts.sum(axis=-2) - hit
    rest = counts.sum(axis=(-2, -1))[..., None] - hit - miss - false
    return np.stack([np.stack([rest, false], axis=-1), np.stack([miss, hit], axis=-1)], axis=-2)


def precision(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Precision per class ``(..., n_classes)``; 0 where the class is never predicted."""
    table = per_label(counts, labels)
    return _ratio(table[..., 1, 1], table[..., :, 1].sum(axis=-1))


def recall(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Recall per class ``(..., n_classes)``; 0 where the class never holds."""
    table = per_label(counts, labels)
    return _ratio(table[..., 1, 1], table[..., 1, :].sum(axis=-1))


def f1(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """F1 per class ``(..., n_classes)``; 0 where the class neither holds nor is predicted."""
    table = per_label(counts, labels)
    return _ratio(2 * table[..., 1, 1], 2 * table[..., 1, 1] + table[..., 0, 1] + table[..., 1, 0])


def weighted_accuracy(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """WA per class: the mean of its recall and of the recall of its absence, (TP N/P + TN) / 2N.

    Where the class holds always or never, as in some resamples, one of the two is not defined and the other stands
    alone, as in scikit-learn's balanced accuracy.
    """
    table = per_label(counts, labels)
    support = table.sum(axis=-1)
    recalls = _ratio(np.diagonal(table, axis1=-2, axis2=-1), support)
    return _ratio(recalls.sum(axis=-1), (support > 0).sum(axis=-1))  # a recall without support is 0


def weighted_f1(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Weighted F1 per class: the F1 of its presence and of its absence, weighted by how often each holds.

    Much larger than F1 where a class is rare, for it mostly rewards finding nothing.
    """
    table = per_label(counts, labels)
    hits, support = np.diagonal(table, axis1=-2, axis2=-1), table.sum(axis=-1)
    both = _ratio(2 * hits, support + table.sum(axis=-2))
    return _ratio((both * support).sum(axis=-1), support.sum(axis=-1))


def macro_f1(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Mean F1 over classes. Where one class holds, those that never hold nor are predicted are left out."""
    values = f1(counts, labels)
    if labels.kind == "multilabel":
        return values.mean(axis=-1)
    table = per_label(counts, labels)
    occurs = table[..., 1, :].sum(axis=-1) + table[..., 0, 1] > 0
    return _ratio((values * occurs).sum(axis=-1), occurs.sum(axis=-1))


def accuracy(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Share of right decisions: over utterances (one class holds), or over utterances x classes (multilabel)."""
    if labels.kind == "multilabel":
        right = counts[..., 0, 0] + counts[..., 1, 1]
        return _ratio(right, counts.sum(axis=(-2, -1))).mean(axis=-1)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Unweighted average recall: the mean of recall over the classes that hold."""
    support = per_label(counts, labels)[..., 1, :].sum(axis=-1)
    return _ratio((recall(counts, labels) * (support > 0)).sum(axis=-1), (support > 0).sum(axis=-1))


def mean_weighted_accuracy(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Mean over classes of WA, the mean of the recall of a class and of the recall of its absence."""
    return weighted_accuracy(counts, labels).mean(axis=-1)


def mean_weighted_f1(counts: Counts, labels: LabelSet) -> NDArray[np.float64]:
    """Mean F1 weighted by support: over classes (one holds), or over presence and absence of each (multilabel)."""
    if labels.kind == "multilabel":
        return weighted_f1(counts, labels).mean(axis=-1)
    support = counts.sum(axis=-1)
    return _ratio((f1(counts, labels) * support).sum(axis=-1), support.sum(axis=-1))


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
