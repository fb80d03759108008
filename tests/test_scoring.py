import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from emotiwave.calibration import Thresholds
from emotiwave.datasets.synthetic import SyntheticSettings, load
from emotiwave.evaluation.scoring import (
    constant_scores,
    draw_groups,
    optimal_predictions,
    score,
    summarise_seeds,
)
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import AVERAGES, PER_LABEL
from emotiwave.types import Configuration, LabelSet, Predictions, Score, all_configurations

TEXT, AUDIO = Configuration(("text",)), Configuration(("audio",))
BOTH = Configuration(("text", "audio"))
WITHOUT_INTERVALS = EvaluationSettings(bootstrap=0)


def predictions(labels: LabelSet, truth: np.ndarray, groups: Sequence[str], logits) -> Predictions:
    ids = tuple(f"u{i}" for i in range(len(truth)))
    answers = {c: np.asarray(z, np.float32) for c, z in logits.items()}
    return Predictions(ids, tuple(groups), "test", labels, truth.astype(np.float32), answers)


def decided(classes: Sequence[int], n_classes: int = 2) -> np.ndarray:
    """Logits that say these classes."""
    return 3.0 * np.eye(n_classes)[list(classes)]


def by_hand() -> Predictions:
    """Truth + + - -; text says + - - +, audio + - + +, both + + - +."""
    truth = np.eye(2)[[1, 1, 0, 0]]
    logits = {TEXT: decided([1, 0, 0, 1]), AUDIO: decided([1, 0, 1, 1]), BOTH: decided([1, 1, 0, 1])}
    return predictions(LabelSet("categorical", ("-", "+")), truth, ["v", "v", "w", "w"], logits)


def rows_by_place(rows: list[Score]) -> dict[tuple, Score]:
    found = {(row.condition, row.available, row.metric, row.label): row for row in rows}
    assert len(found) == len(rows), "no row twice"
    return found


# text: + has 1 hit, 1 false, 1 missed: F1 1/2; - the same. audio: + 1 hit, 2 false, 1 missed: 2/5; - none: 0.
# both: + 2 hits, 1 false, 0 missed: 4/5; - 1 hit, 0 false, 1 missed: 2/3.
ACCURACY = {TEXT: 2 / 4, AUDIO: 1 / 4, BOTH: 3 / 4}
MACRO_F1 = {TEXT: 1 / 2, AUDIO: (2 / 5 + 0) / 2, BOTH: (4 / 5 + 2 / 3) / 2}
UAR = {TEXT: 1 / 2, AUDIO: (1 / 2 + 0) / 2, BOTH: (1 + 1 / 2) / 2}


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", ACCURACY), ("macro_f1", MACRO_F1), ("uar", UAR)])
def test_scores_are_those_worked_out_by_hand(metric, expected):
    rows = rows_by_place(score(by_hand(), WITHOUT_INTERVALS, model="m", dataset="d"))
    for configuration, value in expected.items():
        assert rows["configuration", configuration.modalities, metric, None].value == pytest.approx(value)
    incomplete = (expected[TEXT] + expected[AUDIO]) / 2
    assert rows["mean", None, metric, None].value == pytest.approx((2 * incomplete + expected[BOTH]) / 3)
    assert rows["mean_incomplete", None, metric, None].value == pytest.approx(incomplete)
    assert rows["retention", None, metric, None].value == pytest.approx(incomplete / expected[BOTH])


def test_scores_per_class_are_those_worked_out_by_hand():
    rows = rows_by_place(score(by_hand(), WITHOUT_INTERVALS, model="m", dataset="d"))
    expected = {
        "precision": (1, 2 / 3),
        "recall": (1 / 2, 1),
        "f1": (2 / 3, 4 / 5),
        "weighted_accuracy": (3 / 4, 3 / 4),
    }
    for metric, values in expected.items():
        for label, value in zip("-+", values, strict=True):
            assert rows["configuration", ("text", "audio"), metric, label].value == pytest.approx(value)


