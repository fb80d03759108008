"""Look into feature files; torch is not needed for it."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from emotiwave.api.progress import recording_progress
from emotiwave.doctor.inspection import Inspection
from emotiwave.doctor.inspection import inspect as inspect_files
from emotiwave.doctor.page import write_page
from emotiwave.files import replace_file
from emotiwave.settings import PathLike


def inspect(
    paths: PathLike | Sequence[PathLike],
    *,
    folds: PathLike | None = None,
    html: PathLike | None = None,
    console: Console | None = None,
) -> Inspection:
    """Look into ``.csd`` files, MMSA pickles, ``.npz`` archives and feature stores for what would hurt a model.

    Args:
        paths: Files, stores, or folders of them; one that cannot be read becomes a finding.
        folds: The ids of each split; by default a file named ``…folds.json`` among them.
        html: Where to write a page with pictures.
        console: Where progress is shown; standard error by default.
    """
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    console = console or Console(stderr=True)
    with recording_progress("inspecting {task.description}", console) as bar:
        task = bar.add_task("", total=None)
        found = inspect_files(
            [Path(path) for path in named],
            folds=None if folds is None else Path(folds),
            progress=lambda file, done, total: bar.update(task, description=file, completed=done, total=total),
        )
    if html is not None:
        page = Path(html)
        page.parent.mkdir(parents=True, exist_ok=True)
        replace_file(page, write_page(found).encode())
    return found
