"""What `emotiwave analyze` says of real clips and photos, right or wrong: each modality alone, and together.

Few clips at hand have a label, so this shows behaviour and measures nothing. Needs EMOTIWAVE_DATA and
emotiwave-weights-research.

    python benchmarks/clips.py --out results/clips.json
"""

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import av
import numpy as np
from skimage import data as photos

import emotiwave
from emotiwave.analysis import Analysis

HIDDEN = (1.3, 2.6)
"""Seconds of the labelled clip in which the face is covered and, a little later, the sound is off."""
MUTED = (2.0, 3.4)


@dataclass(frozen=True)
class Shown:
    """A clip, what is known of it, and where."""

    name: str
    known: str
    given: dict[str, Any]
    label: str | None = None
    modalities: Sequence[str] = ("vision",)
    file: Path | None = field(default=None)


def spoil(clip: Path, out: Path) -> None:
    """Cover the picture for a while, and mute the sound for another."""
    with av.open(clip) as source, av.open(out, "w") as container:
        rate = source.streams.video[0].average_rate
        video = container.add_stream("libx264", rate=rate)
        video.width, video.height, video.pix_fmt = (
            source.streams.video[0].width,
            source.streams.video[0].height,
            "yuv420p",
        )
        audio = container.add_stream("aac", rate=48_000)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48_000)
        generator = np.random.default_rng(0)
        for frame in source.decode(video=0, audio=0):
            time_s = float(frame.time or 0)
            if isinstance(frame, av.VideoFrame):
                picture = frame.to_ndarray(format="rgb24")
                if HIDDEN[0] <= time_s < HIDDEN[1]:
                    picture = generator.integers(90, 150, picture.shape, dtype=np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            else:
                for part in resampler.resample(frame):
                    sound = part.to_ndarray()
                    if MUTED[0] <= float(part.time or 0) < MUTED[1]:
                        sound = np.zeros_like(sound)
                    made = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
                    made.rate, made.pts, made.time_base = part.rate, part.pts, part.time_base
                    container.mux(audio.encode(made))
        container.mux(video.encode())
        container.mux(audio.encode())


def clips(data: Path, scratch: Path) -> list[Shown]:
    """All that is shown."""
    acted = next((data / "ravdess").glob("*.mp4"))
    spoilt = scratch / "spoilt.mp4"
    spoil(acted, spoilt)
    words = "Dogs are sitting by the door."
    three = ("text", "audio", "vision")
    faces = data / "pyfeat"
    return [
        Shown(
            "RAVDESS clip", "an actor shows strong disgust", {"media": acted, "text": words}, "disgust", three, acted
        ),
        Shown(
            "the same, spoilt",
            f"noise hides the face from {HIDDEN[0]} to {HIDDEN[1]} s, the sound is off from {MUTED[0]} to {MUTED[1]} s",
            {"media": spoilt, "text": words},
            "disgust",
            three,
        ),
        Shown(
            "sample.mp4", "a smile, words of joy; then darkness", {"media": emotiwave.sample_clip()}, "happiness", three
        ),
        Shown("scikit-image's astronaut", "a smile", {"media": photos.astronaut()}, "happiness"),
        Shown("single_face.jpg", "no label", {"media": faces / "single_face.jpg"}, file=faces / "single_face.jpg"),
        Shown(
            "multi_face.jpg",
            "several faces, no label",
            {"media": faces / "multi_face.jpg"},
            file=faces / "multi_face.jpg",
        ),
        Shown(
            "single_face.mp4",
            "no label",
            {"media": faces / "single_face.mp4"},
            None,
            ("audio", "vision"),
            faces / "single_face.mp4",
        ),
        Shown(
            "no_face.mp4",
            "no label, and no face",
            {"media": faces / "no_face.mp4"},
            None,
            ("audio", "vision"),
            faces / "no_face.mp4",
        ),
        Shown("scikit-image's cat", "no human face", {"media": photos.chelsea()}),
    ]


def describe(shown: Shown, analysis: Analysis, modalities: Sequence[str]) -> dict[str, Any]:
    """One row: what was said of a clip by some modalities."""
    described = analysis.to_dict()
    shares = described["contributions"] or {}
    return {
        "clip": shown.name,
        "known": shown.known,
        "label": shown.label,
        "sha256": None if shown.file is None else hashlib.sha256(shown.file.read_bytes()).hexdigest(),
        "asked": list(modalities),
        "decision": described["decision"],
        "confidence": described["confidence"],
        "reason": described["reason"],
        "right": None if shown.label is None or not analysis.answered else analysis.decision == shown.label,
        "modalities": described["modalities"],
        "contributions": {m: shares[m].get(described["decision"]) for m in modalities if m in shares},
        "model": described["model"],
        "subjects": len(described["subjects"]),
    }


def main() -> None:
    """Analyse, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    recognizer = emotiwave.load()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for shown in clips(Path(os.environ["EMOTIWAVE_DATA"]) / "av_clips", Path(scratch)):
            subsets = [some for size in range(1, 4) for some in combinations(shown.modalities, size)]
            for some in subsets:
                rows.append(describe(shown, recognizer.analyze(**shown.given, modalities=some), some))
    given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
