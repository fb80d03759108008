"""Compare methods: run a grid of trainings, or take run folders, and write what is found as a page and a table."""

import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future, wait
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.api.data import prepare
from emotiwave.api.progress import show_preparation
from emotiwave.comparison.cell import CELL, Cell, cells_of, described_methods, read_cell
from emotiwave.comparison.collect import collect_grid, collect_runs
from emotiwave.comparison.recipe import Comparison, read_comparison
from emotiwave.errors import ConfigError, TrainingError, printable
from emotiwave.evaluation.comparison import CorpusComparison
from emotiwave.files import replace_file
from emotiwave.report.comparison_page import draw_comparison
from emotiwave.report.comparison_table import write_markdown
from emotiwave.run_folder import PACKAGES
from emotiwave.settings import PathLike
from emotiwave.worker_pool import interrupts_held, worker_pool

OUT = "emotiwave-comparison"
POLL = 0.5
"""Seconds between looks at what is done."""


@dataclass(frozen=True)
class ComparisonFiles:
    """What was found, and where it was written: a page, a table in Markdown, and every number as JSON."""

    comparisons: list[CorpusComparison]
    page: Path
    table: Path
    numbers: Path


def compare(
    sources: PathLike | Sequence[PathLike],
    *,
    out: PathLike = OUT,
    overrides: Iterable[str] = (),
    processes: int | None = None,
    console: Console | None = None,
) -> ComparisonFiles:
    """Compare methods pairwise on the same test utterances.

    Args:
        sources: Recipes of comparisons, by file or by name, whose runs are trained where they are not there yet; or
            evaluated run folders, of which the first is what the others are compared with.
        out: The folder for runs, page and table; what is finished there is used again.
        overrides: ``TABLE.KEY=VALUE`` strings for the recipes.
        processes: How many runs are trained at once, each on one thread; one per core by default.
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If recipes or runs cannot be compared; the difference is listed.
        KeyboardInterrupt: If the user stops it; the same call goes on.
    """
    given = [os.fspath(source) for source in ([sources] if isinstance(sources, str | os.PathLike) else sources)]
    if not given:
        raise ConfigError("nothing to compare was named; give recipes of comparisons, or run folders")
    root, console = Path(out), console or Console(stderr=True)
    runs = [Path(source) for source in given if Path(source).is_dir()]
    if runs and len(runs) < len(given):
        recipe = next(source for source in given if not Path(source).is_dir())
        raise ConfigError(f"{runs[0]} is a folder and {recipe} a recipe; compare runs with runs, or recipes")
    if runs:
        if list(overrides):
            raise ConfigError("runs are compared as they are; --set is for recipes of comparisons")
        return _write([collect_runs(runs)], [], root)
    comparisons = [read_comparison(source, overrides) for source in given]
    _check_names(comparisons)
    _run_grid(comparisons, root, processes or os.cpu_count() or 1, console)
    return _write([collect_grid(comparison, root) for comparison in comparisons], comparisons, root)


def _check_names(comparisons: Sequence[Comparison]) -> None:
    names: dict[str, Comparison] = {}
    for comparison in comparisons:
        other = names.setdefault(comparison.name, comparison)
        if other is not comparison:
            raise ConfigError(f"{other.source} and {comparison.source} are both called {comparison.name!r}; rename one")


def _run_grid(comparisons: Sequence[Comparison], root: Path, processes: int, console: Console) -> None:
    """Run the cells that are not done, the methods of all corpora in several processes."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is no folder; choose another one by --out")
    cells = [cell for comparison in comparisons for of in cells_of(comparison, root).values() for cell in of]
    todo = [cell for cell in cells if read_cell(cell) is None]
    if not todo:
        return
    for comparison in comparisons:
        if any(cell.comparison is comparison for cell in todo):
            _prepare_data(comparison, console)
    tasks = list({(cell.comparison.name, cell.method.name): cell for cell in todo}.values())
    progress = Progress(
        TextColumn("comparison"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        bar = progress.add_task("", total=len(cells), completed=len(cells) - len(todo))
        _run_tasks(tasks, min(processes, len(tasks)), cells, lambda n: progress.update(bar, completed=n), console)


def _prepare_data(comparison: Comparison, console: Console) -> None:
    """Prepare and read the corpus of every fold once, before the runs meet it all at the same time."""
    for fold in comparison.folds:
        recipe = comparison.recipe(comparison.methods[0], fold, comparison.settings.seeds[0])
        if recipe.features is not None:
            prepared = prepare(recipe, console=console)
            if not prepared.was_ready:
                show_preparation(prepared, console, errors=console)
        corpus = recipe.load_corpus()
        corpus.indices("train")
        corpus.indices(recipe.evaluation.split)


def _run_tasks(tasks: Sequence[Cell], processes: int, cells: Sequence[Cell], show: Any, console: Console) -> None:
    from emotiwave.api.cells import run_method, use_one_thread  # torch and Lightning take seconds

    start = time.monotonic()
    with worker_pool(processes, use_one_thread, tasks_each=1) as pool:
        waiting: dict[Future[None], Cell] = {}
        with interrupts_held():
            for task in tasks:
                waiting[pool.submit(run_method, task.comparison, task.method, task.root)] = task
        n_tasks, failed = len(tasks), []
        while waiting:
            done, _ = wait(waiting, timeout=POLL, return_when="FIRST_COMPLETED")
            for future in done:
                task = waiting.pop(future)
                if (error := future.exception()) is not None:
                    failed.append((task, error))
                if not console.is_terminal:
                    told = f"{n_tasks - len(waiting)}/{n_tasks} {task.comparison.name}: {task.method.name}"
                    console.print(f"{told}, after {time.monotonic() - start:.0f} s", highlight=False, markup=False)
            show(sum((cell.folder / CELL).exists() for cell in cells))
    for task, error in failed:
        name = f"{task.comparison.name}: {printable(task.method.name)}"
        if isinstance(error, BrokenExecutor):
            raise TrainingError(
                f"{name}: a process died, perhaps for want of memory; the same command goes on, with --processes 1 in "
                "less memory"
            ) from None
        raise error


def _write(found: list[CorpusComparison], comparisons: Sequence[Comparison], root: Path) -> ComparisonFiles:
    root.mkdir(parents=True, exist_ok=True)
    files = ComparisonFiles(found, root / "comparison.html", root / "comparison.md", root / "comparison.json")
    numbers = {
        "packages": {name: version(name) for name in PACKAGES},
        "recipes": {comparison.name: _described(comparison) for comparison in comparisons},
        "comparisons": [asdict(one) for one in found],
    }
    replace_file(files.numbers, json.dumps(numbers, indent=1).encode() + b"\n")
    replace_file(files.table, write_markdown(found).encode())
    replace_file(files.page, draw_comparison(found).encode())
    return files


def _described(comparison: Comparison) -> dict[str, Any]:
    """What the numbers depend on, but for where files lie."""
    recipe = comparison.recipe(comparison.methods[0], comparison.folds[0], comparison.settings.seeds[0])
    tables = recipe.tables()
    return {
        "comparison": comparison.settings.model_dump(mode="json"),
        "methods": described_methods(comparison),
        "training": tables["training"],
        "evaluation": tables["evaluation"],
        "dataset": {key: value for key, value in comparison.tables["dataset"].items() if key not in ("root", "store")},
        "features": comparison.tables.get("features", {}),
    }
