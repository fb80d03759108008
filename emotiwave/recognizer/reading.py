"""What an expert says of one modality of a clip, piece by piece, and the sum of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.experts import Answer
from emotiwave.signals import Usability

TRIMMED = 0.2
"""Share of the weight that is cut off at either end before pieces are averaged, class by class."""
ENOUGH = 0.5
"""Share of a modality from which on it counts in full; a choice, not a measurement."""
Array = NDArray[np.float64]
Ask = Callable[[Sequence[Any]], Answer]
"""An expert, or one that a speaker is known to."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Evidence ``(pieces, classes)``: log-posterior less log-prior, of the pieces that could be used.

    ``intervals (pieces, 2)`` are seconds from the start of the clip, NaN where unknown; ``weights (pieces,)`` how much
    of the modality a piece is: seconds, words, or 1 for a photo. ``reliability`` is what the evidence is worth.
    """

    modality: str
    evidence: Array
    intervals: Array
    weights: Array
    usability: Usability
    seconds: float = 0.0
    """How long the signal is, with what of it is of no use; 0 without times."""
    reliability: float = 1.0
    warnings: tuple[str, ...] = ()
    content: tuple[Any, ...] = ()
    """What each piece is, words or sound, where it was kept."""

    @property
    def is_used(self) -> bool:
        """Whether any piece could be used, and enough of the modality."""
        return len(self.evidence) > 0 and not self.usability.ignored

    @property
    def is_timed(self) -> bool:
        """Whether it is known when the pieces are."""
        return bool(np.isfinite(self.intervals).all())

    def pool(self) -> Array:
        """Evidence ``(classes,)`` of the whole clip, its mean 0: robust, so that a few odd pieces decide nothing.

        Pieces are centred first: a constant that all classes of a piece share says nothing, and must not decide what
        is trimmed.
        """
        return trimmed_mean(self.evidence - self.evidence.mean(axis=1, keepdims=True), self.weights, TRIMMED)

    @property
    def worth(self) -> float:
        """What the evidence is worth: proportionally less where less than half of the modality could be used."""
        return self.reliability * min(1.0, self.usability.observed / ENOUGH)

    def between(self, edges: Array) -> Array:
        """Evidence ``(stretches, classes)`` of stretches between edges ``(stretches + 1,)`` in seconds.

        It is the mean over the pieces in a stretch, weighted by how long they are in it; NaN where there are none.
        """
        totals = np.zeros((len(edges) - 1, self.evidence.shape[1]))
        shared = np.zeros(len(edges) - 1)
        if self.is_timed:
            for evidence, (start, end) in zip(self.evidence, self.intervals, strict=True):
                if end <= edges[0] or start >= edges[-1]:
                    continue
                first = max(0, int(np.searchsorted(edges, start, side="right")) - 1)
                last = min(len(edges) - 1, int(np.searchsorted(edges, end, side="left")))
                inside = np.minimum(edges[first + 1 : last + 1], end) - np.maximum(edges[first:last], start)
                inside = np.maximum(inside, 0)
                totals[first : first + len(inside)] += inside[:, None] * evidence
                shared[first : first + len(inside)] += inside
        found = shared > 0
        return np.divide(totals, shared[:, None], out=np.full_like(totals, np.nan), where=found[:, None])


def trimmed_mean(values: Array, weights: Array, trimmed: float) -> Array:
    """Mean of ``values (n, k)`` by weights ``(n,)``, column by column, without a share of the weight at either end.

    Pieces at the border count by the part of their weight that is left. Without trimming it is the weighted mean.

    >>> trimmed_mean(np.array([[0.0], [1.0], [2.0], [3.0], [100.0]]), np.ones(5), 0.2)
    array([2.])
    """
    return (kept_shares(values, weights, trimmed) * values).sum(axis=0)


def kept_shares(values: Array, weights: Array, trimmed: float) -> Array:
    """What each of ``values (n, k)`` counts in its `trimmed_mean`, from 0 to 1; equal values by their weights alone.

    >>> kept_shares(np.array([[0.0], [1.0], [2.0], [3.0], [100.0]]), np.ones(5), 0.2).round(2).T
    array([[0.  , 0.33, 0.33, 0.33, 0.  ]])
    """
    found = np.empty_like(values, dtype=np.float64)
    for column, of in enumerate(values.T):
        _, level = np.unique(of, return_inverse=True)
        mass = np.bincount(level, weights) / weights.sum()
        upper = np.cumsum(mass)
        kept = np.clip(upper, trimmed, 1 - trimmed) - np.clip(upper - mass, trimmed, 1 - trimmed)
        found[:, column] = weights * np.divide(kept, mass, out=np.zeros_like(kept), where=mass > 0)[level]
    return found / found.sum(axis=0)