def test_every_configuration_has_the_same_rows_and_the_same_utterances():
    rows = score(by_hand(), WITHOUT_INTERVALS, model="m", dataset="d", seed=4)
    per_configuration = {
        c: {(row.metric, row.label) for row in rows if row.available == c.modalities} for c in (TEXT, AUDIO, BOTH)
    }
    assert per_configuration[TEXT] == per_configuration[AUDIO] == per_configuration[BOTH]
    averaged, per_class = AVERAGES["categorical"], PER_LABEL["categorical"]
    assert per_configuration[BOTH] == {(m, None) for m in averaged} | {(m, c) for m in per_class for c in "-+"}
    assert {row.n for row in rows} == {4}, "n counts utterances, not videos"
    assert {(row.model, row.dataset, row.split, row.seed) for row in rows} == {("m", "d", "test", 4)}
    assert {(row.ci_low, row.ci_high, row.sd) for row in rows} == {(None, None, None)}


def test_one_configuration_alone_has_no_incomplete_mean():
    alone = replace(by_hand(), logits={TEXT: by_hand().logits[TEXT]})
    rows = score(alone, WITHOUT_INTERVALS, model="m", dataset="d")
    assert {row.condition for row in rows} == {"configuration", "mean"}


def test_retention_of_nothing_is_zero_and_no_warning():
    nothing_right = predictions(
        LabelSet("categorical", ("-", "+")),
        np.eye(2)[[1, 0]],
        ["v", "w"],
        {TEXT: decided([1, 0]), AUDIO: decided([1, 1]), BOTH: decided([0, 1])},
    )
    rows = rows_by_place(score(nothing_right, WITHOUT_INTERVALS, model="m", dataset="d"))
    assert rows["retention", None, "accuracy", None].value == 0


# --- intervals


def random_predictions(kind, seed: int = 0) -> Predictions:
    """40 utterances of 8 videos of unequal size, whose names are not in order."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(["v9", "v10", "b", "a", "Z", "c", "k", "f"], size=40, p=np.arange(1, 9) / 36).tolist()
    truth = rng.random((40, 3)) < 0.4 if kind == "multilabel" else np.eye(3)[rng.integers(3, size=40)]
    logits = {c: 2.0 * truth - 1 + 1.5 * rng.standard_normal((40, 3)) for c in (TEXT, AUDIO, BOTH)}
    return predictions(LabelSet(kind, ("a", "b", "c")), truth, groups, logits)


def macro(metric, truth: np.ndarray, decision: np.ndarray, **more) -> float:
    return float(metric(truth, decision, average="macro", zero_division=0, **more))


def by_scikit_learn(kind: str, truth: np.ndarray, decision: np.ndarray) -> dict[str, float]:
    if kind == "multilabel":
        return {
            "accuracy": float((truth == decision).mean()),
            "macro_f1": macro(sk.f1_score, truth, decision),
            "weighted_f1": float(np.mean([weighted_f1(t, d) for t, d in zip(truth.T, decision.T, strict=True)])),
            "weighted_accuracy": float(np.mean([balanced(t, d) for t, d in zip(truth.T, decision.T, strict=True)])),
        }
    y, z = truth.argmax(1), decision.argmax(1)
    return {
        "accuracy": float(sk.accuracy_score(y, z)),
        "macro_f1": macro(sk.f1_score, y, z),
        "uar": macro(sk.recall_score, y, z, labels=np.unique(y)),
        "weighted_f1": weighted_f1(y, z),
    }


def weighted_f1(truth: np.ndarray, decision: np.ndarray) -> float:
    return float(sk.f1_score(truth, decision, average="weighted", zero_division=0))


def balanced(truth: np.ndarray, decision: np.ndarray) -> float:
    """Mean recall of the sides that hold."""
    sides = [side for side in (False, True) if (truth == side).any()]
    return float(np.mean([(decision[truth == side] == side).mean() for side in sides]))


def by_formula(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of one label from -3 to 3."""
    kept = truth != 0
    return {
        "macro_f1": macro(sk.f1_score, truth >= 0, predicted >= 0),
        "mae": float(np.abs(truth - predicted).mean()),
        "pearson": float(np.corrcoef(truth, predicted)[0, 1]),
        "accuracy_2": float(((truth >= 0) == (predicted >= 0)).mean()),
        "accuracy_2_signed": float(((truth[kept] > 0) == (predicted[kept] > 0)).mean()),
        "weighted_f1_2": weighted_f1(truth >= 0, predicted >= 0),
        "weighted_f1_2_signed": weighted_f1(truth[kept] > 0, predicted[kept] > 0),
        "accuracy_7": float((np.round(truth) == np.round(predicted)).mean()),
    }


