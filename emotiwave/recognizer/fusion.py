"""Experts put together: evidence adds up, less what modalities have in common; what is absent adds exactly nothing.

With the evidence ``e`` of a modality, its log-posterior less the log of how common classes were in its training, the
answer is the softmax of ``log prior + sum of g e``, where ``g = r / (1 + overlap * (sum of the other r))`` and ``r`` is
what the modality's evidence is worth, 0 if it is absent. For evidence that is normal and equally correlated between
modalities, ``1 / (1 + (M - 1) * overlap)`` is the best weight of M of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.analysis import Contributions, Explanation
from emotiwave.explanation.shapley import interactions, shapley_values, smallest_flip
from emotiwave.probabilities import log_softmax

OVERLAP = 0.22
"""Fitted on what some raters heard and others saw of CREMA-D's clips (`results/fusion.json`), so of voice and face. The
words tell nothing there; that they have as much in common with the others is assumed."""
RELIABILITY = {"text": 0.44, "audio": 0.44, "vision": 0.44}
"""What the evidence of an expert is worth off the kind of data it was trained on. Fitted for words that are spoken, on
the dialogues of MELD (`results/fusion.json`); taken for voices and for faces of videos, where nothing was measured."""
AT_HOME = 1.0
"""The same for what experts were trained on: written words, photos."""
PRIOR = {
    "anger": 0.128,
    "disgust": 0.054,
    "fear": 0.097,
    "happiness": 0.255,
    "sadness": 0.123,
    "surprise": 0.114,
    "neutral": 0.229,
}
"""How common classes are where nothing is known: the mean of what the three shipped experts were trained on, whatever
experts are in their place (`results/fusion.json`)."""
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fusion:
    """How the experts' evidence becomes an answer; ``prior (classes,)`` is what is said of nothing."""

    names: tuple[str, ...]
    prior: Array
    overlap: float = OVERLAP

    def log_posterior(self, evidence: Mapping[str, Array], reliability: Mapping[str, float]) -> Array:
        """Fuse evidence ``(..., classes)`` by modality, NaN where absent, into log-posteriors ``(..., classes)``."""
        if not evidence:
            return log_softmax(np.log(self.prior))
        stacked = np.stack([np.asarray(values, np.float64) for values in evidence.values()])
        is_there = np.asarray(np.isfinite(stacked).all(axis=-1))
        rates = np.array([reliability[name] for name in evidence])
        worth = is_there * rates.reshape(-1, *(1,) * (is_there.ndim - 1))
        gains = worth / (1 + self.overlap * (worth.sum(axis=0) - worth))
        added = (gains[..., None] * np.where(is_there[..., None], stacked, 0.0)).sum(axis=0)
        return log_softmax(np.log(self.prior) + added, axis=-1)

    def each_subset(
        self, evidence: Mapping[str, Array], reliability: Mapping[str, float]
    ) -> dict[frozenset[str], Array]:
        """Log-posteriors ``(classes,)`` of every subset of the modalities; evidence ``(classes,)`` of each."""
        return {
            frozenset(some): self.log_posterior({name: evidence[name] for name in some}, reliability)
            for some in subsets(evidence)
        }


def subsets(modalities: Iterable[str]) -> list[tuple[str, ...]]:
    """List every subset, the empty one first."""
    names = tuple(modalities)
    return [some for size in range(len(names) + 1) for some in combinations(names, size)]


def explain_subsets(
    scores: Mapping[frozenset[str], Array],
    answers: Mapping[frozenset[str], Array] | None,
    decisions: Mapping[frozenset[str], Any],
    names: tuple[str, ...],
) -> Explanation:
    """Say what pairs of modalities do, and what flips the decision; in time nothing is said yet.

    Args:
        scores: What contributions share ``(classes,)``, of every subset.
        answers: Probabilities likewise; None of continuous labels.
        decisions: What is decided with each subset.
        names: The classes.
    """
    flip = smallest_flip(decisions)
    pairs = interactions(scores, max(scores, key=len))
    return Explanation(
        probability=None if answers is None else contributions_of(answers, names, "probability"),
        interactions={"+".join(pair): _by_class(names, of) for pair, of in pairs.items()},
        flip=None if flip is None else tuple(sorted(flip)),
    )


def contributions_of(scores: Mapping[frozenset[str], Array], names: tuple[str, ...], scale: str) -> Contributions:
    """Write scores ``(classes,)`` of all subsets as a base and the Shapley value of each modality."""
    modalities = max(scores, key=len)
    values = shapley_values(scores, modalities)
    named = {name: _by_class(names, values[name]) for name in sorted(modalities)}
    return Contributions.model_validate({"scale": scale, "base": _by_class(names, scores[frozenset()]), **named})


def _by_class(names: tuple[str, ...], values: Array) -> dict[str, float]:
    return dict(zip(names, np.asarray(values, np.float64).tolist(), strict=True))
