"""The routes: forms in, JSON out; what is done with them is the service's."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, Header, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from emotiwave.analysis import Analysis
from emotiwave.errors import EmotiwaveError
from emotiwave.server.guard import Guard
from emotiwave.server.pool import FAULT, FullError
from emotiwave.server.service import CANNOT_STORE, Service
from emotiwave.server.settings import ServerSettings
from emotiwave.server.task import Kind, Outcome, Task
from emotiwave.server.uploads import cannot_store, new_id, save, shown_name

logger = logging.getLogger("emotiwave.server")
NO_ROOM = "there is no room for it on the disk of the service; try again later"
PAGES = {
    "/": ("page/index.html", "text/html; charset=utf-8"),
    "/page.js": ("page/page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page/page.css", "text/css; charset=utf-8"),
    "/favicon.svg": ("page/favicon.svg", "image/svg+xml"),
}
EXAMPLES = {"sample.mp4": "video/mp4", "sample.srt": "application/x-subrip"}


class Fault(BaseModel):
    """Every answer that is no success."""

    error: str = Field(examples=["video: no media file of a known format, or damaged at its start"])


class Accepted(BaseModel):
    """A job that is answered later."""

    job: str = Field(examples=["6f1d0c4be07c4a5d9a4c1f4b8a3d2e10"])
    status: Literal["queued"] = "queued"
    url: str = Field(examples=["/v1/jobs/6f1d0c4be07c4a5d9a4c1f4b8a3d2e10"])


class JobState(BaseModel):
    """A job: its ``result`` is what the request would have been answered."""

    job: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1, description="From 0 to 1.")
    created: float = Field(description="Seconds since 1970.")
    expires: float | None = Field(description="When the result is deleted; null while there is none.")
    result: dict[str, Any] | None
    error: str | None


class Configurations(BaseModel):
    """A clip as every configuration of its modalities answers it."""

    configurations: dict[str, Analysis]
    modalities: list[str]


class ModelDescription(BaseModel):
    """What answers."""

    name: str
    label_kind: str
    label_set: list[str]
    modalities: list[str]
    remarks: list[str]


class Health(BaseModel):
    """Whether the service is there."""

    status: Literal["ok", "ready", "loading", "stopping"]


FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"model": Fault, "description": "The form is damaged."},
    401: {"model": Fault, "description": "The token is missing or wrong."},
    408: {"model": Fault, "description": "The request came too slowly."},
    413: {"model": Fault, "description": "The request is too large."},
    415: {"model": Fault, "description": "The request is no form."},
    422: {"model": Fault, "description": "What was sent cannot be analysed; the error says why."},
    429: {"model": Fault, "description": "Too many requests wait; Retry-After says when to come again."},
    503: {"model": Fault, "description": "The service is stopping."},
    403: {"model": Fault, "description": "A page of another site asks."},
    507: {"model": Fault, "description": "The disk is full."},
}
LATER: dict[int | str, dict[str, Any]] = {202: {"model": Accepted, "description": "It is answered later, at this url."}}
NOT_THERE: dict[int | str, dict[str, Any]] = {401: FAULTS[401], 404: {"model": Fault, "description": "No such job."}}


class Clip:
    """The form of a clip; any combination of its signals, at least one."""

    def __init__(
        self,
        video: Annotated[UploadFile | None, File(description="Pictures and sound, and perhaps subtitles.")] = None,
        audio: Annotated[UploadFile | None, File(description="Sound, instead of the video's.")] = None,
        image: Annotated[UploadFile | None, File(description="A photo, instead of the video's pictures.")] = None,
        transcript: Annotated[UploadFile | None, File(description="What is said: .srt, .vtt, .json or .txt.")] = None,
        text: Annotated[str | None, Form(description="What is written or said.", examples=["I won!"])] = None,
        modalities: Annotated[
            str | None, Form(description="Listen to these only.", examples=["text,audio"], max_length=200)
        ] = None,
        timeline: Annotated[bool, Form(description="Tell what is expressed when.")] = True,
        explain: Annotated[bool, Form(description="Tell more of why, which takes longer.")] = False,
        start: Annotated[float | None, Form(ge=0, allow_inf_nan=False, description="Second to begin at.")] = None,
        end: Annotated[float | None, Form(ge=0, allow_inf_nan=False, description="Second to end at.")] = None,
        face: Annotated[bool, Form(description="The photo is a face that was cut out already.")] = False,
        abstain_above: Annotated[
            float | None, Form(gt=0, lt=1, description="Say 'not sure' where more than this share is wrong.")
        ] = None,
        condition: Annotated[
            list[str] | None,
            Form(description="Spoil the clip first.", examples=[["noise:audio=0.5"]], max_length=8),
        ] = None,
    ) -> None:
        found = {"video": video, "audio": audio, "image": image, "transcript": transcript}
        self.files = {name: upload for name, upload in found.items() if upload is not None}
        self.text, self.modalities, self.timeline, self.explain = text, modalities, timeline, explain
        self.start, self.end, self.face, self.abstain_above = start, end, face, abstain_above
        self.conditions = tuple(condition or ())


ClipForm = Annotated[Clip, Depends(Clip)]
Prefer = Annotated[str | None, Header(description="respond-async: be answered later, by a job.", max_length=200)]


def make_app(settings: ServerSettings) -> FastAPI:
    """Make the application; its service is ``app.state.service``.

    Raises:
        ConfigError: If its folder cannot be used.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.begin()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Emotiwave",
        summary="What is expressed in a face, a voice and words, how sure that is, from which signal, and when.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    app.state.service = service
    _add_errors(app)
    _add_analysis(app, service)
    _add_jobs(app, service)
    _add_state(app, service)
    _add_page(app)
    app.add_middleware(Guard, settings=settings, metrics=service.metrics, admit=service.admit)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def told(_: Request, error: HTTPException) -> JSONResponse:
        if cannot_store(error):
            return _fault(CANNOT_STORE, NO_ROOM)
        detail = error.detail if isinstance(error.detail, str) else json.dumps(error.detail)
        return _fault(error.status_code, detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "path", "query", "header"))
        return _fault(422, f"{where or 'form'}: {first['msg']}")

    @app.exception_handler(FullError)
    async def full(_: Request, error: FullError) -> JSONResponse:
        return _fault(429, str(error), {"Retry-After": str(error.seconds)})

    @app.exception_handler(OSError)
    async def disk(_: Request, error: OSError) -> JSONResponse:
        if not cannot_store(error):
            logger.error("a request failed: %s", type(error).__name__)
            return _fault(500, FAULT)
        return _fault(CANNOT_STORE, NO_ROOM)


