from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emotiwave.errors import ConfigError, DatasetError, DataWarning, FeatureError
from emotiwave.inference import predict
from emotiwave.models import create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.references import REFERENCES, find_reference
from emotiwave.references.utterance_vectors import fit_reader, mean_frames
from emotiwave.training.statistics import prior_logits
from emotiwave.types import Configuration, Corpus, Predictions, all_configurations
from tests.made_references import KINDS, corpus_of, table_corpus, with_frames

QUICK = {"context_lstm": {"hidden": 4, "epochs": 1}}
ALL = sorted(REFERENCES)
LEARNED = ["context_lstm", "logistic_regression"]
WAYS = [(name, {}) for name in ALL] + [("context_lstm", {"models": "one"})]


def fitted(name: str, corpus: Corpus, seed: int = 0, **settings):
    reference = find_reference(name)
    return reference.fit(corpus, reference.settings(**QUICK.get(name, {}), **settings), seed)


def answer(name: str, corpus: Corpus, split: str = "test", **settings) -> Predictions:
    return fitted(name, corpus, **settings).predict(corpus, split)


def assert_same(one: Predictions, other: Predictions) -> None:
    assert one.logits.keys() == other.logits.keys()
    for configuration, logits in one.logits.items():
        np.testing.assert_array_equal(logits, other.logits[configuration])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "settings"), WAYS)
def test_every_configuration_is_answered_for_the_utterances_of_the_split(name, settings, kind):
    corpus = corpus_of(kind)
    model = create_model(ModelSpec(ModelSettings(name="late"), corpus.sizes, corpus.label_set))
    expected = predict(model, corpus, "test")
    got = answer(name, corpus, **settings)
    assert list(got.logits) == list(expected.logits)
    assert (got.ids, got.groups, got.split, got.label_set) == (
        expected.ids,
        expected.groups,
        expected.split,
        expected.label_set,
    )
    np.testing.assert_array_equal(got.targets, expected.targets)
    for logits in got.logits.values():
        assert logits.dtype == np.float32
        assert logits.shape == expected.targets.shape
        assert np.isfinite(logits).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "settings"), [way for way in WAYS if way[0] in LEARNED])
def test_an_utterance_that_lacks_everything_gets_the_prior(name, settings, kind):
    corpus = corpus_of(kind)
    got = answer(name, corpus, **settings)
    prior = prior_logits(corpus, corpus.indices("train")).astype(np.float32)
    for configuration in all_configurations(corpus.modalities):
        lacks = np.array([not any(u in corpus.sequences[m] for m in configuration.modalities) for u in got.ids])
        is_prior = (got.logits[configuration] == prior).all(axis=1)
        np.testing.assert_array_equal(is_prior, lacks)
        assert len(configuration.modalities) > 1 or 0 < lacks.sum() < len(lacks)


@pytest.mark.parametrize(("name", "settings"), [way for way in WAYS if way[0] in LEARNED])
def test_what_a_configuration_lacks_changes_no_answer(name, settings):
    corpus = corpus_of("categorical")
    method = fitted(name, corpus, **settings)
    before = method.predict(corpus, "test")
    after = method.predict(with_frames(corpus, "audio", lambda _, values: values - 3), "test")
    for configuration, logits in before.logits.items():
        same = (logits == after.logits[configuration]).all()
        assert same != ("audio" in configuration), configuration


@pytest.mark.parametrize(("name", "settings"), WAYS)
def test_labels_that_are_scored_are_not_looked_at(name, settings):
    corpus = corpus_of("categorical")
    rng = np.random.default_rng(1)
    names = corpus.label_set.names
    other = tuple(u if u.split == "train" else replace(u, label=str(rng.choice(names))) for u in corpus.utterances)
    assert_same(answer(name, corpus, **settings), answer(name, replace(corpus, utterances=other), **settings))


@pytest.mark.parametrize("name", LEARNED)
def test_only_training_utterances_are_looked_at(name):
    corpus = changed = corpus_of("categorical")
    train = {u.id for u in corpus.utterances if u.split == "train"}
    for modality in corpus.modalities:
        changed = with_frames(changed, modality, lambda name, values: values if name in train else values * 1e3)
    assert_same(fitted(name, changed).predict(corpus, "test"), answer(name, corpus))


@pytest.mark.parametrize(("name", "settings"), WAYS)
def test_a_seed_repeats_to_the_bit_and_leaves_the_callers_state_alone(name, settings):
    corpus = corpus_of("categorical")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = answer(name, corpus, **settings)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert_same(first, answer(name, corpus, **settings))
    other = answer(name, corpus, seed=1, **settings)
    complete = Configuration(corpus.modalities)
    assert (first.logits[complete] == other.logits[complete]).all() != find_reference(name).seeded


@pytest.mark.parametrize("name", LEARNED)
def test_spoilt_frames_and_constant_features_do_no_harm(name):
    corpus = corpus_of("categorical")
    first_of = {split: corpus.utterances[corpus.indices(split)[0]].id for split in ("train", "test")}

    def spoil(utterance, values):
        values[:, 0] = 7.0
        values[:, 1] = 3e38 if utterance == first_of["test"] else values[:, 1]
        values[-1, 2] = np.inf if utterance in first_of.values() else values[-1, 2]
        values[-2] = np.nan
        return values

    for modality in corpus.modalities:
        corpus = with_frames(corpus, modality, spoil)
    got = answer(name, corpus)
    assert all(np.isfinite(logits).all() for logits in got.logits.values())
    expected = {m: int(first_of["test"] in corpus.sequences[m]) for m in corpus.modalities}
    assert got.n_non_finite == expected
    assert sum(expected.values()) > 0


