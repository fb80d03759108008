"""What every request meets first: the token, limits of size and time, counting; before any byte of it is parsed."""

import asyncio
import hmac
import json
import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from emotiwave.server.metrics import Metrics
from emotiwave.server.pool import FAULT, FullError
from emotiwave.server.settings import LOOPBACK, ServerSettings

logger = logging.getLogger("emotiwave.server")
OPEN = ("/healthz", "/readyz", "/openapi.json", "/", "/page.js", "/page.css", "/favicon.svg")
"""Routes that take no token: they tell nothing."""
OPEN_FOLDERS = ("/examples/",)
LETTER_BYTES, FIELDS_BYTES = 12, 16_384
"""Of a text in a form without files: its letters as they are written there, and the other fields."""
FORM_ROUTES = ("/v1/analyze", "/v1/configurations")
FORMS = (b"multipart/form-data", b"application/x-www-form-urlencoded")
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    b"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY),
    (b"permissions-policy", b"camera=(self), microphone=(self), geolocation=()"),
]


class Guard:
    """ASGI middleware; ``admit`` raises `FullError` or `HTTPException` where a request cannot be taken now."""

    def __init__(self, app: Any, settings: ServerSettings, metrics: Metrics, admit: Callable[..., None]) -> None:
        self.app, self.settings, self.metrics, self.admit = app, settings, metrics, admit
        self.n_posts = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500
        limited = _Limited(receive, self.settings)
        is_post = scope["method"] == "POST"

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, limited.is_answered = message["status"], True
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
                if not limited.is_read and scope["method"] == "POST":  # what was not read is not waited for
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        self.n_posts += is_post
        try:
            refusal = self._refusal(scope, limited)
            if refusal is not None:
                await _answer(told, *refusal)
            else:
                await self.app(scope, limited.receive, told)
        except Exception as fault:  # what it says may hold content, which no log is for
            frame = traceback.extract_tb(fault.__traceback__)[-1]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            logger.error("a request failed: %s in %s", type(fault).__name__, where)
            if not limited.is_answered:
                await _answer(told, 500, FAULT, {})
        finally:
            self.n_posts -= is_post
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - begun)
            logger.info("%s %s %d %.0f ms", scope["method"], route, status, 1e3 * (time.monotonic() - begun))

    def _refusal(self, scope: Any, limited: "_Limited") -> tuple[int, str, dict[str, str]] | None:
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_FOLDERS)
        headers = dict(scope["headers"])
        if (stranger := self._stranger(headers)) is not None:
            return 403, stranger, {}
        if not is_open and not self._knows(headers.get(b"authorization", b"")):
            return 401, "a token is needed: send the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
        if scope["method"] != "POST" or path not in FORM_ROUTES:
            return None
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind not in FORMS:
            return 415, "send a form: multipart/form-data, or of text alone application/x-www-form-urlencoded", {}
        if kind == FORMS[1]:
            limited.take_at_most(LETTER_BYTES * self.settings.text_letters + FIELDS_BYTES)
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > limited.most_bytes):
            return 413, limited.too_large, {}
        try:
            if self.n_posts > 2 * self.settings.queue + self.settings.workers * self.settings.batch:
                raise FullError(1)
            self.admit(is_job=b"respond-async" in headers.get(b"prefer", b"").lower())
        except FullError as full:
            return 429, str(full), {"retry-after": str(full.seconds)}
        except HTTPException as error:
            return error.status_code, error.detail, dict(error.headers or {})
        return None

    def _stranger(self, headers: dict[bytes, bytes]) -> str | None:
        """Say whose page asks where no token tells friends from others: browsers let any page send a form to here."""
        if self.settings.token is not None or self.settings.host not in LOOPBACK:
            return None
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name(host) not in (*LOOPBACK, "[::1]"):
            return f"this service is for this machine alone; it is not called {host[:80]!r}"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host:
            return "pages of other sites may not use this service"
        if headers.get(b"sec-fetch-site") == b"cross-site" and headers.get(b"sec-fetch-mode") != b"navigate":
            return "pages of other sites may not use this service"
        return None

    def _knows(self, given: bytes) -> bool:
        token = self.settings.token
        if token is None:
            return True
        expected = b"Bearer " + token.get_secret_value().encode()
        return hmac.compare_digest(given, expected)


def _name(host: str) -> str:
    """The name in ``name:port``."""
    return host if host.endswith("]") else host.rpartition(":")[0] if ":" in host else host


class _Limited:
    """The body of a request, which ends with an error where it is too large or too slow."""

    def __init__(self, receive: Any, settings: ServerSettings) -> None:
        self._receive = receive
        self.take_at_most(round(settings.upload_mb * 1e6))
        self._seconds = settings.upload_seconds
        self._deadline = time.monotonic() + settings.upload_seconds
        self._n_bytes = 0
        self.is_read = self.is_answered = False

    def take_at_most(self, n_bytes: int) -> None:
        """Set how large it may be."""
        self.most_bytes = n_bytes
        self.too_large = f"larger than {n_bytes / 1e6:g} MB: cut it, or make it smaller"

    async def receive(self) -> Any:
        """The next part.

        Raises:
            HTTPException: If it is too much, or too late.
        """
        if self.is_read:  # nothing comes any more but word that the client is gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._deadline - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, f"the request did not arrive within {self._seconds:g} s") from None
        if message["type"] == "http.request":
            self._n_bytes += len(message.get("body", b""))
            self.is_read = not message.get("more_body", False)
            if self._n_bytes > self.most_bytes:
                raise HTTPException(413, self.too_large)
        return message


async def _answer(send: Any, status: int, told: str, headers: dict[str, str]) -> None:
    body = json.dumps({"error": told}).encode()
    given = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    given += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})
