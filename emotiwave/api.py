"""One function per command: train, evaluate, write_report, demo, list_names."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from emotiwave.config import Recipe, parse_recipe, read_recipe, shipped_recipes
from emotiwave.datasets import DATASETS
from emotiwave.datasets.synthetic import SyntheticSettings
from emotiwave.datasets.synthetic import load as make_synthetic
from emotiwave.errors import CheckpointError, ConfigError, DataWarning, EmotiwaveError, unknown_name
from emotiwave.evaluation.scoring import constant_scores, optimal_predictions, score, summarise_seeds
from emotiwave.features.store import write_store
from emotiwave.inference import predict
from emotiwave.metrics import AVERAGES, PER_LABEL
from emotiwave.models import MODELS
from emotiwave.models.checkpoint import load_model, replace_file
from emotiwave.models.fusion import ModelSettings
from emotiwave.report.page import write_page
from emotiwave.run_folder import (
    begin_run,
    check_comparable,
    check_same_data,
    check_same_run,
    discard_run,
    finish_run,
    go_on_with_run,
    holds_run,
    is_finished,
    label_runs,
    read_run,
    write_predictions,
    write_scores,
)
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import BAYES_OPTIMAL, Corpus, Score

if TYPE_CHECKING:
    from emotiwave.training.fit import TrainingSummary

PathLike = str | os.PathLike[str]
DEMO_EPOCHS = 20


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, which any command takes, and how training went."""

    folder: Path
    summary: "TrainingSummary"

    def __fspath__(self) -> str:
        return str(self.folder)


