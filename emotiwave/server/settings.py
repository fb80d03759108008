"""What may be set of the service: where it listens, what it takes, how long it keeps things."""

import os
from pathlib import Path

from pydantic import Field, SecretStr

from emotiwave.settings import AbsolutePath, Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ServerSettings(Settings):
    """Settings of `emotiwave serve`; limits hold before anything is decoded."""

    host: str = "127.0.0.1"
    """Where it listens: this machine alone by default."""
    port: int = Field(default=8000, ge=0, le=65535)
    model: str | None = None
    """A run of media, its name on the Hub, or a folder of weights of experts; the installed experts by default."""
    token: SecretStr | None = None
    """What requests must bring as ``Authorization: Bearer ...``; nothing by default."""
    state: AbsolutePath
    """A folder of its own for jobs and what is uploaded."""
    workers: int = Field(default=min(2, os.cpu_count() or 1), ge=1, le=64)
    """Processes that decode and answer, each with the models in its memory."""
    queue: int = Field(default=32, ge=1, le=10_000)
    """Requests that may wait; one more is told to come again later."""
    batch: int = Field(default=16, ge=1, le=256)
    """Texts that are answered together, if so many wait."""
    upload_mb: float = Field(default=200, gt=0)
    """Megabytes of one request, all files together."""
    upload_seconds: float = Field(default=60, gt=0)
    """Within which a request must have arrived."""
    idle_seconds: float = Field(default=15, gt=0)
    """How long a connection may stay open on which nothing is asked."""
    text_letters: int = Field(default=20_000, ge=1)
    transcript_mb: float = Field(default=1, gt=0)
    media_seconds: float = Field(default=3600, gt=0)
    """How long sound and video may last."""
    wait_seconds: float = Field(default=20, gt=0)
    """How long a request waits for its answer; one that takes longer is told where its job is."""
    run_seconds: float = Field(default=900, gt=0)
    """How long a process may work on a request before it is replaced."""
    memory_mb: int = Field(default=1500, ge=300)
    """That a process may take for a request, beside its models; what wants more fails."""
    keep_seconds: float = Field(default=3600, gt=0)
    """How long the result of a job is kept."""
    grace_seconds: float = Field(default=30, ge=0)
    """How long running requests are waited for when the service is stopped."""

    @property
    def uploads(self) -> Path:
        """Where uploads lie until they are answered."""
        return self.state / "uploads"

    @property
    def is_open(self) -> bool:
        """Whether others than this machine can reach it without a token."""
        return self.host not in LOOPBACK and self.token is None
