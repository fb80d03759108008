"""One function per command: train, evaluate, report, demo."""

import json
import os
import platform
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console

from emotiwave.config import Recipe, parse_recipe, read_recipe, shipped_recipes
from emotiwave.datasets import DATASETS
from emotiwave.datasets.synthetic import SyntheticSettings
from emotiwave.datasets.synthetic import load as make_synthetic
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, DataWarning, unknown_name
from emotiwave.evaluation.scoring import (
    constant_scores,
    optimal_predictions,
    score,
    summarise_seeds,
)
from emotiwave.features.store import write_store
from emotiwave.inference import predict
from emotiwave.metrics import AVERAGES, PER_LABEL, decide
from emotiwave.models import MODELS
from emotiwave.models.checkpoint import load_model, replace_file
from emotiwave.models.fusion import ModelSettings
from emotiwave.report.page import write_page
from emotiwave.training.fit import TrainingSummary, build, fit, is_main_process
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import BAYES_OPTIMAL, Corpus, Predictions, Score

PACKAGES = ("emotiwave", "torch", "lightning", "numpy", "scikit-learn", "pandas", "pyarrow", "safetensors")
PathLike = str | os.PathLike[str]
DEMO_EPOCHS = 20


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, which any command takes, and how training went."""

    folder: Path
    summary: TrainingSummary

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
    folder = Path(out)
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(os.fspath(recipe), overrides)
    corpus = recipe.load_corpus()
    model = build(corpus, recipe.model, recipe.training)
    if not is_main_process():  # Lightning runs the command again for every further device; the first keeps the folder
        fit(model, corpus, recipe.training, folder, resume=resume, console=console)
        raise SystemExit(0)
    if resume and (folder / "config.toml").exists():
        _check_same_run(folder, recipe, corpus)
    else:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            holds = "holds a run; go on with it by --resume" if (folder / "config.toml").exists() else "is not empty"
            raise ConfigError(f"{folder} {holds}, or choose another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "environment.json", _json(_environment(recipe, corpus)))
        replace_file(folder / "config.toml", recipe.to_toml().encode())
    summary = fit(model, corpus, recipe.training, folder, resume=resume, console=console)
    environment = _read_environment(folder) | {"training": asdict(summary)}
    replace_file(folder / "environment.json", _json(environment))
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
        EmotiwaveError: If a run is incomplete, or its data is not what it trained on.
    """
    folders = [Path(runs)] if isinstance(runs, str | os.PathLike) else [Path(run) for run in runs]
    recipes = [_read_run(folder) for folder in folders]
    _check_same_test(folders, recipes)
    corpus = recipes[0].load_corpus()
    by_label: dict[str, list[list[Score]]] = {}
    references: list[Score] = []
    for folder, recipe, label in zip(folders, recipes, _labels(recipes), strict=True):
        rows, references = _evaluate_run(folder, recipe, corpus, split)
        by_label.setdefault(label, []).append([replace(row, model=label) for row in rows])
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
    folders = [Path(runs)] if isinstance(runs, str | os.PathLike) else [Path(run) for run in runs]
    recipes = [_read_run(folder) for folder in folders]
    path = Path(out) if out is not None else folders[0] / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, write_page(dict(zip(folders, _labels(recipes), strict=True))).encode())
    return path


def demo(out: PathLike = "emotiwave-demo", *, console: Console | None = None) -> tuple[list[Score], Path]:
    """Go the whole way on a made corpus: feature store, two models, seven configurations, report.

    Args:
        out: Folder for everything; what an earlier demo finished there is used again.
        console: Where progress is shown.
    """
    folder = Path(out)
    if (
        folder.exists()
        and not (folder / "store").exists()
        and any(not f.name.startswith(".") for f in folder.iterdir())
    ):
        raise ConfigError(f"{folder} is not empty and holds no demo; choose another folder with --out")
    store = write_store(make_synthetic(SyntheticSettings()), folder / "store")
    tables = {"dataset": {"store": str(store)}}
    runs = []
    for name, dropout in (("bottleneck", 0.3), ("lstm_concat", 0.0)):
        training = TrainingSettings(epochs=DEMO_EPOCHS, learning_rate=5e-4, modality_dropout=dropout, batch_size=32)
        recipe = replace(parse_recipe(tables, source="demo"), model=ModelSettings(name=name), training=training)
        runs.append(train(recipe, out=folder / name, resume=True, console=console))
    scores = evaluate(runs)
    return scores, write_report(runs, out=folder / "report.html")


def _evaluate_run(folder: Path, recipe: Recipe, corpus: Corpus, split: str | None) -> tuple[list[Score], list[Score]]:
    """Rows of the run, and of the baselines on the same utterances; both go to ``scores.jsonl``."""
    trained_on = _read_environment(folder)["corpus"]["digest"]
    if corpus.digest != trained_on:
        raise DatasetError(
            f"{folder}: the data changed since training (content hash {trained_on[:12]}, now {corpus.digest[:12]}); "
            "restore it, or train again"
        )
    settings = recipe.evaluation if split is None else recipe.evaluation.model_copy(update={"split": split})
    predictions = predict(load_model(folder), corpus, settings.split)
    _warn_of_non_finite(settings.split, predictions.n_non_finite)
    rows = score(predictions, settings, model=recipe.model.name, dataset=corpus.name, seed=recipe.training.seed)
    references = constant_scores(predictions, settings, dataset=corpus.name)
    optimal = optimal_predictions(corpus, predictions)
    if optimal is not None:
        references += score(optimal, settings, model=BAYES_OPTIMAL, dataset=corpus.name)
    lines = [json.dumps(asdict(row)) for row in rows + references]
    replace_file(folder / "scores.jsonl", ("\n".join(lines) + "\n").encode())
    _write_predictions(predictions, folder / "predictions.parquet")
    return rows, references


