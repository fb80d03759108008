"""The command line: translates words into calls of `emotiwave.api` and answers into tables; it decides nothing."""

import json
import os
import shlex
import sys
import warnings
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from emotiwave.errors import DataWarning, EmotiwaveError, printable

if TYPE_CHECKING:
    from emotiwave.types import Score

INTERRUPTED = 130
SHOWN = {
    "mae": ("macro_f1", "mae", "pearson"),
    "uar": ("macro_f1", "accuracy"),
    "macro_f1": ("macro_f1", "weighted_accuracy", "weighted_f1"),
}
"""The metrics of a printed table, by one that tells continuous, categorical and multilabel scores apart."""
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Robust, interpretable multimodal emotion recognition: one model for every combination of modalities.",
)
WIDE = None if sys.stdout.isatty() else 200
"""Columns of what is printed into a file or a pipe, where nothing needs to fit a screen."""
stdout, stderr = Console(markup=False, width=WIDE), Console(stderr=True, markup=False)
Runs = Annotated[list[Path], typer.Argument(help="Run folders that `emotiwave train` made.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from emotiwave import __version__

        stdout.print(f"emotiwave {__version__}", highlight=False)
        raise typer.Exit()


class Engine(StrEnum):
    """What runs the processes of a preparation."""

    processes = "processes"
    ray = "ray"


data = typer.Typer(
    no_args_is_help=True, help="Extract features of media, look into feature files, and prepare them for training."
)
app.add_typer(data, name="data")
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set training.seed=3.")
]


@data.command()
def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            help=".csd files, MMSA .pkl files, .npz archives, feature stores, or folders of them.",
            readable=False,  # one that cannot be read is a finding, and the others are looked at
        ),
    ],
    folds: Annotated[
        Path | None, typer.Option(help="The ids of each split; standard_folds.json among the files by default.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings and facts as JSON.")] = False,
) -> None:
    """Find what would hurt a model in feature files and labels; exits with 1 where a person must decide."""
    from emotiwave import api
    from emotiwave.doctor.inspection import to_json
    from emotiwave.doctor.layout import summary, tables

    found = api.inspect(files, folds=folds, html=html, console=stderr)
    if as_json:
        print(to_json(found))
    else:
        for table in tables(found):
            stdout.print(table)
        stdout.print(summary(found), highlight=False)
        if html is not None:
            stdout.print(f"page: {html}", highlight=False, soft_wrap=True)
    if found.needs_decision:
        raise typer.Exit(1)


@data.command()
def export(
    source: Annotated[str, typer.Argument(help="A feature store, a recipe file, or the name of a shipped recipe.")],
    out: Annotated[Path, typer.Argument(help="The .pkl file to write.")],
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The modalities share their frames (prepare with features.align=words).")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Write a corpus as an MMSA pickle: dicts, lists and arrays only."""
    from emotiwave import api

    for what, counts in api.export_mmsa(
        source, out, aligned=aligned, overrides=overrides or (), console=stderr
    ).items():
        for name, count in counts.items():
            stdout.print(f"{what} {name:40} {count}", highlight=False, soft_wrap=True)
    stdout.print(f"{out}: written", highlight=False, soft_wrap=True)


@data.command()
def prepare(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a shipped recipe (`emotiwave list recipes`).")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The folder of the store; features.store, or one in ./emotiwave-stores, by default."
        ),
    ] = None,
    overrides: Overrides = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many processes work at once; by default one per core (of .csd files also per GiB)."
        ),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="What runs the processes: this machine, or a Ray cluster (the extra ray).")
    ] = Engine.processes,
) -> None:
    """Prepare the feature store of a recipe: media decoded and extracted, segments cut, pooled, masked, counted."""
    from emotiwave import api
    from emotiwave.api.progress import show_preparation

    try:
        prepared = api.prepare(
            recipe, out=out, overrides=overrides or (), processes=processes, engine=engine.value, console=stderr
        )
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command goes on where it was.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    show_preparation(prepared, stdout, errors=stderr)


@data.command()
def extract(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Videos, sound, photos or transcripts; or one manifest (.csv, .tsv, .jsonl, .parquet).", readable=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the table features: --set extractors.audio=logmel."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes work at once; by default one per core.")
    ] = None,
) -> None:
    """Extract features of anyone's media into .npz files; one that cannot be read is a row, and exit 1 if all are."""
    from emotiwave import api
    from emotiwave.api.progress import show_extraction

    try:
        done = api.extract(files, out=out, overrides=overrides or (), processes=processes, console=stderr)
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command finds what was finished in the cache.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    show_extraction(done, stdout, errors=stderr)
    if not done.n_files:
        raise typer.Exit(1)


