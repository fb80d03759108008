"""Thresholds of decisions, tuned on the predictions of a selection split; never on what they are scored on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import ConfigError
from emotiwave.metrics.counts import fixed_thresholds
from emotiwave.types import Configuration, LabelSet, Predictions


@dataclass(frozen=True, eq=False)
class Thresholds:
    """What an answer must exceed to count as present, per configuration ``(n_classes,)``; and where it was tuned."""

    split: str
    n: int
    """Utterances of that split."""
    label_set: LabelSet
    by_configuration: Mapping[Configuration, NDArray[np.float64]]


def has_thresholds(labels: LabelSet) -> NDArray[np.bool_]:
    """Which labels a threshold decides ``(n_classes,)``: multilabel classes, and intensities, which begin at zero."""
    if labels.kind == "continuous":
        return labels.bounds[0] == 0
    return np.full(len(labels.names), labels.kind == "multilabel")


def check_tunable(labels: LabelSet) -> None:
    """Refuse labels that no threshold decides.

    Raises:
        ConfigError: What decides them is named.
    """
    if not has_thresholds(labels).any():
        how = "the largest probability" if labels.is_exclusive else "the sign"
        raise ConfigError(
            f'evaluation.thresholds = "validation" has nothing to tune: {labels.kind} labels '
            f'({", ".join(labels.names)}) are decided by {how}; set evaluation.thresholds = "fixed"'
        )


def fit_thresholds(predictions: Predictions) -> Thresholds:
    """Tune one threshold per configuration and class, each to the highest F1 of presence.

    Labels that no threshold decides, and classes without a positive, keep theirs of `fixed_thresholds`.

    Raises:
        ConfigError: If there is no threshold to tune.
    """
    labels = predictions.label_set
    check_tunable(labels)
    tunable, fixed = has_thresholds(labels), fixed_thresholds(labels)
    truth = predictions.targets > 0
    tuned = {}
    for configuration in predictions.logits:
        answers = predictions.answers(configuration)
        tuned[configuration] = np.array(
            [
                best_threshold(answers[:, k], truth[:, k], nearest_to=fixed[k]) if tunable[k] else fixed[k]
                for k in range(len(labels.names))
            ]
        )
    return Thresholds(predictions.split, len(predictions.ids), labels, tuned)


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.bool_], *, nearest_to: float) -> float:
    """Find the threshold with the highest F1 of ``scores > threshold``, exactly, by a sweep over the sorted scores.

    Args:
        scores: ``(n,)``, from 0 up.
        truth: ``(n,)``.
        nearest_to: Which of equally good thresholds to take; the answer where nothing is true.

    Returns:
        The middle between two neighbouring scores, or below the lowest one, where everything is present.

    >>> best_threshold(np.array([0.125, 0.25, 0.5, 0.75]), np.array([False, True, False, True]), nearest_to=0.5)
    0.1875
    """
    if not truth.any():
        return nearest_to
    levels, place = np.unique(scores, return_inverse=True)
    # present above threshold k are the scores of level k and higher
    hits = np.cumsum(np.bincount(place, weights=truth, minlength=len(levels))[::-1])[::-1]
    present = np.cumsum(np.bincount(place, minlength=len(levels))[::-1])[::-1]
    f1 = 2 * hits / (present + truth.sum())
    below = np.concatenate([[0.0 if levels[0] > 0 else levels[0] - 1.0], levels[:-1]])
    middle = (below + levels) / 2
    thresholds = np.where(middle < levels, middle, below)  # the middle of neighbouring floats is one of them
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(min(thresholds[best], key=lambda threshold: abs(threshold - nearest_to)))