@pytest.mark.parametrize("kind", ["categorical", "multilabel"])
def test_intervals_are_those_of_a_brute_force_bootstrap_over_videos(kind):
    made = random_predictions(kind)
    settings = EvaluationSettings(bootstrap=40, confidence=0.9, seed=7)
    rows = rows_by_place(score(made, settings, model="m", dataset="d"))
    groups, truth = np.array(made.groups), made.targets > 0
    decisions = {c: z > 0 if kind == "multilabel" else np.eye(3)[z.argmax(1)] > 0 for c, z in made.logits.items()}
    names = sorted(set(made.groups))
    resamples: dict[tuple, list[float]] = {}
    for draw in draw_groups(len(names), settings)[1:]:
        # utterance rows of every drawn video, as often as it was drawn
        drawn = [name for name, times in zip(names, draw, strict=True) for _ in range(int(times))]
        chosen = np.concatenate([np.flatnonzero(groups == name) for name in drawn])
        values = {c: by_scikit_learn(kind, truth[chosen], decision[chosen]) for c, decision in decisions.items()}
        for metric in values[TEXT]:
            for c in values:
                resamples.setdefault(("configuration", c.modalities, metric, None), []).append(values[c][metric])
            incomplete = (values[TEXT][metric] + values[AUDIO][metric]) / 2
            mean = (2 * incomplete + values[BOTH][metric]) / 3
            resamples.setdefault(("mean", None, metric, None), []).append(mean)
            resamples.setdefault(("mean_incomplete", None, metric, None), []).append(incomplete)
            resamples.setdefault(("retention", None, metric, None), []).append(incomplete / values[BOTH][metric])
    assert len(resamples) == 6 * 4
    for place, expected in resamples.items():
        assert rows[place].ci_low == pytest.approx(np.quantile(expected, 0.05)), place
        assert rows[place].ci_high == pytest.approx(np.quantile(expected, 0.95)), place


SENTIMENT = LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),))


