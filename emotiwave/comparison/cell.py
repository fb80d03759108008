"""One cell of a grid: a method trained with one seed on one fold, in a folder of its own that says when it is done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from emotiwave.comparison.recipe import Comparison, Method
from emotiwave.config import Recipe
from emotiwave.errors import CheckpointError, ConfigError
from emotiwave.files import replace_file
from emotiwave.run_folder import holds_run, read_run

CELL = "cell.json"


@dataclass(frozen=True)
class CellResult:
    """What ``cell.json`` records: how a cell ended, and what it took."""

    key: str
    """Hash of what the cell was made of; see `cell_key`."""
    failure: str | None
    """Why there are no answers; None where there are."""
    validation_score: float | None = None
    n_parameters: int | None = None
    step_ms: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    """Most resident memory of the process that trained it, libraries, corpus and the cells before it included."""
    threads: int | None = None
    chosen: tuple[str, ...] = ()
    """Overrides that validation chose, where there was a choice."""
    warnings: tuple[str, ...] = ()
    """What was found in the data and dealt with, or did not settle."""
    final: bool = True
    """Whether trying again would end the same way: answers, or a loss that diverged; no error that can be mended."""


_RESULT = TypeAdapter(CellResult)


@dataclass(frozen=True)
class Cell:
    """A method with one seed on one fold."""

    comparison: Comparison
    method: Method
    fold: int | None
    seed: int
    root: Path
    """The folder of the whole comparison."""

    @property
    def folder(self) -> Path:
        """Where its run lies."""
        fold = "" if self.fold is None else f"fold{self.fold}-"
        return self.root / self.comparison.name / self.method.folder / f"{fold}seed{self.seed}"

    @property
    def masks(self) -> Path:
        """Where the masks of conditions lie, unless the recipe says: all methods meet the same ones."""
        named = self.comparison.recipe(self.method, self.fold, self.seed).evaluation.masks
        fold = "masks" if self.fold is None else f"masks-fold{self.fold}"
        return named or self.root / self.comparison.name / fold

    def candidate_folder(self, number: int) -> Path:
        """Where the run of a candidate lies."""
        return self.folder.with_name(f"{self.folder.name}-candidate{number}")

    @property
    def key(self) -> str:
        """What must be equal for a finished cell to be used again."""
        return cell_key(self.comparison, self.method, self.fold, self.seed)


def cell_key(comparison: Comparison, method: Method, fold: int | None, seed: int) -> str:
    """Hash what the answers of a cell depend on, but for code and data."""
    described = [
        comparison.tables,
        method.name,
        method.overrides,
        method.reference,
        method.settings,
        fold,
        seed,
        comparison.settings.candidates if method.reference is None else (),
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cells_of(comparison: Comparison, root: Path) -> dict[str, list[Cell]]:
    """List the cells of each method, the first seed first."""
    return {
        method.name: [
            Cell(comparison, method, fold, seed, root)
            for fold in comparison.folds
            for seed in comparison.seeds_of(method)
        ]
        for method in comparison.methods
    }


def read_cell(cell: Cell) -> CellResult | None:
    """Read how a cell ended; None if it did not yet.

    Raises:
        ConfigError: If the folder holds a cell of another recipe.
        CheckpointError: If the file is damaged.
    """
    path = cell.folder / CELL
    if not path.exists():
        return None
    try:
        result = _RESULT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(
            f"{path}: cannot be read ({why}); remove {cell.folder} and run the same command"
        ) from None
    if result.key != cell.key:
        raise _of_another_recipe(cell, cell.folder)
    return result


def check_begun(cell: Cell) -> None:
    """Refuse to go on with a training that another recipe began in the folder of a cell.

    Raises:
        ConfigError: If one did.
    """
    tried = cell.comparison.settings.candidates
    possible = [cell.comparison.recipe(cell.method, cell.fold, cell.seed, candidate) for candidate in tried or ((),)]
    begun = {cell.folder: possible} | {cell.candidate_folder(n): [possible[n]] for n in range(len(tried))}
    for folder, recipes in begun.items():
        if holds_run(folder) and _trained(read_run(folder)) not in [_trained(recipe) for recipe in recipes]:
            raise _of_another_recipe(cell, folder)


def _trained(recipe: Recipe) -> list[dict[str, Any]]:
    tables = recipe.tables()
    return [tables[name] for name in ("dataset", "model", "training")]


def _of_another_recipe(cell: Cell, folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} was made by another recipe of this name; choose another folder by --out, or remove "
        f"{cell.root / cell.comparison.name}"
    )


def write_cell(cell: Cell, result: CellResult) -> None:
    """Note that a cell is done."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    replace_file(cell.folder / CELL, json.dumps(asdict(result), indent=1).encode() + b"\n")


def described_methods(comparison: Comparison) -> dict[str, Mapping[str, Any]]:
    """Say of every method what it changes of the recipe, or which reference it is, as JSON values."""
    return {
        method.name: {"set": list(method.overrides)}
        if method.reference is None
        else {"reference": method.reference, "settings": method.settings}
        for method in comparison.methods
    }