def _warn_of_non_finite(where: str, counts: Mapping[str, int]) -> None:
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if found:
        warnings.warn(f"{where}: frames with NaN or infinity, taken as unobserved: {found}", DataWarning, stacklevel=3)


def _write_predictions(predictions: Predictions, path: Path) -> None:
    """One row per utterance and configuration: truth and decision by name, and every probability."""
    names, kind = predictions.label_set.names, predictions.label_set.kind
    tables = []
    for configuration in predictions.logits:
        probabilities = predictions.probabilities(configuration)
        columns: dict[str, Any] = {
            "id": predictions.ids,
            "group": predictions.groups,
            "split": [predictions.split] * len(predictions.ids),
            "configuration": [str(configuration)] * len(predictions.ids),
            "truth": _name_labels(predictions.targets > 0, names, kind),
            "decision": _name_labels(decide(probabilities, kind), names, kind),
        }
        columns |= {f"probability_{name}": probabilities[:, k] for k, name in enumerate(names)}
        tables.append(pa.table(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink)
    replace_file(path, sink.getvalue().to_pybytes())


def _name_labels(holds: Any, names: Sequence[str], kind: str) -> pa.Array:
    chosen = [[name for name, yes in zip(names, row, strict=True) if yes] for row in holds]
    if kind == "multilabel":
        return pa.array(chosen, type=pa.list_(pa.string()))
    return pa.array([row[0] for row in chosen], type=pa.string())


def _read_run(folder: Path) -> Recipe:
    if not (folder / "config.toml").exists():
        raise CheckpointError(f"{folder}: no run here (config.toml is missing); train one with `emotiwave train`")
    return read_recipe(folder / "config.toml")


def _read_environment(folder: Path) -> dict[str, Any]:
    path = folder / "environment.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); train the run again") from None


def _check_same_test(folders: Sequence[Path], recipes: Sequence[Recipe]) -> None:
    """Runs are compared on the same utterances, with the same resamples, or not at all."""
    for folder, recipe in zip(folders, recipes, strict=True):
        if _read_environment(folder)["corpus"]["digest"] != _read_environment(folders[0])["corpus"]["digest"]:
            raise ConfigError(f"{folders[0]} and {folder} were trained on different data; evaluate them one by one")
        if recipe.evaluation != recipes[0].evaluation:
            raise ConfigError(f"{folders[0]} and {folder} have different [evaluation] tables; evaluate them one by one")


def _check_same_run(folder: Path, recipe: Recipe, corpus: Corpus) -> None:
    before, now = _read_run(folder).tables(), recipe.tables()
    for table in ("dataset", "model", "training"):
        for key in sorted(before[table].keys() | now[table].keys()):
            if before[table].get(key) != now[table].get(key):
                raise ConfigError(
                    f"{folder}: the run has {table}.{key} = {before[table].get(key)!r}, the recipe "
                    f"{now[table].get(key)!r}; resume with the same recipe, or choose another folder"
                )
    if _read_environment(folder)["corpus"]["digest"] != corpus.digest:
        raise DatasetError(f"{folder}: the data changed since the run began; train into a new folder")


def _labels(recipes: Sequence[Recipe]) -> list[str]:
    """Name each run by its model, and by whatever else but the seed tells it from others of that model."""

    def flat(recipe: Recipe) -> dict[str, Any]:
        tables = recipe.tables()
        keys = {f"{t}.{k}": v for t in ("dataset", "model", "training") for k, v in tables[t].items()}
        return {key: value for key, value in keys.items() if key not in ("training.seed", "model.name")}

    described = [(recipe.model.name, flat(recipe)) for recipe in recipes]
    labels = []
    for name, keys in described:
        namesakes = [other for other_name, other in described if other_name == name]
        differing = [k for k in sorted(keys) if any(other.get(k) != keys[k] for other in namesakes)]
        detail = ", ".join(f"{key.split('.', 1)[1]}={keys[key]}" for key in differing)
        labels.append(f"{name} ({detail})" if detail else name)
    return labels


def _environment(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    splits = Counter(utterance.split for utterance in corpus.utterances)
    groups = {split: len({u.group for u in corpus.utterances if u.split == split}) for split in splits}
    return {
        "corpus": {
            "name": corpus.name,
            "task": corpus.task,
            "licence": corpus.licence,
            "digest": corpus.digest,
            "label_set": asdict(corpus.label_set),
            "splits": {split: {"utterances": n, "groups": groups[split]} for split, n in splits.items()},
            "modalities": {
                name: {"features": sequence.size, "utterances": len(sequence.ids), "frames": len(sequence.values)}
                for name, sequence in corpus.sequences.items()
            },
        },
        "seed": recipe.training.seed,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, default=dict).encode() + b"\n"


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


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
