"""The command `emotiwave calibrate`: a speaker out of clips, or an expert that is as sure as it deserves."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.cli.analysis_commands import pairs, read_labels
from emotiwave.cli.screen import INTERRUPTED, stderr, stdout
from emotiwave.errors import ConfigError, printable


def calibrate(
    out: Annotated[
        Path, typer.Option("--out", help="The file to make: .safetensors of a speaker, .json of an expert.")
    ],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(help="Sound or video of one speaker, best a sentence each.", show_default=False),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A table with a row per clip and its label, to calibrate an expert on.")
    ] = None,
    expert: Annotated[
        str | None,
        typer.Option(
            metavar="MODALITY[=NAME]", help="Which one: text, audio or vision, or a classifier of the Hub or a folder."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="JSON: the class, or null, of each label of such a classifier.")
    ] = None,
    voice: Annotated[str, typer.Option(help="Of the voice expert: all, or its statistics of prosody alone.")] = "all",
) -> None:
    """Make the voice expert familiar with a speaker, or an expert as sure as it deserves on data of your own.

    A speaker: clips without labels. What the voice expert then says of that speaker is right more often.

    An expert: --manifest with labels, at least 20 rows. Give the file as --expert MODALITY=FILE to analyze.
    """
    if (manifest is None) == (not clips):
        raise ConfigError("give clips of a speaker, or --manifest and --expert to calibrate an expert")
    if manifest is None and (expert or labels):
        raise ConfigError("--expert and --labels go with --manifest; clips make a speaker")
    if manifest is None:
        _calibrate_speaker(clips or [], out, voice)
        return
    if expert is None:
        raise ConfigError("--manifest needs --expert: text, audio or vision, or MODALITY=NAME of a classifier")
    modality, name = next(iter(pairs([expert], "--expert").items())) if "=" in expert else (expert, None)
    _calibrate_expert(manifest, modality, name, labels, voice, out)


def _calibrate_speaker(clips: list[Path], out: Path, voice: str) -> None:
    from emotiwave import api

    done = api.calibrate(clips, out=out, voice=voice)
    _warn(done.remarks)
    stdout.print(f"{done.path}: a speaker, of {done.n_clips} clips", highlight=False, soft_wrap=True)


def _calibrate_expert(
    manifest: Path, modality: str, name: str | None, labels: Path | None, voice: str, out: Path
) -> None:
    from emotiwave import api
    from emotiwave.experts.calibrated import SHIPPED

    given = None if labels is None else read_labels(str(labels))
    bar = Progress(
        TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=stderr, transient=True
    )
    bar.disable = not stderr.is_terminal
    try:
        with bar:
            task = bar.add_task("", total=None)
            done = api.calibrate_expert(
                manifest,
                modality,
                out=out,
                expert=name or SHIPPED,
                labels=given,
                voice=voice,
                progress=lambda n, total: bar.update(task, completed=n, total=total),
            )
    except KeyboardInterrupt:
        stderr.print("\nStopped; nothing was written.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    _warn(done.remarks)
    found = done.calibration
    if found.labels is not None:
        from emotiwave.experts.label_map import say_map

        stdout.print(printable(f"labels: {say_map(found.labels)}"), highlight=False, soft_wrap=True)
    stdout.print(
        f"{done.path}: the {modality} expert, of {found.n} examples; mean negative log-likelihood "
        f"{found.nll_before:.3f} before, {found.nll_after:.3f} after (of examples it was not calibrated on)",
        highlight=False,
        soft_wrap=True,
    )
    if found.nll_after >= found.nll_before:
        stderr.print("warning: the calibration did not help; more examples might", style="yellow", highlight=False)
    stdout.print(f"next: emotiwave analyze --expert {modality}={done.path} FILE", highlight=False, soft_wrap=True)


def _warn(remarks: dict[str, str]) -> None:
    for clip, remark in remarks.items():
        told = printable(remark if remark.startswith(clip) else f"{clip}: {remark}")
        stderr.print(f"warning: {told}", style="yellow", highlight=False, markup=False, soft_wrap=True)
