"""Paired comparison of methods on the same utterances: scores, differences on the same resamples, Holm's correction."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import ConfigError, DatasetError
from emotiwave.evaluation.comparison import (
    AREA,
    EFFECTIVE,
    MEAN,
    MEAN_INCOMPLETE,
    RELATIVE,
    RETENTION,
    Curve,
    Difference,
    MethodScore,
)
from emotiwave.evaluation.curves import area_under, share_of
from emotiwave.evaluation.scoring import constant_scores, draw_groups
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import LOWER_IS_BETTER, WITHOUT_RETENTION, averages, statistics
from emotiwave.types import Configuration, LabelSet, Predictions

Array = NDArray[np.float64]
SHOWN_IDS = 3
"""Utterances that an error names of those that differ."""


@dataclass(frozen=True, eq=False)
class Spoiled:
    """What was said under one draw of a condition, at one severity, in the complete configuration.

    ``answers (utterances, n_classes)``, and ``thresholds`` of that shape, or None where none were tuned; ``masks`` is
    the hash of what was hidden, which was ``realised`` of all; None where nothing was.
    """

    answers: Array
    thresholds: Array | None
    masks: str | None
    realised: float | None


@dataclass(frozen=True, eq=False)
class Answered:
    """What one trained method said of the test utterances of one fold, in every configuration.

    ``answers`` maps a configuration such as ``text+audio`` to ``(utterances, n_classes)``, as `Predictions.answers`
    gives them; ``thresholds`` maps it to ``(n_classes,)``. ``place`` says where it was read, for messages. ``under``
    maps a condition and its severity to what was said then, draw by draw.
    """

    place: str
    corpus: str
    split: str
    seed: int | None
    fold: int | None
    label_set: LabelSet
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    targets: NDArray[np.float32]
    answers: Mapping[str, Array]
    thresholds: Mapping[str, Array]
    under: Mapping[str, Mapping[float, tuple[Spoiled, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """Scores of every method and differences to the anchor, in every place of ``places``."""

    n: int
    n_groups: int
    places: tuple[str, ...]
    scores: tuple[MethodScore, ...]
    differences: tuple[Difference, ...]
    curves: tuple[Curve, ...]


def compare_methods(
    methods: Mapping[str, Sequence[Answered]],
    *,
    anchor: str,
    metric: str,
    settings: EvaluationSettings,
    bounds: Collection[str] = (),
) -> Compared:
    """Score methods, and each against the anchor, on the same resamples of groups.

    A seed's score is that of the utterances of all folds together, and a method's the mean over its seeds.

    Args:
        methods: Method -> one entry per seed and fold; all of the same utterances.
        anchor: The method that every other one is compared with; where it has no answers, nothing is compared.
        metric: One of `averages` of the labels.
        settings: Resamples, their seed and the confidence.
        bounds: Which of ``methods`` are none, such as the Bayes-optimal answer: scored, and compared with nothing.

    Raises:
        DatasetError: If utterances, labels, folds or configurations differ between methods; the difference is listed.
        ConfigError: If the labels have no such metric.
    """
    first = next(iter(methods.values()))
    check_same_utterances(methods)
    contenders = [several for name, several in methods.items() if name not in bounds]
    _check_same_conditions(contenders)
    check_metric(metric, first[0].label_set, first[0].corpus)
    places, curves = _places(first[0], metric), _curves(contenders[0]) if contenders else ()
    groups = sorted({group for answered in first for group in answered.groups})
    draws = draw_groups(len(groups), settings)
    number = {group: index for index, group in enumerate(groups)}
    over_folds = len({answered.seed for several in methods.values() for answered in several} - {None}) < 2
    found = {
        name: _values(answered, metric, number, draws, over_folds=over_folds) for name, answered in methods.items()
    }
    _add_effective(found, curves, [name for name in methods if name not in bounds])
    scores = tuple(
        _score(name, place, values[place], spread[place], settings)
        for name, (values, spread) in found.items()
        for place in values
    )
    others = [name for name in methods if anchor in methods and name != anchor and name not in bounds]
    differences = [
        _difference(name, anchor, place, values - found[anchor][0][place], settings)
        for name in others
        for place, values in found[name][0].items()
        if not place.startswith(f"{EFFECTIVE}:")  # which is told beside the others already
    ]
    of_folds = {answered.fold: answered for answered in first}
    n = sum(len(answered.ids) for answered in of_folds.values())
    return Compared(n, len(groups), places, scores, tuple(_corrected(differences, curves, settings)), curves)


def check_metric(metric: str, labels: LabelSet, corpus: str) -> None:
    """Refuse a metric that labels do not have.

    Raises:
        ConfigError: Those that they have are named.
    """
    known = [name for name in averages(labels) if name not in LOWER_IS_BETTER]
    if metric not in known:
        raise ConfigError(
            f"{corpus}: {labels.kind} labels have no {metric!r}; set comparison.metric to one of {', '.join(known)}"
        )


def check_same_utterances(methods: Mapping[str, Sequence[Answered]]) -> None:
    """Refuse methods that were not scored on the same utterances with the same truth.

    Raises:
        DatasetError: The two that differ are named, and in what.
    """
    first_by_fold: dict[int | None, Answered] = {}
    folds: dict[str, set[tuple[int | None, int | None]]] = {}
    for name, several in methods.items():
        for answered in several:
            expected = first_by_fold.setdefault(answered.fold, answered)
            difference = _first_difference(expected, answered)
            if difference:
                raise DatasetError(f"{expected.place} and {answered.place} cannot be compared: {difference}")
            folds.setdefault(name, set()).add((answered.fold, answered.seed))
    seeds = {seed for of in folds.values() for _, seed in of} - {None}
    for name, of in folds.items():
        is_seeded = any(seed is not None for _, seed in of)
        wanted = {(fold, seed) for fold in first_by_fold for seed in (seeds if is_seeded else {None})}
        if lacking := sorted(wanted - of, key=str):
            said = ", ".join(_say_repeat(*repeat) for repeat in lacking[:SHOWN_IDS])
            raise DatasetError(
                f"{name} lacks {said}, which others have; train and evaluate what is missing, or leave it out of the "
                "others too"
            )


def best_constant(folds: Sequence[Answered], metric: str) -> float:
    """What the best answer that looks at nothing reaches on the utterances of all folds together."""
    targets = np.concatenate([answered.targets for answered in folds])
    configuration = Configuration(("any",))
    predictions = Predictions(
        ids=tuple(name for answered in folds for name in answered.ids),
        groups=tuple(group for answered in folds for group in answered.groups),
        split=folds[0].split,
        label_set=folds[0].label_set,
        targets=targets,
        logits={configuration: np.zeros_like(targets)},
    )
    rows = constant_scores(predictions, EvaluationSettings(bootstrap=0), dataset=folds[0].corpus)
    return next(row.value for row in rows if row.metric == metric and row.label is None)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by the step-down procedure of Holm (Scand. J. Statist., 1979).

    >>> [round(p, 3) for p in holm([0.04, 0.01, 0.03])]
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return adjusted.tolist()


def _places(answered: Answered, metric: str) -> tuple[str, ...]:
    configurations = tuple(answered.answers)
    if len(configurations) == 1:
        return (*configurations, MEAN)
    summaries = (MEAN, MEAN_INCOMPLETE, *(() if metric in WITHOUT_RETENTION else (RETENTION,)))
    return (*configurations, *summaries)


def _curves(folds: Sequence[Answered]) -> tuple[Curve, ...]:
    """Say under what was answered; what is hidden of several folds is theirs together."""
    found = []
    of_folds = {answered.fold: answered for answered in folds}.values()
    for condition, by_severity in folds[0].under.items():
        every = [[one for answered in of_folds for one in answered.under[condition][s]] for s in by_severity]
        realised = [[one.realised for one in several if one.realised is not None] for several in every]
        hashes = [one.masks for several in every for one in several if one.masks is not None]
        found.append(
            Curve(
                condition,
                tuple(by_severity),
                tuple(float(np.mean(several)) for several in realised) if all(realised) else None,
                len(next(iter(by_severity.values()))),
                hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else None,
            )
        )
    return tuple(found)


def _add_effective(
    found: Mapping[str, tuple[dict[str, Array], dict[str, float | None]]], curves: Sequence[Curve], names: Sequence[str]
) -> None:
    """Add what each method keeps beyond what the others, by the mean of their shares, would keep of its score."""
    for curve in curves:
        area, share = f"{AREA}:{curve.condition}", f"{RELATIVE}:{curve.condition}"
        complete = max(
            (place for place in found[names[0]][0] if "=" not in place and ":" not in place), key=_n_modalities
        )
        for name in names:
            values, spread = found[name]
            others = [found[other][0][share] for other in names if other != name and share in found[other][0]]
            if others and share in values:
                values[f"{EFFECTIVE}:{curve.condition}"] = values[area] - np.mean(others, axis=0) * values[complete]
                spread[f"{EFFECTIVE}:{curve.condition}"] = None


def _n_modalities(place: str) -> int:
    return place.count("+")


def _values(
    several: Sequence[Answered],
    metric: str,
    number: Mapping[str, int],
    draws: Array,
    *,
    over_folds: bool,
) -> tuple[dict[str, Array], dict[str, float | None]]:
    """Mean over seeds of each place on the data and its resamples ``(1 + resamples,)``, and the standard deviations."""
    by_seed: dict[int | None, list[Answered]] = {}
    for answered in several:
        by_seed.setdefault(answered.seed, []).append(answered)
    per_seed = [_values_of(folds, metric, number, draws) for folds in by_seed.values()]
    repeats = per_seed
    if over_folds:  # of one seed; then folds show how much one training differs from another
        repeats = [_values_of([answered], metric, number, draws[:1]) for answered in several]
    mean = {place: np.mean([values[place] for values in per_seed], axis=0) for place in per_seed[0]}
    spread = {
        place: float(np.std([values[place][0] for values in repeats], ddof=1)) if len(repeats) > 1 else None
        for place in mean
    }
    return mean, spread


def _values_of(folds: Sequence[Answered], metric: str, number: Mapping[str, int], draws: Array) -> dict[str, Array]:
    labels = folds[0].label_set
    average = averages(labels)[metric]
    values = {}

    def score(answers: Sequence[Array], thresholds: Sequence[Array | None]) -> Array:
        each = zip(folds, answers, thresholds, strict=True)
        per_group = sum(_per_group(answered, said, limits, number) for answered, said, limits in each)
        return average(np.tensordot(draws, per_group, axes=(1, 0)), labels)

    for configuration in folds[0].answers:
        values[configuration] = score(
            [answered.answers[configuration] for answered in folds],
            [answered.thresholds.get(configuration) for answered in folds],
        )
    complete = max(values, key=lambda name: name.count("+"))
    incomplete = [value for name, value in values.items() if name != complete]
    summary = {MEAN: np.mean(list(values.values()), axis=0)}
    if incomplete:
        summary[MEAN_INCOMPLETE] = np.mean(incomplete, axis=0)
    if incomplete and metric not in WITHOUT_RETENTION:
        summary[RETENTION] = share_of(summary[MEAN_INCOMPLETE], values[complete])
    for curve in _curves(folds):
        points = [values[complete]]
        for severity in curve.severities:
            each = [
                [answered.under[curve.condition][severity][draw] for answered in folds] for draw in range(curve.draws)
            ]
            points.append(np.mean([score(*_unzip(of_draw)) for of_draw in each], axis=0))
        summary |= dict(zip(curve.places, points[1:], strict=True))
        summary[f"{AREA}:{curve.condition}"] = area = area_under(points, (0.0, *curve.severities))
        if metric not in WITHOUT_RETENTION:
            summary[f"{RELATIVE}:{curve.condition}"] = share_of(area, points[0])
    return values | summary


def _unzip(of_draw: Sequence[Spoiled]) -> tuple[list[Array], list[Array | None]]:
    return [one.answers for one in of_draw], [one.thresholds for one in of_draw]


def _per_group(answered: Answered, answers: Array, thresholds: Array | None, number: Mapping[str, int]) -> Array:
    """Statistics ``(n_groups, …)``; zero for the groups of other folds."""
    rows = np.array([number[group] for group in answered.groups])
    found = statistics(answered.targets, answers, rows, answered.label_set, thresholds)
    return np.concatenate([found, np.zeros((len(number) - len(found), *found.shape[1:]))])


def _score(name: str, place: str, values: Array, sd: float | None, settings: EvaluationSettings) -> MethodScore:
    low, high = _interval(values, settings)
    return MethodScore(name, place, float(values[0]), sd, low, high)


def _difference(name: str, anchor: str, place: str, values: Array, settings: EvaluationSettings) -> Difference:
    low, high = _interval(values, settings)
    p = None
    if len(values) > 1:  # twice the share of resamples on the other side of zero, of which the data is one
        tails = [(1 + np.count_nonzero(side)) / len(values) for side in (values[1:] <= 0, values[1:] >= 0)]
        p = float(min(1.0, 2 * min(tails)))
    return Difference(name, anchor, place, float(values[0]), low, high, p, None, "tie")


def _interval(values: Array, settings: EvaluationSettings) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    return float(low), float(high)


def _corrected(
    differences: Sequence[Difference], curves: Sequence[Curve], settings: EvaluationSettings
) -> list[Difference]:
    """Adjust p-values by Holm in families: the mean; configurations; summaries; points of a curve; what it comes to."""
    of_place = {MEAN: "mean", MEAN_INCOMPLETE: "summary", RETENTION: "summary"}
    for curve in curves:
        of_place |= dict.fromkeys(curve.places, f"points of {curve.condition}")
        of_place |= {f"{what}:{curve.condition}": f"sum of {curve.condition}" for what in (AREA, RELATIVE, EFFECTIVE)}
    families: dict[str, list[int]] = {}
    for index, difference in enumerate(differences):
        family = of_place.get(difference.place, "configuration")
        families.setdefault(family, []).append(index)
    corrected = list(differences)
    for rows in families.values():
        p_values = [p for index in rows if (p := differences[index].p) is not None]
        if len(p_values) < len(rows):
            continue
        for index, adjusted in zip(rows, holm(p_values), strict=True):
            before = differences[index]
            verdict = "tie"
            if adjusted < 1 - settings.confidence:
                verdict = "higher" if before.value > 0 else "lower"
            corrected[index] = replace(before, p_adjusted=adjusted, verdict=verdict)
    return corrected


def _first_difference(expected: Answered, got: Answered) -> str | None:
    """Say in what two readings differ that makes them incomparable."""
    if expected.label_set != got.label_set:
        return f"labels are {_say_labels(expected.label_set)}, and {_say_labels(got.label_set)}"
    if expected.split != got.split:
        return f"one is of the split {expected.split!r}, the other of {got.split!r}; evaluate both on one split"
    if set(expected.ids) != set(got.ids):
        only = [sorted(set(a.ids) - set(b.ids)) for a, b in ((expected, got), (got, expected))]
        corpora = "" if expected.corpus == got.corpus else f"of {expected.corpus} and of {got.corpus}; "
        return (
            f"{corpora}of {len(expected.ids)} and {len(got.ids)} utterances, {_say_ids(only[0])} only in the first and "
            f"{_say_ids(only[1])} only in the second"
        )
    order = {name: row for row, name in enumerate(got.ids)}
    rows = [order[name] for name in expected.ids]
    differing = np.flatnonzero((expected.targets != got.targets[rows]).any(axis=1))
    if len(differing):
        return f"the truth of {_say_ids([expected.ids[row] for row in differing])} differs"
    if list(expected.answers) != list(got.answers):
        return f"configurations are {', '.join(expected.answers)}, and {', '.join(got.answers)}"
    if [expected.groups[row] for row in range(len(rows))] != [got.groups[row] for row in rows]:
        return "utterances are grouped by different videos or speakers"
    return None


def _check_same_conditions(methods: Iterable[Sequence[Answered]]) -> None:
    first_by_fold: dict[int | None, Answered] = {}
    for answered in (answered for several in methods for answered in several):
        expected = first_by_fold.setdefault(answered.fold, answered)
        difference = _first_condition(expected, answered)
        if difference:
            raise DatasetError(f"{expected.place} and {answered.place} cannot be compared: {difference}")


def _first_condition(expected: Answered, got: Answered) -> str | None:
    """Say in which condition two readings differ."""
    if set(expected.under) != set(got.under):
        said = [", ".join(one.under) or "none" for one in (expected, got)]
        return f"conditions are {said[0]}, and {said[1]}"
    for condition, by_severity in expected.under.items():
        other = got.under[condition]
        if list(by_severity) != list(other):
            return f"severities of {condition} are {_listed(by_severity)}, and {_listed(other)}"
        for severity, of_draws in by_severity.items():
            if len(of_draws) != len(other[severity]):
                return f"{condition} was drawn {len(of_draws)} times, and {len(other[severity])} times"
            if [one.masks for one in of_draws] != [one.masks for one in other[severity]]:
                return (
                    f"{condition}={severity:g} had other masks, or another sound; evaluate both with the same --masks"
                )
    return None


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _say_ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return f"{', '.join(ids[:SHOWN_IDS])}{more}" if ids else "none"


def _say_labels(labels: LabelSet) -> str:
    return f"{', '.join(labels.names)} ({labels.kind})"


def _say_repeat(fold: int | None, seed: int | None) -> str:
    said = [f"fold {fold}"] if fold is not None else []
    return " with ".join([*said, f"seed {seed}"] if seed is not None else said)
