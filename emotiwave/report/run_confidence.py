"""How sure a run may be: reliability diagrams per configuration, risk over coverage, and the numbers as a table."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotiwave.drawing import Picture, Theme, picture
from emotiwave.report.file_formats import Confidence, ConfigurationConfidence, ProbabilityQuality
from emotiwave.report.read import EvaluatedRun
from emotiwave.report.tables import DASH, SPACE, Cell, Row, Table

WIDTH = 7.2
PER_ROW = 4
LARGEST = 60
"""Square typographic points of the marker of the fullest bin."""


def reliability(run: EvaluatedRun, confidence: Confidence) -> Picture:
    """Draw how often answers are right against how sure they are, in every configuration, before and after."""
    found = confidence.configurations
    said = "; ".join(f"{name} {of.before.ece:.3f}, then {of.after.ece:.3f}" for name, of in found.items())
    return picture(
        lambda theme: _draw_reliability(found, theme),
        alt=f"Reliability of {run.name} per configuration. Expected calibration error before and after: {said}.",
        caption="Share of right answers against confidence, before (hollow) and after (filled) a temperature for each "
        "configuration. On the dashed line confidence is true; below it, it is too high. Larger marks hold more "
        "answers.",
    )


def risk_over_coverage(run: EvaluatedRun, confidence: Confidence) -> Picture:
    """Draw which share is wrong when only the surest answers are given, in every configuration."""
    found = confidence.configurations
    said = "; ".join(f"{name} {of.after.aurc:.3f}" for name, of in found.items())
    return picture(
        lambda theme: _draw_risk(found, theme),
        alt=f"Risk over coverage of {run.name}. Mean risk over all coverages: {said}.",
        caption="Share of wrong answers when only the surest are given, by configuration; to the right all are given.",
    )


def confidence_table(confidence: Confidence) -> Table:
    """Show temperature, calibration errors, sets of labels and abstention, configuration by configuration."""
    columns = ["Temperature", "ECE before", "ECE after", "Brier before", "Brier after", "Mean risk"]
    has_sets = any(of.label_sets for of in confidence.configurations.values())
    abstains = any(of.abstention for of in confidence.configurations.values())
    if has_sets:
        columns += [f"Sets for {100 * (confidence.coverage or 0):g}{SPACE}%", "Labels in a set"]
    if abstains:
        columns += [f"Answered at risk {confidence.abstain_above:g}", "Wrong of these"]
    rows = []
    for name, of in confidence.configurations.items():
        cells = [Cell(f"{of.temperature:.2f}")]
        cells += [Cell(f"{value:.3f}") for value in (of.before.ece, of.after.ece, of.before.brier, of.after.brier)]
        cells.append(Cell(f"{of.after.aurc:.3f}"))
        cells += _set_cells(of) if has_sets else []
        cells += _abstention_cells(of) if abstains else []
        rows.append(Row(name, tuple(cells)))
    fitted, scored = confidence.fitted_on, confidence.scored_on
    caption = (
        f"Confidence on {scored.n} {scored.split} utterances; temperatures, sets and thresholds are fitted on "
        f"{fitted.n} {fitted.split} utterances"
    )
    return Table(caption, "Available", tuple(columns), tuple(rows))


def _set_cells(of: ConfigurationConfidence) -> list[Cell]:
    sets = of.label_sets
    if sets is None:
        return [Cell(DASH), Cell(DASH)]
    ends = f"{100 * sets.low:.1f} to {100 * sets.high:.1f}"
    return [Cell(f"{100 * sets.coverage:.1f}{SPACE}%", ends), Cell(f"{sets.mean_size:.2f}")]


def _abstention_cells(of: ConfigurationConfidence) -> list[Cell]:
    left = of.abstention
    if left is None:
        return [Cell(DASH), Cell(DASH)]
    return [Cell(f"{100 * left.coverage:.0f}{SPACE}%"), Cell(DASH if left.risk is None else f"{left.risk:.3f}")]


def _draw_reliability(found: Mapping[str, ConfigurationConfidence], theme: Theme) -> Figure:
    n_columns = min(PER_ROW, len(found))
    n_rows = math.ceil(len(found) / n_columns)
    figure = Figure(figsize=(WIDTH * n_columns / PER_ROW, 0.3 + 1.95 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    most = max(one.n for of in found.values() for one in (*of.before.bins, *of.after.bins))
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    for axes, (name, of) in zip(grid.flat, found.items(), strict=False):  # places that are left are empty
        axes.plot([0, 1], [0, 1], color=theme.muted, linestyle="--", linewidth=1, zorder=1)
        _mark_bins(axes, of.before, most, theme, filled=False)
        _mark_bins(axes, of.after, most, theme, filled=True)
        axes.set_title(name.replace("+", " +\n"), fontsize=9.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    figure.supxlabel("confidence", fontsize=10)
    figure.supylabel("share that is right", fontsize=10)
    return figure


def _mark_bins(axes: Axes, of: ProbabilityQuality, most: int, theme: Theme, *, filled: bool) -> None:
    axes.scatter(
        [one.confidence for one in of.bins],
        [one.accuracy for one in of.bins],
        s=[4 + LARGEST * one.n / most for one in of.bins],
        facecolors=theme.accent if filled else "none",
        edgecolors=theme.accent if filled else theme.others[0],
        linewidths=1,
        clip_on=False,
        zorder=3 if filled else 2,
    )


def _draw_risk(found: Mapping[str, ConfigurationConfidence], theme: Theme) -> Figure:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    styles: Sequence[str] = ("-", "--", ":", "-.")
    complete = max(found, key=lambda name: name.count("+"))
    for k, (name, of) in enumerate(found.items()):
        is_complete = name == complete
        axes.plot(
            [coverage for coverage, _ in of.risk_coverage],
            [risk for _, risk in of.risk_coverage],
            color=theme.accent if is_complete else theme.others[k % len(theme.others)],
            linestyle="-" if is_complete else styles[k % len(styles)],
            linewidth=2.2 if is_complete else 1.3,
            label=name,
        )
    axes.set_xlabel("share that is answered")
    axes.set_ylabel("share wrong")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=2, handlelength=1.8, columnspacing=1.2, fontsize=9.5)
    return figure
