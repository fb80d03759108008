"""From ``.csd`` files or media to a store: streaming, parallel, resumable after a kill, a row for every error."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.paired import LABEL_PAIRED
from emotiwave.errors import FeatureError
from emotiwave.features.extraction.reader import media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.given import add_given, check_given
from emotiwave.features.partial import JOURNAL, JournalLine, PartialStore
from emotiwave.features.prepared import PreparedRecording, Reader
from emotiwave.features.ray_engine import read_by_ray
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import check_place, open_store, replace_store, write_description
from emotiwave.features.video import VideoReader
from emotiwave.features.workers import OpenReader, Work, nothing_of, read_here, read_in_processes
from emotiwave.npz import map_array
from emotiwave.recordings import Count, MediaRecordings, Recordings
from emotiwave.sequences import ComputationalSequence, content_digest
from emotiwave.types import Corpus, Utterance

VERSION = 1
"""Of what preparation does: raised when the same files and settings give another store."""
REPORT = "preparation.json"
USABILITY = "usability.jsonl"

Progress = Callable[[int, int], None]
"""Told how many recordings are done, and of how many."""
AnyRecordings = Recordings | MediaRecordings
Engine = Literal["processes", "ray"]
NOT_IN_STORES = {"store", "cache", "cache_folder"}
"""Keys that change nothing in a store."""


@dataclass(frozen=True)
class Preparation:
    """What became of a preparation: the store, every count, and a row per error (recording, modality, error)."""

    folder: Path
    counts: Mapping[str, Count]
    errors: tuple[Mapping[str, str], ...]
    n_resumed: int = 0
    """Recordings that an earlier, stopped preparation had finished."""
    was_ready: bool = False
    """Whether the store was up to date already."""


def prepare(
    recordings: AnyRecordings,
    settings: FeatureSettings,
    folder: Path,
    *,
    tables: Mapping[str, Any],
    processes: int = 1,
    engine: Engine = "processes",
    progress: Progress | None = None,
) -> Preparation:
    """Write the feature store of recordings; the folder appears whole or not at all.

    Run again after a kill, it goes on with the recording where it stopped.

    Args:
        recordings: What a dataset of ``.csd`` files or of media loads.
        settings: How raw frames become those of the store.
        folder: Where to; an older store there is replaced.
        tables: What the recipe says; kept in the store, so that `read_report` can tell what it is of.
        processes: How many read at once. More than one starts new interpreters, and a file that kills its process is
            an error row; one reads in this process.
        engine: What runs the processes: this machine, or a Ray cluster (``emotiwave[ray]``).
        progress: Told after each recording.

    Raises:
        EmotiwaveError: If files cannot be read or written, or nothing is left of the corpus.
    """
    works, open_reader = _divide(recordings, settings)
    inputs = fingerprint(recordings.inputs)  # before anything is read: what changes meanwhile makes the store outdated
    partial_folder = folder.with_name(f".{folder.name}.partial")
    with open_reader() as reader:
        check_given(recordings.given, reader.sizes, settings, corpus=recordings.name)
        sizes = {**reader.sizes, **{modality: of.size for modality, of in recordings.given.items()}}
        check_place(folder, sizes)
        settings.check_modalities(sizes)
        try:
            key = _key(recordings, settings, inputs, reader.metadata)
            with PartialStore(partial_folder, sizes, key) as growing:
                n_resumed = len(growing.lines)
                done = growing.recordings
                todo = [work for work in works if work.recording not in done]
                for features in _read(reader, open_reader, todo, processes, engine):
                    growing.append(add_given(features, recordings.given, settings))
                    if progress:
                        progress(len(growing.lines), len(works))
                growing.finish()
                made_of = {"tables": tables, "inputs": inputs, "made_by": reader.metadata}
                preparation = _finish(recordings, growing, folder, made_of, reader)
        except OSError as error:
            raise FeatureError(f"{folder}: cannot be written ({error}){_goes_on(partial_folder)}") from None
        except BrokenExecutor:
            raise FeatureError(
                f"{folder}: a process that read features died, perhaps for want of memory: use fewer "
                f"--processes{_goes_on(partial_folder)}"
            ) from None
    return replace(preparation, n_resumed=n_resumed)


def _goes_on(partial_folder: Path) -> str:
    """Say where to go on, if anything is finished."""
    if not (partial_folder / JOURNAL).exists():
        return ""
    return f"; what is finished stays in {partial_folder}, and the same command goes on there"


def fingerprint(paths: Iterable[Path]) -> dict[str, list[int] | None]:
    """Path -> size in bytes and time of the last change, by which a changed file is known without reading it.

    None for a file that is not there.
    """
    return {str(path): [(stat := path.stat()).st_size, stat.st_mtime_ns] if path.exists() else None for path in paths}


_REPORTED = {"tables": dict, "inputs": dict, "counts": dict, "errors": list}


def read_report(folder: Path) -> dict[str, Any] | None:
    """Read what a store was prepared from; None where there is no prepared store."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(report, dict) or not all(isinstance(report.get(key), kind) for key, kind in _REPORTED.items()):
        return None
    return report


