"""Compare methods: run a grid of trainings, or take run folders, and write what is found as a page and a table."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.api.data import prepare
from emotiwave.api.progress import show_preparation
from emotiwave.comparison.cell import CELL, Cell, cells_of, check_begun, described_methods, read_cell
from emotiwave.comparison.collect import collect_grid, collect_runs
from emotiwave.comparison.recipe import Comparison, read_comparison
from emotiwave.comparison.same_data import check_same_data, described_data
from emotiwave.errors import ConfigError, DatasetError, TrainingError, printable
from emotiwave.evaluation.comparison import CorpusComparison
from emotiwave.evaluation.paired import check_metric
from emotiwave.files import replace_file
from emotiwave.report.comparison_page import draw_comparison
from emotiwave.report.comparison_table import write_markdown
from emotiwave.run_folder import PACKAGES
from emotiwave.settings import PathLike, Settings
from emotiwave.worker_pool import interrupts_held, worker_pool

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

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
    if isinstance(overrides, str):
        raise ConfigError(f"overrides must be a list of TABLE.KEY=VALUE strings; got {overrides!r}")
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be 1 or more; got {processes}")
    overrides = list(overrides)
    root, console = Path(out), console or Console(stderr=True)
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root} is no folder; choose another one by --out")
    runs = [Path(source) for source in given if Path(source).is_dir()]
    if runs and len(runs) < len(given):
        recipe = next(source for source in given if not Path(source).is_dir())
        raise ConfigError(
            f"{runs[0]} is a folder, and {recipe} is none; compare runs with runs, or recipes with recipes"
        )
    if runs:
        if overrides:
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
    """Run the cells that are not done, and those whose error may be mended, the methods of all corpora at once."""
    cells = [cell for comparison in comparisons for of in cells_of(comparison, root).values() for cell in of]
    todo = [cell for cell in cells if (result := read_cell(cell)) is None or not result.final]
    if not todo:
        return
    for cell in todo:
        check_begun(cell)
    for comparison in comparisons:
        if any(cell.comparison is comparison for cell in todo):
            check_same_data(comparison, root, _prepare_data(comparison, console))
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
    with _held(root), progress:
        for cell in todo:
            if (result := read_cell(cell)) is not None and not result.final:
                (cell.folder / CELL).unlink()
        bar = progress.add_task("", total=len(cells), completed=len(cells) - len(todo))
        _run_tasks(tasks, min(processes, len(tasks)), cells, lambda n: progress.update(bar, completed=n), console)


@contextmanager
def _held(root: Path) -> Iterator[None]:
    """Keep other comparisons out of a folder until the runs are done, or this process dies."""
    root.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{root}: another comparison runs in this folder; wait until it is done, or choose another one by --out"
            ) from None
        yield
    finally:
        os.close(folder)


def _prepare_data(comparison: Comparison, console: Console) -> dict[str, str]:
    """Prepare and read the corpus of every fold once, before the runs meet it all at the same time.

    What could only fail after all runs is refused now. Returns content hashes, as `check_same_data` takes them.
    """
    from emotiwave.training.statistics import without_unlearnable  # torch takes seconds

    digests = {}
    for fold in comparison.folds:
        recipe = comparison.recipe(comparison.methods[0], fold, comparison.settings.seeds[0])
        if recipe.features is not None:
            prepared = prepare(recipe, console=console)
            if not prepared.was_ready:
                show_preparation(prepared, console, errors=console)
        corpus = recipe.load_corpus()
        corpus.indices("train")
        corpus.indices(recipe.evaluation.split)
        check_metric(comparison.settings.metric, corpus.label_set, corpus.name)
        if comparison.settings.candidates and not corpus.has_split(recipe.training.selection_split):
            raise DatasetError(
                f"{corpus.name}: has no split {recipe.training.selection_split!r} on which candidates could be chosen; "
                "take comparison.candidates out, or give it one"
            )
        digests[described_data(recipe)] = without_unlearnable(corpus).digest
    return digests


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
    for task, error in sorted(failed, key=lambda one: isinstance(one[1], BrokenExecutor)):
        if isinstance(error, BrokenExecutor):  # all that were not done have it: a pool does not say whose process died
            raise TrainingError(
                f"a process died, perhaps for want of memory, and {len(failed)} of {n_tasks} methods are not done, "
                f"{task.comparison.name}: {printable(task.method.name)} among them; the same command goes on, with "
                "--processes 1 in less memory"
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
        "comparison": comparison.settings.model_dump(mode="json", exclude={"methods"}),
        "methods": described_methods(comparison),
        "training": tables["training"],
        "evaluation": _without_paths(tables["evaluation"], recipe.evaluation),
        "dataset": _without_paths(comparison.tables["dataset"], recipe.dataset),
        "features": _without_paths(comparison.tables.get("features", {}), recipe.features),
    }


def _without_paths(table: Mapping[str, Any], settings: Settings | None) -> dict[str, Any]:
    """Take out the keys that say where files lie."""
    paths = {key for key, value in settings or () if isinstance(value, Path)}
    return {key: value for key, value in table.items() if key not in paths}
