"""Lays scores and facts out as tables: words and shades only, no arithmetic on scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emotiwave.metrics import LOWER_IS_BETTER, averages, per_label_metrics
from emotiwave.metrics.counts import per_label
from emotiwave.report.file_formats import Data
from emotiwave.report.read import EvaluatedRun, Place
from emotiwave.types import BAYES_OPTIMAL, CONSTANT, Configuration, LabelSet, Score

DASH, SPACE = "\N{EN DASH}", "\N{NO-BREAK SPACE}"
METRIC_NAMES = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "uar": "UAR",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "weighted_accuracy": "WA",
    "weighted_f1": "Weighted F1",
    "mae": "MAE",
    "pearson": "r",
    "accuracy_2": "Acc-2",
    "accuracy_2_signed": "Acc-2, zeros left out",
    "weighted_f1_2": "Weighted F1 of two",
    "weighted_f1_2_signed": "Weighted F1 of two, zeros left out",
    "accuracy_7": "Acc-7",
    "nll": "NLL",
}
BASELINE_NAMES = {BAYES_OPTIMAL: "Bayes-optimal", CONSTANT: "constant"}
BASELINE_WORDS = {BAYES_OPTIMAL: "the Bayes-optimal decision", CONSTANT: "the best constant answer"}
SPLIT_ORDER = ("train", "validation", "test")


@dataclass(frozen=True)
class Cell:
    """A number or a word; ``small`` goes below it, ``shade`` (0-1) colours it."""

    text: str
    small: str | None = None
    shade: float | None = None


@dataclass(frozen=True)
class Row:
    """A named row; ``summary`` sets it off from the rows above."""

    name: str
    cells: tuple[Cell, ...]
    summary: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption, a name for its first column, and named columns."""

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    words: bool = False
    """Whether cells are words, which read from the left, and not numbers."""


def headline_table(runs: Sequence[EvaluatedRun]) -> Table:
    """Show the mean macro-F1 of runs on the same utterances, and of the baselines beside them."""
    first = runs[0]
    rows = [Row(run.name, (score_cell(run.scores.headline),)) for run in runs]
    rows += [Row(BASELINE_NAMES[b], (score_cell(_baseline(first, "mean", b)),), summary=True) for b in baselines(first)]
    caption = f"Mean macro-F1 over all configurations on {data_name(first)}"
    return Table(caption, "Model", ("Mean macro-F1",), tuple(rows))


def comparison_table(runs: Sequence[EvaluatedRun]) -> Table:
    """Show the macro-F1 of runs on the same utterances side by side, then the baselines."""
    first = runs[0]
    beside = baselines(first)
    places: list[Place] = [
        *dict.fromkeys(configuration for run in runs for configuration in run.scores.configurations),
        *dict.fromkeys(summary for run in runs for summary in run.scores.summaries),
    ]
    rows = []
    for place in places:
        cells = [score_cell(run.scores.find(run.scores.model, place)) for run in runs]
        cells += [score_cell(_baseline(first, place, name)) for name in beside]
        rows.append(Row(place_name(place, n_configurations(runs)), tuple(cells), summary=isinstance(place, str)))
    columns = (*(run.name for run in runs), *(BASELINE_NAMES[name] for name in beside))
    return Table(f"Macro-F1 on {data_name(first)}", "Available", columns, tuple(rows))


def configuration_table(run: EvaluatedRun) -> Table:
    """Show every configuration and summary of one run against every average metric."""
    scores, metrics = run.scores, averages(run.labels)
    rows = tuple(
        Row(
            name=place_name(place, len(scores.configurations)),
            cells=tuple(score_cell(scores.find(scores.model, place, metric)) for metric in metrics),
            summary=isinstance(place, str),
        )
        for place in (*scores.configurations, *scores.summaries)
    )
    return Table(f"{run.name} on {data_name(run)}", "Available", _metric_columns(metrics), rows)


