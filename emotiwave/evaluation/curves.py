"""Curves of a metric over how badly the input is hidden or spoiled, with intervals, and what they come to.

Everything is scored in the complete configuration, on the same utterances at every severity. Masks are drawn several
times; curves are means over the draws, and intervals resample the groups of utterances, not the draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.evaluation.scoring import Subject, draw_groups, number_groups, score_row
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import WITHOUT_RETENTION, averages, statistics
from emotiwave.types import Configuration, Predictions, Score

Array = NDArray[np.float64]
AREA, RELATIVE = "area", "relative"


def score_curve(
    unspoiled: Predictions,
    by_severity: Mapping[float, Sequence[Predictions]],
    settings: EvaluationSettings,
    *,
    condition: str,
    model: str,
    dataset: str,
    seed: int | None = None,
    thresholds: Array | None = None,
) -> list[Score]:
    """Score a curve: a row per severity and metric, the area under it, and the area over the unspoiled score.

    Args:
        unspoiled: Severity 0, in the complete configuration.
        by_severity: The same utterances at each severity, once for every draw.
        settings: Bootstrap and confidence.
        condition: What was done, for the rows.
        model: Likewise.
        dataset: Likewise.
        seed: Of the training.
        thresholds: Those of the complete configuration ``(n_classes,)``; the fixed ones by default.
    """
    complete = max(unspoiled.logits, key=lambda c: len(c.modalities))
    groups = number_groups(unspoiled.groups)
    draws = draw_groups(int(groups.max()) + 1, settings)
    labels = unspoiled.label_set
    subject = Subject(model, dataset, unspoiled.split, len(unspoiled.ids), seed)

    def values_of(predictions: Predictions) -> dict[str, Array]:
        per_group = statistics(predictions.targets, predictions.answers(complete), groups, labels, thresholds)
        resampled = np.tensordot(draws, per_group, axes=(1, 0))
        return {metric: average(resampled, labels) for metric, average in averages(labels).items()}

    first = values_of(unspoiled)
    points = {0.0: first} | {
        severity: _mean([values_of(one) for one in repeats]) for severity, repeats in sorted(by_severity.items())
    }
    rows = []
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
    severities = np.array(list(points))
    curve = np.stack([values[metric] for values in points.values()])
    area = np.asarray(np.trapezoid(curve, severities, axis=0)) / (severities[-1] - severities[0])
    rows = [score_row(subject, (f"{AREA}:{condition}", complete.modalities), metric, None, area, settings)]
    if metric not in WITHOUT_RETENTION:
        kept = np.divide(area, curve[0], out=np.zeros_like(area), where=curve[0] > 0)
        rows.append(score_row(subject, (f"{RELATIVE}:{condition}", complete.modalities), metric, None, kept, settings))
    return rows
