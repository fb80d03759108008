"""What every method to compare with is: fitted on the training utterances, then asked in every configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from emotiwave.settings import Settings
from emotiwave.types import Corpus, Predictions


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
    sees_neighbours: bool = False
    """Whether it looks at other utterances than the one that it answers."""
    reads_features: bool = True
    """Whether features are what it answers by; one that does not can answer no spoiled ones."""
