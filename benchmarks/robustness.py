"""How robust the default model is: what each part of it is worth, and the goals that were set for it beforehand.

Reads the grids of the recipes ``compare_ablation_*``, of five seeds or folds each, and writes a page, a figure and the
numbers. Differences are paired: on the same 10,000 resamples of videos or actors, with 95 % percentile intervals.

    emotiwave compare compare_ablation_{mosi,mosi_transcripts,mosi_tuned_text} --out runs/ablation
    emotiwave compare compare_ablation_{cremad_votes,made_mosei,made_mosei_1400} --out runs/ablation
    python benchmarks/robustness.py --runs runs/ablation --out results
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emotiwave.comparison.answers import read_answers
from emotiwave.comparison.cell import cells_of
from emotiwave.comparison.recipe import read_comparison
from emotiwave.evaluation.paired import Answered
from emotiwave.evaluation.scoring import draw_groups
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.metrics import averages, statistics
from emotiwave.run_folder import data_digest, read_environment

PRIMARY = {
    "ablation_mosi": "evidence, context",
    "ablation_mosi_transcripts": "evidence, context",
    "ablation_mosi_tuned_text": "evidence, context",
    "ablation_cremad_votes": "evidence",
    "ablation_made_mosei": "evidence",
    "ablation_made_mosei_1400": "evidence",
}
"""Name of a recipe, and of the folder of its grid -> the method that the goals are asked of, named before the first
reading of the grid."""
TRANSCRIPTS = {"ablation_mosi_transcripts": "frozen MiniLM", "ablation_mosi_tuned_text": "and one tuned on GoEmotions"}
MADE = {"ablation_made_mosei": "312 videos", "ablation_made_mosei_1400": "1,400 videos"}
SETTINGS = EvaluationSettings(bootstrap=10_000)
MEAN = "mean"
SHORT = {"text": "T", "audio": "A", "vision": "V"}
BC_LSTM = {"text": 78.1, "text+vision": 80.2, "text+audio": 79.3, "text+audio+vision": 80.3}
"""Accuracy in per cent, one model per configuration, on the same features [Poria et al., ACL 2017, Table 3]."""
ROOT = Path(__file__).parents[1]

Values = dict[str, NDArray[np.float64]]
"""Configuration, and ``mean`` -> the data and its resamples ``(1 + resamples,)``, the mean over seeds, in per cent."""


class Grid:
    """The answers of the methods of one finished comparison, and their scores on the same resamples."""

    def __init__(self, recipe: str, runs: Path) -> None:
        comparison = read_comparison(f"compare_{recipe}")
        self.name = recipe
        self.answers: dict[str, list[Answered]] = {
            name: [read_answers(cell.folder, seed=cell.seed, fold=cell.fold) for cell in cells]
            for name, cells in cells_of(comparison, runs).items()
        }
        groups = sorted({g for several in self.answers.values() for answered in several for g in answered.groups})
        self.number = {group: index for index, group in enumerate(groups)}
        self.draws = draw_groups(len(groups), SETTINGS)
        self.n = len({name for answered in self.answers[PRIMARY[recipe]] for name in answered.ids})
        cells = cells_of(comparison, runs)[PRIMARY[recipe]]
        self.data = {
            "n": self.n,
            "groups": len(groups),
            "seeds": sorted({cell.seed for cell in cells}),
            "folds": sorted({cell.fold for cell in cells if cell.fold is not None}),
            "digests": list(dict.fromkeys(data_digest(cell.folder) for cell in cells)),
            "packages": read_environment(cells[0].folder)["packages"],
        }

    def values(self, method: str, metric: str) -> Values:
        """Scores of a method in every configuration, each seed's over all folds together."""
        by_seed: dict[int | None, list[Answered]] = {}
        for answered in self.answers[method]:
            by_seed.setdefault(answered.seed, []).append(answered)
        per_seed = [self._of_folds(folds, metric, self.draws) for folds in by_seed.values()]
        return {place: np.mean([values[place] for values in per_seed], axis=0) for place in per_seed[0]}

    def spread(self, method: str, metric: str) -> dict[str, float | None]:
        """Standard deviation over seeds, or folds, in every configuration, in per cent."""
        repeats = [self._of_folds([one], metric, self.draws[:1]) for one in self.answers[method]]
        if len(repeats) < 2:
            return dict.fromkeys(repeats[0], None)
        return {place: float(np.std([r[place][0] for r in repeats], ddof=1)) for place in repeats[0]}

    def _of_folds(self, folds: Sequence[Answered], metric: str, draws: NDArray[np.float64]) -> Values:
        labels = folds[0].label_set
        found: Values = {}
        for configuration in folds[0].answers:
            per_group = sum(self._per_group(answered, configuration) for answered in folds)
            found[configuration] = 100 * averages(labels)[metric](np.tensordot(draws, per_group, (1, 0)), labels)
        return found | {MEAN: np.mean(list(found.values()), axis=0)}

    def _per_group(self, answered: Answered, configuration: str) -> NDArray[np.float64]:
        rows = np.array([self.number[group] for group in answered.groups])
        thresholds = answered.thresholds.get(configuration)
        found = statistics(answered.targets, answered.answers[configuration], rows, answered.label_set, thresholds)
        return np.concatenate([found, np.zeros((len(self.number) - len(found), *found.shape[1:]))])


