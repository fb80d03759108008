"""The bar that every work over videos shows."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
