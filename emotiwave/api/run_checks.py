"""What is refused, or warned of, before a run is trained or scored."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from emotiwave.calibration import check_tunable
from emotiwave.conditions.registry import Condition
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError, DataWarning
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.models.fusion import FusionModel
from emotiwave.run_folder import read_run
from emotiwave.settings import PathLike
from emotiwave.types import Corpus


def read_runs(runs: PathLike | Sequence[PathLike]) -> dict[Path, Recipe]:
    """Read the recipes of run folders.

    Raises:
        EmotiwaveError: If one is no run, is named twice, or none is named.
    """
    folders = [runs] if isinstance(runs, str | os.PathLike) else runs
    recipes = {Path(folder): read_run(Path(folder)) for folder in folders}
    if len({folder.resolve() for folder in recipes}) < len(folders):
        raise ConfigError(f"a run is named twice: {', '.join(map(str, folders))}")
    if not recipes:
        raise ConfigError("no run was named; give at least one run folder")
    return recipes


def check_seeds(recipes: Mapping[Path, Recipe], labels: Mapping[Path, str]) -> None:
    """A mean over seeds takes each seed once."""
    seen: dict[tuple[str, int], Path] = {}
    for folder, recipe in recipes.items():
        first = seen.setdefault((labels[folder], recipe.training.seed), folder)
        if first != folder:
            raise ConfigError(f"{first} and {folder} are the same recipe with the same seed; name one of them")


def check_selection(corpus: Corpus, recipe: Recipe, settings: EvaluationSettings) -> None:
    """Refuse to tune thresholds, or to calibrate, where there is nothing to fit, or nothing to fit to.

    Raises:
        ConfigError: If labels need no threshold, there is no split to fit to, or it is the one to be scored.
    """
    split = recipe.training.selection_split
    if settings.thresholds != "fixed":
        check_tunable(corpus.label_set)
        key, what, them = 'evaluation.thresholds = "validation" tunes', "thresholds are tuned", "them"
        instead = 'set evaluation.thresholds = "fixed"'
    elif settings.calibrate:
        key, what, them = "evaluation.calibrate fits", "confidence is fitted", "it"
        instead = "leave calibration out"
    else:
        return
    if split == settings.split:
        raise ConfigError(
            f"{what} on {split!r} (training.selection_split), so {split!r} cannot be scored with {them}; score another "
            f"split, or {instead}"
        )
    if not corpus.has_split(split):
        raise ConfigError(
            f"{key} on the split {split!r} (training.selection_split), which {corpus.name} does not have; hold out "
            f"some, or {instead}"
        )


def check_measured(conditions: Sequence[Condition], model: FusionModel, corpus: Corpus) -> None:
    """Refuse noise on frames that are no measurements, such as letters: there is no little of another letter.

    Raises:
        ConfigError: What can be asked for is named.
    """
    noisy = [
        (condition, name)
        for condition in conditions
        if condition.kind == "feature_noise"
        for name in condition.modalities(corpus)
    ]
    for condition, name in noisy:
        if name in model.modalities and model.encoder(name).resting_frame is None:
            others = [other for other in model.modalities if model.encoder(other).resting_frame is not None]
            raise ConfigError(
                f"condition {condition}: the frames of {name} are no measurements that noise could be a share of; "
                + (f"ask for feature_noise:{others[0]}" if others else "there is no other modality to ask for")
            )


def warn_of_non_finite(where: str, counts: Mapping[str, int]) -> None:
    """Warn of frames that are no numbers, by modality."""
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if found:
        warnings.warn(f"{where}: frames with NaN or infinity, taken as unobserved: {found}", DataWarning, stacklevel=3)
