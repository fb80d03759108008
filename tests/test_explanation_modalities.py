"""Who: contributions of modalities, what they do to each other, what flips an answer, and what it all comes to."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from emotiwave.explanation.modalities import explain_modalities
from emotiwave.explanation.overview import overview
from emotiwave.explanation.shapley import interactions, smallest_flip
from emotiwave.inference import predict
from emotiwave.models import create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.types import Configuration, LabelSet, Predictions, all_configurations
from tests.made import LABEL_SETS, small_corpus
from tests.test_shapley import PLAYERS, random_game, subsets

LABELS = LABEL_SETS["categorical"]
NAMES = ("audio", "text")


def by_dividends(game: Mapping[frozenset[str], np.ndarray], pair: tuple[str, str]) -> np.ndarray:
    """What a pair adds: dividends (Harsanyi, 1963) of the sets that hold it, over the size of each less one."""
    total = np.zeros_like(next(iter(game.values())))
    for some in game:
        if set(pair) <= some:
            inner = [frozenset(c) for size in range(len(some) + 1) for c in itertools.combinations(sorted(some), size)]
            dividend = sum((-1) ** (len(some) - len(one)) * game[one] for one in inner)
            total = total + dividend / (len(some) - 1)
    return total


@pytest.mark.parametrize("n_players", [2, 3, 4])
def test_interactions_are_shares_of_dividends(n_players: int) -> None:
    players = PLAYERS[:n_players]
    game = random_game(players)
    found = interactions(game, players)
    assert set(found) == set(itertools.combinations(sorted(players), 2))
    for pair, values in found.items():
        np.testing.assert_allclose(values, by_dividends(game, pair), atol=1e-12)


def test_what_adds_up_does_not_interact_and_what_is_the_same_is_redundant() -> None:
    additive = {some: np.array(sum({"a": 1.0, "b": -2.0, "c": 0.5}[name] for name in some)) for some in subsets("abc")}
    assert all(value == pytest.approx(0) for value in interactions(additive, "abc").values())
    same = {some: np.array(float(bool(some))) for some in subsets("ab")}  # either tells all
    assert float(interactions(same, "ab")["a", "b"]) == -1
    assert interactions({some: np.array(1.0) for some in subsets("a")}, "a") == {}


def test_the_smallest_flip_is_the_smallest() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        decisions = {some: int(rng.integers(3)) for some in subsets("abc")}
        everything = frozenset("abc")
        flips = [len(some) for some in subsets("abc") if decisions[everything - some] != decisions[everything]]
        found = smallest_flip(decisions)
        assert (found is None) == (not flips)
        if found is not None:
            assert (len(found), decisions[everything - found] != decisions[everything]) == (min(flips), True)


def predictions(
    logits: Mapping[str, object], labels: LabelSet = LABELS, targets: np.ndarray | None = None
) -> Predictions:
    """Of as many utterances as there are rows of logits, each configuration of audio and text."""
    found = {c: np.array(logits[str(c)], np.float32) for c in all_configurations(NAMES)}
    n, n_classes = next(iter(found.values())).shape
    ids = tuple(f"u{k}" for k in range(n))
    targets = np.eye(n_classes, dtype=np.float32)[[0] * n] if targets is None else targets
    return Predictions(ids, ids, "test", labels, targets, found)


PRIOR = np.array([0.5, 0.0, -0.5])


def test_two_that_say_the_same_share_the_credit_and_one_that_says_nothing_has_none() -> None:
    answer = [[2.0, -1.0, 0.0]]
    same = explain_modalities(predictions({"audio": answer, "text": answer, "audio+text": answer}), PRIOR)
    np.testing.assert_allclose(same.on_scale.values["audio"], same.on_scale.values["text"])
    for values in same.on_scale.pairs.values():
        np.testing.assert_allclose(values, -2 * same.on_scale.values["audio"])
    one = explain_modalities(predictions({"audio": [PRIOR], "text": answer, "audio+text": answer}), PRIOR)
    assert (one.on_scale.values["audio"] == 0).all()
    assert one.flips == (None,)  # the class is the likeliest of nothing too


@pytest.mark.parametrize("kind", list(LABEL_SETS))
def test_contributions_add_up_for_every_kind_of_labels(kind: str) -> None:
    labels, rng = LABEL_SETS[kind], np.random.default_rng(1)
    n_classes = len(labels.names)
    label = {"categorical": "fear", "multilabel": ("fear",), "distribution": (0.5, 0.5, 0.0), "continuous": (1.0, 1.0)}
    targets = np.stack([labels.encode(label[kind])] * 8)
    logits = {str(c): 3 * rng.standard_normal((8, n_classes)) for c in all_configurations(NAMES)}
    prior = rng.standard_normal(n_classes)
    found = explain_modalities(predictions(logits, labels, targets), prior)
    full = np.float32(logits["audio+text"]).astype(float)
    if labels.is_exclusive:
        answers = softmax(full, axis=1)
        np.testing.assert_allclose(found.on_scale.total, logit(answers), atol=1e-5)
        np.testing.assert_allclose(found.on_scale.base, logit(softmax(np.float32(prior))), atol=1e-5)
    else:
        answers = expit(full)
        np.testing.assert_allclose(found.on_scale.total, full, atol=1e-5)
    assert found.scale == {"multilabel": "logit", "continuous": "value"}.get(kind, "log_odds")
    if kind == "continuous":
        assert found.on_probability is None
    else:
        np.testing.assert_allclose(found.on_probability.total, answers, atol=1e-6)


@pytest.mark.parametrize("name", ["evidence", "bottleneck", "late"])
def test_what_an_utterance_lacks_adds_exactly_nothing(name: str) -> None:
    corpus = small_corpus(missing=0.5)
    model = create_model(ModelSpec(ModelSettings(name=name), corpus.sizes, corpus.label_set)).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    found = explain_modalities(predict(model, corpus, "test"), model.prior_logits.double().numpy())
    lacking = 0
    for modality in corpus.modalities:
        absent = np.array([one not in corpus.sequences[modality] for one in found.predictions.ids])
        lacking += absent.sum()
        assert (found.on_scale.values[modality][absent] == 0).all()
        assert (found.on_scale.values[modality][~absent] != 0).any(axis=1).all()
    assert lacking > 5


def test_a_split_is_summed_up_as_by_hand() -> None:
    a, b, c = [4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]
    logits = {
        "audio": [a, b, a, b, a],
        "text": [b, b, c, c, PRIOR],
        "audio+text": [a, b, c, a, a],
    }
    targets = np.eye(3, dtype=np.float32)[[0, 1, 0, 0, 0]]  # the third: audio alone is right; the fourth: only both
    found = explain_modalities(predictions(logits, targets=targets), PRIOR)
    present = np.array([[True, True]] * 4 + [[True, False]])
    summary = overview(found, present)
    assert (summary.n, summary.n_right, summary.n_disagree) == (5, 4, 3)
    assert summary.n_decided == {"anger": 3, "fear": 1, "neutral": 1}
    assert (summary.worst, summary.lost, summary.won) == (("u2",), ("u2",), ("u3",))
    assert summary.disagreement["audio"].n == summary.disagreement["text"].n == 3
    assert summary.disagreement["audio"].right == pytest.approx(2 / 3)
    assert summary.disagreement["text"].right == 0
    assert summary.disagreement["text"].fused_right == pytest.approx(2 / 3)
    mean = found.on_scale.values["text"][[0, 3, 4], 0].mean()
    assert summary.drives["anger"]["text"] == pytest.approx(mean)
    # nothing at all is anger: u0 and u3 change without audio, u1 without both, u2 without text, u4 never
    assert found.flips == ({"audio"}, {"audio", "text"}, {"text"}, {"audio"}, None)
    assert summary.n_flips == {0: 1, 1: 3, 2: 1}
    one = explain_modalities(predictions({key: [a] for key in logits}, targets=targets[:1]), PRIOR)
    never = overview(one, present[:1])
    assert list(never.drives) == ["anger"]
    assert never.n_decided["fear"] == 0
    assert Configuration(()) not in found.predictions.logits


def test_thresholds_of_another_configuration_flip_nothing_by_what_is_absent() -> None:
    labels = LABEL_SETS["multilabel"]
    same = {str(c): [[1.0, -1.0]] for c in all_configurations(NAMES)}
    predicted = predictions(same, labels, np.array([[1.0, 0.0]], np.float32))
    tuned = {Configuration(("text",)): np.array([0.9, 0.5])}
    by_threshold = explain_modalities(predicted, np.array([1.0, -1.0]), tuned)
    assert by_threshold.flips == (frozenset({"audio"}),)  # its answer is the same, and another threshold decides
    lacking = explain_modalities(predicted, np.array([1.0, -1.0]), tuned, np.array([[False, True]]))
    assert lacking.flips == (None,)
    other_order = {Configuration(("text", "audio")): np.array([0.9, 0.5])}
    decided = explain_modalities(predicted, np.array([1.0, -1.0]), other_order).decisions
    assert decided[frozenset(NAMES)].tolist() == [[False, False]]
    nothing = explain_modalities(predictions({key: [[-1.0, -1.0]] for key in same}, labels), PRIOR[:2] - 5)
    empty = overview(nothing, np.ones((1, 2), bool))
    assert empty.pairs == {}
