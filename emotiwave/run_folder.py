"""A run is a folder: the recipe, what it ran on, the model, its history, its scores. This begins and checks it."""

import json
import platform
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, ValidationError

from emotiwave.cautions import cautions
from emotiwave.config import Recipe, read_recipe
from emotiwave.errors import CheckpointError, ConfigError, DatasetError
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.features.parts import published_parts
from emotiwave.files import file_digest, replace_file, source_digest
from emotiwave.metrics import HEADLINE
from emotiwave.models import MODELS
from emotiwave.models.checkpoint import WEIGHTS, read_description
from emotiwave.models.encoders import choose_encoder
from emotiwave.models.fusion import FusionModel, ModelSettings
from emotiwave.report.card import Facts, draw_card
from emotiwave.report.file_formats import Environment
from emotiwave.run_results import RESULTS, SUBGROUPS, read_scores
from emotiwave.types import Corpus, Predictions

if TYPE_CHECKING:
    from emotiwave.training.fit import TrainingSummary

PACKAGES = ("emotiwave", "torch", "lightning", "numpy", "scikit-learn", "pandas", "pyarrow", "safetensors")


class RunEnvironment(Environment):
    """What ``environment.json`` records, with what only the card tells."""

    encoders: dict[str, str] = Field(default_factory=dict)
    """What the encoder of each modality of the model is, in a few words."""
    extractors: dict[str, list[dict[str, str]]] = Field(default_factory=dict)
    """The published parts that the features of each were made by."""


def holds_run(folder: Path) -> bool:
    """Whether a run was begun here."""
    return (folder / "config.toml").exists()


def begin_run(folder: Path, recipe: Recipe, corpus: Corpus, model: FusionModel) -> None:
    """Make a run folder and note what is going to be trained on what.

    Raises:
        ConfigError: If the folder is not new or empty.
    """
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_environment(folder, _describe(recipe, corpus) | _describe_modalities(recipe, corpus, model))
    replace_file(folder / "config.toml", recipe.to_toml().encode())


def begin_results(folder: Path, recipe: Recipe, corpus: Corpus) -> None:
    """Note, for a method that is no model, what its answers are of; the folder may have been begun before."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_environment(folder, _describe(recipe, corpus))


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
        for name in (*RESULTS, "report.html", "README.md"):
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
        differing = _first_difference(before.get(table, {}), now[table])
        if differing is not None:
            key, of_run, asked = differing
            raise ConfigError(
                f"{folder}: {table}.{key}: {of_run} in the run, {asked} asked for; resume with the same recipe, or "
                "choose another folder"
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
        here, there = (of.evaluation.model_copy(update={"masks": None}) for of in (recipe, expected))  # a place only
        if here != there:
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
        CheckpointError: If the settings of the model are not those of the recipe; the first key that differs is named.
    """
    differing = _first_difference(settings.model_dump(mode="json"), recipe.model.model_dump(mode="json"))
    if differing is not None:
        key, of_model, of_recipe = differing
        raise CheckpointError(
            f"{folder}: model.{key}: {of_model} in model.json, {of_recipe} in config.toml; the model is of another run"
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


def read_card_facts(folder: Path) -> Facts:
    """Read what the card of a run tells.

    Raises:
        CheckpointError: If a file of the run is missing or damaged.
    """
    description, tables = read_description(folder), _read_tables(folder / "config.toml")
    environment = read_checked_environment(folder)
    chosen = dict(MODELS[description.settings.name].default_encoders()) | description.settings.encoders
    encoders = {}
    for modality in description.sizes:
        name = choose_encoder(modality, chosen.get(modality, "features")).name
        described = environment.encoders.get(modality, name)
        encoders[modality] = described if described.lower().startswith(name) else f"{name}: {described}"
    extractors = {name: parts for name, parts in environment.extractors.items() if name in description.sizes}
    return Facts(
        environment,
        tables,
        encoders,
        description.parts,
        extractors,
        read_scores(folder),
        read_scores(folder, SUBGROUPS),
    )


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
    return read_checked_environment(folder).cautions


def read_checked_environment(folder: Path) -> RunEnvironment:
    """Read what a run was trained on, and refuse what cannot be that.

    Raises:
        CheckpointError: If ``environment.json`` is missing or damaged.
    """
    try:
        return RunEnvironment.model_validate(read_environment(folder))
    except ValidationError as error:
        raise CheckpointError(f"{folder / 'environment.json'}: {_problem(error)}; train the run again") from None


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


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Find the first key, of tables in tables too, that has another value, and say both; names before other keys.

    >>> _first_difference({"text": {"name": "gru", "width": 4}}, {"text": {"name": "conv", "kernel": 3}})
    ('text.name', "'gru'", "'conv'")
    """
    flat_before, flat_now = dict(_leaves(before, "")), dict(_leaves(now, ""))
    keys = sorted(flat_before.keys() | flat_now.keys(), key=lambda key: (key.split(".")[-1] != "name", key))
    for key in keys:
        if flat_before.get(key) != flat_now.get(key):
            return key, _say(flat_before.get(key)), _say(flat_now.get(key))
    return None


def _say(value: Any) -> str:
    return "not set" if value is None else repr(value)


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


def describe_evaluation(
    folder: Path, recipe: Recipe, corpus: Corpus, predictions: Predictions, settings: EvaluationSettings
) -> dict[str, Any]:
    """Say of what the scores of a run are, and by what they were made: data, weights, recipe and code by their hashes.

    ``selection`` is what chose the weights: a split and its score, or None where their number of epochs was fixed.
    """
    training = read_checked_environment(folder).training
    chosen = None
    if recipe.training.patience or training is None:  # what was stopped early is scored by its best epoch so far
        chosen = {
            "split": recipe.training.selection_split,
            "metric": f"{HEADLINE}, mean over configurations",
            "score": training.best_score if training else None,
            "epoch": training.best_epoch if training else None,
        }
    return {
        "split": predictions.split,
        "n": len(predictions.ids),
        "groups": len(set(predictions.groups)),
        "data": corpus.digest,
        "weights": file_digest(folder / WEIGHTS),
        "recipe": file_digest(folder / "config.toml"),
        "seed": recipe.training.seed,
        "selection": chosen,
        "settings": settings.model_dump(mode="json", exclude={"masks"}),
        "code": source_digest(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _describe_modalities(recipe: Recipe, corpus: Corpus, model: FusionModel) -> dict[str, Any]:
    """Say what encoders are, and what extractors were made of, for the modalities of the model."""
    settings = recipe.tables().get("features", {}).get("extractors", {})
    of_extractors = {name: chosen for name, chosen in settings.items() if isinstance(chosen, Mapping)}
    return {
        "encoders": {name: model.encoder(name).described for name in model.modalities},
        "extractors": {
            name: published_parts(corpus.sequences[name].metadata, of_extractors.get(name, {}))
            for name in model.modalities
        },
    }


def _write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    replace_file(folder / "environment.json", json.dumps(environment, indent=1, default=dict).encode() + b"\n")
