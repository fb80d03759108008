"""Processes that share the cores: one thread each, deaf to Ctrl-C, gone when the first process is gone."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

from threadpoolctl import threadpool_limits


@contextmanager
def worker_pool(
    processes: int, begin: Callable[..., None], *given: Any, tasks_each: int | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes that an error, or Ctrl-C, ends at once.

    Args:
        processes: How many work at once.
        begin: What a process does first.
        given: What ``begin`` is given.
        tasks_each: After so many tasks a process is replaced by a new one; never by default.
    """
    pool = ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),  # a fork would copy locks that other threads hold
        initializer=_begin,
        initargs=(begin, *given),
        max_tasks_per_child=tasks_each,
    )
    before = set(active_children())
    try:
        yield pool
    except BaseException:  # Ctrl-C: what a process is at may take minutes
        for process in set(active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let processes begin deaf to Ctrl-C, which reaches the whole group: their first imports take long."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(begin: Callable[..., None], *given: Any) -> None:
    Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes share the cores already; torch, if it comes, looks here
    threadpool_limits(1)
    begin(*given)


def _die_with_parent() -> None:
    """A worker that waits for work would outlive a first process that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
