"""What reports and inspections look like: pages in a light and a dark theme, and figures inside them for both."""

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from emotiwave.errors import printable

WIDTH = 4.6
"""Inches: a figure of this width is readable on a phone, where it shrinks by a fifth."""
FONT_SIZE = 11.5
CSS_PIXELS = 96
"""Per inch."""
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
"""Of an SVG file, so that the same drawing gives the same bytes."""


@dataclass(frozen=True)
class Theme:
    """The colours of one variant, for figures and page alike."""

    surface: str
    ink: str
    muted: str
    line: str
    accent: str
    others: tuple[str, ...]
    deepest: float
    """The share of accent in a table cell of score 1, so that ink stays readable on it."""

    def style(self) -> dict[str, Any]:
        """Settings for matplotlib; SVG text stays text, and the same drawing gives the same bytes."""
        return {
            "svg.fonttype": "none",
            "svg.hashsalt": "emotiwave",
            "text.parse_math": False,
            "font.size": FONT_SIZE,
            "axes.titlesize": FONT_SIZE,
            "axes.titlelocation": "left",
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": self.muted,
            "axes.axisbelow": True,
            "axes.labelcolor": self.ink,
            "text.color": self.ink,
            "xtick.color": self.muted,
            "ytick.color": self.muted,
            "xtick.labelcolor": self.ink,
            "ytick.labelcolor": self.ink,
            "grid.color": self.line,
            "legend.frameon": False,
            "savefig.facecolor": "none",
        }


LIGHT = Theme(
    surface="#ffffff",
    ink="#1c2530",
    muted="#566270",
    line="#d9dee4",
    accent="#0b6e7f",
    others=("#d08a1d", "#8a78c9", "#7f8b97", "#b8577a", "#6a994e"),
    deepest=0.6,
)
DARK = Theme(
    surface="#171e26",
    ink="#e4eaf0",
    muted="#9aa7b4",
    line="#2f3a46",
    accent="#5cc3d2",
    others=("#d9a14a", "#a597dd", "#8793a0", "#d283a1", "#8dbb72"),
    deepest=0.46,
)


@dataclass(frozen=True)
class Picture:
    """One figure as two data addresses, with what it tells in words; ``width`` in CSS pixels."""

    light: str
    dark: str
    alt: str
    caption: str
    width: int


def page(template: str, **content: Any) -> str:
    """Fill a template of the package, which extends ``page_frame.html``: one HTML page that loads and runs nothing."""
    templates = Environment(
        loader=PackageLoader("emotiwave", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(**content, light=LIGHT, dark=DARK)


def picture(draw: Callable[[Theme], Figure], *, alt: str, caption: str) -> Picture:
    """Draw a figure in both themes."""
    light, dark = (_render(draw, theme) for theme in (LIGHT, DARK))
    return Picture(light[0], dark[0], printable(alt), printable(caption), round(CSS_PIXELS * light[1]))


def save_figure(draw: Callable[[Theme], Figure], path: Path) -> None:
    """Write a figure for papers, in light colours on white: ``.svg`` and ``.png`` of 300 dots per inch."""
    with _styled(LIGHT):
        figure = draw(LIGHT)
        figure.savefig(path.with_suffix(".svg"), metadata=NO_METADATA, facecolor="white")
        figure.savefig(path.with_suffix(".png"), metadata={"Software": None}, facecolor="white", dpi=300)


def readable(background: str) -> str:
    """Choose black or white, whichever stands out more (WCAG 2 contrast)."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, background))


def contrast(one: str, other: str) -> float:
    """Measure the contrast of two colours, 1 to 21 (WCAG 2).

    >>> contrast("#ffffff", "#000000")
    21.0
    """
    dark, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def hide_frame(axes: Axes) -> None:
    """Leave the labels of an axis, not its lines."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@contextmanager
def _styled(theme: Theme) -> Iterator[None]:
    with matplotlib.style.context(["default", theme.style()]), warnings.catch_warnings():
        # the reader's browser has the letters that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _render(draw: Callable[[Theme], Figure], theme: Theme) -> tuple[str, float]:
    with _styled(theme):
        figure, file = draw(theme), io.StringIO()
        figure.savefig(file, format="svg", metadata=NO_METADATA)
    # names in a file may hold characters that XML forbids; the breaks of lines are those of the SVG itself
    svg = "\n".join(map(printable, file.getvalue().split("\n")))
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}", figure.get_figwidth()
