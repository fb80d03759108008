"""Processes that answer: fed from one bounded queue, killed and replaced when they break a limit."""

import asyncio
import contextlib
import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from emotiwave.server.metrics import Metrics
from emotiwave.server.settings import ServerSettings
from emotiwave.server.task import Outcome, Task
from emotiwave.server.worker import number_of, work
from emotiwave.worker_pool import interrupts_held

logger = logging.getLogger("emotiwave.server")
DIED = "the process that read it died; it is damaged, or needs more memory than a request has"
LATE = "it took longer than {seconds:g} s"
LOAD_SECONDS = 300.0
"""Within which a process must have its models."""
PAUSE = 2.0
"""Seconds before a process that could not begin is tried again."""
FAULT = "a fault of the service; it was noted"
LONG_WAIT = 30.0
"""Seconds after which a job comes before those who wait."""
PATIENCE = 2.0
"""Seconds after which a process that was told to stop is killed."""
CANCELLED = "cancelled"
CLIENT_GONE = 499


@dataclass(eq=False)
class Ticket:
    """A task on its way: ``outcome`` is set once, ``share`` grows from 0 to 1."""

    task: Task
    outcome: asyncio.Future[Outcome]
    share: float = 0.0
    is_running: bool = False
    begun: float = field(default_factory=time.monotonic)
    is_job: bool = False
    """Whether nobody waits for it, so that requests that somebody waits for come first."""
    is_cancelled: bool = False
    is_alone: bool = False
    """Whether a process died over it and others, so that it is answered by itself."""

    @property
    def goes_with_others(self) -> bool:
        """Whether it is a text that may be answered with others."""
        return self.task.is_text and not self.is_alone


class FullError(Exception):
    """So many tasks wait that one more would wait too long; ``seconds`` is when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"busy; try again in {seconds} s")
        self.seconds = seconds


class WorkerPool:
    """So many processes, and the tasks that wait for them."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.description: dict[str, Any] | None = None
        """What the first process told of its models; None until one is ready."""
        self.failure: str | None = None
        """Why no process could begin."""
        self.failed = asyncio.Event()
        self.mean_seconds = 1.0
        self._waiting: deque[Ticket] = deque()
        self._arrived = asyncio.Condition()
        self._workers: list[_Worker] = []
        self._slots: list[asyncio.Task[None]] = []
        self._is_closing = False
        self._n_accepting = 0
        self._was_job = False
        self._waking: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether any process has its models."""
        return any(worker.is_ready for worker in self._workers)

    @property
    def n_waiting(self) -> int:
        """Tasks that no process has yet."""
        return len(self._waiting)

    @property
    def n_running(self) -> int:
        """Tasks that a process has."""
        return sum(len(worker.tickets) for worker in self._workers)

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def begin(self) -> None:
        """Start the processes; they are ready some seconds later."""
        self._slots = [asyncio.create_task(self._serve()) for _ in range(self.settings.workers)]

    def check_room(self, *, is_job: bool = False) -> None:
        """Refuse one more task; jobs, and tasks that somebody waits for, have a queue each.

        Raises:
            FullError: If the queue is full.
        """
        n_own = sum(ticket.is_job == is_job for ticket in self._waiting) + (self._n_accepting if is_job else 0)
        n_all = len(self._waiting) + self._n_accepting
        if n_own >= self.settings.queue or n_all >= 2 * self.settings.queue:
            ahead = n_all * self.mean_seconds / self.settings.workers
            raise FullError(max(1, min(120, round(ahead))))

    @contextlib.contextmanager
    def room_for_job(self) -> Iterator[None]:
        """Keep room for a job while it is noted.

        Raises:
            FullError: If there is none.
        """
        self.check_room(is_job=True)
        self._n_accepting += 1
        try:
            yield
        finally:
            self._n_accepting -= 1

    async def submit(self, task: Task, *, is_job: bool = False) -> Ticket:
        """Let a task wait for its turn; a job was accepted before, whether there is room or not.

        Raises:
            FullError: If the queue is full.
        """
        if not is_job:
            self.check_room()
        ticket = Ticket(task, asyncio.get_running_loop().create_future(), is_job=is_job)
        async with self._arrived:
            self._waiting.append(ticket)
            self._arrived.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Take a task back: one that waits is not begun, one that runs stops soon."""
        ticket.is_cancelled = True
        with contextlib.suppress(ValueError):
            self._waiting.remove(ticket)
            _end(ticket, _cancelled(ticket))
        for worker in self._workers:
            if ticket in worker.tickets:
                worker.cancelled.value = number_of(ticket.task.id)
                asyncio.get_running_loop().call_later(PATIENCE, self._end_stubborn, worker, ticket)

    def _end_stubborn(self, worker: "_Worker", ticket: Ticket) -> None:
        """Kill a process that does not stop, unless others wait for what it is at, too."""
        is_wanted = any(not one.is_cancelled and not one.outcome.done() for one in worker.tickets)
        if ticket in worker.tickets and not ticket.outcome.done() and not is_wanted:
            worker.kill()

    async def close(self, seconds: float) -> list[Task]:
        """Wait so long for what runs, end the processes, and give what was not answered."""
        self._is_closing = True
        left = [ticket.task for ticket in self._waiting]
        self._waiting.clear()
        running = [ticket for worker in self._workers for ticket in worker.tickets]
        if running:
            await asyncio.wait([ticket.outcome for ticket in running], timeout=seconds)
        left += [ticket.task for ticket in running if not ticket.outcome.done()]
        for slot in self._slots:
            slot.cancel()
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._slots, return_exceptions=True)
        return left

    async def _serve(self) -> None:
        """Keep one process at work, and put another in its place when it is gone."""
        while not self._is_closing:
            worker = None
            try:
                worker = _Worker(self.settings, self._wake)
                self._workers.append(worker)
                self.description = await worker.ready()
                self.failure = None
                while worker.is_ready and not self._is_closing:
                    await self._give(worker, await self._take(worker))
            except _GoneError as error:
                if self.description is None:
                    self.failure = str(error)
                    self.failed.set()
                self.metrics.replaced.inc()
                await asyncio.sleep(0 if worker is not None and worker.was_ready else PAUSE)
            except Exception as fault:  # a fault of ours must not leave the service without this process
                logger.error("a process is replaced after %s", type(fault).__name__)
                self.metrics.replaced.inc()
                await asyncio.sleep(PAUSE)
            finally:
                if worker is not None:
                    self._workers.remove(worker)
                    worker.kill()

    def _wake(self) -> None:
        """Let those who wait look again."""

        async def wake() -> None:
            async with self._arrived:
                self._arrived.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _take(self, worker: "_Worker") -> list[Ticket]:
        """The next task, and with a text others that can be answered with it.

        Raises:
            _GoneError: If the process that would answer dies meanwhile.
        """
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._next() is not None or not worker.is_ready)
            first = self._next()
            if first is None or not worker.is_ready:
                self._arrived.notify()  # another one's turn
                raise _GoneError(DIED, was_begun=False)
            self._waiting.remove(first)
            self._was_job = first.is_job
            taken = [first]
            if first.goes_with_others and self.settings.batch > 1:
                others = [
                    ticket
                    for ticket in self._waiting
                    if ticket.goes_with_others and ticket.task.together == first.task.together
                ]
                taken += others[: self.settings.batch - 1]
                for ticket in taken[1:]:
                    self._waiting.remove(ticket)
            return taken

    def _next(self) -> Ticket | None:
        """The first that somebody waits for, or else the first job, unless all but one process have one already.

        A job that waited long comes first where none is being done, one job at a time, so that nobody waits for ever.
        """
        n_jobs = sum(ticket.is_job for worker in self._workers for ticket in worker.tickets)
        job = next((ticket for ticket in self._waiting if ticket.is_job), None)
        if n_jobs >= max(1, self.settings.workers - 1):
            job = None
        if job is not None and not n_jobs and not self._was_job and job.begun < time.monotonic() - LONG_WAIT:
            return job
        return next((ticket for ticket in self._waiting if not ticket.is_job), job)

    async def _give(self, worker: "_Worker", tickets: list[Ticket]) -> None:
        """Let a process answer; what it was at when it died is failed, unless that was another one's fault."""
        self.metrics.batch.observe(len(tickets))
        begun = time.monotonic()
        try:
            await worker.answer(tickets, self.settings.run_seconds)
        except _GoneError as error:
            left = [ticket for ticket in tickets if not ticket.outcome.done()]
            for ticket in left:
                if ticket.is_cancelled:
                    _end(ticket, _cancelled(ticket))
            left = [ticket for ticket in left if not ticket.is_cancelled]
            if not error.was_begun:  # it was gone before: another one answers
                self._waiting.extendleft(reversed(left))
            elif len(left) > 1:  # one of several texts: each by itself, so that only the one at fault fails
                for ticket in left:
                    ticket.is_alone = True
                self._waiting.extendleft(reversed(left))
            elif not self._is_closing:
                for ticket in left:
                    _end(ticket, Outcome(ticket.task.id, error=str(error), status=422))
            raise
        except Exception:
            for ticket in tickets:
                _end(ticket, Outcome(ticket.task.id, error=FAULT, status=500))
            raise
        finally:
            worker.tickets = []
            seconds = (time.monotonic() - begun) / len(tickets)
            self.mean_seconds += 0.1 * (seconds - self.mean_seconds)
            async with self._arrived:
                self._arrived.notify_all()  # there is room for a job again


