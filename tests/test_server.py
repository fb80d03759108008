"""The service as its users meet it: right input, wrong input, limits, faults; nothing accepted is lost."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import jsonschema
import numpy as np
import pytest

from emotiwave.analysis import json_schema
from tests.made_media import write_sound
from tests.served import TOKEN, Served, job_of, serving, until
from tests.test_cli import run

pytest.importorskip("fastapi", reason="emotiwave[serve] is not installed")
pytest.importorskip("emotiwave_weights_research", reason="emotiwave-weights-research is not installed")
SAMPLE = Path(__file__).parents[1] / "emotiwave" / "sample"
RATE = 16_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = tmp_path_factory.mktemp("served") / "state"
    limits = (
        "upload_mb=30",
        "media_seconds=1200",
        "upload_seconds=3",
        "queue=8",
        "text_letters=2000",
        "idle_seconds=4",
    )
    with serving(state, "--workers", "1", *(part for one in limits for part in ("--set", one))) as found:
        yield found


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes, which take a while."""
    path = tmp_path_factory.mktemp("voice") / "long.wav"
    times = np.arange(240 * RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 180 * times) * (1 + np.sin(2 * np.pi * 3 * times))
    write_sound(path, (tone + 0.01 * np.random.default_rng(0).standard_normal(len(times))).astype(np.float32))
    return path


def write_silence(path: Path, seconds: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8000, layout="mono")
        for second in range(0, seconds, 60):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * 60), np.int16), format="s16", layout="mono")
            frame.rate, frame.pts = 8000, 8000 * second
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def clip() -> dict[str, tuple[str, bytes]]:
    return {name: (f"sample{suffix}", (SAMPLE / f"sample{suffix}").read_bytes()) for name, suffix in KINDS}


KINDS = (("video", ".mp4"), ("transcript", ".srt"))


def test_the_answer_is_that_of_the_command_line(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    with served.client() as client:
        answer = client.post("/v1/analyze", files=clip(), data={"explain": "true"})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        jsonschema.validate(found, json_schema())
        code, out, _ = run(capsys, "analyze", "--sample", "--json")
        assert code == 0
        expected = json.loads(out)
        assert found["decision"] == expected["decision"] == "happiness"
        for name, value in expected["emotions"].items():
            assert found["emotions"][name] == pytest.approx(value, abs=1e-4)
        assert {m: use["used"] for m, use in found["modalities"].items()} == dict.fromkeys(
            ("text", "audio", "vision"), True
        )
        assert len(found["explanation"]["attributions"]) == 3
        less = client.post("/v1/analyze", files=clip(), data={"modalities": "text, audio", "timeline": "false"}).json()
        assert set(less["modalities"]) == {"text", "audio"}
        assert less["timeline"] == []
        assert found["timeline"]


def test_every_configuration_is_answered(served: Served) -> None:
    with served.client() as client:
        found = client.post("/v1/configurations", files=clip()).json()["configurations"]
        names = {"text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"}
        assert set(found) == names
        for name in ("text", "text+audio"):
            alone = client.post("/v1/analyze", files=clip(), data={"modalities": name.replace("+", ",")}).json()
            assert found[name]["emotions"] == pytest.approx(alone["emotions"], abs=1e-4)
        worse = client.post(
            "/v1/configurations", files=clip(), data={"condition": ["darkness:vision=1", "noise:audio=2"]}
        ).json()["configurations"]
        assert "dark" in worse["text+audio+vision"]["modalities"]["vision"]["reason"]
        assert worse["text"]["emotions"] == pytest.approx(found["text"]["emotions"], abs=1e-4)
        assert worse["text+audio+vision"]["warnings"][0] == "spoiled before anything looked at it: darkness:vision=1"


def test_a_sentence_by_a_plain_form(served: Served) -> None:
    with served.client() as client:
        answer = client.post("/v1/analyze", data={"text": "I am so happy for you!"})
        assert (answer.status_code, answer.json()["decision"]) == (200, "happiness")
        assert answer.headers["x-content-type-options"] == "nosniff"
        (model,) = client.get("/v1/models").json()
        assert model["label_set"] == answer.json()["label_set"]
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/", headers={"Accept": "text/html"}).status_code == 200


def test_texts_that_come_at_once_are_answered_together(served: Served) -> None:
    texts = [f"This is what I was told, number {k}." for k in range(8)]
    before = served.counted("emotiwave_batch_size_count"), served.counted("emotiwave_batch_size_sum")
    with served.client() as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: client.post("/v1/analyze", data={"text": text}).json(), texts))
        alone = [client.post("/v1/analyze", data={"text": text}).json() for text in texts[:2]]
    for one, other in zip(alone, answers[:2], strict=True):
        assert one["emotions"] == pytest.approx(other["emotions"], abs=1e-4)
    n_batches = served.counted("emotiwave_batch_size_count") - before[0]
    n_texts = served.counted("emotiwave_batch_size_sum") - before[1]
    assert n_texts == len(texts) + 2
    assert n_batches < n_texts


