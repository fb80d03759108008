"""What the commands print: consoles, tables of scores, the next command."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from emotiwave.errors import printable

if TYPE_CHECKING:
    from emotiwave.api.leaks import LeakageReport
    from emotiwave.evaluation.comparison import CorpusComparison
    from emotiwave.types import Score

INTERRUPTED = 130
NOTHING_TO_JUDGE = 3
SHOWN = {
    "mae": ("macro_f1", "mae", "pearson"),
    "nll": ("macro_f1", "nll", "accuracy"),
    "uar": ("macro_f1", "accuracy"),
    "macro_f1": ("macro_f1", "weighted_accuracy", "weighted_f1"),
}
"""The metrics of a printed table, by one that tells continuous, categorical and multilabel scores apart."""
WIDE = None if sys.stdout.isatty() else 200
"""Columns of what is printed into a file or a pipe, where nothing needs to fit a screen."""
stdout, stderr = Console(markup=False, width=WIDE), Console(stderr=True, markup=False)
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set training.seed=3.")
]


def suggest(command: str, *folders: Path) -> None:
    """Say what command comes next."""
    words = shlex.join(["emotiwave", command, *map(str, folders)])
    stdout.print(f"next: {words}", highlight=False, markup=False, soft_wrap=True)


def print_scores(scores: "list[Score]") -> None:
    """One table per metric: configurations down, models across."""
    models = list(dict.fromkeys(row.model for row in scores))
    with_interval = len({row.model for row in scores if row.seed is not None}) == 1
    summarised = {row.model for row in scores if row.sd is not None}
    scored = {row.metric for row in scores}
    for metric in next(shown for known, shown in SHOWN.items() if known in scored):
        table = Table(
            title=f"{metric} on {scores[0].dataset} {scores[0].split}, n = {scores[0].n}", title_justify="left"
        )
        table.add_column("available", no_wrap=True)
        for model in models:
            table.add_column(model, justify="right")
        cells: dict[str, dict[str, str]] = {}
        for row in scores:
            if row.metric != metric or row.label is not None or (row.model in summarised and row.sd is None):
                continue
            if row.condition.startswith(("by:", "gap:")) and row.available is None:
                continue  # means over configurations of subgroups are for the page
            place = _place(row)
            cells.setdefault(place, {})[row.model] = _cell(row, with_interval=with_interval)
        for place, by_model in cells.items():
            table.add_row(place, *(by_model.get(model, "") for model in models))
        stdout.print(table)


def print_confidence(run: str, measured: dict[str, Any]) -> None:
    """How true the probabilities of a run are, before and after its temperatures, configuration by configuration."""
    fitted, scored = measured["fitted_on"], measured["scored_on"]
    table = Table(
        title=f"{printable(run)}: confidence on {scored['split']}, n = {scored['n']}; fitted on {fitted['split']}, "
        f"n = {fitted['n']}",
        title_justify="left",
    )
    table.add_column("available", no_wrap=True)
    columns = ["temperature", "ECE before", "after"]
    columns += [f"sets for {100 * measured['coverage']:g} %", "labels in them"] if measured["coverage"] else []
    risk = measured["abstain_above"]
    columns += [f"answered at risk {risk:g}", "risk"] if risk and measured["coverage"] else []
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in measured["configurations"].items():
        cells = [f"{row['temperature']:.2f}", f"{row['before']['ece']:.3f}", f"{row['after']['ece']:.3f}"]
        if sets := row.get("label_sets"):
            ends = f"{100 * sets['low']:.0f} to {100 * sets['high']:.0f}"
            cells += [f"{100 * sets['coverage']:.1f} % ({ends})", f"{sets['mean_size']:.2f}"]
        if left := row.get("abstention"):
            cells += [f"{100 * left['coverage']:.0f} %", "-" if left["risk"] is None else f"{left['risk']:.3f}"]
        table.add_row(name, *cells)
    stdout.print(table)


def print_leakage(found: "LeakageReport") -> None:
    """How many utterances are in another split too, and the least similar of them, which tell what counts as near."""
    told = f"{printable(found.corpus)}: of {found.n:,} {printable(found.split)} utterances {found.n_leaked:,}"
    if not found.leaks:
        stdout.print(f"{told} are in another split, by {', '.join(found.modalities)}", highlight=False)
        return
    table = Table(title=f"{told} are in another split too", title_justify="left")
    for column in ("modality", "how", "in", "utterances", "such as", "there", "similarity"):
        table.add_column(column, justify="right" if column in ("utterances", "similarity") else "left")
    for (modality, kind, other), n in found.counts().items():
        of = [one for one in found.leaks if (one.modality, one.kind, one.other_split) == (modality, kind, other)]
        least = min(of, key=lambda one: one.similarity)
        names = (printable(least.utterance), printable(least.other))
        table.add_row(modality, kind, printable(other), f"{n:,}", *names, f"{least.similarity:.3f}")
    stdout.print(table)
    stdout.print("Scores with and without them: emotiwave evaluate RUN --by leak", highlight=False)


def _place(row: "Score") -> str:
    """Where a score stands: a configuration, a summary of them, or a severity of what was done to the input."""
    if row.severity is not None:
        return f"{row.condition} {row.severity:g}"
    summary = {"area": "mean over severities of", "relative": "the same over the score at 0:"}
    kind, colon, condition = row.condition.partition(":")
    if kind in ("by", "gap") and colon:
        return f"{condition} (n = {row.n})" if kind == "by" else f"{condition}: best less worst"
    if colon and kind in summary:
        return f"{summary[kind]} {condition}"
    return "+".join(row.available) if row.available else row.condition.replace("_", " ")


def print_comparison(comparison: "CorpusComparison") -> None:
    """One row per method: the mean over configurations, the difference to the anchor, and whether it is a tie.

    A bound is no method, and comes after those that are.
    """
    from emotiwave.types import BAYES_OPTIMAL  # NumPy, which `emotiwave --help` can do without

    of_mean = {row.method: row for row in comparison.differences if row.place == "mean"}
    scores = {row.method: row for row in comparison.scores if row.place == "mean"}
    table = Table(
        title=f"{printable(comparison.name)}: mean {comparison.metric} of all configurations, n = {comparison.n}, "
        f"{comparison.n_groups} groups",
        title_justify="left",
    )
    for column in ("method", "mean", f"less {printable(comparison.anchor)}", "adjusted p", "verdict"):
        table.add_column(column, justify="left" if column in ("method", "verdict") else "right")
    known = [method for method in comparison.methods if method.failure is None]
    for method in sorted(known, key=lambda method: (method.name == BAYES_OPTIMAL, -scores[method.name].value)):
        score, difference = scores[method.name], of_mean.get(method.name)
        spread = "" if score.sd is None else f" ± {score.sd:.3f}"
        cells = [
            f"{score.value:.3f}{spread}",
            "",
            "",
            {comparison.anchor: "the anchor", BAYES_OPTIMAL: "a bound"}.get(method.name, ""),
        ]
        if difference is not None:
            ends = "" if difference.ci_low is None else f" [{difference.ci_low:+.3f}, {difference.ci_high:+.3f}]"
            p = "" if difference.p_adjusted is None else _say_p(difference.p_adjusted)
            cells[1:] = [f"{difference.value:+.3f}{ends}", p, difference.verdict]
        table.add_row(printable(method.name), *cells)
    for method in comparison.methods:
        if method.failure is not None:
            table.add_row(printable(method.name), "failed", "", "", printable(method.failure))
    stdout.print(table)


def _say_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _cell(row: "Score", *, with_interval: bool) -> str:
    if row.sd is not None:
        return f"{row.value:.3f} ± {row.sd:.3f}"
    if with_interval and row.ci_low is not None and row.ci_high is not None:
        return f"{row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]"
    return f"{row.value:.3f}"
