"""Fitted on a selection split, never on what is scored: thresholds, temperatures, sets of labels, abstention."""

from emotiwave.calibration.thresholds import (
    Thresholds,
    best_threshold,
    check_tunable,
    fit_thresholds,
    has_thresholds,
)

__all__ = ["Thresholds", "best_threshold", "check_tunable", "fit_thresholds", "has_thresholds"]
