"""What an expert says of some inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import ConfigError
from emotiwave.labels import SEVEN
from emotiwave.probabilities import log_softmax

Prior = NDArray[np.float64]
"""How common each of the seven classes is ``(7,)``."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Of each input the probabilities of `SEVEN`, calibrated; of one that nothing can be said of, how common they are.

    ``log_posterior`` is ``(inputs, 7)``, ``observed (inputs,)``. ``reasons`` say of each input why it is not observed,
    or what makes its answer doubtful; None where there is nothing to say. ``quality`` holds measures of the inputs
    ``(inputs,)`` by name, NaN where not observed.
    """

    log_posterior: NDArray[np.float64]
    prior: Prior
    observed: NDArray[np.bool_]
    reasons: tuple[str | None, ...]
    quality: dict[str, NDArray[np.float64]]
    names: tuple[str, ...] = SEVEN

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``(inputs, 7)``; each row sums to 1."""
        return np.exp(self.log_posterior)

    @property
    def decisions(self) -> tuple[str | None, ...]:
        """The most probable class of each input; None where nothing could be observed."""
        best = self.log_posterior.argmax(axis=1)
        return tuple(self.names[k] if seen else None for k, seen in zip(best, self.observed, strict=True))

    def with_prior(self, weight: float) -> "Answer":
        """Take the commonness of classes in training back, by a weight of 0 (as it is) to 1 (as if all were as common).

        More weight finds more of the rare classes, and is wrong more often; what is not observed stays as it is.

        Raises:
            ConfigError: If the weight is not from 0 to 1.
        """
        if not 0 <= weight <= 1:
            raise ConfigError(f"the prior weight is {weight}; expected a number from 0 to 1")
        moved = log_softmax(self.log_posterior - weight * np.log(self.prior), axis=1)
        moved = np.where(self.observed[:, None], moved, self.log_posterior)
        return Answer(moved, self.prior, self.observed, self.reasons, self.quality, self.names)


def put_together(
    log_posterior: NDArray[np.float64],
    quality: dict[str, NDArray[np.float64]],
    prior: Prior,
    reasons: Sequence[str | None],
    observed: NDArray[np.bool_],
) -> Answer:
    """Put answers of the observed inputs among all; the others get the prior."""
    rows = np.tile(np.log(prior), (len(observed), 1))
    rows[observed] = log_posterior
    measures = {name: np.full(len(observed), np.nan) for name in quality}
    for name, values in quality.items():
        measures[name][observed] = values
    return Answer(rows, prior, observed, tuple(reasons), measures)
