"""What is promised for every metric of every kind of label."""

from collections.abc import Mapping

import numpy as np
import pytest

from emotiwave.metrics import AVERAGES, LOWER_IS_BETTER, PER_LABEL, Metric, averages, statistics
from emotiwave.types import LabelSet

N, N_CLASSES, N_GROUPS = 60, 4, 7
LABELS = {
    "categorical": LabelSet("categorical", tuple("abcd")),
    "multilabel": LabelSet("multilabel", tuple("abcd")),
    "distribution": LabelSet("distribution", tuple("abcd")),
    "continuous": LabelSet("continuous", tuple("abcd"), ((-3.0, 3.0),) * 4),
}


def listed(registry: Mapping, *, is_per_label: bool) -> list:
    return [
        pytest.param(metric, is_per_label, kind, id=f"{kind} {name}{' per label' if is_per_label else ''}")
        for kind, metrics in registry.items()
        for name, metric in metrics.items()
    ]


every_metric = pytest.mark.parametrize(
    ("metric", "is_per_label", "kind"), [*listed(AVERAGES, is_per_label=False), *listed(PER_LABEL, is_per_label=True)]
)
ERRORS = [
    metric
    for metrics in (*AVERAGES.values(), *PER_LABEL.values())
    for name, metric in metrics.items()
    if name in LOWER_IS_BETTER
]
MOST_NATS = -np.log(np.finfo(float).eps)


