import os
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emotiwave.datasets.mosi import MosiSettings, load
from emotiwave.errors import DataWarning
from emotiwave.references.logistic_regression import LEAST, LogisticRegressionSettings, fit
from emotiwave.types import Configuration, LabelSet, all_configurations
from tests.made_references import KINDS, corpus_of, relabelled, table_corpus

RNG = np.random.default_rng(5)
N = 80
FEATURES = {"text": RNG.normal(3, 2, (N, 4)), "audio": RNG.normal(-1, 5, (N, 3))}
LABELS = [("anger", "fear", "neutral")[i] for i in RNG.choice(3, size=N, p=[0.6, 0.3, 0.1])]
SPLITS = ["train"] * 60 + ["test"] * 20
BOTH = Configuration(("text", "audio"))


def complete_corpus():
    return table_corpus(FEATURES, LABELS, SPLITS, [None] * N)


def standardised(names=("audio", "text")) -> np.ndarray:
    joined = np.concatenate([FEATURES[name] for name in names], axis=1)
    return (joined - joined[:60].mean(axis=0)) / joined[:60].std(axis=0)


@pytest.mark.parametrize("balanced", [False, True])
def test_classes_are_those_of_scikit_learn(balanced):
    corpus = complete_corpus()
    method = fit(corpus, LogisticRegressionSettings(shrinkage=0.3, class_weights=balanced), 0)
    got = method.predict(corpus, "test")
    weight = "balanced" if balanced else None
    for configuration in all_configurations(corpus.modalities):
        joined = np.concatenate([FEATURES[name] for name in configuration.modalities], axis=1)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight=weight, tol=1e-8))
        expected = model.fit(joined[:60], LABELS[:60]).predict_proba(joined[60:])
        np.testing.assert_allclose(got.probabilities(configuration), expected, atol=2e-3)
    # 3 classes of 4, 3 and 7 coefficients and an intercept
    assert method.n_parameters == 3 * (5 + 4 + 8)
    assert method.n_steps is None


def test_several_classes_may_hold():
    truth = RNG.random((N, 2)) < [0.3, 0.6]
    names = ("anger", "fear")
    labels = [tuple(n for n, holds in zip(names, row, strict=True) if holds) for row in truth]
    corpus = complete_corpus()
    utterances = tuple(replace(u, label=label) for u, label in zip(corpus.utterances, labels, strict=True))
    corpus = replace(corpus, label_set=LabelSet("multilabel", names), utterances=utterances)
    got = fit(corpus, LogisticRegressionSettings(shrinkage=0.3), 0).predict(corpus, "test")
    features = standardised()
    for k in range(2):
        model = LogisticRegression(C=0.3, tol=1e-8).fit(features[:60], truth[:60, k])
        np.testing.assert_allclose(got.logits[BOTH][:, k], model.decision_function(features[60:]), atol=5e-3)


@pytest.mark.parametrize("balanced", [False, True])
def test_shares_of_raters_are_fitted_to_the_minimum_of_their_cross_entropy(balanced):
    shares = RNG.dirichlet([1.0, 0.5, 0.3], size=N)
    shares[0] = [1, 0, 0]
    corpus = relabelled(complete_corpus(), LabelSet("distribution", ("anger", "fear", "neutral")), shares)
    settings = LogisticRegressionSettings(shrinkage=0.3, class_weights=balanced)
    method = fit(corpus, settings, 0)
    (model,) = method.models[frozenset(BOTH.modalities)]
    features = standardised()[:60]
    weights = 1 / (3 * shares[:60].mean(axis=0)) if balanced else np.ones(3)
    weighted = shares[:60] * weights
    p = softmax(features @ model.coef_.T + model.intercept_, axis=1)
    residual = p * weighted.sum(axis=1, keepdims=True) - weighted
    # the gradient of C * loss + |coef|^2 / 2 vanishes there
    np.testing.assert_allclose(0.3 * residual.T @ features + model.coef_, 0, atol=0.01)
    np.testing.assert_allclose(0.3 * residual.sum(axis=0), 0, atol=0.01)
    assert np.abs(model.coef_).max() > 0.1
    got = method.predict(corpus, "test").probabilities(BOTH)
    expected = softmax(standardised()[60:] @ model.coef_.T + model.intercept_, axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_values_are_those_of_ridge_regression():
    values = np.clip(standardised() @ RNG.normal(0, 0.4, (7, 2)) + [0.5, 0.0], -3, 3)
    corpus = relabelled(complete_corpus(), LabelSet("continuous", ("a", "b"), ((-3.0, 3.0), (-3.0, 3.0))), values)
    method = fit(corpus, LogisticRegressionSettings(shrinkage=0.02), 0)
    features, mean = standardised(), values[:60].mean(axis=0)
    coefficients = np.linalg.solve(
        features[:60].T @ features[:60] + 50 * np.eye(7), features[:60].T @ (values[:60] - mean)
    )
    got = method.predict(corpus, "test").logits[BOTH]
    np.testing.assert_allclose(got, mean + features[60:] @ coefficients, atol=1e-5)
    assert method.n_parameters == 2 * (5 + 4 + 8)


def test_one_value_is_answered_per_utterance():
    values = RNG.uniform(-3, 3, (N, 1))
    corpus = relabelled(complete_corpus(), LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),)), values)
    got = fit(corpus, LogisticRegressionSettings(), 0).predict(corpus, "test").logits[BOTH]
    assert got.shape == (20, 1)
    assert len(np.unique(got)) == 20


