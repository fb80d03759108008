"""Turn the numbers in results/*.json into results/README.md and the table of the project's README. Draws only.

python benchmarks/tables.py results
"""

import argparse
import json
from pathlib import Path
from typing import Any

from analyze_page import speed_table
from matplotlib import rc_context
from matplotlib.figure import Figure
from serve_page import load_table
from tables_of_models import (
    comparison_table,
    end_to_end_rows,
    fusion_rows,
    image_text_cut,
    image_text_rows,
    robustness_table,
)

CONFIGURATIONS = (
    ("text",),
    ("vision",),
    ("audio",),
    ("text", "vision"),
    ("text", "audio"),
    ("audio", "vision"),
    ("text", "audio", "vision"),
)
ROOT = Path(__file__).parents[1]
HEADS = ("T", "V", "A", "T+V", "T+A", "V+A", "T+V+A", "mean")
ROWS = ("bottleneck", "late", "lstm_concat")
DEFAULT_ROWS = ("evidence, context", "evidence")
"""The default model, of benchmarks/robustness.py; with context it sees the neighbours in a video."""
PARTS = (
    "mosi",
    "store_read",
    "training_step",
    "mosi_settings",
    "mosei_prepare",
    "media",
    "faces",
    "fusions",
    "end_to_end",
    "image_text",
)
"""The files that the page is written of."""
BC_LSTM = (78.1, 55.8, 60.3, 80.2, 79.3, 62.1, 80.3, 70.9)
"""Accuracy in per cent, one model per configuration [Poria et al., ACL 2017, Table 3]."""
LAYOUTS = ("plain", "gzip")
PROCESSES = ("prepare_1", "prepare_2")
PREPARED = tuple((layout, state) for layout in LAYOUTS for state in ("warm", "cold"))
MEDIA_GOAL = 0.10
"""Real-time factor of extraction."""
PREPARE_GOAL = 0.7
"""Of the speed of plain h5py."""
BEGIN, END = "<!-- results: {} -->", "<!-- end of {} -->"


def mosi_table(result: dict[str, Any], robust: dict[str, Any], metric: str) -> str:
    """One row per model and baseline, in per cent; mean ± sd over seeds where there are seeds."""
    lines = ["| " + " | ".join([metric.replace("_", " "), *HEADS]) + " |", "|---" * (len(HEADS) + 1) + "|"]
    for model in DEFAULT_ROWS:
        by_place = {frozenset(place.split("+")): row for place, row in robust[model][metric].items()}
        cells = [by_place[frozenset(place)] for place in (*CONFIGURATIONS, ("mean",))]
        written = [f"{row['value']:.1f} ± {row['sd']:.1f}" for row in cells]
        lines.append("| " + " | ".join([f"`{model}`", *written]) + " |")
    for model in (*ROWS, "logistic_regression", "constant"):
        rows = [r for r in result["scores"] if r["model"] == model and r["metric"] == metric]
        if any(row["sd"] is not None for row in rows):
            rows = [row for row in rows if row["sd"] is not None]
        by_place = {tuple(r["available"]) if r["available"] else r["condition"]: r for r in rows}
        cells = [_cell(by_place.get(place)) for place in (*(_ordered(c, by_place) for c in CONFIGURATIONS), "mean")]
        lines.append("| " + " | ".join([_name(model), *cells]) + " |")
    if metric == "accuracy":
        lines.append("| " + " | ".join(["bc-LSTM, seven models [1]", *(f"{value:.1f}" for value in BC_LSTM)]) + " |")
    return "\n".join(lines)


def robust_scores(folder: Path) -> dict[str, Any]:
    """What the methods of the ablation on MOSI reach."""
    return json.loads((folder / "robustness.json").read_text())["scores"]["ablation_mosi"]


def _ordered(configuration: tuple[str, ...], by_place: dict[Any, Any]) -> tuple[str, ...]:
    """The key of a configuration, whatever the order of its names."""
    same = [key for key in by_place if isinstance(key, tuple) and set(key) == set(configuration)]
    return same[0] if same else configuration


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    value = f"{100 * row['value']:.1f}"
    return value if row["sd"] is None else f"{value} ± {100 * row['sd']:.1f}"


def _name(model: str) -> str:
    named = {"logistic_regression": "logistic regression, seven models", "constant": "best constant answer"}
    return named.get(model, f"`{model}`")


