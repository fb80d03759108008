"""The command `emotiwave explain`: who contributed what to the answers of a run, when, and whether that is true."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from emotiwave.cli.screen import INTERRUPTED, NOTHING_TO_JUDGE, stderr, stdout
from emotiwave.errors import ConfigError, printable

if TYPE_CHECKING:
    from emotiwave.explanation.results import RunExplanation

N_CHECKED = 50


def explain(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|CLIP", help="A run folder that `emotiwave train` made, or a file of media.")
    ],
    split: Annotated[
        str | None, typer.Option(help="Of the corpus; by default that on which models are chosen.", show_default=False)
    ] = None,
    utterance: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Explain this one in time (repeat); by default the worst errors."),
    ] = None,
    explainer: Annotated[
        str | None,
        typer.Option(help="integrated_gradients, occlusion or attention; by default the first that the model can."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help=f"Measure by {N_CHECKED} utterances whether explanations in time are true.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The folder to write to, RUN/explanation by default; of a clip the page."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for figures as SVG and PNG.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found but single rows as JSON.")] = False,
) -> None:
    """Say who contributed what to the answers of a run, exactly, and when in some utterances; or of a clip, all of it.

    Writes a page, and of a run every number as a table. `emotiwave analyze --explain` explains many clips, and takes
    text, several files of one clip, and runs as models.
    """
    from emotiwave import api

    if source.is_file():
        if split or utterance or explainer or check or figures:
            raise ConfigError(f"{source} is a clip; split, utterance, explainer, check and figures are of runs")
        _explain_clip(source, out or Path(f"{source.stem}-explanation.html"), as_json=as_json)
        return
    try:
        done = api.explain(
            source,
            split=split,
            utterances=utterance or (),
            explainer=explainer,
            check=N_CHECKED if check else 0,
            out=out,
            figures=figures,
            console=stderr,
        )
    except KeyboardInterrupt:
        stderr.print("\nStopped; nothing was written.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print((done.folder / "explanation.json").read_text(encoding="utf-8"), end="")
        return
    _show(done.found)
    if figures is not None:
        stdout.print(f"figures: {figures}", highlight=False, markup=False, soft_wrap=True)
    stdout.print(f"page: {done.page}", highlight=False, markup=False, soft_wrap=True)


def _explain_clip(file: Path, out: Path, *, as_json: bool) -> None:
    from emotiwave import api
    from emotiwave.cli.analysis_view import show_analysis

    (clip,) = api.clips_of([file])
    analysis = api.explain_clip(clip, out=out)
    if as_json:
        print(json.dumps(analysis.to_dict(), indent=1))
    else:
        show_analysis(analysis, stdout, timeline=True, explain=True)
        stdout.print(f"page: {out}", highlight=False, markup=False, soft_wrap=True)
    if not analysis.answered:
        raise typer.Exit(NOTHING_TO_JUDGE)


def _show(found: "RunExplanation") -> None:
    overview = found.overview
    title = f"mean contribution ({found.scale.replace('_', '-')}) where a class is decided"
    table = Table(title=f"{printable(found.dataset)} {found.split}: {title}", title_justify="left")
    table.add_column("class")
    table.add_column("decided", justify="right")
    for modality in found.modalities:
        table.add_column(printable(modality), justify="right")
    for name, shares in overview.drives.items():
        cells = (f"{shares[modality]:+.2f}" for modality in found.modalities)
        table.add_row(printable(name), str(overview.n_decided[name]), *cells)
    stdout.print(table)
    told = f"{overview.n_right} of {overview.n} right"
    if len(found.modalities) > 1:
        told += f"; modalities disagree in {overview.n_disagree}"
        told += "".join(
            f", {name} alone is right in {100 * of.right:.0f} %" for name, of in overview.disagreement.items() if of.n
        )
    stdout.print(told, highlight=False, soft_wrap=True)
    for one in found.utterances:
        decided, true = ", ".join(one.decision) or "none", ", ".join(one.truth) or "none"
        shares = ", ".join(f"{name} {value:+.2f}" for name, value in one.classes[0].shares.items())
        told = f"{one.id}: {decided} (true: {true}); for {one.classes[0].name}: {shares}"
        stdout.print(printable(told), highlight=False, soft_wrap=True)
    if found.faithfulness is not None:
        table = Table(title="are the explanations in time true?", title_justify="left")
        for column in ("explainer", "measure", "mean", "95 % interval", "n"):
            table.add_column(column, justify="left" if column in ("explainer", "measure") else "right")
        for name, measures in found.faithfulness.items():
            for measure, mean in measures.items():
                ends = f"{mean.low:+.3f} to {mean.high:+.3f}"
                table.add_row(name, measure.replace("_", " "), f"{mean.value:+.3f}", ends, str(mean.n))
        stdout.print(table)
