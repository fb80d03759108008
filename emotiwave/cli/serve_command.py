"""The command `emotiwave serve`: the service and its page."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from pydantic import SecretStr, ValidationError

from emotiwave.cli.screen import stderr
from emotiwave.errors import ConfigError, MissingExtraError, printable

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
TOKEN = "EMOTIWAVE_TOKEN"


def serve(
    model: Annotated[
        str | None,
        typer.Argument(help="A run trained on media, or OWNER/NAME of the Hub; the installed experts by default."),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 is everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the token that requests must bring; or set {TOKEN}.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer, at most one per core is of use.")] = None,
    state: Annotated[Path | None, typer.Option(help="A folder of its own, for jobs and uploads.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another limit: queue, batch, upload_mb, upload_seconds, text_letters, media_seconds, wait_seconds, "
            "idle_seconds, run_seconds, transcript_mb, memory_mb, keep_seconds, grace_seconds (repeat).",
        ),
    ] = None,
) -> None:
    """Serve answers over HTTP, and a page that shows them: upload, record, switch a modality off and see.

    It listens on this machine alone unless told otherwise. SIGTERM or Ctrl-C ends it after what it is at; accepted jobs
    that are not done are gone on with at the next start.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"serving needs {', '.join(missing)}; install emotiwave[serve]")
    from emotiwave.server.run import run
    from emotiwave.server.settings import ServerSettings

    given: dict[str, Any] = {"model": model, "host": host, "port": port, "token": _token(token_file)}
    given["state"] = state or platformdirs.user_state_path("emotiwave", appauthor=False) / f"service-{port}"
    if workers is not None:
        given["workers"] = workers
    for pair in settings or ():
        key, sign, value = pair.partition("=")
        if not sign or key not in ServerSettings.model_fields or key in given:
            known = ", ".join(name for name in ServerSettings.model_fields if name not in given)
            raise ConfigError(f"--set takes KEY=VALUE with a key of {known}; got {pair!r}")
        given[key] = value
    try:
        chosen = ServerSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if chosen.is_open:
        stderr.print(
            f"Whoever reaches {printable(host)} can use this: set {TOKEN} or --token-file, and put HTTPS before it.",
            style="yellow",
            highlight=False,
        )

    def told(address: str) -> None:
        stderr.print(f"{address}  (Ctrl-C ends it; the models take some seconds)", highlight=False, soft_wrap=True)

    run(chosen, told)


def _token(file: Path | None) -> SecretStr | None:
    """Read the token.

    Raises:
        ConfigError: If it cannot be read, or is no token.
    """
    if file is not None:
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read as a token ({error}); expected one line of ASCII") from None
    elif TOKEN in os.environ:
        token = os.environ.pop(TOKEN).strip()
    else:
        return None
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            "a token has 16 or more printable ASCII characters and no space; make one with: openssl rand -hex 24"
        )
    return SecretStr(token)
