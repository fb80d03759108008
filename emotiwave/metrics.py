"""Metrics as functions of counts: fast enough to recompute on thousands of bootstrap resamples at once.

Counts have shape ``(..., n_labels, 2, 2)`` or ``(..., n_classes, n_classes)``, truth before prediction; leading axes
are resamples or groups. Every function is checked against scikit-learn.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import LabelKind

Counts = NDArray[np.float64]


def decide(probabilities: NDArray[np.float64], kind: LabelKind) -> NDArray[np.bool_]:
    """Turn probabilities ``(n, n_classes)`` into decisions: the largest (categorical), all above 0.5 (multilabel)."""
    if kind == "multilabel":
        return probabilities > 0.5
    return np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]


def count(
    truth: NDArray[np.bool_], decision: NDArray[np.bool_], groups: NDArray[np.int64], *, kind: LabelKind
) -> Counts:
    """Count decisions per group.

    Args:
        truth: ``(n, n_classes)``, True where the class holds.
        decision: ``(n, n_classes)``, True where the model says so.
        groups: ``(n,)``, 0 to n_groups - 1: the video or speaker of each utterance.
        kind: Of the label set.

    Returns:
        ``(n_groups, n_classes, n_classes)`` for categorical labels, ``(n_groups, n_classes, 2, 2)`` for multilabel.
    """
    n_groups, n_classes = int(groups.max()) + 1, truth.shape[1]
    if kind == "categorical":
        counts = np.zeros((n_groups, n_classes, n_classes))
        np.add.at(counts, (groups, truth.argmax(axis=1), decision.argmax(axis=1)), 1)
        return counts
    counts = np.zeros((n_groups, n_classes, 2, 2))
    labels = np.arange(n_classes)[None]
    np.add.at(counts, (groups[:, None], labels, truth.astype(int), decision.astype(int)), 1)
    return counts


def per_label(counts: Counts, kind: LabelKind) -> Counts:
    """Reduce to one 2 x 2 table per class, ``(..., n_classes, 2, 2)``: class against rest."""
    if kind == "multilabel":
        return counts
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    miss, false = counts.sum(axis=-1) - hit, counts.sum(axis=-2) - hit
    rest = counts.sum(axis=(-2, -1))[..., None] - hit - miss - false
    return np.stack([np.stack([rest, false], axis=-1), np.stack([miss, hit], axis=-1)], axis=-2)


def precision(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """Precision per class ``(..., n_classes)``; 0 where the class is never predicted."""
    table = per_label(counts, kind)
    return _ratio(table[..., 1, 1], table[..., :, 1].sum(axis=-1))


def recall(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """Recall per class ``(..., n_classes)``; 0 where the class never holds."""
    table = per_label(counts, kind)
    return _ratio(table[..., 1, 1], table[..., 1, :].sum(axis=-1))


def f1(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """F1 per class ``(..., n_classes)``; 0 where the class neither holds nor is predicted."""
    table = per_label(counts, kind)
    return _ratio(2 * table[..., 1, 1], 2 * table[..., 1, 1] + table[..., 0, 1] + table[..., 1, 0])


def weighted_accuracy(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """WA per class, the mean of its recall and of the recall of its absence: (TP N/P + TN) / 2N (domain name: WA)."""
    table = per_label(counts, kind)
    sensitivity = _ratio(table[..., 1, 1], table[..., 1, :].sum(axis=-1))
    specificity = _ratio(table[..., 0, 0], table[..., 0, :].sum(axis=-1))
    return (sensitivity + specificity) / 2


def macro_f1(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """Mean F1 over classes. A categorical class that neither holds nor is predicted is left out of the mean."""
    values = f1(counts, kind)
    if kind == "multilabel":
        return values.mean(axis=-1)
    table = per_label(counts, kind)
    occurs = table[..., 1, :].sum(axis=-1) + table[..., 0, 1] > 0
    return _ratio((values * occurs).sum(axis=-1), occurs.sum(axis=-1))


def accuracy(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """Share of right decisions: over utterances (categorical), or over utterances x classes (multilabel)."""
    if kind == "multilabel":
        right = counts[..., 0, 0] + counts[..., 1, 1]
        return _ratio(right, counts.sum(axis=(-2, -1))).mean(axis=-1)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def uar(counts: Counts, kind: LabelKind) -> NDArray[np.float64]:
    """Unweighted average recall: the mean over classes that hold (categorical) of recall, else the mean WA."""
    if kind == "multilabel":
        return weighted_accuracy(counts, kind).mean(axis=-1)
    support = counts.sum(axis=-1)
    return _ratio((recall(counts, kind) * (support > 0)).sum(axis=-1), (support > 0).sum(axis=-1))


AVERAGES: dict[str, Callable[[Counts, LabelKind], NDArray[np.float64]]] = {
    "macro_f1": macro_f1,
    "accuracy": accuracy,
    "uar": uar,
}
"""One number for all classes; the first is the one that models are chosen by."""

PER_LABEL: dict[str, Callable[[Counts, LabelKind], NDArray[np.float64]]] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "weighted_accuracy": weighted_accuracy,
}
"""One number per class."""


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)
