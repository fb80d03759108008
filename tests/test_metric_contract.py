"""What is promised for every metric."""

import numpy as np
import pytest

from emotiwave.metrics import AVERAGES, PER_LABEL, count

N, N_CLASSES, N_GROUPS = 60, 4, 7
METRICS = [pytest.param(metric, False, id=name) for name, metric in AVERAGES.items()]
METRICS += [pytest.param(metric, True, id=name) for name, metric in PER_LABEL.items()]

every_metric = pytest.mark.parametrize(("metric", "is_per_label"), METRICS)
every_kind = pytest.mark.parametrize("kind", ["categorical", "multilabel"])


def answers(kind: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, decision and group of 60 utterances; every class holds and is predicted."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.arange(N) % N_GROUPS)
    if kind == "multilabel":
        truth = rng.random((N, N_CLASSES)) < 0.4
        return truth, truth ^ (rng.random((N, N_CLASSES)) < 0.3), groups
    labels = rng.permutation(np.arange(N) % N_CLASSES)
    decided = np.where(rng.random(N) < 0.6, labels, rng.integers(N_CLASSES, size=N))
    return np.eye(N_CLASSES, dtype=bool)[labels], np.eye(N_CLASSES, dtype=bool)[decided], groups


def grouped(kind) -> np.ndarray:
    return count(*answers(kind), kind=kind)


def total(truth: np.ndarray, decision: np.ndarray, kind) -> np.ndarray:
    return count(truth, decision, np.zeros(len(truth), dtype=np.int64), kind=kind)[0]


@every_kind
@every_metric
def test_a_metric_gives_one_number_or_one_per_class_between_0_and_1(metric, is_per_label, kind):
    values = metric(grouped(kind).sum(axis=0), kind)
    assert np.shape(values) == ((N_CLASSES,) if is_per_label else ())
    assert ((values > 0) & (values < 1)).all()  # answers are neither all right nor all wrong


@every_kind
@every_metric
def test_the_truth_itself_scores_1(metric, is_per_label, kind):
    truth, _, _ = answers(kind)
    np.testing.assert_allclose(metric(total(truth, truth, kind), kind), 1)


@every_kind
@every_metric
def test_all_wrong_scores_0_where_right_decisions_are_what_counts(metric, is_per_label, kind):
    truth, _, _ = answers(kind)
    wrong = np.roll(truth, 1, axis=1) if kind == "categorical" else ~truth
    values = metric(total(truth, wrong, kind), kind)
    if kind == "categorical" and metric is PER_LABEL["weighted_accuracy"]:
        # a wrong class is still rightly not one of the two others: 15 of 45 negatives are false, recall is 0
        np.testing.assert_allclose(values, (0 + 30 / 45) / 2)
    else:
        np.testing.assert_allclose(values, 0)


@every_kind
@every_metric
def test_many_resamples_at_once_score_as_one_by_one(metric, is_per_label, kind):
    draws = np.random.default_rng(1).multinomial(N_GROUPS, np.full(N_GROUPS, 1 / N_GROUPS), size=(3, 5)).astype(float)
    resampled = np.tensordot(draws, grouped(kind), axes=(2, 0))
    together = metric(resampled, kind)
    assert together.shape == ((3, 5, N_CLASSES) if is_per_label else (3, 5))
    for place in np.ndindex(3, 5):
        np.testing.assert_allclose(together[place], metric(resampled[place], kind), rtol=1e-12)


@every_kind
@every_metric
def test_groups_added_up_score_as_if_there_were_none(metric, is_per_label, kind):
    truth, decision, _ = answers(kind)
    np.testing.assert_array_equal(metric(grouped(kind).sum(axis=0), kind), metric(total(truth, decision, kind), kind))


@every_kind
@every_metric
def test_every_utterance_twice_changes_nothing(metric, is_per_label, kind):
    counts = grouped(kind).sum(axis=0)
    np.testing.assert_allclose(metric(2 * counts, kind), metric(counts, kind), rtol=1e-12)


@every_kind
@every_metric
def test_the_order_of_the_classes_does_not_matter(metric, is_per_label, kind):
    truth, decision, _ = answers(kind)
    order = [2, 0, 3, 1]
    values = metric(total(truth, decision, kind), kind)
    reordered = metric(total(truth[:, order], decision[:, order], kind), kind)
    np.testing.assert_allclose(reordered, values[order] if is_per_label else values, rtol=1e-12)


@every_kind
@every_metric
def test_nothing_to_count_scores_0_without_a_warning(metric, is_per_label, kind):
    shape = (2, N_CLASSES, N_CLASSES) if kind == "categorical" else (2, N_CLASSES, 2, 2)
    values = metric(np.zeros(shape), kind)
    np.testing.assert_array_equal(values, np.zeros((2, N_CLASSES) if is_per_label else 2))


@every_kind
@every_metric
def test_a_metric_leaves_its_counts_alone(metric, is_per_label, kind):
    counts = grouped(kind)
    counts.flags.writeable = False
    metric(counts, kind)


@every_metric
def test_a_metric_says_what_it_is(metric, is_per_label):
    assert (metric.__doc__ or "").splitlines()[0].strip()