@pytest.mark.parametrize(
    ("files", "data", "status", "told"),
    [
        ({"video": ("a.mp4", b"")}, {}, 422, "video: is empty"),
        ({"video": ("../../etc/passwd", b"root:x:0:0")}, {}, 422, "video: no media file of a known format"),
        ({"image": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(50))}, {}, 422, "image"),
        ({"audio": ("a.wav", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")}, {}, 422, "audio"),
        ({"transcript": ("t.json", b'{"words": [{"text": "a", "start": NaN, "end": 1}]}')}, {}, 422, "transcript"),
        ({}, {}, 422, "nothing to analyse"),
        ({}, {"text": "a", "start": "nan"}, 422, "start"),
        ({}, {"text": "a", "modalities": "smell"}, 422, "smell"),
        ({}, {"text": "a", "condition": "room:audio@/etc/passwd=1"}, 422, "those with a file are not taken"),
        ({}, {"text": "a", "condition": "missing=0.1"}, 422, "is not of a clip"),
        ({}, {"text": "a" * 2001}, 413, "more than 2,000 letters"),
        ({}, {"text": "a", "abstain_above": "2"}, 422, "abstain_above"),
    ],
)
def test_wrong_input_is_told(served: Served, files: dict, data: dict, status: int, told: str) -> None:
    with served.client() as client:
        answer = client.post("/v1/analyze", files=files or None, data=data or {"explain": "false"})
    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]
    for hidden in (str(served.state), "Traceback", "root:x"):
        assert hidden not in answer.text
    assert not list((served.state / "uploads").iterdir())


def test_a_zip_bomb_a_polyglot_and_a_long_silence_are_refused(served: Served, tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(20_000_000))
    hours = tmp_path / "hours.flac"
    write_silence(hours, 36_000)
    polyglot = (SAMPLE / "sample.srt").read_bytes() + bomb.getvalue()
    with served.client() as client:
        for name, content in (("video", bomb.getvalue()), ("video", polyglot), ("image", polyglot)):
            answer = client.post("/v1/analyze", files={name: ("a.mp4", content)})
            assert answer.status_code == 422, answer.text
        begun = time.monotonic()
        answer = client.post("/v1/analyze", files={"audio": ("a.flac", hours.read_bytes())})
        assert answer.status_code == 422
        assert "lasts 36,000 s; at most 1,200 s are taken" in answer.json()["error"]
        assert time.monotonic() - begun < 20


def test_too_much_and_too_slow_are_refused_before_they_are_read(served: Served) -> None:
    host, port = served.address.removeprefix("http://").split(":")
    with served.client() as client:
        assert client.post("/v1/analyze", json={"text": "a"}).status_code == 415
    with socket.create_connection((host, int(port))) as link:  # two gigabytes are said to come
        link.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: [::1]\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                     b"Content-Length: 2000000000\r\n\r\n")  # fmt: skip
        assert b" 413 " in link.recv(200).splitlines()[0]
    with socket.create_connection((host, int(port))) as link:  # nothing is said of how much comes
        link.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: [::1]\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        head = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n'
        link.sendall(b"%x\r\n%s\r\n" % (len(head), head))
        chunk = b"%x\r\n%s\r\n" % (2**20, bytes(2**20))
        try:
            for _ in range(40):
                link.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused in the middle, which is the point
        with contextlib.suppress(ConnectionResetError):  # of what was sent after that
            assert b" 413 " in link.recv(200).splitlines()[0]
    begun = time.monotonic()
    with socket.create_connection((host, int(port))) as link:  # a byte now and then
        link.sendall(b"POST /v1/analyze HTTP/1.1\r\nHost: [::1]\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                     b"Content-Length: 1000\r\n\r\n")  # fmt: skip
        link.settimeout(20)
        assert b" 408 " in link.recv(200).splitlines()[0]
    assert 2 < time.monotonic() - begun < 10
    until(lambda: None if list((served.state / "uploads").iterdir()) else True, 10)


def test_connections_that_say_nothing_more_are_closed(served: Served) -> None:
    """Those who ask once, or begin to ask, and then keep the line, do not keep others out."""
    host, port = served.address.removeprefix("http://").split(":")
    links: list[socket.socket] = []
    try:
        with contextlib.suppress(OSError):  # so many as this process may have
            while len(links) < 1000:
                links.append(socket.create_connection((host, int(port)), timeout=40))
        assert len(links) > 600  # more than the service takes at once
        for number, link in enumerate(links):
            with contextlib.suppress(OSError):  # those above the limit are told so, and closed
                link.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" if number >= 600 else b"GET /hea")
        begun = time.monotonic()
        with served.client() as client:

            def answers() -> bool | None:
                try:
                    return client.get("/readyz").status_code == 200 or None
                except httpx.HTTPError:
                    return None

            assert until(answers, 40)
        for link in links:  # a letter now and then is no request
            with contextlib.suppress(OSError):
                link.sendall(b"G")
        assert time.monotonic() - begun < 40
    finally:
        for link in links:
            link.close()


def test_pages_of_other_sites_cannot_use_it(served: Served) -> None:
    with served.client() as client:
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        ):
            answer = client.post("/v1/analyze", data={"text": "I am glad."}, headers=headers)
            assert (answer.status_code, list(answer.json())) == (403, ["error"])
        own = {"Origin": served.address, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/v1/analyze", data={"text": "I am glad."}, headers=own).status_code == 200


def test_a_bad_text_fails_by_itself(served: Served, voice: Path) -> None:
    with served.client() as client, ThreadPoolExecutor(8) as pool:
        busy = client.post(
            "/v1/analyze",
            files={"audio": ("long.wav", voice.read_bytes())},
            data={"end": "40"},
            headers={"Prefer": "respond-async"},
        )
        until(lambda: client.get(busy.json()["url"]).json()["status"] == "running" or None, 20)
        forms = [{"text": f"I am glad, for the {k}th time."} for k in range(4)] + [{"text": "I am glad.", "start": "5"}]
        statuses = list(pool.map(lambda form: client.post("/v1/analyze", data=form).status_code, forms))
        assert statuses == [200] * 4 + [422]
        job_of(client, busy)


def test_the_length_that_a_file_states_is_not_believed(served: Served, tmp_path: Path) -> None:
    write_silence(tmp_path / "hours.flac", 7200)
    content = bytearray((tmp_path / "hours.flac").read_bytes())
    assert content[:4] == b"fLaC"
    # total samples: the last 36 of the 64 bits that begin 18 bytes in
    content[21:26] = bytes([content[21] & 0xF0]) + (8000).to_bytes(4, "big")
    with served.client() as client:
        answer = client.post("/v1/analyze", files={"audio": ("a.flac", bytes(content))})
        if answer.status_code == 202:
            found = job_of(client, answer)
            assert "lasts more than 1,200 s" in found["error"]
        else:
            assert (answer.status_code, "lasts more than 1,200 s" in answer.json()["error"]) == (422, True), answer.text


def test_what_does_not_stop_is_ended(served: Served) -> None:
    words = " ".join(["again and again the same thing was said"] * 20_000).encode()
    with served.client() as client:
        answer = client.post("/v1/analyze", files={"transcript": ("a.txt", words)}, headers={"Prefer": "respond-async"})
        until(lambda: client.get(answer.json()["url"]).json()["status"] == "running" or None, 20)
        assert client.delete(answer.json()["url"]).status_code == 204
        until(lambda: served.counted("emotiwave_running ") == 0 or None, 10)
        assert client.post("/v1/analyze", files={"transcript": ("a.txt", words * 2)}).status_code == 413
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200


def test_a_job_tells_how_far_it_is_and_is_gone_when_deleted(served: Served, voice: Path) -> None:
    with served.client() as client:
        answer = client.post(
            "/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())}, headers={"Prefer": "respond-async"}
        )
        url = answer.json()["url"]
        seen = []

        def ended() -> str | None:
            found = client.get(url).json()
            seen.append(found["progress"])
            return None if found["status"] in ("queued", "running") else found["status"]

        assert until(ended, 120) == "done"
        assert seen == sorted(seen)
        assert any(0 < share < 1 for share in seen)
        found = client.get(url).json()
        jsonschema.validate(found["result"], json_schema())
        assert found["expires"] > time.time()
        assert not list((served.state / "uploads").iterdir())
        assert client.delete(url).status_code == 204
        assert client.get(url).status_code == client.delete(url).status_code == 404
        answer = client.post(
            "/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())}, headers={"Prefer": "respond-async"}
        )
        until(lambda: client.get(answer.json()["url"]).json()["status"] == "running" or None, 20)
        assert client.delete(answer.json()["url"]).status_code == 204
        until(lambda: served.counted("emotiwave_running ") == 0 or None, 20)


def test_a_client_that_leaves_is_not_worked_for(served: Served, voice: Path) -> None:
    with served.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())}, timeout=httpx.Timeout(30, read=1.5)
        )
    until(lambda: served.counted("emotiwave_running ") == 0 or None, 10)
    until(lambda: None if list((served.state / "uploads").iterdir()) else True, 10)


