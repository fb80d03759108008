"""Compared methods as GitHub Markdown: what the page of a comparison says, without its pictures."""

import re
from collections.abc import Iterable, Sequence

from emotiwave.errors import printable
from emotiwave.evaluation.comparison import CorpusComparison
from emotiwave.report.comparison_curves import curve_differences, curve_table
from emotiwave.report.comparison_curves import summary as say_curve
from emotiwave.report.comparison_layout import (
    WORD_COLUMNS,
    cost_table,
    mean_difference_table,
    place_difference_table,
    score_table,
)
from emotiwave.report.comparison_words import facts, key, limits, summary, title
from emotiwave.report.tables import Cell, Table

MARKUP = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])|^#|^[+=-](?=[\s+=-]|$)")
"""What Markdown may take for markup: anywhere, an underscore at the edge of a word, and at the start of a line."""
ORDINAL = re.compile(r"^(\d+)([.)])(?=\s|$)")
"""What starts a numbered list."""


def write_markdown(comparisons: Sequence[CorpusComparison]) -> str:
    """Write comparisons as GitHub Markdown, one section per corpus; the same comparisons give the same text."""
    lines = [f"# {escape(title(comparisons))}", ""]
    lines += _list(summary(comparison) for comparison in comparisons) if len(comparisons) > 1 else []
    for comparison in comparisons:
        lines += ["", *_section(comparison)]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Keep text of others on its line, in its cell, and free of markup.

    >>> print(escape("lstm_concat | *best*"))
    lstm_concat \| \*best\*
    """
    return ORDINAL.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", printable(text).strip()))


def _section(comparison: CorpusComparison) -> list[str]:
    lines = [f"## {escape(comparison.name)}", "", escape(summary(comparison)), "", *_table(score_table(comparison))]
    lines += ["", escape(key(comparison))]
    for table in (mean_difference_table(comparison), place_difference_table(comparison), cost_table(comparison)):
        lines += ["", *_table(table)] if table.rows else []
    for curve in comparison.curves:
        lines += ["", escape(say_curve(comparison, curve))]
        for table in (curve_table(comparison, curve), curve_differences(comparison, curve)):
            lines += ["", *_table(table)] if table.rows else []
    lines += ["", "### What must not be concluded", "", *_list(limits(comparison))]
    told = [f"**{name}**: {escape(fact)}" for name, fact in facts(comparison).items()]
    lines += ["", "### What this is", "", *(f"- {line}" for line in told), *_list(comparison.notes)]
    return lines


def _table(table: Table) -> list[str]:
    header = (table.corner, *table.columns)
    rows = [[escape(row.name), *map(_cell, row.cells)] for row in table.rows]
    sides = ["---" if name in WORD_COLUMNS else "---:" for name in table.columns]
    padded = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    lines = [[escape(name) for name in header], ["---", *sides], *padded]
    return [f"**{escape(table.caption)}**", "", *(f"| {' | '.join(cells)} |" for cells in lines)]


def _cell(cell: Cell) -> str:
    return escape(f"{cell.text} {_aside(cell.small)}" if cell.small else cell.text)


def _aside(small: str) -> str:
    return small if small.startswith("±") else f"({small})"


def _list(texts: Iterable[str]) -> list[str]:
    return [f"- {escape(text)}" for text in texts]
