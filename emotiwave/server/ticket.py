"""A task on its way through the service, and its one end."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from emotiwave.server.task import Outcome, Task

logger = logging.getLogger("emotiwave.server")
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


def cancelled_by_client(ticket: Ticket) -> Outcome:
    """What comes of a task that nobody waits for any more."""
    return Outcome(ticket.task.id, error=CANCELLED, status=CLIENT_GONE)


def end(ticket: Ticket, outcome: Outcome) -> None:
    """Set what came of a task, once."""
    if outcome.fault is not None:
        logger.error("a request failed: %s", outcome.fault)
    if not ticket.outcome.done():
        ticket.outcome.set_result(outcome)
