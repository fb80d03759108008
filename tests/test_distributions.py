"""Labels that are shares of raters: encoded, scored, learned from and kept; numbers by hand, scipy or scikit-learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn import metrics as sk

from emotiwave.calibration import fit_thresholds, has_thresholds
from emotiwave.datasets.table import TableSettings, load
from emotiwave.doctor.corpora import _class_shares
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.evaluation.scoring import constant_scores, optimal_predictions, score
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.explanation.shapley import attributable_scores
from emotiwave.features.mmsa_export import write_mmsa
from emotiwave.metrics import averages, per_label_metrics, statistics
from emotiwave.run_results import write_predictions
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.training.module import task_loss
from emotiwave.training.statistics import balanced_weights, class_shares, prior_logits
from emotiwave.types import Configuration, Corpus, LabelSet, Predictions, Utterance, read_label_set

FEELINGS = LabelSet("distribution", ("anger", "fear", "neutral"))
CLASSES = LabelSet("categorical", FEELINGS.names)
TEXT, BOTH = Configuration(("text",)), Configuration(("text", "audio"))
WITHOUT_INTERVALS = EvaluationSettings(bootstrap=0)
ROWS = ((0.75, 0.25, 0.0), (0.0, 0.5, 0.5), (0.25, 0.25, 0.5), (0.0, 0.0, 1.0))


def corpus(rows=ROWS) -> Corpus:
    ids = [f"u{k}" for k in range(len(rows))]
    one = {name: FeatureSequence(np.ones((1, 2), np.float32), np.zeros((1, 2))) for name in ids}
    return Corpus(
        name="made",
        task="emotions",
        licence="none",
        label_set=FEELINGS,
        utterances=tuple(Utterance(name, "test", row) for name, row in zip(ids, rows, strict=True)),
        sequences={"text": ComputationalSequence.from_sequences(one)},
    )


def random_predictions(seed: int = 0, n: int = 40) -> Predictions:
    """Shares of nine votes each, so that some are tied, in eight groups."""
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(9, [0.5, 0.3, 0.2], size=n) / 9
    logits = {c: rng.normal(0, 2, size=(n, 3)).astype(np.float32) for c in (TEXT, BOTH)}
    groups = tuple(f"v{k % 8}" for k in range(n))
    return Predictions(tuple(f"u{k}" for k in range(n)), groups, "test", FEELINGS, shares.astype(np.float32), logits)


# --- what is a share


def test_shares_are_kept_in_the_order_of_the_names():
    encoded = FEELINGS.encode((0.2, 0.3, 0.5))
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, np.array([0.2, 0.3, 0.5], np.float32))


@pytest.mark.parametrize("n_votes", [1, 3, 7, 11, 97, 1000])
def test_any_division_of_votes_sums_to_one(n_votes):
    many = LabelSet("distribution", tuple(f"class {k}" for k in range(40)))
    for votes in np.random.default_rng(n_votes).multinomial(n_votes, np.full(40, 1 / 40), size=50):
        many.encode(tuple((votes / n_votes).tolist()))


@pytest.mark.parametrize(
    ("label", "match"),
    [
        ("anger", "'anger' does not fit a distribution label set"),
        (("anger", "fear", "neutral"), "does not fit a distribution label set"),
        ((0.5, 0.5), "has 2 values; expected 3"),
        ((), "has 0 values; expected 3"),
        ((0.5, 0.6, -0.1), "the share of neutral is -0.1; expected 0 to 1"),
        ((0.0, 1.1, 0.0), "the share of fear is 1.1"),
        ((float("nan"), 0.5, 0.5), "the share of anger is nan"),
        ((None, 0.5, 0.5), "the share of anger is nan"),
        ((0.5, float("inf"), 0.5), "the share of fear is inf"),
        ((0.5, 1e300, 0.5), "the share of fear is 1e"),
        ((0.33, 0.33, 0.33), "anger, fear, neutral sum to 0.99; expected 1"),
        ((0.0, 0.0, 0.0), "sum to 0; expected 1"),
        ((3, 1, 0), "the share of anger is 3; expected 0 to 1"),
        ((0.5, 0.5, 2e-6), "sum to 1.000002"),
    ],
)
def test_other_labels_are_refused(label, match):
    with pytest.raises(DatasetError, match=match):
        FEELINGS.encode(label)


def test_an_utterance_with_other_shares_is_named():
    with pytest.raises(DatasetError, match="made: utterance 'u1': the shares of anger"):
        corpus((ROWS[0], (0.5, 0.4, 0.0)))


def test_one_class_holds_and_the_first_of_a_tie():
    assert FEELINGS.is_exclusive
    assert CLASSES.is_exclusive
    assert not LabelSet("multilabel", ("anger",)).is_exclusive
    assert not LabelSet("continuous", ("anger",), ((0.0, 1.0),)).is_exclusive
    assert FEELINGS.holds(np.array(ROWS)).argmax(axis=1).tolist() == [0, 1, 2, 2]
    assert FEELINGS.holds(np.array(ROWS)).sum(axis=1).tolist() == [1, 1, 1, 1]
    with pytest.raises(DatasetError, match="needs more classes"):
        LabelSet("distribution", ("anger",))
    with pytest.raises(DatasetError, match="has no ranges"):
        LabelSet("distribution", ("a", "b"), ((0.0, 1.0), (0.0, 1.0)))
    assert read_label_set({"kind": "distribution", "names": list(FEELINGS.names), "ranges": None}) == FEELINGS


# --- metrics


@pytest.mark.parametrize("seed", range(5))
def test_nll_equals_scikit_learns_log_loss_of_single_votes(seed):
    made = random_predictions(seed)
    p = softmax(made.logits[TEXT].astype(float), axis=1)
    every_vote = np.repeat(p, 3, axis=0)
    expected = sk.log_loss(np.tile([0, 1, 2], len(p)), every_vote, sample_weight=made.targets.ravel(), labels=[0, 1, 2])
    sums = statistics(made.targets, p, np.zeros(len(p), np.int64), FEELINGS)[0]
    assert averages(FEELINGS)["nll"](sums, FEELINGS) == pytest.approx(expected, rel=1e-6)


def test_nll_by_hand_and_of_impossible_answers():
    shares = np.array([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]], np.float32)
    answers = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    sums = statistics(shares, answers, np.zeros(2, np.int64), FEELINGS)[0]
    # 3/4 log 2 + 1/4 log 4 of the first; the second had no chance: log of 2**52
    expected = (0.75 * np.log(2) + 0.25 * np.log(4) + 52 * np.log(2)) / 2
    assert averages(FEELINGS)["nll"](sums, FEELINGS) == pytest.approx(expected)


def test_shares_themselves_lose_their_entropy():
    made = random_predictions()
    sums = statistics(made.targets, made.targets.astype(float), np.zeros(40, np.int64), FEELINGS)[0]
    expected = np.mean([entropy(row) for row in made.targets.astype(float)])
    assert averages(FEELINGS)["nll"](sums, FEELINGS) == pytest.approx(expected, rel=1e-6)


def test_other_metrics_are_those_of_the_largest_share():
    made = random_predictions()
    classes = replace(made, label_set=CLASSES, targets=np.eye(3, dtype=np.float32)[made.targets.argmax(axis=1)])
    for c in made.logits:
        np.testing.assert_array_equal(made.answers(c), classes.answers(c))
    settings = EvaluationSettings(bootstrap=50)
    rows = [row for row in score(made, settings, model="m", dataset="d") if row.metric != "nll"]
    assert rows == score(classes, settings, model="m", dataset="d")
    assert set(averages(FEELINGS)) - set(averages(CLASSES)) == {"nll"}
    assert set(per_label_metrics(FEELINGS)) == set(per_label_metrics(CLASSES))


def test_nll_has_an_interval_over_groups_and_no_retention():
    made = random_predictions()
    rows = {
        (r.condition, r.available): r
        for r in score(made, EvaluationSettings(bootstrap=200), model="m", dataset="d")
        if r.metric == "nll"
    }
    assert {condition for condition, _ in rows} == {"configuration", "mean", "mean_incomplete"}
    text, both = rows["configuration", ("text",)], rows["configuration", ("text", "audio")]
    assert rows["mean", None].value == pytest.approx((text.value + both.value) / 2)
    assert text.ci_low is not None
    assert text.ci_high is not None
    assert text.ci_low < text.value < text.ci_high


def test_no_constant_answer_beats_the_mean_shares():
    made = random_predictions()
    best = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    mean = made.targets.astype(float).mean(axis=0)
    assert best["nll"] == pytest.approx(entropy(mean), rel=1e-6)
    truth = made.targets.argmax(axis=1)
    assert best["accuracy"] == max(np.bincount(truth)) / 40
    for answer in np.random.default_rng(0).dirichlet([5, 3, 2], size=200):
        assert -(made.targets * np.log(answer)).sum(axis=1).mean() > best["nll"]


def test_optimal_predictions_say_what_the_posterior_says():
    posterior = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])
    known = replace(corpus(), posteriors={"text": posterior})
    ids = tuple(u.id for u in known.utterances)
    zeros = {TEXT: np.zeros((4, 3), np.float32)}
    optimal = optimal_predictions(known, Predictions(ids, ids, "test", FEELINGS, known.targets, zeros))
    assert optimal is not None
    np.testing.assert_allclose(optimal.probabilities(TEXT), posterior, atol=1e-6)


def test_no_threshold_decides():
    assert not has_thresholds(FEELINGS).any()
    with pytest.raises(ConfigError, match=r"distribution labels .* decided by the largest probability"):
        fit_thresholds(random_predictions())


def test_scores_are_log_odds_as_of_classes():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(attributable_scores(logits, "distribution"), np.log(p / (1 - p)), rtol=1e-9)


# --- training


def test_the_loss_is_pytorchs_with_soft_targets():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor(ROWS)
    torch.testing.assert_close(
        task_loss(logits, targets, FEELINGS, torch.ones(3)), torch.nn.functional.cross_entropy(logits, targets)
    )


def test_the_weighted_loss_is_that_of_every_vote():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([0.5, 1.0, 4.0])
    votes = [
        (row, k) for row, shares in enumerate(ROWS) for k, share in enumerate(shares) for _ in range(int(4 * share))
    ]
    rows, classes = (torch.tensor(part) for part in zip(*votes, strict=True))
    torch.testing.assert_close(
        task_loss(logits, torch.tensor(ROWS), FEELINGS, weights),
        torch.nn.functional.cross_entropy(logits[rows], classes, weight=weights),
    )


def test_prior_and_weights_are_of_mean_shares():
    made, rows = corpus(), np.arange(4)
    # anger 0.75 + 0.25, fear 0.25 + 0.5 + 0.25, neutral 0.5 + 0.5 + 1, of four
    np.testing.assert_allclose(class_shares(made, rows), [0.25, 0.25, 0.5])
    np.testing.assert_allclose(prior_logits(made, rows), np.log([0.25, 0.25, 0.5]))
    np.testing.assert_allclose(balanced_weights(class_shares(made, rows), FEELINGS), [4 / 3, 4 / 3, 2 / 3], rtol=1e-6)
    assert _class_shares(made) == {"anger": 0.25, "fear": 0.25, "neutral": 0.5}
    with pytest.raises(DatasetError, match="class 'anger' holds in no training utterance"):
        class_shares(made, np.array([1, 3]))


# --- files


def test_predictions_keep_the_shares_that_they_are_scored_by(tmp_path):
    made = random_predictions()
    write_predictions(made, tmp_path, dataset="made")
    table = pq.read_table(tmp_path / "predictions.parquet", filters=[("configuration", "==", "text")])
    assert table["truth"].to_pylist() == [FEELINGS.names[k] for k in made.targets.argmax(axis=1)]
    assert table["decision"].to_pylist() == [FEELINGS.names[k] for k in made.logits[TEXT].argmax(axis=1)]
    shares = np.stack([table[f"share_{name}"].to_numpy() for name in FEELINGS.names], axis=1)
    np.testing.assert_array_equal(shares, made.targets)
    p = np.stack([table[f"probability_{name}"].to_numpy() for name in FEELINGS.names], axis=1)
    rows = score(made, WITHOUT_INTERVALS, model="m", dataset="d")
    nll = next(r.value for r in rows if r.metric == "nll" and r.available == ("text",))
    assert -(shares * np.log(p)).sum(axis=1).mean() == pytest.approx(nll, rel=1e-6)


def test_mmsa_files_hold_no_shares(tmp_path):
    with pytest.raises(DatasetError, match="made: the labels are shares of raters"):
        write_mmsa(corpus(), tmp_path / "made.pkl", aligned=True)


def write_table(folder: Path, rows: str) -> TableSettings:
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", np.ones((1, 2), np.float32))
    (folder / "table.csv").write_text(f"id,audio,split,anger,fear\n{rows}")
    return TableSettings(file=folder / "table.csv", task="distribution", labels=("fear", "anger"))


def test_a_table_names_shares_by_column(tmp_path):
    made = load(write_table(tmp_path, "u0,a.npy,train,0.25,0.75\nu1,b.npy,test,1,0\n"))
    assert made.label_set == LabelSet("distribution", ("fear", "anger"))
    np.testing.assert_array_equal(made.targets, [[0.75, 0.25], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("u1,b.npy,test,0.5,0.4", "sum to 0.9; expected 1"),
        ("u1,b.npy,test,1,", "lacks a value; expected one in each of fear, anger"),
        ("u1,b.npy,test,1.5,-0.5", "the share of fear is -0.5"),
        ("u1,b.npy,test,nan,1", "anger"),
        ("u1,b.npy,test,many,1", "anger"),
    ],
)
def test_a_row_with_other_shares_is_named(tmp_path, row, match):
    with pytest.raises(DatasetError, match=rf"(line|row) \d.*{match}"):
        load(write_table(tmp_path, f"u0,a.npy,train,0.25,0.75\n{row}\n"))


def test_a_table_of_shares_needs_their_columns(tmp_path):
    settings = write_table(tmp_path, "u0,a.npy,train,0.25,0.75\n")
    for changed, match in (({"labels": None}, "needs labels"), ({"labels": ("text", "b")}, "cannot be called 'text'")):
        with pytest.raises(ValueError, match=match):
            TableSettings.model_validate(settings.model_dump() | changed)
    with pytest.raises(DatasetError, match="joy"):
        load(TableSettings(file=settings.file, task="distribution", labels=("anger", "joy")))
