"""A run is a folder: the recipe, what it ran on, the model, its history, its scores. This reads and writes it."""

import json
import platform
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import TypeAdapter, ValidationError

from emotiwave.calibration import Thresholds, has_thresholds
from emotiwave.cautions import cautions
from emotiwave.config import Recipe, read_recipe
from emotiwave.errors import CheckpointError, ConfigError, DatasetError
from emotiwave.files import replace_file
from emotiwave.metrics.counts import decide
from emotiwave.models import MODELS
from emotiwave.models.checkpoint import read_description
from emotiwave.models.encoders import choose_encoder
from emotiwave.models.fusion import ModelSettings
from emotiwave.report.card import Facts, draw_card
from emotiwave.report.read import Environment
from emotiwave.types import Corpus, LabelSet, Predictions, Score

if TYPE_CHECKING:
    from emotiwave.training.fit import TrainingSummary

PACKAGES = ("emotiwave", "torch", "lightning", "numpy", "scikit-learn", "pandas", "pyarrow", "safetensors")
_SCORE = TypeAdapter(Score)


def holds_run(folder: Path) -> bool:
    """Whether a run was begun here."""
    return (folder / "config.toml").exists()


def begin_run(folder: Path, recipe: Recipe, corpus: Corpus) -> None:
    """Make a run folder and note what is going to be trained on what.

    Raises:
        ConfigError: If the folder is not new or empty.
    """
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_environment(folder, _describe(recipe, corpus))
    replace_file(folder / "config.toml", recipe.to_toml().encode())


def check_free(folder: Path) -> None:
    """Refuse a folder for a new run that holds something.

    Raises:
        ConfigError: If the folder is not new or empty.
    """
    if folder.exists() and (not folder.is_dir() or any(not _is_leftover(file) for file in folder.iterdir())):
        holds = "holds a run; go on with it by --resume" if holds_run(folder) else "is not empty; empty it"
        raise ConfigError(f"{folder} {holds}, or choose another folder by --out")


def go_on_with_run(folder: Path, recipe: Recipe) -> None:
    """Take the recipe's way of evaluating, and drop the scores of an unfinished model."""
    replace_file(folder / "config.toml", recipe.to_toml().encode())
    if not is_finished(folder):
        for name in ("scores.jsonl", "predictions.parquet", "thresholds.json", "report.html", "README.md"):
            (folder / name).unlink(missing_ok=True)


def discard_run(folder: Path) -> None:
    """Take back `begin_run` where no epoch was finished, so that a corrected recipe may use the folder."""
    if not (folder / "last.ckpt").exists():
        for name in ("config.toml", "environment.json"):
            (folder / name).unlink(missing_ok=True)


def is_finished(folder: Path) -> bool:
    """Whether training came to its end."""
    return "training" in read_environment(folder)


def finish_run(folder: Path, summary: "TrainingSummary") -> None:
    """Note how the training went."""
    _write_environment(folder, read_environment(folder) | {"training": asdict(summary)})


def read_run(folder: Path) -> Recipe:
    """Read the complete recipe of a run.

    Raises:
        CheckpointError: If there is no run.
    """
    if not holds_run(folder):
        raise CheckpointError(f"{folder}: no run here (config.toml is missing); train one with `emotiwave train`")
    return read_recipe(folder / "config.toml")


