"""Turn analyze.json, fusion.json and clips.json in results/ into results/analyze.md. Draws only.

python benchmarks/analyze_page.py results
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

PARTS = ("analyze", "fusion", "clips")
ACCEPT = {"clip": 1.0, "load": 3.0, "rss": 1200, "long": 9 * 60, "lines": 5.0}
GOAL = {"clip": 0.5, "load": 1.5, "rss": 800, "long": 5 * 60, "lines": 2.0}
"""Seconds, and MB of memory: the bounds that were set beforehand."""
MEBI = 2**20 / 1e6
"""MB in a MiB."""


def speed_table(found: dict[str, Any]) -> str:
    """One row per figure, with both face detectors, beside the bounds."""
    kinds = ("yunet", "haar")
    rows = [
        ("clip", "4 s of 640 x 360, all modalities, warm", [f"{found[k]['clip']['warm_s']:.2f} s" for k in kinds]),
        ("load", "`emotiwave.load()` in a new process, imports included", [_starts(found, "load_s"), ""]),
        ("", "of that, `import torch` alone", [_starts(found, "torch_s"), ""]),
        ("rss", "peak memory, 4 s", [f"{MEBI * found[k]['clip']['peak_rss_mib']:.0f} MB" for k in kinds]),
        (
            "rss",
            "peak memory, long video",
            [f"{MEBI * found[k]['long']['peak_rss_mib']:.0f} MB" for k in kinds],
        ),
        (
            "long",
            "long video: faces at 5/s, voice, text, timeline",
            [f"{found[k]['long']['minutes']:g} min of it in {found[k]['long']['seconds'] / 60:.1f}" for k in kinds],
        ),
        (
            "",
            "meanwhile the host gave to other machines, of the processors' time",
            [
                f"{100 * found[k]['clip']['stolen']:.0f} % (4 s), {100 * found[k]['long']['stolen']:.0f} % (long)"
                for k in kinds
            ],
        ),
        (
            "lines",
            "100 sentences of a file, the first that a process reads",
            [f"{found['lines']['seconds']:.2f} s", ""],
        ),
    ]
    lines = ["| | YuNet | Haar | accept | goal |", "|---|---|---|---|---|"]
    for bound, what, cells in rows:
        lines.append(f"| {what} | {' | '.join(cells)} | {_bound(bound, ACCEPT)} | {_bound(bound, GOAL)} |")
    return "\n".join(lines)


def _starts(found: dict[str, Any], part: str) -> str:
    """The median over starts of a process, and the extremes."""
    seconds = found["load"][part]
    return f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}, {len(seconds)} starts)"


def _bound(name: str, bounds: dict[str, float]) -> str:
    if not name:
        return ""
    value = bounds[name]
    if name == "rss":
        return f"{value:.0f} MB"
    return f"60 min in {value / 60:.0f}" if name == "long" else f"{value:g} s"


def fusion_table(found: dict[str, Any]) -> str:
    """What is reached on CREMA-D's votes, one row per way of putting voice and face together."""
    lines = ["| | accuracy | macro-F1 | log-likelihood lost, nats | ECE |", "|---|---|---|---|---|"]
    for name, row in found["overlap"]["scores"].items():
        lines.append(f"| {name} | {_scores(row)} |")
    return "\n".join(lines)


def text_table(found: dict[str, Any]) -> str:
    """What the reliability of spoken words and the common prior change."""
    lines = ["| | accuracy | macro-F1 | log-likelihood lost, nats | ECE |", "|---|---|---|---|---|"]
    for name, row in found["reliability"]["test"].items():
        lines.append(f"| MELD test, text, {name} | {_scores(row)} |")
    for data in ("GoEmotions-Ekman test", "FER2013 private test"):
        for prior in ("its own", "the common one"):
            lines.append(f"| {data}, prior: {prior} | {_scores(found['prior'][data][prior])} |")
    return "\n".join(lines)


def _scores(row: dict[str, float]) -> str:
    return f"{100 * row['accuracy']:.1f} | {100 * row['macro_f1']:.1f} | {row['nll']:.3f} | {row['ece']:.3f}"


def clips_table(rows: Sequence[dict[str, Any]]) -> str:
    """What was said of each clip, by each set of modalities."""
    lines = [
        "| clip | what is known | asked | answer | confidence | who says so (log-odds) | not used |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = ", ".join(f"{name} {value:+.2f}" for name, value in row["contributions"].items() if value is not None)
        unused = "; ".join(f"{name}: {use['reason']}" for name, use in row["modalities"].items() if use["reason"])
        mark = {True: " (right)", False: " (wrong)", None: ""}[row["right"]]
        doubt = "not sure: " if row["confidence"] is not None and row["confidence"] < 0.5 else ""
        answer = "nothing to judge" if row["decision"] is None else f"{doubt}{row['decision']}{mark}"
        confidence = "" if row["confidence"] is None else f"{row['confidence']:.2f}"
        cells = (row["clip"], row["known"], " + ".join(row["asked"]), answer, confidence, shares, unused)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(folder: Path) -> str:
    """All of it."""
    speed, fusion, clips = (json.loads((folder / f"{name}.json").read_text()) for name in PARTS)
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (folder / "analyze_template.md").read_text()
    )
    tables = {
        "speed_table": speed_table(speed),
        "fusion_table": fusion_table(fusion),
        "text_table": text_table(fusion),
        "clips_table": clips_table(clips),
    }
    return (
        template.render(speed=speed, overlap=fusion["overlap"], worth=fusion["reliability"], clips=clips, **tables)
        + "\n"
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "analyze.md").write_text(page(folder))


if __name__ == "__main__":
    main()
