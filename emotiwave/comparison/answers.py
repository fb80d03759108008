"""Reads what a folder of results says: the answers of one trained method, in every configuration."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emotiwave.errors import CheckpointError, DatasetError
from emotiwave.evaluation.paired import Answered, Spoiled
from emotiwave.metrics.counts import fixed_thresholds
from emotiwave.run_folder import read_environment
from emotiwave.types import LabelSet, read_label_set

PREDICTIONS, THRESHOLDS = "predictions.parquet", "thresholds.json"
SPOILED, MET = "conditions.parquet", "conditions.json"
MAX_BYTES = 2**31
"""Of a file of predictions; more is refused unread."""


def read_answers(folder: Path, *, seed: int | None, fold: int | None = None, place: str = "") -> Answered:
    """Read the predictions of a run folder, with the thresholds that decided.

    Args:
        folder: That `evaluate` has written into.
        seed: Of the training; None where there is none.
        fold: Of the test set, where it is divided into folds.
        place: What messages call the folder; its path by default.

    Raises:
        CheckpointError: If it was not evaluated, or a file is damaged.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        raise CheckpointError(f"{folder}: not evaluated yet; run `emotiwave evaluate {folder}`")
    for name in (PREDICTIONS, SPOILED):
        if (folder / name).exists() and (folder / name).stat().st_size > MAX_BYTES:
            raise CheckpointError(
                f"{folder / name}: has more than {MAX_BYTES:,} bytes; expected the predictions of one run"
            )
    corpus, labels = _read_corpus(folder)
    again = f"run `emotiwave evaluate {folder}` again"
    try:
        rows = pd.read_parquet(path)
        tables = {str(name): table for name, table in rows.groupby("configuration", sort=False)}
        (split,) = rows["split"].unique()
        first = next(iter(tables.values()))
        answers = {name: _answers(table, first, labels) for name, table in tables.items()}
        targets = _targets(first, labels)
        path = folder / THRESHOLDS
        thresholds = _read_thresholds(path, labels)
        path = folder / SPOILED
        under = _read_spoiled(folder, first, labels, thresholds) if path.exists() else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, DatasetError) as error:
        raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}: {error}); {again}") from None
    return Answered(
        place=place or str(folder),
        corpus=str(corpus["name"]),
        split=str(split),
        seed=seed,
        fold=fold,
        label_set=labels,
        ids=tuple(first["id"]),
        groups=tuple(first["group"]),
        targets=targets,
        answers=answers,
        thresholds=thresholds,
        under=under,
    )


def _read_corpus(folder: Path) -> tuple[dict[str, Any], LabelSet]:
    try:
        corpus = read_environment(folder)["corpus"]
        return corpus, read_label_set(corpus["label_set"])
    except (KeyError, TypeError, ValueError, DatasetError) as error:
        raise CheckpointError(
            f"{folder / 'environment.json'}: no label set of the corpus ({error}); train the run again"
        ) from None


def _answers(table: pd.DataFrame, first: pd.DataFrame, labels: LabelSet) -> NDArray[np.float64]:
    if list(table["id"]) != list(first["id"]):
        raise ValueError("configurations have different utterances")
    column = "value" if labels.kind == "continuous" else "probability"
    answers = table[[f"{column}_{name}" for name in labels.names]].to_numpy(np.float64)
    if not np.isfinite(answers).all():
        raise ValueError("an answer is not finite")
    return answers


def _targets(table: pd.DataFrame, labels: LabelSet) -> NDArray[np.float32]:
    if labels.kind == "distribution":
        return table[[f"share_{name}" for name in labels.names]].to_numpy(np.float32)
    truth = table["truth"]
    if labels.kind == "categorical":
        return np.stack([labels.encode(str(name)) for name in truth])
    return np.stack([labels.encode(tuple(values)) for values in truth])


def _read_thresholds(path: Path, labels: LabelSet) -> dict[str, NDArray[np.float64]]:
    """Thresholds by configuration; none where none were tuned."""
    if not path.exists():
        return {}
    tuned = json.loads(path.read_text(encoding="utf-8"))["thresholds"]
    fixed = fixed_thresholds(labels)
    return {
        configuration: np.array([float(of.get(name, fixed[k])) for k, name in enumerate(labels.names)])
        for configuration, of in tuned.items()
    }


def _read_spoiled(
    folder: Path, first: pd.DataFrame, labels: LabelSet, thresholds: dict[str, NDArray[np.float64]]
) -> dict[str, dict[float, tuple[Spoiled, ...]]]:
    """What was said under conditions: condition -> severity, from low to high -> draws."""
    rows = pd.read_parquet(folder / SPOILED)
    met = {(str(one["condition"]), int(one["seed"])): one for one in json.loads((folder / MET).read_text("utf-8"))}
    found: dict[str, dict[float, list[Spoiled]]] = {}
    for key, table in rows.groupby(["condition", "severity", "draw"], sort=True):
        name, at, number = cast("tuple[str, float, int]", key)
        condition, severity, draw = str(name), float(at), int(number)
        noted = met[condition, draw]
        masks, realised = (noted[name] and noted[name][str(severity)] for name in ("sha256", "realised"))
        limits = np.stack([thresholds[left] for left in table["configuration"]]) if thresholds else None
        spoiled = Spoiled(_answers(table, first, labels), limits, masks, realised)
        found.setdefault(condition, {}).setdefault(severity, []).append(spoiled)
    return {
        condition: {severity: tuple(of_draws) for severity, of_draws in by_severity.items()}
        for condition, by_severity in found.items()
    }
