"""Pictures of an inspection: labels, segment lengths, which modalities there are, how much of them was observed."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from emotiwave.doctor.facts import FileFacts, Histogram
from emotiwave.doctor.findings import percent
from emotiwave.doctor.inspection import Inspection
from emotiwave.drawing import WIDTH, Picture, Theme, hide_frame, picture

MOST_COMBINATIONS = 12
LONGEST_NAME = 24
BAR = 0.3
"""Inches: a bar and the space to the next."""


def pictures(inspection: Inspection) -> list[Picture]:
    """Draw what there is to draw."""
    drawn = [drawing for facts in inspection.facts for drawing in _label_pictures(facts)]
    if inspection.presence:
        drawn.append(presence_picture(inspection.presence))
    unobserved = _unobserved(inspection.facts)
    if unobserved:
        caption = "Share of frames that are no measurement: not finite, all zero, or failed."
        drawn.append(bar_picture(unobserved, axis="share of frames", caption=caption))
    return drawn


def _label_pictures(facts: FileFacts) -> list[Picture]:
    labels = facts.labels
    if labels is None:
        return []
    drawn = []
    if labels.class_shares:
        caption = f"{facts.name}: in how many segments each class holds."
        drawn.append(bar_picture(labels.class_shares, axis="share of segments", caption=caption))
    if labels.sentiment is not None:
        caption = f"{facts.name}: sentiment of the segments."
        drawn.append(histogram_picture(labels.sentiment, axis="sentiment", caption=caption))
    if labels.lengths is not None:
        caption = f"{facts.name}: lengths of the segments; the last bar holds all that are longer."
        drawn.append(histogram_picture(labels.lengths, axis="seconds", caption=caption))
    return drawn


def _unobserved(facts: Sequence[FileFacts]) -> dict[str, float]:
    shares = {
        one.root or one.name: one.n_unobserved / one.n_frames
        for one in facts
        if one.n_unobserved is not None and one.n_frames
    }
    return shares | {
        f"{one.name}: {name}": part.n_unobserved / part.n_frames
        for one in facts
        for name, part in (one.modalities or {}).items()
        if part.n_frames
    }


def bar_picture(shares: Mapping[str, float], *, axis: str, caption: str) -> Picture:
    """Draw shares (0-1) as bars with their names."""

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 0.75 + BAR * len(shares)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(shares))
        axes.barh(places, list(shares.values()), height=0.7, color=theme.accent)
        axes.set_yticks(places, [_short(name) for name in shares])
        axes.set_ylim(len(shares) - 0.4, -0.6)
        top = 1.25 * max(0.04, *shares.values())
        axes.set_xlim(0, top)
        for place, share in zip(places, shares.values(), strict=True):
            axes.text(share + 0.02 * top, place, percent(share), va="center", size="small")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(axis)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        return figure

    said = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    return picture(draw, alt=f"{caption} {said}.", caption=caption)


def histogram_picture(histogram: Histogram, *, axis: str, caption: str) -> Picture:
    """Draw how often values lie in each bin."""
    edges, counts = np.array(histogram.edges), np.array(histogram.counts)

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
        axes = figure.add_subplot()
        axes.bar(edges[:-1], counts, width=0.9 * np.diff(edges), align="edge", color=theme.accent)
        axes.set_xlabel(axis)
        axes.set_ylabel("segments")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y")
        return figure

    said = ", ".join(
        f"{low:g} to {high:g}: {count:,}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    )
    return picture(draw, alt=f"{caption} {said or 'None'}.", caption=caption)


def presence_picture(presence: Mapping[tuple[str, ...], int]) -> Picture:
    """Draw which modalities come together, and how often: a dot for each that is there, a bar for the number."""
    shown = dict(list(presence.items())[:MOST_COMBINATIONS])
    names = list(dict.fromkeys(name for combination in presence for name in combination))
    left_out = len(presence) - len(shown)
    caption = "Which modalities videos (or utterances) have, and how many have just these" + (
        f"; {left_out} rarer combinations are not drawn." if left_out else "."
    )
    said = "; ".join(f"{' + '.join(combination) or 'none'}: {n:,}" for combination, n in shown.items())
    return picture(lambda theme: _draw_presence(shown, names, theme), alt=f"{caption} {said}.", caption=caption)


def _draw_presence(presence: Mapping[tuple[str, ...], int], names: Sequence[str], theme: Theme) -> Figure:
    places = np.arange(len(presence))
    figure = Figure(figsize=(WIDTH, 1.6 + BAR * len(presence)), layout="constrained")
    dots, bars = figure.subplots(1, 2, sharey=True, width_ratios=(max(2, len(names)), 5))
    for place, combination in zip(places, presence, strict=True):
        for column, name in enumerate(names):
            there = name in combination
            dots.scatter(column, place, s=55, color=theme.accent if there else "none", edgecolors=theme.muted)
    dots.set_xticks(
        range(len(names)), [_short(name) for name in names], rotation=40, ha="right", rotation_mode="anchor"
    )
    dots.set_xlim(-0.6, len(names) - 0.4)
    dots.set_yticks([])
    hide_frame(dots)
    bars.barh(places, list(presence.values()), height=0.7, color=theme.accent)
    most = max(presence.values())
    for place, n in zip(places, presence.values(), strict=True):
        bars.text(n + 0.02 * most, place, f"{n:,}", va="center", size="small")
    bars.set_xlim(0, 1.25 * most)
    bars.set_ylim(len(presence) - 0.4, -0.6)
    bars.set_xlabel("videos")
    bars.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    bars.tick_params(axis="y", length=0, labelleft=False)
    bars.grid(axis="x")
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1].rstrip() + "…"
