"""Faces found by YuNet and by Haar in clips and photos, as they are and made harder; how long a picture takes.

How many are to be found was counted by eye: one in each picture of a clip of one person, five in ``multi_photo``, none
in ``none``. Where they are comes from the larger YuNet at 640 pixels, and was looked at; a face counts as found where a
box has its middle within half a face of it and is at most 1.6 times larger or smaller. Times are of the processor, on
one thread, and of the clock on all: the median over rounds. No seeds: nothing is random.

    EMOTIWAVE_DATA=... python benchmarks/faces.py --out results/faces.json
"""

import argparse
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from emotiwave.faces.detectors import FaceDetector, FaceSettings, load_detector
from emotiwave.faces.face import Face
from emotiwave.media.photos import read_photo
from emotiwave.media.pictures import read_frames

Picture = NDArray[np.uint8]


class Expected(NamedTuple):
    """Where a face is: the middle and the longer side of its box, in pixels, and its tilt in degrees."""

    middle: NDArray[np.float64]
    edge: float
    tilt: float


Reference = list[Expected]
Change = Callable[[Picture, Reference], tuple[Picture, Reference]]

FILES = {
    "ravdess": "av_clips/ravdess/01-01-07-02-02-01-01_1.mp4",
    "single": "av_clips/pyfeat/single_face.mp4",
    "single_photo": "av_clips/pyfeat/single_face.jpg",
    "multi_photo": "av_clips/pyfeat/multi_face.jpg",
    "none": "av_clips/pyfeat/no_face.mp4",
}
N_FACES = {"ravdess": 1, "single": 1, "single_photo": 1, "multi_photo": 5, "astronaut": 1, "none": 0, "other_photos": 0}
OTHER_PHOTOS = ("coffee", "chelsea", "rocket", "coins", "brick", "grass", "gravel", "page", "clock", "moon", "retina")
WEIGHTS = {"yunet s": "yunet_s_320_320.onnx", "yunet n": "yunet_n_320_320.onnx"}
LONGEST = (160, 240, 320, 480, 640)


def read_sets(data: Path) -> dict[str, list[Picture]]:
    """All pictures by set: five per second of clips, and photos."""
    sets: dict[str, list[Picture]] = {}
    for name, file in FILES.items():
        path = data / file
        sets[name] = (
            [frame.image for frame in read_frames(path)]
            if path.suffix == ".mp4"
            else [read_photo(path, longest=1280).image]
        )
    sets["astronaut"] = [skimage.data.astronaut()]
    sets["other_photos"] = [_rgb(getattr(skimage.data, name)()) for name in OTHER_PHOTOS]
    return sets


def _rgb(photo: Picture) -> Picture:
    return photo[..., :3].copy() if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)


def changes() -> Iterator[tuple[str, Change]]:
    """Ways to make it harder, by name."""
    yield "as it is", lambda picture, reference: (picture, reference)
    for factor in (2, 0.5, 0.25):
        yield f"size x {factor}", _resized(factor)
    for factor in (0.2, 0.1, 0.05):
        yield f"light x {factor}", _dimmed(factor)
    for angle in (10, -10, 20, -20, 35, -35, 60, 90):
        yield f"turned {angle}", _turned(angle)


def _resized(factor: float) -> Change:
    def change(picture: Picture, reference: Reference) -> tuple[Picture, Reference]:
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        resized = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
        return np.asarray(resized, np.uint8), [
            Expected(face.middle * factor, face.edge * factor, face.tilt) for face in reference
        ]

    return change


def _dimmed(factor: float) -> Change:
    return lambda picture, reference: ((picture * factor).astype(np.uint8), reference)


