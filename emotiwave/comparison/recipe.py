"""Recipes of comparisons: a recipe like any other, and a table ``[comparison]`` that says what is compared on it."""

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from emotiwave.config import Recipe, override_tables, parse_recipe, parse_table, read_tables
from emotiwave.errors import ConfigError, printable, unknown_name
from emotiwave.metrics import AVERAGES, LOWER_IS_BETTER
from emotiwave.models import MODELS
from emotiwave.references import REFERENCES
from emotiwave.settings import Settings
from emotiwave.types import BAYES_OPTIMAL

WITHOUT_DROPOUT = "training.modality_dropout=0.0"
NAME_PREFIX = "compare_"


class MethodSettings(Settings):
    """One table ``[comparison.methods.NAME]``: a model with keys of the recipe overridden, or a reference method."""

    set: tuple[str, ...] = ()
    """``TABLE.KEY=VALUE`` overrides, as the command line takes them."""
    reference: str | None = None
    """The name of a reference method (`emotiwave list references`), in place of a model."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keys of that reference method."""

    @model_validator(mode="after")
    def _is_one_or_other(self) -> "MethodSettings":
        if self.reference is not None and self.set:
            raise ValueError("has both set and reference; a reference method has keys of its own, in settings")
        if self.reference is None and self.settings:
            raise ValueError("settings are those of a reference method; name one in reference, or use set")
        return self


class ComparisonSettings(Settings):
    """Keys of ``[comparison]``."""

    models: tuple[str, ...] = ()
    """Models, each under the recipe as it is."""
    without_modality_dropout: tuple[str, ...] = ()
    """Models that are trained once more, without modality dropout."""
    references: tuple[str, ...] = ()
    """Reference methods with their default settings."""
    methods: dict[str, MethodSettings] = Field(default_factory=dict)
    """Further methods by the name to show."""
    anchor: str
    """The method that every other one is compared with, chosen beforehand."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Training seeds."""
    folds: tuple[int, ...] = ()
    """Values of ``dataset.fold``; the test utterances of all folds are scored together."""
    metric: str = "macro_f1"
    candidates: tuple[tuple[str, ...], ...] = ()
    """Lists of overrides among which every model chooses, per fold, by its validation score with the first seed."""
    procedure: str = ""
    """How settings were fixed, in a sentence for the page."""
    notes: tuple[str, ...] = ()
    """What a reader must know, for the page."""
    resamples: int = Field(default=10_000, ge=0)

    @field_validator("seeds", "folds")
    @classmethod
    def _differ(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(given)) < len(given):
            raise ValueError("names one twice")
        if any(number < 0 for number in given):
            raise ValueError("expected numbers from 0")
        return given

    @field_validator("metric")
    @classmethod
    def _is_known(cls, given: str) -> str:
        known = {name for averages in AVERAGES.values() for name in averages} - LOWER_IS_BETTER
        if given not in known:
            raise ValueError(unknown_name("metric", given, known))
        return given


