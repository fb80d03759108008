"""Exact Shapley values of modalities, from the scores of every subset (Shapley, 1953).

With M modalities present, 2^M scores are enough and nothing is sampled: the contributions add up to the score of all
modalities minus the score of none.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import factorial
from typing import Any

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


def interactions(scores: Mapping[frozenset[str], Array], modalities: Iterable[str]) -> dict[tuple[str, str], Array]:
    """Tell what two modalities do to each other: the exact Shapley interaction index (Grabisch & Roubens, 1999).

    It is how much the one adds more with the other there than without, averaged over who else is there: above zero
    they tell more together than each for itself (synergy), below zero they tell the same (redundancy).

    Args:
        scores: As `shapley_values` takes them.
        modalities: Those present.

    Raises:
        KeyError: If the score of a subset is missing.

    >>> scores = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> {pair: float(v) for pair, v in interactions({k: np.float64(v) for k, v in scores.items()}, "ab").items()}
    {('a', 'b'): 2.0}
    """
    names = sorted(frozenset(modalities))
    n = len(names)
    values: dict[tuple[str, str], Array] = {}
    for one, other in combinations(names, 2):
        rest = [name for name in names if name not in (one, other)]
        total = np.zeros_like(np.asarray(scores[frozenset(names)], dtype=np.float64))
        for subset in (frozenset(some) for size in range(n - 1) for some in combinations(rest, size)):
            weight = factorial(len(subset)) * factorial(n - len(subset) - 2) / factorial(n - 1)
            together = np.asarray(scores[subset | {one, other}]) + np.asarray(scores[subset])
            apart = np.asarray(scores[subset | {one}]) + np.asarray(scores[subset | {other}])
            total = total + weight * (together - apart)
        values[one, other] = total
    return values


def smallest_flip(decisions: Mapping[frozenset[str], Any]) -> frozenset[str] | None:
    """Find the smallest set of modalities whose absence changes the decision; None if even none of them does.

    Args:
        decisions: What is decided with every subset of the modalities present, the empty one included. Of sets that
            are as small, the first by name.

    >>> smallest_flip({frozenset(): "no", frozenset("a"): "yes", frozenset("b"): "no", frozenset("ab"): "yes"})
    frozenset({'a'})
    """
    everything = max(decisions, key=len)
    names = sorted(everything)
    for size in range(1, len(names) + 1):
        for some in map(frozenset, combinations(names, size)):
            if decisions[everything - some] != decisions[everything]:
                return some
    return None


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