def test_a_killed_process_is_replaced_and_its_request_reported(served: Served, voice: Path) -> None:
    with served.client() as client:
        answer = client.post(
            "/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())}, headers={"Prefer": "respond-async"}
        )
        until(lambda: client.get(answer.json()["url"]).json()["status"] == "running" or None, 20)
        (worker,) = served.workers()
        os.kill(worker, signal.SIGKILL)
        found = job_of(client, answer)
        assert (found["status"], "the process that read it died" in found["error"]) == ("failed", True)
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200  # when it is ready again
        assert served.workers() != [worker]


def test_a_process_that_died_idle_costs_nobody_an_answer(served: Served) -> None:
    with served.client() as client:
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200
        (worker,) = served.workers()
        os.kill(worker, signal.SIGKILL)
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200


def test_who_waits_is_answered_before_jobs(served: Served, voice: Path) -> None:
    with served.client() as client:
        jobs = [
            client.post(
                "/v1/analyze",
                files={"audio": ("long.wav", voice.read_bytes())},
                data={"end": "60"},
                headers={"Prefer": "respond-async"},
            ).json()["url"]
            for _ in range(3)
        ]
        assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200
        states = [client.get(url).json()["status"] for url in jobs]
        assert states[-1] == "queued"
        for url in jobs:
            client.delete(url)