@data.command()
def manifest(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a shipped recipe (`emotiwave list recipes`).")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write: .csv, .jsonl or .parquet.")],
    overrides: Overrides = None,
) -> None:
    """Write a corpus of media as a manifest, a row per utterance, and print the same recipe on it."""
    from emotiwave import api

    recipe_of_it = api.write_manifest(recipe, out, overrides=overrides or ())
    stderr.print(f"{out}: written; the same recipe on it:", highlight=False, markup=False, soft_wrap=True)
    print(recipe_of_it)


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe file, or the name of a shipped recipe (`emotiwave list recipes`).")
    ],
    out: Annotated[Path, typer.Option("--out", help="The run folder to make.")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch in OUT.")] = False,
) -> None:
    """Train a recipe into a run folder."""
    from emotiwave import api

    try:
        run = api.train(recipe, out=out, overrides=overrides or (), resume=resume, console=stderr)
    except KeyboardInterrupt:
        words = ["emotiwave", "train", recipe, "--out", str(out), "--resume"]
        words += [word for override in overrides or () for word in ("--set", override)]
        stderr.print(f"\nStopped. Finished epochs are kept in {out}; go on with:", highlight=False)
        stderr.print(f"  {shlex.join(words)}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    summary = run.summary
    chosen = f"weights of epoch {summary.best_epoch}"
    if summary.best_score is not None:
        chosen += f", validation macro-F1 over all configurations {summary.best_score:.3f}"
    parameters = f"{summary.n_parameters:,} parameters"
    if summary.n_trained != summary.n_parameters:
        parameters += f", {summary.n_trained:,} of them trained"
    told = f"{summary.n_epochs} epochs on {printable(run.dataset)}, {parameters}, {chosen}"
    stdout.print(f"{run.folder}: {told}", highlight=False, soft_wrap=True)
    _suggest("evaluate", run.folder)


@app.command()
def evaluate(
    runs: Runs,
    split: Annotated[str | None, typer.Option(help="Score another split than the recipe's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print score rows as a JSON array.")] = False,
) -> None:
    """Score runs in every modality configuration; several seeds give mean and standard deviation."""
    from emotiwave.api.runs import evaluate_with_notes

    done = evaluate_with_notes(runs, split=split)
    if as_json:
        print(json.dumps([asdict(row) for row in done.scores], indent=1))
        return
    _print_scores(done.scores)
    for note in done.notes:
        stdout.print(f"note: {printable(note)}", highlight=False)
    _suggest("report", *runs)


@app.command()
def report(
    runs: Runs,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page; report.html in the first run by default.")
    ] = None,
) -> None:
    """Write one self-contained HTML page about evaluated runs."""
    from emotiwave import api

    stdout.print(f"report: {api.write_report(runs, out=out)}", highlight=False, soft_wrap=True)


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="A run folder that `emotiwave train` made.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model's name on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only the owner may see it.")] = False,
    revision: Annotated[str | None, typer.Option(help="A branch of the Hub; the main one by default.")] = None,
) -> None:
    """Give the model of a run to the Hugging Face Hub, with its card, recipe and scores."""
    from emotiwave import api

    pushed = api.push(run, repo, private=private, revision=revision)
    for part in pushed.licences:
        told = printable(f"licence of {part.what} {part.name}: {part.licence or 'unknown'}")
        stdout.print(told, highlight=False, soft_wrap=True)
    for path in pushed.shortened:
        stdout.print(f"given by its last name only: {path}", highlight=False, soft_wrap=True)
    stdout.print(f"{len(pushed.files)} files: {pushed.url}", highlight=False, soft_wrap=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's files.")] = Path("emotiwave-demo"),
) -> None:
    """Go the whole way offline: made .csd files, doctor, store, two models, seven configurations, report."""
    from emotiwave import api

    stderr.print("Six emotions in made .csd files; bottleneck learns with modality dropout, lstm_concat without.")
    try:
        scores, page = api.demo(out, console=stderr)
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command goes on where it was.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    _print_scores(scores)
    stdout.print(f"report: {page}\n\nTry next:", highlight=False, soft_wrap=True)
    stdout.print("  emotiwave train synthetic --set dataset.task=multilabel --out runs/multilabel", highlight=False)
    stdout.print("  emotiwave train mosi --out runs/mosi          (needs EMOTIWAVE_DATA)", highlight=False)


@app.command(name="list")
def list_names(
    kind: Annotated[
        str, typer.Argument(metavar="models|encoders|datasets|extractors|metrics|recipes", help="What to list.")
    ],
) -> None:
    """List what can be named in a recipe or on the command line."""
    from emotiwave import api

    names = api.list_names(kind)
    width = max(map(len, names))
    for name, described in names.items():
        stdout.print(f"{name:{width}}  {described}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; exits with 0 done, 1 an error that the message explains, 2 wrong usage, 130 interrupted."""
    show = warnings.showwarning

    def show_warning(message: Warning | str, category: type[Warning], *details: Any) -> None:
        if issubclass(category, DataWarning):
            stderr.print(f"warning: {message}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        else:
            show(message, category, *details)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataWarning)
            warnings.showwarning = show_warning
            app()
    except EmotiwaveError as error:
        stderr.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        stderr.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        stderr.print("\nStopped.")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get("EMOTIWAVE_DEBUG"):
            raise
        stderr.print(
            f"internal error: {type(error).__name__}: {error}\nThis is a fault in emotiwave. Set EMOTIWAVE_DEBUG=1 "
            "and run again for the details to report.",
            style="red",
            highlight=False,
            markup=False,
        )
        sys.exit(1)


def _suggest(command: str, *folders: Path) -> None:
    words = shlex.join(["emotiwave", command, *map(str, folders)])
    stdout.print(f"next: {words}", highlight=False, markup=False, soft_wrap=True)


def _print_scores(scores: "list[Score]") -> None:
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
            place = "+".join(row.available) if row.available else row.condition.replace("_", " ")
            cells.setdefault(place, {})[row.model] = _cell(row, with_interval=with_interval)
        for place, by_model in cells.items():
            table.add_row(place, *(by_model.get(model, "") for model in models))
        stdout.print(table)


def _cell(row: "Score", *, with_interval: bool) -> str:
    if row.sd is not None:
        return f"{row.value:.3f} ± {row.sd:.3f}"
    if with_interval and row.ci_low is not None and row.ci_high is not None:
        return f"{row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]"
    return f"{row.value:.3f}"
