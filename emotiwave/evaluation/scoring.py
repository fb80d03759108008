"""Score rows from predictions: every configuration, per class and averaged, with bootstrap intervals over groups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import AVERAGES, PER_LABEL, Counts, count, decide
from emotiwave.types import CONSTANT, Configuration, Corpus, LabelKind, Predictions, Score


@dataclass(frozen=True)
class _Subject:
    """What all rows of one model share."""

    model: str
    dataset: str
    split: str
    n: int
    seed: int | None


def score(
    predictions: Predictions, settings: EvaluationSettings, *, model: str, dataset: str, seed: int | None = None
) -> list[Score]:
    """Score every configuration, their mean, the mean of the incomplete ones, and retention."""
    kind = predictions.label_set.kind
    truth = predictions.targets > 0
    groups = _number(predictions.groups)
    counts = {
        c: count(truth, decide(predictions.probabilities(c), kind), groups, kind=kind) for c in predictions.logits
    }
    subject = _Subject(model, dataset, predictions.split, len(predictions.ids), seed)
    return _rows(counts, kind, predictions.label_set.names, settings, subject)


def constant_scores(predictions: Predictions, settings: EvaluationSettings, *, dataset: str) -> list[Score]:
    """Score the best answer that looks at nothing, chosen per metric on the scored data: the bar to clear.

    Categorical: always the same class. Multilabel: all classes, none, or those that hold more often than not.
    """
    kind, names = predictions.label_set.kind, predictions.label_set.names
    truth = predictions.targets > 0
    groups = _number(predictions.groups)
    subject = _Subject(CONSTANT, dataset, predictions.split, len(predictions.ids), None)
    if kind == "categorical":
        answers = np.eye(len(names), dtype=bool)
    else:
        answers = np.stack([np.ones(len(names), bool), np.zeros(len(names), bool), truth.mean(axis=0) > 0.5])
    complete = max(predictions.logits, key=lambda c: len(c.modalities))
    tried = []
    for answer in answers:
        counts = count(truth, np.broadcast_to(answer, truth.shape), groups, kind=kind)
        tried.append(_rows({complete: counts}, kind, names, settings, subject))
    best = [max(rows, key=lambda row: row.value) for rows in zip(*tried, strict=True)]
    return [row for row in best if row.condition == "mean"]  # the same in every configuration


def optimal_predictions(corpus: Corpus, predictions: Predictions) -> Predictions | None:
    """What Bayes' rule says of the same utterances, for a made corpus that knows; None for real ones."""
    if corpus.posteriors is None:
        return None
    row = {utterance.id: index for index, utterance in enumerate(corpus.utterances)}
    rows = [row[name] for name in predictions.ids]
    logits = {}
    for configuration in predictions.logits:
        p = np.clip(corpus.posteriors[str(configuration)][rows], 1e-12, 1 - 1e-12)
        odds = np.log(p) if corpus.label_set.kind == "categorical" else np.log(p) - np.log1p(-p)
        logits[configuration] = odds.astype(np.float32)
    return replace(predictions, logits=logits)


def summarise_seeds(runs: Iterable[list[Score]]) -> list[Score]:
    """Mean and standard deviation (n - 1) of each row over runs that differ by their seed only."""
    together: dict[tuple, list[Score]] = {}
    for rows in runs:
        for row in rows:
            together.setdefault((row.condition, row.available, row.metric, row.label), []).append(row)
    summary = []
    for rows in together.values():
        values = [row.value for row in rows]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary.append(replace(rows[0], value=float(np.mean(values)), ci_low=None, ci_high=None, seed=None, sd=spread))
    return summary


def _rows(
    counts: Mapping[Configuration, Counts],
    kind: LabelKind,
    names: tuple[str, ...],
    settings: EvaluationSettings,
    subject: _Subject,
) -> list[Score]:
    n_groups = len(next(iter(counts.values())))
    draws = _draw_groups(n_groups, settings)
    rows: list[Score] = []
    averages: dict[str, dict[Configuration, NDArray[np.float64]]] = {metric: {} for metric in AVERAGES}
    for configuration, per_group in counts.items():
        # row 0 is the data itself, the others are resamples
        resampled = np.tensordot(draws, per_group, axes=(1, 0))
        place = ("configuration", configuration.modalities)
        for metric, average in AVERAGES.items():
            averages[metric][configuration] = average(resampled, kind)
            rows.append(_row(subject, place, metric, None, averages[metric][configuration], settings))
        for metric, per_class in PER_LABEL.items():
            values = per_class(resampled, kind)
            rows += [_row(subject, place, metric, label, values[:, k], settings) for k, label in enumerate(names)]
    complete = max(counts, key=lambda c: len(c.modalities))
    for metric, values in averages.items():
        rows += _summary_rows(subject, metric, values, complete, settings)
    return rows


def _summary_rows(
    subject: _Subject,
    metric: str,
    values: Mapping[Configuration, NDArray[np.float64]],
    complete: Configuration,
    settings: EvaluationSettings,
) -> list[Score]:
    incomplete = [value for configuration, value in values.items() if configuration != complete]
    rows = [_row(subject, ("mean", None), metric, None, np.mean(list(values.values()), axis=0), settings)]
    if incomplete:
        mean = np.mean(incomplete, axis=0)
        kept = np.divide(mean, values[complete], out=np.zeros_like(mean), where=values[complete] > 0)
        rows.append(_row(subject, ("mean_incomplete", None), metric, None, mean, settings))
        rows.append(_row(subject, ("retention", None), metric, None, kept, settings))
    return rows


def _row(
    subject: _Subject,
    place: tuple[str, tuple[str, ...] | None],
    metric: str,
    label: str | None,
    values: NDArray[np.float64],
    settings: EvaluationSettings,
) -> Score:
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


def _number(groups: tuple[str, ...]) -> NDArray[np.int64]:
    """Give each group a number from 0."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _draw_groups(n_groups: int, settings: EvaluationSettings) -> NDArray[np.float64]:
    """How often each group counts: once in row 0, then as drawn with replacement; ``(1 + bootstrap, n_groups)``.

    One group alone has nothing to resample, so it gets no interval.
    """
    if n_groups < 2:
        return np.ones((1, n_groups))
    rng = np.random.default_rng(settings.seed)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=settings.bootstrap)
    return np.vstack([np.ones(n_groups), drawn]).astype(np.float64)
