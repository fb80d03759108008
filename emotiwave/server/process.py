"""One process that answers, as the service sees it: its pipe, what it is at, and its end."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

from emotiwave.server.settings import ServerSettings
from emotiwave.server.ticket import Ticket, end
from emotiwave.server.worker import work
from emotiwave.worker_pool import interrupts_held

DIED = "the process that read it died; it is damaged, or needs more memory than a request has"
LATE = "it took longer than {seconds:g} s"
LOAD_SECONDS = 300.0
"""Within which a process must have its models."""


class GoneError(Exception):
    """A process is gone, and why; ``was_begun`` tells whether it may have been the fault of what it was at."""

    def __init__(self, why: str, *, was_begun: bool = True) -> None:
        super().__init__(why)
        self.was_begun = was_begun


class WorkerProcess:
    """One process and its pipe."""

    def __init__(self, settings: ServerSettings, when_gone: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.cancelled = context.Value("q", 0, lock=False)
        self.process = context.Process(
            target=work,
            args=(theirs, self.cancelled, settings.model, settings.media_seconds, settings.memory_mb),
            daemon=True,
        )
        try:
            with interrupts_held():
                self.process.start()
        except OSError:
            self.pipe.close()
            raise
        finally:
            theirs.close()
        self.tickets: list[Ticket] = []
        self.is_ready = self.was_ready = self.has_begun = False
        self._messages: asyncio.Queue[tuple[Any, ...] | None] = asyncio.Queue()
        self._when_gone = when_gone
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self._receive)

    async def ready(self) -> dict[str, Any]:
        """Wait until it has its models.

        Raises:
            GoneError: If it ends before.
        """
        message = await self._next(LOAD_SECONDS, "it took too long to load its models")
        self.is_ready = self.was_ready = True
        return message[1]

    async def answer(self, tickets: list[Ticket], seconds: float) -> None:
        """Let it answer, and end tickets as their outcomes come.

        Raises:
            GoneError: If it dies, or takes longer.
        """
        self.tickets = tickets
        of = {ticket.task.id: ticket for ticket in tickets}
        for ticket in tickets:
            ticket.is_running = True
        self.cancelled.value = 0
        self.has_begun = False
        try:
            self.pipe.send([ticket.task for ticket in tickets])
        except OSError:
            raise GoneError(DIED, was_begun=False) from None
        deadline = time.monotonic() + seconds
        while of:
            message = await self._next(deadline - time.monotonic(), LATE.format(seconds=seconds))
            if message[0] == "begun":
                self.has_begun = True
            elif message[0] == "progress":
                if (ticket := of.get(message[1])) is not None:
                    ticket.share = message[2]
            elif (ticket := of.pop(message[1].id, None)) is not None:
                end(ticket, message[1])

    async def _next(self, seconds: float, why: str) -> tuple[Any, ...]:
        try:
            message = await asyncio.wait_for(self._messages.get(), max(0.0, seconds))
        except TimeoutError:
            self.kill()
            raise GoneError(why) from None
        if message is None:
            self.kill()
            raise GoneError(DIED, was_begun=self.has_begun)
        if message[0] == "failed":
            self.kill()
            raise GoneError(message[1])
        return message

    def kill(self) -> None:
        """End it at once."""
        if self.is_ready or self.process.is_alive():
            self.process.kill()
        self._end_pipe()
        self.pipe.close()
        self.process.join()

    def _receive(self) -> None:
        try:
            self._messages.put_nowait(self.pipe.recv())
        except (EOFError, OSError):
            self._end_pipe()

    def _end_pipe(self) -> None:
        """Nothing comes any more."""
        self.is_ready = False
        with contextlib.suppress(OSError, ValueError):
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
        self._messages.put_nowait(None)
        self._when_gone()
