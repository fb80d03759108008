"""Parts of the service by themselves: names of uploads, the table of jobs, a full disk, limits of memory."""

import asyncio
import errno
import io
import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emotiwave.errors import ConfigError, MediaError
from emotiwave.recognizer import Failed
from emotiwave.server.jobs import JobTable
from emotiwave.server.metrics import Metrics
from emotiwave.server.pool import FullError, WorkerPool
from emotiwave.server.settings import ServerSettings
from emotiwave.server.task import Outcome, Task
from emotiwave.server.ticket import Ticket
from emotiwave.server.uploads import cannot_store, new_id, save, shown_name
from emotiwave.server.worker import Answerer, number_of, without_paths
from tests.served import serving
from tests.test_cli import run


@pytest.mark.parametrize(
    ("field", "name", "content", "saved"),
    [
        ("video", "../../x.mp4", b"a", "video"),
        ("audio", "/etc/passwd", b"a", "audio"),
        ("transcript", "a.SRT", b"a", "transcript.srt"),
        ("transcript", "a.exe", b"\xef\xbb\xbfWEBVTT\n", "transcript.vtt"),
        ("transcript", None, b' {"words": []}', "transcript.json"),
        ("transcript", "a", b"1\n00:00:00,000 --> 00:00:01,000\nHi", "transcript.srt"),
        ("transcript", "a/../b.mp4", b"just words", "transcript.txt"),
    ],
)
def test_uploads_have_names_of_our_own(tmp_path: Path, field: str, name: str, content: bytes, saved: str) -> None:
    path = save(io.BytesIO(content), tmp_path, field, name)
    assert path == tmp_path / saved
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        save(io.BytesIO(content), tmp_path, field, name)


def test_what_is_told_back_of_a_name_is_harmless(tmp_path: Path) -> None:
    for name, told in (
        ("../../etc/passwd", "passwd"),
        ("C:\\clips\\me.mp4", "me.mp4"),
        ("..", "video"),
        ("", "video"),
        ("a" * 500, "a" * 80),
        ("evil\x1b[31m.mp4", "evil\\x1b[31m.mp4"),
    ):
        assert shown_name({"video": name}, None) == told
    assert shown_name({}, "words") == "text"
    with pytest.raises(MediaError, match="audio: is empty"):
        save(io.BytesIO(b""), tmp_path, "audio", None)
    task = Task("0" * 32, "analysis", "a", {"video": "/state/uploads/1/video"})
    assert without_paths("/state/uploads/1/video: damaged", task) == "video: damaged"


def test_ids_are_numbers_that_fit(tmp_path: Path) -> None:
    ids = {new_id() for _ in range(100)}
    assert len({number_of(one) for one in ids}) == 100
    assert all(0 < number_of(one) < 2**63 for one in ids)


def test_jobs_outlive_the_table_that_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    task = Task("a" * 32, "analysis", "clip.mp4", {"video": "/x"}, modalities=("text",), conditions=("noise:audio=1",))
    other = Task("b" * 32, "configurations", "text", text="My secret is 4711.")
    table = JobTable(path)
    table.add(task)
    table.add(other)
    table.finish(Outcome(other.id, {"decision": "fear"}))
    table.close()
    table = JobTable(path)
    assert [job.task for job in table.unfinished()] == [task]
    found = table.find(other.id)
    assert found is not None
    assert (found.status, found.result, found.task) == ("done", {"decision": "fear"}, None)
    assert b"4711" not in b"".join(file.read_bytes() for file in tmp_path.iterdir() if "wal" not in file.name)
    assert table.remove_older(1000) == 0
    assert table.remove_older(-1) == 1
    assert table.find(other.id) is None
    table.finish(Outcome(task.id, error="cancelled", status=499))
    cancelled = table.find(task.id)
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    table.close()
    assert b"4711" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_another_file_is_no_table_of_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"not a table" * 200)
    with pytest.raises(ConfigError, match="is no table of jobs"):
        JobTable(tmp_path / "jobs.sqlite")
    code, _, told = run(capsys, "serve", "--state", str(tmp_path), "--port", "0")
    assert (code, "is no table of jobs" in told.replace("\n", " ")) == (1, True)


