"""From ``.csd`` files to a feature store: streaming, parallel, resumable after a kill, a row for every error."""

import hashlib
import json
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from emotiwave.errors import FeatureError
from emotiwave.features.partial import JOURNAL, JournalLine, PartialStore
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import check_place, open_store, replace_store, write_description
from emotiwave.features.video import VideoFeatures, VideoReader
from emotiwave.npz import map_array
from emotiwave.recordings import Count, Recordings
from emotiwave.sequences import ComputationalSequence, content_digest
from emotiwave.types import Corpus, Utterance

VERSION = 1
"""Of what preparation does: raised when the same files and settings give another store."""
REPORT = "preparation.json"
VIDEOS_IN_FLIGHT = 4
"""Videos per process that are worked on or wait to be written: what bounds memory."""

Progress = Callable[[int, int], None]
"""Told how many videos are done, and of how many."""


@dataclass(frozen=True)
class Preparation:
    """What became of a preparation: the store, every count, and a row per error (video, modality, error)."""

    folder: Path
    counts: Mapping[str, Count]
    errors: tuple[Mapping[str, str], ...]
    n_resumed: int = 0
    """Videos that an earlier, stopped preparation had finished."""
    was_ready: bool = False
    """Whether the store was up to date already."""


def prepare(
    recordings: Recordings,
    settings: FeatureSettings,
    folder: Path,
    *,
    tables: Mapping[str, Any],
    processes: int = 1,
    progress: Progress | None = None,
) -> Preparation:
    """Write the feature store of recordings; the folder appears whole or not at all.

    Run again after a kill, it goes on with the video where it stopped.

    Args:
        recordings: What a dataset of ``.csd`` files loads.
        settings: How raw frames become those of the store.
        folder: Where to; an older store there is replaced.
        tables: What the recipe says; kept in the store, so that `read_report` can tell what it is of.
        processes: How many read and collapse at once. More than one starts new interpreters.
        progress: Told after each video.

    Raises:
        EmotiwaveError: If files cannot be read or written, or nothing is left of the corpus.
    """
    check_place(folder, recordings.files)
    settings.check_modalities(recordings.files)
    if settings.align == "words" and recordings.words is None:
        absent = "".join(f": no file {path}" for path in recordings.preferred[:1])
        raise FeatureError(f'{recordings.name}: features.align = "words" needs the timed words{absent}')
    videos = recordings.by_video()
    inputs = fingerprint(recordings.inputs)  # before anything is read: what changes meanwhile makes the store outdated
    partial_folder = folder.with_name(f".{folder.name}.partial")
    with VideoReader(recordings.files, recordings.words, settings) as reader:
        sizes = reader.sizes
    try:
        with PartialStore(partial_folder, sizes, _key(recordings, settings, inputs)) as partial:
            n_resumed = len(partial.lines)
            done = partial.videos
            todo = [(video, of_video) for video, of_video in videos.items() if video not in done]
            for features in _read_all(recordings, settings, todo, processes):
                partial.append(features)
                if progress:
                    progress(len(partial.lines), len(videos))
            partial.finish()
            preparation = _finish(recordings, partial, folder, {"tables": tables, "inputs": inputs})
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


def is_whole(folder: Path) -> bool:
    """Whether a store can be opened."""
    try:
        open_store(folder)
    except FeatureError:
        return False
    return True


