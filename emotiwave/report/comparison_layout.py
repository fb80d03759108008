"""Lays a comparison out as tables, which its page and its Markdown share: words and marks only, no arithmetic."""

import math

from emotiwave.errors import printable
from emotiwave.evaluation.comparison import MEAN, RETENTION, CorpusComparison, Difference, Method
from emotiwave.metrics import LOWER_IS_BETTER
from emotiwave.report.comparison_words import (
    MARKS,
    ceilings,
    failed,
    find_difference,
    find_score,
    in_percent,
    method_name,
    metric_name,
    place_title,
    ranked,
    say_change,
    say_confidence,
    say_interval,
    say_p,
    say_value,
)
from emotiwave.report.tables import DASH, SPACE, Cell, Row, Table
from emotiwave.types import BAYES_OPTIMAL

COST_COLUMNS = ("Parameters", "ms per step", "Seconds per run", "Peak memory, MB", "Mode")
CHOSEN, VERDICT = "Chosen on validation", "Verdict"
WORD_COLUMNS = ("Mode", CHOSEN, VERDICT)
"""Columns that read from the left; the others are numbers."""
LEAST_AMOUNT = 0.001
"""Smaller costs are not told apart."""


def score_table(comparison: CorpusComparison) -> Table:
    """Show what every method reaches in every place, with what failed and the bounds below."""
    rows = [Row(row_name(comparison, m), _score_cells(comparison, m)) for m in ranked(comparison)]
    rows += [Row(method_name(m.name), (Cell(f"failed: {printable(m.failure or DASH)}"),)) for m in failed(comparison)]
    rows += [Row(method_name(m.name), _score_cells(comparison, m), summary=True) for m in ceilings(comparison)]
    if comparison.constant is not None:
        constant = Cell(say_value(comparison, comparison.constant))
        cells = tuple(Cell(DASH) if place == RETENTION else constant for place in comparison.places)
        rows.append(Row("best constant answer", cells, summary=True))
    unit = ", per cent" if in_percent(comparison) else ""
    better = "; lower is better" if comparison.metric in LOWER_IS_BETTER else ""
    caption = f"{metric_name(comparison)} on {printable(comparison.name)}{unit}{better}"
    return Table(caption, "Method", tuple(place_title(comparison, p) for p in comparison.places), tuple(rows))


def mean_difference_table(comparison: CorpusComparison) -> Table:
    """Show how each method differs from the anchor in the mean over configurations."""
    rows = []
    for method in (*ranked(comparison), *ceilings(comparison)):
        found = find_difference(comparison, method.name, MEAN)
        if found is None:
            continue
        cells = (
            Cell(say_change(comparison, found.value)),
            Cell(say_interval(comparison, found) or DASH),
            Cell(say_p(found.p)),
            Cell(say_p(found.p_adjusted)),
            Cell(_say_verdict(found)),
        )
        rows.append(Row(method_name(method.name), cells, summary=method.name == BAYES_OPTIMAL))
    columns = ("Difference", f"{say_confidence(comparison)} interval", "p", "p, Holm", VERDICT)
    caption = f"Mean over configurations, less that of {method_name(comparison.anchor)}{unit_of_change(comparison)}"
    return Table(caption, "Method", columns, tuple(rows))


def place_difference_table(comparison: CorpusComparison) -> Table:
    """Show how each method differs from the anchor in every other place, with interval and adjusted p."""
    places = [place for place in comparison.places if place != MEAN]
    rows = []
    for method in (*ranked(comparison), *ceilings(comparison)):
        found = [find_difference(comparison, method.name, place) for place in places]
        if any(found):
            cells = tuple(_difference_cell(comparison, difference) for difference in found)
            rows.append(Row(method_name(method.name), cells, summary=method.name == BAYES_OPTIMAL))
    caption = (
        f"Each configuration and summary, less that of {method_name(comparison.anchor)}{unit_of_change(comparison)}"
    )
    return Table(caption, "Method", tuple(place_title(comparison, place) for place in places), tuple(rows))


def cost_table(comparison: CorpusComparison) -> Table:
    """Show what each method takes, and the settings that validation chose where there was a choice."""
    has_choice = any(method.chosen for method in comparison.methods)
    rows = []
    for method in (*ranked(comparison), *failed(comparison), *ceilings(comparison)):
        cost = method.cost
        numbers = (cost.n_parameters, cost.step_ms, cost.seconds, cost.peak_mb) if cost else (None,) * 4
        cells = [Cell(_say_amount(number)) for number in numbers]
        cells.append(Cell(printable(cost.mode) if cost and cost.mode else DASH))
        cells += [Cell(printable(method.chosen) if method.chosen else DASH)] if has_choice else []
        rows.append(Row(row_name(comparison, method), tuple(cells), summary=method.name == BAYES_OPTIMAL))
    columns = (*COST_COLUMNS, CHOSEN) if has_choice else COST_COLUMNS
    return Table("What each method takes", "Method", columns, tuple(rows))


def unit_of_change(comparison: CorpusComparison) -> str:
    """Write what differences are in, and which side is better where that is not plain."""
    unit = ", in points" if in_percent(comparison) else ""
    return unit + ("; negative is better" if comparison.metric in LOWER_IS_BETTER else "")


def row_name(comparison: CorpusComparison, method: Method) -> str:
    """Write the name of a method, and whether it is the anchor."""
    return method_name(method.name) + (" (anchor)" if method.name == comparison.anchor else "")


def _score_cells(comparison: CorpusComparison, method: Method) -> tuple[Cell, ...]:
    cells = []
    for place in comparison.places:
        score = find_score(comparison, method.name, place)
        if score is None:
            cells.append(Cell(DASH))
            continue
        found = find_difference(comparison, method.name, place)
        spread = None if score.sd is None else f"±{SPACE}{say_value(comparison, score.sd)}"
        cells.append(Cell(marked(say_value(comparison, score.value), found), spread))
    return tuple(cells)


def _difference_cell(comparison: CorpusComparison, found: Difference | None) -> Cell:
    if found is None:
        return Cell(DASH)
    p = None if found.p_adjusted is None else f"p{SPACE}{say_p(found.p_adjusted)}"
    small = "; ".join(part for part in (say_interval(comparison, found), p) if part)
    return Cell(marked(say_change(comparison, found.value), found), small or None)


def marked(text: str, found: Difference | None) -> str:
    """Put the mark of a verdict that is no tie before a number."""
    mark = MARKS[found.verdict] if found and found.p_adjusted is not None else ""
    return f"{mark}{SPACE}{text}" if mark else text


def _say_verdict(found: Difference) -> str:
    if found.p_adjusted is None:
        return "not tested"
    return marked(found.verdict, found)


def _say_amount(number: float | None) -> str:
    if number is None or not math.isfinite(number):
        return DASH
    if isinstance(number, int):
        return f"{number:,}"
    if 0 < number < LEAST_AMOUNT:
        return f"<{SPACE}{LEAST_AMOUNT:g}"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
