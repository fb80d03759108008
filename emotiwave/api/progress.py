"""What is shown of work over recordings: the bar, and what came of a preparation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.errors import printable
from emotiwave.features.extract_files import ERRORS, TABLE, USABILITY, Extraction
from emotiwave.features.foretell import Foretold
from emotiwave.features.prepare import REPORT, Preparation

MOST_ROWS = 20
"""Error rows that are printed; all of them are in the store."""


def recording_progress(words: str, console: Console) -> Progress:
    """A bar over recordings, with the time left; nothing without a terminal."""
    return Progress(
        TextColumn(words),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("recordings, left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def show_foretold(foretold: Foretold | None, console: Console) -> None:
    """Say how much a preparation will write."""
    if foretold is not None:
        style = "yellow" if foretold.exceeds_disk else None
        console.print(str(foretold), style=style, highlight=False, markup=False, soft_wrap=True)


def show_extraction(extraction: Extraction, console: Console, *, errors: Console) -> None:
    """Print a line per signal that was looked at, a row for every error, and where the files are."""
    for name, note in extraction.notes.items():
        console.print(f"{name}: {note}", highlight=False, markup=False, soft_wrap=True)
    worst_first = sorted(extraction.usability, key=lambda row: (row.get("used", False), row.get("observed", 0.0)))
    for row in worst_first[:MOST_ROWS]:
        console.print(printable(f"{row['utterance']}: {row['reason']}"), highlight=False, markup=False, soft_wrap=True)
    if len(worst_first) > MOST_ROWS:
        more = f"{len(worst_first) - MOST_ROWS} more such lines, of more use, are in {extraction.folder / USABILITY}"
        console.print(more, highlight=False, markup=False, soft_wrap=True)
    _show_errors(extraction.errors, extraction.folder / ERRORS, errors)
    console.print(
        f"{extraction.folder}: {extraction.n_with_features} of {len(extraction.rows)} utterances have features, "
        f"in {extraction.n_files} files that {TABLE} names; {len(extraction.errors)} error rows",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _show_errors(rows: Sequence[Mapping[str, str]], place: Path, console: Console) -> None:
    for error in rows[:MOST_ROWS]:
        row = f"error row: {error.get('utterance', error['recording'])} ({error['modality']}): {error['error']}"
        console.print(printable(row), style="yellow", highlight=False, markup=False, soft_wrap=True)
    if len(rows) > MOST_ROWS:
        more = f"{len(rows) - MOST_ROWS} more error rows are in {place}"
        console.print(more, style="yellow", highlight=False, markup=False, soft_wrap=True)


def show_preparation(prepared: Preparation, console: Console, *, errors: Console) -> None:
    """Print every count, and a row for every error where errors go."""
    for name, count in prepared.counts.items():
        console.print(f"{name:60} {count}", highlight=False, markup=False, soft_wrap=True)
    _show_errors(prepared.errors, prepared.folder / REPORT, errors)
    state = "was up to date" if prepared.was_ready else "is ready"
    resumed = f"; {prepared.n_resumed} recordings were there from an earlier start" if prepared.n_resumed else ""
    console.print(
        f"{prepared.folder}: the feature store {state}{resumed}", highlight=False, markup=False, soft_wrap=True
    )
