"""Write the numbers of results/experts.json into results/experts.md and the model card. Draws only.

python weights/scripts/pages.py results
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from emotiwave.experts.distribution import CARD, DESCRIPTION, find_weights

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "emotiwave_weights_research"
TEST, ALONE = "GoEmotions-Ekman test", "GoEmotions-Ekman test, comments of one class"
MELD, DAIR = "MELD test, never trained on", "dair-ai emotion test, never trained on"
FER, FER_ONCE = "FER2013 private test", "FER2013 private test without copies of other splits"
RAVDESS, PROSODY = "RAVDESS, six EmoBox folds", "RAVDESS by prosody alone, six EmoBox folds"
RECORDED, FIVE = "as recorded", "after 5 clips of the speaker"
GOALS: tuple[tuple[str, tuple[str, str, str], str, float | None, float | None], ...] = (
    ("GoEmotions-Ekman test, multi-label macro-F1", ("text", TEST, "multi-label macro-F1"), "share", 0.63, 0.655),
    ("MELD test, zero-shot: macro-F1", ("text", MELD, "macro-F1"), "share", None, 0.33),
    ("MELD test, zero-shot: weighted F1", ("text", MELD, "weighted F1"), "share", None, None),
    ("FER2013 private test, accuracy", ("vision", FER, "accuracy"), "share", 0.66, 0.69),
    ("the same without copies of other splits", ("vision", FER_ONCE, "accuracy"), "share", 0.66, 0.69),
    (
        "RAVDESS, six EmoBox folds, eight classes, macro-F1",
        ("audio", f"{RAVDESS}, {RECORDED}", "macro-F1 of eight"),
        "share",
        0.63,
        0.67,
    ),
    (
        "the same, seven classes, after five clips of the speaker",
        ("audio", f"{RAVDESS}, {FIVE}", "macro-F1 of seven"),
        "share",
        0.70,
        0.75,
    ),
    ("ECE of text", ("text", ALONE, "ECE"), "error", 0.06, 0.03),
    ("ECE of voice", ("audio", f"{RAVDESS}, {RECORDED}", "ECE of seven"), "error", 0.06, 0.03),
    ("ECE of face", ("vision", FER, "ECE"), "error", 0.06, 0.03),
    ("a sentence, ms", ("text", "a sentence of 16 words", "milliseconds"), "ms", 30, 15),
    ("4 s of voice, ms", ("audio", "4 s of sound", "milliseconds"), "ms", 200, 100),
    ("a face, ms", ("vision", "a face", "milliseconds"), "ms", 15, 7.5),
)
"""What is asked, where it is measured, how it is written, what resolves it and what is aimed at."""


class Results:
    """Rows by expert, data and what."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.rows = {(row["expert"], row["data"], row["what"]): row for part in found["rows"].values() for row in part}

    def value(self, expert: str, data: str, what: str) -> float:
        """One number."""
        return self.rows[expert, data, what]["value"]

    def percent(self, expert: str, data: str, what: str) -> str:
        """In per cent, with its interval where it has one."""
        row = self.rows[expert, data, what]
        written = f"{100 * row['value']:.1f}"
        return f"{written} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" if "low" in row else written

    def error(self, expert: str, data: str, what: str) -> str:
        """An ECE."""
        return f"{self.value(expert, data, what):.3f}"

    def n(self, expert: str, data: str, what: str) -> str:
        """How many were measured."""
        return f"{self.rows[expert, data, what]['n']:,}"

    def goals(self) -> list[tuple[str, str, str, str, str]]:
        """One row of the table of goals each."""
        lines = []
        for asked, place, form, accept, goal in GOALS:
            value = self.value(*place)
            if form == "share":
                written, sign, scale = self.percent(*place), "≥", 100
                reached = [value >= bound for bound in (accept, goal) if bound is not None]
            else:
                written, sign, scale = f"{value:.3f}" if form == "error" else f"{value:.1f}", "≤", 1
                reached = [value <= bound for bound in (accept, goal) if bound is not None]
            cells = (written, *("" if bound is None else f"{sign} {scale * bound:g}" for bound in (accept, goal)))
            verdicts = {(): "measured", (True,): "accepted", (False,): "missed", (True, True): "goal"}
            verdict = verdicts.get(tuple(reached), "accepted" if reached[:1] == [True] else "missed")
            if accept is None and goal is not None:
                verdict = "goal" if reached[0] else "goal missed"
            lines.append((asked, *cells, verdict))
        return lines

    def conditions(self, expert: str, prefix: str, what: str) -> list[tuple[str, dict[str, Any]]]:
        """What follows a prefix in the names of data, with its rows."""
        return [
            (data.removeprefix(prefix), row)
            for (of, data, measured), row in self.rows.items()
            if of == expert and measured == what and data.startswith(prefix)
        ]


def render(template: str, found: dict[str, Any]) -> str:
    """Fill a template of this folder."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    names = {
        "TEST": TEST,
        "ALONE": ALONE,
        "MELD": MELD,
        "DAIR": DAIR,
        "FER": FER,
        "FER_ONCE": FER_ONCE,
        "RAVDESS": RAVDESS,
        "PROSODY": PROSODY,
    }
    page = environment.from_string((HERE / template).read_text(encoding="utf-8"))
    return page.render(r=Results(found), found=found, **names).rstrip() + "\n"


PANELS = (
    ("vision", FER, "accuracy", "face: accuracy on FER2013's private test", "as it is"),
    ("audio", f"{RAVDESS}, {RECORDED}", "macro-F1 of seven", "voice: macro-F1 of seven on RAVDESS", "as recorded"),
)
"""Expert, data, measure, heading, and what the data is called beside its spoiled copies."""


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw what spoiling costs face and voice."""
    results = Results(found)
    with rc_context({"svg.hashsalt": "emotiwave", "font.size": 9}):
        figure = Figure(figsize=(10, 5), layout="constrained")
        for place, (expert, data, what, heading, unspoiled) in enumerate(PANELS, start=1):
            axes = figure.add_subplot(1, 2, place)
            prefix = FER + ", " if expert == "vision" else RAVDESS + ", "
            rows = results.conditions(expert, prefix, what)
            spoiled = [row for row in rows if row[0] != RECORDED and not row[0].startswith(("after", "spoiled"))]
            named = [(unspoiled, results.rows[expert, data, what]), *spoiled]
            values = [100 * row["value"] for _, row in named]
            colours = ["#1b6ca8" if name == unspoiled else "#9db8cc" for name, _ in named]
            bars = axes.barh([name for name, _ in named], values, color=colours)
            axes.bar_label(bars, fmt="%.0f", padding=2)
            axes.invert_yaxis()
            axes.set(title=heading, xlim=(0, 100), xlabel="per cent")
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write both pages and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    folder = parser.parse_args().results
    found = json.loads((folder / "experts.json").read_text(encoding="utf-8"))
    (folder / "experts.md").write_text(render("results_template.md", found), encoding="utf-8")
    draw(found, folder / "experts.svg")
    card = render("card_template.md", found)
    (PACKAGE / CARD).write_text(card, encoding="utf-8")
    weights = find_weights(PACKAGE).description
    sha256 = weights.sha256 | {CARD: hashlib.sha256(card.encode()).hexdigest()}
    described = weights.model_copy(update={"sha256": sha256})
    (PACKAGE / DESCRIPTION).write_text(described.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
