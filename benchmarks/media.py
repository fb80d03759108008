"""From media to features: real-time factor and memory of a clip and of an hour, and RAVDESS in several processes.

The hour is the clip of av_clips/ravdess looped by copying its packets. Extracted are log-mels, faces at 5 pictures a
second, and words of a transcript. Times are of this one run on an otherwise idle machine.

    python benchmarks/media.py --out results/media.json        (needs EMOTIWAVE_DATA; Ray too, if its row is wanted)
"""

import argparse
import hashlib
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av

CLIP = "av_clips/ravdess/01-01-07-02-02-01-01_1.mp4"
WORDS = ("dogs", "are", "sitting", "by", "the", "door")
HOUR = 3600.0
ROUNDS = 3
ONE = """
import json, resource, sys, time
from pathlib import Path
from emotiwave.features.extract_files import extract_files
from emotiwave.features.extraction.reader import open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.media.containers import describe_media
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.types import LabelSet, Utterance
video, words, out, model = map(Path, sys.argv[1:5])
recordings = MediaRecordings("clip", "", "", LabelSet("categorical", ("a", "b")), (Utterance("clip", "test", "a"),),
                             {"clip": Sources(video=video, transcript=words)})
settings = MediaFeatureSettings(
    extractors={"text": "hashed", "audio": "logmel", "vision": "face"}, cache=False, faces={"model": model}
)
opener = open_media(recordings, settings)
begin = time.perf_counter()
done = extract_files(recordings, opener, out)
seconds = time.perf_counter() - begin
print(json.dumps({"seconds": seconds, "media_seconds": describe_media(video).duration, "errors": len(done.errors),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "usability": [row["reason"] for row in done.usability]}))
"""
ALL = """
import json, sys, time
from pathlib import Path
from emotiwave.config import parse_recipe
from emotiwave.features.prepare import prepare
if __name__ == "__main__":
    tables = {"dataset": {"name": "ravdess"}, "features": {"cache": False, "store": sys.argv[1],
              "extractors": {"audio": "logmel", "voice": "prosody"}}}
    recipe = parse_recipe(tables, source="benchmark")
    recordings = recipe.load_recordings()
    begin = time.perf_counter()
    done = prepare(recordings, recipe.features, recipe.store, tables={}, processes=int(sys.argv[2]), engine=sys.argv[3])
    print(json.dumps({"seconds": time.perf_counter() - begin, "files": len(recordings.utterances),
                      "errors": len(done.errors)}))
"""


def loop(clip: Path, out: Path, seconds: float) -> None:
    """Repeat a clip by copying its packets until it lasts so long."""
    with av.open(str(clip)) as source, av.open(str(out), "w") as target:
        streams = {
            s.index: target.add_stream_from_template(s) for s in (source.streams.video[0], source.streams.audio[0])
        }
        packets = [p for p in source.demux(source.streams.video[0], source.streams.audio[0]) if p.dts is not None]
        found = [(p.stream.index, bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe) for p in packets]
        length = float((source.duration or 0) / av.time_base)
        for turn in range(math.ceil(seconds / length)):
            for index, content, pts, dts, duration, time_base, is_key in found:
                packet, offset = av.Packet(content), round(turn * length / time_base)
                packet.stream, packet.time_base = streams[index], time_base
                packet.pts, packet.dts, packet.duration = pts + offset, dts + offset, duration
                packet.is_keyframe = is_key
                target.mux(packet)


def write_words(path: Path, seconds: float) -> None:
    """A transcript with a sentence every four seconds."""
    cues = [f"{k + 1}\n{_clock(4 * k)} --> {_clock(4 * k + 4)}\n{' '.join(WORDS)}\n" for k in range(int(seconds / 4))]
    path.write_text("\n".join(cues), encoding="utf-8")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},000"


def run(code: str, *words: str) -> dict[str, Any]:
    """Run code in a process of its own, and read what it prints."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure_clip(video: Path, folder: Path, model: Path, rounds: int) -> dict[str, Any]:
    """Extract one file several times; the median time."""
    words = folder / "words.srt"
    write_words(words, 4 if rounds > 1 else HOUR)
    found = [run(ONE, str(video), str(words), str(folder / f"out{k}"), str(model)) for k in range(rounds)]
    chosen = sorted(found, key=lambda row: row["seconds"])[rounds // 2]
    return chosen | {"real_time_factor": chosen["seconds"] / chosen["media_seconds"], "rounds": rounds}


def measure_ravdess(folder: Path) -> list[dict[str, Any]]:
    """Extract log-mels and prosody of every clip, with 1 and 2 processes and through Ray."""
    rows = []
    engines = [("processes", 1), ("processes", 2), *([("ray", 2)] if importlib.util.find_spec("ray") else [])]
    for engine, processes in engines:
        found = run(ALL, str(folder / f"{engine}{processes}"), str(processes), engine)
        rows.append(
            {"engine": engine, "processes": processes, **found, "per_second": found["files"] / found["seconds"]}
        )
    return rows


def main() -> None:
    """Measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    data = Path(os.environ["EMOTIWAVE_DATA"])
    clip, model = data / CLIP, data / "weights/yunet_s_320_320.onnx"
    begin = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hour = folder / "hour.mp4"
        loop(clip, hour, HOUR)
        result = {
            "command": "python benchmarks/media.py --out results/media.json",
            "clip": {"file": CLIP, "sha256": hashlib.sha256(clip.read_bytes()).hexdigest()},
            "short": measure_clip(clip, folder, model, ROUNDS),
            "hour": measure_clip(hour, folder, model, 1),
            "ravdess": measure_ravdess(folder),
            "cores": len(os.sched_getaffinity(0)),
        }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.out}: written after {time.time() - begin:.0f} s")


if __name__ == "__main__":
    main()