def sentiment_predictions(seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    groups = rng.choice(["v9", "v10", "b", "a", "Z"], size=60).tolist()
    truth = np.round(rng.uniform(-3, 3, size=(60, 1)) * 5) / 5
    logits = {c: truth + s * rng.standard_normal((60, 1)) for c, s in ((TEXT, 1.0), (AUDIO, 3.0), (BOTH, 0.8))}
    return predictions(SENTIMENT, truth, groups, logits)


def test_intervals_of_continuous_scores_are_those_of_a_brute_force_bootstrap():
    made, settings = sentiment_predictions(), EvaluationSettings(bootstrap=30, confidence=0.9, seed=7)
    rows = rows_by_place(score(made, settings, model="m", dataset="d"))
    groups, truth = np.array(made.groups), made.targets[:, 0].astype(float)
    names = sorted(set(made.groups))
    for c, logits in made.logits.items():
        predicted = np.clip(logits[:, 0].astype(float), -3, 3)
        resamples = []
        for draw in draw_groups(len(names), settings):
            drawn = [name for name, times in zip(names, draw, strict=True) for _ in range(int(times))]
            chosen = np.concatenate([np.flatnonzero(groups == name) for name in drawn])
            resamples.append(by_formula(truth[chosen], predicted[chosen]))
        for metric, value in resamples[0].items():
            row = rows["configuration", c.modalities, metric, None]
            assert row.value == pytest.approx(value), metric
            low, high = np.quantile([values[metric] for values in resamples[1:]], [0.05, 0.95])
            assert (row.ci_low, row.ci_high) == pytest.approx((low, high)), metric
    assert {row.label for row in rows.values()} == {None, "sentiment"}


@pytest.mark.parametrize("metric", ["mae", "pearson"])
def test_an_error_or_a_correlation_has_a_mean_over_configurations_and_no_retention(metric):
    rows = rows_by_place(score(sentiment_predictions(), WITHOUT_INTERVALS, model="m", dataset="d"))
    values = {c: rows["configuration", c.modalities, metric, None].value for c in (TEXT, AUDIO, BOTH)}
    assert rows["mean", None, metric, None].value == pytest.approx(sum(values.values()) / 3)
    assert rows["mean_incomplete", None, metric, None].value == pytest.approx((values[TEXT] + values[AUDIO]) / 2)
    assert {name for condition, _, name, _ in rows if condition == "retention"} == {
        "macro_f1", "accuracy_2", "accuracy_2_signed", "weighted_f1_2", "weighted_f1_2_signed", "accuracy_7"
    }  # fmt: skip


def test_tuned_thresholds_decide_in_their_configuration_only():
    truth = np.array([[1], [0], [1], [0]])
    logit = np.log(0.3 / 0.7)
    says = [[logit], [-4.0], [logit], [-4.0]]
    made = predictions(LabelSet("multilabel", ("fear",)), truth, ["v", "w", "x", "y"], {TEXT: says, AUDIO: says})
    tuned = {TEXT: np.array([0.2]), AUDIO: np.array([0.4])}
    thresholds = Thresholds("validation", 4, made.label_set, tuned)
    rows = rows_by_place(score(made, WITHOUT_INTERVALS, model="m", dataset="d", thresholds=thresholds))
    assert rows["configuration", ("text",), "macro_f1", None].value == 1
    assert rows["configuration", ("audio",), "macro_f1", None].value == 0
    fixed = rows_by_place(score(made, WITHOUT_INTERVALS, model="m", dataset="d"))
    assert fixed["configuration", ("text",), "macro_f1", None].value == 0


@pytest.mark.parametrize("n_groups", [2, 5, 31])
def test_a_draw_takes_as_many_groups_as_there_are_with_replacement(n_groups):
    draws = draw_groups(n_groups, EvaluationSettings(bootstrap=2000))
    assert draws.shape == (2001, n_groups)
    assert (draws[0] == 1).all(), "the first is the data itself"
    assert (draws.sum(axis=1) == n_groups).all()
    # each count is binomial(n, 1/n): mean 1, variance 1 - 1/n
    error = math.sqrt((1 - 1 / n_groups) / 2000)
    np.testing.assert_allclose(draws[1:].mean(axis=0), 1, atol=4.5 * error)
    np.testing.assert_allclose(draws[1:].var(), 1 - 1 / n_groups, atol=0.1)


def test_every_model_meets_the_same_resamples_and_another_seed_gives_others():
    def draw(seed: int) -> list[list[float]]:
        return draw_groups(6, EvaluationSettings(bootstrap=20, seed=seed)).tolist()

    assert draw(0) == draw(0) != draw(1)


def test_one_video_alone_has_nothing_to_resample_and_gets_no_interval():
    made = replace(by_hand(), groups=("v",) * 4)
    for row in score(made, EvaluationSettings(bootstrap=50), model="m", dataset="d"):
        assert (row.ci_low, row.ci_high) == (None, None)


def test_a_higher_confidence_gives_a_wider_interval():
    def width(confidence: float) -> float:
        settings = EvaluationSettings(bootstrap=200, confidence=confidence)
        row = rows_by_place(score(random_predictions("categorical"), settings, model="m", dataset="d"))[
            "mean", None, "accuracy", None
        ]
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low <= row.value <= row.ci_high
        return row.ci_high - row.ci_low

    assert width(0.5) < width(0.8) < width(0.99)


# --- baselines


def test_the_constant_answer_on_test_like_mosi():
    """752 utterances, 467 positive: accuracy .621; F1 of "positive" 2 * 467 / (2 * 467 + 285), of "negative" 0."""
    truth = np.eye(2)[[1] * 467 + [0] * 285]
    made = predictions(
        LabelSet("categorical", ("negative", "positive")),
        truth,
        [f"v{i % 31}" for i in range(752)],
        {TEXT: np.zeros((752, 2)), AUDIO: np.zeros((752, 2)), BOTH: np.zeros((752, 2))},
    )
    rows = constant_scores(made, EvaluationSettings(bootstrap=20), dataset="mosi")
    values = {row.metric: row.value for row in rows}
    assert len(values) == len(rows) == len(AVERAGES["categorical"])
    weighted = 467 / 752 * 2 * 467 / 1219
    expected = {"accuracy": 467 / 752, "macro_f1": 467 / 1219, "uar": 0.5, "weighted_f1": weighted}
    assert values == pytest.approx(expected)
    assert (round(values["accuracy"], 3), round(values["macro_f1"], 3)) == (0.621, 0.383)
    assert {(row.model, row.n, row.seed) for row in rows} == {("constant", 752, None)}
    for row in rows:
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low <= row.value <= row.ci_high


@pytest.mark.parametrize("rates", [(0.2, 0.2, 0.2), (0.7, 0.7, 0.7), (0.8, 0.1, 0.6)])
def test_no_constant_multilabel_answer_of_the_eight_beats_the_baseline(rates):
    truth = np.random.default_rng(0).random((30, 3)) < rates
    made = predictions(LabelSet("multilabel", ("a", "b", "c")), truth, ["v"] * 30, {TEXT: np.zeros((30, 3))})
    values = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    for metric in ("accuracy", "macro_f1", "weighted_f1"):
        answers = [
            by_scikit_learn("multilabel", truth, np.broadcast_to(answer, truth.shape))[metric]
            for answer in itertools.product((True, False), repeat=3)
        ]
        assert values[metric] == pytest.approx(max(answers))
    assert values["weighted_accuracy"] == 0.5


@pytest.mark.parametrize("kind", ["categorical", "multilabel"])
def test_no_constant_answer_of_a_class_beats_the_baseline(kind):
    made = random_predictions(kind)
    best = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    answers = np.eye(3) if kind == "categorical" else np.array(list(itertools.product((0, 1), repeat=3)))
    tried = [by_scikit_learn(kind, made.targets > 0, np.tile(answer > 0, (40, 1))) for answer in answers]
    for metric in tried[0]:
        assert best[metric] == pytest.approx(max(values[metric] for values in tried))


@pytest.mark.parametrize("seed", range(4))
def test_no_constant_value_beats_the_continuous_baseline(seed):
    made = sentiment_predictions(seed)
    truth = made.targets[:, 0].astype(float)
    best = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    tried = []
    for value in np.linspace(-3, 3, 241):
        always = np.full(60, value)
        tried.append(without_pearson(truth, always))
    for metric in ("macro_f1", "accuracy_2", "accuracy_2_signed", "weighted_f1_2", "weighted_f1_2_signed"):
        assert best[metric] == pytest.approx(max(values[metric] for values in tried)), metric
    # the median has the lowest error of all constants
    assert best["mae"] == pytest.approx(np.abs(truth - np.median(truth)).mean())
    assert best["mae"] <= min(values["mae"] for values in tried) + 1e-6
    assert best["pearson"] == 0
    # seven steps: the best constant names the most frequent one
    _, times = np.unique(np.round(truth), return_counts=True)
    assert best["accuracy_7"] == pytest.approx(times.max() / 60) == pytest.approx(max(v["accuracy_7"] for v in tried))


@pytest.mark.parametrize("step", range(-3, 4))
def test_the_constant_answer_takes_the_most_frequent_of_seven_steps(step):
    """Of nine, seven are spread over all steps and two more are on this one, which may be neither middle nor end."""
    truth = np.array([-3.0, -2, -1, 0, 1, 2, 3, step, step])[:, None]
    made = predictions(SENTIMENT, truth, ["v"] * 9, {TEXT: np.zeros((9, 1))})
    best = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    assert best["accuracy_7"] == pytest.approx(3 / 9)


def without_pearson(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """`by_formula` of a constant, whose correlation is not defined."""
    with np.errstate(invalid="ignore"):
        return {name: value for name, value in by_formula(truth, predicted).items() if name != "pearson"}


def test_the_constant_answer_takes_the_side_of_each_label():
    """Three of four are negative, and three of four are afraid: always saying so has an F1 of 6/7 each."""
    labels = LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 3.0)))
    truth = np.array([[-1.0, 1.0], [-2.0, 2.0], [-1.0, 0.3], [1.0, 0.0]])
    made = predictions(labels, truth, ["v", "w", "x", "y"], {TEXT: np.zeros((4, 2))})
    best = {row.metric: row.value for row in constant_scores(made, WITHOUT_INTERVALS, dataset="d")}
    assert best["macro_f1"] == pytest.approx(((6 / 7 + 0) / 2 + 6 / 7) / 2)
    assert best["accuracy_2"] == pytest.approx(3 / 4)


