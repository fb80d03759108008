"""The table of jobs, on disk: what was accepted is answered or reported, also after the service was stopped or died."""

import errno
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from emotiwave.errors import ConfigError
from emotiwave.server.task import Outcome, Task

ENDED = "null"
Status = Literal["queued", "running", "done", "failed", "cancelled"]
TABLE = """CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, created REAL NOT NULL, finished REAL, task TEXT NOT NULL, result TEXT,
    error TEXT, code INTEGER)"""


@dataclass(frozen=True)
class Job:
    """A row: ``task`` is what was asked, ``result`` or ``error`` what came of it."""

    id: str
    status: Status
    created: float
    finished: float | None
    task: Task | None
    """What was asked; None when it ended, as it holds what was sent."""
    result: dict[str, Any] | None
    error: str | None
    code: int | None


class JobTable:
    """Jobs in one SQLite file.

    Raises:
        ConfigError: If the file is no such table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        path.touch(mode=0o600)
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._rows.execute("PRAGMA journal_mode=WAL")
            self._rows.execute("PRAGMA synchronous=FULL")
            self._rows.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
            self._rows.execute(TABLE)
        except sqlite3.DatabaseError as error:
            self._rows.close()
            raise ConfigError(f"{path}: is no table of jobs ({error}); remove it, or choose another --state") from None

    def add(self, task: Task) -> None:
        """Note a job that is accepted.

        Raises:
            OSError: If it cannot be written, as on a full disk.
        """
        with self._writing() as rows:
            rows.execute(
                "INSERT INTO jobs (id, status, created, task) VALUES (?, 'queued', ?, ?)",
                (task.id, time.time(), json.dumps(asdict(task))),
            )

    def finish(self, outcome: Outcome) -> None:
        """Note what came of a job.

        Raises:
            OSError: If it cannot be written.
        """
        status = "done" if outcome.error is None else "cancelled" if outcome.status == 499 else "failed"
        result = None if outcome.result is None else json.dumps(outcome.result)
        with self._writing() as rows:
            rows.execute(
                "UPDATE jobs SET status = ?, finished = ?, result = ?, error = ?, code = ?, task = ? WHERE id = ?",
                (status, time.time(), result, outcome.error, outcome.status, ENDED, outcome.id),
            )

    def find(self, job: str) -> Job | None:
        """Read a job."""
        with self._lock:
            row = self._rows.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else _job(row)

    def unfinished(self) -> list[Job]:
        """Jobs that were accepted and have no end yet, the oldest first."""
        with self._lock:
            rows = self._rows.execute(
                f"SELECT {COLUMNS} FROM jobs WHERE status IN ('queued', 'running') ORDER BY created"
            ).fetchall()
        return [_job(row) for row in rows]

    def remove(self, job: str) -> bool:
        """Forget a job."""
        with self._writing() as rows:
            is_removed = rows.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount > 0
            rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return is_removed

    def remove_older(self, seconds: float) -> int:
        """Forget jobs that ended longer ago; how many."""
        with self._writing() as rows:
            n_removed = rows.execute("DELETE FROM jobs WHERE finished < ?", (time.time() - seconds,)).rowcount
            rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return n_removed

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._rows.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._rows
            except sqlite3.OperationalError as error:
                raise OSError(errno.EIO, f"the table of jobs cannot be written ({error})") from error


COLUMNS = "id, status, created, finished, task, result, error, code"


def _job(row: tuple[Any, ...]) -> Job:
    known, status, created, finished, task, result, error, code = row
    described = json.loads(task)
    if described is None:
        return Job(known, status, created, finished, None, None if result is None else json.loads(result), error, code)
    for name in ("modalities", "conditions"):
        described[name] = None if described[name] is None else tuple(described[name])
    return Job(
        known, status, created, finished, Task(**described), None if result is None else json.loads(result), error, code
    )
