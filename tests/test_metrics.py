"""Every metric against scikit-learn, which counts in another way."""

import numpy as np
import pytest
from sklearn import metrics as sk

from emotiwave.metrics import AVERAGES, HEADLINE, PER_LABEL, averages, described_metrics
from emotiwave.metrics.counts import (
    accuracy,
    count,
    decide,
    f1,
    fixed_thresholds,
    macro_f1,
    mean_weighted_accuracy,
    mean_weighted_f1,
    per_label,
    precision,
    recall,
    uar,
    weighted_accuracy,
    weighted_f1,
)
from emotiwave.types import LabelSet

N_CLASSES = 5
SEEDS = range(12)
CATEGORICAL = LabelSet("categorical", tuple("abcde"))
MULTILABEL = LabelSet("multilabel", tuple("abcde"))
THREE = LabelSet("multilabel", ("a", "b", "c"))
LABELS = {"categorical": CATEGORICAL, "multilabel": MULTILABEL}


def answers(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and decision ``(n, 5)``; some classes never hold, are never predicted, or neither."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    truth_rate, decision_rate = rng.random(N_CLASSES), rng.random(N_CLASSES)
    truth_rate[rng.random(N_CLASSES) < 0.3] = 0
    decision_rate[rng.random(N_CLASSES) < 0.3] = 0
    if kind == "multilabel":
        return rng.random((n, N_CLASSES)) < truth_rate, rng.random((n, N_CLASSES)) < decision_rate
    truth_rate[0], decision_rate[1] = 0.2, 0.2
    eye = np.eye(N_CLASSES, dtype=bool)
    return (
        eye[rng.choice(N_CLASSES, size=n, p=truth_rate / truth_rate.sum())],
        eye[rng.choice(N_CLASSES, size=n, p=decision_rate / decision_rate.sum())],
    )


def counted(truth: np.ndarray, decision: np.ndarray, kind) -> np.ndarray:
    return count(truth, decision, np.zeros(len(truth), dtype=np.int64), LABELS[kind])[0]


def macro(metric, truth: np.ndarray, decision: np.ndarray, **more) -> float:
    return float(metric(truth, decision, average="macro", zero_division=0, **more))


def per_class(metric, truth: np.ndarray, decision: np.ndarray, kind: str) -> np.ndarray:
    if kind == "multilabel":
        return metric(truth, decision, average=None, zero_division=0)
    labels = range(N_CLASSES)
    return metric(truth.argmax(1), decision.argmax(1), labels=labels, average=None, zero_division=0)


def test_the_made_answers_hold_the_hard_cases():
    seen = set()
    for seed in SEEDS:
        truth, decision = answers("multilabel", seed)
        seen |= {(bool(truth[:, k].any()), bool(decision[:, k].any())) for k in range(N_CLASSES)}
    assert seen == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["categorical", "multilabel"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(precision, sk.precision_score), (recall, sk.recall_score), (f1, sk.f1_score)]
)
def test_per_class_metrics_agree_with_scikit_learn(ours, theirs, kind, seed):
    truth, decision = answers(kind, seed)
    np.testing.assert_allclose(
        ours(counted(truth, decision, kind), LABELS[kind]), per_class(theirs, truth, decision, kind), rtol=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_categorical_averages_agree_with_scikit_learn(seed):
    truth, decision = answers("categorical", seed)
    counts, y, z = counted(truth, decision, "categorical"), truth.argmax(1), decision.argmax(1)
    assert accuracy(counts, CATEGORICAL) == pytest.approx(sk.accuracy_score(y, z))
    # scikit-learn averages over the classes that hold or are predicted, as ours does
    assert macro_f1(counts, CATEGORICAL) == pytest.approx(macro(sk.f1_score, y, z))
    held = np.unique(y)
    balanced = macro(sk.recall_score, y, z, labels=held)
    assert uar(counts, CATEGORICAL) == pytest.approx(balanced)
    if set(z) <= set(y):
        assert uar(counts, CATEGORICAL) == pytest.approx(sk.balanced_accuracy_score(y, z))


@pytest.mark.parametrize("seed", SEEDS)
def test_multilabel_averages_agree_with_scikit_learn(seed):
    truth, decision = answers("multilabel", seed)
    counts = counted(truth, decision, "multilabel")
    assert accuracy(counts, MULTILABEL) == pytest.approx(1 - sk.hamming_loss(truth, decision))
    assert macro_f1(counts, MULTILABEL) == pytest.approx(macro(sk.f1_score, truth, decision))


@pytest.mark.parametrize("kind", ["categorical", "multilabel"])
def test_weighted_accuracy_is_balanced_accuracy_of_each_class_against_the_rest(kind):
    truth, decision = np.random.default_rng(3).random((2, 40, N_CLASSES)) < 0.4
    if kind == "categorical":
        truth, decision = np.eye(N_CLASSES, dtype=bool)[np.random.default_rng(3).integers(N_CLASSES, size=(2, 40))]
    counts = counted(truth, decision, kind)
    expected = [sk.balanced_accuracy_score(truth[:, k], decision[:, k]) for k in range(N_CLASSES)]
    np.testing.assert_allclose(weighted_accuracy(counts, LABELS[kind]), expected, rtol=1e-12)
    if kind == "multilabel":
        assert mean_weighted_accuracy(counts, MULTILABEL) == pytest.approx(np.mean(expected))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@pytest.mark.parametrize("seed", SEEDS)
def test_weighted_accuracy_leaves_out_the_side_that_is_absent_as_scikit_learn_does(seed):
    truth, decision = answers("multilabel", seed)
    expected = [sk.balanced_accuracy_score(truth[:, k], decision[:, k]) for k in range(N_CLASSES)]
    np.testing.assert_allclose(weighted_accuracy(counted(truth, decision, "multilabel"), MULTILABEL), expected)


def test_weighted_accuracy_of_a_class_that_never_or_always_holds_is_the_one_recall_there_is():
    tables = np.array([[[3, 1], [0, 0]], [[0, 0], [2, 3]], [[0, 0], [0, 0]]], dtype=float)
    assert weighted_accuracy(tables, MULTILABEL) == pytest.approx([3 / 4, 3 / 5, 0])


@pytest.mark.parametrize("seed", SEEDS)
def test_weighted_f1_agrees_with_scikit_learn(seed):
    truth, decision = answers("multilabel", seed)
    counts = counted(truth, decision, "multilabel")
    expected = [sk.f1_score(truth[:, k], decision[:, k], average="weighted", zero_division=0) for k in range(N_CLASSES)]
    np.testing.assert_allclose(weighted_f1(counts, MULTILABEL), expected, rtol=1e-12)
    assert mean_weighted_f1(counts, MULTILABEL) == pytest.approx(np.mean(expected))
    truth, decision = answers("categorical", seed)
    expected = sk.f1_score(truth.argmax(1), decision.argmax(1), average="weighted", zero_division=0)
    assert mean_weighted_f1(counted(truth, decision, "categorical"), CATEGORICAL) == pytest.approx(expected)


def test_weighted_f1_is_high_where_finding_nothing_is_mostly_right():
    # 2 of 20 hold and none is found: F1 of presence 0, of absence 36 / 38, which 18 of 20 have
    table = np.array([[[18, 0], [2, 0]]], dtype=float)
    assert f1(table, MULTILABEL) == pytest.approx([0])
    assert weighted_f1(table, MULTILABEL) == pytest.approx([36 / 38 * 18 / 20])


@pytest.mark.parametrize(
    ("tp", "fn", "fp", "tn", "expected"),
    [
        # WA = (TP * N / P + TN) / (2 N), P positives, N negatives
        (3, 1, 2, 4, (3 * 6 / 4 + 4) / 12),  # = 17/24
        (0, 5, 0, 45, (0 * 45 / 5 + 45) / 90),  # never: one half, however rare
        (5, 0, 45, 0, (5 * 45 / 5 + 0) / 90),  # always: one half
        (9, 1, 0, 10, (9 * 10 / 10 + 10) / 20),  # = .95
    ],
)
def test_weighted_accuracy_is_the_formula_of_the_mosei_papers(tp, fn, fp, tn, expected):
    counts = np.array([[[tn, fp], [fn, tp]]], dtype=float)
    assert weighted_accuracy(counts, MULTILABEL) == pytest.approx([expected])


def test_a_categorical_example_by_hand():
    # truth a a a b b c, decision a a b b c c
    counts = np.array([[2, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=float)
    assert precision(counts, CATEGORICAL) == pytest.approx([2 / 2, 1 / 2, 1 / 2])
    assert recall(counts, CATEGORICAL) == pytest.approx([2 / 3, 1 / 2, 1 / 1])
    assert f1(counts, CATEGORICAL) == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert macro_f1(counts, CATEGORICAL) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert accuracy(counts, CATEGORICAL) == pytest.approx(4 / 6)
    assert uar(counts, CATEGORICAL) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_macro_f1_leaves_out_a_class_that_neither_holds_nor_is_predicted():
    # as above, with an empty class between
    counts = np.zeros((4, 4))
    counts[np.ix_([0, 2, 3], [0, 2, 3])] = [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert macro_f1(counts, CATEGORICAL) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    # predicted once, never true: it counts, with an F1 of 0; class a: 2 hits, 2 misses
    counts[0, 1] = 1
    assert macro_f1(counts, CATEGORICAL) == pytest.approx((4 / 6 + 0 + 1 / 2 + 2 / 3) / 4)


def test_an_empty_multilabel_column_counts_as_zero_f1_and_is_right_in_accuracy():
    truth, decision = np.array([[True, False]] * 4), np.array([[True, False]] * 4)
    counts = counted(truth, decision, "multilabel")
    assert f1(counts, MULTILABEL).tolist() == [1, 0]
    assert macro_f1(counts, MULTILABEL) == pytest.approx(0.5)
    assert accuracy(counts, MULTILABEL) == 1


# --- counting and deciding


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["categorical", "multilabel"])
def test_counts_are_the_confusion_matrices_of_each_group(kind, seed):
    truth, decision = answers(kind, seed)
    groups = np.random.default_rng(seed).integers(3, size=len(truth))
    groups[-1] = 3
    counts = count(truth, decision, groups, LABELS[kind])
    assert len(counts) == 4
    for group in range(4):
        t, d = truth[groups == group], decision[groups == group]
        if not len(t):
            assert not counts[group].any()
        elif kind == "categorical":
            expected = sk.confusion_matrix(t.argmax(1), d.argmax(1), labels=range(N_CLASSES))
            np.testing.assert_array_equal(counts[group], expected)
        else:
            np.testing.assert_array_equal(counts[group], sk.multilabel_confusion_matrix(t, d))
    np.testing.assert_array_equal(counts.sum(axis=0), counted(truth, decision, kind))


def test_one_table_per_class_agrees_with_scikit_learn():
    truth, decision = answers("categorical", 2)
    table = per_label(counted(truth, decision, "categorical"), CATEGORICAL)
    expected = sk.multilabel_confusion_matrix(truth.argmax(1), decision.argmax(1), labels=range(N_CLASSES))
    np.testing.assert_array_equal(table, expected)


def test_a_categorical_decision_is_the_one_largest_class():
    probabilities = np.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2], [0.1, 0.8, 0.1]])
    assert decide(probabilities, CATEGORICAL).tolist() == [
        [False, False, True],
        [True, False, False],  # a tie goes to the first
        [False, True, False],
    ]


