"""The command `emotiwave analyze`: clips in, answers with reasons out, one by one as they are ready."""

import csv
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.cli.analysis_view import columns, rows, show_analysis
from emotiwave.cli.screen import INTERRUPTED, NOTHING_TO_JUDGE, Overrides, stderr, stdout
from emotiwave.errors import ConfigError, printable

if TYPE_CHECKING:
    from emotiwave.analysis import Analysis
    from emotiwave.recognizer import Clip, Failed


def analyze(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Clips of their own: video, sound, photos, transcripts, or manifests (.csv .tsv .jsonl .parquet).",
            show_default=False,
        ),
    ] = None,
    video: Annotated[Path | None, typer.Option(help="Video of one clip; the next four are of the same one.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Its sound, instead of the video's.")] = None,
    image: Annotated[Path | None, typer.Option(help="A photo, instead of the video's pictures.")] = None,
    text: Annotated[str | None, typer.Option(help="What is written or said.")] = None,
    transcript: Annotated[Path | None, typer.Option(help="What is said: .srt .vtt .json with times, or .txt.")] = None,
    lines: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text file, each line a sentence of its own.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The clip that comes along.")] = False,
    start: Annotated[float | None, typer.Option(help="Second to begin at, of one clip.")] = None,
    end: Annotated[float | None, typer.Option(help="Second to end at.")] = None,
    face: Annotated[bool, typer.Option("--face", help="Photos are faces that were cut out already.")] = False,
    modalities: Annotated[
        str | None, typer.Option(help="Listen to these only, such as text,audio.", show_default=False)
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Show what is expressed when.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each modality contributes, by class, and when.")
    ] = False,
    enroll: Annotated[
        list[Path] | None,
        typer.Option(help="The speaker: a file of `emotiwave calibrate`, or clips of that speaker (repeat)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A run trained on media, or OWNER/NAME of the Hub, instead of the experts.")
    ] = None,
    expert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME", help="A classifier of the Hub or a folder, or a file of `emotiwave calibrate`."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=FILE", help="JSON: the class, or null, of each label of such a classifier."),
    ] = None,
    voice: Annotated[str, typer.Option(help="Of the voice expert: all, or its statistics of prosody alone.")] = "all",
    settings: Overrides = None,
    abstain_above: Annotated[
        float | None,
        typer.Option(
            metavar="RISK", help="Say 'not sure' where more than this share of such answers is wrong, such as 0.3."
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:MODALITY=SEVERITY",
            help="Spoil the clip first, to see how the answer falls: noise:audio=0.5, darkness:vision=0.9 (repeat).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: an object, of several inputs an array.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print a table: a row per input, with --timeline one per stretch.")
    ] = False,
) -> None:
    """Say what is expressed in a clip, a voice, a photo or a sentence, how sure that is, from which signal, and when.

    Exits with 0 if all was answered, 3 if there was nothing to judge in an input, 1 if one could not be read (of which
    JSON and tables have input and error). What is done is printed at once, and kept when you stop it.
    """
    from emotiwave import api
    from emotiwave.api.analysis import is_manifest, lines_of
    from emotiwave.recognizer import make_clip

    if abstain_above is not None and not 0 < abstain_above < 1:
        raise ConfigError(f"--abstain-above is {abstain_above:g}; expected a share of wrong answers between 0 and 1")
    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other; give one of them")
    clips: list[Clip] = []
    given = {"video": video, "audio": audio, "image": image, "text": text, "transcript": transcript}
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        clips.append(make_clip(**given, is_face=face))
    if files:
        clips += api.clips_of(files, is_face=face)
    if lines is not None:
        clips += lines_of(lines)
    if sample:
        clips.append(api.sample_clip())
    is_list = len(clips) > 1 or lines is not None or any(is_manifest(file) for file in files or ())
    if start is not None or end is not None:
        if is_list or not clips:
            raise ConfigError("--start and --end are of one clip; give one")
        clips = [make_clip(clips[0], start=start, end=end)]
    if not clips:
        raise ConfigError(
            "nothing to analyse; give files, --sample, --lines, or --video, --audio, --image, --text, --transcript"
        )
    if condition:
        clips = [make_clip(clip, conditions=condition) for clip in clips]
    with stderr.status("reading the models") if stderr.is_terminal else nullcontext():
        recognizer = api.load(
            model,
            voice=voice,
            experts=pairs(expert, "--expert"),
            labels={name: read_labels(path) for name, path in pairs(labels, "--labels").items()},
            speaker=enroll or None,
            settings=settings,
        )
    for told in recognizer.remarks:
        stderr.print(printable(told), highlight=False, soft_wrap=True)
    asked = None if modalities is None else [name.strip() for name in modalities.split(",") if name.strip()]
    out = _Output(
        is_list=is_list,
        names=recognizer.label_set.names,
        form="json" if as_json else "csv" if as_csv else "screen",
        timeline=timeline,
        explain=explain,
        abstain_above=abstain_above,
    )
    bar = Progress(
        TextColumn("analysing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        redirect_stdout=False,  # answers go where they belong
    )
    bar.disable = len(clips) < 2 or not stderr.is_terminal
    try:
        with bar:
            task = bar.add_task("", total=len(clips))
            for found in recognizer.analyze_each(clips, modalities=asked, explain=explain):
                out.take(found)
                bar.advance(task)
    except KeyboardInterrupt:
        stderr.print(f"\nStopped after {out.n_taken} of {len(clips)}; what is above is done.", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        out.close()
    if out.exit_code:
        raise typer.Exit(out.exit_code)


class _Output:
    """Prints answers as they come, in the form that was asked for; valid JSON also if it is closed early.

    What could not be read is an object of ``input`` and ``error``, or a row with its ``error``.
    """

    def __init__(
        self,
        *,
        is_list: bool,
        names: tuple[str, ...],
        form: str,
        timeline: bool,
        explain: bool,
        abstain_above: float | None,
    ) -> None:
        self.is_list, self.form, self.timeline, self.explain = is_list, form, timeline, explain
        self.abstain_above = abstain_above
        self.names = names
        self.n_taken = self.n_failed = self.n_nothing = 0
        self.table = csv.DictWriter(sys.stdout, columns(names, timeline=timeline), restval="", extrasaction="ignore")
        if form == "csv":
            self.table.writeheader()

    def take(self, found: "Analysis | Failed") -> None:
        """Print one answer, or why there is none."""
        if hasattr(found, "error"):
            self._fail(found)
        else:
            self.n_nothing += not found.answered  # pyright: ignore[reportAttributeAccessIssue]
            self._answer(found)
        self.n_taken += 1
        sys.stdout.flush()

    def close(self) -> None:
        """Print what ends the output."""
        if self.form == "json" and self.is_list:
            sys.stdout.write("\n]\n" if self.n_taken else "[]\n")
            sys.stdout.flush()

    @property
    def exit_code(self) -> int:
        """0 if all was answered, 1 if an input could not be read, 3 if there was nothing to judge in one."""
        return 1 if self.n_failed else NOTHING_TO_JUDGE if self.n_nothing else 0

    def _answer(self, analysis: Any) -> None:
        if self.abstain_above is not None:
            analysis = analysis.abstaining(self.abstain_above)
        if self.form == "json":
            self._json(analysis.to_dict())
        elif self.form == "csv":
            self.table.writerows(rows(analysis, timeline=self.timeline))
        else:
            show_analysis(analysis, stdout, timeline=self.timeline, explain=self.explain)
            if self.is_list:
                stdout.print()

    def _fail(self, failed: Any) -> None:
        self.n_failed += 1
        told = failed.error if failed.error.startswith(failed.input) else f"{failed.input}: {failed.error}"
        if self.form == "json":
            self._json({"input": failed.input, "error": failed.error})
        elif self.form == "csv":
            self.table.writerow({"input": printable(failed.input), "error": printable(failed.error)})
        stderr.print(f"error: {printable(told)}", style="red", highlight=False, markup=False, soft_wrap=True)

    def _json(self, described: dict[str, Any]) -> None:
        if self.is_list:  # in ASCII, whatever names there are and wherever it goes
            sys.stdout.write(("," if self.n_taken else "[") + "\n" + json.dumps(described))
        else:
            print(json.dumps(described, indent=1))


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read words of the form MODALITY=VALUE."""
    found = {}
    for pair in given or ():
        name, sign, value = pair.partition("=")
        if not sign or not name or not value:
            raise ConfigError(f"{option} takes MODALITY=VALUE, such as text=OWNER/NAME; got {pair!r}")
        found[name] = value
    return found


def read_labels(path: str) -> dict[str, str | None]:
    """Read a label map."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error}); expected label: class, or null") from None
    if not isinstance(found, dict) or not all(isinstance(name, str | None) for name in found.values()):
        raise ConfigError(f'{path}: expected an object such as {{"LABEL_0": "anger", "LABEL_1": null}}')
    return found