# --- the best there is


def test_the_optimal_value_is_the_posterior_mean():
    corpus = load(SyntheticSettings(n_train=4, n_validation=0, n_test=3, longest=2.5))
    configurations = all_configurations(corpus.modalities)
    means = {str(c): np.linspace(-2, 2, 7)[:, None] for c in configurations}
    utterances = tuple(replace(u, label=(0.5,)) for u in corpus.utterances)
    rated = replace(corpus, label_set=SENTIMENT, utterances=utterances, posteriors=means)
    rows = rated.indices("test")
    made = Predictions(
        ids=tuple(rated.utterances[i].id for i in rows),
        groups=("v",) * 3,
        split="test",
        label_set=SENTIMENT,
        targets=rated.targets[rows],
        logits={c: np.zeros((3, 1), np.float32) for c in configurations},
    )
    optimal = optimal_predictions(rated, made)
    assert optimal is not None
    for c in configurations:
        np.testing.assert_allclose(optimal.answers(c), means[str(c)][rows], rtol=1e-6)


@pytest.mark.parametrize("task", ["categorical", "multilabel"])
def test_optimal_predictions_say_what_the_posterior_says(task):
    corpus = load(SyntheticSettings(task=task, n_train=4, n_validation=0, n_test=30, longest=2.5))
    rows = corpus.indices("test")[[5, 0, 17]]
    made = Predictions(
        ids=tuple(corpus.utterances[i].id for i in rows),
        groups=("v",) * 3,
        split="test",
        label_set=corpus.label_set,
        targets=corpus.targets[rows],
        logits={c: np.zeros((3, 6), np.float32) for c in all_configurations(corpus.modalities)},
    )
    optimal = optimal_predictions(corpus, made)
    assert optimal is not None
    assert (optimal.ids, optimal.split, optimal.logits.keys()) == (made.ids, made.split, made.logits.keys())
    assert corpus.posteriors is not None
    for c in made.logits:
        np.testing.assert_allclose(optimal.probabilities(c), corpus.posteriors[str(c)][rows], rtol=1e-4, atol=2e-12)
    assert optimal_predictions(replace(corpus, posteriors=None), made) is None


