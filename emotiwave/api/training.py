"""Train recipes into run folders."""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from emotiwave.api.data import prepare
from emotiwave.api.progress import show_preparation
from emotiwave.api.run_checks import check_measured, check_selection, warn_of_non_finite
from emotiwave.api.spoiled_media import checked_conditions
from emotiwave.config import Recipe, read_recipe
from emotiwave.errors import ConfigError, DataWarning, EmotiwaveError
from emotiwave.models.resolve import resolve_encoders
from emotiwave.run_folder import (
    begin_run,
    check_free,
    check_same_run,
    discard_run,
    finish_run,
    go_on_with_run,
    holds_run,
    write_card,
)
from emotiwave.settings import PathLike
from emotiwave.training.statistics import without_unlearnable

if TYPE_CHECKING:
    from emotiwave.training.fit import TrainingSummary


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, which any command takes, how training went, and the name of the corpus."""

    folder: Path
    summary: "TrainingSummary"
    dataset: str

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
    if is_main_process() and not (resume and holds_run(folder)):
        check_free(folder)  # before hours of preparation, and not after them
    resolve_encoders(recipe.model)
    if recipe.features is not None:
        prepared = prepare(recipe, console=console)
        if not prepared.was_ready:
            shown_on = console or Console(stderr=True)
            show_preparation(prepared, shown_on, errors=shown_on)
    corpus = recipe.load_corpus()
    check_selection(corpus, recipe, recipe.evaluation)
    conditions = checked_conditions(recipe.evaluation, recipe, corpus)
    model = build(corpus, recipe.model, recipe.training)
    check_measured(conditions, model, corpus)
    corpus = without_unlearnable(corpus)
    learned_from = recipe.without_scored_targets(corpus)
    if not is_main_process():  # Lightning runs the command again for every further device; the first keeps the folder
        fit(model, learned_from, recipe.training, folder, resume=resume, console=console)
        raise SystemExit(0)
    if resume and holds_run(folder):
        check_same_run(folder, recipe, corpus)
        go_on_with_run(folder, recipe)
    else:
        if resume:
            warnings.warn(f"nothing to resume in {folder}; a new run begins there", DataWarning, stacklevel=2)
        begin_run(folder, recipe, corpus, model)
    try:
        summary = fit(model, learned_from, recipe.training, folder, resume=resume, console=console)
    except EmotiwaveError:
        discard_run(folder)
        raise
    finish_run(folder, summary)
    write_card(folder)
    warn_of_non_finite("training", summary.n_non_finite)
    return Run(folder, summary, corpus.name)
