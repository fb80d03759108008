"""Who: what each modality contributed to the answers of a split, exactly, from the logits of every configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.explanation.shapley import attributable_scores, interactions, shapley_values, smallest_flip
from emotiwave.metrics.counts import decide
from emotiwave.types import Configuration, Predictions, all_configurations

Array = NDArray[np.float64]
SCALES = {"categorical": "log_odds", "distribution": "log_odds", "multilabel": "logit", "continuous": "value"}
"""What contributions add up to, by kind of labels."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """What each modality added, per utterance and class; ``base`` and all contributions make the full score.

    ``base (classes,)`` is the score of nothing, ``values[m] (utterances, classes)``, and ``pairs[m, n]`` how much two
    of them add together beyond what each adds alone (below 0: they tell the same).
    """

    base: Array
    values: Mapping[str, Array]
    pairs: Mapping[tuple[str, str], Array]

    @property
    def total(self) -> Array:
        """The full score ``(utterances, classes)``."""
        return self.base + sum(self.values.values(), np.zeros(()))


@dataclass(frozen=True, eq=False)
class ModalityExplanation:
    """Who contributed what to the answers of a split, on the scale that adds up and on probabilities.

    ``flips`` names for each utterance the smallest set of modalities whose absence changes the decision, None where
    even nothing at all decides the same. ``decisions[subset] (utterances, classes)`` are those of every subset, and
    ``each_answer`` its probabilities, or values of continuous labels.
    """

    predictions: Predictions
    modalities: tuple[str, ...]
    scale: str
    on_scale: Contributions
    on_probability: Contributions | None
    decisions: Mapping[frozenset[str], NDArray[np.bool_]]
    each_answer: Mapping[frozenset[str], Array]
    flips: tuple[frozenset[str] | None, ...]

    def right(self, subset: frozenset[str]) -> NDArray[np.bool_]:
        """Tell whose decision ``(utterances,)`` with a subset of the modalities is the truth."""
        holds = self.predictions.label_set.holds(self.predictions.targets)
        return (self.decisions[subset] == holds).all(axis=1)

    @property
    def sureness(self) -> Array:
        """How probable the decision is ``(utterances,)``, of several classes all of it; how far continuous values are.

        Of continuous labels it is the largest distance from the truth in shares of the range.
        """
        predictions = self.predictions
        answers = predictions.answers(Configuration(self.modalities))
        if predictions.label_set.kind == "continuous":
            low, high = predictions.label_set.bounds
            return (np.abs(answers - predictions.targets) / (high - low)).max(axis=1)
        decided = self.decisions[frozenset(self.modalities)]
        if predictions.label_set.is_exclusive:
            return answers[decided]
        return np.where(decided, answers, 1 - answers).prod(axis=1)


def explain_modalities(
    predictions: Predictions,
    prior_logits: Array,
    thresholds: Mapping[Configuration, Array] | None = None,
    present: NDArray[np.bool_] | None = None,
) -> ModalityExplanation:
    """Share answers among modalities; one that an utterance lacks adds exactly nothing.

    Args:
        predictions: Of every configuration.
        prior_logits: The answer to nothing ``(classes,)``.
        thresholds: Of multilabel decisions by configuration; 0.5 by default.
        present: Whether each utterance has a modality ``(utterances, modalities)``, which only then may be left out for
            another decision; all of them by default. Modalities are those of the largest configuration, in its order.

    Raises:
        KeyError: If a configuration was not predicted.
    """
    labels, n = predictions.label_set, len(predictions.ids)
    modalities = max(predictions.logits, key=lambda one: len(one.modalities)).modalities
    nothing = np.tile(np.asarray(prior_logits, np.float32), (n, 1))
    known = replace(predictions, logits={**predictions.logits, Configuration(()): nothing})
    by_subset = {frozenset(one.modalities): one for one in (Configuration(()), *all_configurations(modalities))}
    scores = {
        some: attributable_scores(known.logits[one].astype(np.float64), labels.kind) for some, one in by_subset.items()
    }
    answers = {some: known.answers(one) for some, one in by_subset.items()}
    tuned = {frozenset(one.modalities): of for one, of in (thresholds or {}).items()}
    decisions = {some: decide(answers[some], labels, tuned.get(some)) for some in by_subset}
    there = [frozenset(modalities)] * n
    if present is not None:
        there = [frozenset(name for name, is_there in zip(modalities, row, strict=True) if is_there) for row in present]
    flips = tuple(_flip(decisions, row, of) for row, of in enumerate(there))
    return ModalityExplanation(
        predictions,
        modalities,
        SCALES[labels.kind],
        _share(scores, modalities),
        None if labels.kind == "continuous" else _share(answers, modalities),
        decisions,
        answers,
        flips,
    )


def _flip(
    decisions: Mapping[frozenset[str], NDArray[np.bool_]], row: int, there: frozenset[str]
) -> frozenset[str] | None:
    """Of the modalities that are there the smallest set whose absence changes the decision on an utterance."""
    absent = max(decisions, key=len) - there
    return smallest_flip(
        {some - absent: tuple(rows[row].tolist()) for some, rows in decisions.items() if absent <= some}
    )


def _share(scores: Mapping[frozenset[str], Array], modalities: Sequence[str]) -> Contributions:
    return Contributions(scores[frozenset()][0], shapley_values(scores, modalities), interactions(scores, modalities))
