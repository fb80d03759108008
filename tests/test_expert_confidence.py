"""Temperatures that depend on the quality of the input, and what an expert answers."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve

from emotiwave.experts.answer import put_together
from emotiwave.experts.confidence import Confidence, calibration_error, fit_confidence


def made(n: int = 6000) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Answers that are too sure by a factor of 2 at quality 1, and right at quality 0."""
    generator = np.random.default_rng(0)
    true = 2 * generator.standard_normal((n, 3))
    quality = generator.uniform(0, 1, n)
    classes = np.array([generator.choice(3, p=row) for row in softmax(true, axis=1)])
    return log_softmax(true * (2**quality)[:, None], axis=1), np.eye(3)[classes], {"blur": quality}


def test_the_planted_temperature_is_found() -> None:
    logits, targets, quality = made()
    confidence = fit_confidence(logits, targets, quality)
    found = confidence.temperature({"blur": np.array([0.0, 0.5, 1.0])})
    np.testing.assert_allclose(found, [1, 2**0.5, 2], rtol=0.08)
    before, after = (calibration_error(p, targets) for p in (np.exp(logits), np.exp(confidence.apply(logits, quality))))
    assert after < 0.03 < 0.05 < before


def test_quality_beyond_what_was_seen_counts_as_the_nearest() -> None:
    logits, targets, quality = made(500)
    confidence = fit_confidence(logits, targets, quality)
    seen = quality["blur"]
    far, edges = (confidence.temperature({"blur": np.array(two)}) for two in ((-9.0, 9.0), (seen.min(), seen.max())))
    np.testing.assert_array_equal(far, edges)


def test_a_measure_that_does_not_vary_is_harmless() -> None:
    logits, targets, _ = made(300)
    confidence = fit_confidence(logits, targets, {"side": np.full(300, 7.0)})
    assert np.isfinite(confidence.temperature({"side": np.array([7.0, 1.0])})).all()


def test_soft_targets_count_by_their_shares() -> None:
    logits = log_softmax(np.tile([3.0, 0.0], (50, 1)), axis=1)
    targets = np.tile([0.75, 0.25], (50, 1))
    confidence = fit_confidence(logits, targets, {"words": np.zeros(50)})
    answers = confidence.apply(logits, {"words": np.zeros(50)})
    np.testing.assert_allclose(np.exp(answers[0]), [0.75, 0.25], atol=1e-4)
    assert calibration_error(np.exp(answers), targets) < 1e-3


def test_the_error_is_that_of_scikit_learn_s_bins() -> None:
    generator = np.random.default_rng(3)
    probabilities = softmax(generator.standard_normal((800, 4)), axis=1)
    targets = np.eye(4)[generator.integers(4, size=800)]
    right, sure = probabilities.argmax(axis=1) == targets.argmax(axis=1), probabilities.max(axis=1)
    shares, means = calibration_curve(right, sure, n_bins=15)
    counts = np.histogram(sure, bins=np.linspace(0, 1, 16))[0]
    expected = np.sum(np.abs(shares - means) * counts[counts > 0]) / 800
    assert calibration_error(probabilities, targets) == pytest.approx(expected, abs=1e-9)


def test_a_damaged_confidence_is_refused() -> None:
    good = fit_confidence(*made(100)).model_dump()
    for change in ({"slopes": (1.0, 2.0)}, {"spread": (0.0,)}, {"intercept": float("nan")}, {"more": 1}):
        with pytest.raises(ValidationError):
            Confidence.model_validate(good | change)


def test_what_is_not_observed_gets_the_prior_and_no_decision() -> None:
    prior = np.array([0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.2])
    row = log_softmax(np.arange(7.0))[None]
    observed = np.array([False, True, False])
    answer = put_together(row, {"words": np.array([2.0])}, prior, ["no words", None, "no words"], observed)
    np.testing.assert_allclose(answer.probabilities[[0, 2]], [prior, prior])
    np.testing.assert_allclose(answer.probabilities[1], softmax(np.arange(7.0)))
    assert answer.decisions == (None, "neutral", None)
    np.testing.assert_array_equal(answer.quality["words"], [np.nan, 2, np.nan])
    even = answer.with_prior(1.0)
    np.testing.assert_allclose(even.probabilities[0], prior)
    expected = softmax(np.arange(7.0)) / prior
    np.testing.assert_allclose(even.probabilities[1], expected / expected.sum())
    np.testing.assert_allclose(answer.with_prior(0.0).log_posterior, answer.log_posterior)
