"""How fast `emotiwave analyze` is, and in how much memory: loading, a clip of 4 s, 100 sentences, an hour of video.

Everything is measured in processes of its own, each from a cold start, with Python's bytecode in place as pip leaves
it. Beside the time on the clock stands that of the processors (two may count at once), which a busy neighbour on the
same machine stretches less, and beside the time of loading the part of it that `import torch` alone takes. The hour is
the 4-s clip over and over, with subtitles of its own; both are made of the clips in EMOTIWAVE_DATA. Needs emotiwave-
weights-research.

    OMP_NUM_THREADS= python benchmarks/analyze.py --out results/analyze.json
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SENTENCE = "What a lovely day, I am so happy to be here with you."
SECONDS = 4
SETTINGS = {"haar": (None, 60.0), "yunet": ("yunet_n_320_320.onnx", 10.0)}
"""Detector -> its file, and the minutes of the long video."""
STARTS = 5
"""Processes that only load, before, between and after the videos: the machine is not equally fast all the time."""
CHILD = """
import json, resource, sys, time
start = time.perf_counter()
import torch
torch_alone = time.perf_counter() - start
import emotiwave
recognizer = emotiwave.load({load})
loaded, load_cpu = time.perf_counter() - start, time.process_time()
{body}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
load = {{"load_s": loaded, "load_cpu_s": load_cpu, "torch_s": torch_alone}}
print(json.dumps({{**load, "peak_rss_mib": peak, **found}}))
"""
CLIP = """
times = []
for _ in range({n}):
    start = time.perf_counter()
    analysis = recognizer.analyze({clip!r}, text={sentence!r})
    times.append(time.perf_counter() - start)
