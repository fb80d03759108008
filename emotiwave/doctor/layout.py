"""Facts and findings as rows of words: what the terminal and the page both show."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from emotiwave.doctor.facts import FileFacts, LabelFacts
from emotiwave.doctor.findings import SEVERITIES, Finding, percent
from emotiwave.doctor.inspection import Inspection

NOTHING = "\N{EN DASH}"
COLOURS = {"decision": "bold red", "warning": "yellow", "info": "cyan"}
MARKS = {"decision": "\N{BLACK UP-POINTING TRIANGLE}", "warning": "!", "info": "i"}
"""Severity is never told by colour alone."""
KINDS = {
    "labels": "labels",
    "words": "timed words",
    "features": "features",
    "store": "feature store",
    "mmsa": "MMSA file",
    "npz": "arrays",
    "folds": "folds",
}


@dataclass(frozen=True)
class Rows:
    """A table of words: a caption, column names, and rows of as many cells, the first of which names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(inspection: Inspection) -> list[RichTable]:
    """Lay an inspection out for the terminal: facts, then findings."""
    return [*(_rich(rows) for rows in fact_tables(inspection.facts)), _findings(inspection.findings)]


def summary(inspection: Inspection) -> str:
    """Say in one sentence what was found.

    >>> summary(Inspection((), ()))
    'Nothing found in 0 files.'
    """
    n_files = counted_files(inspection)
    found = {severity: sum(f.severity == severity for f in inspection.findings) for severity in SEVERITIES}
    if not inspection.findings:
        return f"Nothing found in {n_files}."
    return (
        f"In {n_files}: {counted(found['decision'], 'finding')} that {'needs' if found['decision'] == 1 else 'need'} a "
        f"decision, {counted(found['warning'], 'warning')}, and {found['info']:,} for information."
    )


def counted_files(inspection: Inspection) -> str:
    """How many files were looked at, those that cannot be read among them."""
    unreadable = {finding.file for finding in inspection.findings if finding.kind == "unreadable"}
    return counted(len({facts.file for facts in inspection.facts} | unreadable), "file")


def fact_tables(facts: Sequence[FileFacts]) -> list[Rows]:
    """Lay facts out: files, label files, classes, folds, and what is in corpora and archives; tables that have rows."""
    found = (_files(facts), _labels(facts), _classes(facts), _splits(facts), _modalities(facts))
    return [rows for rows in found if rows.rows]


def counted(n: int, thing: str) -> str:
    """Write a number with what it counts.

    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def _files(facts: Sequence[FileFacts]) -> Rows:
    columns = ("File", "Kind", "Root", "Size", "Type", "Columns", "Videos", "Frames", "Hours", "Rate", "Unobserved")
    rows = [
        (
            one.name,
            KINDS[one.kind],
            one.root or NOTHING,
            size(one.n_bytes),
            one.dtype or NOTHING,
            _number(one.size),
            _number(one.n_videos),
            _number(one.n_frames),
            NOTHING if one.seconds is None else f"{one.seconds / 3600:.2f}",
            NOTHING if one.rate is None else f"{one.rate:.3g} Hz",
            NOTHING if one.n_unobserved is None or not one.n_frames else percent(one.n_unobserved / one.n_frames),
        )
        for one in facts
    ]
    return Rows("Files", columns, tuple(rows))


def _labels(facts: Sequence[FileFacts]) -> Rows:
    rows = [
        (
            name,
            f"{', '.join(labels.columns)} (by {labels.named_by})",
            f"{labels.n_rows:,}",
            f"{labels.n_segments:,}",
            _share(labels.all_zero_share),
            _share(labels.tied_share),
        )
        for name, labels in _labelled(facts)
    ]
    return Rows("Labels", ("File", "Label columns", "Rows", "Usable", "No emotion", "Tied"), tuple(rows))


def _classes(facts: Sequence[FileFacts]) -> Rows:
    rows = [
        (name, label, percent(share))
        for name, labels in _labelled(facts)
        for label, share in labels.class_shares.items()
    ]
    return Rows("Classes", ("File", "Class", "Holds for"), tuple(rows))


def _splits(facts: Sequence[FileFacts]) -> Rows:
    rows = [
        (name, split, f"{counts['videos']:,}", f"{counts['segments']:,}")
        for name, labels in _labelled(facts)
        for split, counts in labels.folds.items()
    ]
    rows += [
        (one.name, split, f"{n:,}", NOTHING)
        for one in facts
        if one.kind == "folds"
        for split, n in (one.splits or {}).items()
    ]
    return Rows("Folds", ("File", "Fold", "Videos", "Segments"), tuple(rows))


def _modalities(facts: Sequence[FileFacts]) -> Rows:
    rows = [
        (
            one.name,
            name,
            "\N{MULTIPLICATION SIGN}".join(map(str, part.shape)) if part.shape is not None else _number(part.size),
            part.dtype,
            f"{part.n_frames:,}",
            percent(part.n_unobserved / part.n_frames) if part.n_frames else NOTHING,
            _number(part.n_missing),
        )
        for one in facts
        for name, part in (one.modalities or {}).items()
    ]
    columns = ("File", "Modality or array", "Columns or shape", "Type", "Frames", "Unobserved", "Utterances without")
    return Rows("Corpora and arrays", columns, tuple(rows))


def _labelled(facts: Sequence[FileFacts]) -> list[tuple[str, LabelFacts]]:
    return [(one.name, one.labels) for one in facts if one.labels is not None]


def size(n_bytes: int) -> str:
    """Write a number of bytes.

    >>> size(999), size(16_000_000_000)
    ('999 B', '16.0 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"


def _number(n: int | None) -> str:
    return NOTHING if n is None else f"{n:,}"


def _share(share: float | None) -> str:
    return NOTHING if share is None else percent(share)


def _rich(rows: Rows) -> RichTable:
    table = RichTable(title=rows.caption, title_justify="left")
    for index, name in enumerate(rows.columns):
        words = index == 0 or not any(row[index][:1].isdigit() for row in rows.rows)
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    for row in rows.rows:
        table.add_row(*map(Text, row))
    return table


def _findings(findings: Sequence[Finding]) -> RichTable:
    table = RichTable(title="Findings, the worst first", title_justify="left", show_lines=True)
    for name, ratio in (("", None), ("Finding", 2), ("What, and what is done about it", 5)):
        table.add_column(name, overflow="fold", ratio=ratio)
    for one in findings:
        severity = Text(f"{MARKS[one.severity]} {one.severity}", style=COLOURS[one.severity])
        told = Text.assemble(one.detail, "\n", ("\N{RIGHTWARDS ARROW} " + one.action, "dim"))
        where = Text.assemble((one.kind, "bold"), "\n", (file_name(one.file), "dim"))
        table.add_row(severity, where, told)
    return table


def file_name(file: str) -> str:
    """Name a file without its folders."""
    return file.rstrip("/").rsplit("/", 1)[-1] or file
