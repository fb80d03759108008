"""A process that decodes and answers what others sent, within its own limits of memory; it trusts nothing."""

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

from emotiwave.errors import EmotiwaveError
from emotiwave.server.task import Outcome, Task

try:
    import resource
except ImportError:  # Windows
    resource = None

TOO_MUCH = "it needs more memory than a request has"
PROGRESS_STEP = 0.02
TOO_LONG = "lasts {seconds:,.0f} s; at most {limit:,.0f} s are taken: cut it, or give start and end"


class CancelledTask(BaseException):
    """Whoever asked is gone; no `Exception`, so that nothing takes it for damage of a file."""


def work(pipe: Connection, cancelled: Any, model: str | None, media_seconds: float, memory_mb: int) -> None:
    """Load the models and answer tasks until the pipe closes.

    What is sent: ``("ready", description)`` or ``("failed", why)``; then, of tasks that came, ``("begun",)``,
    ``("progress", id, share)`` and ``("outcome", Outcome)``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides, also on Ctrl-C in its terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes share the cores
    from emotiwave import api

    warnings.simplefilter("ignore")  # what is odd about a clip is in its answer
    try:
        recognizer = api.load(model)
        with suppress(EmotiwaveError):  # what is made when first needed is made now, and not in the first request
            recognizer.analyze(api.sample_clip())
    except EmotiwaveError as error:
        pipe.send(("failed", str(error)))
        return
    limit_memory(memory_mb)
    pipe.send(("ready", describe(recognizer)))
    answerer = Answerer(recognizer, media_seconds, lambda message: pipe.send(message), cancelled)
    with suppress(EOFError):
        while True:
            tasks = pipe.recv()
            pipe.send(("begun",))
            for outcome in answerer.answer(tasks):
                pipe.send(("outcome", outcome))


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more memory than it has, where the system can tell and hold that."""
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        taken = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
        limit = taken + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def describe(recognizer: Any) -> dict[str, Any]:
    """What ``GET /v1/models`` tells."""
    labels = recognizer.label_set
    return {
        "name": recognizer.name,
        "label_kind": labels.kind,
        "label_set": list(labels.names),
        "modalities": list(getattr(getattr(recognizer, "model", None), "modalities", ("text", "audio", "vision"))),
        "remarks": list(recognizer.remarks),
    }


