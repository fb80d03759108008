"""How sure an expert may be: a temperature that depends on the quality of the input, fitted on validation data."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.errors import CheckpointError
from emotiwave.probabilities import log_softmax
from emotiwave.settings import Settings

RIDGE = 1e-3
"""Penalty on the squares of slopes, per input, in nats: enough to hold a measure that does not vary."""
N_BINS = 15


class Confidence(Settings):
    """Logits are divided by ``exp(intercept + sum of slopes times standardised measures)``.

    (Guo et al., 2017, "On calibration of modern neural networks", is the case without measures.) A measure beyond
    what was seen in fitting counts as the nearest that was.
    """

    measures: tuple[str, ...]
    middle: tuple[float, ...]
    spread: tuple[Annotated[float, Field(gt=0)], ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    intercept: Annotated[float, Field(ge=-5, le=5)]
    slopes: tuple[Annotated[float, Field(ge=-5, le=5)], ...]

    @model_validator(mode="after")
    def _alike(self) -> "Confidence":
        lengths = {len(values) for values in (self.middle, self.spread, self.lowest, self.highest, self.slopes)}
        if lengths != {len(self.measures)}:
            raise ValueError(f"expected {len(self.measures)} numbers of each kind, one per measure")
        return self

    def check_measures(self, known: Iterable[str]) -> None:
        """Refuse measures that an expert does not take.

        Raises:
            CheckpointError: One is named.
        """
        strange = set(self.measures) - set(known)
        if strange:
            raise CheckpointError(f"the confidence depends on {min(strange)!r}, which the expert does not measure")

    def temperature(self, quality: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Temperature of each input, by its measures ``(inputs,)``."""
        if not self.measures:
            return np.array([np.exp(self.intercept)])
        return np.exp(self.intercept + self._standardise(quality) @ np.array(self.slopes))

    def apply(
        self, log_posterior: NDArray[np.float64], quality: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Bring ``(inputs, classes)`` to the confidence that its inputs deserve."""
        return log_softmax(log_posterior / self.temperature(quality)[:, None], axis=1)

    def _standardise(self, quality: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        columns = np.array([quality[name] for name in self.measures], np.float64).T
        return (columns.clip(self.lowest, self.highest) - self.middle) / self.spread


def fit_confidence(
    log_posterior: NDArray[np.float64],
    targets: NDArray[np.floating],
    quality: Mapping[str, NDArray[np.float64]],
) -> Confidence:
    """Fit to the highest likelihood, by Newton-like descent from a temperature of 1.

    Args:
        log_posterior: ``(inputs, classes)``.
        targets: ``(inputs, classes)``, shares that sum to 1.
        quality: Measures ``(inputs,)`` by name, finite.
    """
    names = tuple(quality)
    columns = np.stack([np.asarray(quality[name], np.float64) for name in names], axis=1)
    middle, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standardised = np.hstack([np.ones((len(columns), 1)), (columns - middle) / spread])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        inverse = np.exp(-standardised @ weights)
        scaled = log_posterior * inverse[:, None]
        answers = log_softmax(scaled, axis=1)
        # d(-sum t log p)/d(weights): the logits shrink by the temperature
        pull = ((targets - np.exp(answers)) * scaled).sum(axis=1)
        penalty = RIDGE * np.r_[0.0, weights[1:]]
        value = -(targets * answers).sum(axis=1).mean() + penalty @ weights / 2
        return value, (pull[:, None] * standardised).mean(axis=0) + penalty

    from scipy.optimize import minimize  # takes a third of a second to import

    found = minimize(loss, np.zeros(standardised.shape[1]), jac=True, method="L-BFGS-B").x
    return Confidence(
        measures=names,
        middle=tuple(middle.tolist()),
        spread=tuple(spread.tolist()),
        lowest=tuple(columns.min(axis=0).tolist()),
        highest=tuple(columns.max(axis=0).tolist()),
        intercept=float(found[0]),
        slopes=tuple(found[1:].tolist()),
    )


def calibration_error(probabilities: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Expected calibration error of the decision, over 15 bins of equal width (Guo et al., 2017).

    Args:
        probabilities: ``(n, classes)``.
        targets: ``(n, classes)``, shares that sum to 1; a decision is right by the share of its class.

    >>> round(calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([[1, 0], [0, 1]])), 6)
    0.3
    """
    decided = probabilities.argmax(axis=1)
    confidence, right = probabilities.max(axis=1), targets[np.arange(len(targets)), decided]
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(targets))
