"""The commands: words become calls of `emotiwave.api` and answers become tables; nothing is decided here."""

import json
import os
import shlex
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from emotiwave.cli.analysis_commands import analyze
from emotiwave.cli.calibrate_command import calibrate
from emotiwave.cli.data_commands import data
from emotiwave.cli.explain_command import explain
from emotiwave.cli.screen import (
    INTERRUPTED,
    Overrides,
    print_comparison,
    print_confidence,
    print_scores,
    stderr,
    stdout,
    suggest,
)
from emotiwave.cli.serve_command import serve
from emotiwave.errors import DataWarning, EmotiwaveError, printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Robust, interpretable multimodal emotion recognition: one model for every combination of modalities.",
)
app.command()(analyze)
app.command()(calibrate)
app.command()(explain)
app.command()(serve)
app.add_typer(data, name="data")
Runs = Annotated[list[Path], typer.Argument(help="Run folders that `emotiwave train` made.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from emotiwave import __version__

        stdout.print(f"emotiwave {__version__}", highlight=False)
        raise typer.Exit()


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
    suggest("evaluate", run.folder)


@app.command()
def evaluate(
    runs: Runs,
    split: Annotated[str | None, typer.Option(help="Score another split than the recipe's.")] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="Hide or spoil the input ever more (repeat): missing, frame_drop:audio=0.1,0.5, ... "
            "(`emotiwave list conditions`); `none` leaves out those of the recipe.",
        ),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, max=100, help="How often conditions are drawn; curves are means.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="A folder of the masks of conditions: read where they are there, else drawn and written."),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit temperatures and sets of labels on the selection split; measure how true probabilities are.",
        ),
    ] = False,
    abstain_above: Annotated[
        float | None,
        typer.Option(
            metavar="RISK",
            help="With --calibrate: say 'not sure' rather than be wrong more often than this share of answers.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", help="Tell scores apart by a fact (repeat): speaker, dialogue, language, or another of the corpus."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print score rows as a JSON array.")] = False,
) -> None:
    """Score runs in every modality configuration; several seeds give mean and standard deviation."""
    from emotiwave.api.evaluating import evaluate_with_notes

    done = evaluate_with_notes(
        runs,
        split=split,
        conditions=[] if conditions == ["none"] else conditions or None,
        draws=draws,
        masks=masks,
        calibrate=calibrate or abstain_above is not None or None,
        abstain_above=abstain_above,
        by=by or None,
    )
    if as_json:
        print(json.dumps([asdict(row) for row in done.scores], indent=1))
        return
    print_scores(done.scores)
    for run, measured in done.confidence.items():
        print_confidence(run, measured)
    for note in done.notes:
        stdout.print(f"note: {printable(note)}", highlight=False)
    suggest("report", *runs)


@app.command()
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...|RUN...", help="Recipes of comparisons (compare_...), or evaluated run folders."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder for runs, page and table.")] = Path(
        "emotiwave-comparison"
    ),
    overrides: Overrides = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="How many runs are trained at once, a thread each; one per core by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Compare methods on the same test utterances: paired differences with intervals, ties called ties."""
    from emotiwave import api

    try:
        done = api.compare(sources, out=out, overrides=overrides or (), processes=processes, console=stderr)
    except KeyboardInterrupt:
        stderr.print("\nStopped. The same command goes on where it was.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(done.numbers.read_text(encoding="utf-8"), end="")
        return
    for comparison in done.comparisons:
        print_comparison(comparison)
    for what, path in (("page", done.page), ("table", done.table), ("numbers", done.numbers)):
        stdout.print(f"{what}: {path}", highlight=False, markup=False, soft_wrap=True)


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
def save_encoder(
    run: Annotated[Path, typer.Argument(help="A run folder that `emotiwave train` made.")],
    modality: Annotated[str, typer.Argument(help="One whose encoder is a published network, such as text.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
) -> None:
    """Write the trained network of a modality as transformers does, to extract features by or to use elsewhere."""
    from emotiwave import api

    stdout.print(f"encoder: {api.save_encoder(run, modality, out)}", highlight=False, soft_wrap=True)


@app.command()
def info() -> None:
    """Say what the installed weights are: licences, data, measured limits, intended and forbidden uses."""
    from emotiwave import api

    print(api.info(), end="")


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
    print_scores(scores)
    stdout.print(f"report: {page}\n\nTry next:", highlight=False, soft_wrap=True)
    stdout.print("  emotiwave train synthetic --set dataset.task=multilabel --out runs/multilabel", highlight=False)
    stdout.print("  emotiwave train mosi --out runs/mosi          (needs EMOTIWAVE_DATA)", highlight=False)


@app.command(name="list")
def list_names(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="models|references|encoders|datasets|extractors|metrics|conditions|recipes", help="What to list."
        ),
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