def class_table(run: EvaluatedRun) -> Table:
    """Show every class, or continuous label, in the complete configuration."""
    complete, kind = run.scores.complete, run.labels.kind
    hidden = ("weighted_accuracy",) if run.labels.is_exclusive else ()
    metrics = [metric for metric in per_label_metrics(run.labels) if metric not in hidden]
    if kind == "continuous":
        support = (run.targets > 0).sum(axis=0)
    else:
        support = per_label(run.counts, run.labels)[:, 1].sum(axis=-1)
    tuned = run.tuned.thresholds if run.tuned else {}
    rows = []
    for name, held in zip(run.labels.names, support, strict=True):
        cells = [score_cell(run.scores.own(complete, metric, name)) for metric in metrics]
        limit = [Cell(f"{tuned[name]:.3f}" if name in tuned else DASH)] if tuned else []
        rows.append(Row(name, (*cells, Cell(f"{held:.0f}"), *limit)))
    columns = (*_metric_columns(metrics), "Above 0" if kind == "continuous" else "Support")
    columns += ("Threshold",) if tuned else ()
    return Table(f"{run.name} with {complete}", "Label" if kind == "continuous" else "Class", columns, tuple(rows))


def run_table(runs: Sequence[EvaluatedRun]) -> Table:
    """Show what tells runs apart and what they were made with."""
    facts: dict[str, Callable[[EvaluatedRun], str]] = {
        "Folder": lambda run: str(run.folder),
        "Model": lambda run: run.scores.model,
        "Parameters": lambda run: f"{run.environment.training.n_parameters:,}" if run.environment.training else DASH,
        "Seed": lambda run: str(run.environment.seed),
        "Epochs": lambda run: str(len(run.history)),
        "Epoch kept": lambda run: str(run.best_epoch or "training did not finish"),
        "Non-finite frames": _non_finite,
        "Scored": lambda run: f"{run.scores.headline.n} {run.scores.headline.split} utterances",
        "Decisions": decision_rule,
        "Weights chosen by": _selection,
        "Hash of data, weights, recipe, code": _hashes,
        "Bootstrap": lambda run: f"{run.evaluation.bootstrap} resamples, {confidence(run)} intervals",
        "Platform": lambda run: f"{run.environment.platform}, {run.environment.threads} threads",
        "Python": lambda run: run.environment.python,
    }
    if not any(run.environment.training and any(run.environment.training.n_non_finite.values()) for run in runs):
        del facts["Non-finite frames"]
    rows = [Row(name, tuple(Cell(fact(run)) for run in runs)) for name, fact in facts.items()]
    for package in dict.fromkeys(name for run in runs for name in run.environment.packages):
        versions = tuple(Cell(run.environment.packages.get(package, DASH)) for run in runs)
        rows.append(Row(package, versions))
    return Table(
        "Runs, and the software that made them", "Fact", tuple(run.name for run in runs), tuple(rows), words=True
    )


def _selection(run: EvaluatedRun) -> str:
    if run.provenance is None:
        return DASH
    chosen = run.provenance.selection
    return f"{chosen['metric']} on {chosen['split']}" if chosen else "the number of epochs, fixed beforehand"


def _hashes(run: EvaluatedRun) -> str:
    made = run.provenance
    return DASH if made is None else ", ".join(h[:12] for h in (made.data, made.weights, made.recipe, made.code))


def data_tables(data: Data) -> dict[str, Table]:
    """Show what a corpus is, its splits and its modalities."""
    facts = {
        "Data": data.name,
        "Task": " · ".join(dict.fromkeys((data.task, data.label_set.kind))),
        "Labels" if data.label_set.ranges else "Classes": label_names(data.label_set),
        "Licence": data.licence,
        "Content hash (SHA-256)": data.digest,
    }
    order = sorted(data.splits, key=lambda name: (SPLIT_ORDER.index(name) if name in SPLIT_ORDER else 9, name))
    splits = [Row(name, (_number(data.splits[name].utterances), _number(data.splits[name].groups))) for name in order]
    modalities = [
        Row(name, (_number(size.features), _number(size.utterances), _number(size.frames)))
        for name, size in data.modalities.items()
    ]
    about = tuple(Row(name, (Cell(fact),)) for name, fact in facts.items())
    sizes = ("Features", "Utterances", "Frames")
    counts = tuple(Row(name, (Cell(f"{n:,}" if isinstance(n, int) else str(n)),)) for name, n in data.counts.items())
    counted = {"counts": Table(f"{data.name}: how the corpus was counted", "Count", (), counts, words=True)}
    return (counted if counts else {}) | {
        "about": Table(f"{data.name}: the data", "Fact", (), about, words=True),
        "splits": Table(f"{data.name}: splits", "Split", ("Utterances", "Groups"), tuple(splits)),
        "modalities": Table(f"{data.name}: modalities", "Modality", sizes, tuple(modalities)),
    }