# --- seeds


def row(value: float, **changes) -> Score:
    parts = {
        "model": "m", "dataset": "d", "split": "test", "condition": "configuration", "available": ("text",),
        "metric": "accuracy", "label": None, "ci_low": 0.1, "ci_high": 0.9, "n": 40, "seed": 0,
    }  # fmt: skip
    return Score(value=value, **(parts | changes))


def test_seeds_are_summarised_by_their_mean_and_the_deviation_over_n_minus_one():
    runs = [[row(v, seed=s), row(v / 2, seed=s, available=("audio",))] for s, v in enumerate((0.5, 0.6, 0.8))]
    text, audio = summarise_seeds(runs)
    assert text.value == pytest.approx(1.9 / 3)
    # deviations -.4/3, -.1/3, .5/3: squares sum to .42/9; divided by n - 1 = 2
    assert text.sd == pytest.approx(math.sqrt(0.42 / 9 / 2))
    assert audio.value == pytest.approx(1.9 / 6)
    assert audio.sd == pytest.approx(math.sqrt(0.42 / 9 / 2) / 2)
    assert (text.seed, text.ci_low, text.ci_high, text.n) == (None, None, None, 40)


def test_rows_of_another_place_are_never_mixed():
    kinds = [
        {},
        {"available": ("audio",)},
        {"metric": "f1", "label": "a"},
        {"metric": "f1", "label": "b"},
        {"condition": "mean", "available": None},
        {"condition": "mean_incomplete", "available": None},
    ]
    runs = [[row(i / 10 + s / 100, seed=s, **kind) for i, kind in enumerate(kinds)] for s in (0, 2)]
    assert [summary.value for summary in summarise_seeds(runs)] == pytest.approx([i / 10 + 0.01 for i in range(6)])


def test_one_seed_has_no_deviation():
    [summary] = summarise_seeds([[row(0.5)]])
    assert (summary.value, summary.sd) == (0.5, None)