def _add_analysis(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/analyze",
        response_model=Analysis,
        responses={**LATER, **FAULTS},
        summary="What is expressed in a clip, a voice, a photo or a sentence.",
    )
    async def analyze(request: Request, clip: ClipForm, prefer: Prefer = None) -> Response:
        return await _answered(service, request, clip, "analysis", prefer)

    @app.post(
        "/v1/configurations",
        response_model=Configurations,
        responses={**LATER, **FAULTS},
        summary="The same, as every combination of its modalities answers it.",
    )
    async def configurations(request: Request, clip: ClipForm, prefer: Prefer = None) -> Response:
        return await _answered(service, request, clip, "configurations", prefer)


def _add_jobs(app: FastAPI, service: Service) -> None:
    @app.get("/v1/jobs/{job}", responses=NOT_THERE, summary="How far a job is, and its result.")
    async def find(job: str) -> JobState:
        found = await asyncio.to_thread(service.find, job)
        if found is None:
            raise HTTPException(404, "there is no such job; results are deleted after a while")
        row, progress = found
        expires = None if row.finished is None else row.finished + service.settings.keep_seconds
        return JobState(
            job=row.id,
            status=row.status,
            progress=progress,
            created=row.created,
            expires=expires,
            result=row.result,
            error=row.error,
        )

    @app.delete("/v1/jobs/{job}", status_code=204, responses=NOT_THERE, summary="Stop a job, and delete its result.")
    async def remove(job: str) -> None:
        if not await asyncio.to_thread(service.find, job) or not service.remove(job):
            raise HTTPException(404, "there is no such job; results are deleted after a while")


