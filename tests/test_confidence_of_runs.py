"""How sure runs may be: temperatures, calibration error, label sets, abstention, against numbers by hand and others."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

import emotiwave
from emotiwave.calibration.abstention import abstain, area_under_risk, fit_abstention, risk_coverage
from emotiwave.calibration.conformal import check_coverage, fit_label_sets
from emotiwave.calibration.quality import brier, calibration_error, confidence_and_hits, reliability
from emotiwave.calibration.temperatures import fit_temperatures, mean_loss
from emotiwave.errors import ConfigError
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.run_folder import read_run
from emotiwave.types import Configuration, LabelSet, Predictions
from tests.test_cli import run

LABELS = LabelSet("categorical", ("a", "b", "c"))
TEXT, BOTH = Configuration(("text",)), Configuration(("text", "audio"))


def answered(n: int, temperature: float, *, seed: int = 0, labels: LabelSet = LABELS) -> Predictions:
    """Truth drawn from what the logits say, and logits then made too sure (below 1) or not sure enough (above)."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, 3)) * 2
    if labels.is_exclusive:
        targets = np.stack([rng.multinomial(1, np.exp(row) / np.exp(row).sum()) for row in logits])
    else:
        targets = rng.random((n, 3)) < 1 / (1 + np.exp(-logits))
    given = {TEXT: (logits / temperature).astype(np.float32), BOTH: logits.astype(np.float32)}
    names = tuple(f"u{k}" for k in range(n))
    return Predictions(names, names, "validation", labels, targets.astype(np.float32), given)


@pytest.mark.parametrize("labels", [LABELS, LabelSet("multilabel", ("a", "b", "c"))])
@pytest.mark.parametrize("made", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_made_is_found(made: float, labels: LabelSet) -> None:
    predictions = answered(4000, made, labels=labels)
    found = fit_temperatures(predictions)
    assert found.by_configuration[TEXT] == pytest.approx(1 / made, rel=0.08)
    assert found.by_configuration[BOTH] == pytest.approx(1, rel=0.08)
    targets = predictions.targets.astype(np.float64)
    for configuration, temperature in found.by_configuration.items():
        logits = predictions.logits[configuration].astype(np.float64)
        grid = [mean_loss(logits / t, targets, labels) for t in np.geomspace(0.1, 10, 200)]
        assert mean_loss(logits / temperature, targets, labels) <= min(grid) + 1e-9
    changed = found.apply(predictions)
    np.testing.assert_array_equal(changed.logits[TEXT].argmax(axis=1), predictions.logits[TEXT].argmax(axis=1))


def test_too_little_to_fit_to_is_said() -> None:
    with pytest.raises(ConfigError, match="'validation' has 49 utterances of 49 groups: too few to calibrate on"):
        fit_temperatures(answered(49, 1.0))
    one_video = answered(60, 1.0)
    one_video = Predictions(one_video.ids, ("v",) * 60, "dev", LABELS, one_video.targets, one_video.logits)
    with pytest.raises(ConfigError, match="60 utterances of 1 group: too few"):
        fit_label_sets(one_video, 0.9)


def test_calibration_error_and_brier_by_hand() -> None:
    answers = np.array([[0.9, 0.1, 0.0], [0.62, 0.3, 0.08], [0.2, 0.64, 0.16], [0.1, 0.1, 0.8]])
    targets = np.eye(3)[[0, 1, 1, 2]]
    confidence, hits = confidence_and_hits(answers, targets, LABELS)
    assert hits.tolist() == [1, 0, 1, 1]
    # in tenths: .62 and .64 are together, half of them right
    assert calibration_error(confidence, hits, 10) == pytest.approx((0.1 + 2 * abs(0.63 - 0.5) + 0.2) / 4)
    squares = [0.01 + 0.01, 0.62**2 + 0.7**2 + 0.08**2, 0.04 + 0.36**2 + 0.16**2, 0.01 + 0.01 + 0.04]
    assert brier(answers, targets) == pytest.approx(sum(squares) / 4)
    sure = confidence_and_hits(answers, targets, LabelSet("multilabel", ("a", "b", "c")))
    np.testing.assert_array_equal(sure[0], answers.ravel())


def test_bins_are_those_of_scikit_learn() -> None:
    predictions = answered(500, 0.5)
    confidence, hits = confidence_and_hits(predictions.probabilities(TEXT), predictions.targets, LABELS)
    accuracy, mean = calibration_curve(hits, confidence, n_bins=15)
    bins = reliability(confidence, hits)
    np.testing.assert_allclose([of.accuracy for of in bins], accuracy)
    np.testing.assert_allclose([of.confidence for of in bins], mean)
    assert sum(of.n for of in bins) == 500


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_sets_hold_the_truth_as_often_as_promised(coverage: float) -> None:
    on_average = {TEXT: [], BOTH: []}
    for seed in range(60):
        sets = fit_label_sets(answered(100, 0.3, seed=seed), coverage)
        other = answered(400, 0.3, seed=1000 + seed)
        for configuration, found in on_average.items():
            measured = check_coverage(sets, other, configuration)
            chosen = other.probabilities(configuration) >= sets.least[configuration]
            assert measured.coverage == (chosen & (other.targets > 0)).any(axis=1).mean()
            assert measured.low <= measured.coverage <= measured.high
            assert measured.mean_size == chosen.sum(axis=1).mean()
            found.append(measured.coverage)
    for found in on_average.values():  # between the coverage and 1 / (n + 1) more, but for the luck of sixty draws
        assert coverage - 0.015 < np.mean(found) < coverage + 1 / 101 + 0.015


def test_so_much_is_promised_that_every_label_is_needed() -> None:
    predictions = answered(60, 1.0)
    assert fit_label_sets(predictions, 0.995).least[TEXT] == 0.0
    by_hand = np.sort(predictions.probabilities(BOTH)[predictions.targets > 0])[::-1]
    assert fit_label_sets(predictions, 0.9).least[BOTH] == by_hand[54]  # ceil(61 * 0.9) = 55 of 60
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        fit_label_sets(predictions, 1.0)
    with pytest.raises(ConfigError, match="one class holds"):
        fit_label_sets(answered(60, 1.0, labels=LabelSet("multilabel", ("a", "b", "c"))), 0.9)


def test_risk_and_coverage_by_hand() -> None:
    confidence, hits = np.array([0.9, 0.5, 0.8, 0.8, 0.3]), np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    coverage, risk = risk_coverage(confidence, hits)
    np.testing.assert_allclose(coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 3, 1 / 4, 2 / 5])
    # of the two that are as sure, half an error each
    assert area_under_risk(confidence, hits) == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    assert fit_abstention(confidence, hits, 0.25) == 0.5
    assert fit_abstention(confidence, hits, 0.2) == 0.9
    assert abstain(confidence, hits, 0.5).coverage == 0.8
    assert abstain(confidence, hits, 0.5).risk == 0.25
    never = fit_abstention(confidence, 1 - np.ones(5), 0.5)
    assert never == float("inf")
    assert abstain(confidence, hits, never).risk is None
    for risk_asked in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            fit_abstention(confidence, hits, risk_asked)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30), st.floats(0.05, 0.95))
