"""How true probabilities are before and after calibration, in every configuration, and whether sets of labels hold.

CREMA-D's votes (five folds by actor), a made corpus (five seeds), and CMU-MOSI as given, whose features were trained
on the labels of the train videos: there, validation cut from train leaks. Everything is fitted on validation and
measured on test; one row is marked as a diagnosis, fitted on one half of the test videos and measured on the other.
Needs EMOTIWAVE_DATA.

    python benchmarks/confidence.py --out results/confidence.json
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

import emotiwave
from emotiwave.calibration.conformal import fit_label_sets
from emotiwave.calibration.quality import brier, calibration_error, confidence_and_hits
from emotiwave.calibration.temperatures import fit_temperatures
from emotiwave.comparison.recipe import read_comparison
from emotiwave.config import Recipe, read_recipe
from emotiwave.evaluation.scoring import draw_groups, number_groups
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.run_folder import read_run
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import Configuration, Predictions

COVERAGE = 0.9
SEEDS = FOLDS = (0, 1, 2, 3, 4)
VIDEOS_HELD_OUT = 0.2
"""Of MOSI's train videos, to calibrate on, as somebody would who does not know of the leak."""


@dataclass(frozen=True, eq=False)
class Part:
    """One run: what was said of the scored utterances, before and after, and which labels are in their sets."""

    scored: Predictions
    calibrated: Predictions
    sets: dict[Configuration, np.ndarray]
    temperatures: dict[str, float]
    n_fitted: int


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=Path, help="Where runs are kept; a temporary folder by default.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    votes = read_comparison("compare_ablation_cremad_votes")
    made = ["dataset.n_validation=1000", "dataset.n_test=2000"]
    leaky = [f"dataset.validation_share={VIDEOS_HELD_OUT}"]
    with tempfile.TemporaryDirectory() as scratch:
        runs = given.runs or Path(scratch)
        crema = [trained(runs / f"crema-{fold}", votes.recipe(votes.methods[0], fold, 0)) for fold in FOLDS]
        synthetic = [
            trained(
                runs / f"synthetic-{seed}",
                read_recipe("synthetic", [*made, f"training.seed={seed}", f"dataset.seed={seed}"]),
            )
            for seed in SEEDS
        ]
        mosi = [
            trained(runs / f"mosi-{seed}", read_recipe("mosi", [*leaky, f"training.seed={seed}"])) for seed in SEEDS
        ]
        found = {
            "coverage": COVERAGE,
            "cremad_votes": measured([part(folder) for folder in crema]) | about(crema),
            "synthetic": measured([part(folder) for folder in synthetic]) | about(synthetic),
            "mosi": measured([part(folder) for folder in mosi], repeats=len(SEEDS)) | about(mosi),
            "mosi_by_test_halves": measured([half for folder in mosi for half in halves(folder)], repeats=len(SEEDS)),
        }
    given.out.write_text(json.dumps(found, indent=1) + "\n")


def trained(folder: Path, recipe: Recipe) -> Path:
    """Train a run, or go on with one that is there."""
    return emotiwave.train(recipe, out=folder, resume=folder.exists()).folder


def about(folders: Sequence[Path]) -> dict[str, Any]:
    """Say what was measured on."""
    recipes = [read_run(folder) for folder in folders]
    corpora = [recipe.load_corpus() for recipe in recipes]
    return {
        "data": list(dict.fromkeys(corpus.digest for corpus in corpora)),
        "seeds": list(dict.fromkeys(recipe.training.seed for recipe in recipes)),
        "runs": len(folders),
        "model": recipes[0].model.name,
    }


def said(folder: Path) -> tuple[Predictions, Predictions]:
    """What a run says of validation and of test."""
    model, corpus = load_model(folder), without_unlearnable(read_run(folder).load_corpus())
    return predict(model, corpus, "validation"), predict(model, corpus, "test")


def part(folder: Path) -> Part:
    """Fit on validation; give what is said of test."""
    return fitted(*said(folder))


def fitted(selection: Predictions, scored: Predictions) -> Part:
    """Fit temperatures and sets on one split, and apply them to another."""
    temperatures, sets = fit_temperatures(selection), fit_label_sets(selection, COVERAGE)
    return Part(
        scored,
        temperatures.apply(scored),
        {configuration: sets.of(scored, configuration) for configuration in scored.logits},
        {str(configuration): value for configuration, value in temperatures.by_configuration.items()},
        len(selection.ids),
    )


def halves(folder: Path) -> list[Part]:
    """A diagnosis, of no use to anybody who has no test labels: fit on one half of the test videos, score the other."""
    _, scored = said(folder)
    videos = np.random.default_rng(0).permutation(sorted(set(scored.groups)))
    first = np.isin(scored.groups, videos[: len(videos) // 2])
    return [fitted(rows(scored, one), rows(scored, ~one)) for one in (first, ~first)]


def rows(predictions: Predictions, chosen: np.ndarray) -> Predictions:
    """Some of the utterances."""
    places = np.flatnonzero(chosen)
    return replace(
        predictions,
        ids=tuple(predictions.ids[k] for k in places),
        groups=tuple(predictions.groups[k] for k in places),
        targets=predictions.targets[places],
        logits={configuration: values[places] for configuration, values in predictions.logits.items()},
    )


def measured(parts: Sequence[Part], *, repeats: int = 1) -> dict[str, Any]:
    """Measure all parts together, configuration by configuration.

    ``repeats`` says how often the same utterances are among them, so that binomial intervals count them once.
    """
    found = {}
    labels = parts[0].scored.label_set
    groups = number_groups(tuple(f"{one}" for of in parts for one in of.scored.groups))
    draws = draw_groups(int(groups.max()) + 1, EvaluationSettings(bootstrap=500))[1:]
    for configuration in parts[0].scored.logits:
        each: dict[str, Any] = {}
        targets = np.concatenate([of.scored.targets for of in parts]).astype(np.float64)
        for name in ("scored", "calibrated"):
            answers = np.concatenate([getattr(of, name).probabilities(configuration) for of in parts])
            confidence, hits = confidence_and_hits(answers, targets, labels)
            again = [
                calibration_error(confidence[drawn], hits[drawn])
                for drawn in (np.repeat(np.arange(len(groups)), draw[groups].astype(int)) for draw in draws)
            ]
            low, high = np.quantile(again, [0.025, 0.975])
            each["before" if name == "scored" else "after"] = {
                "ece": calibration_error(confidence, hits),
                "ece_low": float(low),
                "ece_high": float(high),
                "confidence": float(confidence.mean()),
                "accuracy": float(hits.mean()),
                "brier": brier(answers, targets),
            }
        held = np.concatenate([(of.sets[configuration] & labels.holds(of.scored.targets)).any(axis=1) for of in parts])
        n = len(held) // repeats
        interval = binomtest(round(held.mean() * n), n).proportion_ci(0.95)
        sizes = np.concatenate([of.sets[configuration].sum(axis=1) for of in parts])
        each["sets"] = {
            "coverage": float(held.mean()),
            "low": float(interval.low),
            "high": float(interval.high),
            "mean_size": float(sizes.mean()),
        }
        each["temperatures"] = [of.temperatures[str(configuration)] for of in parts]
        found[str(configuration)] = each
    return {
        "n": sum(len(of.scored.ids) for of in parts) // repeats,
        "n_fitted": [of.n_fitted for of in parts],
        "configurations": found,
    }


if __name__ == "__main__":
    main()
