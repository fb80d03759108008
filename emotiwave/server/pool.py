"""Processes that answer: fed from one bounded queue, killed and replaced when they break a limit."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from emotiwave.server.metrics import Metrics
from emotiwave.server.process import DIED, GoneError, WorkerProcess
from emotiwave.server.settings import ServerSettings
from emotiwave.server.task import Outcome, Task
from emotiwave.server.ticket import Ticket, cancelled_by_client, end
from emotiwave.server.worker import number_of

logger = logging.getLogger("emotiwave.server")
PAUSE = 2.0
"""Seconds before a process that could not begin is tried again."""
FAULT = "a fault of the service; it was noted"
LONG_WAIT = 30.0
"""Seconds after which a job comes before those who wait."""
PATIENCE = 2.0
"""Seconds after which a process that was told to stop is killed."""


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
        self._workers: list[WorkerProcess] = []
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
            end(ticket, cancelled_by_client(ticket))
        for worker in self._workers:
            if ticket in worker.tickets:
                worker.cancelled.value = number_of(ticket.task.id)
                asyncio.get_running_loop().call_later(PATIENCE, self._end_stubborn, worker, ticket)

    def _end_stubborn(self, worker: WorkerProcess, ticket: Ticket) -> None:
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
                worker = WorkerProcess(self.settings, self._wake)
                self._workers.append(worker)
                self.description = await worker.ready()
                self.failure = None
                while worker.is_ready and not self._is_closing:
                    await self._give(worker, await self._take(worker))
            except GoneError as error:
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

    async def _take(self, worker: WorkerProcess) -> list[Ticket]:
        """The next task, and with a text others that can be answered with it.

        Raises:
            GoneError: If the process that would answer dies meanwhile.
        """
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._next() is not None or not worker.is_ready)
            first = self._next()
            if first is None or not worker.is_ready:
                self._arrived.notify()  # another one's turn
                raise GoneError(DIED, was_begun=False)
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

    async def _give(self, worker: WorkerProcess, tickets: list[Ticket]) -> None:
        """Let a process answer; what it was at when it died is failed, unless that was another one's fault."""
        self.metrics.batch.observe(len(tickets))
        begun = time.monotonic()
        try:
            await worker.answer(tickets, self.settings.run_seconds)
        except GoneError as error:
            left = [ticket for ticket in tickets if not ticket.outcome.done()]
            for ticket in left:
                if ticket.is_cancelled:
                    end(ticket, cancelled_by_client(ticket))
            left = [ticket for ticket in left if not ticket.is_cancelled]
            if not error.was_begun:  # it was gone before: another one answers
                self._waiting.extendleft(reversed(left))
            elif len(left) > 1:  # one of several texts: each by itself, so that only the one at fault fails
                for ticket in left:
                    ticket.is_alone = True
                self._waiting.extendleft(reversed(left))
            elif not self._is_closing:
                for ticket in left:
                    end(ticket, Outcome(ticket.task.id, error=str(error), status=422))
            raise
        except Exception:
            for ticket in tickets:
                end(ticket, Outcome(ticket.task.id, error=FAULT, status=500))
            raise
        finally:
            worker.tickets = []
            seconds = (time.monotonic() - begun) / len(tickets)
            self.mean_seconds += 0.1 * (seconds - self.mean_seconds)
            async with self._arrived:
                self._arrived.notify_all()  # there is room for a job again
