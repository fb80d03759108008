"""The trained experts: told about, made familiar with a speaker, made as sure as they deserve on someone's data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotiwave.datasets.manifest_files import read_table
from emotiwave.datasets.manifest_rows import ManifestRow, read_rows
from emotiwave.errors import CheckpointError, ConfigError, MediaError, unknown_name
from emotiwave.experts import MODALITIES, Calibration, PublishedExpert, Speaker, VoiceExpert, load_experts
from emotiwave.experts.calibrated import LEAST, SHIPPED, fit_calibration
from emotiwave.experts.distribution import find_weights
from emotiwave.experts.label_map import KNOWN, LabelMap
from emotiwave.experts.loading import identity_of, split_revision
from emotiwave.experts.voice import LONGEST
from emotiwave.files import file_digest, replace_file
from emotiwave.labels import SEVEN
from emotiwave.media.sound import sound_blocks
from emotiwave.probabilities import log_softmax
from emotiwave.recognizer import Clip, ExpertRecognizer
from emotiwave.settings import PathLike
from emotiwave.signals import Waveform


@dataclass(frozen=True)
class CalibratedOn:
    """An expert's file, the calibration in it, and what is to say of rows that were left out."""

    path: Path
    calibration: Calibration
    remarks: dict[str, str]


@dataclass(frozen=True)
class Enrolled:
    """A speaker's file, of how many clips it was made, and what is to say of some: why they are left out, or cut."""

    path: Path
    n_clips: int
    remarks: dict[str, str]


def info(folder: PathLike | None = None) -> str:
    """Tell what the installed weights are: licences, data, measured limits, intended and forbidden uses.

    Raises:
        MissingExtraError: If the distribution is not installed.
        CheckpointError: If it is damaged.
    """
    weights = find_weights(None if folder is None else Path(folder))
    weights.verify()
    return weights.card()


def calibrate(
    clips: Sequence[PathLike], *, out: PathLike, folder: PathLike | None = None, voice: str = "all"
) -> Enrolled:
    """Make the voice expert familiar with a speaker, by some clips of whatever mood, without labels.

    What it then says of further clips of the speaker is right more often: ``experts.audio(clips,
    speaker=Speaker.read(out))``. A clip that cannot be read or has no sound is left out and told of.

    Args:
        clips: Files of sound or video, best a sentence each, in several moods.
        out: The file to make.
        folder: Of weights; by default that of the installed distribution.
        voice: The blocks of the voice expert, as in `load`.

    Raises:
        MediaError: If no clip can be used.
        ConfigError: If the file cannot be written, or there is one that is no speaker's.
    """
    path = Path(out)
    if path.exists() and not is_speaker(path):
        raise ConfigError(f"{path} is there and no file of a speaker; choose another place by --out")
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path}: --enroll knows the file of a speaker by its suffix; let --out end in .safetensors")
    weights = find_weights(None if folder is None else Path(folder))
    weights.verify()
    weights.tell_terms()
    expert = VoiceExpert.load(weights, voice)
    sounds: dict[str, Waveform] = {}
    remarks: dict[str, str] = {}
    for clip in dict.fromkeys(map(str, clips)):
        try:
            sounds[clip] = next(sound_blocks(Path(clip), seconds=LONGEST + 1)).waveform
        except StopIteration:
            remarks[clip] = "holds no sound"
        except MediaError as error:
            remarks[clip] = str(error)
    if not sounds:
        raise MediaError("no clip of the speaker can be read: " + ("; ".join(remarks.values()) or "none given"))
    speaker, reasons = expert.enroll(list(sounds.values()))
    remarks |= {clip: reason for clip, reason in zip(sounds, reasons, strict=True) if reason is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        speaker.save(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error})") from None
    return Enrolled(path, speaker.n_clips, remarks)


