import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from emotiwave.dialogues import find_dialogues
from emotiwave.errors import TrainingError
from emotiwave.references import logistic_regression
from emotiwave.references.context_lstm import ContextLstmSettings, fit
from emotiwave.references.context_network import in_batches, states_in_context
from emotiwave.types import Configuration, Segment
from tests.made_references import KINDS, corpus_of, table_corpus, with_frames

TEXT = Configuration(("text",))
QUICK = {"hidden": 4, "epochs": 1}


def telling_neighbour(offset: int):
    """Dialogues of six in which the features of an utterance tell the label of a neighbour, and nothing of its own."""
    rng = np.random.default_rng(0)
    n_dialogues, n = 60, 6
    positive = rng.random((n_dialogues, n)) < 0.5
    shown = np.roll(positive, -offset, axis=1)
    features = {"text": np.where(shown, 1.0, -1.0).reshape(-1, 1) + rng.normal(0, 0.2, (n_dialogues * n, 1))}
    labels = ["positive" if value else "negative" for value in positive.ravel()]
    dialogues = [f"d{i // n}" for i in range(n_dialogues * n)]
    return table_corpus(features, labels, ["train"] * 45 * n + ["test"] * 15 * n, dialogues)


def accuracy(predictions, columns) -> float:
    right = predictions.logits[TEXT].argmax(axis=1) == predictions.targets.argmax(axis=1)
    return right.reshape(-1, 6)[:, columns].mean()


@pytest.mark.parametrize(("offset", "columns"), [(1, slice(1, None)), (-1, slice(None, -1))])
def test_neighbours_on_both_sides_are_used(offset, columns):
    corpus = telling_neighbour(offset)
    settings = ContextLstmSettings(hidden=16, dropout=0.0, epochs=12, batch_size=24, learning_rate=1e-2)
    assert accuracy(fit(corpus, settings, 0).predict(corpus, "test"), columns) > 0.95
    plain = logistic_regression.fit(corpus, logistic_regression.LogisticRegressionSettings(), 0)
    assert accuracy(plain.predict(corpus, "test"), columns) < 0.65
    alone = replace(corpus, utterances=tuple(replace(u, dialogue=None) for u in corpus.utterances))
    assert accuracy(fit(alone, ContextLstmSettings(**QUICK), 0).predict(alone, "test"), columns) < 0.65


def test_an_answer_depends_on_its_own_dialogue_only():
    corpus = corpus_of("categorical")
    first, *others = find_dialogues(corpus, "test")
    ids = [corpus.utterances[i].id for i in corpus.indices("test")]
    method = fit(corpus, ContextLstmSettings(**QUICK), 0)
    before = method.predict(corpus, "test")
    changed = corpus
    for modality in corpus.modalities:
        changed = with_frames(changed, modality, lambda name, values: values * 2 if name == ids[first[0]] else values)
    after = method.predict(changed, "test")
    complete = Configuration(corpus.modalities)
    moved = np.abs(after.logits[complete] - before.logits[complete]).max(axis=1)
    assert moved[first[:4]].min() > 1e-4  # the nearer, the more
    assert all(moved[rows].max() < 1e-7 for rows in others)


def test_how_dialogues_share_a_batch_changes_no_answer():
    corpus = corpus_of("categorical")
    ragged = tuple(replace(u, dialogue=f"{u.split}{math.isqrt(i)}") for i, u in enumerate(corpus.utterances))
    corpus = replace(corpus, utterances=ragged)
    assert len({len(rows) for rows in find_dialogues(corpus, "train")}) > 5
    method = fit(corpus, ContextLstmSettings(**QUICK), 0)
    together = method.predict(corpus, "train")
    alone = replace(method, settings=ContextLstmSettings(**QUICK, batch_size=1)).predict(corpus, "train")
    for configuration, logits in together.logits.items():
        np.testing.assert_allclose(logits, alone.logits[configuration], atol=1e-6)


def test_an_lstm_passes_over_what_the_mask_hides():
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 2, batch_first=True, bidirectional=True)
    vectors = torch.randn(3, 5, 3)
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]]).bool()
    states = states_in_context(lstm, vectors, mask)
    for row in range(2):
        expected, _ = lstm(vectors[row, mask[row]][None])
        torch.testing.assert_close(states[row, mask[row]], expected[0])
    assert states.isfinite().all()


def test_dialogues_keep_their_order_though_they_interleave():
    rows = [("a", "train"), (None, "test"), ("b", "test"), ("a", "test"), ("b", "test"), (None, "test"), ("u1", "test")]
    corpus = table_corpus(
        {"text": np.ones((7, 1))}, ["x", "y"] * 3 + ["x"], [split for _, split in rows], [name for name, _ in rows]
    )
    assert [list(found) for found in find_dialogues(corpus, "test")] == [[0], [1, 3], [2], [4], [5]]


