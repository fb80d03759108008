"""Whether an explanation is true: does the answer fall when what it names is taken away, and does it hang on the model.

Deletion and insertion after Petsiuk et al. (2018), randomised weights after Adebayo et al. (2018).
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from emotiwave.batch import Batch
from emotiwave.explanation.explainers import Explainer, scores_without
from emotiwave.explanation.means import Mean, mean_over_groups
from emotiwave.explanation.units import Unit
from emotiwave.models.fusion import FusionModel
from emotiwave.probabilities import sigmoid

STEPS = 10
"""Points of a curve beside its first."""
N_ORDERS = 10
"""Orders at random that a curve is compared with."""
N_SHUFFLES = 5
"""Models at random that explanations are compared with, each for some of the utterances: one alone says little."""
NOISE = 0.05
"""Of small noise: standard deviations of a feature within the utterance."""
Array = NDArray[np.float64]
Orders = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean score along deletion (small is good) and insertion (large is good) by importance, and by chance."""

    deletion: float
    insertion: float
    deletion_by_chance: float
    insertion_by_chance: float


def removal_curves(
    model: FusionModel,
    batch: Batch,
    target: int,
    units: Sequence[Unit],
    importance: Array,
    rng: np.random.Generator,
) -> Curves:
    """Take units away, the most important first, and put them into nothing; and the same in orders at random.

    Scores are probabilities of the class, alone against all others; values of continuous labels.

    Args:
        model: What answers.
        batch: One utterance.
        target: The class.
        units: Of that utterance, all that is observed.
        importance: Of each unit ``(units,)``.
        rng: Draws the orders.
    """
    orders = np.stack([np.argsort(-importance, kind="stable"), *(rng.permutation(len(units)) for _ in range(N_ORDERS))])
    counts = np.unique(np.round(np.linspace(0, len(units), STEPS + 1)).astype(int))
    removed = first_of(orders, counts)
    hidden = np.concatenate([removed, ~removed]).reshape(-1, len(units))
    different, back = np.unique(hidden, axis=0, return_inverse=True)
    scores = scores_without(model, batch, target, units, different)
    if model.spec.label_set.kind != "continuous":
        scores = sigmoid(scores)
    curves = scores[back.reshape(-1)].reshape(2, len(orders), len(counts))
    areas = np.asarray(np.trapezoid(curves, counts / len(units), axis=2))
    return Curves(areas[0, 0], areas[1, 0], areas[0, 1:].mean(), areas[1, 1:].mean())


def first_of(orders: Orders, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the first so many of each order: ``(orders, counts, units)``."""
    places = np.argsort(orders, axis=1)
    return places[:, None, :] < counts[None, :, None]


def randomised(model: FusionModel, generator: torch.Generator) -> FusionModel:
    """Copy a model and shuffle each of its weights within itself: as large as before, and nothing learned is left."""
    shuffled = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in shuffled.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return shuffled


def with_randomised(model: FusionModel, rows: Sequence[int], seed: int = 0) -> Iterator[tuple[int, FusionModel]]:
    """Give each row, in an order of its own, with one of several `randomised` models."""
    for shuffle in range(N_SHUFFLES):
        if some := rows[shuffle::N_SHUFFLES]:
            other = randomised(model, torch.Generator().manual_seed(seed + shuffle))
            yield from ((row, other) for row in some)


def with_noise(model: FusionModel, batch: Batch, generator: torch.Generator) -> Batch | None:
    """Add small noise to every observed frame, a share of each feature's spread within the utterance.

    Frames that are codes are left as they are; None if there are no others.
    """
    inputs = dict(batch.inputs)
    noisy = [name for name in model.modalities if model.encoder(name).resting_frame is not None]
    if not noisy:
        return None
    for name in noisy:
        values = inputs[name]
        mask = batch.mask[name][..., None]
        n = mask.sum(dim=1, keepdim=True).clamp(min=1)
        mean = torch.where(mask, values, 0.0).sum(dim=1, keepdim=True) / n
        spread = (torch.where(mask, values - mean, 0.0).square().sum(dim=1, keepdim=True) / n).sqrt()
        drawn = torch.randn(values.shape, generator=generator)
        inputs[name] = values + torch.where(mask, NOISE * spread * drawn, 0.0)
    return replace(batch, inputs=inputs)


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's of two importances; NaN where one of them says nothing at all."""
    if len(one) < 3 or not np.isfinite(other).all() or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.asarray(spearmanr(one, other))[0])


@dataclass(frozen=True)
class Sanity:
    """Rank correlation of an explanation with those of a model that learned nothing, and of inputs with small noise."""

    randomised: float
    noisy: float


def sanity(
    explainer: Explainer,
    model: FusionModel,
    other: FusionModel,
    batch: Batch,
    target: int,
    units: Sequence[Unit],
    generator: torch.Generator,
) -> Sanity:
    """Explain with weights at random, and with noise on the input, and compare."""
    told = explainer(model, batch, target, units).of(units)
    of_nothing = explainer(other, batch, target, units).of(units)
    noisy = with_noise(model, batch, generator)
    of_noise = np.full(len(units), np.nan) if noisy is None else explainer(model, noisy, target, units).of(units)
    return Sanity(rank_correlation(told, of_nothing), rank_correlation(told, of_noise))


def modality_deletion(
    scores: Mapping[frozenset[str], Array], modalities: Sequence[str], order_of: Callable[[int], Sequence[str]]
) -> Array:
    """Mean score ``(utterances,)`` as modalities are taken away one after the other, from all of them to none.

    Args:
        scores: Of every subset ``(utterances,)``, the empty one included.
        modalities: All of them.
        order_of: The order in which those of an utterance go.
    """
    n = len(next(iter(scores.values())))
    found = np.zeros(n)
    for row in range(n):
        left = frozenset(modalities)
        values = [scores[left][row]]
        for name in order_of(row):
            left -= {name}
            values.append(scores[left][row])
        found[row] = np.trapezoid(values) / (len(values) - 1)
    return found


@dataclass(frozen=True)
class Check:
    """What was measured of one utterance: curves, and how the explanation stands beside others."""

    curves: Curves
    sanity: Sanity
    gap: float | None


def check_utterance(
    explainer: Explainer,
    model: FusionModel,
    other: FusionModel,
    batch: Batch,
    target: int,
    units: Sequence[Unit],
    seed: int = 0,
) -> Check:
    """Measure an explanation of one utterance; ``other`` is the model with its weights `randomised`."""
    told = explainer(model, batch, target, units)
    curves = removal_curves(model, batch, target, units, told.of(units), np.random.default_rng(seed))
    with_seed = torch.Generator().manual_seed(seed)
    return Check(curves, sanity(explainer, model, other, batch, target, units, with_seed), told.gap)


def sum_up(checks: Sequence[Check], groups: Sequence[str], seed: int = 0) -> dict[str, Mean]:
    """Average checks over utterances.

    ``deletion_gain`` and ``insertion_gain`` are how much better the curves are than by chance, above 0 if they are.
    """
    rows = {
        "deletion_gain": [one.curves.deletion_by_chance - one.curves.deletion for one in checks],
        "insertion_gain": [one.curves.insertion - one.curves.insertion_by_chance for one in checks],
        "randomised_weights": [one.sanity.randomised for one in checks],
        "small_noise": [one.sanity.noisy for one in checks],
        "convergence_gap": [np.nan if one.gap is None else abs(one.gap) for one in checks],
    }
    found = {name: mean_over_groups(np.array(values, np.float64), groups, seed) for name, values in rows.items()}
    return {name: mean for name, mean in found.items() if mean.n}