@pytest.mark.parametrize("name", LEARNED)
def test_a_modality_that_no_training_utterance_has_is_gone_without(name):
    corpus = corpus_of("categorical")
    train = {u.id for u in corpus.utterances if u.split == "train"}
    corpus = with_frames(corpus, "audio", lambda name, values: values * np.nan if name in train else values)
    with pytest.warns(DataWarning, match="synthetic: audio: no training utterance has it"):
        method = fitted(name, corpus)
    got = method.predict(corpus, "test")
    prior = prior_logits(corpus, corpus.indices("train")).astype(np.float32)
    assert (got.logits[Configuration(("audio",))] == prior).all()
    np.testing.assert_array_equal(got.logits[Configuration(("text", "audio"))], got.logits[Configuration(("text",))])


@pytest.mark.parametrize("name", LEARNED)
def test_what_cannot_be_learned_from_is_refused(name):
    corpus = corpus_of("categorical")
    with pytest.raises(DatasetError, match="split 'train' is empty"):
        fitted(name, replace(corpus, utterances=tuple(replace(u, split="test") for u in corpus.utterances)))
    label = corpus.label_set.names[0]
    with pytest.raises(DatasetError, match="holds in no training utterance"):
        fitted(name, replace(corpus, utterances=tuple(replace(u, label=label) for u in corpus.utterances)))
    for modality in corpus.modalities:
        corpus = with_frames(corpus, modality, lambda _, values: values * np.nan)
    with (
        pytest.warns(DataWarning, match="no training utterance has it"),
        pytest.raises(FeatureError, match="no training utterance has a finite frame in any modality"),
    ):
        fitted(name, corpus)


@pytest.mark.parametrize("name", LEARNED)
def test_another_corpus_or_split_is_refused(name):
    corpus = corpus_of("categorical")
    method = fitted(name, corpus)
    with pytest.raises(DatasetError, match="split 'dev' is empty"):
        method.predict(corpus, "dev")
    with pytest.raises(DatasetError, match=r"multilabel labels .* fitted on categorical labels"):
        method.predict(corpus_of("multilabel"), "test")
    fewer = {name: sequence for name, sequence in corpus.sequences.items() if name != "text"}
    kept = {name for sequence in fewer.values() for name in sequence.ids}
    sparse = replace(corpus, utterances=tuple(u for u in corpus.utterances if u.id in kept), sequences=fewer)
    with pytest.raises(DatasetError, match=r"features audio \(16\), vision \(32\); the method was fitted on .*text"):
        method.predict(sparse, "test")


def test_bayes_says_what_the_corpus_knows():
    corpus = corpus_of("categorical")
    method = fitted("bayes_optimal", corpus)
    assert (method.n_parameters, method.n_steps) == (0, None)
    got = method.predict(corpus, "test")
    for configuration in got.logits:
        expected = corpus.posteriors[str(configuration)][corpus.indices("test")]
        np.testing.assert_allclose(got.probabilities(configuration), expected, atol=1e-6)


def test_bayes_is_refused_where_the_truth_is_not_known():
    corpus = corpus_of("categorical")
    with pytest.raises(ConfigError, match=r"synthetic: has no posteriors, so"):
        fitted("bayes_optimal", replace(corpus, posteriors=None))
    known = {name: table for name, table in corpus.posteriors.items() if name != "text+audio"}
    with pytest.raises(ConfigError, match=r"has no posteriors for text\+audio, so"):
        fitted("bayes_optimal", corpus).predict(replace(corpus, posteriors=known), "test")


def test_an_unknown_name_or_key_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown reference 'context_lstn'; did you mean 'context_lstm'"):
        find_reference("context_lstn")
    for reference in REFERENCES.values():
        with pytest.raises(ValidationError):
            reference.settings(unknown_key=1)
        assert "\n" not in reference.about + reference.mode


def test_mean_frames_are_those_of_the_observed_frames():
    features = {"text": np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]]), "audio": np.ones((3, 1))}
    corpus = table_corpus(features, ["a", "b", "a"], ["train"] * 3, [None] * 3)
    frames = {"u0": [[1, 2], [3, 8], [np.inf, 0]], "u1": [[np.nan, np.nan]]}
    corpus = with_frames(corpus, "text", lambda name, _: np.array(frames[name], dtype=np.float32))
    means, n_non_finite = mean_frames(corpus, np.arange(3))
    np.testing.assert_array_equal(means["text"], [[2, 5], [np.nan, np.nan], [np.nan, np.nan]])
    assert n_non_finite == {"text": 1, "audio": 0}


def test_vectors_are_standardised_on_training_utterances():
    features = {"text": np.array([[1.0], [3.0], [np.nan], [6.0]]), "audio": np.full((4, 1), 5.0)}
    corpus = table_corpus(features, ["a", "b", "a", "b"], ["train", "train", "train", "test"], [None] * 4)
    reader = fit_reader(corpus)
    train, test = reader.read(corpus, "train"), reader.read(corpus, "test")
    np.testing.assert_allclose(train.values["text"][:, 0], [-1, 1, 0])
    np.testing.assert_array_equal(train.present["text"], [True, True, False])
    np.testing.assert_allclose(test.values["text"], [[4]])
    np.testing.assert_array_equal(test.values["audio"], [[0]])
