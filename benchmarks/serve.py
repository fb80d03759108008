"""How many requests `emotiwave serve` answers, how soon, and what memory it takes: loads on this machine alone.

Requests are made by `hey` (https://github.com/rakyll/hey), which must be installed; clients ask again as soon as they
are answered. Needs EMOTIWAVE_DATA for nothing: clips are cut from the sample that ships.

    python benchmarks/serve.py --out results/serve.json [--minutes 10]
"""

import argparse
import csv
import io
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "emotiwave" / "sample" / "sample.mp4"
BOUNDARY = "emotiwave-benchmark"
REQUESTS = {"text": (60, 400, 800), "photo": (20, 60, 100), "voice, 5 s": (12, 40, 64), "clip, 4 s": (8, 24, 64)}
"""How many requests at each number of clients."""
CLIENTS = (1, 8, 32)
SENTENCE = "I did not expect that you would come, and now I am so glad that you did."


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="Of mixed load, over which memory is watched.")
    given = parser.parse_args()
    if shutil.which("hey") is None:
        raise SystemExit("hey is not installed")
    with tempfile.TemporaryDirectory() as folder:
        bodies = write_bodies(Path(folder))
        with serving(Path(folder) / "state") as (address, process):
            loads = [measure(address, name, bodies[name], clients) for name in REQUESTS for clients in CLIENTS]
            memory = watch(address, process, bodies, given.minutes)
        with serving(Path(folder) / "other", "--set", "batch=1") as (address, _):
            alone = measure(address, "text", bodies["text"], 32)
    found = {
        "command": "python benchmarks/serve.py --out results/serve.json",
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "workers": 2},
        "loads": loads,
        "text_32_clients_without_batching": alone,
        "memory": memory,
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n")


def write_bodies(folder: Path) -> dict[str, Path]:
    """Forms as they go over the wire: a sentence, a photo, 5 s of voice, 4 s of video."""
    cut_video(SAMPLE, folder / "clip.mp4", 4.0)
    with av.open(str(SAMPLE)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        rate = container.streams.audio[0].rate
    write_wav(folder / "voice.wav", sound[:, : 5 * rate], rate)
    with av.open(str(SAMPLE)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    Image.fromarray(np.asarray(pictures[0])).save(folder / "photo.jpg", quality=90)
    parts = {
        "text": ("text", None, SENTENCE.encode()),
        "photo": ("image", "photo.jpg", (folder / "photo.jpg").read_bytes()),
        "voice, 5 s": ("audio", "voice.wav", (folder / "voice.wav").read_bytes()),
        "clip, 4 s": ("video", "clip.mp4", (folder / "clip.mp4").read_bytes()),
    }
    found = {}
    for number, (name, (field, file, content)) in enumerate(parts.items()):
        named = f'; filename="{file}"' if file else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
        path = folder / f"body{number}"
        path.write_bytes(head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode())
        found[name] = path
    return found


def cut_video(source: Path, path: Path, seconds: float) -> None:
    """Copy the beginning of a clip, its packets as they are."""
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        streams = {
            stream.index: out.add_stream_from_template(stream) for stream in given.streams if stream.type != "subtitle"
        }
        for packet in given.demux([given.streams[index] for index in streams]):
            if packet.dts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write sound as 16-bit PCM."""
    mono = samples.mean(axis=0)
    scaled = mono if mono.dtype.kind == "i" else np.clip(mono, -1, 1) * 32767
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(scaled.astype(np.int16)[None], format="s16", layout="mono")
        frame.rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@contextmanager
def serving(state: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service with two processes, ready."""
    log = state.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "emotiwave",
                "serve",
                "--port",
                "0",
                "--workers",
                "2",
                "--state",
                str(state),
                *options,
            ],
            stdout=out,
            stderr=out,
            text=True,
            env={**os.environ, "EMOTIWAVE_OFFLINE": "1"},
        )
        try:
            while not (found := re.search(r"(http://\S+)  ", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.2)
            workers = 0
            while workers < 2:
                time.sleep(0.5)
                workers = sum(rss > 300 for rss in megabytes(process).values())
            time.sleep(8)  # both are warm
            yield found[1], process
        finally:
            process.terminate()
            process.wait(60)


def measure(address: str, name: str, body: Path, clients: int) -> dict[str, Any]:
    """Ask so often by so many clients at once."""
    n = REQUESTS[name][CLIENTS.index(clients)]
    n -= n % clients
    begun = time.monotonic()
    told = subprocess.run(
        ["hey", "-n", str(n), "-c", str(clients), "-m", "POST", "-t", "120", "-o", "csv", "-D", str(body), "-T",
         f"multipart/form-data; boundary={BOUNDARY}", f"{address}/v1/analyze"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    seconds = time.monotonic() - begun
    rows = list(csv.DictReader(io.StringIO(told)))
    times = sorted(float(row["response-time"]) for row in rows)
    statuses: dict[str, int] = {}
    for row in rows:
        statuses[row["status-code"]] = statuses.get(row["status-code"], 0) + 1
    found = {
        "input": name,
        "clients": clients,
        "n": len(rows),
        "per_second": len(rows) / seconds,
        **{f"p{share}": times[min(len(times) - 1, int(len(times) * share / 100))] for share in (50, 95, 99)},
        "statuses": statuses,
    }
    print(json.dumps(found), flush=True)
    return found


def watch(address: str, process: subprocess.Popen[str], bodies: dict[str, Path], minutes: float) -> dict[str, Any]:
    """Memory of all processes while four clients ask for everything in turn."""
    end, rows, n, failed = time.monotonic() + 60 * minutes, [], 0, 0
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    contents = [path.read_bytes() for path in bodies.values()]
    from concurrent.futures import ThreadPoolExecutor

    def ask(number: int) -> tuple[int, int]:
        asked = wrong = 0
        with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
            while time.monotonic() < end:
                answer = client.post("/v1/analyze", content=contents[(asked + number) % 4], headers=headers)
                asked, wrong = asked + 1, wrong + (answer.status_code != 200)
        return asked, wrong

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        while time.monotonic() < end:
            rows.append(sum(megabytes(process).values()))
            time.sleep(5)
        for one in asking:
            asked, wrong = one.result()
            n, failed = n + asked, failed + wrong
    third = max(1, len(rows) // 3)
    found = {
        "minutes": minutes,
        "requests": n,
        "not_answered": failed,
        "mb_first_third": statistics.mean(rows[:third]),
        "mb_last_third": statistics.mean(rows[-third:]),
        "mb_most": max(rows),
    }
    print(json.dumps(found), flush=True)
    return found


def megabytes(process: subprocess.Popen[str]) -> dict[int, float]:
    """Resident memory of the service and its children."""
    listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
    found = {}
    for pid in [process.pid, *map(int, listed.split())]:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if match := re.search(r"VmRSS:\s+(\d+)", status):
            found[pid] = int(match[1]) / 1024
    return found


if __name__ == "__main__":
    main()
