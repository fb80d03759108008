"""Curves of a metric over how badly the input is hidden or spoiled, with intervals, and what they come to.

Everything is scored in the complete configuration, on the same utterances at every severity. Masks are drawn several
times; curves are means over the draws, and intervals resample the groups of utterances, not the draws.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.evaluation.comparison import AREA, RELATIVE
from emotiwave.evaluation.scoring import Subject, draw_groups, number_groups, score_row
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.evaluation.under_conditions import UnderCondition
from emotiwave.metrics import WITHOUT_RETENTION, averages, statistics
from emotiwave.types import Configuration, Predictions, Score

Array = NDArray[np.float64]


def score_curves(
    unspoiled: Predictions,
    answered: Iterable[UnderCondition],
    settings: EvaluationSettings,
    *,
    model: str,
    dataset: str,
    seed: int | None = None,
    thresholds: Mapping[Configuration, Array] | None = None,
) -> list[Score]:
    """Score every condition: a row per severity and metric, the area under that curve, and the area over its start.

    Args:
        unspoiled: Severity 0, in the complete configuration.
        answered: The same utterances under each condition, at each severity, once for every draw.
        settings: Bootstrap and confidence.
        model: For the rows.
        dataset: Likewise.
        seed: Of the training.
        thresholds: Those of each configuration ``(n_classes,)``; the fixed ones by default.
    """
    complete = max(unspoiled.logits, key=lambda c: len(c.modalities))
    groups = number_groups(unspoiled.groups)
    draws = draw_groups(int(groups.max()) + 1, settings)
    labels, tuned = unspoiled.label_set, thresholds or {}
    subject = Subject(model, dataset, unspoiled.split, len(unspoiled.ids), seed)

    def values_of(predictions: Predictions, limits: Array | None) -> dict[str, Array]:
        per_group = statistics(predictions.targets, predictions.answers(complete), groups, labels, limits)
        resampled = np.tensordot(draws, per_group, axes=(1, 0))
        return {metric: average(resampled, labels) for metric, average in averages(labels).items()}

    repeats: dict[str, dict[float, list[dict[str, Array]]]] = {}
    for one in answered:
        of_severity = repeats.setdefault(one.condition, {}).setdefault(one.severity, [])
        of_severity.append(values_of(one.predictions, one.thresholds(tuned)))
    first = values_of(unspoiled, tuned.get(complete))
    rows = []
    for condition, by_severity in repeats.items():
        points = {0.0: first} | {severity: _mean(several) for severity, several in sorted(by_severity.items())}
        for metric in first:
            for severity, values in points.items():
                row = score_row(subject, (condition, complete.modalities), metric, None, values[metric], settings)
                rows.append(replace(row, severity=severity))
            rows += _summary(subject, condition, complete, metric, points, settings)
    return rows


def _mean(repeats: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {metric: np.mean([one[metric] for one in repeats], axis=0) for metric in repeats[0]}


def _summary(
    subject: Subject,
    condition: str,
    complete: Configuration,
    metric: str,
    points: Mapping[float, Mapping[str, Array]],
    settings: EvaluationSettings,
) -> list[Score]:
    """The area under the curve divided by its range; and, where higher is better, what share of the score that is."""
    area = area_under([values[metric] for values in points.values()], list(points))
    rows = [score_row(subject, (f"{AREA}:{condition}", complete.modalities), metric, None, area, settings)]
    if metric not in WITHOUT_RETENTION:
        kept = share_of(area, points[0.0][metric])
        rows.append(score_row(subject, (f"{RELATIVE}:{condition}", complete.modalities), metric, None, kept, settings))
    return rows


def area_under(curve: Sequence[Array], severities: Sequence[float]) -> Array:
    """The mean height of a curve over the range of its severities, by trapezia."""
    return np.asarray(np.trapezoid(np.stack(curve), severities, axis=0)) / (severities[-1] - severities[0])


def share_of(kept: Array, start: Array) -> Array:
    """What is kept of a score; nothing of one that is not above 0."""
    return np.divide(kept, start, out=np.zeros_like(kept), where=start > 0)
