"""A service on this machine for tests, in a process of its own, as a user would run it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ADDRESS = re.compile(r"(http://\S+)  \(Ctrl-C")
TOKEN = "a-token-for-tests-only-0123456789"


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    address: str
    state: Path
    log: Path

    def client(self, **how: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60, trust_env=False, **how)

    def workers(self) -> list[int]:
        """Processes that answer: those that hold models."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        pids = [int(pid) for pid in found.stdout.split()]
        return [pid for pid in pids if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def counted(self, name: str, token: str | None = None) -> float:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with self.client() as client:
            text = client.get("/metrics", headers=headers).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


@contextmanager
def serving(state: Path, *options: str, token: str | None = None, wait: bool = True) -> Iterator[Served]:
    """Run `emotiwave serve` until the block ends."""
    environment = {**os.environ, "EMOTIWAVE_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("EMOTIWAVE_TOKEN", None)
    if token is not None:
        environment["EMOTIWAVE_TOKEN"] = token
    state.mkdir(parents=True, exist_ok=True)
    log = state.with_suffix(".log")
    n_before = len(log.read_text()) if log.exists() else 0
    with log.open("a") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "emotiwave", "serve", "--port", "0", "--state", str(state), *options],
            stderr=out,
            stdout=out,
            text=True,
            env=environment,
        )
    try:
        address = until(lambda: ADDRESS.search(log.read_text(), n_before), 60, process)[1]
        served = Served(process, address, state, log)
        if wait:
            until(lambda: httpx.get(f"{address}/readyz", trust_env=False).status_code == 200 or None, 120, process)
        yield served
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def until(find: Any, seconds: float, process: subprocess.Popen[str] | None = None) -> Any:
    """Wait until something is found that is not None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := find()) is not None:
            return found
        assert process is None or process.poll() is None, "the service ended"
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def job_of(client: httpx.Client, answer: httpx.Response, seconds: float = 90) -> dict[str, Any]:
    """Wait for the end of a job."""
    assert answer.status_code == 202, answer.text
    url = answer.json()["url"]
    assert answer.headers["location"] == url

    def ended() -> dict[str, Any] | None:
        found = client.get(url).json()
        return found if found["status"] not in ("queued", "running") else None

    return until(ended, seconds)