def read_environment(folder: Path) -> dict[str, Any]:
    """Read what a run trained on, and with what.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    path = folder / "environment.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); train the run again") from None


def check_same_run(folder: Path, recipe: Recipe, corpus: Corpus) -> None:
    """Refuse to resume a run with another recipe or other data.

    Raises:
        ConfigError: The first key that differs is named.
        DatasetError: If the content of the data differs.
    """
    before, now = _read_tables(folder / "config.toml"), recipe.tables()
    for table in ("dataset", "model", "training"):
        for key in sorted(before.get(table, {}).keys() | now[table].keys()):
            if before.get(table, {}).get(key) != now[table].get(key):
                raise ConfigError(
                    f"{folder}: the run has {table}.{key} = {before.get(table, {}).get(key)!r}, the recipe "
                    f"{now[table].get(key)!r}; resume with the same recipe, or choose another folder"
                )
    if data_digest(folder) != corpus.digest:
        raise DatasetError(f"{folder}: the data changed since the run began; train into a new folder")


def check_same_data(folder: Path, corpus: Corpus) -> None:
    """Refuse to evaluate a run on other data than it trained on.

    Raises:
        DatasetError: Both content hashes are named.
    """
    if data_digest(folder) != corpus.digest:
        raise DatasetError(
            f"{folder}: the data changed since training (content hash {data_digest(folder)[:12]}, now "
            f"{corpus.digest[:12]}); restore it, or train again"
        )


def check_comparable(recipes: Mapping[Path, Recipe]) -> None:
    """Compare runs on the same utterances, with the same resamples, or not at all.

    Raises:
        ConfigError: The two runs that differ are named.
    """
    (first, expected), *others = recipes.items()
    for folder, recipe in others:
        if data_digest(folder) != data_digest(first):
            raise ConfigError(f"{first} and {folder} were trained on different data; evaluate them one by one")
        if recipe.evaluation != expected.evaluation:
            raise ConfigError(f"{first} and {folder} have different [evaluation] tables; evaluate them one by one")


def data_digest(folder: Path) -> str:
    """Content hash of the corpus that a run trained on.

    Raises:
        CheckpointError: If the run does not say.
    """
    try:
        return str(read_environment(folder)["corpus"]["digest"])
    except (KeyError, TypeError):
        raise CheckpointError(
            f"{folder / 'environment.json'}: no content hash of the data; train the run again"
        ) from None


def check_same_model(folder: Path, settings: ModelSettings, recipe: Recipe) -> None:
    """Refuse a model of another run.

    Raises:
        CheckpointError: If the settings of the model are not those of the recipe; both models are named.
    """
    if settings != recipe.model:
        raise CheckpointError(
            f"{folder}: model.json describes {settings.name!r} of size {settings.size!r}, "
            f"config.toml {recipe.model.name!r} of size {recipe.model.size!r}; the model is of another run"
        )


def label_runs(recipes: Mapping[Path, Recipe]) -> dict[Path, str]:
    """Name each run by its model, and by whatever else but the seed tells it from others of that model."""
    described = {folder: (recipe.model.name, _flat(recipe)) for folder, recipe in recipes.items()}
    labels = {}
    for folder, (name, keys) in described.items():
        namesakes = [other for other_name, other in described.values() if other_name == name]
        differing = [
            key
            for key in sorted({key for other in namesakes for key in other})
            if any(other.get(key) != keys.get(key) for other in namesakes)
        ]
        detail = ", ".join(f"{key.split('.', 1)[1]}={keys.get(key)}" for key in differing)
        labels[folder] = f"{name} ({detail})" if detail else name
    return labels


def write_scores(scores: Sequence[Score], folder: Path) -> None:
    """Write ``scores.jsonl``, one row a line."""
    lines = [json.dumps(asdict(row)) for row in scores]
    replace_file(folder / "scores.jsonl", ("\n".join(lines) + "\n").encode())


def write_predictions(
    predictions: Predictions, folder: Path, thresholds: Thresholds | None = None, *, dataset: str
) -> None:
    """Write ``predictions.parquet``: a row per utterance and configuration with truth, decision and answers.

    Columns ``probability_NAME``, and truth and decision as class names; of continuous labels ``value_NAME``, and truth
    and decision as lists of values, the decision clipped to the ranges. ``dataset`` is the name of the corpus.
    """
    labels = predictions.label_set
    tuned = thresholds.by_configuration if thresholds else {}
    column = "value" if labels.kind == "continuous" else "probability"
    tables = []
    for configuration in predictions.logits:
        answers = predictions.answers(configuration)
        columns: dict[str, Any] = {
            "id": predictions.ids,
            "group": predictions.groups,
            "dataset": [dataset] * len(predictions.ids),
            "split": [predictions.split] * len(predictions.ids),
            "configuration": [str(configuration)] * len(predictions.ids),
            "truth": _label_column(predictions.targets, labels),
            "decision": _label_column(_decisions(answers, labels, tuned.get(configuration)), labels),
        }
        columns |= {f"{column}_{name}": answers[:, k] for k, name in enumerate(labels.names)}
        tables.append(pa.table(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink)
    replace_file(folder / "predictions.parquet", sink.getvalue().to_pybytes())


def write_thresholds(thresholds: Thresholds | None, folder: Path) -> None:
    """Write ``thresholds.json``, those that decided; without tuned ones, drop the file of an earlier evaluation."""
    if thresholds is None:
        (folder / "thresholds.json").unlink(missing_ok=True)
        return
    named = [(k, name) for k, name in enumerate(thresholds.label_set.names) if has_thresholds(thresholds.label_set)[k]]
    described = {
        "split": thresholds.split,
        "n": thresholds.n,
        "objective": "f1",
        "thresholds": {
            str(configuration): {name: float(row[k]) for k, name in named}
            for configuration, row in thresholds.by_configuration.items()
        },
    }
    replace_file(folder / "thresholds.json", json.dumps(described, indent=1).encode() + b"\n")


def read_card_facts(folder: Path) -> Facts:
    """Read what the card of a run tells.

    Raises:
        CheckpointError: If a file of the run is missing or damaged.
    """
    description, tables = read_description(folder), _read_tables(folder / "config.toml")
    environment = _read_checked_environment(folder)
    chosen = dict(MODELS[description.settings.name].default_encoders()) | description.settings.encoders
    encoders = {name: choose_encoder(name, chosen.get(name, "features")).name for name in description.sizes}
    return Facts(environment, tables, encoders, description.parts, _read_scores(folder / "scores.jsonl"))


def write_card(folder: Path) -> None:
    """Write ``README.md``, the card of the model, of what the run folder holds now.

    Raises:
        CheckpointError: If a file of the run is missing or damaged.
    """
    replace_file(folder / "README.md", draw_card(read_card_facts(folder)).encode())


def read_cautions(folder: Path) -> list[str]:
    """Read what is questionable about a run, in a sentence each.

    Raises:
        CheckpointError: If ``environment.json`` is missing or damaged.
    """
    return _read_checked_environment(folder).cautions


def _read_checked_environment(folder: Path) -> Environment:
    try:
        return Environment.model_validate(read_environment(folder))
    except ValidationError as error:
        raise CheckpointError(f"{folder / 'environment.json'}: {_problem(error)}; train the run again") from None


def _read_scores(path: Path) -> list[Score]:
    if not path.exists():
        return []
    try:
        return [_SCORE.validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        why = _problem(error) if isinstance(error, ValidationError) else error
        raise CheckpointError(f"{path}: cannot be read ({why}); run `emotiwave evaluate {path.parent}` again") from None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _is_leftover(file: Path) -> bool:
    """Whether a process that died while it made a run folder left this."""
    return file.name == "environment.json" or (file.name.startswith(".") and file.name.endswith(".tmp"))


def _read_tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); train the run again") from None


def _decisions(answers: Any, labels: LabelSet, thresholds: Any) -> Any:
    return answers if labels.kind == "continuous" else decide(answers, labels, thresholds)


def _label_column(rows: Any, labels: LabelSet) -> pa.Array:
    if labels.kind == "continuous":
        return pa.array(rows.astype(float).tolist(), type=pa.list_(pa.float64()))
    chosen = [[name for name, yes in zip(labels.names, row, strict=True) if yes] for row in rows > 0]
    if labels.kind == "multilabel":
        return pa.array(chosen, type=pa.list_(pa.string()))
    return pa.array([row[0] for row in chosen], type=pa.string())


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _flat(recipe: Recipe) -> dict[str, Any]:
    tables = recipe.tables()
    keys = {key: value for t in ("dataset", "model", "training") for key, value in _leaves(tables[t], f"{t}.")}
    return {key: value for key, value in keys.items() if key not in ("training.seed", "model.name")}


def _describe(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    splits = Counter(utterance.split for utterance in corpus.utterances)
    groups = {split: len({u.group for u in corpus.utterances if u.split == split}) for split in splits}
    return {
        "corpus": {
            "name": corpus.name,
            "task": corpus.task,
            "licence": corpus.licence,
            "digest": corpus.digest,
            "counts": dict(corpus.counts),
            "label_set": asdict(corpus.label_set),
            "splits": {split: {"utterances": n, "groups": groups[split]} for split, n in splits.items()},
            "modalities": {
                name: {"features": sequence.size, "utterances": len(sequence.ids), "frames": len(sequence.values)}
                for name, sequence in corpus.sequences.items()
            },
        },
        "cautions": cautions(recipe, corpus),
        "seed": recipe.training.seed,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    replace_file(folder / "environment.json", json.dumps(environment, indent=1, default=dict).encode() + b"\n")
