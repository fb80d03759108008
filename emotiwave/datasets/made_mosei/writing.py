"""Writing made CMU-MOSEI files, video by video, with the posterior that Bayes' rule gives for every configuration."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from emotiwave.datasets.csd.corpus import FOLDS_FILE, TRUTH_FILE
from emotiwave.datasets.csd.reader import PAUSE
from emotiwave.datasets.csd.writer import write_csd
from emotiwave.datasets.made_mosei.frame_traps import FrameFindings, StreamTraps, plan_traps
from emotiwave.datasets.made_mosei.frames import (
    EMOTIONS,
    MadeFrames,
    PlantedStream,
    column_names,
    frame_times,
    make_frames,
    plan_stream,
)
from emotiwave.datasets.made_mosei.label_traps import count_label_findings, plant_label_traps
from emotiwave.datasets.made_mosei.settings import FILES, MadeMoseiSettings
from emotiwave.datasets.made_mosei.videos import MadeVideo, make_videos, unlabelled_videos, write_folds
from emotiwave.datasets.made_mosei.words import MadeText, make_text
from emotiwave.errors import DatasetError
from emotiwave.types import all_configurations

LABEL_NAMES = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
MODALITIES = ("text", "audio", "vision")
"""Those whose posterior is told; FACET is a second look at the face."""
PLANTED_FILE = "made_truth.json"
"""Written last: the settings, what was planted, and how many bytes each file has."""
VERSION = 1
"""Of what is made: raised when the same settings give other files."""
Entry = tuple[str, NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class MadeMosei:
    """What was written, and what is true of it.

    ``ids`` name the segments, ``VIDEO[row]``; ``presence (segments, emotions)`` in the order of `EMOTIONS`;
    ``posteriors`` are the probabilities of it given the word vectors, COVAREP and OpenFace2 of each segment's own part,
    by configuration. ``spans`` hold the start and end of each pattern in seconds of the recording, by segment,
    modality and emotion.
    """

    folder: Path
    files: Mapping[str, Path]
    ids: tuple[str, ...]
    presence: NDArray[np.bool_]
    posteriors: Mapping[str, NDArray[np.float64]]
    spans: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
    streams: Mapping[str, PlantedStream]
    planted: Mapping[str, int]
    """Kind of finding -> how many there are in all files; kinds that do not occur are left out."""
    planted_by_file: Mapping[str, Mapping[str, int]]
    """The same for each file name."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """All that is decided before the first frame is made."""

    settings: MadeMoseiSettings
    labelled: tuple[MadeVideo, ...]
    unlabelled: tuple[MadeVideo, ...]
    """Videos in a fold without labels; the first has no features either."""
    streams: Mapping[str, PlantedStream]
    traps: Mapping[str, StreamTraps]

    def videos_with(self, name: str) -> Iterator[MadeVideo]:
        """The videos that have a modality, in order."""
        return (v for v in (*self.labelled, *self.unlabelled[1:]) if v.index not in self.traps[name].missing)

    def generator(self, name: str, video: MadeVideo) -> np.random.Generator:
        """A generator of this video and modality alone, so that a video can be made again."""
        return np.random.default_rng([self.settings.seed, 1 + list(FILES).index(name), video.index])


def write_made_mosei(folder: Path, settings: MadeMoseiSettings) -> MadeMosei:
    """Write made CMU-MOSEI files under their official names, folds, and the truth; memory holds one video at a time.

    Patterns lie in the longest part of a segment that no other overlaps, and hidden frames give no evidence; so the
    posteriors are exact for whoever sees that part. A modality that is missing or damaged gives no evidence at all.

    Raises:
        DatasetError: If the real geometry cannot be read, or the files cannot be written.
    """
    plan = _plan(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder, plan)
    except OSError as error:
        raise DatasetError(f"{folder}: made files cannot be written there ({error})") from None


def describe(settings: MadeMoseiSettings) -> dict[str, Any]:
    """Say all that made files depend on, as JSON values: real segment times and folds by their content.

    Raises:
        DatasetError: If real segment times or folds cannot be read.
    """
    described = settings.model_dump(mode="json", include=set(MadeMoseiSettings.model_fields)) | {"version": VERSION}
    for name, path in (("segments", settings.segments), ("folds", settings.folds)):
        if path is not None:
            try:
                with path.open("rb") as file:
                    described[name] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise DatasetError(f"{path}: cannot be read ({error})") from None
    return described


def _plan(settings: MadeMoseiSettings) -> _Plan:
    rng = np.random.default_rng([settings.seed, 0])
    labelled = make_videos(settings, rng)
    unlabelled: tuple[MadeVideo, ...] = ()
    if settings.traps:
        labelled = plant_label_traps(labelled, rng)
        unlabelled = tuple(unlabelled_videos(max(2, len(labelled) // 50), len(labelled), rng))
    streams = {name: plan_stream(name, made, rng) for name, made in settings.made.items()}
    return _Plan(settings, labelled, unlabelled, streams, plan_traps(labelled, settings, rng))


def _write(folder: Path, plan: _Plan) -> MadeMosei:
    files = {"folds": write_folds(folder / FOLDS_FILE, (*plan.labelled, *plan.unlabelled))}
    findings = {FILES["labels"][0]: count_label_findings(plan.labelled)}
    findings[FOLDS_FILE] = Counter(fold_without_labels=len(plan.unlabelled))
    files["labels"] = _write_labels(folder, plan, findings[FILES["labels"][0]])
    files["words"], findings[FILES["words"][0]] = _write_words(folder, plan)
    evidence: dict[str, NDArray[np.float64]] = {}
    spans: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for name in plan.streams:
        stream = _StreamWriter(plan, name, spans)
        files[name] = stream.write(folder)
        evidence[name], findings[FILES[name][0]] = stream.evidence, stream.count()
    for file, root in FILES.values():
        if file in findings:
            findings[file]["root_name"] = int(Path(file).stem != root)
    if "unreadable" in plan.settings.spoil:
        os.truncate(files["audio"], files["audio"].stat().st_size // 2)
        findings[FILES["audio"][0]] = Counter(unreadable=1)
    ids = tuple(row_id for video in plan.labelled for row_id in video.row_ids)
    made = MadeMosei(
        folder=folder,
        files=files,
        ids=ids,
        presence=np.concatenate([video.presence for video in plan.labelled]),
        posteriors=_posteriors(evidence, plan.settings),
        spans={row_id: spans.get(row_id, {}) for row_id in ids},
        streams=plan.streams,
        planted=dict(+sum(findings.values(), Counter[str]())),
        planted_by_file={name: dict(+counts) for name, counts in findings.items()},
    )
    _write_truth(made, plan.settings)
    return made


def _posteriors(
    evidence: Mapping[str, NDArray[np.float64]], settings: MadeMoseiSettings
) -> dict[str, NDArray[np.float64]]:
    prior = logit(np.array([settings.prevalence[emotion] for emotion in EMOTIONS]))
    return {
        str(configuration): expit(prior + sum(evidence[name] for name in configuration.modalities))
        for configuration in all_configurations(MODALITIES)
    }


def _write_truth(made: MadeMosei, settings: MadeMoseiSettings) -> None:
    arrays: dict[str, Any] = {"ids": np.array(made.ids), **made.posteriors}
    np.savez_compressed(made.folder / TRUTH_FILE, **arrays)
    told = {
        "made_with": describe(settings),
        "bytes": {path.name: path.stat().st_size for path in (*made.files.values(), made.folder / TRUTH_FILE)},
        "planted": made.planted,
        "planted_by_file": made.planted_by_file,
        "prevalence": settings.prevalence,
        "spans": made.spans,
    }
    (made.folder / PLANTED_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def _write_file(
    folder: Path, name: str, plan: _Plan, entries: Iterable[Entry], dimensions: Sequence[str] | None
) -> Path:
    file, root = FILES[name]
    metadata = {
        "dataset name": "made files in the layout of CMU-MOSEI",
        "computational sequence description": "random numbers with planted patterns; no person was recorded",
        "creator": "Emotiwave",
        "alignment compatible": True,
    }
    if dimensions is not None:
        metadata["dimension names"] = list(dimensions)
    return write_csd(
        folder / file, root=root, entries=entries, metadata=metadata, compression=plan.settings.compression
    )


def _write_labels(folder: Path, plan: _Plan, findings: Counter[str]) -> Path:
    """Write the label file, spoilt as wished; add what that makes of the findings."""
    names, width = list(LABEL_NAMES), len(LABEL_NAMES)
    if "label_order" in plan.settings.spoil:
        disgust, fear = names.index("disgust"), names.index("fear")
        names[disgust], names[fear] = names[fear], names[disgust]
        findings["label_order"] = 2
    if "label_width" in plan.settings.spoil:
        width -= 1
        findings["label_width"] = len(plan.labelled)
    if "label_columns" in plan.settings.spoil:
        findings["label_columns"] = width
    entries = ((video.id, video.labels[:, :width], video.segments) for video in plan.labelled)
    return _write_file(folder, "labels", plan, entries, None if findings["label_columns"] else names[:width])


def _text_of(plan: _Plan, video: MadeVideo) -> MadeText:
    return make_text(
        plan.streams["text"], video, plan.traps["text"], plan.generator("text", video), pauses=plan.settings.traps
    )


def _write_words(folder: Path, plan: _Plan) -> tuple[Path, Counter[str]]:
    findings = FrameFindings()

    def entries() -> Iterator[Entry]:
        for video in plan.videos_with("text"):
            text = _text_of(plan, video)
            findings.add_times(text.times, video)
            findings.counts["pause_tokens"] += int((text.tokens == PAUSE.encode()).sum())
            yield video.id, text.tokens, text.times

    path = _write_file(folder, "words", plan, entries(), ["word"])
    return path, findings.finish() + Counter(missing_modality=len(plan.traps["text"].missing))


class _StreamWriter:
    """Writes one feature file, and keeps the evidence that its frames give on each segment."""

    def __init__(self, plan: _Plan, name: str, spans: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> None:
        self.plan, self.name, self.spans = plan, name, spans
        self.findings = FrameFindings()
        offsets = np.cumsum([0, *(len(video.segments) for video in plan.labelled)])
        self.evidence = np.zeros((int(offsets[-1]), len(EMOTIONS)))
        self._rows = dict(zip((video.index for video in plan.labelled), offsets[:-1], strict=True))

    def write(self, folder: Path) -> Path:
        """Write the file."""
        names = column_names(self.name, self.plan.streams[self.name].made.size)
        return _write_file(folder, self.name, self.plan, self._entries(), names)

    def count(self) -> Counter[str]:
        """Tell what a reader of the file must find."""
        traps = self.plan.traps[self.name]
        return self.findings.finish() + Counter(missing_modality=len(traps.missing), damaged_entries=len(traps.damaged))

    def _entries(self) -> Iterator[Entry]:
        for video in self.plan.videos_with(self.name):
            frames = self._frames(video)
            if video.index in self.plan.traps[self.name].damaged:
                yield video.id, frames.values, frames.intervals[: len(frames.intervals) // 2]
                continue
            self._remember(video, frames)
            self.findings.add_times(frames.intervals, video)
            self.findings.add_values(frames.values, frames.hidden)
            yield video.id, frames.values, frames.intervals

    def _frames(self, video: MadeVideo) -> MadeFrames:
        stream, traps = self.plan.streams[self.name], self.plan.traps[self.name]
        if self.name != "text":
            rng = self.plan.generator(self.name, video)
            return make_frames(stream, video, frame_times(stream, video), traps, rng)
        text = _text_of(self.plan, video)
        self.findings.counts["fewer_vectors_than_words"] += len(text.vectors.values) < len(text.tokens)
        return text.vectors

    def _remember(self, video: MadeVideo, frames: MadeFrames) -> None:
        if video.index in self._rows:
            first = self._rows[video.index]
            self.evidence[first : first + len(video.segments)] = frames.evidence
        for (row, emotion), span in frames.spans.items():
            self.spans.setdefault(video.row_ids[row], {}).setdefault(self.name, {})[emotion] = span