def per_seed(result: dict[str, Any], model: str) -> str:
    """Mean over the seven configurations for each seed."""
    lines = ["| seed | macro-F1 | accuracy |", "|---|---|---|"]
    rows = [r for r in result["scores"] if r["model"] == model and r["condition"] == "mean" and r["sd"] is None]
    for seed in sorted({row["seed"] for row in rows}):
        found = {row["metric"]: row for row in rows if row["seed"] == seed}
        cells = [
            f"{100 * found[m]['value']:.1f} [{100 * found[m]['ci_low']:.1f}, {100 * found[m]['ci_high']:.1f}]"
            for m in ("macro_f1", "accuracy")
        ]
        lines.append(f"| {seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def results_page(folder: Path) -> str:
    """All results, each with its command."""
    mosi, store, step, settings, prepare, media, faces, fusions, end_to_end, image_text = (
        json.loads((folder / f"{name}.json").read_text()) for name in PARTS
    )
    robust = robust_scores(folder)
    split = mosi["corpus"]["splits"]
    slowest = max(value for name, value in mosi["seconds"].items() if name.startswith("bottleneck"))
    template = (folder / "template.md").read_text()
    chosen = {key: mosi["recipe"]["training"][key] for key in settings[0] if key in mosi["recipe"]["training"]}
    return template.format(
        macro_f1=mosi_table(mosi, robust, "macro_f1"),
        accuracy=mosi_table(mosi, robust, "accuracy"),
        per_seed=per_seed(mosi, "bottleneck"),
        n_train=split["train"]["utterances"],
        v_train=split["train"]["groups"],
        n_test=split["test"]["utterances"],
        v_test=split["test"]["groups"],
        digest=mosi["corpus"]["digest"][:16],
        chosen=", ".join(f"{key} = {value}" for key, value in chosen.items()),
        slowest=slowest,
        evaluate=mosi["seconds"]["evaluate all"] / (len(ROWS) * 5),
        store=store,
        step=step,
        threads=mosi["threads"],
        settings=settings_table(settings),
        prepare=prepare,
        prepare_rows=prepare_rows(prepare),
        prepare_verdict=prepare_verdict(prepare),
        epoch_rows=epoch_rows(prepare),
        rank=rank_of(chosen, settings),
        media=media,
        media_rows=media_rows(media),
        media_verdict=media_verdict(media),
        ravdess_rows=ravdess_rows(media),
        faces=faces,
        n_faces=sum(row["faces"] for row in faces["rates"] if _is_first_rate(row, faces)),
        face_rows=face_rows(faces),
        face_times=face_times(faces),
        fusions=fusions,
        fusion_rows=fusion_rows(fusions),
        end_to_end=end_to_end,
        end_to_end_rows=end_to_end_rows(end_to_end),
        image_text=image_text,
        image_text_rows=image_text_rows(image_text),
        image_text_cut=image_text_cut(image_text),
    )


def media_rows(found: dict[str, Any]) -> str:
    """Time and memory of extraction, of a clip and of an hour."""
    lines = []
    for name in ("short", "hour"):
        row = found[name]
        cells = (f"{row['media_seconds']:,.0f}", f"{row['seconds']:,.2f}", f"{row['real_time_factor']:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} | {row['peak_mb']:,.0f} |")
    return "\n".join(lines)


def media_verdict(found: dict[str, Any]) -> str:
    """Say whether the goals were reached."""
    factors = [found[name]["real_time_factor"] for name in ("short", "hour")]
    reached = "reached" if max(factors) <= MEDIA_GOAL else "missed"
    growth = found["hour"]["peak_mb"] - found["short"]["peak_mb"]
    return f"A real-time factor of at most {MEDIA_GOAL:.2f} was {reached}; memory grew by {growth:,.0f} MB in an hour."


def ravdess_rows(found: dict[str, Any]) -> str:
    """Clips per second, by what runs the processes and by how many."""
    return "\n".join(
        f"| {row['engine']} | {row['processes']} | {row['seconds']:.0f} | {row['per_second']:.1f} | {row['errors']} |"
        for row in found["ravdess"]
    )


def _is_first_rate(row: dict[str, Any], faces: dict[str, Any]) -> bool:
    return row["change"] == "as it is" and row["detector"] == faces["rates"][0]["detector"]


def face_rows(found: dict[str, Any]) -> str:
    """Faces found, and false finds, by detector and by what was done to the pictures."""
    detectors = list(dict.fromkeys(row["detector"] for row in found["rates"]))
    lines = []
    for change in dict.fromkeys(row["change"] for row in found["rates"]):
        cells = []
        for detector in detectors:
            rows = [row for row in found["rates"] if (row["change"], row["detector"]) == (change, detector)]
            found_all, faces, false = (sum(row[key] for row in rows) for key in ("found", "faces", "false"))
            cells.append(f"{found_all} of {faces}, {false} false")
        lines.append(f"| {change} | {' | '.join(cells)} |")
    return "\n".join(lines)


def face_times(found: dict[str, Any]) -> str:
    """Milliseconds of the processor per picture at the size that is the default, with and without a second look."""
    longest, said = found["defaults"]["longest"], []
    for row in found["times"]:
        if row["longest"] == longest and row["pictures_of"] == "ravdess" and row["align"]:
            said.append(f"{row['detector']} {row['cpu_ms_1_thread']:.1f} ms")
    return ", ".join(said)


def prepare_rows(found: dict[str, Any]) -> str:
    """Throughput of preparation beside plain reading, per layout and state of the files."""
    lines = []
    for layout, state in PREPARED:
        row = found[layout][state]
        cells = [f"{row[key]['mb_per_s']:,.0f} ({row[key]['ratio']:.2f})" for key in PROCESSES]
        peak = max(row[key]["peak_mb"] for key in PROCESSES)
        lines.append(f"| {layout}, {state} | {row['h5py_mb_per_s']:,.0f} | {' | '.join(cells)} | {peak:,.0f} |")
    return "\n".join(lines)


def prepare_verdict(found: dict[str, Any]) -> str:
    """Say where the goal was reached and where not."""
    said = []
    for layout, state in PREPARED:
        ratio = max(found[layout][state][key]["ratio"] for key in PROCESSES)
        reached = "reached" if ratio >= PREPARE_GOAL else "missed"
        said.append(f"{reached} on {layout} files, {state} ({ratio:.2f})")
    return f"It is {'; '.join(said)}."


def epoch_rows(found: dict[str, Any]) -> str:
    """An epoch's data time from the store and the notebook way."""
    lines = []
    for layout in LAYOUTS:
        row = found[layout]
        cells = f"{row['epoch_store_seconds']:.3f} | {row['epoch_notebook_seconds']:.1f} | {row['epoch_ratio']:,.0f} x"
        lines.append(f"| {layout} | {cells} |")
    return "\n".join(lines)


def rank_of(chosen: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Say where the recipe's settings stand among the rows."""
    ordered = sorted(rows, key=lambda row: -row["mean_macro_f1"])
    place = next(i for i, row in enumerate(ordered) if all(row[key] == value for key, value in chosen.items()))
    behind = 100 * (ordered[0]["mean_macro_f1"] - ordered[place]["mean_macro_f1"])
    return "the best row" if place == 0 else f"row {place + 1} of {len(rows)}, {behind:.1f} points behind the best"


def settings_table(rows: list[dict[str, Any]]) -> str:
    """The grid on made corpora, best first."""
    keys = [key for key in rows[0] if key not in ("mean_macro_f1", "scores")]
    lines = ["| " + " | ".join([*keys, "mean macro-F1"]) + " |", "|---" * (len(keys) + 1) + "|"]
    for row in sorted(rows, key=lambda row: -row["mean_macro_f1"]):
        lines.append("| " + " | ".join([*(str(row[key]) for key in keys), f"{100 * row['mean_macro_f1']:.1f}"]) + " |")
    return "\n".join(lines)


def with_tables(readme: str, folder: Path) -> str:
    """Put the tables of the results between the README's marks."""
    tables = {
        "mosi": mosi_table(json.loads((folder / "mosi.json").read_text()), robust_scores(folder), "macro_f1"),
        "robustness": robustness_table(json.loads((folder / "robustness.json").read_text())),
        "comparison": comparison_table(json.loads((folder / "comparison.json").read_text())),
        "serve": load_table(json.loads((folder / "serve.json").read_text())),
        "analyze": speed_table(json.loads((folder / "analyze.json").read_text())),
    }
    for name, table in tables.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, _, rest = readme.partition(begin)
        _, _, after = rest.partition(end)
        readme = f"{before}{begin}\n{table}\n{end}{after}"
    return readme


def draw_mosi(result: dict[str, Any], path: Path) -> None:
    """Draw macro-F1 in every configuration: mean over seeds with one standard deviation, and the baselines."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.add_subplot()
    looks = dict(zip((*ROWS, "logistic_regression"), ("#0b7285", "#e8590c", "#845ef7", "#495057"), strict=True))
    for offset, (model, colour) in zip((-0.24, -0.08, 0.08, 0.24), looks.items(), strict=True):
        rows = [r for r in result["scores"] if r["model"] == model and r["metric"] == "macro_f1"]
        summarised = [r for r in rows if r["sd"] is not None] or rows
        place = {frozenset(r["available"]): r for r in summarised if r["available"]}
        place[frozenset(["mean"])] = next(r for r in summarised if r["condition"] == "mean")
        found = [place[frozenset(c)] for c in (*CONFIGURATIONS, ("mean",))]
        axes.errorbar(
            [x + offset for x in range(len(found))],
            [100 * row["value"] for row in found],
            yerr=[100 * (row["sd"] or 0) for row in found],
            fmt="s" if model == "logistic_regression" else "o",
            color=colour,
            capsize=2,
            label="logistic regression, a model per column" if model == "logistic_regression" else model,
        )
    constant = next(r for r in result["scores"] if r["model"] == "constant" and r["metric"] == "macro_f1")
    axes.axhline(100 * constant["value"], color="#868e96", linestyle=":", label="best constant answer")
    axes.set_xticks(range(len(HEADS)), HEADS)
    axes.set_ylabel("macro-F1, per cent")
    axes.set_title("CMU-MOSI polarity, test: what is left when signals are missing", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    with rc_context({"svg.hashsalt": "emotiwave"}):
        figure.savefig(path, metadata={"Date": None}, facecolor="white")


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "README.md").write_text(results_page(folder))
    mosi = json.loads((folder / "mosi.json").read_text())
    draw_mosi(mosi, folder / "mosi.svg")
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text(), folder))


if __name__ == "__main__":
    main()