def answers(kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, answers and group of 60 utterances; every class holds and is predicted."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.arange(N) % N_GROUPS)
    if kind == "multilabel":
        truth = rng.random((N, N_CLASSES)) < 0.4
        return truth.astype(np.float32), (truth ^ (rng.random((N, N_CLASSES)) < 0.3)).astype(float), groups
    if kind == "continuous":
        truth = np.round(rng.uniform(-3, 3, size=(N, N_CLASSES)), 1).astype(np.float32)
        return truth, np.clip(truth + rng.normal(0, 1, size=truth.shape), -3, 3), groups
    labels = rng.permutation(np.arange(N) % N_CLASSES)
    decided = np.where(rng.random(N) < 0.6, labels, rng.integers(N_CLASSES, size=N))
    if kind == "distribution":
        return 0.6 * np.eye(N_CLASSES, dtype=np.float32)[labels] + 0.1, 0.2 * np.eye(N_CLASSES)[decided] + 0.2, groups
    return np.eye(N_CLASSES, dtype=np.float32)[labels], np.eye(N_CLASSES)[decided], groups


def grouped(kind: str) -> np.ndarray:
    return statistics(*answers(kind), LABELS[kind])


def total(targets: np.ndarray, given: np.ndarray, kind: str) -> np.ndarray:
    return statistics(targets, given, np.zeros(len(targets), dtype=np.int64), LABELS[kind])[0]


@every_metric
def test_a_metric_gives_one_number_or_one_per_label(metric: Metric, is_per_label: bool, kind: str):
    values = metric(grouped(kind).sum(axis=0), LABELS[kind])
    assert np.shape(values) == ((N_CLASSES,) if is_per_label else ())
    highest = np.log(5) if metric in ERRORS and kind == "distribution" else 1
    assert ((values > 0) & (values < highest)).all()  # answers are neither all right nor all wrong


@every_metric
def test_the_truth_itself_scores_1_or_has_no_error(metric: Metric, is_per_label: bool, kind: str):
    targets, _, _ = answers(kind)
    if kind == "distribution":
        targets = LABELS[kind].holds(targets).astype(np.float32)  # where raters differ, the truth has an error too
    values = metric(total(targets, targets.astype(float), kind), LABELS[kind])
    np.testing.assert_allclose(values, 0 if metric in ERRORS else 1)


@every_metric
def test_all_wrong_scores_0_or_worse(metric: Metric, is_per_label: bool, kind: str):
    targets, _, _ = answers(kind)
    if kind == "continuous":
        targets = np.where(np.abs(targets) < 0.6, 1.0, targets).astype(np.float32)  # rounds to another integer
        values = metric(total(targets, -targets.astype(float), kind), LABELS[kind])
        expected = 2 * np.abs(targets).mean(axis=0) if metric in ERRORS else np.zeros(N_CLASSES)
        if metric in (AVERAGES["continuous"]["pearson"], PER_LABEL["continuous"]["pearson"]):
            expected = -np.ones(N_CLASSES)
        np.testing.assert_allclose(values, expected if is_per_label else expected.mean(), rtol=1e-6)
        return
    if kind == "distribution":
        targets = LABELS[kind].holds(targets).astype(np.float32)
    wrong = np.roll(targets, 1, axis=1) if LABELS[kind].is_exclusive else 1 - targets
    values = metric(total(targets, wrong.astype(float), kind), LABELS[kind])
    if metric in ERRORS:
        np.testing.assert_allclose(values, MOST_NATS)
    elif LABELS[kind].is_exclusive and metric is PER_LABEL[LABELS[kind].kind]["weighted_accuracy"]:
        # a wrong class is still rightly not one of the two others: 15 of 45 negatives are false, recall is 0
        np.testing.assert_allclose(values, (0 + 30 / 45) / 2)
    else:
        np.testing.assert_allclose(values, 0)


@every_metric
def test_many_resamples_at_once_score_as_one_by_one(metric: Metric, is_per_label: bool, kind: str):
    draws = np.random.default_rng(1).multinomial(N_GROUPS, np.full(N_GROUPS, 1 / N_GROUPS), size=(3, 5)).astype(float)
    resampled = np.tensordot(draws, grouped(kind), axes=(2, 0))
    together = metric(resampled, LABELS[kind])
    assert together.shape == ((3, 5, N_CLASSES) if is_per_label else (3, 5))
    for place in np.ndindex(3, 5):
        np.testing.assert_allclose(together[place], metric(resampled[place], LABELS[kind]), rtol=1e-12)


@every_metric
def test_groups_added_up_score_as_if_there_were_none(metric: Metric, is_per_label: bool, kind: str):
    targets, given, _ = answers(kind)
    together = metric(grouped(kind).sum(axis=0), LABELS[kind])
    np.testing.assert_allclose(together, metric(total(targets, given, kind), LABELS[kind]), rtol=1e-12)


@every_metric
def test_every_utterance_twice_changes_nothing(metric: Metric, is_per_label: bool, kind: str):
    sums = grouped(kind).sum(axis=0)
    np.testing.assert_allclose(metric(2 * sums, LABELS[kind]), metric(sums, LABELS[kind]), rtol=1e-12)


@every_metric
def test_the_order_of_the_labels_does_not_matter(metric: Metric, is_per_label: bool, kind: str):
    targets, given, _ = answers(kind)
    order = [2, 0, 3, 1]
    values = metric(total(targets, given, kind), LABELS[kind])
    reordered = metric(total(targets[:, order], given[:, order], kind), LABELS[kind])
    np.testing.assert_allclose(reordered, values[order] if is_per_label else values, rtol=1e-12)


@every_metric
def test_nothing_to_count_scores_0_without_a_warning(metric: Metric, is_per_label: bool, kind: str):
    values = metric(np.zeros((2, *grouped(kind).shape[1:])), LABELS[kind])
    np.testing.assert_array_equal(values, np.zeros((2, N_CLASSES) if is_per_label else 2))


@every_metric
def test_a_metric_leaves_its_statistics_alone(metric: Metric, is_per_label: bool, kind: str):
    sums = grouped(kind)
    sums.flags.writeable = False
    metric(sums, LABELS[kind])


@every_metric
def test_a_metric_says_what_it_is(metric: Metric, is_per_label: bool, kind: str):
    assert (metric.__doc__ or "").splitlines()[0].strip()


def test_every_average_applies_to_labels_from_minus_three_to_three():
    assert all(averages(labels) == AVERAGES[labels.kind] for labels in LABELS.values())