def _cancelled(ticket: Ticket) -> Outcome:
    return Outcome(ticket.task.id, error=CANCELLED, status=CLIENT_GONE)


def _end(ticket: Ticket, outcome: Outcome) -> None:
    if outcome.fault is not None:
        logger.error("a request failed: %s", outcome.fault)
    if not ticket.outcome.done():
        ticket.outcome.set_result(outcome)


class _GoneError(Exception):
    """A process is gone, and why; ``was_begun`` tells whether it may have been the fault of what it was at."""

    def __init__(self, why: str, *, was_begun: bool = True) -> None:
        super().__init__(why)
        self.was_begun = was_begun


class _Worker:
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
            _GoneError: If it ends before.
        """
        message = await self._next(LOAD_SECONDS, "it took too long to load its models")
        self.is_ready = self.was_ready = True
        return message[1]

    async def answer(self, tickets: list[Ticket], seconds: float) -> None:
        """Let it answer, and end tickets as their outcomes come.

        Raises:
            _GoneError: If it dies, or takes longer.
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
            raise _GoneError(DIED, was_begun=False) from None
        deadline = time.monotonic() + seconds
        while of:
            message = await self._next(deadline - time.monotonic(), LATE.format(seconds=seconds))
            if message[0] == "begun":
                self.has_begun = True
            elif message[0] == "progress":
                if (ticket := of.get(message[1])) is not None:
                    ticket.share = message[2]
            elif (ticket := of.pop(message[1].id, None)) is not None:
                _end(ticket, message[1])

    async def _next(self, seconds: float, why: str) -> tuple[Any, ...]:
        try:
            message = await asyncio.wait_for(self._messages.get(), max(0.0, seconds))
        except TimeoutError:
            self.kill()
            raise _GoneError(why) from None
        if message is None:
            self.kill()
            raise _GoneError(DIED, was_begun=self.has_begun)
        if message[0] == "failed":
            self.kill()
            raise _GoneError(message[1])
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
