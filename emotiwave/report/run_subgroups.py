"""Who is answered worse: scores of parts of the utterances, one table for each fact they are told apart by."""

from collections.abc import Mapping, Sequence

from emotiwave.errors import printable
from emotiwave.evaluation.subgroups import BY, GAP, LEAST
from emotiwave.metrics import HEADLINE
from emotiwave.report.tables import DASH, METRIC_NAMES, Cell, Row, Table, score_cell
from emotiwave.types import Score

SHOWN = (HEADLINE, "accuracy", "weighted_accuracy", "mae")
"""Metrics of the table, where they were scored."""
MOST_ROWS = 25


def subgroup_tables(scores: Sequence[Score]) -> list[Table]:
    """Lay out what was scored of parts, the worst macro-F1 first, below them the gap between best and worst."""
    by_fact: dict[str, dict[str, dict[tuple[bool, str], Score]]] = {}
    gaps: dict[str, dict[tuple[bool, str], Score]] = {}
    for score in scores:
        kind, _, rest = score.condition.partition(":")
        place = (score.available is None, score.metric)
        if kind == BY:
            fact, _, value = rest.partition("=")
            by_fact.setdefault(fact, {}).setdefault(value, {})[place] = score
        elif kind == GAP:
            gaps.setdefault(rest, {})[place] = score
    return [_table(fact, parts, gaps.get(fact, {})) for fact, parts in by_fact.items()]


def _table(
    fact: str, parts: Mapping[str, Mapping[tuple[bool, str], Score]], gap: Mapping[tuple[bool, str], Score]
) -> Table:
    metrics = [metric for metric in SHOWN if any((False, metric) in of for of in parts.values())]
    places = [(False, metric) for metric in metrics]
    several = any(of[True, HEADLINE].value != of[False, HEADLINE].value for of in parts.values())
    places += [(True, HEADLINE)] if several else []
    order = sorted(parts, key=lambda value: parts[value][False, HEADLINE].value)
    rows = []
    for value in order[:MOST_ROWS]:
        cells = [Cell(f"{parts[value][False, HEADLINE].n:,}"), *(score_cell(parts[value].get(p)) for p in places)]
        rows.append(Row(printable(value), tuple(cells)))
    if gap:
        cells = [Cell(DASH), *(_gap_cell(gap.get(place)) for place in places)]
        rows.append(Row("best less worst", tuple(cells), summary=True))
    names = [
        f"{METRIC_NAMES[metric]}, mean over configurations" if mean else METRIC_NAMES[metric] for mean, metric in places
    ]
    hidden = len(parts) - MOST_ROWS
    more = f"; {hidden} better ones are not shown" if hidden > 0 else ""
    caption = f"Scores by {printable(fact)}, the worst first; parts of fewer than {LEAST} are in no gap{more}"
    return Table(caption, printable(fact), ("n", *names), tuple(rows))


def _gap_cell(score: Score | None) -> Cell:
    if score is None:
        return Cell(DASH)
    cell = score_cell(score)
    return Cell(cell.text, cell.small, None)