def test_a_full_queue_says_when_to_come_again(served: Served, voice: Path) -> None:
    with served.client() as client:
        given = []
        while len(given) < 12:
            answer = client.post(
                "/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())}, headers={"Prefer": "respond-async"}
            )
            given.append(answer)
            if answer.status_code == 429:
                break
        assert given[-1].status_code == 429
        assert int(given[-1].headers["retry-after"]) >= 1
        assert len(given) in (9, 10)  # eight wait, one runs
        for answer in given[:-1]:
            assert client.delete(answer.json()["url"]).status_code == 204
        until(lambda: served.counted("emotiwave_running ") == 0 or None, 20)


def test_without_the_token_nothing_is_answered(tmp_path: Path, voice: Path) -> None:
    """One service with a token, little memory of time, and short patience: what breaks a limit is told."""
    options = ("--workers", "1", "--set", "run_seconds=2", "--set", "wait_seconds=1", "--set", "keep_seconds=4")
    with serving(tmp_path / "state", *options, token=TOKEN) as served:
        with served.client() as client:
            for given in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": TOKEN},
                {"Authorization": "Bearer é"},
            ):
                for answer in (
                    client.post("/v1/analyze", data={"text": "a"}, headers={k: v.encode() for k, v in given.items()}),
                    client.get("/v1/models", headers={k: v.encode() for k, v in given.items()}),
                    client.get("/metrics", headers={k: v.encode() for k, v in given.items()}),
                ):
                    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert client.get("/readyz").status_code == 200
        with served.client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            assert client.post("/v1/analyze", data={"text": "I am glad."}).status_code == 200
            found = job_of(
                client, client.post("/v1/analyze", files={"audio": ("long.wav", voice.read_bytes())})
            )  # after a second
            assert (found["status"], found["error"]) == ("failed", "it took longer than 2 s")
            until(lambda: client.get(f"/v1/jobs/{found['job']}").status_code == 404 or None, 15)
        text = served.log.read_text()
        assert TOKEN not in text
        assert "glad" not in text
        assert "long.wav" not in text
        assert served.stop() == 0


