"""Turn results/confidence.json into results/confidence.md. Draws only.

python benchmarks/confidence_page.py results
"""

import argparse
import json
from pathlib import Path
from typing import Any

GOAL = 0.03
"""Of the calibration error after calibration."""
HEAD = """# How sure a model may be

Written by `python benchmarks/confidence_page.py results` of what `python benchmarks/confidence.py --out
results/confidence.json` measured; do not edit. The model is `evidence`, the default. Temperatures and sets of labels
are fitted on validation, one per configuration, and measured on test. ECE: expected calibration error, 15 bins of
equal width, with 95 % intervals by bootstrap over speakers or videos; it is never negative, so with few utterances it
is above 0 by chance alone. Sets are to hold the true label in {coverage:.0%}; the interval of how often they do is
binomial (Clopper and Pearson), and would be wider if speakers counted as one.
"""
CORPORA = {
    "cremad_votes": """CREMA-D's votes
Five folds by actor, scored together: {n:,} clips; recipe `compare_ablation_cremad_votes`, seed 0. Votes of people who
only heard and of people who only saw; fitted on {fitted} clips of other actors.""",
    "synthetic": """A made corpus
Recipe `synthetic` with 1,000 utterances of validation and 2,000 of test, five seeds of corpus and training, scored
together: {n:,} utterances.""",
    "mosi": """CMU-MOSI as given: validation that leaks
Recipe `mosi` with a fifth of the train videos held out to calibrate on ({fitted} utterances), five seeds, {n:,} test
utterances. Its text and video vectors were trained on the labels of all train videos, so those that are held out look
far easier than test: **do not calibrate like this**. A temperature of 20 is the highest that is tried.""",
    "mosi_by_test_halves": """The same runs, calibrated on test: a diagnosis
Fitted on one half of the test videos and measured on the other, and the other way round. Nobody has test labels to
fit to; it tells what validation that does not leak would have given.""",
}
HEADER = (
    "available",
    "temperature",
    "ECE before",
    "ECE after",
    "confidence after, accuracy",
    "Brier before, after",
    "sets hold the truth",
    "labels in a set",
)


def page(folder: Path) -> str:
    """All of it."""
    found = json.loads((folder / "confidence.json").read_text())
    parts = [HEAD.format(coverage=found["coverage"])]
    parts += [_section(name, found[name], found["coverage"]) for name in CORPORA]
    return "\n".join(parts)


def _section(name: str, found: dict[str, Any], coverage: float) -> str:
    title, about = CORPORA[name].split("\n", 1)
    low, high = min(found["n_fitted"]), max(found["n_fitted"])
    fitted = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    lines = [
        f"## {title}",
        "",
        about.format(n=found["n"], fitted=fitted),
        "",
        f"| {' | '.join(HEADER)} |",
        f"|{'---|' * len(HEADER)}",
    ]
    for configuration, row in found["configurations"].items():
        before, after, sets = row["before"], row["after"], row["sets"]
        cells = [
            configuration.replace("+", " + "),
            _spread(row["temperatures"]),
            _ece(before),
            _ece(after),
            f"{after['confidence']:.3f}, {after['accuracy']:.3f}",
            f"{before['brier']:.3f}, {after['brier']:.3f}",
            f"{100 * sets['coverage']:.1f} % [{100 * sets['low']:.1f}, {100 * sets['high']:.1f}]",
            f"{sets['mean_size']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if "mosi" not in name:
        lines += ["", _verdict(found["configurations"], coverage)]
    return "\n".join([*lines, ""])


def _verdict(rows: dict[str, Any], coverage: float) -> str:
    over = [name.replace("+", " + ") for name, row in rows.items() if row["after"]["ece"] > GOAL]
    outside = [
        name.replace("+", " + ")
        for name, row in rows.items()
        if not row["sets"]["low"] <= coverage <= row["sets"]["high"]
    ]
    told = f"ECE after is at most {GOAL} in {len(rows) - len(over)} of {len(rows)} configurations"
    told += f", and above it with {', '.join(over)}" if over else ""
    inside = f"the interval of what sets hold covers {coverage:.0%} in {len(rows) - len(outside)} of {len(rows)}"
    inside += f", and not with {', '.join(outside)}" if outside else ""
    return f"{told}; {inside}."


def _ece(quality: dict[str, float]) -> str:
    return f"{quality['ece']:.3f} [{quality['ece_low']:.3f}, {quality['ece_high']:.3f}]"


def _spread(temperatures: list[float]) -> str:
    low, high = min(temperatures), max(temperatures)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "confidence.md").write_text(page(folder))


if __name__ == "__main__":
    main()
