"""Sets of labels that hold the true one as often as promised: split conformal prediction, per configuration.

A label is in the set if its probability is at least one minus the calibration quantile of one minus the probability of
the true label (Sadinle et al., 2019, "Least ambiguous set-valued classifiers"). The promise holds where calibration and
test utterances are exchangeable; new speakers and videos strain that, so coverage is checked and shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from emotiwave.calibration.temperatures import check_calibratable
from emotiwave.errors import ConfigError
from emotiwave.types import Configuration, Predictions

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The least probability of a label that is in the set, per configuration, for a stated coverage."""

    coverage: float
    split: str
    n: int
    least: Mapping[Configuration, float]

    def of(self, predictions: Predictions, configuration: Configuration) -> NDArray[np.bool_]:
        """Which labels are in the set of each utterance ``(utterances, n_classes)``."""
        return predictions.probabilities(configuration) >= self.least[configuration]


@dataclass(frozen=True)
class Coverage:
    """How often sets hold the truth, the interval of that (Clopper & Pearson, 95 %), and how large they are."""

    coverage: float
    low: float
    high: float
    mean_size: float
    empty: float


def fit_label_sets(predictions: Predictions, coverage: float) -> LabelSets:
    """Fit sets on a selection split.

    Raises:
        ConfigError: If labels are not of one class each, there are too few utterances, or coverage is not in 0 to 1.
    """
    check_calibratable(predictions)
    if not predictions.label_set.is_exclusive:
        raise ConfigError("sets of labels are for tasks of which one class holds; this one has several")
    if not 0 < coverage < 1:
        raise ConfigError(f"coverage {coverage:g} is not between 0 and 1")
    n = len(predictions.ids)
    rank = int(np.ceil((n + 1) * coverage))
    truth = predictions.label_set.holds(predictions.targets)
    least = {}
    for configuration in predictions.logits:
        of_truth = np.sort(predictions.probabilities(configuration)[truth])[::-1]
        least[configuration] = float(of_truth[rank - 1]) if rank <= n else 0.0  # so few that all labels are needed
    return LabelSets(coverage, predictions.split, n, least)


def check_coverage(sets: LabelSets, predictions: Predictions, configuration: Configuration) -> Coverage:
    """Count how often sets hold the truth of other utterances."""
    chosen = sets.of(predictions, configuration)
    truth = predictions.label_set.holds(predictions.targets)
    hits, n = int((chosen & truth).sum()), len(chosen)
    interval = binomtest(hits, n).proportion_ci(0.95)
    sizes = chosen.sum(axis=1)
    return Coverage(
        hits / n, float(interval.low), float(interval.high), float(sizes.mean()), float((sizes == 0).mean())
    )