def test_a_lack_of_room_is_known_however_deep() -> None:
    damaged = ValueError("damaged form")
    damaged.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert cannot_store(damaged)
    assert cannot_store(OSError(errno.EIO, "the table of jobs cannot be written"))
    assert not cannot_store(FileNotFoundError(errno.ENOENT, "gone"))


def test_a_full_disk_and_a_greedy_picture_are_told_and_survived(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="emotiwave[serve] is not installed")
    pytest.importorskip("emotiwave_weights_research", reason="emotiwave-weights-research is not installed")
    big = io.BytesIO()
    Image.fromarray(np.zeros((6500, 7000, 3), np.uint8)).save(big, "PNG")  # 136 MB when decoded
    options = ("--workers", "1", "--set", "memory_mb=300")
    with serving(tmp_path / "state", *options) as served, served.client() as client:
        answer = client.post("/v1/analyze", files={"image": ("big.png", big.getvalue())})
        assert answer.status_code == 422, answer.text
        assert "memory" in answer.json()["error"].lower()
        assert client.post("/v1/analyze", data={"text": "I am glad."}).json()["decision"] == "happiness"
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (2**20, 2**20))  # no file may be larger
        answer = client.post("/v1/analyze", files={"audio": ("a.wav", bytes(2**21))})
        assert (answer.status_code, "no room" in answer.json()["error"]) == (507, True), answer.text
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200
        assert not list((served.state / "uploads").iterdir())
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        answer = client.post("/v1/analyze", data={"text": "I am glad."}, headers={"Prefer": "respond-async"})
        assert (answer.status_code, "no room" in answer.json()["error"]) == (507, True), answer.text
        assert client.get("/healthz").status_code == 200


class Kept:
    """A recogniser that fails at some texts."""

    watch = None

    def analyze_each(self, clips: list, **_: object) -> list:
        return [Failed(clip.name, "ValueError: my secret") for clip in clips]

    def analyze(self, clip: object, **_: object) -> None:
        raise ValueError("my secret")


def test_a_fault_of_ours_tells_clients_nothing_of_it() -> None:
    answerer = Answerer(Kept(), 10.0, lambda message: None, SimpleNamespace(value=0))
    tasks = [Task(f"{k}" * 32, "analysis", "text", text="my secret") for k in range(3)]
    for outcomes in (answerer.answer(tasks), answerer.answer(tasks[:1])):
        for outcome in outcomes:
            assert (outcome.status, outcome.error) == (500, "a fault of the service; it was noted")
            assert outcome.fault == f"ValueError in {Path(__file__).name}, line {LINE}"


LINE = next(n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if 'raise ValueError("my' in line)


def pool_of(workers: int = 1) -> WorkerPool:
    pool = WorkerPool(ServerSettings(state=Path("/nowhere"), workers=workers, queue=2), Metrics())
    return pool


def ticket(number: int, *, is_job: bool, age: float = 0.0) -> Ticket:
    task = Task(f"{number:032x}", "analysis", "text", text="a")
    begun = time.monotonic() - age
    return Ticket(task, asyncio.get_running_loop().create_future(), begun=begun, is_job=is_job)


def test_nobody_waits_for_ever_and_no_queue_grows_for_ever() -> None:
    async def play() -> list[str]:
        pool = pool_of()
        worker: Any = SimpleNamespace(is_ready=True, tickets=[])
        pool._waiting.extend([ticket(1, is_job=True, age=99), ticket(2, is_job=True, age=98), ticket(3, is_job=False)])
        pool._waiting.append(ticket(4, is_job=False))
        with pytest.raises(FullError):
            pool.check_room()
        with pytest.raises(FullError):
            pool.check_room(is_job=True)
        taken = []
        pool.settings = pool.settings.model_copy(update={"batch": 1})
        while pool.n_waiting:
            taken += [one.task.id[-1] for one in await pool._take(worker)]
        return taken

    assert asyncio.run(play()) == ["1", "3", "2", "4"]
