"""An analysis in a notebook: a small table that needs no style sheet and follows the page's colours."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from emotiwave.analysis.analysis import Analysis

COLOURS = {
    "anger": "#d1495b",
    "disgust": "#5b8e3e",
    "fear": "#8e6bbf",
    "happiness": "#d9a21b",
    "sadness": "#3f7cb8",
    "surprise": "#2a9d9a",
    "neutral": "#8a8a8a",
}
OTHER = "#6b7fa3"


def draw_html(analysis: "Analysis") -> str:
    """Draw an analysis as a fragment of HTML; whatever is in it is escaped."""
    largest = max(1.0, *(abs(value) for value in (analysis.emotions or {"": 1.0}).values()))
    return _template().render(analysis=analysis, colours=COLOURS, other=OTHER, largest=largest)


@cache
def _template() -> jinja2.Template:
    path = Path(__file__).with_name("analysis.html")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(path.read_text(encoding="utf-8"))
