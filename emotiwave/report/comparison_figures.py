"""The figures of a comparison: a forest plot of means, and quality against cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from emotiwave.drawing import FONT_SIZE, Picture, Theme, picture
from emotiwave.evaluation.comparison import MEAN, CorpusComparison, Method, MethodScore
from emotiwave.report.comparison_words import (
    ceilings,
    find_difference,
    find_score,
    in_percent,
    method_name,
    metric_name,
    place_title,
    ranked,
    say_confidence,
    say_interval,
    say_value,
    was_tested,
)
from emotiwave.report.figures import short_name

WIDTH = 5.6
"""Inches: the widest figure that still shrinks on a phone instead of scrolling."""
ROW = 0.27
"""Inches per method."""
LONGEST_NAME = 28
MARKERS = {"higher": "^", "lower": "v", "tie": "o", "anchor": "D", "bound": "s"}
PLACES_OF_NUMBERS = (
    ((7, 0), "left", "center"),
    ((-7, 0), "right", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
)
"""Where a number may stand beside its point: offset in typographic points, and alignment."""
DIGIT_WIDTH = 0.62
"""Of the height of letters."""


@dataclass(frozen=True)
class Point:
    """A method to draw: its number in the order of the table, and its mean as it is written."""

    number: int
    method: Method
    score: MethodScore
    value: float
    kind: str


def forest(comparison: CorpusComparison) -> Picture | None:
    """Draw the mean of every method with its interval, the best on top; None where no method has one."""
    points = _points(comparison)
    if not points:
        return None
    intervals = any(say_interval(comparison, point.score) for point in points)
    said = [f"{p.number} {method_name(p.method.name)} {_say_point(comparison, p)}" for p in points]
    lines = f"; lines are {say_confidence(comparison)} intervals" if intervals else ""
    anchor = f"; the dashed line is {method_name(comparison.anchor)}" if _anchor_value(points) is not None else ""
    marks = "; ▲ and ▼ differ from it, circles tie with it" if was_tested(comparison) else ""
    bound = "; a square is the Bayes-optimal bound" if ceilings(comparison) else ""
    return picture(
        lambda theme: _draw_forest(comparison, points, theme),
        alt=f"{_axis_name(comparison)} of {len(points)} methods, the best first: {'; '.join(said)}.",
        caption=f"{_axis_name(comparison)}{lines}{anchor}{marks}{bound}.",
    )


def cost_scatter(comparison: CorpusComparison) -> Picture | None:
    """Draw the mean against what is known of the cost of most methods; None of fewer than two.

    A bound, which is looked up, has a cost that says nothing and would stretch the axis.
    """
    points = [point for point in _points(comparison) if point.kind != "bound"]
    seconds = {p.number: p.method.cost.seconds for p in points if p.method.cost}
    parameters = {p.number: p.method.cost.n_parameters for p in points if p.method.cost}
    # a logarithm has no place for nothing
    known = [{n: cost for n, cost in costs.items() if cost and cost > 0} for costs in (seconds, parameters)]
    costs, name = max(zip(known, ("seconds per run", "parameters"), strict=True), key=lambda pair: len(pair[0]))
    points = [point for point in points if point.number in costs]
    if len(points) < 2:
        return None
    said = [
        f"{method_name(p.method.name)} {costs[p.number]:,.4g}, {say_value(comparison, p.score.value)}" for p in points
    ]
    return picture(
        lambda theme: _draw_scatter(comparison, points, costs, name, theme),
        alt=f"{_axis_name(comparison)} against {name}: {'; '.join(said)}.",
        caption=f"{_axis_name(comparison)} against {name}, on a logarithmic scale; numbers are those of the plot of "
        "means.",
    )


def _points(comparison: CorpusComparison) -> list[Point]:
    points = []
    scale = 100 if in_percent(comparison) else 1
    for number, method in enumerate((*ranked(comparison), *ceilings(comparison)), start=1):
        score = find_score(comparison, method.name, MEAN)
        if score is not None and math.isfinite(score.value):
            points.append(Point(number, method, score, scale * score.value, _kind(comparison, method)))
    return points


def _kind(comparison: CorpusComparison, method: Method) -> str:
    if method in ceilings(comparison):
        return "bound"
    if method.name == comparison.anchor:
        return "anchor"
    found = find_difference(comparison, method.name, MEAN)
    return found.verdict if found and found.p_adjusted is not None else "tie"


def _anchor_value(points: Sequence[Point]) -> float | None:
    return next((point.value for point in points if point.kind == "anchor"), None)


def _axis_name(comparison: CorpusComparison) -> str:
    unit = " (%)" if in_percent(comparison) else ""
    return f"{metric_name(comparison)}{unit}, {place_title(comparison, MEAN)}"


def _say_point(comparison: CorpusComparison, point: Point) -> str:
    interval = say_interval(comparison, point.score)
    verdict = f", {point.kind}" if point.kind in ("higher", "lower", "tie", "anchor") else ""
    return f"{say_value(comparison, point.score.value)}{f' ({interval})' if interval else ''}{verdict}"


def _draw_forest(comparison: CorpusComparison, points: Sequence[Point], theme: Theme) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.75 + ROW * len(points)), layout="constrained")
    axes = figure.add_subplot()
    scale = 100 if in_percent(comparison) else 1
    anchor = _anchor_value(points)
    if anchor is not None:
        axes.axvline(anchor, color=theme.muted, linestyle="--", linewidth=1, zorder=0)
    for row, point in enumerate(points):
        low, high = point.score.ci_low, point.score.ci_high
        if low is not None and high is not None:
            axes.hlines(row, scale * low, scale * high, color=_colour(point, theme), linewidth=1.6)
        _mark(axes, point, point.value, row, theme)
    names = [f"{short_name(method_name(p.method.name), LONGEST_NAME)}  {p.number}" for p in points]
    axes.set_yticks(range(len(points)), names)
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=2))
    axes.margins(x=0.08)
    axes.grid(axis="x")
    axes.set_xlabel(_axis_name(comparison))
    return figure


def _draw_scatter(
    comparison: CorpusComparison, points: Sequence[Point], costs: dict[int, float], name: str, theme: Theme
) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for point in points:
        _mark(axes, point, costs[point.number], point.value, theme)
    axes.set_xscale("log")
    spread = max(costs[p.number] for p in points) / min(costs[p.number] for p in points)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if spread > 300 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if name == "parameters" else StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.12)
    axes.grid()
    axes.set_xlabel(name)
    axes.set_ylabel(short_name(metric_name(comparison), LONGEST_NAME))
    _write_numbers(figure, axes, {str(point.number): (costs[point.number], point.value) for point in points}, theme)
    return figure


def _mark(axes: Axes, point: Point, across: float, up: float, theme: Theme) -> None:
    axes.plot(
        across,
        up,
        marker=MARKERS[point.kind],
        markersize=7.5,
        color=_colour(point, theme),
        markeredgecolor=theme.surface,
        markeredgewidth=0.8,
    )


def _colour(point: Point, theme: Theme) -> str:
    """Choose a colour; what it tells, the shape of the marker tells too."""
    if point.kind == "anchor":
        return theme.accent
    return theme.muted if point.kind in ("tie", "bound") else theme.others[0]


def _write_numbers(figure: Figure, axes: Axes, places: dict[str, tuple[float, float]], theme: Theme) -> None:
    """Write each number beside its point, on the side where it covers the fewest points and numbers."""
    figure.draw_without_rendering()  # fixes limits and layout, which tell where points stand
    dots_per_point = figure.dpi / 72
    centres = {number: axes.transData.transform(place) / dots_per_point for number, place in places.items()}
    boxes = {f"point {number}": (across, up, 8.0, 8.0) for number, (across, up) in centres.items()}
    for number, (across, up) in centres.items():
        width = DIGIT_WIDTH * FONT_SIZE * len(number)
        options = []
        for (right, above), *alignment in PLACES_OF_NUMBERS:
            box = (across + right * (1 + width / 14), up + above * 2, width, 0.8 * FONT_SIZE)
            crowd = sum(_overlap(box, other) for key, other in boxes.items() if key != f"point {number}")
            options.append((crowd, (right, above), alignment, box))
        _, offset, (horizontal, vertical), boxes[number] = min(options, key=lambda option: option[0])
        axes.annotate(
            number,
            places[number],
            xytext=offset,
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            color=theme.ink,
            size=0.85 * FONT_SIZE,
        )


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Measure the area two boxes share; each is the middle across and up, the width and the height."""
    sides = [(one[2 + axis] + other[2 + axis]) / 2 - abs(one[axis] - other[axis]) for axis in (0, 1)]
    return max(0.0, sides[0]) * max(0.0, sides[1])