class Answerer:
    """Answers tasks by a recogniser."""

    def __init__(
        self, recognizer: Any, media_seconds: float, send: Callable[[tuple[Any, ...]], None], cancelled: Any
    ) -> None:
        self.recognizer, self.media_seconds, self.send, self.cancelled = recognizer, media_seconds, send, cancelled

    def answer(self, tasks: list[Task]) -> list[Outcome]:
        """Answer tasks: one, or several texts together; one outcome each."""
        if len(tasks) > 1:
            try:
                return self._answer_texts(tasks)
            except Exception:  # whose fault it is shows when each is answered by itself
                return [self._outcome(task) for task in tasks]
        return [self._outcome(tasks[0])]

    def _outcome(self, task: Task) -> Outcome:
        try:
            with self._watched(task):
                return Outcome(task.id, self._answer(task))
        except CancelledTask:
            return Outcome(task.id, error="cancelled", status=499)
        except EmotiwaveError as error:
            return Outcome(task.id, error=without_paths(str(error), task), status=422)
        except MemoryError:
            return Outcome(task.id, error=TOO_MUCH, status=422)
        except Exception as unknown:
            if "allocate" in str(unknown):  # what torch says of too little memory
                return Outcome(task.id, error=TOO_MUCH, status=422)
            frame = traceback.extract_tb(unknown.__traceback__)[-1]
            where = f"{type(unknown).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
            return Outcome(task.id, error="a fault of the service; it was noted", status=500, fault=where)

    def _answer(self, task: Task) -> dict[str, Any]:
        clip = self._clip(task)
        self._check_length(task)
        if task.kind == "configurations":
            found = self.recognizer.analyze_configurations(clip, task.modalities)
            return {
                "configurations": {name: _described(analysis, task) for name, analysis in found.items()},
                "modalities": list(next(iter(found.values())).modalities),
            }
        return _described(self.recognizer.analyze(clip, modalities=task.modalities, explain=task.explain), task)

    def _answer_texts(self, tasks: list[Task]) -> list[Outcome]:
        clips = [self._clip(task) for task in tasks]
        found = self.recognizer.analyze_each(clips, modalities=tasks[0].modalities, explain=tasks[0].explain)
        return [  # one that failed by itself, which tells why
            self._outcome(task) if hasattr(one, "error") else Outcome(task.id, _described(one, task))
            for task, one in zip(tasks, found, strict=True)
        ]

    @staticmethod
    def _clip(task: Task) -> Any:
        from emotiwave.recognizer import make_clip

        return make_clip(
            **task.files,
            text=task.text,
            start=task.start,
            end=task.end,
            is_face=task.is_face,
            name=task.name,
            conditions=task.conditions,
        )

    def _check_length(self, task: Task) -> None:
        """Refuse what lasts too long before it is decoded.

        Raises:
            MediaError: If a file is none, or lasts too long.
        """
        from emotiwave.errors import MediaError
        from emotiwave.media.tracks import measure_duration

        for field in ("video", "audio"):
            if field in task.files:
                seconds = measure_duration(Path(task.files[field])) or 0.0
                asked = min(seconds, task.end or seconds) - (task.start or 0.0)
                if asked > self.media_seconds:
                    raise MediaError(f"{field}: {TOO_LONG.format(seconds=asked, limit=self.media_seconds)}")

    @contextmanager
    def _watched(self, task: Task) -> Iterator[None]:
        """Tell how far a clip was read, and stop where nobody waits for it any more."""
        from emotiwave.errors import MediaError
        from emotiwave.media.tracks import measure_duration

        seconds = 0.0
        if file := task.files.get("video") or task.files.get("audio"):
            with suppress(MediaError):
                seconds = measure_duration(Path(file)) or 0.0
        span = max(1e-9, min(seconds, task.end or seconds) - (task.start or 0.0))
        reached: dict[str, float] = {}
        told = 0.0

        def watch(modality: str, at: float) -> None:
            nonlocal told
            if self.cancelled.value == number_of(task.id):
                raise CancelledTask
            if at > self.media_seconds:  # whatever the file says of itself
                raise MediaError(f"lasts more than {self.media_seconds:,.0f} s: cut it, or give start and end")
            reached[modality] = at
            share = min(0.99, min(reached.values()) / span)
            if seconds and share >= told + PROGRESS_STEP:
                told = share
                self.send(("progress", task.id, share))

        self.recognizer.watch = watch
        try:
            yield
        finally:
            self.recognizer.watch = None


def number_of(task: str) -> int:
    """A number that stands for a task where only a number can."""
    return int(task[:12], 16)


def without_paths(told: str, task: Task) -> str:
    """Name fields where errors name files of the service."""
    for field, path in task.files.items():
        told = told.replace(path, field)
    return told


def _described(analysis: Any, task: Task) -> dict[str, Any]:
    if task.abstain_above is not None:
        analysis = analysis.abstaining(task.abstain_above)
    described = analysis.to_dict()
    if not task.timeline:
        described["timeline"] = []
    return _clean(described, task)


def _clean(value: Any, task: Task) -> Any:
    """Take the paths of the service out of everything that is told."""
    if isinstance(value, str):
        return without_paths(value, task)
    if isinstance(value, dict):
        return {key: _clean(one, task) for key, one in value.items()}
    if isinstance(value, list):
        return [_clean(one, task) for one in value]
    return value


def _die_with(parent: int) -> None:
    """End when the service is gone, however it went."""
    import time

    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
