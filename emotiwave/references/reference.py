"""What every method to compare with is: fitted on the training utterances, then asked in every configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emotiwave.settings import Settings
from emotiwave.types import Configuration, Corpus, Predictions


class FittedReference(Protocol):
    """A method that has learned what it learns."""

    @property
    def n_parameters(self) -> int:
        """Numbers learned, of all its models together."""
        ...

    @property
    def n_steps(self) -> int | None:
        """Optimiser steps taken in all; None where it is not trained by steps."""
        ...

    def predict(self, corpus: Corpus, split: str) -> Predictions:
        """Logits of every utterance of a split in each configuration of the corpus's modalities.

        Raises:
            EmotiwaveError: If the split is empty, the corpus is of another form, or an answer is not finite.
        """
        ...


@dataclass(frozen=True)
class Reference:
    """A method by name: how it is fitted, and what is said of it."""

    fit: Callable[[Corpus, Any, int], FittedReference]
    """Takes the corpus, of which it looks at the split ``train`` alone, the method's settings, and a seed."""
    settings: type[Settings]
    about: str
    """One line: what it is."""
    mode: str
    """One line: how it is trained, and what it is told."""
    seeded: bool
    """Whether the seed changes anything."""


def as_predictions(
    corpus: Corpus,
    split: str,
    logits: Mapping[Configuration, NDArray[np.float32]],
    n_non_finite: Mapping[str, int],
) -> Predictions:
    """Put logits ``(utterances, n_classes)`` beside the utterances of a split that they are for."""
    indices = corpus.indices(split)
    return Predictions(
        ids=tuple(corpus.utterances[i].id for i in indices),
        groups=tuple(corpus.utterances[i].group for i in indices),
        split=split,
        label_set=corpus.label_set,
        targets=corpus.targets[indices],
        logits=logits,
        n_non_finite=n_non_finite,
    )
