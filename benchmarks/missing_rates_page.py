"""Turn results/missing_rates.json, the numbers of a comparison, into results/missing_rates.md. Draws only.

python benchmarks/missing_rates_page.py results
"""

import argparse
import json
from pathlib import Path
from typing import Any

PLAIN = "lstm_concat, no modality dropout"
"""Plain concatenation as it is usually trained."""
PUBLISHED = {"MMIN": 77.0, "GCNet": 80.2, "MoMKE": 81.6, "IMDer": 84.0, "ComP": 84.2, "DiCMoR": 84.7}
"""Score at a nominal rate of 0.7 over that at 0.1, in per cent, of CMU-MOSI with other features and other text
encoders; of the F1 that their papers report."""
HEAD = """# What is lost when modalities go missing at random

Written by `python benchmarks/missing_rates_page.py results` of results/missing_rates.json, which `emotiwave compare
compare_missing_mosi` wrote; do not edit. CMU-MOSI as given, {n} test utterances in {n_groups} videos, {metric}, means
of {seeds} seeds; masks were drawn {draws} times at each rate, the same for all methods (hash `{masks}`), and one
modality of each utterance is always kept, so that of a nominal 0.7 really {realised} is missing. Differences are
paired, with 95 % intervals over videos; ▲ and ▼ after Holm's correction over all methods and rates.

The anchor is `{anchor}`, the default model. `lstm_concat` is plain concatenation of BiLSTMs; *no modality dropout* is
how it is usually trained, and `lstm_concat_zeros` puts zeros in the place of what is missing, without a mask.
"""
MARKS = {"higher": "▲ ", "lower": "▼ ", "tie": ""}


def page(folder: Path) -> str:
    """All of it."""
    (found,) = json.loads((folder / "missing_rates.json").read_text())["comparisons"]
    (curve,) = found["curves"]
    value = {(row["method"], row["place"]): row["value"] for row in found["scores"]}
    differs = {(row["method"], row["place"]): row for row in found["differences"]}
    order = sorted((m["name"] for m in found["methods"]), key=lambda name: -value[name, "area:missing"])
    complete = "+".join(found["modalities"])
    places = [complete, *(f"missing={rate:g}" for rate in curve["severities"]), "area:missing"]
    parts = [
        HEAD.format(
            n=found["n"],
            n_groups=found["n_groups"],
            metric=found["metric"].replace("macro_f1", "macro-F1"),
            seeds=len(found["seeds"]),
            draws=curve["draws"],
            masks=curve["masks"][:16],
            realised=f"{curve['realised'][-1]:.3f}",
            anchor=found["anchor"],
        ),
        _scores(order, places, value, curve),
        _differences(order, places[1:], differs, found["anchor"]),
        _verdict(differs, places[1:-1], found["anchor"]),
        _kept(order, value),
    ]
    return "\n".join(parts)


def _scores(order: list[str], places: list[str], value: dict[tuple[str, str], float], curve: dict[str, Any]) -> str:
    lines = ["## Scores, per cent", "", _row(["method", "0", *(f"{r:g}" for r in curve["severities"]), "mean"])]
    lines.append(f"|{'---|' * (len(places) + 1)}")
    lines += [_row([name, *(f"{100 * value[name, place]:.1f}" for place in places)]) for name in order]
    return "\n".join([*lines, ""])


def _differences(order: list[str], places: list[str], differs: dict[tuple[str, str], Any], anchor: str) -> str:
    heads = [place.removeprefix("missing=").replace("area:missing", "mean") for place in places]
    lines = [f"## Less `{anchor}`, in points", "", _row(["method", *heads]), f"|{'---|' * (len(places) + 1)}"]
    for name in order:
        if name != anchor:
            lines.append(_row([name, *(_difference(differs[name, place]) for place in places)]))
    return "\n".join([*lines, ""])


def _difference(row: dict[str, Any]) -> str:
    low, high = 100 * row["ci_low"], 100 * row["ci_high"]
    return f"{MARKS[row['verdict']]}{100 * row['value']:+.1f} [{low:+.1f}, {high:+.1f}]"


def _verdict(differs: dict[tuple[str, str], Any], places: list[str], anchor: str) -> str:
    rates = [place.removeprefix("missing=") for place in places]
    behind = [rate for rate, place in zip(rates, places, strict=True) if differs[PLAIN, place]["ci_high"] < 0]
    corrected = [rate for rate, place in zip(rates, places, strict=True) if differs[PLAIN, place]["verdict"] == "lower"]
    told = f"The interval of `{PLAIN}` less `{anchor}` excludes 0 at {len(behind)} of {len(rates)} rates"
    told += f" ({', '.join(behind)})" if 0 < len(behind) < len(rates) else ""
    return f"{told}, and at {len(corrected)} after Holm's correction.\n"


def _kept(order: list[str], value: dict[tuple[str, str], float]) -> str:
    lines = [
        "## Score at 0.7 over score at 0.1",
        "",
        "Published ratios are of F1, with other features, other text encoders and masks of their own: they are",
        "context, and no comparison.",
        "",
        _row(["method", "kept"]),
        "|---|---|",
        *(_row([name, f"{100 * value[name, 'missing=0.7'] / value[name, 'missing=0.1']:.1f} %"]) for name in order),
        *(_row([f"{name}, published", f"{kept:.1f} %"]) for name, kept in PUBLISHED.items()),
    ]
    return "\n".join([*lines, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "missing_rates.md").write_text(page(folder))


if __name__ == "__main__":
    main()