def test_what_is_absent_gets_the_training_mean():
    features = {name: values.copy() for name, values in FEATURES.items()}
    features["text"][::4] = np.nan
    features["audio"][1::4] = np.nan
    corpus = table_corpus(features, LABELS, SPLITS, [None] * N)
    got = fit(corpus, LogisticRegressionSettings(shrinkage=0.3), 0).predict(corpus, "test")
    joined = np.concatenate([features["audio"], features["text"]], axis=1)
    filled = (joined - np.nanmean(joined[:60], axis=0)) / np.nanstd(joined[:60], axis=0)
    filled[np.isnan(filled)] = 0
    expected = LogisticRegression(C=0.3, tol=1e-8).fit(filled[:60], LABELS[:60]).predict_proba(filled[60:])
    np.testing.assert_allclose(got.probabilities(BOTH), expected, atol=2e-3)
    # alone, text is learned from the utterances that have it
    has_text = ~np.isnan(features["text"][:60, 0])
    text = filled[:, 3:]
    labels = np.array(LABELS[:60])[has_text]
    alone = LogisticRegression(C=0.3, tol=1e-8).fit(text[:60][has_text], labels)
    present = np.arange(20) % 4 != 0
    np.testing.assert_allclose(
        got.probabilities(Configuration(("text",)))[present], alone.predict_proba(text[60:][present]), atol=2e-3
    )


def test_classes_that_no_utterance_with_a_modality_has_are_answered_all_the_same():
    features = {name: values.copy() for name, values in FEATURES.items()}
    features["audio"][[label == "neutral" for label in LABELS]] = np.nan
    features["text"][[label != "neutral" for label in LABELS]] = np.nan
    corpus = table_corpus(features, LABELS, SPLITS, [None] * N)
    got = fit(corpus, LogisticRegressionSettings(), 0).predict(corpus, "test")
    prior = np.log(np.unique(LABELS[:60], return_counts=True)[1] / 60)
    audio = got.logits[Configuration(("audio",))]
    neutral = np.array(LABELS[60:]) == "neutral"
    np.testing.assert_allclose(audio[~neutral, 2], np.log(LEAST), rtol=1e-6)
    np.testing.assert_allclose(got.logits[Configuration(("text",))], np.tile(prior, (20, 1)), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_modalities_changes_nothing(kind):
    corpus = corpus_of(kind)
    turned = replace(corpus, sequences=dict(reversed(list(corpus.sequences.items()))))
    one, other = (fit(c, LogisticRegressionSettings(), 0) for c in (corpus, turned))
    got = {frozenset(c.modalities): logits for c, logits in other.predict(turned, "test").logits.items()}
    for predictions in (one.predict(corpus, "test"), other.predict(corpus, "test")):
        for configuration, logits in predictions.logits.items():
            np.testing.assert_array_equal(logits, got[frozenset(configuration.modalities)])


def test_a_solver_that_gives_up_is_warned_of():
    with pytest.warns(DataWarning, match=r"table: logistic regression of .* did not settle \(lbfgs"):
        fit(complete_corpus(), LogisticRegressionSettings(shrinkage=1.0, max_iter=1), 0)


@pytest.mark.parametrize("given", [{"shrinkage": 0}, {"max_iter": 0}, {"C": 1.0}])
def test_settings_that_mean_nothing_are_refused(given):
    with pytest.raises(ValidationError):
        LogisticRegressionSettings(**given)


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA is not set")
def test_mosi_is_answered_as_scikit_learn_does():
    corpus = load(MosiSettings())
    train, test = corpus.indices("train"), corpus.indices("test")
    labels = corpus.targets.argmax(axis=1)
    got = fit(corpus, LogisticRegressionSettings(), 0).predict(corpus, "test")
    for configuration in all_configurations(corpus.modalities):
        joined = np.concatenate([corpus.sequences[name].values for name in configuration.modalities], axis=1)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000)).fit(
            joined[train], labels[train]
        )
        np.testing.assert_array_equal(got.logits[configuration].argmax(axis=1), model.predict(joined[test]))
    hits = [(logits.argmax(axis=1) == labels[test]).sum() for logits in got.logits.values()]
    assert hits == [569, 419, 387, 565, 583, 412, 577]
