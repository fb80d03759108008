"""One vector per utterance and modality: the mean of its observed frames, standardised on the training utterances."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from emotiwave.batch import collate
from emotiwave.errors import DatasetError, DataWarning, FeatureError
from emotiwave.training.statistics import prior_logits
from emotiwave.types import Configuration, Corpus, LabelSet

FARTHEST = 1e6
"""Standard deviations at which values are cut: no measurement lies so far out, and arithmetic stays finite."""
UTTERANCES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class UtteranceVectors:
    """Vectors of the utterances of a split; both dictionaries are keyed by modality.

    ``values[m] (utterances, features)`` are standardised, and zero, the training mean, where ``present[m]
    (utterances,)`` is False.
    """

    values: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    n_non_finite: dict[str, int]


@dataclass(frozen=True, eq=False)
class UtteranceReader:
    """What a method keeps of its training utterances to read those of any split."""

    label_set: LabelSet
    sizes: Mapping[str, int]
    scalers: Mapping[str, StandardScaler]
    """Of the modalities that a training utterance has; what the others hold can tell a method nothing."""
    prior: NDArray[np.float64]
    """Logits ``(n_classes,)`` of the answer that looks at nothing."""

    def usable(self, configuration: Configuration) -> tuple[str, ...]:
        """List the modalities of a configuration that can be learned from, by name, whatever their order."""
        return tuple(sorted(set(configuration.modalities) & self.scalers.keys()))

    def read(self, corpus: Corpus, split: str) -> UtteranceVectors:
        """Read the utterances of a split.

        Raises:
            DatasetError: If the split is empty, or the corpus has other labels or features than that of training.
        """
        if corpus.label_set != self.label_set or corpus.sizes != self.sizes:
            raise DatasetError(
                f"{corpus.name}: has {_form(corpus.label_set, corpus.sizes)}; the method was fitted on "
                f"{_form(self.label_set, self.sizes)}"
            )
        means, n_non_finite = mean_frames(corpus, corpus.indices(split))
        values = {name: _standardise(scaler, means[name]) for name, scaler in self.scalers.items()}
        present = {name: np.isfinite(means[name][:, 0]) for name in self.scalers}
        return UtteranceVectors(values, present, n_non_finite)


def fit_reader(corpus: Corpus) -> UtteranceReader:
    """Take the scale of every feature, and the prior, from the training utterances.

    Raises:
        DatasetError: If there are none, or a class cannot be learned from them.
        FeatureError: If no modality has a finite frame in them.
    """
    train = corpus.indices("train")
    means, _ = mean_frames(corpus, train)
    scalers = {}
    for name, values in means.items():
        if np.isnan(values).all():
            message = f"{corpus.name}: {name}: no training utterance has it; the method goes without it"
            warnings.warn(message, DataWarning, stacklevel=3)
        else:
            scalers[name] = StandardScaler().fit(values)  # which leaves NaN out
    if not scalers:
        raise FeatureError(
            f"{corpus.name}: no training utterance has a finite frame in any modality; extract them anew"
        )
    return UtteranceReader(corpus.label_set, corpus.sizes, scalers, prior_logits(corpus, train))


def mean_frames(corpus: Corpus, indices: NDArray[np.int64]) -> tuple[dict[str, NDArray[np.float64]], dict[str, int]]:
    """Average the observed frames of utterances.

    Returns:
        Per modality the means ``(utterances, features)``, NaN where no frame is observed, and how many frames held
        NaN or infinity among other values.
    """
    means = {name: np.full((len(indices), size), np.nan) for name, size in corpus.sizes.items()}
    n_non_finite = dict.fromkeys(corpus.modalities, 0)
    by_length = np.argsort(corpus.lengths(indices), kind="stable")
    for start in range(0, len(indices), UTTERANCES_AT_ONCE):
        rows = by_length[start : start + UTTERANCES_AT_ONCE]
        batch = collate(corpus, indices[rows])
        for name, mask in batch.mask.items():
            n_observed = mask.sum(dim=1).numpy()
            total = batch.inputs[name].double().sum(dim=1).numpy()  # unobserved frames are zeros
            observed = n_observed > 0
            means[name][rows[observed]] = total[observed] / n_observed[observed, None]
            n_non_finite[name] += batch.n_non_finite[name]
    return means, n_non_finite


def _standardise(scaler: StandardScaler, means: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled = np.clip(np.asarray(scaler.transform(means)), -FARTHEST, FARTHEST)
    return np.where(np.isnan(scaled), 0.0, scaled).astype(np.float32)


def _form(label_set: LabelSet, sizes: Mapping[str, int]) -> str:
    features = ", ".join(f"{name} ({size})" for name, size in sorted(sizes.items()))
    return f"{label_set.kind} labels {', '.join(label_set.names)} and features {features}"
