"""Exact Shapley values of modalities, from the scores of every subset (Shapley, 1953).

With M modalities present, 2^M scores are enough and nothing is sampled: the contributions add up to the score of all
modalities minus the score of none.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import EXCLUSIVE_KINDS, LabelKind

Array = NDArray[np.float64]


def shapley_values(scores: Mapping[frozenset[str], Array], modalities: Iterable[str]) -> dict[str, Array]:
    """Share the score of all modalities among them, exactly.

    Args:
        scores: Score of every subset of ``modalities``, the empty one included; arrays of one shape.
        modalities: Those present.

    Returns:
        One array of that shape per modality; their sum is ``scores[all] - scores[none]``.

    Raises:
        KeyError: If the score of a subset is missing.

    >>> scores = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> {m: float(v) for m, v in shapley_values({k: np.float64(v) for k, v in scores.items()}, "ab").items()}
    {'a': 2.0, 'b': 3.0}
    """
    names = frozenset(modalities)
    n = len(names)
    values: dict[str, Array] = {}
    for name in sorted(names):
        total = np.zeros_like(np.asarray(scores[names], dtype=np.float64))
        others = names - {name}
        for subset in (frozenset(c) for size in range(n) for c in combinations(sorted(others), size)):
            weight = factorial(len(subset)) * factorial(n - len(subset) - 1) / factorial(n)
            total = total + weight * (np.asarray(scores[subset | {name}]) - np.asarray(scores[subset]))
        values[name] = total
    return values


def attributable_scores(logits: Array, kind: LabelKind) -> Array:
    """Turn logits ``(..., n_classes)`` into what may be attributed.

    Where one class holds: class log-odds, for softmax logits carry a free constant that may differ between subsets.
    Multilabel: the logits. Continuous: the values, not clipped to their range, so that they add up.
    """
    if kind not in EXCLUSIVE_KINDS:
        return np.asarray(logits, dtype=np.float64)
    logits = np.asarray(logits, dtype=np.float64)
    n_classes = logits.shape[-1]
    others = np.where(np.eye(n_classes, dtype=bool), -np.inf, logits[..., None, :])  # row k: all classes but k
    return logits - np.logaddexp.reduce(others, axis=-1)
