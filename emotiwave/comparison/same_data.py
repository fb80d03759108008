"""Refuses a grid whose cells are not of the same data, and says by which versions of packages they were made."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from emotiwave.comparison.cell import Cell, cells_of
from emotiwave.comparison.recipe import Comparison
from emotiwave.config import Recipe
from emotiwave.errors import DatasetError
from emotiwave.run_folder import PACKAGES, data_digest, read_environment


def described_data(recipe: Recipe) -> str:
    """Write the tables of a recipe that say what the data is, as one string."""
    tables = recipe.tables()
    return json.dumps([tables["dataset"], tables.get("features")], sort_keys=True)


def check_same_data(comparison: Comparison, root: Path, now: Mapping[str, str]) -> None:
    """Refuse to go on with, or to compare, cells between which the data changed.

    Args:
        comparison: Whose cells are looked at, those that are done and those that were begun.
        root: The folder of all comparisons.
        now: Content hash of the data as it is, by `described_data`; nothing where that is not known.

    Raises:
        DatasetError: The cell and both content hashes are named.
    """
    digests = dict(now)
    for cell in _begun(comparison, root):
        recipe = comparison.recipe(cell.method, cell.fold, cell.seed)
        digest = data_digest(cell.folder)
        expected = digests.setdefault(described_data(recipe), digest)
        if digest != expected:
            raise DatasetError(
                f"{cell.folder}: is of other data (content hash {digest[:12]}) than "
                f"{'there is now' if now else 'other runs of this comparison'} ({expected[:12]}); restore the data, "
                f"choose another folder by --out, or remove {root / comparison.name} to run all of it again"
            )


def say_versions(folders: list[Path]) -> list[str]:
    """Say of which packages not all runs, and the process that compares them, have the same version."""
    said = []
    environments = [read_environment(folder) for folder in folders]
    for name in PACKAGES:
        made_by = {version(name)}
        for environment in environments:
            packages = environment.get("packages")
            if isinstance(packages, Mapping) and name in packages:
                made_by.add(str(packages[name]))
        if len(made_by) > 1:
            said.append(f"{name} {' and '.join(sorted(made_by))}")
    return [f"Not all was made by the same versions: {', '.join(said)}."] if said else []


def _begun(comparison: Comparison, root: Path) -> list[Cell]:
    cells = [cell for of_method in cells_of(comparison, root).values() for cell in of_method]
    return [cell for cell in cells if (cell.folder / "environment.json").exists()]
