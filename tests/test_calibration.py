"""Thresholds are the best there are on what they are tuned on."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from emotiwave.calibration import best_threshold, fit_thresholds, has_thresholds
from emotiwave.errors import ConfigError
from emotiwave.types import Configuration, LabelSet, Predictions

TEXT, AUDIO = Configuration(("text",)), Configuration(("audio",))
FEELINGS = LabelSet("multilabel", ("anger", "fear"))
RATED = LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 3.0)))


def predictions(labels: LabelSet, targets, **logits) -> Predictions:
    answers = {Configuration((name,)): np.asarray(z, np.float32) for name, z in logits.items()}
    ids = tuple(f"u{i}" for i in range(len(targets)))
    return Predictions(ids, ids, "validation", labels, np.asarray(targets, np.float32), answers)


def f1(scores: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    return float(f1_score(truth, scores > threshold, zero_division=0))


@pytest.mark.parametrize("seed", range(40))
def test_no_other_threshold_reaches_a_higher_f1(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    truth = rng.random(n) < rng.uniform(0.1, 0.9)
    truth[0] = True
    scores = np.round(np.clip(rng.normal(0.3 + 0.3 * truth, 0.3), 0, 1), 2 if seed % 2 else 1)  # ties, and zeros
    best = best_threshold(scores, truth, nearest_to=0.5)
    everything = np.unique([-1.0, *scores, *(scores + 1e-9), *(scores - 1e-9)])
    reached = [f1(scores, truth, threshold) for threshold in everything]
    assert f1(scores, truth, best) == pytest.approx(max(reached))


def test_the_threshold_is_the_middle_between_neighbours():
    # above 0.4 (between 0.3 and 0.5): all three are found and nothing else
    scores, truth = np.array([0.5, 0.1, 0.6, 0.3, 0.9]), np.array([True, False, True, False, True])
    assert best_threshold(scores, truth, nearest_to=0.5) == pytest.approx(0.4)


def test_of_equally_good_thresholds_the_nearest_is_taken():
    # all present: 2 * 2 / (4 + 2) = 2/3; only the highest: 2 / (1 + 2) = 2/3; between them lower
    scores, truth = np.array([0.2, 0.6, 0.7, 0.8]), np.array([True, False, False, True])
    assert best_threshold(scores, truth, nearest_to=0.5) == pytest.approx(0.75)
    assert best_threshold(scores, truth, nearest_to=0.3) == pytest.approx(0.1)


def test_a_class_without_a_positive_keeps_its_threshold():
    made = predictions(FEELINGS, [[1, 0], [0, 0]], text=[[2.0, 3.0], [-1.0, 1.0]])
    assert fit_thresholds(made).by_configuration[TEXT][1] == 0.5


def test_scores_of_zero_can_be_present_too():
    scores = np.zeros(3)
    assert best_threshold(scores, np.array([True, True, False]), nearest_to=0.5) < 0


def test_neighbouring_floats_are_still_told_apart():
    low = 0.3
    high = float(np.nextafter(low, 1))
    threshold = best_threshold(np.array([low, high]), np.array([False, True]), nearest_to=0.5)
    assert not low > threshold
    assert high > threshold


def test_every_configuration_and_class_has_its_own_threshold():
    logit = {p: np.log(p / (1 - p)) for p in (0.1, 0.2, 0.4, 0.8, 0.9)}
    targets = [[1, 0], [0, 1], [1, 1]]
    text = [[logit[0.4], logit[0.1]], [logit[0.2], logit[0.8]], [logit[0.9], logit[0.9]]]
    audio = [[logit[0.9], logit[0.2]], [logit[0.1], logit[0.4]], [logit[0.8], logit[0.8]]]
    tuned = fit_thresholds(predictions(FEELINGS, targets, text=text, audio=audio))
    np.testing.assert_allclose(tuned.by_configuration[TEXT], [(0.2 + 0.4) / 2, (0.1 + 0.8) / 2], atol=1e-6)
    np.testing.assert_allclose(tuned.by_configuration[AUDIO], [(0.1 + 0.8) / 2, (0.2 + 0.4) / 2], atol=1e-6)
    assert (tuned.split, tuned.n, tuned.label_set) == ("validation", 3, FEELINGS)


def test_intensities_are_tuned_and_the_sign_of_opposites_is_not():
    made = predictions(RATED, [[-1.0, 0.0], [1.0, 1.0], [2.0, 3.0]], text=[[0.5, 0.1], [0.2, 0.2], [0.1, 9.0]])
    np.testing.assert_allclose(fit_thresholds(made).by_configuration[TEXT], [0, 0.15], atol=1e-6)
    assert has_thresholds(RATED).tolist() == [False, True]


@pytest.mark.parametrize(
    ("labels", "how"),
    [
        (LabelSet("categorical", ("anger", "fear")), "the largest probability"),
        (LabelSet("continuous", ("a", "b"), ((-3.0, 3.0), (-1.0, 1.0))), "the sign"),
    ],
)
def test_labels_without_a_threshold_are_refused(labels, how):
    made = predictions(labels, [[1, 0], [0, 1]], text=[[1, 0], [0, 1]])
    with pytest.raises(ConfigError, match=f'decided by {how}; set evaluation.thresholds = "fixed"'):
        fit_thresholds(made)