def _key(recordings: Recordings, settings: FeatureSettings, inputs: Mapping[str, list[int] | None]) -> str:
    """What a partial store must agree in to be gone on with."""
    described = [
        VERSION,
        [utterance.to_dict() for utterance in recordings.utterances],
        settings.model_dump(mode="json", exclude={"store"}),
        {name: str(path) for name, path in recordings.files.items()},
        str(recordings.words),
        inputs,
        recordings.require,
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _read_all(
    recordings: Recordings,
    settings: FeatureSettings,
    todo: Sequence[tuple[str, list[Utterance]]],
    processes: int,
) -> Iterator[VideoFeatures]:
    """Prepare videos, in their order whatever finishes first."""
    if processes < 2 or len(todo) < 2:
        with VideoReader(recordings.files, recordings.words, settings, recordings.require) as reader:
            for video, utterances in todo:
                yield reader.read(video, utterances)
        return
    with _workers(recordings, settings, min(processes, len(todo))) as pool:
        waiting: deque[Future[VideoFeatures]] = deque()
        for video, utterances in todo:
            with _interrupts_held():  # this may start a process
                waiting.append(pool.submit(_read_in_worker, video, utterances))
            if len(waiting) >= VIDEOS_IN_FLIGHT * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _workers(recordings: Recordings, settings: FeatureSettings, processes: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),  # a fork would copy locks that other threads hold
        initializer=_begin_worker,
        initargs=(dict(recordings.files), recordings.words, settings, recordings.require),
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let processes begin deaf to Ctrl-C, which reaches the whole group: their first imports take long."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_reader: VideoReader | None = None
"""The open files of a worker process."""


def _begin_worker(
    files: Mapping[str, Path], words: Path | None, settings: FeatureSettings, require: Literal["any", "all"]
) -> None:
    global _reader
    Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    threadpool_limits(1)  # the processes share the cores already
    _reader = VideoReader(files, words, settings, require)


def _die_with_parent() -> None:
    """A worker that waits for work would outlive a first process that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_in_worker(video: str, utterances: list[Utterance]) -> VideoFeatures:
    if _reader is None:
        raise RuntimeError("the worker has no open files")
    return _reader.read(video, utterances)


def _finish(recordings: Recordings, partial: PartialStore, folder: Path, made_of: Mapping[str, Any]) -> Preparation:
    """Describe what was appended, and put the store in its place."""
    utterances = _kept_utterances(recordings, partial.lines)
    counts = _count(recordings, partial.lines, utterances)
    corpus = Corpus(
        name=recordings.name,
        task=recordings.task,
        licence=recordings.licence,
        label_set=recordings.label_set,
        utterances=utterances,
        sequences={name: _map_sequence(partial, name) for name in partial.sizes},
        posteriors=_kept_posteriors(recordings, utterances),
        counts=counts,
    )
    errors = tuple(error for line in partial.lines for error in line.errors)
    report = {"version": VERSION, **made_of, "counts": counts, "errors": errors}
    (partial.folder / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    write_description(corpus, partial.folder)
    replace_store(partial.folder, folder)
    (folder / JOURNAL).unlink(missing_ok=True)  # only now: were it gone before, a kill in between would lose everything
    return Preparation(folder, counts, errors)


def _kept_utterances(recordings: Recordings, lines: Sequence[JournalLine]) -> tuple[Utterance, ...]:
    transcripts = {
        name: text
        for line in lines
        for name, text, keep in zip(line.ids, line.transcripts, line.kept, strict=True)
        if keep
    }
    kept = tuple(replace(u, transcript=transcripts[u.id]) for u in recordings.utterances if u.id in transcripts)
    if not kept:
        raise FeatureError(
            f"{recordings.name}: no utterance has features; do labels and features name the same videos?"
        )
    return kept


def _kept_posteriors(
    recordings: Recordings, utterances: Sequence[Utterance]
) -> Mapping[str, NDArray[np.float64]] | None:
    if recordings.posteriors is None:
        return None
    names = {utterance.id for utterance in utterances}
    rows = [row for row, utterance in enumerate(recordings.utterances) if utterance.id in names]
    return {name: array[rows] for name, array in recordings.posteriors.items()}


def _map_sequence(partial: PartialStore, modality: str) -> ComputationalSequence:
    place = partial.folder / "sequences" / modality
    found = [
        (name, n)
        for line in partial.lines
        for name, n in zip(line.ids, line.lengths[modality], strict=True)
        if n  # an utterance without frames lacks the modality
    ]
    ids, offsets = tuple(name for name, _ in found), np.cumsum([0, *(n for _, n in found)], dtype=np.int64)
    return ComputationalSequence(
        ids=ids,
        values=map_array(place / "values.npy"),
        intervals=map_array(place / "intervals.npy"),
        offsets=offsets,
        # hashed from the files: pages of a mapped array would count as memory of this process
        known_digest=content_digest(ids, partial.sizes[modality], offsets, partial.blocks(modality)),
    )


def _count(recordings: Recordings, lines: Sequence[JournalLine], utterances: Sequence[Utterance]) -> dict[str, Count]:
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
        counts["errors (a video lacks what could not be read)"] = errors
    for split, number in Counter(utterance.split for utterance in utterances).items():
        videos = len({u.dialogue for u in utterances if u.split == split})
        counts[f"{split} utterances"] = number
        counts[f"{split} videos"] = videos
    return counts
