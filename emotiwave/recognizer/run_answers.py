"""What a run answers to the stretches of a clip, and what that comes to for all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.probabilities import log_softmax, sigmoid, softmax
from emotiwave.recognizer.fusion import subsets
from emotiwave.recognizer.reading import TRIMMED, trimmed_mean
from emotiwave.types import LabelSet

Array = NDArray[np.float64]
Some = frozenset[str]
"""Modalities."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What the model says of stretches: logits ``(stretches, classes)`` by subset, and which modalities are there."""

    logits: Mapping[Some, Array]
    present: Mapping[str, NDArray[np.bool_]]

    @property
    def there(self) -> list[str]:
        """The modalities that are there in any stretch."""
        return [name for name, present in self.present.items() if present.any()]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether any modality is there, of each stretch."""
        n = len(next(iter(self.logits.values())))
        return np.any([*self.present.values(), np.zeros(n, bool)], axis=0)


def join(parts: Sequence[Answers]) -> Answers:
    """Put the answers of parts of a clip together; what no part has of a subset is answered without it."""
    if len(parts) == 1:
        return parts[0]
    wanted = {frozenset(some) for some in subsets(sorted(set().union(*(max(part.logits, key=len) for part in parts))))}
    return Answers(
        {some: np.concatenate([part.logits[some & max(part.logits, key=len)] for part in parts]) for some in wanted},
        {name: np.concatenate([part.present[name] for part in parts]) for name in parts[0].present},
    )


@dataclass(frozen=True, eq=False)
class Judge:
    """Reads the logits of a run: ``prior (classes,)`` is what it says of nothing; thresholds by subset and class."""

    labels: LabelSet
    prior: Array
    thresholds: Mapping[Some, Mapping[str, float]] = field(default_factory=dict)

    def pool(self, answers: Answers, weights: Array) -> dict[Some, Array]:
        """Logits ``(classes,)`` of the whole clip by subset; a trimmed mean, as of the experts.

        Args:
            answers: Of its stretches.
            weights: How long each is ``(stretches,)``.
        """
        seen = answers.seen
        if not seen.any():
            return dict.fromkeys(answers.logits, self.prior)
        pooled = {}
        for some, logits in answers.logits.items():
            values = log_softmax(logits[seen], axis=1) if self.labels.is_exclusive else logits[seen]
            pooled[some] = trimmed_mean(values, weights[seen], TRIMMED)
        return pooled

    def by_class(self, logits: Array) -> dict[str, float]:
        """Probabilities, or values within their bounds, of logits ``(classes,)``."""
        labels = self.labels
        if labels.kind == "continuous":
            answers = np.clip(logits, *labels.bounds)
        else:
            answers = softmax(logits) if labels.is_exclusive else sigmoid(logits)
        return dict(zip(labels.names, answers.tolist(), strict=True))

    def decide(self, logits: Array, there: Sequence[str]) -> tuple[Any, float | None]:
        """The decision and how probable it is; of several classes that each is right, taken for independent."""
        if self.labels.kind == "continuous":
            return None, None
        answers = self.by_class(logits)
        if self.labels.is_exclusive:
            best = max(answers, key=lambda name: answers[name])
            return best, answers[best]
        bounds = self.thresholds.get(frozenset(there), {})
        chosen = tuple(name for name, value in answers.items() if value > bounds.get(name, 0.5))
        right = [value if name in chosen else 1 - value for name, value in answers.items()]
        return chosen, float(np.prod(right))