def label_names(labels: LabelSet) -> str:
    """Write the classes, or the continuous labels with their ranges."""
    if labels.ranges is None:
        return ", ".join(labels.names)
    ranges = zip(labels.names, labels.ranges, strict=True)
    return ", ".join(f"{name} ({low:g} to {high:g})" for name, (low, high) in ranges)


def decision_rule(run: EvaluatedRun) -> str:
    """Say what turned the answers of a run into decisions."""
    if run.labels.is_exclusive:
        return "the largest probability"
    if run.tuned:
        return f"thresholds tuned on {run.tuned.split}, to the highest F1 per class and configuration"
    if run.labels.kind == "multilabel":
        return "probability above 0.5"
    crosses = run.labels.bounds[0] < 0
    rules = {"the sign of the value": crosses.any(), "a value above half a step": not crosses.all()}
    return ", ".join(rule for rule, applies in rules.items() if applies)


def baselines(run: EvaluatedRun) -> list[str]:
    """Find the baselines that were scored beside a run."""
    return [name for name in BASELINE_NAMES if run.scores.find(name, "mean")]


def data_name(run: EvaluatedRun) -> str:
    """Name what a run was scored on."""
    return f"{run.environment.corpus.name} ({run.scores.headline.split}, n = {run.scores.headline.n})"


def n_configurations(runs: Sequence[EvaluatedRun]) -> int | None:
    """Tell how many configurations each run was scored in; None if they differ."""
    sizes = {len(run.scores.configurations) for run in runs}
    return next(iter(sizes)) if len(sizes) == 1 else None


def place_name(place: Place, n: int | None) -> str:
    """Name a row: ``text+audio``, or ``mean of all 7`` where ``n`` configurations were scored."""
    if place == "mean":
        return f"mean of all {n or ''}".strip()
    if place == "mean_incomplete":
        return f"mean of the {n - 1} incomplete" if n else "mean of the incomplete"
    return str(place)


def score_cell(score: Score | None) -> Cell:
    """Write a score, with its interval in small print; a ratio (retention) and an error stay uncoloured."""
    if score is None:
        return Cell(DASH)
    plain = score.condition.startswith(("retention", "relative:")) or score.metric in LOWER_IS_BETTER
    return Cell(f"{score.value:.3f}", interval(score), None if plain else max(0.0, score.value))


def interval(score: Score) -> str | None:
    """Write the ends of an interval, if there is one."""
    if score.ci_low is None or score.ci_high is None:
        return None
    return f"{score.ci_low:.3f}{DASH}{score.ci_high:.3f}"


def confidence(run: EvaluatedRun) -> str:
    """Write how sure the intervals are, as ``95 %``."""
    return f"{100 * run.evaluation.confidence:g}{SPACE}%"


def _baseline(run: EvaluatedRun, place: Place, name: str) -> Score | None:
    """Find a baseline's row; the constant answer scores the same in every configuration, and has one row only."""
    if name == CONSTANT and (isinstance(place, Configuration) or place == "mean_incomplete"):
        place = "mean"
    return run.scores.find(name, place)


def _metric_columns(metrics: Sequence[str] | dict) -> tuple[str, ...]:
    return tuple(METRIC_NAMES.get(metric, metric) for metric in metrics)


def _non_finite(run: EvaluatedRun) -> str:
    found = run.environment.training.n_non_finite if run.environment.training else {}
    return ", ".join(f"{name} {n:,}" for name, n in found.items() if n) or "none"


def _number(value: int) -> Cell:
    return Cell(f"{value:,}")
