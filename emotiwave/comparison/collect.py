"""Reads the cells of a grid, or run folders, and compares them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emotiwave.comparison.answers import read_answers
from emotiwave.comparison.cell import Cell, CellResult, cells_of, read_cell
from emotiwave.comparison.recipe import Comparison
from emotiwave.comparison.same_data import check_same_data, say_versions
from emotiwave.config import Recipe
from emotiwave.errors import CheckpointError, ConfigError
from emotiwave.evaluation.comparison import CorpusComparison, Cost, Method
from emotiwave.evaluation.paired import Answered, best_constant, compare_methods
from emotiwave.metrics import HEADLINE
from emotiwave.references import REFERENCES
from emotiwave.run_folder import data_digest, label_runs, read_environment, read_run
from emotiwave.types import BAYES_OPTIMAL

AS_GIVEN = "Runs as they were given; how their settings were fixed is not known here."


def collect_grid(comparison: Comparison, root: Path) -> CorpusComparison:
    """Compare the methods of a grid whose cells are all done; those that failed are rows without scores.

    Raises:
        CheckpointError: If a cell is not done, or damaged.
        ConfigError: If every method failed.
        DatasetError: If cells are not of the same data.
    """
    check_same_data(comparison, root, {})
    settings = comparison.settings
    answered: dict[str, list[Answered]] = {}
    rows: list[Method] = []
    warned: dict[str, list[str]] = {}
    grid = cells_of(comparison, root)
    for name, cells in grid.items():
        results = [_done(cell) for cell in cells]
        failures = [result.failure for result in results if result.failure is not None]
        rows.append(_row(cells, results, failures))
        for warning in dict.fromkeys(warning for result in results for warning in result.warnings):
            warned.setdefault(warning, []).append(name)
        if not failures:
            answered[name] = [_read(cell) for cell in cells]
    if not answered:
        raise ConfigError(f"{comparison.name}: every method failed; the first: {rows[0].failure}")
    recipe = comparison.recipe(comparison.methods[0], comparison.folds[0], settings.seeds[0])
    folders = [cell.folder for cell in grid[next(iter(answered))]]
    return _compare(
        comparison.name,
        answered,
        rows,
        recipe=recipe,
        resamples=settings.resamples,
        anchor=settings.anchor,
        metric=settings.metric,
        procedure=settings.procedure,
        notes=[
            *settings.notes,
            *(f"{'all methods' if len(of) == len(grid) else ', '.join(of)}: {told}" for told, of in warned.items()),
            *say_versions([cell.folder for name in answered for cell in grid[name]]),
        ],
        seeds=settings.seeds,
        folds=settings.folds,
        digests=[data_digest(folder) for folder in folders],
        bounds=[method.name for method in comparison.methods if method.reference == BAYES_OPTIMAL],
    )


def collect_runs(folders: Sequence[Path]) -> CorpusComparison:
    """Compare evaluated run folders: those that differ by their seed only are one method, the first one the anchor.

    Raises:
        CheckpointError: If a run is not evaluated, or damaged.
        DatasetError: If they are not of the same utterances with the same seeds; the difference is listed.
        ConfigError: If there is one method only, or a run is named twice.
    """
    recipes = {folder: read_run(folder) for folder in folders}
    if len({folder.resolve() for folder in recipes}) < len(folders):
        raise ConfigError(f"a run is named twice: {', '.join(map(str, folders))}")
    labels = label_runs(recipes)
    by_label: dict[str, list[Path]] = {}
    for folder, label in labels.items():
        by_label.setdefault(label, []).append(folder)
    if len(by_label) < 2:
        raise ConfigError(
            f"{', '.join(map(str, folders))}: one method only ({next(iter(by_label))}); name runs of two or more"
        )
    answered = {
        label: [read_answers(folder, seed=recipes[folder].training.seed) for folder in of_label]
        for label, of_label in by_label.items()
    }
    answered, left_out = _in_common(answered)
    for label, several in answered.items():
        seeds = [one.seed for one in several]
        if len(set(seeds)) < len(seeds):
            raise ConfigError(f"{label}: several runs with the same seed; name one of them")
    rows = [Method(label, _cost_of_runs(of_label, recipes)) for label, of_label in by_label.items()]
    digests = list(dict.fromkeys(data_digest(folder) for folder in folders))
    notes = ["The runs were trained on different data; only the test utterances are the same."] if digests[1:] else []
    notes += left_out
    notes += _say_thresholds(answered)
    notes += say_versions(list(folders))
    return _compare(
        " and ".join(dict.fromkeys(one.corpus for several in answered.values() for one in several)),
        answered,
        rows,
        recipe=recipes[folders[0]],
        resamples=10_000,
        anchor=labels[folders[0]],
        metric=HEADLINE,
        procedure=AS_GIVEN,
        notes=notes,
        seeds=sorted({recipe.training.seed for recipe in recipes.values()}),
        folds=(),
        digests=digests,
    )


def _in_common(answered: Mapping[str, list[Answered]]) -> tuple[dict[str, list[Answered]], list[str]]:
    """Keep the conditions that all runs were evaluated under, and say which are left out."""
    every = [one for several in answered.values() for one in several]
    common = set.intersection(*(set(one.under) for one in every))
    others = sorted({condition for one in every for condition in one.under} - common)
    kept = {
        label: [replace(one, under={c: of for c, of in one.under.items() if c in common}) for one in several]
        for label, several in answered.items()
    }
    return kept, [f"Not all runs were evaluated under {', '.join(others)}, which is left out."] if others else []


def _say_thresholds(answered: Mapping[str, Sequence[Answered]]) -> list[str]:
    """Say which methods had thresholds tuned, where others had not."""
    tuned = [one.place for several in answered.values() for one in several if one.thresholds]
    if len(tuned) in (0, sum(map(len, answered.values()))):
        return []
    labels = [label for label, several in answered.items() if any(one.thresholds for one in several)]
    of = "; ".join(labels)
    return [f"Thresholds were tuned on validation in {len(tuned)} runs only, of {of}; the others decide by fixed ones."]


def _compare(
    name: str,
    answered: Mapping[str, Sequence[Answered]],
    rows: Iterable[Method],
    *,
    recipe: Recipe,
    resamples: int,
    anchor: str,
    metric: str,
    procedure: str,
    notes: Sequence[str],
    seeds: Sequence[int],
    folds: Sequence[int],
    digests: Sequence[str],
    bounds: Sequence[str] = (),
) -> CorpusComparison:
    first = next(iter(answered.values()))
    settings = recipe.evaluation.model_copy(update={"bootstrap": resamples})
    compared = compare_methods(answered, anchor=anchor, metric=metric, settings=settings, bounds=bounds)
    of_folds = {one.fold: one for one in first}
    modalities = max((name.split("+") for name in first[0].answers), key=len)
    task = recipe.tables()["dataset"].get("task", first[0].label_set.kind)
    return CorpusComparison(
        name=name,
        corpus=first[0].corpus,
        task=str(task),
        split=first[0].split,
        metric=metric,
        n=compared.n,
        n_groups=compared.n_groups,
        digests=tuple(dict.fromkeys(digests)),
        seeds=tuple(seeds),
        folds=tuple(folds),
        modalities=tuple(modalities),
        places=compared.places,
        anchor=anchor,
        procedure=procedure,
        notes=tuple(notes),
        confidence=settings.confidence,
        resamples=resamples,
        constant=best_constant(list(of_folds.values()), metric),
        methods=tuple(rows),
        scores=compared.scores,
        differences=compared.differences,
        curves=compared.curves,
    )


def _done(cell: Cell) -> CellResult:
    result = read_cell(cell)
    if result is None:
        raise CheckpointError(f"{cell.folder}: not done yet; run the same comparison again to go on")
    return result


def _read(cell: Cell) -> Answered:
    is_seeded = len(cell.comparison.seeds_of(cell.method)) > 1 or cell.method.reference is None
    return read_answers(cell.folder, seed=cell.seed if is_seeded else None, fold=cell.fold)


def _row(cells: Sequence[Cell], results: Sequence[CellResult], failures: Sequence[str]) -> Method:
    method = cells[0].method
    if failures:
        more = f" (and {len(failures) - 1} more of {len(cells)} runs)" if failures[1:] else ""
        return Method(method.name, None, failure=failures[0] + more)
    cost = Cost(
        n_parameters=results[0].n_parameters,
        step_ms=_median(result.step_ms for result in results),
        seconds=_median(result.seconds for result in results),
        peak_mb=max((result.peak_mb for result in results if result.peak_mb is not None), default=None),
        mode=_mode(cells[0].comparison.recipe(method, cells[0].fold, cells[0].seed))
        if method.reference is None
        else REFERENCES[method.reference].mode,
    )
    chosen = "; ".join(dict.fromkeys(", ".join(result.chosen) for result in results if result.chosen))
    return Method(method.name, cost, chosen=chosen or None)


def _cost_of_runs(folders: Sequence[Path], recipes: Mapping[Path, Recipe]) -> Cost:
    environments: list[dict[str, Any]] = [read_environment(folder) for folder in folders]
    seconds = [_training_seconds(folder) for folder in folders]
    training = environments[0].get("training", {})
    return Cost(
        n_parameters=training.get("n_parameters"),
        step_ms=None,
        seconds=_median(seconds),
        peak_mb=None,
        mode=_mode(recipes[folders[0]]),
    )


def _training_seconds(folder: Path) -> float:
    try:
        return float(np.sum(np.asarray(pd.read_csv(folder / "history.csv")["seconds"], dtype=np.float64)))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder / 'history.csv'}: cannot be read ({error}); train the run again") from None


def _mode(recipe: Recipe) -> str:
    """Say which configurations a training step fuses, and of how many utterances."""
    training = recipe.training
    if training.configurations == "all":
        fused = "every configuration"
    elif training.modality_dropout:
        fused = f"one configuration per {training.modality_dropout_per}, modality dropout {training.modality_dropout:g}"
    else:
        fused = "each utterance with all it has, no modality dropout"
    evidence = recipe.model.evidence
    context = (
        "" if evidence is None or evidence.context is None else f"; sees neighbours ({evidence.context}), unlabelled"
    )
    return f"{fused}; {training.batch_size} utterances a step, model size {recipe.model.size}{context}"


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
