"""The figures of an explanation, for papers: who drives which class, who added what to an answer, and when."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotiwave.drawing import WIDTH, Picture, Theme, hide_frame, picture
from emotiwave.explanation.results import ExplainedClass, Moment, RunExplanation
from emotiwave.report.figures import BAR, short_name

SCALE_WORDS = {"log_odds": "log-odds", "logit": "logit", "value": "value"}
"""Words for the axis on which contributions add up."""
ROW = 0.75
"""Inches: the height of one modality over time."""


def drives(found: RunExplanation) -> Picture:
    """Draw which modality drives which class."""
    return picture(
        lambda theme: draw_drives(found, theme),
        alt="Mean contribution of each modality to each class. "
        + "; ".join(
            f"{name}: " + ", ".join(f"{m} {value:+.2f}" for m, value in shares.items())
            for name, shares in found.overview.drives.items()
        ),
        caption=f"Mean contribution of each modality to a class where it is decided, in {SCALE_WORDS[found.scale]}: "
        "to the right of 0 it speaks for the class.",
    )


METHOD_WORDS = {
    "integrated_gradients": "integrated gradients: moments share what moves the score",
    "occlusion": "by how much the score falls when the moment is hidden",
    "attention": "attention: where the model looks, which is no cause",
}


def draw_drives(found: RunExplanation, theme: Theme) -> Figure:
    """One group of bars per class, one bar per modality."""
    names, n = list(found.overview.drives), len(found.modalities)
    group = n * BAR + 0.14
    figure = Figure(figsize=(WIDTH, 0.9 + 0.14 * n + group * len(names)), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(found.modalities, theme)
    for index, modality in enumerate(found.modalities):
        places = np.arange(len(names)) * group + index * BAR
        values = [found.overview.drives[name][modality] for name in names]
        axes.barh(places, values, height=0.9 * BAR, color=colours[modality], label=modality)
    axes.set_yticks(np.arange(len(names)) * group + (n - 1) * BAR / 2, [short_name(name) for name in names])
    axes.invert_yaxis()
    _zero_line(axes, theme, across=False)
    axes.set_xlabel(f"mean contribution ({SCALE_WORDS[found.scale]})")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1, handleheight=0.8, columnspacing=1.2)
    return figure


def draw_shares(of: ExplainedClass, scale: str, theme: Theme) -> Figure:
    """Steps from the base to the score."""
    names = ["base", *of.shares, "score"]
    values = [of.base, *of.shares.values()]
    ends = np.cumsum(values)
    starts = np.concatenate([[0.0], ends[:-1], [0.0]])
    widths = np.append(values, ends[-1])
    colours = [theme.muted, *(theme.accent if value >= 0 else theme.others[0] for value in of.shares.values())]
    figure = Figure(figsize=(WIDTH, 0.7 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(np.arange(len(names)), widths, left=starts, height=0.62, color=[*colours, theme.ink])
    reach = max(1e-9, float(np.abs(np.concatenate([starts, starts + widths])).max()))
    for row, (start, width) in enumerate(zip(starts, widths, strict=True)):
        right = max(start, start + width)
        axes.text(right + 0.02 * reach, row, f"{width:+.2f}", va="center", color=theme.ink)
    low, high = min(0.0, float(np.min([starts, starts + widths]))), max(0.0, float(np.max([starts, starts + widths])))
    axes.set_xlim(low - 0.05 * reach, high + 0.3 * reach)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    _zero_line(axes, theme, across=False)
    axes.set_xlabel(SCALE_WORDS[scale])
    return figure


def draw_moments(of: ExplainedClass, theme: Theme) -> Figure:
    """One row per modality over one axis of time."""
    by_modality: dict[str, list[Moment]] = {}
    for one in timed(of):
        by_modality.setdefault(one.modality, []).append(one)
    figure = Figure(figsize=(1.5 * WIDTH, 0.6 + ROW * len(by_modality)), layout="constrained")
    rows: list[Axes] = list(figure.subplots(len(by_modality), 1, sharex=True, sharey=True, squeeze=False)[:, 0])
    for axes, (modality, found) in zip(rows, by_modality.items(), strict=True):
        starts = np.array([one.start for one in found])
        widths = np.array([one.end for one in found]) - starts
        values = np.array([one.value for one in found])
        colours = [theme.accent if value >= 0 else theme.others[0] for value in values]
        axes.bar(starts, values, width=widths, align="edge", color=colours, edgecolor=theme.surface, linewidth=0.5)
        axes.set_ylabel(modality, rotation=0, ha="right", va="center")
        _zero_line(axes, theme, across=True)
        axes.locator_params(axis="y", nbins=3)
    rows[-1].set_xlabel("seconds")
    return figure


def _colours(modalities: Sequence[str], theme: Theme) -> Mapping[str, str]:
    return dict(zip(modalities, cycle((theme.accent, *theme.others)), strict=False))  # colours never end


def _zero_line(axes: Axes, theme: Theme, *, across: bool) -> None:
    hide_frame(axes)
    (axes.axhline if across else axes.axvline)(0, color=theme.muted, linewidth=0.8)
    axes.grid(axis="y" if across else "x")


def all_figures(found: RunExplanation) -> dict[str, Callable[[Theme], Figure]]:
    """Name every figure, with what draws it in a theme."""
    named: dict[str, Callable[[Theme], Figure]] = {}
    if found.overview.drives:
        named["drives"] = partial(draw_drives, found)
    for number, one in enumerate(found.utterances, 1):
        for place, of in enumerate(one.classes, 1):
            named[f"utterance-{number}-{place}-who"] = partial(draw_shares, of, found.scale)
            if timed(of):
                named[f"utterance-{number}-{place}-when"] = partial(draw_moments, of)
    return named


def timed(of: ExplainedClass) -> list[Moment]:
    """The moments that have a time."""
    return [one for one in of.moments if one.start is not None and one.end is not None]