def test_nothing_accepted_is_lost_when_it_is_stopped_or_killed(tmp_path: Path, voice: Path) -> None:
    state = tmp_path / "state"
    accepted: list[str] = []
    for how, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        with serving(state, "--workers", "1", "--set", "grace_seconds=1") as served, served.client() as client:
            for name in ("a", "b"):
                answer = client.post(
                    "/v1/analyze",
                    files={"audio": (f"{name}.wav", voice.read_bytes())},
                    data={"end": "20"} if name == "b" else {},
                    headers={"Prefer": "respond-async"},
                )
                accepted.append(answer.json()["url"])
            until(lambda: client.get(accepted[0]).json()["status"] != "queued" or None, 20)
            assert served.stop(how) == code
            kept = {path.name for path in (state / "uploads").iterdir()}
            assert kept <= {url.rsplit("/", 1)[1] for url in accepted}
            until(lambda: None if served.workers() else True, 10)
    with serving(state, "--workers", "1") as served, served.client() as client:
        ends = {url: until(lambda url=url: _end(client, url), 180) for url in accepted}
        assert set(ends.values()) == {"done"}
        until(lambda: None if list((state / "uploads").iterdir()) else True, 5)
        other = subprocess.run(
            [sys.executable, "-m", "emotiwave", "serve", "--port", "0", "--state", str(state)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (other.returncode, "another service runs in this folder" in other.stderr) == (1, True)


def _end(client: httpx.Client, url: str) -> str | None:
    status = client.get(url).json()["status"]
    return None if status in ("queued", "running") else status


def test_requests_under_way_are_answered_when_it_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path / "state", "--workers", "1") as served, served.client() as client:
        answers: list[int] = []

        def ask(number: int) -> None:
            try:
                answers.append(client.post("/v1/analyze", files=clip()).status_code)
            except httpx.ConnectError:
                answers.append(0)  # it came when nobody listened any more

        threads = [threading.Thread(target=ask, args=(k,)) for k in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: served.counted("emotiwave_running ") >= 1 or None, 10)
        assert served.stop() == 0
        for thread in threads:
            thread.join()
        assert len(answers) == 6
        assert set(answers) <= {200, 202, 503, 0}
        assert 200 in answers or 202 in answers


def test_what_cannot_be_served_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.delenv("EMOTIWAVE_TOKEN", raising=False)
    for arguments, told in (
        (("--set", "queue=0"), "queue"),
        (("--set", "colour=red"), "--set takes KEY=VALUE"),
        (("--token-file", str(tmp_path / "none")), "cannot be read as a token"),
        ((str(tmp_path / "no-run"),), "no-run"),
    ):
        code, _, err = run(capsys, "serve", "--port", "0", "--state", str(tmp_path / "state"), *arguments)
        assert (code, told in err.replace("\n", " ")) == (1, True), err
    (tmp_path / "short").write_text("short")
    code, _, err = run(capsys, "serve", "--token-file", str(tmp_path / "short"), "--state", str(tmp_path / "s"))
    assert (code, "16 or more" in err) == (1, True)


def test_a_line_that_is_kept_open_is_not_cut(served: Served) -> None:
    """A client that asks now and then on one connection for longer than any silence may last."""
    with served.client(limits=httpx.Limits(max_connections=1)) as client:
        begun = time.monotonic()
        while time.monotonic() - begun < 7:
            assert client.get("/healthz").status_code == 200
            time.sleep(1)
