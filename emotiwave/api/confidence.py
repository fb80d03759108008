"""How sure a run may be: temperatures, label sets and abstention, fitted on the selection split, checked on another."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emotiwave.calibration.abstention import abstain, area_under_risk, fit_abstention, risk_coverage
from emotiwave.calibration.conformal import check_coverage, fit_label_sets
from emotiwave.calibration.quality import Bin, brier, calibration_error, confidence_and_hits, reliability
from emotiwave.calibration.temperatures import fit_temperatures, mean_loss
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.types import Configuration, Predictions


@dataclass(frozen=True)
class Quality:
    """How true probabilities are: errors of calibration, Brier score, loss in nats, mean risk over coverages."""

    ece: float
    brier: float
    nll: float
    aurc: float
    bins: list[Bin]


N_POINTS = 25
"""Of a risk-coverage curve that is written, at most."""


def measure_confidence(selection: Predictions, scored: Predictions, settings: EvaluationSettings) -> dict[str, Any]:
    """Fit on the selection split and measure on the scored one, configuration by configuration; as JSON values.

    Raises:
        ConfigError: If labels have no probabilities, or there is too little to fit to.
    """
    temperatures = fit_temperatures(selection)
    fitted, calibrated = temperatures.apply(selection), temperatures.apply(scored)
    labels = scored.label_set
    # of the probabilities as they were: a temperature fitted on the same split would spoil what is promised
    sets = fit_label_sets(selection, settings.coverage) if labels.is_exclusive else None
    by_configuration = {}
    for configuration, temperature in temperatures.by_configuration.items():
        row: dict[str, Any] = {
            "temperature": temperature,
            "before": asdict(_quality(scored, configuration)),
            "after": asdict(_quality(calibrated, configuration)),
            "risk_coverage": _risk_curve(*_sure(calibrated, configuration)),
        }
        if sets is not None:
            row["label_sets"] = {"least": sets.least[configuration]}
            row["label_sets"] |= asdict(check_coverage(sets, scored, configuration))
        if settings.abstain_above is not None and labels.is_exclusive:
            least = fit_abstention(*_sure(fitted, configuration), settings.abstain_above)
            found = asdict(abstain(*_sure(calibrated, configuration), least))
            row["abstention"] = found | {"threshold": least if np.isfinite(least) else None}
        by_configuration[str(configuration)] = row
    return {
        "fitted_on": {"split": selection.split, "n": len(selection.ids), "groups": len(set(selection.groups))},
        "scored_on": {"split": scored.split, "n": len(scored.ids), "groups": len(set(scored.groups))},
        "coverage": settings.coverage if sets is not None else None,
        "abstain_above": settings.abstain_above,
        "configurations": by_configuration,
    }


def _sure(predictions: Predictions, configuration: Configuration) -> tuple[np.ndarray, np.ndarray]:
    targets = predictions.targets.astype(np.float64)
    return confidence_and_hits(predictions.probabilities(configuration), targets, predictions.label_set)


def _risk_curve(confidence: np.ndarray, hits: np.ndarray) -> list[tuple[float, float]]:
    """Coverage and risk, at some coverages evenly spread over those that there are."""
    coverage, risk = risk_coverage(confidence, hits)
    rows = np.unique(np.linspace(0, len(coverage) - 1, N_POINTS).round().astype(int))
    return list(zip(coverage[rows].tolist(), risk[rows].tolist(), strict=True))


def _quality(predictions: Predictions, configuration: Configuration) -> Quality:
    answers, targets = predictions.probabilities(configuration), predictions.targets.astype(np.float64)
    confidence, hits = _sure(predictions, configuration)
    return Quality(
        ece=calibration_error(confidence, hits),
        brier=brier(answers, targets),
        nll=mean_loss(predictions.logits[configuration].astype(np.float64), targets, predictions.label_set),
        aurc=area_under_risk(confidence, hits),
        bins=reliability(confidence, hits),
    )
