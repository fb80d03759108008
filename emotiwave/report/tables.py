"""Lays scores and facts out as tables: words and shades only, no arithmetic on scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emotiwave.metrics import AVERAGES, PER_LABEL, per_label
from emotiwave.report.read import BAYES_OPTIMAL, CONSTANT, Data, EvaluatedRun, Place
from emotiwave.types import Configuration, Score

MISSING = "–"
METRIC_NAMES = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "uar": "UAR",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "weighted_accuracy": "WA",
}
BASELINE_NAMES = {BAYES_OPTIMAL: "Bayes-optimal", CONSTANT: "constant"}
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
    scores = [(run.name, run.scores.headline) for run in runs]
    scores += [(BASELINE_NAMES[name], _baseline(first, "mean", name)) for name in baselines(first)]
    rows = tuple(Row(name, (score_cell(score),), summary=score not in _headlines(runs)) for name, score in scores)
    return Table(f"Mean macro-F1 over all configurations, {data_name(first)}", "Model", ("Mean macro-F1",), rows)


def comparison_table(runs: Sequence[EvaluatedRun]) -> Table:
    """Show the macro-F1 of runs on the same utterances side by side, then the baselines."""
    first = runs[0]
    beside = baselines(first)
    places: dict[Place, None] = {}
    for part in ("configurations", "summaries"):
        places |= dict.fromkeys(place for run in runs for place in getattr(run.scores, part))
    sizes = {len(run.scores.configurations) for run in runs}
    rows = []
    for place in places:
        cells = [score_cell(run.scores.find(place, "macro_f1")) for run in runs]
        cells += [score_cell(_baseline(first, place, name)) for name in beside]
        name = place_name(place, sizes.copy().pop() if len(sizes) == 1 else None)
        rows.append(Row(name, tuple(cells), summary=isinstance(place, str)))
    columns = (*(run.name for run in runs), *(BASELINE_NAMES[name] for name in beside))
    return Table(f"Macro-F1 in every configuration, {data_name(first)}", "Available", columns, tuple(rows))


def configuration_table(run: EvaluatedRun) -> Table:
    """Show every configuration and summary of one run against every average metric."""
    scores = run.scores
    rows = tuple(
        Row(
            name=place_name(place, len(scores.configurations)),
            cells=tuple(score_cell(scores.find(place, metric)) for metric in AVERAGES),
            summary=isinstance(place, str),
        )
        for place in (*scores.configurations, *scores.summaries)
    )
    return Table(f"{run.name}: every configuration, {data_name(run)}", "Available", _metric_columns(AVERAGES), rows)


def class_table(run: EvaluatedRun) -> Table:
    """Show the classification report of the complete configuration."""
    complete, kind = run.scores.complete, run.labels.kind
    metrics = [metric for metric in PER_LABEL if kind == "multilabel" or metric != "weighted_accuracy"]
    support = per_label(run.counts, kind)[:, 1].sum(axis=-1)
    rows = []
    for name, held in zip(run.labels.names, support, strict=True):
        cells = [score_cell(run.scores.find(complete, metric, label=name)) for metric in metrics]
        rows.append(Row(name, (*cells, Cell(f"{held:.0f}"))))
    columns = (*_metric_columns(metrics), "Support")
    return Table(f"{run.name}: classification report of {complete}", "Class", columns, tuple(rows))


def run_table(runs: Sequence[EvaluatedRun]) -> Table:
    """Show what tells runs apart and what they were made with."""
    facts: dict[str, Callable[[EvaluatedRun], str]] = {
        "Folder": lambda run: str(run.folder),
        "Model": lambda run: run.scores.model,
        "Parameters": lambda run: f"{run.environment.training.n_parameters:,}" if run.environment.training else MISSING,
        "Seed": lambda run: str(run.environment.seed),
        "Epochs": lambda run: str(len(run.history)),
        "Epoch kept": lambda run: str(run.best_epoch or "training did not finish"),
        "Non-finite frames": _non_finite,
        "Scored": lambda run: f"{run.scores.headline.n} {run.scores.headline.split} utterances",
        "Bootstrap": lambda run: f"{run.evaluation.bootstrap} resamples, {confidence(run)} intervals",
        "Platform": lambda run: f"{run.environment.platform}, {run.environment.threads} threads",
        "Python": lambda run: run.environment.python,
    }
    if not any(run.environment.training and any(run.environment.training.n_non_finite.values()) for run in runs):
        del facts["Non-finite frames"]
    rows = [Row(name, tuple(Cell(fact(run)) for run in runs)) for name, fact in facts.items()]
    for package in dict.fromkeys(name for run in runs for name in run.environment.packages):
        versions = tuple(Cell(run.environment.packages.get(package, MISSING)) for run in runs)
        rows.append(Row(package, versions))
    return Table("Runs, and the software that made them", "Fact", tuple(run.name for run in runs), tuple(rows), words=True)


def data_tables(data: Data) -> tuple[Table, Table, Table]:
    """Show what a corpus is, its splits and its modalities."""
    facts = {
        "Data": data.name,
        "Task": f"{data.task} ({data.label_set.kind})",
        "Classes": ", ".join(data.label_set.names),
        "Licence": data.licence,
        "Content hash (SHA-256)": data.digest,
    }
    order = sorted(data.splits, key=lambda name: (SPLIT_ORDER.index(name) if name in SPLIT_ORDER else 9, name))
    splits = [Row(name, (_number(data.splits[name].utterances), _number(data.splits[name].groups))) for name in order]
    modalities = [
        Row(name, (_number(size.features), _number(size.utterances), _number(size.frames)))
        for name, size in data.modalities.items()
    ]
    return (
        Table(f"{data.name}: the data", "Fact", ("",), tuple(Row(k, (Cell(v),)) for k, v in facts.items()), words=True),
        Table(f"{data.name}: splits", "Split", ("Utterances", "Groups"), tuple(splits)),
        Table(f"{data.name}: modalities", "Modality", ("Features", "Utterances", "Frames"), tuple(modalities)),
    )


def baselines(run: EvaluatedRun) -> list[str]:
    """Find the baselines that were scored beside a run."""
    return [name for name in BASELINE_NAMES if run.scores.find("mean", "macro_f1", model=name)]


def data_name(run: EvaluatedRun) -> str:
    """Name what a run was scored on."""
    return f"{run.environment.corpus.name} ({run.scores.headline.split}, n = {run.scores.headline.n})"


def place_name(place: Place, n_configurations: int | None) -> str:
    """Name a row: ``text+audio``, ``mean of all 7``."""
    if place == "mean":
        return f"mean of all {n_configurations or ''}".strip()
    if place == "mean_incomplete":
        return "mean of the incomplete" if n_configurations is None else f"mean of the {n_configurations - 1} incomplete"
    return str(place)


def score_cell(score: Score | None) -> Cell:
    """Write a score, with its interval in small print; retention is a ratio of scores and stays uncoloured."""
    if score is None:
        return Cell(MISSING)
    return Cell(f"{score.value:.3f}", interval(score), None if score.condition == "retention" else score.value)


def interval(score: Score) -> str | None:
    """Write the ends of an interval, if there is one."""
    if score.ci_low is None or score.ci_high is None:
        return None
    return f"{score.ci_low:.3f}–{score.ci_high:.3f}"


def confidence(run: EvaluatedRun) -> str:
    """Write how sure the intervals are, as ``95 %``."""
    return f"{100 * run.evaluation.confidence:g} %"


def _baseline(run: EvaluatedRun, place: Place, name: str) -> Score | None:
    """Find a baseline's row; the constant answer scores the same in every configuration, and has one row only."""
    if name == CONSTANT and (isinstance(place, Configuration) or place == "mean_incomplete"):
        place = "mean"
    return run.scores.find(place, "macro_f1", model=name)


def _metric_columns(metrics: Sequence[str] | dict) -> tuple[str, ...]:
    return tuple(METRIC_NAMES.get(metric, metric) for metric in metrics)


def _non_finite(run: EvaluatedRun) -> str:
    found = run.environment.training.n_non_finite if run.environment.training else {}
    return ", ".join(f"{name} {n:,}" for name, n in found.items() if n) or "none"


def _number(value: int) -> Cell:
    return Cell(f"{value:,}")
