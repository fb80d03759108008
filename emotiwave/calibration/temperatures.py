"""How sure a model may be: one temperature per configuration (Guo et al., 2017), of the highest likelihood."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from emotiwave.errors import ConfigError
from emotiwave.probabilities import log_softmax
from emotiwave.types import Configuration, LabelSet, Predictions

LEAST = 50
"""Utterances below which nothing is fitted: a temperature would be luck."""
LEAST_GROUPS = 2
HOTTEST = 20.0
"""Temperatures lie between one over this and this."""
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Temperatures:
    """What logits are divided by, per configuration, and where it was fitted: utterances and split."""

    split: str
    n: int
    by_configuration: Mapping[Configuration, float]

    def apply(self, predictions: Predictions) -> Predictions:
        """Give predictions as sure as they deserve; decisions by the largest probability stay what they are."""
        logits = {c: (of / self.by_configuration[c]).astype(np.float32) for c, of in predictions.logits.items()}
        return replace(predictions, logits=logits)


def check_calibratable(predictions: Predictions) -> None:
    """Refuse what cannot be calibrated.

    Raises:
        ConfigError: If labels have no probabilities, or there are too few utterances or groups to fit to.
    """
    if predictions.label_set.kind == "continuous":
        raise ConfigError("continuous labels have values and no probabilities: there is nothing to calibrate")
    n, n_groups = len(predictions.ids), len(set(predictions.groups))
    if n < LEAST or n_groups < LEAST_GROUPS:
        raise ConfigError(
            f"{predictions.split!r} has {n} utterances of {n_groups} {'group' if n_groups == 1 else 'groups'}: too few "
            f"to calibrate on, at least {LEAST} of {LEAST_GROUPS} are needed; nothing was fitted"
        )


def fit_temperatures(predictions: Predictions) -> Temperatures:
    """Fit one temperature per configuration.

    Raises:
        ConfigError: As `check_calibratable`.
    """
    check_calibratable(predictions)
    return Temperatures(
        predictions.split,
        len(predictions.ids),
        {
            configuration: _fit(
                logits.astype(np.float64), predictions.targets.astype(np.float64), predictions.label_set
            )
            for configuration, logits in predictions.logits.items()
        },
    )


def _fit(logits: Array, targets: Array, labels: LabelSet) -> float:
    def loss(log_temperature: float) -> float:
        return mean_loss(logits / np.exp(log_temperature), targets, labels)

    edge = np.log(HOTTEST)
    found: Any = minimize_scalar(loss, bounds=(-edge, edge), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def mean_loss(logits: Array, targets: Array, labels: LabelSet) -> float:
    """Cross-entropy in nats: of the class, or of the shares of raters; of several classes the mean over them.

    Args:
        logits: ``(n, n_classes)``.
        targets: ``(n, n_classes)``.
        labels: Of the task; not continuous.
    """
    if labels.is_exclusive:
        return float(-(targets * log_softmax(logits, axis=1)).sum(axis=1).mean())
    return float((np.logaddexp(0.0, logits) - targets * logits).mean())