def test_the_utterances_of_a_dialogue_come_by_time_where_it_is_known():
    corpus = table_corpus({"text": np.ones((6, 1))}, ["x", "y"] * 3, ["test"] * 6, ["a", "b", "a", "b", "a", "b"])

    def found(segments):
        timed = tuple(replace(u, segment=s) for u, s in zip(corpus.utterances, segments, strict=True))
        return [list(rows) for rows in find_dialogues(replace(corpus, utterances=timed), "test")]

    # the rows of a label file are in no order of time
    segments = [Segment(file, start, start + 1) for file, start in zip("ababab", (7, 1, 3, 2, 5, 3), strict=True)]
    assert found(segments) == [[2, 4, 0], [1, 3, 5]]
    # of clips in files of their own the times say nothing, and of some only, too little
    assert found([Segment(f"{i}.wav", s.start, s.end) for i, s in enumerate(segments)]) == [[0, 2, 4], [1, 3, 5]]
    assert found([None, *segments[1:]]) == [[0, 2, 4], [1, 3, 5]]


def test_batches_are_whole_dialogues():
    dialogues = [np.arange(n) for n in (3, 2, 5, 1, 1)]
    assert [[len(rows) for rows in batch] for batch in in_batches(dialogues, 4)] == [[3, 2], [5], [1, 1]]
    assert [[len(rows) for rows in batch] for batch in in_batches(dialogues, 1)] == [[3], [2], [5], [1], [1]]


def size_by_hand(sizes: list[int], hidden: int, n_classes: int) -> int:
    def lstm(n):
        return 2 * 4 * hidden * (n + hidden + 2)

    per_modality = sum(lstm(n) + 2 * hidden for n in sizes)
    head = 2 * hidden * hidden + hidden + hidden * n_classes + n_classes
    return per_modality + lstm(2 * hidden * len(sizes)) + head


def test_all_models_and_steps_are_counted():
    corpus = corpus_of("categorical")  # 6 dialogues of 10 training utterances; text 24, audio 16, vision 32 features
    one = fit(corpus, ContextLstmSettings(hidden=4, epochs=3, models="one", batch_size=25), 0)
    assert one.n_parameters == size_by_hand([24, 16, 32], 4, 6)
    assert one.n_steps == 3 * 2
    each = fit(corpus, ContextLstmSettings(**QUICK, batch_size=25), 0)
    sets = [[24], [16], [32], [24, 16], [24, 32], [16, 32], [24, 16, 32]]
    assert each.n_parameters == sum(size_by_hand(sizes, 4, 6) for sizes in sets)
    assert each.n_steps == 7 * 2


def test_modality_dropout_is_for_the_one_model():
    corpus = corpus_of("categorical")

    def logits(**settings):
        return fit(corpus, ContextLstmSettings(**QUICK, **settings), 0).predict(corpus, "test").logits[TEXT]

    assert (logits(models="one", modality_dropout=0.0) != logits(models="one", modality_dropout=0.5)).any()
    np.testing.assert_array_equal(logits(modality_dropout=0.0), logits(modality_dropout=0.5))


def test_modality_dropout_leaves_an_utterance_what_it_has_alone():
    rng = np.random.default_rng(0)
    has_text = rng.random((40, 1)) < 0.5
    features = {"text": np.where(has_text, rng.normal(size=(40, 2)), np.nan)}
    features["audio"] = np.where(has_text, np.nan, rng.normal(size=(40, 2)))
    corpus = table_corpus(features, ["x", "y"] * 20, ["train"] * 40, [f"d{i // 5}" for i in range(40)])

    def logits(modality_dropout):
        settings = ContextLstmSettings(**QUICK, models="one", dropout=0.0, modality_dropout=modality_dropout)
        return fit(corpus, settings, 0).predict(corpus, "train").logits[TEXT]

    np.testing.assert_array_equal(logits(0.0), logits(0.9))


def test_weights_of_classes_lift_the_rare_one():
    features = {"text": np.random.default_rng(0).normal(size=(60, 2))}
    corpus = table_corpus(features, (["rare"] + ["usual"] * 9) * 6, ["train"] * 60, [f"d{i // 6}" for i in range(60)])

    def rare(balanced):
        settings = ContextLstmSettings(hidden=4, epochs=8, learning_rate=1e-2, class_weights=balanced)
        return fit(corpus, settings, 0).predict(corpus, "train").probabilities(TEXT)[:, 0].mean()

    assert rare(True) > rare(False) + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_error_on_what_it_trains_on(kind):
    corpus = corpus_of(kind)

    def error(epochs):
        settings = ContextLstmSettings(hidden=16, models="one", epochs=epochs, learning_rate=1e-2, dropout=0.0)
        got = fit(corpus, settings, 0).predict(corpus, "train")
        return np.square(got.answers(Configuration(corpus.modalities)) - got.targets).mean()

    assert error(15) < 0.75 * error(1)


@pytest.mark.parametrize("learning_rate", [1e20, 1e30])
def test_a_training_that_diverges_says_so(learning_rate):
    corpus = corpus_of("continuous")
    settings = ContextLstmSettings(**QUICK, models="one", learning_rate=learning_rate)
    with pytest.raises(TrainingError, match=r"synthetic: context LSTM of .*; train with a lower learning rate"):
        fit(corpus, settings, 0).predict(corpus, "test")


@pytest.mark.parametrize(
    "given", [{"models": "two"}, {"modality_dropout": 1.0}, {"epochs": 0}, {"learning_rate": 1e31}]
)
def test_settings_that_mean_nothing_are_refused(given):
    with pytest.raises(ValidationError):
        ContextLstmSettings(**given)