def test_no_lower_threshold_keeps_the_risk(rows: list[tuple[int, bool]], risk: float) -> None:
    confidence = np.array([sure / 6 for sure, _ in rows])
    hits = np.array([float(right) for _, right in rows])
    found = fit_abstention(confidence, hits, risk)
    for threshold in np.unique(confidence):
        left = abstain(confidence, hits, threshold)
        if threshold == found:
            assert left.risk <= risk
        if threshold < found:
            assert left.risk > risk


def test_a_run_is_calibrated_on_validation_and_measured_on_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["dataset.n_train=120", "dataset.n_validation=80", "dataset.n_test=60", "training.epochs=3"]
    folder = emotiwave.train(
        "synthetic", out=tmp_path / "run", overrides=[*sizes, "training.patience=0", "evaluation.bootstrap=0"]
    ).folder
    before = emotiwave.evaluate(folder)
    assert not (folder / "confidence.json").exists()
    code, out, _ = run(capsys, "evaluate", str(folder), "--abstain-above", "0.2")
    assert code == 0
    assert "fitted on validation, n = 80" in " ".join(out.split())
    measured = json.loads((folder / "confidence.json").read_text())
    assert measured["scored_on"] == {"split": "test", "n": 60, "groups": measured["scored_on"]["groups"]}
    model, corpus = load_model(folder), read_run(folder).load_corpus()
    selection, scored = (predict(model, corpus, split) for split in ("validation", "test"))
    for configuration in scored.logits:
        row = measured["configurations"][str(configuration)]
        # by another optimiser, on the same likelihood
        found = minimize(
            lambda t, c=configuration: log_loss(
                selection.targets.argmax(axis=1), softmax(selection.logits[c] / np.exp(t[0]), axis=1), labels=range(6)
            ),
            [0.0],
            method="Nelder-Mead",
        )
        assert row["temperature"] == pytest.approx(np.exp(found.x[0]), rel=1e-2)
        probabilities = softmax(scored.logits[configuration].astype(float) / row["temperature"], axis=1)
        truth = scored.targets.argmax(axis=1)
        assert row["after"]["nll"] == pytest.approx(log_loss(truth, probabilities, labels=range(6)), rel=1e-4)
        in_set = softmax(scored.logits[configuration].astype(float), axis=1) >= row["label_sets"]["least"] - 1e-7
        assert row["label_sets"]["coverage"] == pytest.approx(in_set[np.arange(60), truth].mean())
        right = (scored.probabilities(configuration).argmax(axis=1) == truth).mean()
        assert row["risk_coverage"][-1] == pytest.approx([1.0, 1 - right])
        coverages = [coverage for coverage, _ in row["risk_coverage"]]
        assert len(coverages) <= 25
        assert coverages == sorted(coverages)
    page = emotiwave.write_report(folder, out=tmp_path / "report.html").read_text()
    shown = page.split("How sure it may be")[1].split("Available")[1]
    for name, row in measured["configurations"].items():
        cells = shown.split(f'<th scope="row">{"+<wbr>".join(name.split("+"))}</th>')[1].split("</tr>")[0]
        for value in (row["before"]["ece"], row["after"]["ece"], row["after"]["brier"], row["after"]["aurc"]):
            assert f">{value:.3f}<" in cells
        assert f"{100 * row['label_sets']['low']:.1f} to {100 * row['label_sets']['high']:.1f}" in cells
    assert emotiwave.evaluate(folder) == before  # nothing that is scored changes
    assert not (folder / "confidence.json").exists()
    for words, message in (
        (("--calibrate", "--split", "validation"), "confidence is fitted on 'validation'"),
        (("--abstain-above", "1.5"), "abstain_above"),
    ):
        code, _, told = run(capsys, "evaluate", str(folder), *words)
        assert (code, message in told.replace("\n", " ")) == (1, True), told
    small = emotiwave.train("synthetic", out=tmp_path / "small", overrides=[*sizes, "dataset.n_validation=20"]).folder
    code, _, told = run(capsys, "evaluate", str(small), "--calibrate")
    assert (code, "too few to calibrate on" in told.replace("\n", " ")) == (1, True)
