"""Reading recordings in several processes, in their order; one that kills its process costs itself and no other."""

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from emotiwave.features.prepared import PreparedModality, PreparedRecording, Reader

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
        with _workers(open_reader, min(processes, len(left))) as pool:
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
                with _interrupts_held():  # this may start a process
                    work = left[len(waiting)]
                    waiting.append(pool.submit(_read_in_worker, work.recording, work.wanted))
            done = waiting.popleft().result()
            left.popleft()
            yield done
    except BrokenExecutor:
        return


def _read_alone(open_reader: OpenReader, work: Work) -> Any | None:
    """Read one recording in a process of its own; None if the process dies."""
    with _workers(open_reader, 1) as pool:
        with _interrupts_held():
            future = pool.submit(_read_in_worker, work.recording, work.wanted)
        try:
            return future.result()
        except BrokenExecutor:
            return None


@contextmanager
def _workers(open_reader: OpenReader, processes: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),  # a fork would copy locks that other threads hold
        initializer=_begin_worker,
        initargs=(open_reader,),
    )
    before = set(active_children())
    try:
        yield pool
    except BaseException:  # Ctrl-C: what a file's decoder is at may take minutes
        for process in set(active_children()) - before:
            process.terminate()
        raise
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


_reader: Reader | None = None
"""The open files and extractors of a worker process."""


def _begin_worker(open_reader: OpenReader) -> None:
    global _reader
    Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes share the cores already; torch, if it comes, looks here
    threadpool_limits(1)
    cv2.setNumThreads(1)
    _reader = open_reader()


def _die_with_parent() -> None:
    """A worker that waits for work would outlive a first process that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_in_worker(recording: str, wanted: Sequence[Any]) -> Any:
    if _reader is None:
        raise RuntimeError("the worker has no open files")
    return _reader.read(recording, wanted)
