"""Recognisers, and the clips that they are given."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emotiwave.errors import ConfigError, DatasetError, DataWarning, MediaError
from emotiwave.experts import Chosen, ModalityExpert, Speaker, VoiceExpert, load_experts
from emotiwave.experts.distribution import DESCRIPTION
from emotiwave.experts.label_map import LabelMap
from emotiwave.experts.voice import LONGEST
from emotiwave.media.sound import sound_blocks
from emotiwave.media.text_files import read_text
from emotiwave.recognizer import Clip, ExpertRecognizer, RecognizerSettings, make_clip
from emotiwave.recordings import Sources
from emotiwave.settings import PathLike

if TYPE_CHECKING:
    from emotiwave.recognizer.run_recognizer import RunRecognizer

MANIFESTS = (".csv", ".tsv", ".jsonl", ".parquet")
SAMPLE = Path(__file__).parents[1] / "sample"


def load(
    source: PathLike | None = None,
    *,
    voice: str = "all",
    experts: Mapping[str, Chosen] | None = None,
    labels: Mapping[str, LabelMap] | None = None,
    speaker: "PathLike | Sequence[PathLike] | Speaker | None" = None,
    settings: RecognizerSettings | Iterable[str] | None = None,
) -> "ExpertRecognizer | RunRecognizer":
    """Make a recogniser; its method ``analyze`` takes a clip, a voice, a photo or a sentence.

    Args:
        source: A run that was trained on media, its name ``OWNER/NAME`` on the Hub, or a folder of weights of experts;
            by default the installed distribution ``emotiwave-weights-research``, whose files are compared with their
            hashes and whose terms are printed once.
        voice: ``all`` of the voice expert, or ``prosody``: its own statistics alone, faster and less exact.
        experts: Modality -> a published classifier (a name of the Hub, or a folder), or an expert's file that
            `emotiwave.calibrate` made, in the place of the installed expert.
        labels: Modality -> the class of each label of such a classifier that is no known word.
        speaker: Whose voice it is: a file that `emotiwave.calibrate` made, or clips of the speaker.
        settings: Of the recogniser, or ``KEY=VALUE`` strings of some of them.

    Raises:
        MissingExtraError: If the distribution is needed and not installed; the error says how to.
        CheckpointError: If weights are damaged, changed or of another version.
        ConfigError: If a setting, an expert or a label is not known.
    """
    if isinstance(settings, str):
        raise ConfigError(f"settings must be a list of KEY=VALUE strings; got {settings!r}")
    if source is not None and not (Path(source) / DESCRIPTION).is_file():
        if experts or labels or speaker or settings or voice != "all":
            raise ConfigError(f"{os.fspath(source)}: a run has no experts, speaker or settings; leave them out")
        from emotiwave.api.hub import find_model  # what runs need takes seconds to import
        from emotiwave.recognizer.run_recognizer import RunRecognizer

        return RunRecognizer.load(find_model(source))
    chosen = settings if isinstance(settings, RecognizerSettings) else _settings(tuple(settings or ()))
    found = load_experts(None if source is None else Path(source), voice=voice, chosen=experts, labels=labels)
    return ExpertRecognizer(found, chosen, None if speaker is None else _speaker(speaker, found.audio))


def clips_of(files: Iterable[PathLike], *, is_face: bool = False) -> list[Clip]:
    """Take files for clips of their own: media by their suffixes, manifests row by row.

    Raises:
        ConfigError: If there is none, or one is a folder.
        DatasetError: If a manifest is damaged.
    """
    clips = []
    for file in map(Path, files):
        if file.is_dir():
            raise ConfigError(f"{file}: is a folder; name the files in it, such as {file / '*.mp4'}")
        if is_manifest(file):
            clips += _rows(file, is_face=is_face)
        else:
            clips.append(Clip(str(file), replace(Sources.of_file(file), is_face=is_face)))
    if not clips:
        raise ConfigError("nothing to analyse; give files, or --video, --audio, --image, --text, --transcript")
    return clips


def is_manifest(file: Path) -> bool:
    """Whether a file is a table of clips by its suffix."""
    return file.suffix.lower() in MANIFESTS


def lines_of(file: Path) -> list[Clip]:
    """Take every line of a text file for a text of its own; empty lines are left out.

    Raises:
        MediaError: If it cannot be read, or holds no line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(file).splitlines(), start=1)]
    clips = [make_clip(text=line, name=f"{file}:{number}") for number, line in lines if line]
    if not clips:
        raise MediaError(f"{file}: holds no line of text")
    return clips


def sample_clip() -> Clip:
    """Give the clip that comes along: a photo of a face in the public domain, a synthetic voice, and its words."""
    return make_clip(video=SAMPLE / "sample.mp4", transcript=SAMPLE / "sample.srt", name="sample.mp4")


def _rows(file: Path, *, is_face: bool) -> list[Clip]:
    from emotiwave.datasets.manifest_files import read_table
    from emotiwave.datasets.manifest_rows import read_rows

    rows = read_rows(file, extra_columns=read_table(file).columns)
    if not rows:
        raise DatasetError(f"{file}: has no rows; nothing to analyse")
    return [
        Clip(row.id, replace(row.sources, is_face=row.sources.is_face or is_face), segment=row.segment) for row in rows
    ]


def _settings(overrides: tuple[str, ...]) -> RecognizerSettings:
    if not overrides:
        return RecognizerSettings()
    from emotiwave.config import override_tables, parse_table

    tables: dict[str, dict[str, object]] = {"recognizer": {}}
    for override in overrides:
        override_tables(tables, f"recognizer.{override}")
    given = RecognizerSettings().model_dump(mode="json", exclude_none=True)
    return parse_table(RecognizerSettings, _merged(given, tables["recognizer"]), "settings:")


def _merged(given: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = dict(given)
    for key, value in changes.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _speaker(given: "PathLike | Sequence[PathLike] | Speaker", expert: ModalityExpert) -> Speaker:
    if isinstance(given, Speaker):
        return given
    files = [Path(one) for one in ([given] if isinstance(given, str | os.PathLike) else given)]
    if len(files) == 1 and files[0].suffix == ".safetensors":
        return Speaker.read(files[0])
    inner = getattr(expert, "expert", expert)
    if not isinstance(inner, VoiceExpert):
        raise ConfigError(f"{expert.name} knows nothing of speakers; leave the speaker out")
    sounds = [next(sound_blocks(file, seconds=LONGEST + 1)).waveform for file in files]
    speaker, reasons = inner.enroll(sounds)
    for file, reason in zip(files, reasons, strict=True):
        if reason is not None:
            warnings.warn(f"{file}: left out of what the speaker is known by: {reason}", DataWarning, stacklevel=3)
    return speaker
