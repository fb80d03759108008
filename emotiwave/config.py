"""Recipes: TOML tables checked against the settings of each stage; unknown keys are refused, the nearest is named."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from emotiwave.datasets import DATASETS, MediaDataset, RecordedDataset
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import ConfigError, DatasetError, unknown_name
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.features.extraction.settings import DEFAULTS, MediaFeatureSettings, choose
from emotiwave.features.prepare import NOT_IN_STORES, AnyRecordings, is_prepared_as
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import open_store, store_bytes
from emotiwave.models import MODELS
from emotiwave.models.encoders import ENCODERS
from emotiwave.models.fusion import ModelSettings
from emotiwave.models.resolve import chosen_encoders
from emotiwave.recordings import MediaRecordings, Recordings
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.training.settings import TrainingSettings
from emotiwave.types import Corpus

SHIPPED = Path(__file__).parent / "recipes"
STORES = Path("emotiwave-stores")
"""Where feature stores go that are given no place."""
TABLES = ("dataset", "features", "model", "training", "evaluation")
VERIFIED_BYTES = 2**30
"""Stores up to this size are read through and checked against their hash whenever they are opened."""
Table = TypeVar("Table", bound=Settings)


class StoreSettings(Settings):
    """Keys of ``[dataset]`` for a corpus that was prepared into a feature store."""

    store: AbsolutePath


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    ``dataset_name`` is None where ``dataset`` names a feature store. ``features`` says how the store of a corpus of
    recordings is prepared, and is None for all others.
    """

    dataset_name: str | None
    dataset: Settings
    features: FeatureSettings | None
    model: ModelSettings
    training: TrainingSettings
    evaluation: EvaluationSettings

    def load_corpus(self) -> Corpus:
        """Read the corpus; no video or speaker may be in two splits.

        A store of at most `VERIFIED_BYTES` is checked against its content hash; of larger ones only the form is checked
        here, and `emotiwave data inspect` reads them through.

        Raises:
            EmotiwaveError: If the data is missing, not prepared, damaged, or leaks between splits.
        """
        if isinstance(self.dataset, StoreSettings):
            corpus = open_store(self.dataset.store, verify=store_bytes(self.dataset.store) <= VERIFIED_BYTES)
        elif self.features is not None:
            store = self.store
            if not is_prepared_as(store, self.prepared_tables()):
                raise DatasetError(
                    f"{store}: no feature store of this recipe; make it with `emotiwave data prepare RECIPE` (the "
                    "config.toml of a run is a recipe too)"
                )
            corpus = open_store(store, verify=store_bytes(store) <= VERIFIED_BYTES)
        else:
            corpus = self._load()
            if not isinstance(corpus, Corpus):
                raise ConfigError(f"{self.dataset_name}: needs a [features] table")
        check_leakage(corpus.utterances, corpus=corpus.name)
        return corpus

    def load_recordings(self) -> AnyRecordings:
        """Read labels and folds of a corpus of recordings.

        Raises:
            ConfigError: If the corpus needs no preparation.
            EmotiwaveError: If its files are missing or damaged.
        """
        loaded = None if isinstance(self.dataset, StoreSettings) else self._load()
        if not isinstance(loaded, Recordings | MediaRecordings):
            raise ConfigError(f"{self.dataset_name or 'a feature store'} needs no preparation; train on it as it is")
        return loaded

    @property
    def store(self) -> Path:
        """The folder of the feature store that the corpus is prepared into."""
        if self.features is not None and self.features.store is not None:
            return self.features.store
        described = json.dumps(self.prepared_tables(), sort_keys=True)
        return (STORES / f"{self.dataset_name}-{hashlib.sha256(described.encode()).hexdigest()[:10]}").absolute()

    def without_scored_targets(self, corpus: Corpus) -> Corpus:
        """Hide the truth of the split that is scored, which is for evaluation alone, unless it is learned from."""
        scored = self.evaluation.split
        return corpus if scored in ("train", self.training.selection_split) else corpus.without_targets(scored)

    def prepared_tables(self) -> dict[str, Any]:
        """What the content of a prepared store depends on."""
        features = {} if self.features is None else _plain(self.features)
        for key in NOT_IN_STORES:
            features.pop(key, None)
        return {"dataset": {"name": self.dataset_name} | _plain(self.dataset), "features": features}

    def _load(self) -> Corpus | AnyRecordings:
        return DATASETS[str(self.dataset_name)].load(self.dataset)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Every table with every key, as a recipe would write them."""
        name = {"name": self.dataset_name} if self.dataset_name else {}
        return {
            "dataset": name | _plain(self.dataset),
            **({} if self.features is None else {"features": _plain(self.features) | {"store": str(self.store)}}),
            "model": _plain(self.model),
            "training": _plain(self.training),
            "evaluation": _plain(self.evaluation),
        }

    def to_toml(self) -> str:
        """Write the complete recipe."""
        return tomli_w.dumps(self.tables())


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with Emotiwave, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def read_recipe(source: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file, or a shipped recipe by its name, and apply ``KEY=VALUE`` overrides.

    Raises:
        ConfigError: If the file, a key or a value is wrong; file and key are named.
    """
    path, tables = read_tables(source)
    for override in overrides:
        override_tables(tables, override)
    return parse_recipe(tables, source=str(path))


