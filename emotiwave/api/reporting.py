"""Draw evaluated runs."""

from collections.abc import Sequence
from pathlib import Path

from emotiwave.api.run_checks import read_runs
from emotiwave.files import replace_file
from emotiwave.report.page import write_page
from emotiwave.run_folder import label_runs
from emotiwave.settings import PathLike


def write_report(runs: PathLike | Sequence[PathLike], *, out: PathLike | None = None) -> Path:
    """Write one self-contained HTML page about evaluated runs; by default ``report.html`` in the first run.

    Raises:
        EmotiwaveError: If a run was not evaluated yet.
    """
    labels = label_runs(read_runs(runs))
    path = Path(out) if out is not None else next(iter(labels)) / "report.html"
    page = write_page(labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page.encode())
    return path
