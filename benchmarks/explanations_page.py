"""Turn results/explanations.json into results/explanations.md. Draws only.

python benchmarks/explanations_page.py results
"""

import argparse
import json
from pathlib import Path
from typing import Any

from emotiwave.explanation.explainers import EXPLAINERS
from emotiwave.report.explanation_page import MEASURES

SHOWN = ("deletion_gain", "insertion_gain", "randomised_weights", "small_noise")
POOR = 0.3
"""Accuracy of six classes below which a model has hardly learned anything."""
NONE = "-"
"""What was not measured."""
HEAD = """# Explanations, and whether they are true

Written by `python benchmarks/explanations_page.py results` of what `python benchmarks/explanations.py --out
results/explanations.json` measured; do not edit. Explained are test utterances; nothing was chosen by them.

"""


def page(folder: Path) -> str:
    """All of it."""
    found = json.loads((folder / "explanations.json").read_text())
    parts = [HEAD + planted(found["planted"]), in_time(found), mosi(found["mosi"])]
    return "\n\n".join(parts) + "\n"


def planted(rows: list[dict[str, Any]]) -> str:
    """Who carries the class, as planted in the made corpus."""
    areas = " | ".join(f"span AUC, {one.replace('_', ' ')}" for one in EXPLAINERS)
    lines = [
        "## Planted truth",
        "",
        "Recipe `synthetic`: three modalities, six classes, each carried by two of the modalities. Hit rate: how often",
        "the modality with the largest contribution to the true class carries it, of utterances that have one that",
        "does not. Span AUC: how well the values of words and half seconds tell those inside the planted span from the",
        "others, for the true class, in modalities that carry it.",
        "",
        f"| model | seed | accuracy | hit rate | by chance | utterances | {areas} | spans |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        hit, time = row["modality"], row["time"]
        areas = [f"{time[one]['span_auc']:.3f}" if one in time else NONE for one in EXPLAINERS]
        cells = [
            f"`{row['model']}`",
            row["seed"],
            f"{row['accuracy']:.3f}",
            f"{hit['hit_rate']:.3f}",
            f"{hit['by_chance']:.3f}",
            hit["n"],
            *areas,
            time["occlusion"]["n_spans"],
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    most = max(row["most_epochs"] for row in rows)
    fewer = [f"`{row['model']}` ({row['most_epochs']})" for row in rows if row["most_epochs"] < most]
    told = f" Trained for fewer epochs than the {most} of the recipe: {', '.join(fewer)}." if fewer else ""
    poor = [f"`{row['model']}`" for row in rows if row["accuracy"] < POOR]
    told += f" Of {', '.join(poor)}, which hardly learned anything, explanations say little." if poor else ""
    gap = max(row["efficiency_gap"] for row in rows)
    return "\n".join([*lines, "", f"Base and contributions miss the probabilities by {gap:.1e} at most.{told}"])


def in_time(found: dict[str, Any]) -> str:
    """Deletion, insertion and sanity checks, by corpus, model and explainer."""
    lines = [
        "## Against chance, and against models that learned nothing",
        "",
        "Classes that were decided; words and half seconds; up to 100 utterances drawn at random; 95 % intervals by",
        "bootstrap over dialogues or speakers. Weights were shuffled five times, for a fifth of the utterances each;",
        "intervals of that column do not resample the shuffles.",
        "RAVDESS: recipe `ravdess` with frames of `prosody` and the model",
        f"`evidence`, accuracy {found['ravdess']['accuracy']:.3f} of seven classes on {found['ravdess']['n']} clips of",
        "unseen actors.",
        "",
        *(f"- {name.replace('_', ' ')}: {words}" for name, words in MEASURES.items()),
        "",
        f"| corpus, model, seed | explainer | {' | '.join(one.replace('_', ' ') for one in SHOWN)} | gap | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cases = [(f"synthetic, `{row['model']}`, {row['seed']}", row["time"]) for row in found["planted"]]
    cases.append(("RAVDESS, `evidence`, 0", found["ravdess"]["time"]))
    for name, by_explainer in cases:
        for explainer, measured in by_explainer.items():
            cells = [
                _mean(measured.get(one))
                for one in ("deletion_gain", "insertion_gain", "randomised_weights", "small_noise")
            ]
            gap = measured.get("convergence_gap")
            cells.append(NONE if gap is None else f"{gap['value']:.4f}")
            n = measured["deletion_gain"]["n"]
            lines.append(f"| {name} | {explainer.replace('_', ' ')} | {' | '.join(cells)} | {n} |")
    return "\n".join(lines)


def mosi(found: dict[str, Any]) -> str:
    """Modalities taken away one by one."""
    gain, chance = found["gain_over_best_constant"], found["gain_over_chance"]
    verdict = "better than" if gain["low"] > 0 else "worse than" if gain["high"] < 0 else "no better than"
    lines = [
        "## CMU-MOSI: modalities taken away",
        "",
        f"Recipe `mosi`, three seeds, {found['n']} test utterances. The mean probability of the class that was",
        "decided, as modalities go one by one: the lower, the better the order. The best constant order is the best",
        "one on these same utterances, which no method could have known.",
        "",
        "| order | mean probability |",
        "|---|---|",
        f"| by contribution, of each utterance | {found['deletion']:.4f} |",
        *(
            f"| {order.replace('+', ', then ')} | {value:.4f} |"
            for order, value in sorted(found["constant"].items(), key=lambda of: of[1])
        ),
        "",
        f"By contribution it is {verdict} the best constant order: lower by {_mean(gain)} (95 %, bootstrap over",
        f"videos); than the mean of all orders by {_mean(chance)}. Contributions and these curves are of the same",
        "scores of subsets: this says that contributions sum them up well for each utterance, and no more.",
    ]
    return "\n".join(lines)


def _mean(mean: dict[str, float] | None) -> str:
    return NONE if mean is None else f"{mean['value']:+.3f} [{mean['low']:+.3f}, {mean['high']:+.3f}]"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "explanations.md").write_text(page(folder))


if __name__ == "__main__":
    main()
