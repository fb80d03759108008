"""Metrics by kind of label: functions of statistics that groups and resamples add up."""

import numpy as np
from numpy.typing import NDArray

from emotiwave.metrics import counts, distributions, values
from emotiwave.metrics.counts import Metric
from emotiwave.types import LabelKind, LabelSet

HEADLINE = "macro_f1"
"""What models are chosen by, whatever the kind of label."""
LOWER_IS_BETTER = frozenset({"mae", "nll"})
WITHOUT_RETENTION = LOWER_IS_BETTER | {"pearson"}
"""Errors, and what may be negative: their ratio to the complete configuration says nothing."""

AVERAGES: dict[LabelKind, dict[str, Metric]] = {
    "categorical": {
        "macro_f1": counts.macro_f1,
        "accuracy": counts.accuracy,
        "uar": counts.uar,
        "weighted_f1": counts.mean_weighted_f1,
    },
    "multilabel": {
        "macro_f1": counts.macro_f1,
        "weighted_accuracy": counts.mean_weighted_accuracy,
        "weighted_f1": counts.mean_weighted_f1,
        "accuracy": counts.accuracy,
    },
    "continuous": {
        "macro_f1": values.macro_f1,
        "mae": values.mean_mae,
        "pearson": values.mean_pearson,
        "accuracy_2": values.accuracy_2,
        "accuracy_2_signed": values.accuracy_2_signed,
        "weighted_f1_2": values.weighted_f1_2,
        "weighted_f1_2_signed": values.weighted_f1_2_signed,
        "accuracy_7": values.accuracy_7,
    },
}
"""One number for all labels."""
_OF_LARGEST_SHARE = distributions.of_counts(AVERAGES["categorical"])
AVERAGES["distribution"] = {HEADLINE: _OF_LARGEST_SHARE[HEADLINE], "nll": distributions.nll} | _OF_LARGEST_SHARE

PER_LABEL: dict[LabelKind, dict[str, Metric]] = {
    "categorical": {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "weighted_accuracy": counts.weighted_accuracy,
    },
    "multilabel": {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "weighted_f1": counts.weighted_f1,
        "weighted_accuracy": counts.weighted_accuracy,
    },
    "continuous": {"f1": values.f1, "mae": values.mae, "pearson": values.pearson},
}
"""One number per label."""
PER_LABEL["distribution"] = distributions.of_counts(PER_LABEL["categorical"])

_ACROSS_ZERO = ("accuracy_2", "accuracy_2_signed", "weighted_f1_2", "weighted_f1_2_signed")


def averages(labels: LabelSet) -> dict[str, Metric]:
    """The averages that apply to these labels; those of opposites need a range across zero, ``accuracy_7`` -3 to 3."""
    applicable = dict(AVERAGES[labels.kind])
    if labels.kind == "continuous":
        absent = () if (labels.bounds[0] < 0).any() else _ACROSS_ZERO
        absent += () if values.has_seven_steps(labels).any() else ("accuracy_7",)
        for name in absent:
            del applicable[name]
    return applicable


def per_label_metrics(labels: LabelSet) -> dict[str, Metric]:
    """The metrics of one label each."""
    return PER_LABEL[labels.kind]


def described_metrics() -> dict[str, str]:
    """Every metric with the first line about it; where kinds of labels share a name, the line of the first kind."""
    described: dict[str, str] = {}
    for metrics in (*AVERAGES.values(), *PER_LABEL.values()):
        for name, metric in metrics.items():
            described.setdefault(name, (metric.__doc__ or "").splitlines()[0])
    return described


def statistics(
    targets: NDArray[np.float32],
    answers: NDArray[np.float64],
    groups: NDArray[np.int64],
    labels: LabelSet,
    thresholds: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """What the metrics of these labels are functions of: counts of decisions, sums over values, or both (distribution).

    Args:
        targets: ``(n, n_classes)``, as `LabelSet.encode` makes them.
        answers: ``(n, n_classes)``, as `Predictions.answers` gives them.
        groups: ``(n,)``, 0 to n_groups - 1: the video or speaker of each utterance.
        labels: Of the task.
        thresholds: ``(n_classes,)``, those of `fixed_thresholds` by default.

    Returns:
        ``(n_groups, …)``; sums over groups are the statistics of those groups together.
    """
    if labels.kind == "continuous":
        return values.measure(targets.astype(np.float64), answers, groups, labels, thresholds)
    if labels.kind == "distribution":
        return distributions.measure(targets.astype(np.float64), answers, groups, labels)
    return counts.count(labels.holds(targets), counts.decide(answers, labels, thresholds), groups, labels)
