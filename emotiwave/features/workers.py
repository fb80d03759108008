"""Reading recordings in several processes, in their order; one that kills its process costs itself and no other."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from emotiwave.features.prepared import PreparedModality, PreparedRecording, Reader
from emotiwave.worker_pool import interrupts_held, worker_pool

IN_FLIGHT = 4
"""Recordings per process that are worked on or wait to be written: what bounds memory."""
MOST_DEATHS = 3
"""After so many deaths and no success the fault is not with the recordings."""
OpenReader = Callable[[], Reader]


@dataclass(frozen=True)
class Work:
    """One recording: its name, the ids of its utterances, and what a reader is to read of it."""

    recording: str
    ids: tuple[str, ...]
    wanted: Sequence[Any]


def read_here(reader: Reader, todo: Sequence[Work]) -> Iterator[Any]:
    """Read in this process; values are the same as in others, whose sums are taken by one thread too."""
    with threadpool_limits(1, user_api="blas"):
        for work in todo:
            yield reader.read(work.recording, work.wanted)


def read_in_processes(
    open_reader: OpenReader, todo: Sequence[Work], processes: int, failed: Callable[[Work, str], Any]
) -> Iterator[Any]:
    """Read in several processes; results come in the order of the work, whatever finishes first.

    When a process dies, what was in flight is read again, each recording alone, until one kills its process again:
    that one failed.

    Args:
        open_reader: Opens the reader of a process.
        todo: The recordings.
        processes: How many.
        failed: Gives the result of a recording that cannot be read, and why.

    Raises:
        BrokenExecutor: If every process dies, whatever it reads.
    """
    left, n_read, n_dead = deque(todo), 0, 0
    while left:
        with worker_pool(min(processes, len(left)), _begin_worker, open_reader) as pool:
            for done in _in_order(pool, left, IN_FLIGHT * processes):
                n_read += 1
                yield done
        for _ in range(min(len(left), IN_FLIGHT * processes)):  # nothing, unless a process died
            work = left.popleft()
            done = _read_alone(open_reader, work)
            if done is not None:
                n_read += 1
                yield done
                continue
            n_dead += 1
            if n_dead >= MOST_DEATHS and not n_read:
                raise BrokenExecutor(f"every process died, the last over {work.recording}")
            yield failed(work, "the process that read this died: a damaged file, or too little memory")
            break


def nothing_of(sizes: Mapping[str, int], work: Work, error: str) -> PreparedRecording:
    """A recording of which nothing could be read."""
    none = (False,) * len(work.ids)
    return PreparedRecording(
        recording=work.recording,
        ids=work.ids,
        kept=none,
        modalities={
            name: PreparedModality(np.empty((0, size), np.float32), np.empty((0, 2)), (0,) * len(none), none)
            for name, size in sizes.items()
        },
        transcripts=(None,) * len(none),
        counts=Counter(),
        errors=({"recording": work.recording, "modality": "all", "error": error},),
    )


def _in_order(pool: ProcessPoolExecutor, left: deque[Work], n_in_flight: int) -> Iterator[Any]:
    """Read what is left, taking away what is done; ends early when a process dies."""
    waiting: deque[Future[Any]] = deque()
    try:
        while left:
            while len(waiting) < min(n_in_flight, len(left)):
                with interrupts_held():  # this may start a process
                    work = left[len(waiting)]
                    waiting.append(pool.submit(_read_in_worker, work.recording, work.wanted))
            done = waiting.popleft().result()
            left.popleft()
            yield done
    except BrokenExecutor:
        return


def _read_alone(open_reader: OpenReader, work: Work) -> Any | None:
    """Read one recording in a process of its own; None if the process dies."""
    with worker_pool(1, _begin_worker, open_reader) as pool:
        with interrupts_held():
            future = pool.submit(_read_in_worker, work.recording, work.wanted)
        try:
            return future.result()
        except BrokenExecutor:
            return None


_reader: Reader | None = None
"""The open files and extractors of a worker process."""


def _begin_worker(open_reader: OpenReader) -> None:
    global _reader
    cv2.setNumThreads(1)
    _reader = open_reader()


def _read_in_worker(recording: str, wanted: Sequence[Any]) -> Any:
    if _reader is None:
        raise RuntimeError("the worker has no open files")
    return _reader.read(recording, wanted)
