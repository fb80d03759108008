"""Score rows from predictions: every configuration, per class and averaged, with bootstrap intervals over groups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.calibration import Thresholds
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import LOWER_IS_BETTER, WITHOUT_RETENTION, averages, per_label_metrics, statistics
from emotiwave.metrics.values import has_seven_steps
from emotiwave.types import CONSTANT, Configuration, Corpus, LabelSet, Predictions, Score

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """What all rows of one model share."""

    model: str
    dataset: str
    split: str
    n: int
    seed: int | None


def score(
    predictions: Predictions,
    settings: EvaluationSettings,
    *,
    model: str,
    dataset: str,
    seed: int | None = None,
    thresholds: Thresholds | None = None,
) -> list[Score]:
    """Score every configuration, their mean, the mean of the incomplete ones, and retention.

    Retention is the mean of the incomplete over the score of the complete configuration, 0 where that is not above 0.
    Where lower is better (``mae``, ``nll``) such a ratio would praise what is lost, so there is no such row.
    """
    labels, groups = predictions.label_set, number_groups(predictions.groups)
    tuned = thresholds.by_configuration if thresholds else {}
    per_group = {
        c: statistics(predictions.targets, predictions.answers(c), groups, labels, tuned.get(c))
        for c in predictions.logits
    }
    subject = Subject(model, dataset, predictions.split, len(predictions.ids), seed)
    return _rows(per_group, labels, settings, subject)


def constant_scores(predictions: Predictions, settings: EvaluationSettings, *, dataset: str) -> list[Score]:
    """Score the best answer that looks at nothing, chosen per metric on the scored data: the bar to clear.

    Categorical: always the same class. Distribution: that, or the mean shares, which have the least ``nll``.
    Multilabel: all classes, none, or those that hold more often than not. Continuous: the mean, the median, zero,
    either end, or the end on the side where most of a label's values are. The best ``mae`` and ``nll`` are the lowest.
    """
    labels = predictions.label_set
    groups = number_groups(predictions.groups)
    subject = Subject(CONSTANT, dataset, predictions.split, len(predictions.ids), None)
    complete = max(predictions.logits, key=lambda c: len(c.modalities))
    tried = []
    for answer in _constant_answers(predictions.targets.astype(np.float64), labels):
        always = np.broadcast_to(answer, predictions.targets.shape)
        per_group = {complete: statistics(predictions.targets, always, groups, labels)}
        tried.append(_rows(per_group, labels, settings, subject))
    best = [
        (min if rows[0].metric in LOWER_IS_BETTER else max)(rows, key=lambda row: row.value)
        for rows in zip(*tried, strict=True)
    ]
    return [row for row in best if row.condition == "mean"]  # the same in every configuration


def _constant_answers(targets: Array, labels: LabelSet) -> Array:
    """Answers to try ``(n_answers, n_classes)``."""
    n_classes = len(labels.names)
    if labels.is_exclusive:
        shares = [targets.mean(axis=0)] if labels.kind == "distribution" else []
        return np.stack([*np.eye(n_classes), *shares])
    if labels.kind == "multilabel":
        return np.stack([np.ones(n_classes), np.zeros(n_classes), targets.mean(axis=0) > 0.5]).astype(np.float64)
    low, high = labels.bounds
    most = np.where((targets >= 0).mean(axis=0) >= 0.5, high, low)
    steps = [np.clip(step, low, high) for step in range(-3, 4)] if has_seven_steps(labels).any() else []
    return np.stack([targets.mean(axis=0), np.median(targets, axis=0), np.zeros(n_classes), low, high, most, *steps])


def optimal_predictions(corpus: Corpus, predictions: Predictions) -> Predictions | None:
    """What Bayes' rule says of the same utterances, for a made corpus that knows; None for real ones.

    Of continuous labels it says the posterior mean.
    """
    if corpus.posteriors is None:
        return None
    row = {utterance.id: index for index, utterance in enumerate(corpus.utterances)}
    rows = [row[name] for name in predictions.ids]
    logits = {}
    for configuration in predictions.logits:
        posterior = corpus.posteriors[str(configuration)][rows]
        if corpus.label_set.kind == "continuous":
            logits[configuration] = posterior.astype(np.float32)
            continue
        p = np.clip(posterior, 1e-12, 1 - 1e-12)
        odds = np.log(p) if corpus.label_set.is_exclusive else np.log(p) - np.log1p(-p)
        logits[configuration] = odds.astype(np.float32)
    return replace(predictions, logits=logits)


def summarise_seeds(runs: Iterable[list[Score]]) -> list[Score]:
    """Mean and standard deviation (n - 1) of each row over runs that differ by their seed only."""
    together: dict[tuple, list[Score]] = {}
    for rows in runs:
        for row in rows:
            together.setdefault((row.condition, row.severity, row.available, row.metric, row.label), []).append(row)
    summary = []
    for rows in together.values():
        values = [row.value for row in rows]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary.append(replace(rows[0], value=float(np.mean(values)), ci_low=None, ci_high=None, seed=None, sd=spread))
    return summary


def _rows(
    statistics_of: Mapping[Configuration, Array], labels: LabelSet, settings: EvaluationSettings, subject: Subject
) -> list[Score]:
    n_groups = len(next(iter(statistics_of.values())))
    draws = draw_groups(n_groups, settings)
    rows: list[Score] = []
    by_metric: dict[str, dict[Configuration, Array]] = {metric: {} for metric in averages(labels)}
    for configuration, per_group in statistics_of.items():
        # row 0 is the data itself, the others are resamples
        resampled = np.tensordot(draws, per_group, axes=(1, 0))
        place = ("configuration", configuration.modalities)
        for metric, average in averages(labels).items():
            by_metric[metric][configuration] = average(resampled, labels)
            rows.append(score_row(subject, place, metric, None, by_metric[metric][configuration], settings))
        for metric, per_label in per_label_metrics(labels).items():
            values = per_label(resampled, labels)
            rows += [
                score_row(subject, place, metric, name, values[:, k], settings) for k, name in enumerate(labels.names)
            ]
    complete = max(statistics_of, key=lambda c: len(c.modalities))
    for metric, values in by_metric.items():
        rows += _summary_rows(subject, metric, values, complete, settings)
    return rows


def _summary_rows(
    subject: Subject,
    metric: str,
    values: Mapping[Configuration, Array],
    complete: Configuration,
    settings: EvaluationSettings,
) -> list[Score]:
    incomplete = [value for configuration, value in values.items() if configuration != complete]
    rows = [score_row(subject, ("mean", None), metric, None, np.mean(list(values.values()), axis=0), settings)]
    if not incomplete:
        return rows
    mean = np.mean(incomplete, axis=0)
    rows.append(score_row(subject, ("mean_incomplete", None), metric, None, mean, settings))
    if metric not in WITHOUT_RETENTION:
        kept = np.divide(mean, values[complete], out=np.zeros_like(mean), where=values[complete] > 0)
        rows.append(score_row(subject, ("retention", None), metric, None, kept, settings))
    return rows


def score_row(
    subject: Subject,
    place: tuple[str, tuple[str, ...] | None],
    metric: str,
    label: str | None,
    values: Array,
    settings: EvaluationSettings,
) -> Score:
    """Make a row of values on the data itself and on its resamples ``(1 + bootstrap,)``; ``place`` says of what."""
    low = high = None
    if len(values) > 1:
        tail = (1 - settings.confidence) / 2
        low, high = (float(edge) for edge in np.quantile(values[1:], [tail, 1 - tail]))
    return Score(
        model=subject.model,
        dataset=subject.dataset,
        split=subject.split,
        condition=place[0],
        available=place[1],
        metric=metric,
        label=label,
        value=float(values[0]),
        ci_low=low,
        ci_high=high,
        n=subject.n,
        seed=subject.seed,
    )


def number_groups(groups: tuple[str, ...]) -> NDArray[np.int64]:
    """Give each group a number from 0."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def draw_groups(n_groups: int, settings: EvaluationSettings) -> Array:
    """How often each group counts: once in row 0, then as drawn with replacement; ``(1 + bootstrap, n_groups)``.

    One group alone has nothing to resample, so it gets no interval.
    """
    if n_groups < 2:
        return np.ones((1, n_groups))
    rng = np.random.default_rng(settings.seed)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=settings.bootstrap)
    return np.vstack([np.ones(n_groups), drawn]).astype(np.float64)
