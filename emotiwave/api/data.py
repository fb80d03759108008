"""Prepare the features of a recipe into a store, and hand a corpus on to other tools."""

import os
from collections.abc import Iterable
from pathlib import Path

import tomli_w
from rich.console import Console

from emotiwave.api.progress import recording_progress, show_foretold, show_preparation
from emotiwave.config import Recipe, read_recipe
from emotiwave.datasets.manifest import write_manifest as write_media_manifest
from emotiwave.datasets.paired import LABEL_PAIRED
from emotiwave.errors import ConfigError
from emotiwave.features.extraction.reader import open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.foretell import foretell
from emotiwave.features.mmsa_export import write_mmsa
from emotiwave.features.prepare import (
    AnyRecordings,
    Engine,
    Preparation,
    is_made_by,
    is_up_to_date,
    is_whole,
    read_report,
)
from emotiwave.features.prepare import prepare as prepare_store
from emotiwave.features.settings import FeatureSettings, processes_available
from emotiwave.features.store import open_store
from emotiwave.models.resolve import resolve_encoders
from emotiwave.recordings import MediaRecordings
from emotiwave.settings import PathLike

BYTES_PER_PROCESS = 2**30


def prepare(
    recipe: PathLike | Recipe,
    *,
    out: PathLike | None = None,
    overrides: Iterable[str] = (),
    processes: int | None = 1,
    engine: Engine = "processes",
    console: Console | None = None,
) -> Preparation:
    """Prepare the feature store of a recipe whose corpus lies in files of whole recordings, or in media.

    A store that is up to date is left as it is; a preparation that was stopped goes on.

    Args:
        recipe: A recipe file, the name of a shipped recipe, or a recipe.
        out: The folder of the store; by default where the recipe looks for it.
        overrides: ``TABLE.KEY=VALUE`` strings.
        processes: How many work at once, None for one per core if there is enough to read; a script that calls this
            with more than one must guard its main part by ``if __name__ == "__main__"``.
        engine: What runs them: this machine, or a Ray cluster (``emotiwave[ray]``).
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If the recipe, the data or the folder cannot be used.
        KeyboardInterrupt: If the user stops it; the same call goes on.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(os.fspath(recipe), overrides)
    resolve_encoders(recipe.model)
    folder, tables = Path(out).absolute() if out is not None else recipe.store, recipe.prepared_tables()
    settings = recipe.features or FeatureSettings()
    report = read_report(folder)
    ready = None
    if report is not None and is_up_to_date(folder, tables) and is_whole(folder):
        ready = Preparation(folder, report["counts"], tuple(report["errors"]), was_ready=True)
    if ready is not None and not isinstance(settings, MediaFeatureSettings):
        return ready
    recordings = recipe.load_recordings()
    if isinstance(recordings, MediaRecordings) and isinstance(settings, MediaFeatureSettings):
        opener = open_media(recordings, settings)
        opener.fetch()
        with opener() as reader:
            if ready is not None and is_made_by(folder, reader.metadata):
                return ready
    console = console or Console(stderr=True)
    show_foretold(foretell(recordings, settings, folder), console)
    with recording_progress(f"preparing {recordings.name}", console) as bar:
        task = bar.add_task("", total=None)
        return prepare_store(
            recordings,
            settings,
            folder,
            tables=tables,
            processes=processes or _enough_processes(recordings),
            engine=engine,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def export_mmsa(
    source: PathLike | Recipe,
    out: PathLike,
    *,
    aligned: bool = False,
    overrides: Iterable[str] = (),
    console: Console | None = None,
) -> dict[str, dict[str, int]]:
    """Write a corpus as an MMSA pickle, and tell what was padded, pooled or zeroed on the way.

    Args:
        source: A feature store, a recipe file, the name of a shipped recipe, or a recipe.
        out: The file.
        aligned: Whether the modalities share their frames, as in ``aligned_50.pkl``.
        overrides: ``TABLE.KEY=VALUE`` strings for a recipe.
        console: Where progress is shown, if the recipe's corpus is prepared first; standard error by default.

    Raises:
        EmotiwaveError: If the corpus has no sentiment, or its modalities are not aligned as asked.
    """
    if not isinstance(source, Recipe) and (Path(source) / "corpus.json").exists():
        return write_mmsa(open_store(Path(source)), Path(out), aligned=aligned)
    recipe = source if isinstance(source, Recipe) else read_recipe(os.fspath(source), overrides)
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    if recipe.features is not None:
        prepared = prepare(recipe, console=console)
        if not prepared.was_ready:
            shown_on = console or Console(stderr=True)
            show_preparation(prepared, shown_on, errors=shown_on)
    return write_mmsa(recipe.load_corpus(), Path(out), aligned=aligned)


def write_manifest(recipe: PathLike | Recipe, out: PathLike, *, overrides: Iterable[str] = ()) -> str:
    """Write the corpus of media of a recipe as a manifest; the same recipe in TOML, with the manifest as its corpus.

    Args:
        recipe: A recipe file, the name of a shipped recipe, or a recipe.
        out: The file: ``.csv``, ``.jsonl`` or ``.parquet``.
        overrides: ``TABLE.KEY=VALUE`` strings.

    Raises:
        EmotiwaveError: If the corpus cannot be read, or is not one of media.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(os.fspath(recipe), overrides)
    recordings = recipe.load_recordings()
    if not isinstance(recordings, MediaRecordings):
        raise ConfigError(f"{recordings.name}: is no corpus of media; a manifest names media files")
    if recordings.name.startswith(LABEL_PAIRED):
        raise ConfigError(
            f"{recordings.name}: a manifest could not say that its signals were never recorded together; write one of "
            "each of its corpora"
        )
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    dataset = {"name": "manifest"} | write_media_manifest(recordings, out)
    tables = recipe.tables()
    tables["features"].pop("store", None)
    return tomli_w.dumps({**tables, "dataset": dataset})


def _enough_processes(recordings: AnyRecordings) -> int:
    """One per core; of files of features no more than have `BYTES_PER_PROCESS` to read: each starts an interpreter."""
    if isinstance(recordings, MediaRecordings):
        return processes_available()
    n_bytes = sum(path.stat().st_size for path in recordings.inputs if path.exists())
    return min(processes_available(), 1 + n_bytes // BYTES_PER_PROCESS)
