"""One self-contained HTML page about compared methods: it draws what a comparison found, and computes nothing."""

from collections.abc import Sequence
from typing import Any

from emotiwave.drawing import page
from emotiwave.errors import printable
from emotiwave.evaluation.comparison import CorpusComparison
from emotiwave.report.comparison_curves import draw_curves
from emotiwave.report.comparison_figures import cost_scatter, forest
from emotiwave.report.comparison_layout import (
    WORD_COLUMNS,
    cost_table,
    mean_difference_table,
    place_difference_table,
    score_table,
)
from emotiwave.report.comparison_words import facts, key, limits, summary, title


def draw_comparison(comparisons: Sequence[CorpusComparison]) -> str:
    """Draw comparisons, one per corpus, as one HTML page that loads nothing and runs nothing.

    The same comparisons give the same page.
    """
    return page(
        "report/comparison.html",
        kicker="Emotiwave comparison",
        title=title(comparisons),
        word_columns=WORD_COLUMNS,
        comparisons=[_section(comparison) for comparison in comparisons],
    )


def _section(comparison: CorpusComparison) -> dict[str, Any]:
    pictures = (forest(comparison), cost_scatter(comparison))
    return {
        "name": printable(comparison.name),
        "summary": summary(comparison),
        "pictures": [picture for picture in pictures if picture is not None],
        "scores": score_table(comparison),
        "key": key(comparison),
        "mean_differences": mean_difference_table(comparison),
        "place_differences": place_difference_table(comparison),
        "curves": draw_curves(comparison),
        "costs": cost_table(comparison),
        "facts": facts(comparison),
        "notes": [printable(note) for note in comparison.notes],
        "limits": limits(comparison),
    }