def test_a_multilabel_decision_is_every_class_above_one_half():
    probabilities = np.array([[0.2, 0.500001, 0.9], [0.5, 0.4, 0.1]])
    assert decide(probabilities, THREE).tolist() == [[False, True, True], [False, False, False]]


def test_a_class_has_its_own_threshold_and_a_categorical_decision_none():
    probabilities = np.array([[0.2, 0.3, 0.5], [0.25, 0.8, 0.9]])
    thresholds = np.array([0.2, 0.9, 0.4])
    assert decide(probabilities, THREE, thresholds).tolist() == [[False, False, True], [True, False, True]]
    assert decide(probabilities, CATEGORICAL, thresholds).argmax(axis=1).tolist() == [2, 2]


def test_fixed_thresholds_are_one_half_or_half_a_short_range_and_zero_where_the_sign_decides():
    labels = LabelSet("continuous", ("a", "b", "c"), ((0.0, 3.0), (0.0, 0.4), (-3.0, 3.0)))
    assert fixed_thresholds(labels).tolist() == [0.5, 0.2, 0.0]
    assert fixed_thresholds(MULTILABEL).tolist() == [0.5] * 5


def test_models_are_chosen_by_macro_f1_whatever_the_kind():
    assert HEADLINE == "macro_f1"
    assert all(next(iter(metrics)) == HEADLINE for metrics in AVERAGES.values())


def test_metrics_that_do_not_apply_to_a_range_are_absent():
    def of(*ranges: tuple[float, float]) -> set[str]:
        return set(averages(LabelSet("continuous", tuple("abc"[: len(ranges)]), ranges)))

    sides = {"accuracy_2", "accuracy_2_signed", "weighted_f1_2", "weighted_f1_2_signed"}
    everywhere = {"macro_f1", "mae", "pearson"}
    assert of((0.0, 3.0)) == everywhere
    assert of((-1.0, 1.0)) == everywhere | sides
    assert of((-3.0, 3.0)) == everywhere | sides | {"accuracy_7"} == set(AVERAGES["continuous"])
    assert of((0.0, 3.0), (-3.0, 3.0)) == set(AVERAGES["continuous"])


def test_every_metric_is_described_once():
    names = {name for kinds in (AVERAGES, PER_LABEL) for metrics in kinds.values() for name in metrics}
    assert described_metrics().keys() == names
    assert all(described_metrics().values())