def read_tables(source: str | Path) -> tuple[Path, dict[str, Any]]:
    """Read the tables of a recipe file, or of a shipped recipe by its name, unchecked.

    Raises:
        ConfigError: If there is no such file, or it is no TOML.
    """
    path = Path(source)
    if not path.is_file():
        if str(source) not in shipped_recipes():
            raise ConfigError(
                f"{source}: no such recipe file; {unknown_name('recipe', str(source), shipped_recipes())}"
            )
        path = shipped_recipes()[str(source)]
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return path, tables


def parse_recipe(tables: Mapping[str, Any], *, source: str) -> Recipe:
    """Check the tables of a recipe.

    Raises:
        ConfigError: If a table or key is unknown, missing or of the wrong type; ``source`` is named.
    """
    for name, table in tables.items():
        if name == "comparison":
            raise ConfigError(f"{source}: a recipe of a comparison; run it with `emotiwave compare`")
        if name not in TABLES:
            raise ConfigError(f"{source}: {unknown_name('table', name, TABLES)}")
        if not isinstance(table, Mapping):
            raise ConfigError(f"{source}: {name} must be a table; got {table!r}")
    dataset_name, dataset = _parse_dataset(dict(tables.get("dataset", {})), source)
    features = _parse_features(dataset_name, tables, source)
    model = parse_table(ModelSettings, tables.get("model", {}), f"{source}: [model]")
    if model.name not in MODELS:
        raise ConfigError(f"{source}: [model] {unknown_name('model', model.name, MODELS)}")
    if isinstance(features, MediaFeatureSettings):
        features = _with_needed_extractors(features, model, source)
    training = parse_table(TrainingSettings, tables.get("training", {}), f"{source}: [training]")
    evaluation = parse_table(EvaluationSettings, tables.get("evaluation", {}), f"{source}: [evaluation]")
    if training.patience and training.selection_split == evaluation.split:
        raise ConfigError(
            f"{source}: training.selection_split and evaluation.split are both {evaluation.split!r}; a model is never "
            "scored on the data that chose it"
        )
    return Recipe(dataset_name, dataset, features, model, training, evaluation)


def parse_media_features(overrides: Iterable[str]) -> MediaFeatureSettings:
    """Make the table ``[features]`` of media of ``KEY=VALUE`` strings.

    Raises:
        ConfigError: If a key or value is wrong.
    """
    tables: dict[str, Any] = {"features": {}}
    for override in overrides:
        override_tables(tables, f"features.{override.removeprefix('features.')}")
    return parse_table(MediaFeatureSettings, tables["features"], "[features]")


def _parse_dataset(table: dict[str, Any], source: str) -> tuple[str | None, Settings]:
    where = f"{source}: [dataset]"
    name = table.pop("name", None)
    if "store" in table:
        if name is not None:
            raise ConfigError(f"{where} has both name and store; a feature store already holds its corpus")
        return None, parse_table(StoreSettings, table, where)
    if name is None:
        raise ConfigError(f"{where} needs a name, one of {', '.join(DATASETS)}, or a store")
    if not isinstance(name, str) or name not in DATASETS:
        raise ConfigError(f"{where} {unknown_name('dataset', str(name), DATASETS)}")
    return name, parse_table(DATASETS[name].settings, table, where)


