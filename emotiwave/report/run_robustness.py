"""What a run does under conditions: its curves, drawn and in a table."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from emotiwave.drawing import Picture, Theme, picture
from emotiwave.evaluation.comparison import AREA, RELATIVE
from emotiwave.metrics import HEADLINE
from emotiwave.report.read import EvaluatedRun
from emotiwave.report.tables import DASH, Cell, Row, Table, score_cell
from emotiwave.types import Score

WIDTH, HEIGHT = 4.6, 2.6


def condition_names(run: EvaluatedRun) -> list[str]:
    """The conditions that a run was scored under."""
    return list(dict.fromkeys(score.condition for score in run.under if score.severity is not None))


def curve(run: EvaluatedRun, condition: str) -> Picture:
    """Draw macro-F1 over the severity of a condition, with its intervals."""
    points = _points(run, condition)
    said = ", ".join(f"{point.severity:g}: {point.value:.3f}" for point in points)
    intervals = "; bars are intervals" if any(point.ci_low is not None for point in points) else ""
    return picture(
        lambda theme: _draw(points, condition, theme),
        alt=f"Macro-F1 of {run.name} by severity of {condition}: {said}.",
        caption=f"Macro-F1 with all modalities, by severity of {condition}{intervals}.",
    )


def curve_table(run: EvaluatedRun) -> Table:
    """Show macro-F1 at every severity of every condition, the area under each curve, and the share that is kept."""
    rows = []
    for condition in condition_names(run):
        points = _points(run, condition)
        rows += [Row(f"{condition} {point.severity:g}", (score_cell(point),)) for point in points]
        area, kept = (_find(run, f"{what}:{condition}") for what in (AREA, RELATIVE))
        told = (("mean over severities", area), ("the same over the score at 0", kept))
        rows += [
            Row(f"{condition}, {name}", (score_cell(score) if score else Cell(DASH),), summary=True)
            for name, score in told
        ]
    return Table("Macro-F1 with all modalities, as input gets worse", "Condition", ("Macro-F1",), tuple(rows))


def _points(run: EvaluatedRun, condition: str) -> list[Score]:
    found = [
        score
        for score in run.under
        if (score.condition, score.metric, score.label) == (condition, HEADLINE, None) and score.severity is not None
    ]
    return sorted(found, key=lambda score: score.severity or 0.0)


def _find(run: EvaluatedRun, condition: str) -> Score | None:
    return next((s for s in run.under if (s.condition, s.metric, s.label) == (condition, HEADLINE, None)), None)


def _draw(points: Sequence[Score], condition: str, theme: Theme) -> Figure:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    across = [point.severity or 0.0 for point in points]
    axes.plot(across, [point.value for point in points], color=theme.accent, marker="o", markersize=4, linewidth=1.8)
    for point in points:
        if point.severity is not None and point.ci_low is not None and point.ci_high is not None:
            axes.vlines(point.severity, point.ci_low, point.ci_high, color=theme.accent, linewidth=1, alpha=0.7)
    axes.set_xlabel(f"severity of {condition}")
    axes.set_ylabel("Macro-F1")
    axes.margins(x=0.04, y=0.1)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    return figure
