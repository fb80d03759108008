"""The figures of a run: confusion, F1 per class, learning curves; each with the words for who cannot see it."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from emotiwave.drawing import FONT_SIZE, WIDTH, Picture, Theme, hide_frame, picture, readable
from emotiwave.metrics.counts import Counts
from emotiwave.report.read import EvaluatedRun
from emotiwave.types import Configuration, Score

LONGEST_NAME, LONGEST_TITLE = 20, 14
TABLES_PER_ROW = 3
MOST_MARKERS, MOST_DIGITS = 50, 4
BAR = 0.16
"""Inches: the thickness of a bar."""


def confusion(run: EvaluatedRun) -> Picture:
    """Draw truth against decision in the complete configuration."""
    names, counts, multilabel = run.labels.names, run.counts, run.labels.kind == "multilabel"
    return picture(
        lambda theme: (_draw_tables if multilabel else _draw_matrix)(counts, names, theme),
        alt=f"Confusion of {run.name} with {run.scores.complete}. "
        + (_say_tables if multilabel else _say_matrix)(counts, names),
        caption=f"{'One confusion matrix per class' if multilabel else 'Confusion matrix'} of {run.scores.complete}: "
        "numbers count utterances, colour is the share of the row.",
    )


def class_f1(run: EvaluatedRun) -> Picture:
    """Draw the F1 of every class with all modalities and with one alone."""
    shown = (run.scores.complete, *run.scores.singles)
    return picture(
        lambda theme: _draw_bars(run, shown, theme),
        alt=f"F1 per class of {run.name}. " + _say_bars(run, shown),
        caption=f"F1 per class with {run.scores.complete}"
        + (" and with one modality alone" if len(shown) > 1 else "")
        + ("; lines are intervals." if run.scores.headline.ci_low is not None else "."),
    )


def learning_curves(run: EvaluatedRun) -> Picture:
    """Draw train loss and, where there is one, the validation score over epochs."""
    kept = f"; the dashed line marks epoch {run.best_epoch}, whose weights were kept" if run.best_epoch else ""
    return picture(
        lambda theme: _draw_curves(run, theme),
        alt=f"Learning curves of {run.name}. " + _say_curves(run),
        caption=f"Learning curves{kept}. "
        + (
            "The validation score is macro-F1, mean over all configurations."
            if _validated(run)
            else "There was no validation split, so no score to choose an epoch by."
        ),
    )


def _draw_matrix(counts: Counts, names: Sequence[str], theme: Theme) -> Figure:
    side = max(3.0, 1.6 + 0.5 * len(names))
    figure = Figure(figsize=(side, 0.94 * side), layout="constrained")
    axes = figure.add_subplot()
    _fill(axes, counts, theme)
    ticks, short = np.arange(len(names)) + 0.5, [short_name(name) for name in names]
    long = max(map(len, short)) * len(names) > 30
    axes.set_xticks(ticks, short, rotation=40 if long else 0, ha="right" if long else "center", rotation_mode="anchor")
    axes.set_yticks(ticks, short)
    axes.set_xlabel("decision")
    axes.set_ylabel("truth")
    return figure


def _draw_tables(counts: Counts, names: Sequence[str], theme: Theme) -> Figure:
    n_columns = min(TABLES_PER_ROW, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 1.55 * n_rows * TABLES_PER_ROW / max(n_columns, 2)), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(names):
            axes.set_axis_off()
            continue
        _fill(axes, counts[index], theme)
        axes.set_title(short_name(names[index], LONGEST_TITLE), loc="center")
        axes.set_xticks([0.5, 1.5], ["no", "yes"])
        axes.set_yticks([0.5, 1.5], ["no", "yes"])
    figure.supxlabel("decision", fontsize=FONT_SIZE)
    figure.supylabel("truth", fontsize=FONT_SIZE)
    return figure


def _fill(axes: Axes, counts: NDArray[np.float64], theme: Theme) -> None:
    """Write counts into cells, coloured by their share of the row."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    colours = LinearSegmentedColormap.from_list("share", [theme.surface, theme.accent])
    axes.pcolormesh(share, cmap=colours, vmin=0, vmax=1, edgecolors=theme.line, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    hide_frame(axes)
    size = FONT_SIZE * min(1.0, MOST_DIGITS / len(f"{counts.max():.0f}"))
    for (row, column), n in np.ndenumerate(counts):
        colour = readable(to_hex(colours(float(share[row, column]))))
        axes.text(column + 0.5, row + 0.5, f"{n:.0f}", ha="center", va="center", color=colour, size=size)


def _draw_bars(run: EvaluatedRun, shown: Sequence[Configuration], theme: Theme) -> Figure:
    n = len(shown)
    group = n * BAR + 0.12
    figure = Figure(figsize=(WIDTH, 0.95 + 0.12 * n + group * len(run.labels.names)), layout="constrained")
    axes = figure.add_subplot()
    draw_bars(axes, run, shown, "f1", theme)
    axes.set_xlim(0, 1)
    axes.set_xlabel("F1")
    figure.legend(loc="outside upper left", ncols=2, handlelength=1, handleheight=0.8, columnspacing=1.2)
    return figure


def draw_bars(axes: Axes, run: EvaluatedRun, shown: Sequence[Configuration], metric: str, theme: Theme) -> None:
    """Draw one bar per label and configuration, with its interval; a label for the legend, no limits."""
    names, n = run.labels.names, len(shown)
    group = n * BAR + 0.12
    colours = (theme.accent, *theme.others)
    for index, configuration in enumerate(shown):
        scores = [run.scores.own(configuration, metric, name) for name in names]
        at = np.arange(len(names)) * group + index * BAR
        colour = colours[index % len(colours)]
        axes.barh(at, [score.value for score in scores], height=0.84 * BAR, color=colour, label=str(configuration))
        for score, y in zip(scores, at, strict=True):
            _draw_whisker(axes, score, y, theme)
    axes.set_yticks(np.arange(len(names)) * group + (n - 1) * BAR / 2, [short_name(name) for name in names])
    axes.set_ylim(len(names) * group - BAR / 2, -BAR)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


def _draw_whisker(axes: Axes, score: Score, y: float, theme: Theme) -> None:
    """Draw an interval from end to end; not as an error bar, for a percentile interval may miss its estimate."""
    if score.ci_low is not None and score.ci_high is not None:
        axes.hlines(y, score.ci_low, score.ci_high, color=theme.surface, linewidth=2.8)
        axes.hlines(y, score.ci_low, score.ci_high, color=theme.ink, linewidth=1.2)


def _draw_curves(run: EvaluatedRun, theme: Theme) -> Figure:
    epochs = [epoch.number for epoch in run.history]
    curves: dict[str, list[float | None]] = {"Train loss": [epoch.train_loss for epoch in run.history]}
    if _validated(run):
        curves["Validation score"] = [epoch.validation_score for epoch in run.history]
    figure = Figure(figsize=(WIDTH, 0.5 + 1.7 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    marker = "o" if len(epochs) <= MOST_MARKERS else ""
    for axes, (name, values) in zip(panels, curves.items(), strict=True):
        axes.plot(
            epochs,
            [math.nan if value is None else value for value in values],
            color=theme.accent,
            marker=marker,
            markersize=3.5,
            linewidth=1.6,
        )
        axes.set_title(name)
        axes.grid(axis="y")
        axes.margins(y=0.12)
        if run.best_epoch in epochs:
            axes.axvline(run.best_epoch, color=theme.muted, linestyle="--", linewidth=1)
    panels[-1].set_xlabel("epoch")
    panels[-1].set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def short_name(name: str, longest: int = LONGEST_NAME) -> str:
    """Cut a name that would leave no room for the drawing.

    >>> short_name("a class with a very long name")
    'a class with a very…'
    """
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def _say_matrix(counts: Counts, names: Sequence[str]) -> str:
    said = []
    for index, (name, row) in enumerate(zip(names, counts, strict=True)):
        wrong = np.delete(row, index)
        words = f"{name}: {row[index]:.0f} of {row.sum():.0f} right"
        if wrong.any():
            other = np.delete(np.array(names, dtype=object), index)[wrong.argmax()]
            words += f", most often taken for {other} ({wrong.max():.0f})"
        said.append(words)
    return "; ".join(said) + "."


def _say_tables(counts: Counts, names: Sequence[str]) -> str:
    return (
        "; ".join(
            f"{name}: found in {table[1, 1]:.0f} of {table[1].sum():.0f} that have it, "
            f"and in {table[0, 1]:.0f} of {table[0].sum():.0f} that do not"
            for name, table in zip(names, counts, strict=True)
        )
        + "."
    )


def _say_bars(run: EvaluatedRun, shown: Sequence[Configuration]) -> str:
    said = []
    for name in run.labels.names:
        scores = {configuration: run.scores.own(configuration, "f1", name) for configuration in shown}
        said.append(f"{name}: " + ", ".join(f"{c} {score.value:.2f}" for c, score in scores.items()))
    return "; ".join(said) + "."


def _say_curves(run: EvaluatedRun) -> str:
    first, last = run.history[0], run.history[-1]
    words = f"Train loss is {first.train_loss:.3f} after epoch {first.number}"
    words += f" and {last.train_loss:.3f} after epoch {last.number}." if last is not first else "."
    if last.validation_score is not None:
        words += f" The validation score ends at {last.validation_score:.3f}"
        best = next((epoch for epoch in run.history if epoch.number == run.best_epoch), None)
        if best is not None and best.validation_score is not None:
            words += f"; the kept epoch {best.number} has {best.validation_score:.3f}"
        words += "."
    return words


def _validated(run: EvaluatedRun) -> bool:
    return any(epoch.validation_score is not None for epoch in run.history)
