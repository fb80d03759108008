"""Items made ahead of their use, in a thread: decoding goes on while what was decoded is worked on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """What comes after the last item: the error that ended them, if one did."""

    error: BaseException | None


_PATIENCE = 0.1
"""Seconds after which a thread that waits looks whether it is still wanted."""


@contextmanager
def ahead(items: Iterator[Item], n_items: int) -> Iterator[Iterator[Item]]:
    """Make up to ``n_items`` of an iterator before they are asked for; its errors are raised where they would be.

    The iterator is closed, by the thread that it runs in, when the context ends.
    """
    made: Queue[Item | _End] = Queue(n_items)
    stop = Event()
    thread = Thread(target=_make, args=(items, made, stop), daemon=True)
    thread.start()
    try:
        yield _take(made)
    finally:
        stop.set()
        thread.join()


def _make(items: Iterator[Item], made: "Queue[Item | _End]", stop: Event) -> None:
    last: BaseException | None = None
    try:
        for item in items:
            if not _put(made, item, stop):
                break
    except BaseException as error:  # whatever it is, it belongs to whoever takes the items
        last = error
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        _put(made, _End(last), stop)


def _put(made: "Queue[Item | _End]", item: Item | _End, stop: Event) -> bool:
    """Wait for room; False if the item is not wanted any more."""
    while not stop.is_set():
        try:
            made.put(item, timeout=_PATIENCE)
        except Full:
            continue
        return True
    return False


def _take(made: "Queue[Item | _End]") -> Iterator[Item]:
    while True:
        item = made.get()
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return
        yield item
