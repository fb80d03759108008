"""Metrics of continuous labels against scikit-learn, scipy, and the formulas that MOSI papers share."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from emotiwave.metrics import averages, values
from emotiwave.types import LabelSet

SENTIMENT = LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),))
MIXED = LabelSet("continuous", ("sentiment", "happy", "sad"), ((-3.0, 3.0), (0.0, 3.0), (0.0, 3.0)))
SEEDS = range(6)


def ratings(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and group; many truths are exactly 0, as raters' means are."""
    rng = np.random.default_rng(seed)
    truth = np.round(rng.uniform([-3, 0, 0], 3, size=(n, 3)) * 3) / 3
    truth[rng.random((n, 3)) < 0.3] = 0
    predicted = np.clip(truth + rng.normal(0, 1, size=(n, 3)), *MIXED.bounds)
    groups = rng.integers(5, size=n)
    groups[:5] = range(5)
    return truth, predicted, groups


def scored(labels: LabelSet, truth, predicted, thresholds=None) -> dict[str, float]:
    truth, predicted = (np.asarray(x, dtype=float).reshape(len(truth), -1) for x in (truth, predicted))
    sums = values.measure(truth, predicted, np.zeros(len(truth), dtype=np.int64), labels, thresholds)[0]
    return {name: float(metric(sums, labels)) for name, metric in averages(labels).items()}


def per_label(
    metric, truth: np.ndarray, predicted: np.ndarray, labels: LabelSet = MIXED, thresholds=None
) -> np.ndarray:
    sums = values.measure(truth, predicted, np.zeros(len(truth), dtype=np.int64), labels, thresholds)[0]
    return metric(sums, labels)


