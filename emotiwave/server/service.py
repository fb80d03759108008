"""What the service does with requests: lets them be answered, keeps jobs, cleans up, and loses nothing."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import IO, Any

from starlette.exceptions import HTTPException

from emotiwave.errors import ConfigError
from emotiwave.server.jobs import Job, JobTable
from emotiwave.server.metrics import Metrics
from emotiwave.server.pool import WorkerPool
from emotiwave.server.settings import ServerSettings
from emotiwave.server.task import Outcome, Task
from emotiwave.server.ticket import CANCELLED, CLIENT_GONE, Ticket

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger("emotiwave.server")
NOTING = 5.0
"""Seconds in which results are written when the service ends."""
LOOK = 0.2
"""Seconds between looks whether a client is still there."""
SWEEP = 30.0
"""Seconds between looks for results that are too old."""
LOST = "the service was stopped, and what was uploaded is gone; send it again"
CANNOT_STORE = 507


class Service:
    """Requests, jobs and processes; ``begin`` and ``close`` are called by the application."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.pool = WorkerPool(settings, self.metrics)
        self.is_stopping = asyncio.Event()
        self._deadline = float("inf")
        self._lock = _hold(settings.state)
        try:
            self._table = JobTable(settings.state / "jobs.sqlite")
        except ConfigError:
            self._lock.close()
            raise
        self._tickets: dict[str, Ticket] = {}
        self._unsaved: dict[str, tuple[Outcome, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Start the processes, and go on with jobs that an earlier service accepted."""
        self._table.remove_older(self.settings.keep_seconds)
        open_jobs = self._table.unfinished()
        _remove_others(self.settings.uploads, {job.id for job in open_jobs})
        self.pool.begin()
        for job in open_jobs:
            if job.task is None:
                continue
            if all(Path(path).is_file() for path in job.task.files.values()):
                self._follow(await self.pool.submit(job.task, is_job=True))
            else:
                self._table.finish(Outcome(job.id, error=LOST, status=503))
        self._begin(self._sweep())

    def stop(self) -> None:
        """Take nothing more; what runs has the seconds of grace from now on."""
        if not self.is_stopping.is_set():
            self.is_stopping.set()
            self._deadline = time.monotonic() + self.settings.grace_seconds

    async def close(self) -> None:
        """Wait for what runs, note what came of it, and leave the rest to the next service."""
        self.stop()
        left = await self.pool.close(max(0.0, self._deadline - time.monotonic()))
        ended = {self._tickets[job].task.id for job in self._tickets if self._tickets[job].outcome.done()}
        finishing = [task for task in self._tasks if task.get_name() in ended]
        if finishing:
            await asyncio.wait(finishing, timeout=NOTING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        kept = {job.id for job in self._table.unfinished()}
        if kept:
            logger.info("%d jobs are left for the next start", len(kept))
        for task in left:
            if task.id not in kept:
                self.forget_files(task.id)
        self._table.close()
        self._lock.close()

    def admit(self, *, is_job: bool) -> None:
        """Refuse a request before it is read.

        Raises:
            FullError: If too many wait.
            HTTPException: If the service stops.
        """
        if self.is_stopping.is_set():
            raise HTTPException(503, "the service is stopping; try again later", {"Retry-After": "10"})
        self.pool.check_room(is_job=is_job)

    def folder_for(self, task: str) -> Path:
        """A new folder for what is uploaded with a task.

        Raises:
            OSError: If it cannot be made.
        """
        folder = self.settings.uploads / task
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def forget_files(self, task: str) -> None:
        """Remove what was uploaded with a task."""
        shutil.rmtree(self.settings.uploads / task, ignore_errors=True)

    async def accept(self, task: Task) -> None:
        """Take a job that is answered later: from now on it is answered or reported.

        Raises:
            FullError: If too many wait.
            OSError: If it cannot be noted.
        """
        with self.pool.room_for_job():
            await asyncio.to_thread(self._table.add, task)
            self._follow(await self.pool.submit(task, is_job=True))

    async def answer(self, task: Task, is_gone: Callable[[], Awaitable[bool]]) -> Outcome | None:
        """Answer a request; None if that takes too long, and it has become a job.

        Raises:
            FullError: If too many wait.
            OSError: If the job cannot be noted.
        """
        ticket = await self.pool.submit(task)
        try:
            left = self.settings.wait_seconds
            while not (await asyncio.wait([ticket.outcome], timeout=LOOK))[0]:
                left -= LOOK
                if self.is_stopping.is_set():
                    left = min(left, (self._deadline - time.monotonic()) / 2)
                if await is_gone():
                    self.pool.cancel(ticket)
                    return Outcome(task.id, error=CANCELLED, status=CLIENT_GONE)
                if left <= 0:
                    await asyncio.shield(self._keep(ticket))
                    return None
            return ticket.outcome.result()
        except BaseException:
            if task.id not in self._tickets:
                self.pool.cancel(ticket)
            raise

    async def _keep(self, ticket: Ticket) -> None:
        """Make a job of a request that takes long."""
        await asyncio.to_thread(self._table.add, ticket.task)
        ticket.is_job = True
        self._follow(ticket)

    def find(self, job: str) -> tuple[Job, float] | None:
        """A job, and how far it is, from 0 to 1."""
        found = self._table.find(job)
        if found is None or (found.finished or time.time()) < time.time() - self.settings.keep_seconds:
            return None
        ticket, unsaved = self._tickets.get(job), self._unsaved.get(job)
        if unsaved is not None:
            unsaved, finished = unsaved
            status = "done" if unsaved.error is None else "failed"
            found = Job(job, status, found.created, finished, found.task, unsaved.result, unsaved.error, unsaved.status)
        elif ticket is not None and ticket.is_running:
            found = Job(job, "running", found.created, None, found.task, None, None, None)
        return found, 1.0 if found.status == "done" else 0.0 if ticket is None else ticket.share

    def remove(self, job: str) -> bool:
        """Forget a job, stopping it first; whether there was one."""
        ticket = self._tickets.get(job)
        if ticket is not None:
            self.pool.cancel(ticket)
        self._unsaved.pop(job, None)
        self.forget_files(job)
        return self._table.remove(job)

    def _follow(self, ticket: Ticket) -> None:
        self._tickets[ticket.task.id] = ticket
        self._begin(self._finish(ticket), ticket.task.id)

    async def _finish(self, ticket: Ticket) -> None:
        """Note what comes of a job, and remove what was uploaded."""
        outcome = await ticket.outcome
        try:
            await asyncio.to_thread(self._table.finish, outcome)
        except OSError as error:
            logger.warning("a result cannot be written, and is kept in memory: %s", error)
            self._unsaved[outcome.id] = outcome, time.time()
        finally:
            self.forget_files(outcome.id)
            self._tickets.pop(outcome.id, None)

    async def _sweep(self) -> None:
        """Forget results that are older than is stated, and write those that could not be written."""
        while True:
            await asyncio.sleep(min(SWEEP, self.settings.keep_seconds / 4))
            try:
                for job, (outcome, finished) in list(self._unsaved.items()):
                    if finished < time.time() - self.settings.keep_seconds:
                        outcome = Outcome(job, error="its result is deleted", status=410)
                    await asyncio.to_thread(self._table.finish, outcome)
                    self._unsaved.pop(job, None)
                await asyncio.to_thread(self._table.remove_older, self.settings.keep_seconds)
            except OSError as error:
                logger.warning("the table of jobs cannot be written: %s", error)

    def _begin(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove uploads whose request ended with the service that took them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in folder.iterdir():
        if one.name not in kept:
            shutil.rmtree(one, ignore_errors=True)


def _hold(folder: Path) -> IO[str]:
    """Keep other services out of a folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error}); choose another --state") from None
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ConfigError(f"{folder}: another service runs in this folder; choose another --state") from None
    return lock