def _add_state(app: FastAPI, service: Service) -> None:
    unready: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Not yet, or no longer."}}

    @app.get("/v1/models", responses={401: FAULTS[401], 503: FAULTS[503]}, summary="What answers.")
    async def models() -> list[ModelDescription]:
        if service.pool.description is None:
            raise HTTPException(503, "the models are being read; try again soon", {"Retry-After": "5"})
        return [ModelDescription.model_validate(service.pool.description)]

    @app.get("/healthz", summary="Whether the service is there.")
    async def health() -> Health:
        return Health(status="ok")

    @app.get("/readyz", response_model=Health, responses=unready, summary="Whether it can answer.")
    async def ready() -> JSONResponse:
        stopping = service.is_stopping.is_set()
        status = "stopping" if stopping else "ready" if service.pool.is_ready else "loading"
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses={401: FAULTS[401]},
        summary="What was counted, for Prometheus.",
    )
    async def metrics() -> Response:
        service.metrics.waiting.set(service.pool.n_waiting)
        service.metrics.running.set(service.pool.n_running)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    folder = files("emotiwave.server")

    def serve(name: str, media_type: str) -> Any:
        async def page() -> Response:
            return Response(folder.joinpath(name).read_bytes(), media_type=media_type)

        return page

    for path, (name, media_type) in PAGES.items():
        app.get(path, include_in_schema=False)(serve(name, media_type))
    for name, media_type in EXAMPLES.items():
        app.get(f"/examples/{name}", include_in_schema=False)(serve(f"../sample/{name}", media_type))


async def _answered(service: Service, request: Request, clip: Clip, kind: Kind, prefer: str | None) -> Response:
    """Save what was sent, let it be answered, and clean up."""
    task = new_id()
    is_kept = False
    try:
        asked = await asyncio.to_thread(_receive, service, clip, kind, task)
        if prefer is not None and "respond-async" in prefer.lower():
            await service.accept(asked)
            is_kept = True
            return _later(task)
        outcome = await service.answer(asked, request.is_disconnected)
        is_kept = outcome is None
        return _later(task) if outcome is None else _told(outcome)
    except EmotiwaveError as error:
        return _fault(422, str(error))
    finally:
        if not is_kept:
            await asyncio.to_thread(service.forget_files, task)


def _receive(service: Service, clip: Clip, kind: Kind, task: str) -> Task:
    """Make a task of a form.

    Raises:
        EmotiwaveError: If something of it cannot be taken.
        HTTPException: Likewise.
        OSError: If an upload cannot be written.
    """
    names = {field: upload.filename for field, upload in clip.files.items()}
    if clip.text is not None and len(clip.text) > service.settings.text_letters:
        raise HTTPException(413, f"text: more than {service.settings.text_letters:,} letters; send them in parts")
    if any("@" in condition or len(condition) > 100 for condition in clip.conditions):
        raise HTTPException(422, "condition: those with a file are not taken")
    if not clip.files and clip.text is None:
        raise HTTPException(422, "nothing to analyse; send video, audio, image, text or transcript")
    if clip.text is not None and "transcript" in clip.files:
        raise HTTPException(422, "text and transcript are both given; send one of them")
    if kind == "configurations" and clip.explain:
        raise HTTPException(422, "explain: is of /v1/analyze")
    folder = service.folder_for(task)
    paths = {field: str(save(upload.file, folder, field, upload.filename)) for field, upload in clip.files.items()}
    if "transcript" in paths and os.path.getsize(paths["transcript"]) > service.settings.transcript_mb * 1e6:
        raise HTTPException(413, f"transcript: larger than {service.settings.transcript_mb:g} MB: cut it")
    asked = None if clip.modalities is None else tuple(n.strip() for n in clip.modalities.split(",") if n.strip())
    return Task(
        id=task,
        kind=kind,
        name=shown_name(names, clip.text),
        files=paths,
        text=clip.text,
        modalities=asked,
        explain=clip.explain,
        timeline=clip.timeline,
        start=clip.start,
        end=clip.end,
        is_face=clip.face,
        abstain_above=clip.abstain_above,
        conditions=clip.conditions,
    )


def _told(outcome: Outcome) -> Response:
    if outcome.error is None:
        return JSONResponse(outcome.result)
    return _fault(outcome.status, outcome.error)


def _later(task: str) -> JSONResponse:
    url = f"/v1/jobs/{task}"
    return JSONResponse({"job": task, "status": "queued", "url": url}, 202, {"Location": url, "Retry-After": "1"})


def _fault(status: int, told: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": told}, status, headers)
