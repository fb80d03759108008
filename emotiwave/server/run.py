"""Runs the service until it is told to stop."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from emotiwave.errors import EmotiwaveError
from emotiwave.server.app import make_app
from emotiwave.server.service import Service
from emotiwave.server.settings import ServerSettings

ANSWER_SECONDS = 60.0
"""Within which an answer must be taken."""
CONNECTIONS = 512
"""At once; more are told to come again."""


def run(settings: ServerSettings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        settings: Of the service.
        told: Is told where it listens, when it does.

    Raises:
        EmotiwaveError: If it cannot begin.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("emotiwave.server").setLevel(logging.INFO)
    app = make_app(settings)
    service: Service = app.state.service
    _TimedProtocol.seconds = settings.upload_seconds + settings.wait_seconds + ANSWER_SECONDS
    _TimedProtocol.idle_seconds = settings.idle_seconds
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_TimedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=max(1, round(settings.idle_seconds)),
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        server_header=False,
        date_header=False,
    )
    server = _Server(config, service, told)
    server.run()
    if server.failure is not None:
        raise EmotiwaveError(server.failure)


class _Server(uvicorn.Server):
    """Tells where it listens, says so to the service when it has to stop, and stops where no process can begin."""

    def __init__(self, config: uvicorn.Config, service: Service, told: Callable[[str], None]) -> None:
        super().__init__(config)
        self.service, self.told, self.failure = service, told, None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop, and let requests become jobs that do not end soon; a second Ctrl-C waits for nothing."""
        self.service.stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        """Listen."""
        try:
            await super().startup(sockets)
        except SystemExit:  # it was logged: the address is taken
            self.failure = f"{self.config.host}:{self.config.port} cannot be listened on; choose another --port"
            self.should_exit = True
            return
        if self.servers:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.told(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        await self.service.pool.failed.wait()
        self.failure = self.service.pool.failure
        self.should_exit = True


class _TimedProtocol(H11Protocol):
    """Closes connections that do not say what they want, however slowly they say it, or do not take the answer."""

    seconds, idle_seconds = 600.0, 15.0
    """That a request may take, with its answer; that nothing may be asked."""

    def connection_made(self, transport: Any) -> None:
        """Begin to look."""
        super().connection_made(transport)
        self._seen: tuple[Any, bool] = None, False
        self._since = self.loop.time()
        self._looking = self.loop.call_later(self.idle_seconds / 5, self._look)

    def _look(self) -> None:
        """Close a connection on which nothing was asked, or one thing went on, for too long."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if (self.cycle, is_busy) != self._seen:
            self._seen, self._since = (self.cycle, is_busy), self.loop.time()
        is_unsent = self.transport.get_write_buffer_size() > 0
        limit = self.seconds if is_busy else ANSWER_SECONDS if is_unsent else self.idle_seconds
        if self.loop.time() - self._since > limit:
            self.transport.abort()  # also while it closes: that waits for ever for a peer that does not read
        else:
            self._looking = self.loop.call_later(self.idle_seconds / 5, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._looking.cancel()
        super().connection_lost(exc)