def interval(values: NDArray[np.float64]) -> dict[str, float]:
    """Value and 95 % interval of a score or a difference."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"value": float(values[0]), "ci_low": float(low), "ci_high": float(high)}


def members(grid: Grid, method: str, metric: str = "macro_f1") -> dict[str, dict[str, Any]]:
    """Each configuration of several modalities less its best single member."""
    values = grid.values(method, metric)
    found = {}
    for place in values:
        alone = [name for name in place.split("+") if name in values]
        if place != MEAN and len(alone) > 1:
            best = max(alone, key=lambda name: values[name][0])
            found[place] = {"best_member": best} | interval(values[place] - values[best])
    return found


def against(grid: Grid, method: str, other: str, metric: str) -> dict[str, dict[str, float]]:
    """A method less another in every configuration."""
    ours, theirs = grid.values(method, metric), grid.values(other, metric)
    return {place: interval(ours[place] - theirs[place]) for place in ours}


def measure(grids: Mapping[str, Grid]) -> dict[str, Any]:
    """Every number of the page."""
    found: dict[str, Any] = {"data": {name: grid.data for name, grid in grids.items()}, "primary": PRIMARY}
    found["scores"] = {
        name: {
            method: {
                metric: {
                    place: interval(values) | {"sd": spread[place]}
                    for place, values in grid.values(method, metric).items()
                }
                for metric in ("macro_f1", "accuracy")
                for spread in [grid.spread(method, metric)]
            }
            for method in grid.answers
        }
        for name, grid in grids.items()
    }
    found["parts"] = {
        name: {
            method: interval(grid.values(method, "macro_f1")[MEAN] - grid.values("evidence", "macro_f1")[MEAN])
            for method in grid.answers
            if method not in ("evidence", "bayes_optimal")
        }
        for name, grid in grids.items()
    }
    found["members"] = {name: members(grid, PRIMARY[name]) for name, grid in grids.items()}
    found["against_logistic_regression"] = {
        name: against(grid, PRIMARY[name], "logistic_regression", "accuracy") for name, grid in grids.items()
    }
    found["below_bayes"] = {name: against(grids[name], PRIMARY[name], "bayes_optimal", "macro_f1") for name in MADE}
    return found


def short(place: str) -> str:
    """Name a configuration by its letters."""
    return "".join(SHORT.get(name, name) for name in place.split("+"))


def number(score: Mapping[str, Any]) -> str:
    """Write a score in per cent."""
    sd = score.get("sd")
    return f"{score['value']:.1f}" + (f" ± {sd:.1f}" if sd is not None else "")


def difference(found: Mapping[str, Any]) -> str:
    """Write a difference in points."""
    return f"{found['value']:+.1f} [{found['ci_low']:+.1f}, {found['ci_high']:+.1f}]"


def goals(found: Mapping[str, Any], steps: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """What was asked, what was to be reached at least and at best, what is reached, and which of the two that is."""
    rows = []

    def row(what: str, accept: str, goal: str, said: str, *, accepted: bool, reached: bool) -> None:
        verdict = "goal reached" if accepted and reached else "accepted" if accepted else "missed"
        rows.append((what, accept, goal, said, verdict))

    def score(recipe: str, place: str, metric: str = "macro_f1") -> float:
        return found["scores"][recipe][PRIMARY[recipe]][metric][place]["value"]

    def full(recipe: str, place: str, metric: str = "macro_f1") -> str:
        of = found["scores"][recipe][PRIMARY[recipe]][metric][place]
        return f"{number(of)} [{of['ci_low']:.1f}, {of['ci_high']:.1f}]"

    given = "ablation_mosi"
    mean = score(given, MEAN)
    row(
        "MOSI as given, mean macro-F1 of seven",
        "≥ 66.5",
        "≥ 68",
        full(given, MEAN),
        accepted=mean >= 66.5,
        reached=mean >= 68,
    )
    lr = found["against_logistic_regression"][given]
    places = {place: next(key for key in lr if set(key.split("+")) == set(place.split("+"))) for place in BC_LSTM}
    row(
        "MOSI as given, accuracy with text, less logistic regression",
        "no interval wholly below 0",
        "≥ bc-LSTM: " + ", ".join(f"{short(place)} {value}" for place, value in BC_LSTM.items()),
        "; ".join(
            f"{short(place)} {score(given, key, 'accuracy'):.1f} ({difference(lr[key])})"
            for place, key in places.items()
        ),
        accepted=all(lr[key]["ci_high"] >= 0 for key in places.values()),
        reached=all(score(given, key, "accuracy") >= BC_LSTM[place] for place, key in places.items()),
    )
    audio = score(given, "audio")
    row(
        "MOSI as given, sound alone, macro-F1",
        "≥ 56",
        "≥ 58",
        full(given, "audio"),
        accepted=audio >= 56,
        reached=audio >= 58,
    )
    for recipe, compared in found["members"].items():
        worst = min(compared, key=lambda place: compared[place]["ci_low"])
        low = compared[worst]["ci_low"]
        row(
            f"{recipe.removeprefix('ablation_')}: a subset less its best single modality, lowest bound",
            "> -2",
            "> -1",
            f"{short(worst)} less {short(compared[worst]['best_member'])}: {difference(compared[worst])}",
            accepted=low > -2,
            reached=low > -1,
        )
    for anew, encoders in TRANSCRIPTS.items():
        text = score(anew, "text", "accuracy"), score(anew, "text"), score(anew, MEAN)
        row(
            f"MOSI from transcripts, {encoders}: text accuracy / macro-F1; mean macro-F1 of seven",
            "≥ 80.5 / ≥ 79.5; ≥ 67.5",
            "≥ 84 / ≥ 83; ≥ 71",
            f"{full(anew, 'text', 'accuracy')} / {full(anew, 'text')}; {full(anew, MEAN)}",
            accepted=text[0] >= 80.5 and text[1] >= 79.5 and text[2] >= 67.5,
            reached=text[0] >= 84 and text[1] >= 83 and text[2] >= 71,
        )
    votes = found["against_logistic_regression"]["ablation_cremad_votes"]
    both = score("ablation_cremad_votes", "audio+vision", "accuracy")
    row(
        "CREMA-D votes, accuracy, less logistic regression of three models",
        "no interval wholly below 0",
        "AV ≥ 78",
        "; ".join(
            f"{short(place)} {score('ablation_cremad_votes', place, 'accuracy'):.1f} ({difference(of)})"
            for place, of in votes.items()
            if place != MEAN
        ),
        accepted=all(of["ci_high"] >= 0 for place, of in votes.items() if place != MEAN),
        reached=both >= 78,
    )
    for made, videos in MADE.items():
        below = {place: of for place, of in found["below_bayes"][made].items() if place != MEAN}
        worst_below = min(of["value"] for of in below.values())
        row(
            f"made MOSEI of {videos}, macro-F1 less that of Bayes' rule, each configuration",
            "≥ -4",
            "≥ -2",
            "; ".join(f"{short(place)} {difference(of)}" for place, of in below.items()),
            accepted=worst_below >= -4,
            reached=worst_below >= -2,
        )
    ratio = steps["over_mult"]["evidence"]
    row(
        "a training step with all seven configurations over that of `mult` with the complete one",
        "≤ 1/4",
        "≤ 1/8",
        f"1/{1 / ratio:.0f} ({steps['median_ms']['evidence']:.0f} ms against {steps['median_ms']['mult']:.0f})",
        accepted=ratio <= 1 / 4,
        reached=ratio <= 1 / 8,
    )
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(folder: Path) -> str:
    """Write everything as Markdown, of the numbers in a folder."""
    names = ("robustness", "configurations_step", "reliability_settings")
    found, steps, reliabilities = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    template = (ROOT / "results" / "robustness_template.md").read_text()
    header = ("What", "At least", "Goal", "Reached", "")
    sections = []
    for recipe, of_methods in found["scores"].items():
        places = list(next(iter(of_methods.values()))["macro_f1"])
        order = sorted(of_methods, key=lambda m: -of_methods[m]["macro_f1"][MEAN]["value"])
        rows = [
            [
                f"**{m}**" if m == PRIMARY[recipe] else m,
                *(number(of_methods[m]["macro_f1"][p]) for p in places),
                difference(found["parts"][recipe][m]) if m in found["parts"][recipe] else "",
            ]
            for m in order
        ]
        data = found["data"][recipe]
        repeats = f"folds {data['folds']}, seed 0" if data["folds"] else f"seeds {data['seeds']}"
        hashes = ", ".join(f"`{digest[:16]}`" for digest in data["digests"])
        title = f"### {recipe.removeprefix('ablation_')}"
        title += f"\n\n{data['n']:,} test utterances in {data['groups']} groups; {repeats}; content hash {hashes}."
        scores = table(("Macro-F1", *(short(p) for p in places), "mean, less `evidence`"), rows)
        of_accuracy = [
            [m, *(number(of_methods[m]["accuracy"][p]) for p in places)]
            for m in dict.fromkeys((PRIMARY[recipe], "evidence", "logistic_regression", "bottleneck"))
            if m in of_methods
        ]
        sections += [title, scores, table(("Accuracy", *(short(p) for p in places)), of_accuracy)]
    tried = {
        knows: ", ".join(
            f"{row['vision']:g} gives {100 * row['mean_macro_f1']:.1f}"
            for row in reliabilities
            if row["knows_labels"] == knows
        )
        for knows in ("text and vision", "vision")
    }
    return template.format(
        goals=table(header, goals(found, steps)), sections="\n\n".join(sections), steps=steps, reliability=tried
    )


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw macro-F1 of the chosen method and of others in every configuration; each has its place and colour."""
    others = {
        "logistic_regression": "logistic regression, one model each",
        "bottleneck": "bottleneck",
        "bayes_optimal": "Bayes' rule, of made files",
    }
    with rc_context({"svg.hashsalt": "emotiwave", "font.size": 9}):
        figure = Figure(figsize=(10, 10), layout="constrained")
        handles = {}
        for axes, (recipe, of_methods) in zip(figure.subplots(3, 2).flat, found["scores"].items(), strict=True):
            methods = {PRIMARY[recipe]: "evidence, on MOSI with context"} | others
            places = list(of_methods[PRIMARY[recipe]]["macro_f1"])
            for index, (method, label) in enumerate(methods.items()):
                if method not in of_methods:
                    continue
                scores = [of_methods[method]["macro_f1"][place] for place in places]
                x = np.arange(len(places)) + 0.18 * (index - (len(methods) - 1) / 2)
                values = np.array([score["value"] for score in scores])
                bars = [[v - s["ci_low"], s["ci_high"] - v] for v, s in zip(values, scores, strict=True)]
                handles[label] = axes.errorbar(
                    x, values, np.array(bars).T, fmt="o", markersize=4, linewidth=1, color=f"C{index}"
                )
            axes.set_xticks(range(len(places)), [short(place) for place in places])
            axes.set_title(recipe.removeprefix("ablation_"))
            axes.set_ylabel("macro-F1, per cent")
            axes.grid(axis="y", alpha=0.3)
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Read the grids, and write ``robustness.json``, ``robustness.svg`` and ``robustness.md``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    found = measure({name: Grid(name, options.runs) for name in PRIMARY})
    (options.out / "robustness.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "robustness.md").write_text(page(options.out))
    draw(found, options.out / "robustness.svg")


if __name__ == "__main__":
    main()
