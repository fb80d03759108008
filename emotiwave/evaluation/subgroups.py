"""Scores of parts of the utterances: who is answered worse, by how much, and how sure that is."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emotiwave.doctor.leaks import find_leaks
from emotiwave.errors import ConfigError, DataWarning, unknown_name
from emotiwave.evaluation.scoring import Subject, draw_groups, number_groups, score_row
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import HEADLINE, LOWER_IS_BETTER, averages, per_label_metrics, statistics
from emotiwave.types import Configuration, Corpus, Predictions, Score, Utterance

Array = NDArray[np.float64]
FIELDS = ("speaker", "dialogue", "language")
"""Facts that every corpus may tell."""
LEAK, LEAKED, NEW = "leak", "in another split", "new"
"""Whether an utterance is, the same or nearly, in another split too: found here, and told by no corpus."""
BY, GAP = "by", "gap"
LEAST = 10
"""Utterances of a subgroup that is compared with others; smaller ones are only shown."""


def read_facts(corpus: Corpus, ids: Sequence[str], names: Sequence[str]) -> dict[str, list[str | None]]:
    """Read facts of utterances; None where one is not known.

    Raises:
        ConfigError: If none of the utterances tells a fact; those that are told are named.
    """
    by_id = {utterance.id: utterance for utterance in corpus.utterances}
    utterances = [by_id[one] for one in ids]
    found = {name: [_fact(utterance, name) for utterance in utterances] for name in names}
    if LEAK in names:
        leaked = {leak.utterance for leak in find_leaks(corpus, utterances[0].split)}
        found[LEAK] = [LEAKED if one in leaked else NEW for one in ids]
    for name, facts in found.items():
        if not any(facts):
            told = {name for utterance in utterances for name in (utterance.about or {})}
            told |= {name for name in FIELDS if any(_fact(utterance, name) for utterance in utterances)}
            known = unknown_name("fact", name, {*told, LEAK})
            raise ConfigError(f"{corpus.name}: scores cannot be told apart by {name!r}: {known}")
    return found


def score_subgroups(
    predictions: Predictions,
    facts: Mapping[str, Sequence[str | None]],
    settings: EvaluationSettings,
    *,
    model: str,
    dataset: str,
    seed: int | None = None,
    thresholds: Mapping[Configuration, Array] | None = None,
) -> list[Score]:
    """Score the utterances of each value of each fact, and the gap between the best and the worst of them.

    Rows are called ``by:sex=female`` and ``gap:sex``; those of the complete configuration say so, the others are means
    over all configurations. ``n`` is that of the part. Subgroups of fewer than `LEAST` utterances are
    scored, and in no gap. Intervals resample groups of utterances (videos, speakers), the same ones for all parts, and
    leave out resamples without any of a part; a part of one such group has none. Best and worst are chosen on the data
    that is scored, so the gap of many small parts is wide by chance.

    Args:
        predictions: What is scored.
        facts: Name -> value of each utterance.
        settings: Bootstrap and confidence.
        model: For the rows.
        dataset: Likewise.
        seed: Of the training.
        thresholds: Those of each configuration; the fixed ones by default.
    """
    groups = number_groups(predictions.groups)
    draws = draw_groups(int(groups.max()) + 1, settings)
    rows = []
    for name, values in facts.items():
        parts = {
            value: np.array([one == value for one in values])
            for value, _ in Counter(filter(None, values)).most_common()
        }
        _warn_of_classes(predictions, name, parts)
        classes = _classes_of(predictions, parts)
        found = {
            value: _values(predictions, part, groups, draws, thresholds or {}, classes[value])
            for value, part in parts.items()
        }
        for value, (scores, present) in found.items():
            subject = Subject(model, dataset, predictions.split, int(parts[value].sum()), seed)
            for (available, metric), each in scores.items():
                shown = each[present] if _n_groups(groups, parts[value]) > 1 else each[:1]
                rows.append(score_row(subject, (f"{BY}:{name}={value}", available), metric, None, shown, settings))
        compared = {value: found[value] for value, part in parts.items() if part.sum() >= LEAST}
        if len(compared) > 1:
            n = int(sum(parts[value].sum() for value in compared))
            subject = Subject(model, dataset, predictions.split, n, seed)
            rows += [_gap(subject, name, place, compared, groups, parts, settings) for place in _places(found)]
    return rows


def _fact(utterance: Utterance, name: str) -> str | None:
    return getattr(utterance, name) if name in FIELDS else (utterance.about or {}).get(name)


def _classes_of(predictions: Predictions, parts: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """Over which classes macro-F1 is the mean: those that hold in all parts that are compared, or in a small part."""
    labels, n_classes = predictions.label_set, len(predictions.label_set.names)
    everything = np.ones(n_classes, dtype=np.bool_)
    if labels.kind == "continuous":
        return dict.fromkeys(parts, everything)
    truth = labels.holds(predictions.targets)
    held: dict[str, NDArray[np.bool_]] = {value: np.any(truth[part], axis=0) for value, part in parts.items()}
    common = everything
    for value, part in parts.items():
        if part.sum() >= LEAST:
            common = common & held[value]
    chosen = {value: common if parts[value].sum() >= LEAST else of for value, of in held.items()}
    return {value: of if of.any() else everything for value, of in chosen.items()}


def _warn_of_classes(predictions: Predictions, name: str, parts: Mapping[str, NDArray[np.bool_]]) -> None:
    """Say so where a part lacks a class: its averages over classes are of other classes."""
    labels = predictions.label_set
    if labels.kind == "continuous":
        return
    truth = labels.holds(predictions.targets)
    lacking = [
        f"{value} lacks {', '.join(np.array(labels.names)[~truth[part].any(axis=0)])}"
        for value, part in parts.items()
        if part.sum() >= LEAST and not truth[part].any(axis=0).all()
    ]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        told = "; ".join(lacking[:3]) + more
        warnings.warn(
            f"by {name}: not all parts have all classes, so macro-F1 is the mean over those that all have: {told}",
            DataWarning,
            stacklevel=4,
        )


def _n_groups(groups: NDArray[np.int64], part: NDArray[np.bool_]) -> int:
    return len(np.unique(groups[part]))


Place = tuple[tuple[str, ...] | None, str]
"""The configuration, or None for the mean over all; and the metric."""


def _values(
    predictions: Predictions,
    part: NDArray[np.bool_],
    groups: NDArray[np.int64],
    draws: Array,
    thresholds: Mapping[Configuration, Array],
    classes: NDArray[np.bool_],
) -> tuple[dict[Place, Array], NDArray[np.bool_]]:
    """Each metric of a part on the data and its resamples, and which resamples hold any of it."""
    labels, n_groups = predictions.label_set, draws.shape[1]
    of_metric: dict[str, list[Array]] = {metric: [] for metric in averages(labels)}
    complete = max(predictions.logits, key=lambda c: len(c.modalities))
    found: dict[Place, Array] = {}
    for configuration in predictions.logits:
        answers = predictions.answers(configuration)[part]
        some = statistics(predictions.targets[part], answers, groups[part], labels, thresholds.get(configuration))
        per_group = np.concatenate([some, np.zeros((n_groups - len(some), *some.shape[1:]))])
        resampled = np.tensordot(draws, per_group, axes=(1, 0))
        for metric, average in averages(labels).items():
            values = average(resampled, labels)
            if metric == HEADLINE and labels.kind != "continuous":
                values = per_label_metrics(labels)["f1"](resampled, labels)[..., classes].mean(axis=-1)
            of_metric[metric].append(values)
            if configuration == complete:
                found[complete.modalities, metric] = values
    found |= {(None, metric): np.mean(values, axis=0) for metric, values in of_metric.items()}
    present = draws[:, np.unique(groups[part])].sum(axis=1) > 0
    return found, present


def _places(found: Mapping[str, tuple[dict[Place, Array], NDArray[np.bool_]]]) -> list[Place]:
    return list(next(iter(found.values()))[0])


def _gap(
    subject: Subject,
    name: str,
    place: Place,
    compared: Mapping[str, tuple[dict[Place, Array], NDArray[np.bool_]]],
    groups: NDArray[np.int64],
    parts: Mapping[str, NDArray[np.bool_]],
    settings: EvaluationSettings,
) -> Score:
    sign = -1 if place[1] in LOWER_IS_BETTER else 1
    order = sorted(compared, key=lambda value: sign * compared[value][0][place][0])
    worst, best = order[0], order[-1]
    gap = sign * (compared[best][0][place] - compared[worst][0][place])
    both = compared[best][1] & compared[worst][1]
    alone = min(_n_groups(groups, parts[worst]), _n_groups(groups, parts[best])) < 2
    shown = gap[:1] if alone else gap[both]
    return score_row(subject, (f"{GAP}:{name}", place[0]), place[1], None, shown, settings)