def train(
    recipe: PathLike | Recipe,
    *,
    out: PathLike,
    overrides: Iterable[str] = (),
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a recipe into a run folder.

    Args:
        recipe: A recipe file, the name of a shipped recipe, or a recipe.
        out: The run folder; must be new or empty unless ``resume``.
        overrides: ``TABLE.KEY=VALUE`` strings.
        resume: Go on after the last finished epoch in ``out``.
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If the recipe, the data or the folder cannot be used.
        KeyboardInterrupt: If the user stops it; ``resume`` goes on.
        SystemExit: In the processes that Lightning starts for further devices, when training is over.
    """
    from emotiwave.training.fit import build, fit, is_main_process  # Lightning takes seconds; only training pays

    if isinstance(overrides, str):
        raise ConfigError(f"overrides must be a list of TABLE.KEY=VALUE strings; got {overrides!r}")
    folder = Path(out)
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(os.fspath(recipe), overrides)
    corpus = recipe.load_corpus()
    model = build(corpus, recipe.model, recipe.training)
    if not is_main_process():  # Lightning runs the command again for every further device; the first keeps the folder
        fit(model, corpus, recipe.training, folder, resume=resume, console=console)
        raise SystemExit(0)
    if resume and holds_run(folder):
        check_same_run(folder, recipe, corpus)
        go_on_with_run(folder, recipe)
    else:
        if resume:
            warnings.warn(f"nothing to resume in {folder}; a new run begins there", DataWarning, stacklevel=2)
        begin_run(folder, recipe, corpus)
    try:
        summary = fit(model, corpus, recipe.training, folder, resume=resume, console=console)
    except EmotiwaveError:
        discard_run(folder)
        raise
    finish_run(folder, summary)
    _warn_of_non_finite("training", summary.n_non_finite)
    return Run(folder, summary)


def evaluate(runs: PathLike | Sequence[PathLike], *, split: str | None = None) -> list[Score]:
    """Score runs in every modality configuration, beside the baselines.

    Writes ``scores.jsonl`` and ``predictions.parquet`` into each run. Runs that differ by their seed only are
    followed by rows with the mean and standard deviation over them.

    Args:
        runs: One run folder or several, of one corpus.
        split: Instead of the recipe's ``evaluation.split``.

    Raises:
        EmotiwaveError: If a run is incomplete, its data is not what it trained on, or runs cannot be compared.
    """
    recipes = _read_runs(runs)
    check_comparable(recipes)
    corpus = next(iter(recipes.values())).load_corpus()
    labels = label_runs(recipes)
    _check_seeds(recipes, labels)
    by_label: dict[str, list[list[Score]]] = {}
    references: list[Score] = []
    for folder, recipe in recipes.items():
        rows, references = _evaluate_run(folder, recipe, corpus, split)
        by_label.setdefault(labels[folder], []).append([replace(row, model=labels[folder]) for row in rows])
    scores = [row for runs_of_model in by_label.values() for rows in runs_of_model for row in rows]
    for runs_of_model in by_label.values():
        if len(runs_of_model) > 1:
            scores += summarise_seeds(runs_of_model)
    return scores + references


def write_report(runs: PathLike | Sequence[PathLike], *, out: PathLike | None = None) -> Path:
    """Write one self-contained HTML page about evaluated runs; by default ``report.html`` in the first run.

    Raises:
        EmotiwaveError: If a run was not evaluated yet.
    """
    labels = label_runs(_read_runs(runs))
    path = Path(out) if out is not None else next(iter(labels)) / "report.html"
    page = write_page(labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page.encode())
    return path


def demo(out: PathLike = "emotiwave-demo", *, console: Console | None = None) -> tuple[list[Score], Path]:
    """Go the whole way on a made corpus: feature store, two models, seven configurations, report.

    Args:
        out: Folder for everything; what an earlier demo finished there is used again.
        console: Where progress is shown.
    """
    folder = Path(out)
    if folder.exists() and not (folder / "store").exists() and any(f.name[0] != "." for f in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and holds no demo; choose another folder with --out")
    store = write_store(make_synthetic(SyntheticSettings()), folder / "store")
    runs = []
    for name, dropout in (("bottleneck", 0.3), ("lstm_concat", 0.0)):
        recipe = replace(
            parse_recipe({"dataset": {"store": str(store)}}, source="demo"),
            model=ModelSettings(name=name),
            training=TrainingSettings(
                epochs=DEMO_EPOCHS, learning_rate=5e-4, modality_dropout=dropout, batch_size=32, accelerator="cpu"
            ),
        )
        runs.append(train(recipe, out=folder / name, resume=holds_run(folder / name), console=console))
    scores = evaluate(runs)
    return scores, write_report(runs, out=folder / "report.html")


def list_names(kind: str) -> dict[str, str]:
    """Name what can be used, each with a line about it.

    Raises:
        ConfigError: If there is nothing of that kind to list.
    """
    listings = {
        "models": {name: _first_line(model) for name, model in MODELS.items()},
        "datasets": {name: _first_line(import_module(dataset.load.__module__)) for name, dataset in DATASETS.items()},
        "metrics": {name: _first_line(metric) for name, metric in (AVERAGES | PER_LABEL).items()},
        "recipes": {name: _first_comment(path) for name, path in shipped_recipes().items()},
    }
    if kind not in listings:
        raise ConfigError(unknown_name("listing", kind, listings))
    return listings[kind]


def _read_runs(runs: PathLike | Sequence[PathLike]) -> dict[Path, Recipe]:
    folders = [runs] if isinstance(runs, str | os.PathLike) else runs
    recipes = {Path(folder): read_run(Path(folder)) for folder in folders}
    if len({folder.resolve() for folder in recipes}) < len(folders):
        raise ConfigError(f"a run is named twice: {', '.join(map(str, folders))}")
    if not recipes:
        raise ConfigError("no run was named; give at least one run folder")
    return recipes


def _check_seeds(recipes: Mapping[Path, Recipe], labels: Mapping[Path, str]) -> None:
    """A mean over seeds takes each seed once."""
    seen: dict[tuple[str, int], Path] = {}
    for folder, recipe in recipes.items():
        first = seen.setdefault((labels[folder], recipe.training.seed), folder)
        if first != folder:
            raise ConfigError(f"{first} and {folder} are the same recipe with the same seed; name one of them")


def _evaluate_run(folder: Path, recipe: Recipe, corpus: Corpus, split: str | None) -> tuple[list[Score], list[Score]]:
    """Rows of the run, and of the baselines on the same utterances; both go to ``scores.jsonl``."""
    check_same_data(folder, corpus)
    settings = recipe.evaluation if split is None else recipe.evaluation.model_copy(update={"split": split})
    model = load_model(folder)
    if model.spec.settings != recipe.model:
        raise CheckpointError(
            f"{folder}: model.json describes {model.spec.settings.name!r} of size {model.spec.settings.size!r}, "
            f"config.toml {recipe.model.name!r} of size {recipe.model.size!r}; the model is of another run"
        )
    if not is_finished(folder):
        warnings.warn(
            f"{folder}: training is not finished; the scores are of its best epoch so far", DataWarning, stacklevel=3
        )
    if recipe.training.patience and settings.split == recipe.training.selection_split:
        warnings.warn(
            f"{folder}: {settings.split!r} chose this model, so its scores flatter", DataWarning, stacklevel=3
        )
    predictions = predict(model, corpus, settings.split)
    _warn_of_non_finite(settings.split, predictions.n_non_finite)
    rows = score(predictions, settings, model=recipe.model.name, dataset=corpus.name, seed=recipe.training.seed)
    references = constant_scores(predictions, settings, dataset=corpus.name)
    optimal = optimal_predictions(corpus, predictions)
    if optimal is not None:
        references += score(optimal, settings, model=BAYES_OPTIMAL, dataset=corpus.name)
    write_scores(rows + references, folder)
    write_predictions(predictions, folder)
    return rows, references


def _warn_of_non_finite(where: str, counts: Mapping[str, int]) -> None:
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if found:
        warnings.warn(f"{where}: frames with NaN or infinity, taken as unobserved: {found}", DataWarning, stacklevel=3)


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