@dataclass(frozen=True)
class Method:
    """One row of the table: overrides of the recipe, or a reference method with its settings."""

    name: str
    overrides: tuple[str, ...] = ()
    reference: str | None = None
    settings: Mapping[str, Any] | None = None

    @property
    def folder(self) -> str:
        """What its folder is called: short, and of characters that any file system takes."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40]
        return f"{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Comparison:
    """A comparison on one corpus: its name, the tables that all methods share, and the methods."""

    name: str
    source: str
    settings: ComparisonSettings
    tables: Mapping[str, Any]
    methods: tuple[Method, ...]

    @property
    def folds(self) -> tuple[int | None, ...]:
        """The folds, or None alone where the corpus has a test split of its own."""
        return self.settings.folds or (None,)

    def recipe(self, method: Method, fold: int | None, seed: int, candidate: Iterable[str] = ()) -> Recipe:
        """Make the recipe of one run.

        Raises:
            ConfigError: If it is none; the method is named.
        """
        tables: dict[str, Any] = copy.deepcopy(dict(self.tables))
        overrides = [*method.overrides, *candidate, f"training.seed={seed}"]
        overrides += [f"dataset.fold={fold}"] if fold is not None else []
        for override in overrides:
            override_tables(tables, override)
        return parse_recipe(tables, source=f"{self.source}: {printable(method.name)}")

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """The seeds that a method is run with; one where a seed changes nothing."""
        seeds = self.settings.seeds
        return seeds if method.reference is None or REFERENCES[method.reference].seeded else seeds[:1]

    @property
    def n_runs(self) -> int:
        """How many runs the grid has, candidates among them."""
        tried = max(0, len(self.settings.candidates) - 1)
        of_methods = [len(self.seeds_of(m)) + (tried if m.reference is None else 0) for m in self.methods]
        return len(self.folds) * sum(of_methods)


def read_comparison(source: str | Path, overrides: Iterable[str] = ()) -> Comparison:
    """Read the recipe of a comparison, or a shipped one by its name, and apply overrides.

    Raises:
        ConfigError: If the file, a key, a value or a method is wrong; file, key and method are named.
    """
    path, tables = read_tables(source)
    for override in overrides:
        override_tables(tables, override)
    if "comparison" not in tables:
        raise ConfigError(
            f"{path}: no [comparison] table, so nothing to compare; train it with `emotiwave train`, or name a "
            "recipe such as compare_mosi"
        )
    settings = parse_table(ComparisonSettings, tables.pop("comparison"), f"{path}: [comparison]")
    name = path.stem.removeprefix(NAME_PREFIX)
    if not name.strip(". "):
        raise ConfigError(f"{path}: a comparison is called what follows {NAME_PREFIX!r}, which is {name!r}; rename it")
    comparison = Comparison(name, str(path), settings, tables, _methods(settings, path))
    for method in comparison.methods:
        for fold in comparison.folds:
            for candidate in settings.candidates or ((),):
                comparison.recipe(method, fold, settings.seeds[0], candidate)  # refuses what is wrong, now
    _check_candidates(comparison)
    _check_store(comparison)
    return comparison


def _methods(settings: ComparisonSettings, path: Path) -> tuple[Method, ...]:
    for name in (*settings.models, *settings.without_modality_dropout):
        if name not in MODELS:
            raise ConfigError(f"{path}: [comparison] {unknown_name('model', name, MODELS)}")
    methods = [Method(name, (f"model.name={name}",)) for name in settings.models]
    methods += [
        Method(f"{name}, no modality dropout", (f"model.name={name}", WITHOUT_DROPOUT))
        for name in settings.without_modality_dropout
    ]
    methods += [_reference(name, name, {}, path) for name in settings.references]
    for name, table in settings.methods.items():
        if table.reference is None:
            methods.append(Method(name, table.set))
        else:
            methods.append(_reference(name, table.reference, table.settings, path))
    for method in methods:
        if (method.name == BAYES_OPTIMAL) != (method.reference == BAYES_OPTIMAL):
            raise ConfigError(
                f"{path}: [comparison] the bound {BAYES_OPTIMAL} goes by that name, and nothing else does; got "
                f"{method.reference or 'a model'} by the name {printable(method.name)!r}"
            )
    names = [method.name for method in methods]
    if not names:
        raise ConfigError(f"{path}: [comparison] names no method; set comparison.models, or comparison.references")
    for name in names:
        if not printable(name).strip():
            raise ConfigError(f"{path}: [comparison.methods] names a method {name!r}; give it a name to show")
        if names.count(name) > 1:
            raise ConfigError(f"{path}: [comparison] names the method {printable(name)!r} twice")
    if settings.anchor == BAYES_OPTIMAL:
        raise ConfigError(f"{path}: [comparison] anchor: {BAYES_OPTIMAL} is a bound and no method; choose another one")
    if settings.anchor not in names:
        raise ConfigError(f"{path}: [comparison] anchor: {unknown_name('method', settings.anchor, names)}")
    return tuple(methods)


def _reference(name: str, reference: str, settings: Mapping[str, Any], path: Path) -> Method:
    if reference not in REFERENCES:
        raise ConfigError(f"{path}: [comparison] {unknown_name('reference method', reference, REFERENCES)}")
    where = f"{path}: [comparison.methods.{printable(name)}.settings]"
    checked = parse_table(REFERENCES[reference].settings, settings, where)
    return Method(name, reference=reference, settings=checked.model_dump(mode="json"))


def _check_store(comparison: Comparison) -> None:
    """Refuse one store for several folds, each of which would be prepared over the other."""
    features = comparison.recipe(comparison.methods[0], comparison.folds[0], comparison.settings.seeds[0]).features
    if features is not None and features.store is not None and len(comparison.folds) > 1:
        raise ConfigError(
            f"{comparison.source}: features.store is one folder, and {len(comparison.folds)} folds need one each; "
            "leave it out"
        )


def _check_candidates(comparison: Comparison) -> None:
    """Refuse a choice that nothing can decide: models are chosen on a split that is not the one that is scored."""
    if len(comparison.settings.candidates) == 1:
        raise ConfigError(
            f"{comparison.source}: [comparison] candidates: one alone is no choice; put it into the recipe"
        )
    if not comparison.settings.candidates:
        return
    for method in comparison.methods:
        recipe = comparison.recipe(method, comparison.folds[0], comparison.settings.seeds[0])
        if recipe.training.selection_split == recipe.evaluation.split:
            raise ConfigError(
                f"{comparison.source}: candidates are chosen on {recipe.evaluation.split!r}, which is also scored; "
                "set another training.selection_split"
            )