def is_prepared_as(folder: Path, tables: Mapping[str, Any]) -> bool:
    """Whether a store was prepared as these tables say, whatever became of its files since."""
    report = read_report(folder)
    return report is not None and report["tables"] == json.loads(json.dumps(tables))


def is_up_to_date(folder: Path, tables: Mapping[str, Any]) -> bool:
    """Whether a store was prepared as these tables say, from files that have not changed since, or are gone.

    A file that was not there then, and would be read now, makes it outdated too.
    """
    report = read_report(folder)
    if report is None or report.get("version") != VERSION or not is_prepared_as(folder, tables):
        return False
    now = fingerprint(map(Path, report["inputs"]))
    return all(now[path] is None or now[path] == seen for path, seen in report["inputs"].items())


def is_made_by(folder: Path, metadata: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the values of a store are of these very extractors: their versions, settings and weights."""
    report = read_report(folder)
    return report is not None and report.get("made_by") == json.loads(json.dumps(metadata))


def is_whole(folder: Path) -> bool:
    """Whether a store can be opened."""
    try:
        open_store(folder)
    except FeatureError:
        return False
    return True


def _key(
    recordings: AnyRecordings,
    settings: FeatureSettings,
    inputs: Mapping[str, list[int] | None],
    metadata: Mapping[str, Mapping[str, Any]],
) -> str:
    """What a partial store must agree in to be gone on with."""
    described = [
        VERSION,
        [utterance.to_dict() for utterance in recordings.utterances],
        settings.model_dump(mode="json", exclude=NOT_IN_STORES),
        recordings.described(),
        inputs,
        metadata,
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _divide(recordings: AnyRecordings, settings: FeatureSettings) -> tuple[list[Work], OpenReader]:
    """The recordings one by one, and what opens a reader of them in any process."""
    if isinstance(recordings, MediaRecordings):
        if not isinstance(settings, MediaFeatureSettings):
            raise FeatureError(f"{recordings.name}: media need the settings of extractors")
        return media_works(recordings), open_media(recordings, settings)
    if settings.align == "words" and recordings.words is None:
        absent = "".join(f": no file {path}" for path in recordings.preferred[:1])
        raise FeatureError(f'{recordings.name}: features.align = "words" needs the timed words{absent}')
    works = [
        Work(video, tuple(utterance.id for utterance in of_video), of_video)
        for video, of_video in recordings.by_video().items()
    ]
    return works, partial(VideoReader, dict(recordings.files), recordings.words, settings, recordings.require)


def _read(
    reader: Reader, open_reader: OpenReader, todo: Sequence[Work], processes: int, engine: Engine
) -> Iterator[PreparedRecording]:
    """Read recordings, in their order whatever finishes first."""
    if engine == "ray":
        return read_by_ray(open_reader, todo, processes, reader.metadata)
    if processes < 2 or len(todo) < 2:
        return read_here(reader, todo)
    return read_in_processes(open_reader, todo, processes, partial(nothing_of, reader.sizes))


def _finish(
    recordings: AnyRecordings,
    growing: PartialStore,
    folder: Path,
    made_of: Mapping[str, Any],
    reader: Reader,
) -> Preparation:
    """Describe what was appended, and put the store in its place."""
    utterances = _kept_utterances(recordings, growing.lines)
    counts = _count(recordings, growing.lines, utterances) | dict(reader.notes)
    metadata = {**reader.metadata, **{modality: of.metadata for modality, of in recordings.given.items()}}
    corpus = Corpus(
        name=recordings.name,
        task=recordings.task,
        licence=recordings.licence,
        label_set=recordings.label_set,
        utterances=utterances,
        sequences={name: _map_sequence(growing, name, metadata.get(name, {})) for name in growing.sizes},
        posteriors=_kept_posteriors(recordings, utterances),
        counts=counts,
    )
    errors = tuple(error for line in growing.lines for error in line.errors)
    report = {"version": VERSION, **made_of, "counts": counts, "errors": errors}
    (growing.folder / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    judged = [json.dumps(row) + "\n" for line in growing.lines for row in line.usability]
    if judged:
        (growing.folder / USABILITY).write_text("".join(judged), encoding="utf-8")
    write_description(corpus, growing.folder)
    replace_store(growing.folder, folder)
    (folder / JOURNAL).unlink(missing_ok=True)  # only now: were it gone before, a kill in between would lose everything
    return Preparation(folder, counts, errors)


def _kept_utterances(recordings: AnyRecordings, lines: Sequence[JournalLine]) -> tuple[Utterance, ...]:
    transcripts = {
        name: text
        for line in lines
        for name, text, keep in zip(line.ids, line.transcripts, line.kept, strict=True)
        if keep
    }
    kept = tuple(_with_transcript(u, transcripts[u.id]) for u in recordings.utterances if u.id in transcripts)
    if not kept:
        errors = [error["error"] for line in lines for error in line.errors]
        why = f"the first error of {len(errors)}: {errors[0]}" if errors else _why_nothing(lines)
        raise FeatureError(f"{recordings.name}: no utterance has features; {why}")
    return kept


def _with_transcript(utterance: Utterance, found: str | None) -> Utterance:
    return utterance if found is None else replace(utterance, transcript=found)


def _why_nothing(lines: Sequence[JournalLine]) -> str:
    judged = [row["reason"] for line in lines for row in line.usability]
    return f"the first signal: {judged[0]}" if judged else "do labels and features name the same videos?"


def _kept_posteriors(
    recordings: AnyRecordings, utterances: Sequence[Utterance]
) -> Mapping[str, NDArray[np.float64]] | None:
    if isinstance(recordings, MediaRecordings) or recordings.posteriors is None:
        return None
    names = {utterance.id for utterance in utterances}
    rows = [row for row, utterance in enumerate(recordings.utterances) if utterance.id in names]
    return {name: array[rows] for name, array in recordings.posteriors.items()}


def _map_sequence(growing: PartialStore, modality: str, metadata: Mapping[str, Any]) -> ComputationalSequence:
    place = growing.folder / "sequences" / modality
    found = [
        (name, n)
        for line in growing.lines
        for name, n in zip(line.ids, line.lengths[modality], strict=True)
        if n  # an utterance without frames lacks the modality
    ]
    ids, offsets = tuple(name for name, _ in found), np.cumsum([0, *(n for _, n in found)], dtype=np.int64)
    return ComputationalSequence(
        ids=ids,
        values=map_array(place / "values.npy"),
        intervals=map_array(place / "intervals.npy"),
        offsets=offsets,
        metadata=metadata,
        # hashed from the files: pages of a mapped array would count as memory of this process
        known_digest=content_digest(ids, growing.sizes[modality], offsets, growing.blocks(modality)),
    )


def _count(
    recordings: AnyRecordings, lines: Sequence[JournalLine], utterances: Sequence[Utterance]
) -> dict[str, Count]:
    counts: dict[str, Count] = dict(recordings.counts)
    found: Counter[str] = Counter()
    for line in lines:
        found.update(line.counts)
    counts |= {name: found[name] for name in sorted(found) if found[name]}
    left_out = len(recordings.utterances) - len(utterances)
    if left_out:
        counts[f"utterances without an observed frame in {recordings.require} modality, left out"] = left_out
    errors = sum(len(line.errors) for line in lines)
    if errors:
        counts["errors (a recording lacks what could not be read)"] = errors
    of_media = isinstance(recordings, MediaRecordings)
    kinds = {"speaker": "speakers", "dialogue": "dialogues"} if of_media else {"dialogue": "videos"}
    if recordings.name.startswith(LABEL_PAIRED):
        kinds = {"speaker": "groups"}  # what a bootstrap draws whole, which need not be people
    for split, number in Counter(utterance.split for utterance in utterances).items():
        counts[f"{split} utterances"] = number
        for kind, plural in kinds.items():
            groups = {getattr(u, kind) for u in utterances if u.split == split} - {None}
            if groups:
                counts[f"{split} {plural}"] = len(groups)
    return counts