found = {{"first_s": times[0], "warm_s": times[1:], "used": [m for m, u in analysis.modalities.items() if u.used]}}
"""
LINES = """
from emotiwave.api.analysis import lines_of
from pathlib import Path
start = time.perf_counter()
answered = sum(analysis.answered for analysis in recognizer.analyze_each(lines_of(Path({lines!r}))))
found = {{"seconds": time.perf_counter() - start, "answered": answered}}
"""
HOUR = """
start, cpu = time.perf_counter(), time.process_time()
analysis = recognizer.analyze({clip!r}, transcript={words!r})
found = {{
    "seconds": time.perf_counter() - start,
    "cpu_s": time.process_time() - cpu,
    "stretches": len(analysis.timeline),
    "observed": {{m: round(u.observed, 3) for m, u in analysis.modalities.items()}},
}}
"""


def make_clip(data: Path, out: Path) -> None:
    """Four seconds of 640 x 360 pixels with speech: the pictures of one clip there and back, the sound of another."""
    with av.open(data / "pyfeat" / "single_face.mp4") as source:
        rate = source.streams.video[0].average_rate or Fraction(30)
        pictures = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    pictures = (pictures + pictures[::-1] + pictures)[: round(SECONDS * rate)]
    spoken = next((data / "ravdess").glob("*.mp4"))
    with av.open(out, "w") as container, av.open(spoken) as source:
        video = container.add_stream("libx264", rate=rate)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = container.add_stream("aac", rate=48_000)
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48_000)
        for frame in source.decode(audio=0):
            if frame.time is not None and frame.time < SECONDS:
                for part in resampler.resample(frame):
                    container.mux(audio.encode(part))
        container.mux(audio.encode())


def repeat_clip(clip: Path, out: Path, minutes: float) -> None:
    """Put a clip behind itself until it is as long as asked for, without decoding it."""
    with av.open(clip) as source:
        tracks = [source.streams.video[0], source.streams.audio[0]]
        length = Fraction(SECONDS)
        packets = [
            packet
            for packet in source.demux(*tracks)
            if packet.dts is not None
            and (packet.stream.type == "video" or 0 <= packet.dts * packet.time_base <= length - Fraction(1, 40))
        ]
        with av.open(out, "w") as container:
            copies = {track.index: container.add_stream_from_template(track) for track in tracks}
            for turn in range(round(minutes * 60 / SECONDS)):
                for packet in packets:
                    copy = av.Packet(bytes(packet))
                    shift = int(turn * length / packet.time_base)
                    copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
                    copy.time_base, copy.duration = packet.time_base, packet.duration
                    copy.is_keyframe = packet.is_keyframe
                    copy.stream = copies[packet.stream_index]
                    container.mux(copy)


def write_words(out: Path, minutes: float) -> None:
    """A sentence every four seconds."""
    cues = []
    for turn in range(round(minutes * 60 / SECONDS)):
        start = turn * SECONDS
        stamp = f"{start // 3600:02d}:{start // 60 % 60:02d}:{start % 60:02d}"
        cues.append(f"{turn + 1}\n{stamp},200 --> {stamp},900\n{SENTENCE} Number {turn}.\n")
    out.write_text("\n".join(cues))


def taken_by_others() -> tuple[float, float]:
    """Processor time that the host of a virtual machine gave to others though it was wanted, and all that was wanted.

    (Linux, ``/proc/stat``: steal beside user, nice, system and interrupts.)
    """
    user, nice, system, _, _, irq, soft, steal = map(float, Path("/proc/stat").read_text().split()[1:9])
    return steal, user + nice + system + irq + soft + steal


def run(body: str, detector: str | None, load: str = "") -> dict[str, Any]:
    """Run a child from a cold start; ``stolen`` is the share of the processors' time that others took meanwhile."""
    stolen, wanted = taken_by_others()
    environment = dict(os.environ, EMOTIWAVE_OFFLINE="1")
    for name in ("EMOTIWAVE_YUNET", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    if detector is not None:
        environment["EMOTIWAVE_YUNET"] = detector
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHILD.format(body=body, load=load)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    more_stolen, more_wanted = taken_by_others()
    return found | {"stolen": (more_stolen - stolen) / max(1.0, more_wanted - wanted)}


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data = Path(os.environ["EMOTIWAVE_DATA"])
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in [data / "av_clips/pyfeat/single_face.mp4", *sorted((data / "av_clips/ravdess").glob("*.mp4"))]
        },
    }
    with tempfile.TemporaryDirectory() as scratch:
        clip, long, words, lines = (Path(scratch) / name for name in ("clip.mp4", "long.mp4", "long.srt", "lines.txt"))
        make_clip(data / "av_clips", clip)
        lines.write_text("".join(f"{SENTENCE} This is number {k}.\n" for k in range(100)))
        run("found = {}", None)  # writes the bytecode
        starts = [run("found = {}", None) for _ in range(STARTS)]
        for name, (file, minutes) in SETTINGS.items():
            repeat_clip(clip, long, minutes)
            write_words(words, minutes)
            detector = None if file is None else str(data / "weights" / file)
            some = [run(CLIP.format(n=11, clip=str(clip), sentence=SENTENCE), detector) for _ in range(3)]
            warm = [seconds for one in some for seconds in one["warm_s"]]
            found[name] = {
                "clip": {
                    "warm_s": statistics.median(warm),
                    "warm_quartiles_s": np.percentile(warm, [25, 75]).tolist(),
                    "n": len(warm),
                    "first_s": statistics.median(one["first_s"] for one in some),
                    "peak_rss_mib": max(one["peak_rss_mib"] for one in some),
                    "stolen": statistics.mean(one["stolen"] for one in some),
                    "used": some[0]["used"],
                },
                "long": {"minutes": minutes} | run(HOUR.format(clip=str(long), words=str(words)), detector),
            }
            starts += [run("found = {}", None) for _ in range(STARTS)]
            print(name, json.dumps(found[name]), file=sys.stderr)
        found["load"] = {part: [one[part] for one in starts] for part in ("load_s", "load_cpu_s", "torch_s", "stolen")}
        found["lines"] = run(LINES.format(lines=str(lines)), None)
    given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
