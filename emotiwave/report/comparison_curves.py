"""What a comparison found under conditions: a figure of curves, and the tables beside it."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotiwave.drawing import FONT_SIZE, Picture, Theme, picture
from emotiwave.errors import printable
from emotiwave.evaluation.comparison import AREA, EFFECTIVE, RELATIVE, CorpusComparison, Curve, MethodScore
from emotiwave.report.comparison_layout import marked, row_name, unit_of_change
from emotiwave.report.comparison_words import (
    ceilings,
    find_difference,
    find_score,
    in_percent,
    method_name,
    metric_name,
    ranked,
    say_change,
    say_interval,
    say_p,
    say_value,
)
from emotiwave.report.tables import DASH, SPACE, Cell, Row, Table
from emotiwave.types import BAYES_OPTIMAL

WIDTH, HEIGHT = 5.6, 3.6
STYLES = ("-", "--", ":", "-.")
SUMMARIES = {AREA: "Area", RELATIVE: "Share kept", EFFECTIVE: "Beyond the others"}
LINE = 1.05 * FONT_SIZE
"""Typographic points between the numbers beside curves."""


def draw_curves(comparison: CorpusComparison) -> list[dict[str, Any]]:
    """Draw each curve of a comparison, with its tables and what they come to in a sentence."""
    return [
        {
            "title": printable(f"When input is spoiled: {curve.condition}"),
            "summary": summary(comparison, curve),
            "picture": _figure(comparison, curve),
            "scores": curve_table(comparison, curve),
            "differences": curve_differences(comparison, curve),
        }
        for curve in comparison.curves
    ]


def summary(comparison: CorpusComparison, curve: Curve) -> str:
    """Say over how many methods the anchor is ahead at every severity, what was drawn, and how much of it."""
    anchor = method_name(comparison.anchor)
    ahead, behind, others = [], [], 0
    for method in ranked(comparison):
        found = [find_difference(comparison, method.name, place) for place in curve.places]
        verdicts = {difference.verdict for difference in found if difference}
        others += bool(verdicts)
        ahead += [method_name(method.name)] if verdicts == {"lower"} else []
        behind += [method_name(method.name)] if verdicts == {"higher"} else []
    of = f"{len(ahead)} of {others} ({', '.join(ahead)})" if ahead else f"none of {others}"
    words = [f"At every severity, {anchor} is ahead of {of}"] if others else [f"{anchor} is alone"]
    words += [f"and behind {', '.join(behind)}"] if behind else []
    drawn = f"; drawn {curve.draws} times, the same for all methods" if curve.masks else ""
    hash_ = f" (hash of the masks {curve.masks[:16]})" if curve.masks else ""
    return f"{' '.join(words)}{drawn}{hash_}."


def curve_table(comparison: CorpusComparison, curve: Curve) -> Table:
    """Show what every method reaches at each severity, and what its curve comes to."""
    complete = max(comparison.places, key=lambda place: place.count("+"))
    places = (complete, *curve.places)
    sums = [what for what in SUMMARIES if find_score(comparison, comparison.anchor, f"{what}:{curve.condition}")]
    rows = []
    for method in (*ranked(comparison), *ceilings(comparison)):
        cells = [_score_cell(comparison, method.name, place) for place in places]
        cells += [_score_cell(comparison, method.name, f"{what}:{curve.condition}") for what in sums]
        rows.append(Row(row_name(comparison, method), tuple(cells), summary=method.name == BAYES_OPTIMAL))
    unit = ", per cent" if in_percent(comparison) else ""
    columns = ("0", *(_severity(curve, k) for k in range(len(curve.severities))), *(SUMMARIES[what] for what in sums))
    caption = f"{metric_name(comparison)} under {printable(curve.condition)}, by severity{unit}"
    return Table(caption, "Method", columns, tuple(rows))


def curve_differences(comparison: CorpusComparison, curve: Curve) -> Table:
    """Show how each method differs from the anchor at each severity, and in what its curve comes to."""
    sums = [f"{what}:{curve.condition}" for what in SUMMARIES]
    rows = []
    for method in (*ranked(comparison), *ceilings(comparison)):
        found = [find_difference(comparison, method.name, place) for place in (*curve.places, *sums)]
        if any(found):
            cells = []
            for difference in found:
                if difference is None:
                    cells.append(Cell(DASH))
                    continue
                p = None if difference.p_adjusted is None else f"p{SPACE}{say_p(difference.p_adjusted)}"
                small = "; ".join(part for part in (say_interval(comparison, difference), p) if part)
                cells.append(Cell(marked(say_change(comparison, difference.value), difference), small or None))
            rows.append(Row(method_name(method.name), tuple(cells), summary=method.name == BAYES_OPTIMAL))
    columns = (*(_severity(curve, k) for k in range(len(curve.severities))), *SUMMARIES.values())
    caption = f"Under {printable(curve.condition)}, less {method_name(comparison.anchor)}{unit_of_change(comparison)}"
    return Table(caption, "Method", columns, tuple(rows))


def _severity(curve: Curve, k: int) -> str:
    """Write a severity, and what was really hidden where that differs."""
    nominal = f"{curve.severities[k]:g}"
    realised = None if curve.realised is None else f"{curve.realised[k]:.2f}"
    return nominal if realised is None or float(realised) == curve.severities[k] else f"{nominal} (really {realised})"


def _score_cell(comparison: CorpusComparison, method: str, place: str) -> Cell:
    score = find_score(comparison, method, place)
    if score is None:
        return Cell(DASH)
    is_change = place.startswith(f"{EFFECTIVE}:")
    text = (say_change if is_change else say_value)(comparison, score.value)
    found = find_difference(comparison, method, place)
    spread = None if score.sd is None else f"±{SPACE}{say_value(comparison, score.sd)}"
    return Cell(marked(text, found), spread)


def _figure(comparison: CorpusComparison, curve: Curve) -> Picture | None:
    """Draw a line per method, the one of the anchor with its intervals."""
    complete = max(comparison.places, key=lambda place: place.count("+"))
    lines: list[tuple[str, list[MethodScore]]] = []
    for method in (*ranked(comparison), *ceilings(comparison)):
        found = [find_score(comparison, method.name, place) for place in (complete, *curve.places)]
        if all(found):
            lines.append((method.name, [score for score in found if score]))
    if not lines:
        return None
    said = "; ".join(
        f"{k} {method_name(name)} {', '.join(say_value(comparison, score.value) for score in scores)}"
        for k, (name, scores) in enumerate(lines, start=1)
    )
    caption = (
        f"{metric_name(comparison)} by severity of {printable(curve.condition)}. Numbers: "
        + ", ".join(f"{k} {method_name(name)}" for k, (name, _) in enumerate(lines, start=1))
        + f". The thick line is {method_name(comparison.anchor)}, its bars are intervals."
    )
    alt = f"{metric_name(comparison)} at severities 0, {', '.join(f'{s:g}' for s in curve.severities)}: {said}."
    return picture(lambda theme: _draw(comparison, curve, lines, theme), alt=alt, caption=caption)


def _draw(
    comparison: CorpusComparison, curve: Curve, lines: Sequence[tuple[str, list[MethodScore]]], theme: Theme
) -> Figure:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    scale = 100 if in_percent(comparison) else 1
    across = (0.0, *curve.severities)
    ends: dict[str, tuple[float, str]] = {}
    for k, (name, scores) in enumerate(lines):
        is_anchor = name == comparison.anchor
        colour = theme.accent if is_anchor else theme.muted if name == BAYES_OPTIMAL else _colour(k, theme)
        heights = [scale * score.value for score in scores]
        axes.plot(
            across,
            heights,
            color=colour,
            linewidth=2.6 if is_anchor else 1.3,
            linestyle="-" if is_anchor else STYLES[k % len(STYLES)],
            marker="D" if is_anchor else "",
            markersize=5,
            zorder=3 if is_anchor else 2,
        )
        for x, score in zip(across, scores, strict=True):
            if is_anchor and score.ci_low is not None and score.ci_high is not None:
                axes.vlines(x, scale * score.ci_low, scale * score.ci_high, color=colour, linewidth=1, alpha=0.6)
        ends[str(k + 1)] = (heights[-1], colour)
    unit = " (%)" if in_percent(comparison) else ""
    axes.set_xlabel(f"severity of {curve.condition}")
    axes.set_ylabel(f"{metric_name(comparison)}{unit}")
    axes.set_xticks(across)
    axes.margins(x=0.02, y=0.08)
    axes.set_xlim(right=across[-1] + 0.09 * (across[-1] - across[0]))
    axes.grid(axis="y")
    _write_ends(figure, axes, across[-1], ends, theme)
    return figure


def _colour(k: int, theme: Theme) -> str:
    return theme.others[k % len(theme.others)]


def _write_ends(figure: Figure, axes: Axes, right: float, ends: dict[str, tuple[float, str]], theme: Theme) -> None:
    """Write the number of each curve beside its end, moved apart where they would cover each other."""
    figure.draw_without_rendering()  # fixes limits and layout
    per_point = figure.dpi / 72
    heights = {number: float(axes.transData.transform((right, y))[1]) / per_point for number, (y, _) in ends.items()}
    order = sorted(heights, key=lambda number: heights[number])
    places: list[float] = []
    for number in order:
        places.append(max(heights[number], places[-1] + LINE) if places else heights[number])
    middle = (sum(heights.values()) - sum(places)) / len(places)  # as many go up as down
    for number, place in zip(order, places, strict=True):
        y, colour = ends[number]
        axes.annotate(
            number,
            (right, y),
            xytext=(12, place + middle - heights[number]),
            textcoords="offset points",
            ha="left",
            va="center",
            color=theme.ink,
            size=0.85 * FONT_SIZE,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 1},
            annotation_clip=False,
        )