@pytest.mark.parametrize("seed", SEEDS)
def test_sentiment_metrics_agree_with_the_formulas_of_mosi_papers(seed):
    truth, predicted = (x[:, 0] for x in ratings(seed)[:2])
    got = scored(SENTIMENT, truth, predicted)
    kept = truth != 0
    assert got == pytest.approx(
        {
            "macro_f1": sk.f1_score(truth >= 0, predicted >= 0, average="macro"),
            "mae": np.mean(np.abs(truth - predicted)),
            "pearson": np.corrcoef(truth, predicted)[0, 1],
            "accuracy_2": sk.accuracy_score(truth >= 0, predicted >= 0),
            "accuracy_2_signed": sk.accuracy_score(truth[kept] > 0, predicted[kept] > 0),
            "weighted_f1_2": sk.f1_score(truth >= 0, predicted >= 0, average="weighted"),
            "weighted_f1_2_signed": sk.f1_score(truth[kept] > 0, predicted[kept] > 0, average="weighted"),
            "accuracy_7": np.mean(np.round(np.clip(truth, -3, 3)) == np.round(np.clip(predicted, -3, 3))),
        }
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_each_label_agrees_with_scikit_learn_and_scipy(seed):
    truth, predicted, _ = ratings(seed)
    np.testing.assert_allclose(
        per_label(values.mae, truth, predicted),
        sk.mean_absolute_error(truth, predicted, multioutput="raw_values"),
    )
    correlation = [stats.pearsonr(truth[:, k], predicted[:, k]).statistic for k in range(3)]
    np.testing.assert_allclose(per_label(values.pearson, truth, predicted), correlation, rtol=1e-10)
    f1 = [sk.f1_score(truth[:, 0] >= 0, predicted[:, 0] >= 0, average="macro")]
    f1 += [sk.f1_score(truth[:, k] > 0, predicted[:, k] > 0.5) for k in (1, 2)]
    np.testing.assert_allclose(per_label(values.f1, truth, predicted), f1)


def test_averages_are_means_over_the_labels_that_they_apply_to():
    truth, predicted, _ = ratings(0)
    got = scored(MIXED, truth, predicted)
    for name, metric in {"macro_f1": values.f1, "mae": values.mae, "pearson": values.pearson}.items():
        assert got[name] == pytest.approx(per_label(metric, truth, predicted).mean())
    alone = scored(SENTIMENT, truth[:, 0], predicted[:, 0])
    for name in ("accuracy_2", "accuracy_2_signed", "weighted_f1_2", "weighted_f1_2_signed", "accuracy_7"):
        assert got[name] == alone[name]


def test_a_sentiment_example_by_hand():
    """Zero is on the non-negative side; with zeros left out it is -2, 1 and 3 that count, and 0 is not positive."""
    got = scored(SENTIMENT, [-2.0, 0.0, 1.0, 3.0], [-1.0, -0.4, 0.0, 2.6])
    assert got["mae"] == pytest.approx((1 + 0.4 + 1 + 0.4) / 4)
    assert got["accuracy_2"] == pytest.approx(3 / 4)
    assert got["accuracy_2_signed"] == pytest.approx(2 / 3)
    assert got["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert got["weighted_f1_2"] == pytest.approx((1 * 2 / 3 + 3 * 4 / 5) / 4)
    assert got["weighted_f1_2_signed"] == pytest.approx((1 * 2 / 3 + 2 * 2 / 3) / 3)
    assert got["accuracy_7"] == pytest.approx(2 / 4)  # -0.4 rounds to 0, 2.6 to 3


def test_halves_round_to_the_even_integer():
    # 0.5 -> 0, 1.5 -> 2, -2.5 -> -2
    assert scored(SENTIMENT, [0.0, 2.0, -2.0, 1.0], [0.5, 1.5, -2.5, 0.5])["accuracy_7"] == pytest.approx(3 / 4)


def test_presence_is_a_truth_above_zero_and_a_prediction_above_its_threshold():
    truth = np.array([[0.0, 0.0], [0.33, 0.33], [2.0, 2.0], [0.0, 0.0]])
    predicted = np.array([[0.4, 0.4], [0.5, 0.5], [1.0, 1.0], [0.9, 0.9]])
    labels = LabelSet("continuous", ("happy", "sad"), ((0.0, 3.0), (0.0, 3.0)))
    # above 0.5: 1 hit, 1 false, 1 missed; above 0.3: 2 hits, 2 false; above 0.95: 1 hit, 1 missed
    assert per_label(values.f1, truth, predicted, labels).tolist() == [0.5, 0.5]
    tuned = per_label(values.f1, truth, predicted, labels, np.array([0.3, 0.95]))
    assert tuned == pytest.approx([2 * 2 / (2 * 2 + 2), 2 / 3])


@pytest.mark.parametrize("constant", [0.0, 0.1, 2.9999])
def test_the_correlation_of_a_constant_is_zero(constant):
    truth, predicted, _ = ratings(1)
    np.testing.assert_array_equal(per_label(values.pearson, truth, np.full_like(truth, constant)), 0)
    np.testing.assert_array_equal(per_label(values.pearson, np.full_like(truth, constant), predicted), 0)


def test_small_wiggles_far_from_zero_still_correlate():
    truth, _, _ = ratings(2)
    predicted = 2.5 + 1e-6 * truth
    np.testing.assert_allclose(per_label(values.pearson, truth, predicted), 1, rtol=1e-6)


def test_resampled_groups_score_as_their_utterances_would():
    truth, predicted, groups = ratings(3)
    sums = values.measure(truth, predicted, groups, MIXED)
    draw = np.array([2.0, 0, 1, 0, 2])
    chosen = np.concatenate([np.flatnonzero(groups == g) for g in range(5) for _ in range(int(draw[g]))])
    resampled = np.tensordot(draw[None], sums, axes=(1, 0))
    expected = scored(MIXED, truth[chosen], predicted[chosen])
    for name, metric in averages(MIXED).items():
        assert metric(resampled, MIXED)[0] == pytest.approx(expected[name], rel=1e-9), name


def test_nothing_to_score_is_zero_without_a_warning():
    for metric in averages(MIXED).values():
        assert metric(np.zeros((2, 3, values.N_STATISTICS)), MIXED).tolist() == [0, 0]