def _turned(angle: float) -> Change:
    """Clockwise, about the middle, on a canvas that nothing is cut from."""

    def change(picture: Picture, reference: Reference) -> tuple[Picture, Reference]:
        height, width = picture.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1)
        size = np.abs(turn[:, :2]) @ [width, height]
        turn[:, 2] += size / 2 - [width / 2, height / 2]
        canvas = cv2.warpAffine(
            picture, turn, tuple(np.ceil(size).astype(int).tolist()), borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(canvas, np.uint8), [
            Expected(turn @ [*face.middle, 1], face.edge, face.tilt + angle) for face in reference
        ]

    return change


def middles(faces: list[Face]) -> Reference:
    """What is compared of faces."""
    return [Expected(np.array(face.centre), max(face.width, face.height), face.tilt or 0.0) for face in faces]


def match(faces: list[Face], reference: Reference) -> dict[int, Face]:
    """Row of the reference -> the face that was found there, the best first."""
    found: dict[int, Face] = {}
    for face in faces:
        edge = max(face.width, face.height)
        for row, expected in enumerate(reference):
            near = np.linalg.norm(np.array(face.centre) - expected.middle) < expected.edge / 2
            if row not in found and near and 1 / 1.6 < edge / expected.edge < 1.6:
                found[row] = face
                break
    return found


def rate(
    detector: FaceDetector, pictures: list[Picture], references: list[Reference], change: Change
) -> dict[str, Any]:
    """Count what is found of the reference, and what is found beside it; and how well the tilt is told."""
    n_found = n_false = n_expected = 0
    errors = []
    for picture, reference in zip(pictures, references, strict=True):
        changed, expected = change(picture, reference)
        faces = detector.detect(changed)
        found = match(faces, expected)
        n_found, n_expected = n_found + len(found), n_expected + len(expected)
        n_false += len(faces) - len(found)
        errors += [abs(face.tilt - expected[row].tilt) for row, face in found.items() if face.tilt is not None]
    return {
        "pictures": len(pictures),
        "faces": n_expected,
        "found": n_found,
        "false": n_false,
        "with_landmarks": len(errors),
        "tilt_error_median": round(statistics.median(errors), 1) if errors else None,
    }


def milliseconds(detector: FaceDetector, pictures: list[Picture], rounds: int) -> dict[str, float]:
    """Per picture: of the processor on one thread, and of the clock on all threads."""
    taken = {}
    for name, threads, clock in (("cpu_ms_1_thread", 1, time.process_time), ("ms_all_threads", -1, time.perf_counter)):
        cv2.setNumThreads(threads)
        detector.detect(pictures[0])
        times = []
        for _ in range(rounds):
            start = clock()
            for picture in pictures:
                detector.detect(picture)
            times.append(1e3 * (clock() - start) / len(pictures))
        taken[name] = round(statistics.median(times), 2)
    return taken


def detectors(data: Path, **settings: Any) -> dict[str, FaceDetector]:
    """Each kind, with the same settings."""
    found = {
        name: load_detector(FaceSettings(detector="yunet", model=data / "weights" / file, **settings))
        for name, file in WEIGHTS.items()
    }
    return found | {"haar": load_detector(FaceSettings(detector="haar", **settings))}


def main() -> None:
    """Measure and write one row per detector, set and change, and per detector, size and set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data = Path(os.environ["EMOTIWAVE_DATA"])
    sets = read_sets(data)
    teacher = detectors(data, longest=640)["yunet n"]
    references = {
        name: [middles(teacher.detect(picture))[: N_FACES[name]] for picture in pictures]
        for name, pictures in sets.items()
    }
    rates, times = [], []
    for name, detector in detectors(data).items():
        for how, change in changes():
            for of, pictures in sets.items():
                row = rate(detector, pictures, references[of], change)
                rates.append({"detector": name, "pictures_of": of, "change": how, **row})
    for longest in LONGEST:
        for align in (True, False):
            for name, detector in detectors(data, longest=longest, align=align).items():
                for of in ("ravdess", "none"):
                    row = {"detector": name, "longest": longest, "align": align, "pictures_of": of}
                    found = rate(detector, sets[of], references[of], lambda *given: given)
                    taken = milliseconds(detector, sets[of], options.rounds)
                    times.append(row | {key: found[key] for key in ("faces", "found", "false")} | taken)
    files = {name: hashlib.sha256((data / file).read_bytes()).hexdigest() for name, file in FILES.items()}
    result = {
        "opencv": cv2.__version__,
        "defaults": FaceSettings().model_dump(mode="json"),
        "weights": {name: detector.identity for name, detector in detectors(data).items()},
        "sha256": files,
        "sizes": {name: pictures[0].shape[:2] for name, pictures in sets.items()},
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "rates": rates,
        "times": times,
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    for row in (*rates, *times):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