def _parse_features(dataset_name: str | None, tables: Mapping[str, Any], source: str) -> FeatureSettings | None:
    dataset = DATASETS.get(dataset_name or "")
    if isinstance(dataset, RecordedDataset | MediaDataset):
        settings = MediaFeatureSettings if isinstance(dataset, MediaDataset) else FeatureSettings
        return parse_table(settings, tables.get("features", {}), f"{source}: [features]")
    if "features" in tables:
        raise ConfigError(
            f"{source}: [features] says how recordings are prepared, but {dataset_name or 'a feature store'} holds "
            "prepared features; take the table out"
        )
    return None


def _with_needed_extractors(features: MediaFeatureSettings, model: ModelSettings, source: str) -> MediaFeatureSettings:
    """Take the extractors that the model's encoders need where the recipe names none, and refuse others."""
    named, needed = features.extractors or {}, dict[str, str]()
    known = sorted({*named, *DEFAULTS})
    for modality in model.encoders:
        if modality not in known:
            raise ConfigError(f"{source}: model.encoders: {unknown_name('modality', modality, known)}")
    for modality, choice in chosen_encoders(model).items():
        encoder = choice.name
        takes = ENCODERS[encoder].build.takes
        if takes == "features":
            continue
        if modality not in named:
            try:
                needed[modality] = choose(modality, takes).name
            except ValueError as error:
                raise ConfigError(f"{source}: model.encoders.{modality} is {encoder!r}, but {error}") from None
        elif (extractor := choose(modality, named[modality]).name) != takes:
            raise ConfigError(
                f"{source}: model.encoders.{modality} is {encoder!r}, which reads what the extractor {takes!r} gives, "
                f"but features.extractors.{modality} is {extractor!r}: name {takes!r} there, or choose an encoder of "
                'features, such as "features"'
            )
    if features.for_encoders not in (None, needed):  # a recipe that was written out has what it needs
        raise ConfigError(
            f"{source}: features.for_encoders is {features.for_encoders}, but the encoders of [model] need "
            f"{needed or 'nothing'}: take the key out, it follows from the model; name other extractors in "
            "features.extractors"
        )
    return features.model_copy(update={"for_encoders": needed or None})


def parse_table(settings: type[Table], table: Mapping[str, Any], where: str) -> Table:
    """Check one table against its settings.

    Raises:
        ConfigError: Every wrong key is named, with ``where``.
    """
    try:
        return settings.model_validate_json(json.dumps(table, default=str), strict=True)  # strict: "50" is no number
    except ValidationError as error:
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise ConfigError("\n".join(f"{where} {_explain(settings, problem)}" for problem in problems)) from None


def _explain(settings: type[BaseModel], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        path = problem["loc"][:-1]
        return unknown_name("key", key, [".".join(map(str, (*path, known))) for known in _keys_of(settings, path)])
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    names_its_entry = isinstance(given, Mapping) and message.partition(":")[0] in given  # and says what it got there
    got = "" if names_its_entry else f"; got {given!r}"
    return f"{key}: {message}{got}" if key else message


def _keys_of(settings: Any, path: Iterable[str | int]) -> Iterable[str]:
    """Name the keys of a table inside a table; a table of tables takes any name."""
    for part in path:
        if _is_table(settings):
            settings = settings.model_fields[str(part)].annotation
            if isinstance(settings, UnionType):  # a table or nothing
                settings = next(one for one in get_args(settings) if _is_table(one))
        else:
            settings = get_args(settings)[1]
    return settings.model_fields


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def override_tables(tables: dict[str, Any], override: str) -> None:
    """Set a key of tables in place by ``TABLE.KEY=VALUE``.

    Raises:
        ConfigError: If it is not of that form.
    """
    key, sign, text = override.partition("=")
    *path, last = key.strip().split(".")
    if not sign or not all((*path, last)) or not path:
        raise ConfigError(f"--set takes TABLE.KEY=VALUE, such as training.seed=3; got {override!r}")
    try:
        (value,) = tomllib.loads(f"value = {text}").values()
    except ValueError:  # not TOML, or several lines of it
        value = text.strip()  # a bare word is a string
    here: Any = tables
    for part in path:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise ConfigError(f"--set {override}: {part} is not a table")
    here[last] = value


def _plain(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_none=True)
