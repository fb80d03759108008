"""Runs the cells of a comparison in a process of their own: trains, answers the test utterances, notes the cost."""

import math
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from emotiwave.api.evaluating import evaluate
from emotiwave.api.spoiled_media import checked_conditions, spoiling
from emotiwave.api.training import train
from emotiwave.calibration import fit_thresholds
from emotiwave.comparison.cell import Cell, CellResult, cells_of, read_cell, write_cell
from emotiwave.comparison.recipe import Comparison, Method
from emotiwave.config import Recipe
from emotiwave.errors import DataWarning, EmotiwaveError, TrainingError
from emotiwave.evaluation.under_conditions import answer_under_conditions
from emotiwave.references import REFERENCES
from emotiwave.run_folder import begin_results, holds_run, read_environment
from emotiwave.run_results import note_choice, write_conditions, write_predictions, write_thresholds
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import Corpus, Predictions


def use_one_thread() -> None:
    """Begin a worker process: the cells that run at once share the cores."""
    torch.set_num_threads(1)


def run_method(comparison: Comparison, method: Method, root: Path) -> None:
    """Run the cells of a method that are not done yet, one after the other; each leaves ``cell.json``."""
    for cell in cells_of(comparison, root)[method.name]:
        if read_cell(cell) is None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DataWarning)
                result = _run(cell)
            told = [str(warning.message) for warning in caught if issubclass(warning.category, DataWarning)]
            write_cell(cell, replace(result, warnings=tuple(dict.fromkeys(_without_folder(cell, of) for of in told))))


def _run(cell: Cell) -> CellResult:
    try:
        return _run_model(cell) if cell.method.reference is None else _run_reference(cell)
    except EmotiwaveError as error:  # such as a loss that diverged: a row of the table says so
        failure = f"{_say_repeat(cell)}: {_without_folder(cell, str(error))}"
        return CellResult(key=cell.key, failure=failure, final=isinstance(error, TrainingError))


def _without_folder(cell: Cell, told: str) -> str:
    return told.replace(f"{cell.folder}: ", "").replace(f"{cell.root}/", "")


def _run_model(cell: Cell) -> CellResult:
    chosen = _choose(cell)
    recipe = cell.comparison.recipe(cell.method, cell.fold, cell.seed, chosen)
    score, seconds = _train(recipe, cell.folder)
    if chosen:
        note_choice(cell.folder, recipe.training.selection_split, cell.comparison.settings.candidates, chosen)
    evaluate(cell.folder, masks=cell.masks if recipe.evaluation.conditions else None)
    environment = read_environment(cell.folder)
    n_steps = math.ceil(environment["corpus"]["splits"]["train"]["utterances"] / recipe.training.batch_size)
    return CellResult(
        key=cell.key,
        failure=None,
        validation_score=score,
        n_parameters=environment["training"]["n_parameters"],
        step_ms=1e3 * statistics.median(seconds) / n_steps,
        seconds=sum(seconds),
        peak_mb=peak_megabytes(),
        threads=torch.get_num_threads(),
        chosen=tuple(chosen),
    )


def _choose(cell: Cell) -> Sequence[str]:
    """Take the candidate with the best validation score: the first seed tries them, the others take over its choice."""
    candidates, first = cell.comparison.settings.candidates, cell.comparison.settings.seeds[0]
    if not candidates:
        return ()
    if cell.seed != first:
        before = read_cell(Cell(cell.comparison, cell.method, cell.fold, first, cell.root))
        if before is None or before.failure is not None:
            raise EmotiwaveError(f"the candidates of seed {first} failed, so nothing was chosen")
        return before.chosen
    scores: list[float] = []
    for number, candidate in enumerate(candidates):
        recipe = cell.comparison.recipe(cell.method, cell.fold, cell.seed, candidate)
        try:
            score, _ = _train(recipe, cell.candidate_folder(number))
        except TrainingError:  # it diverged, so it loses; if all do, the training of the first says so
            score = None
        scores.append(-1.0 if score is None else score)
    return candidates[int(np.argmax(scores))]


def _train(recipe: Recipe, folder: Path) -> tuple[float | None, list[float]]:
    """Train, or go on; the validation score of the weights that are kept, and the seconds of each epoch."""
    run = train(recipe, out=folder, resume=holds_run(folder), console=Console(quiet=True))
    history = pd.read_csv(folder / "history.csv")
    epoch = run.summary.best_epoch if recipe.training.patience else run.summary.n_epochs
    score = float(np.asarray(history["validation_score"])[epoch - 1])
    return (None if math.isnan(score) else score), history["seconds"].tolist()


def _run_reference(cell: Cell) -> CellResult:
    recipe = cell.comparison.recipe(cell.method, cell.fold, cell.seed)
    reference = REFERENCES[str(cell.method.reference)]
    corpus = without_unlearnable(recipe.load_corpus())
    conditions = [
        condition
        for condition in checked_conditions(recipe.evaluation, recipe, corpus)
        if reference.reads_features or condition.of.of_several  # what is missing leaves a configuration
    ]
    start = time.perf_counter()
    learned_from = recipe.without_scored_targets(corpus)
    fitted = reference.fit(learned_from, reference.settings.model_validate(cell.method.settings), cell.seed)
    seconds = time.perf_counter() - start
    thresholds = None
    if recipe.evaluation.thresholds == "validation":
        thresholds = fit_thresholds(fitted.predict(corpus, recipe.training.selection_split))
    begin_results(cell.folder, recipe, corpus)
    predictions = fitted.predict(corpus, recipe.evaluation.split)
    write_predictions(predictions, cell.folder, thresholds, dataset=corpus.name)
    write_thresholds(thresholds, cell.folder)
    complete = max(predictions.logits, key=lambda c: len(c.modalities))

    def answer(changed: Corpus) -> Predictions:
        said = fitted.predict(changed, recipe.evaluation.split)
        return replace(said, logits={complete: said.logits[complete]})

    settings = recipe.evaluation.model_copy(update={"masks": cell.masks})
    with spoiling(recipe, corpus, predictions.ids, settings) as spoil_signals:
        answered, met = answer_under_conditions(
            conditions,
            corpus,
            predictions,
            answer,
            settings,
            folder=cell.masks,
            sees_neighbours=reference.sees_neighbours,
            spoil_signals=spoil_signals,
        )
    write_conditions((), answered, met, cell.folder, thresholds, dataset=corpus.name)
    return CellResult(
        key=cell.key,
        failure=None,
        n_parameters=fitted.n_parameters,
        step_ms=1e3 * seconds / fitted.n_steps if fitted.n_steps else None,
        seconds=seconds,
        peak_mb=peak_megabytes(),
        threads=torch.get_num_threads(),
    )


def peak_megabytes() -> float | None:
    """Most resident memory that this process has had; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    fields: dict[str, Any] = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return float(fields["VmHWM"].split()[0]) / 1024 if "VmHWM" in fields else None


def _say_repeat(cell: Cell) -> str:
    return f"seed {cell.seed}" if cell.fold is None else f"fold {cell.fold}, seed {cell.seed}"
