"""What is shown of work over videos: the bar, and what came of a preparation."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.errors import printable
from emotiwave.features.prepare import Preparation


def video_progress(words: str, console: Console) -> Progress:
    """A bar over videos, with the time left; nothing without a terminal."""
    return Progress(
        TextColumn(words),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("videos, left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def show_preparation(prepared: Preparation, console: Console, *, errors: Console) -> None:
    """Print every count, and a row for every error where errors go."""
    for name, count in prepared.counts.items():
        console.print(f"{name:60} {count}", highlight=False, markup=False, soft_wrap=True)
    for error in prepared.errors:
        row = f"error row: {error['video']} ({error['modality']}): {error['error']}"
        errors.print(printable(row), style="yellow", highlight=False, markup=False, soft_wrap=True)
    state = "was up to date" if prepared.was_ready else "is ready"
    resumed = f"; {prepared.n_resumed} videos were there from an earlier start" if prepared.n_resumed else ""
    console.print(
        f"{prepared.folder}: the feature store {state}{resumed}", highlight=False, markup=False, soft_wrap=True
    )