def calibrate_expert(
    manifest: PathLike,
    modality: str,
    *,
    out: PathLike,
    expert: str = SHIPPED,
    labels: LabelMap | None = None,
    folder: PathLike | None = None,
    voice: str = "all",
    progress: Callable[[int, int], None] | None = None,
) -> CalibratedOn:
    """Make an expert as sure as it deserves on data of one's own: a temperature and a shift per class.

    How well that works is measured over up to five folds, speaker by speaker where the manifest names several. Rows of
    the split ``test`` are left out.

    Args:
        manifest: A table with a row per clip, and a column ``label`` of the seven classes or words for them.
        modality: Of the expert: text, audio or vision.
        out: The file to make (.json), to be given as that modality's expert.
        expert: ``shipped``, a classifier's name on the Hub (``OWNER/NAME@REVISION``), or its folder.
        labels: The class of each of its labels that is no known word.
        folder: Of weights; by default that of the installed distribution.
        voice: The blocks of the voice expert, as in `load`.
        progress: Is told how many rows of how many are done.

    Raises:
        ConfigError: If fewer than 20 rows can be used, all are of one class, or the file cannot be written.
        DatasetError: If the manifest is damaged, or has a label that is not known.
    """
    path = Path(out)
    if path.suffix != ".json":
        raise ConfigError(f"{path}: an expert's file is called .json; choose such a name by --out")
    if path.exists() and not _is_calibration(path):
        raise ConfigError(f"{path} is there and no expert's file; choose another place by --out")
    if modality not in MODALITIES:
        raise ConfigError(unknown_name("modality", modality, MODALITIES))
    if expert.endswith(".json"):
        raise ConfigError(f"{expert}: was calibrated already; give the expert that it was made of")
    table = Path(manifest)
    labelled = [row for row in read_rows(table, extra_columns=read_table(table).columns) if row.label is not None]
    rows = [row for row in labelled if row.split != "test"]
    truth = [_class_of(row) for row in rows]
    source = str(Path(expert).absolute()) if Path(expert).is_dir() else expert
    chosen = {} if expert == SHIPPED else {modality: source}
    given = {} if labels is None else {modality: labels}
    experts = load_experts(None if folder is None else Path(folder), voice=voice, chosen=chosen, labels=given)
    recognizer = ExpertRecognizer(experts)
    answers, kept, remarks = [], [], {row.id: "is for testing" for row in labelled if row.split == "test"}
    for index, row in enumerate(rows):
        (heard,) = recognizer.read([Clip(row.id, row.sources, segment=row.segment)], [modality])
        reading = heard.readings.get(modality)
        if reading is not None and reading.is_used:
            answers.append(reading.pool() + np.log(experts[modality].prior))
            kept.append(index)
        else:
            why = heard.errors.get(modality) or (None if reading is None else str(reading.usability))
            remarks[row.id] = why or f"has no {modality}"
        if progress is not None:
            progress(index + 1, len(rows))
    if remarks and len(kept) < LEAST:
        some = "; ".join(f"{name}: {why}" for name, why in list(remarks.items())[:3])
        raise ConfigError(
            f"{len(kept)} of {len(rows)} rows with a label can be used; expected at least {LEAST} ({some}"
            f"{'; and others' if len(remarks) > 3 else ''})"
        )
    groups = [rows[index].speaker or rows[index].dialogue or rows[index].id for index in kept]
    fitted = fit_calibration(
        log_softmax(np.array(answers).reshape(len(kept), len(SEVEN)), axis=1),
        np.array([SEVEN.index(truth[index]) for index in kept], np.int64),
        groups,
    )
    name, revision = split_revision(source)
    inner = experts[modality]
    calibration = Calibration(
        modality=modality,  # pyright: ignore[reportArgumentType]
        source=name,
        revision=revision,
        identity=identity_of(inner, experts.weights),
        labels=dict(inner.labels) if isinstance(inner, PublishedExpert) else None,
        log_temperature=fitted.log_temperature,
        shifts=tuple(fitted.shifts.tolist()),
        prior=tuple(fitted.prior.tolist()),
        n=len(kept),
        nll_before=fitted.nll_before,
        nll_after=fitted.nll_after,
        sha256=file_digest(table),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, calibration.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error})") from None
    return CalibratedOn(path, calibration, remarks)


def _class_of(row: ManifestRow) -> str:
    """Find the class that a row's label is a word for."""
    label = ";".join(row.label or ())
    if label not in SEVEN and label.lower() not in KNOWN:
        raise row.source.error(f"label {label!r}; expected one of {', '.join(SEVEN)}, or a word for one")
    return label if label in SEVEN else KNOWN[label.lower()]


def _is_calibration(path: Path) -> bool:
    try:
        Calibration.read(path)
    except CheckpointError:
        return False
    return True


def is_speaker(path: Path) -> bool:
    """Whether a file was made by `calibrate`."""
    try:
        Speaker.read(path)
    except CheckpointError:
        return False
    return True
