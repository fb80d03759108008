"""Make the clip of `emotiwave analyze --sample`: a photo that moves a little, a synthetic voice, its words as .srt.

The photo is NASA's of Eileen Collins (public domain), out of scikit-image; espeak-ng speaks. In the last sentence the
light is out, so that there is something to ignore. Needs espeak-ng and the extra dev:

    python scripts/make_sample.py emotiwave/sample
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.io import wavfile
from skimage import data

RATE, FRAMES_PER_SECOND = 16_000, 15
WIDTH, HEIGHT = 480, 360
PAUSE = 0.5
FACE = (224.0, 120.0)
"""Where in the photo her face is, x and y."""
DARKNESS = 0.03
"""Of the light, that is left where it is out."""
SENTENCES = (
    "What a wonderful day! I am so happy to be here.",
    "And now somebody has turned off the light.",
)


def speak(sentence: str) -> NDArray[np.float32]:
    """Let espeak-ng say a sentence; samples at 16 kHz."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "said.wav"
        subprocess.run(["espeak-ng", "-v", "en-us+f3", "-s", "150", "-p", "65", "-w", path, sentence], check=True)
        rate, samples = wavfile.read(path)
    said = soxr.resample(samples.astype(np.float32) / 2**15, rate, RATE)
    loud = np.flatnonzero(np.abs(said) > 0.01)
    return said[loud[0] : loud[-1] + 1]


def picture(photo: NDArray[np.uint8], time_s: float, is_dark: bool) -> NDArray[np.uint8]:
    """Show the photo, its middle and size swaying a little, as a hand that holds a camera does."""
    zoom = 1.25 + 0.04 * np.sin(1.1 * time_s)
    x, y = FACE[0] + 6 * np.sin(1.7 * time_s), FACE[1] + 30 + 4 * np.cos(2.3 * time_s)
    matrix = np.array([[zoom, 0, WIDTH / 2 - zoom * x], [0, zoom, HEIGHT / 2 - zoom * y]])
    shown = cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown * DARKNESS if is_dark else shown).astype(np.uint8)


def stamp(time_s: float) -> str:
    """Write a time as .srt does."""
    return f"00:00:{int(time_s):02d},{round(1000 * (time_s % 1)):03d}"


def main(folder: Path) -> None:
    """Write sample.mp4 and sample.srt."""
    said = [speak(sentence) for sentence in SENTENCES]
    quiet = np.zeros(round(PAUSE * RATE), np.float32)
    sound = np.concatenate([quiet[: len(quiet) // 2], said[0], quiet, said[1], quiet[: len(quiet) // 2]])
    first = PAUSE / 2, PAUSE / 2 + len(said[0]) / RATE
    second = first[1] + PAUSE, first[1] + PAUSE + len(said[1]) / RATE
    cues = [
        f"{number}\n{stamp(start)} --> {stamp(end)}\n{sentence}\n"
        for number, ((start, end), sentence) in enumerate(zip((first, second), SENTENCES, strict=True), start=1)
    ]
    (folder / "sample.srt").write_text("\n".join(cues))
    with av.open(folder / "sample.mp4", "w") as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "30", "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        audio.bit_rate = 32_000
        photo = data.astronaut()
        for index in range(round(len(sound) / RATE * FRAMES_PER_SECOND)):
            time_s = index / FRAMES_PER_SECOND
            shown = av.VideoFrame.from_ndarray(picture(photo, time_s, time_s >= second[0]), format="rgb24")
            container.mux(video.encode(shown))
        container.mux(video.encode())
        heard = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        heard.rate = RATE
        parts = av.AudioFifo()
        parts.write(heard)
        while (part := parts.read(1024, partial=True)) is not None:
            container.mux(audio.encode(part))
        container.mux(audio.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
