"""The figures of continuous labels: truth against prediction, and error, correlation and F1 of each label."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from emotiwave.drawing import FONT_SIZE, WIDTH, Picture, Theme, picture
from emotiwave.report.figures import BAR, LONGEST_TITLE, draw_bars, short_name
from emotiwave.report.read import EvaluatedRun
from emotiwave.types import Configuration

N_BINS = 25
"""Squares along each side of a picture; odd, so that the middle of a range across zero is the middle of a square."""
PANELS_PER_ROW = 3
METRICS = {"mae": "MAE (lower is better)", "pearson": "r", "f1": "F1"}


def agreement(run: EvaluatedRun) -> Picture:
    """Draw truth against prediction of every label in the complete configuration."""
    return picture(
        lambda theme: _draw_agreement(run, theme),
        alt=f"Truth against prediction of {run.name} with {run.scores.complete}. " + _say_agreement(run),
        caption=f"Truth against prediction with {run.scores.complete}: the deeper the colour of a square, the more "
        "utterances are in it; on the line they are equal.",
    )


def label_bars(run: EvaluatedRun) -> Picture:
    """Draw error, correlation and F1 of every label with all modalities and with one alone."""
    shown = (run.scores.complete, *run.scores.singles)
    return picture(
        lambda theme: _draw_panels(run, shown, theme),
        alt=f"MAE, r and F1 per label of {run.name}. " + _say_panels(run, shown),
        caption=f"Error, correlation and F1 per label with {run.scores.complete}"
        + (" and with one modality alone" if len(shown) > 1 else "")
        + ("; lines are intervals." if run.scores.headline.ci_low is not None else "."),
    )


def _draw_agreement(run: EvaluatedRun, theme: Theme) -> Figure:
    names = run.labels.names
    n_columns = min(PANELS_PER_ROW, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    side = WIDTH / max(n_columns, 1.4)  # one label alone does not need the whole width
    figure = Figure(figsize=(n_columns * side, 0.35 + n_rows * side), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(names):
            axes.set_axis_off()
            continue
        _fill(axes, run, index, theme)
        axes.set_title(short_name(names[index], LONGEST_TITLE), loc="center")
    figure.supxlabel("truth", fontsize=FONT_SIZE)
    figure.supylabel("prediction", fontsize=FONT_SIZE)
    return figure


def _fill(axes: Axes, run: EvaluatedRun, index: int, theme: Theme) -> None:
    low, high = run.labels.bounds[:, index]
    edges = np.linspace(low, high, N_BINS + 1)
    held, _, _ = np.histogram2d(run.targets[:, index], run.decisions[:, index], bins=(edges, edges))
    colours = LinearSegmentedColormap.from_list("share", [theme.line, theme.accent])
    columns, rows = np.nonzero(held)  # empty squares are not drawn, which keeps the page small
    left, bottom, side = edges[columns], edges[rows], edges[1] - edges[0]
    corners = [(left, bottom), (left + side, bottom), (left + side, bottom + side), (left, bottom + side)]
    squares = PolyCollection(
        list(np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)),
        array=held[columns, rows],
        cmap=colours,
        norm=PowerNorm(0.5, vmin=0, vmax=held.max()),
        linewidth=0,
    )
    axes.add_collection(squares)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot([low, high], [low, high], color=theme.muted, linewidth=1)
    axes.set_aspect("equal")
    axes.locator_params(nbins=4)


def _draw_panels(run: EvaluatedRun, shown: Sequence[Configuration], theme: Theme) -> Figure:
    group = len(shown) * BAR + 0.12
    height = 0.75 + group * len(run.labels.names)
    figure = Figure(figsize=(WIDTH, 0.3 + 0.12 * len(shown) + len(METRICS) * height), layout="constrained")
    for axes, (metric, title) in zip(figure.subplots(len(METRICS), 1), METRICS.items(), strict=True):
        draw_bars(axes, run, shown, metric, theme)
        axes.set_xlabel(title)
        if metric == "f1":
            axes.set_xlim(0, 1)
        elif metric == "pearson":
            scores = [run.scores.own(c, metric, name) for c in shown for name in run.labels.names]
            lowest = min(score.value if score.ci_low is None else score.ci_low for score in scores)
            axes.set_xlim(min(0.0, math.floor(5 * lowest) / 5), 1)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=2, handlelength=1, handleheight=0.8, columnspacing=1.2
    )
    return figure


def _say_agreement(run: EvaluatedRun) -> str:
    said = []
    for name in run.labels.names:
        mae, r = (run.scores.own(run.scores.complete, metric, name).value for metric in ("mae", "pearson"))
        said.append(f"{name}: off by {mae:.2f} on average, correlation {r:.2f}")
    return "; ".join(said) + "."


def _say_panels(run: EvaluatedRun, shown: Sequence[Configuration]) -> str:
    said = []
    for name in run.labels.names:
        for configuration in shown:
            mae, r, f1 = (run.scores.own(configuration, metric, name).value for metric in METRICS)
            said.append(f"{name} with {configuration}: MAE {mae:.2f}, r {r:.2f}, F1 {f1:.2f}")
    return "; ".join(said) + "."
