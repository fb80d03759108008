"""One self-contained HTML page about evaluated runs: it draws what they scored, and computes nothing."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emotiwave.drawing import page
from emotiwave.explanation.results import FOLDER, SUMMARY, digest_of_answers, read_explanation
from emotiwave.report import continuous, figures, run_confidence, run_robustness, run_subgroups, tables
from emotiwave.report.explanation_page import lay_out
from emotiwave.report.file_formats import Data
from emotiwave.report.read import EvaluatedRun, read_runs
from emotiwave.types import BAYES_OPTIMAL, CONSTANT, LabelSet

MOST_RUNS_OPEN = 3
"""Of more runs than this the details are folded."""
MOST_RUNS_IN_SENTENCE = 3


def write_page(runs: Mapping[Path, str]) -> str:
    """Draw evaluated run folders, each with the label to show, as one HTML page.

    Runs on the same utterances are compared side by side. The same folders give the same page.

    Raises:
        CheckpointError: If a file of a run is missing or damaged; it is named, with what to do.
    """
    evaluated = read_runs(runs)
    details = [_details(run) for run in evaluated]
    comparisons = [_comparison(together) for together in comparable(evaluated)]
    return page(
        "report/page.html",
        kicker="Emotiwave report",
        title=_title(evaluated),
        comparisons=comparisons,
        compared=any(comparison["table"] for comparison in comparisons),
        runs=details,
        cautions={run.name: run.environment.cautions for run in evaluated if run.environment.cautions},
        folded=len(evaluated) > MOST_RUNS_OPEN,
        data=[tables.data_tables(data) for data in _corpora(evaluated)],
        run_table=tables.run_table(evaluated),
        reading=_reading(evaluated) | {"explained": any(not isinstance(of["why"], str) for of in details)},
    )


def comparable(runs: Sequence[EvaluatedRun]) -> list[list[EvaluatedRun]]:
    """Group runs that were scored on the same utterances with the same truth, beside the same baselines."""
    groups: dict[tuple, list[EvaluatedRun]] = {}
    for run in runs:
        data = run.environment.corpus
        beside = tuple(run.scores.find(name, "mean") for name in (CONSTANT, BAYES_OPTIMAL))
        values = tuple(score and score.value for score in beside)
        key = (data.name, data.task, run.scores.headline.split, values, tuple(sorted(run.truth.items())))
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _title(runs: Sequence[EvaluatedRun]) -> str:
    corpora = ", ".join(dict.fromkeys(run.environment.corpus.name for run in runs))
    return f"{runs[0].name if len(runs) == 1 else f'{len(runs)} runs'} on {corpora}"


def _comparison(runs: Sequence[EvaluatedRun]) -> dict[str, Any]:
    beside = tables.baselines(runs[0])
    side_by_side = len(runs) > 1 or BAYES_OPTIMAL in beside
    return {
        "summary": _summary(runs),
        "headline": tables.headline_table(runs),
        "table": tables.comparison_table(runs) if side_by_side else None,
    }


def _summary(runs: Sequence[EvaluatedRun]) -> str:
    """Say in one sentence what was reached on what, beside the baselines."""
    first = runs[0]
    score, labels, n = first.scores.headline, first.labels, tables.n_configurations(runs)
    classes = _say_labels(labels)
    beside = [
        f"{tables.BASELINE_WORDS[name]} reaches {found.value:.3f}"
        for name in tables.baselines(first)
        if (found := first.scores.find(name, "mean"))
    ]
    over = "macro-F1" if n == 1 else f"mean macro-F1 over all {f'{n} ' if n else ''}modality configurations"
    where = f"On {score.n} {score.split} utterances of {first.environment.corpus.name} ({classes})"
    return f"{where}, {over} is {_reached(runs)}{'; ' if beside else ''}{' and '.join(beside)}."


def _say_labels(labels: LabelSet) -> str:
    n = len(labels.names)
    if labels.kind == "continuous":
        return "1 continuous label" if n == 1 else f"{n} continuous labels"
    aside = {"multilabel": ", several may hold", "distribution": ", each with its share of the raters"}
    return f"{n} classes{aside.get(labels.kind, '')}"


def _reached(runs: Sequence[EvaluatedRun]) -> str:
    scores = [run.scores.headline for run in runs]
    if len(runs) > MOST_RUNS_IN_SENTENCE:
        low, high = min(s.value for s in scores), max(s.value for s in scores)
        return f"{low:.3f} to {high:.3f} for {len(runs)} runs"
    said = []
    for run, score in zip(runs, scores, strict=True):
        ends = tables.interval(score)
        aside = f" ({tables.confidence(run)} interval {ends})" if ends else ""
        said.append(f"{score.value:.3f}{aside} for {run.name}")
    return " and ".join(said)


def _details(run: EvaluatedRun) -> dict[str, Any]:
    if run.labels.kind == "continuous":
        pictures = {
            "Truth against prediction": continuous.agreement(run),
            "Error, correlation and F1 per label": continuous.label_bars(run),
        }
    else:
        pictures = {"Confusion": figures.confusion(run), "F1 per class": figures.class_f1(run)}
    return {
        "name": run.name,
        "folder": str(run.folder),
        "quoted_folder": shlex.quote(str(run.folder)),
        "configurations": tables.configuration_table(run),
        "classes": tables.class_table(run),
        "classes_title": "Every label" if run.labels.kind == "continuous" else "Classification report",
        "pictures": pictures | {"Learning curves": figures.learning_curves(run)},
        "curves": [run_robustness.curve(run, condition) for condition in run_robustness.condition_names(run)],
        "curve_table": run_robustness.curve_table(run),
        "confidence": _confidence(run),
        "subgroups": run_subgroups.subgroup_tables(run.apart),
        "config": run.config,
        "why": _why(run.folder),
    }


def _confidence(run: EvaluatedRun) -> dict[str, Any] | None:
    if run.confidence is None:
        return None
    return {
        "table": run_confidence.confidence_table(run.confidence),
        "pictures": [
            run_confidence.reliability(run, run.confidence),
            run_confidence.risk_over_coverage(run, run.confidence),
        ],
    }


def _why(folder: Path) -> dict[str, Any] | str:
    """What `emotiwave explain` wrote about a run, or why there is nothing to show."""
    if not (folder / FOLDER / SUMMARY).exists():
        return "no explanation is in the folder of the run"
    found = read_explanation(folder / FOLDER)
    is_of_this = found.answers == digest_of_answers(folder)
    return lay_out(found) if is_of_this else "it was explained with other weights or thresholds than it has now"


def _corpora(runs: Sequence[EvaluatedRun]) -> list[Data]:
    return list({run.environment.corpus.digest: run.environment.corpus for run in runs}.values())


def _reading(runs: Sequence[EvaluatedRun]) -> dict[str, Any]:
    """Which of the explanations this page needs."""
    return {
        "multilabel": any(run.labels.kind == "multilabel" for run in runs),
        "exclusive": any(run.labels.is_exclusive for run in runs),
        "distribution": any(run.labels.kind == "distribution" for run in runs),
        "continuous": any(run.labels.kind == "continuous" for run in runs),
        "tuned": ", ".join(dict.fromkeys(run.tuned.split for run in runs if run.tuned)),
        "incomplete": any(run.scores.singles for run in runs),
        "intervals": any(tables.interval(run.scores.headline) for run in runs),
        "confidence": ", ".join(dict.fromkeys(tables.confidence(run) for run in runs)),
        "constant": any(CONSTANT in tables.baselines(run) for run in runs),
        "under_conditions": any(run.under for run in runs),
        "apart": any(run.apart for run in runs),
        "confident": any(run.confidence for run in runs),
        "bayes_optimal": any(BAYES_OPTIMAL in tables.baselines(run) for run in runs),
    }
