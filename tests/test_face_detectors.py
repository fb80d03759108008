import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from pydantic import ValidationError

from emotiwave.errors import MediaError
from emotiwave.faces.crops import cut_square
from emotiwave.faces.detectors import FaceSettings, HaarDetector, YunetDetector, load_detector
from emotiwave.faces.face import UPRIGHT, Face, overlap
from emotiwave.faces.model_file import ModelFile

NOSE = np.array([220.0, 118.0])
"""Of the astronaut, in pixels of the photo, read off it by eye."""
FACE_HEIGHT = 110.0


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.delenv("EMOTIWAVE_YUNET", raising=False)
    monkeypatch.setenv("EMOTIWAVE_OFFLINE", "1")


@pytest.fixture(scope="module")
def haar():
    return HaarDetector(FaceSettings(detector="haar"))


@pytest.fixture(scope="module")
def astronaut():
    return skimage.data.astronaut()


def turned(image, angle):
    """Turn a picture clockwise about its middle."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle, 1)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def where_turned(point, image, angle):
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    across, down = point - middle
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return middle + np.array([across * cosine - down * sine, across * sine + down * cosine])


def check_astronaut(face, nose=NOSE, scale=1.0):
    assert np.abs(np.array(face.centre) - nose).max() < 0.2 * FACE_HEIGHT * scale
    assert max(face.width, face.height) == pytest.approx(FACE_HEIGHT * scale, rel=0.25)
    assert 0.6 <= face.score <= 1


def test_haar_finds_the_astronaut(haar, astronaut):
    (face,) = haar.detect(astronaut)
    check_astronaut(face)
    right, left = face.landmarks
    assert right[0] < NOSE[0] < left[0]
    assert max(right[1], left[1]) < NOSE[1]
    assert abs(face.tilt) < 6


@pytest.mark.parametrize("scale", [0.5, 3])
def test_boxes_are_in_pixels_of_the_picture(haar, astronaut, scale):
    face = haar.detect(cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))[0]
    check_astronaut(face, NOSE * scale, scale)


@pytest.mark.parametrize("angle", [-35, 35])
def test_haar_finds_tilted_heads_and_how_far_they_are_tilted(haar, astronaut, angle):
    face = haar.detect(turned(astronaut, angle))[0]
    check_astronaut(face, where_turned(NOSE, astronaut, angle))
    assert face.tilt == pytest.approx(angle, abs=10)


@pytest.mark.parametrize("light", [0.2, 0.05])
def test_a_dark_face_is_found(haar, astronaut, light):
    check_astronaut(haar.detect((astronaut * light).astype(np.uint8))[0])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((240, 320, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((20_000, 3, 3), np.uint8),
        np.zeros((3, 20_000, 3), np.uint8),
    ],
)
def test_no_face(haar, image):
    assert haar.detect(image) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48), np.uint8),
        np.zeros((48, 48, 1), np.uint8),
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((48, 48, 3), np.float32),
        np.zeros((0, 48, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(haar, image):
    with pytest.raises(MediaError, match=r"\(height, width, 3\) uint8"):
        haar.detect(image)


def test_a_view_gives_what_its_copy_gives(haar, astronaut):
    view = astronaut[:, ::-1]
    found, again = haar.detect(view), haar.detect(view.copy())
    assert [(face.x, face.y, face.score) for face in found] == [(face.x, face.y, face.score) for face in again]
    assert found


def test_two_detectors_find_the_same_and_nothing_below_the_confidence(astronaut):
    sure = HaarDetector(FaceSettings(confidence=0.95))
    unsure = [HaarDetector(FaceSettings(confidence=0.3)) for _ in range(2)]
    first, second = ([(f.x, f.y, f.width, f.score, f.landmarks is None) for f in d.detect(astronaut)] for d in unsure)
    assert first == second
    assert all(face.score >= 0.95 for face in sure.detect(astronaut))
    assert [row[3] for row in first] == sorted((row[3] for row in first), reverse=True)


def test_without_align_no_eyes_are_looked_for(astronaut):
    assert HaarDetector(FaceSettings(align=False)).detect(astronaut)[0].landmarks is None


def test_auto_falls_back_and_says_why():
    detector = load_detector(FaceSettings())
    assert detector.name == "haar"
    assert detector.why_not_yunet is not None
    assert "EMOTIWAVE_OFFLINE" in detector.why_not_yunet
    assert "\n" not in detector.why_not_yunet
    assert load_detector(FaceSettings(detector="haar")).why_not_yunet is None


def test_yunet_that_was_asked_for_and_is_not_there_is_an_error():
    with pytest.raises(MediaError, match="EMOTIWAVE_YUNET"):
        load_detector(FaceSettings(detector="yunet"))


@pytest.mark.parametrize("detector", ["auto", "yunet"])
def test_a_model_that_is_named_is_never_passed_over(tmp_path, detector):
    with pytest.raises(MediaError, match="nowhere"):
        load_detector(FaceSettings(detector=detector, model=tmp_path / "nowhere.onnx"))


def test_identity_is_json_and_tells_settings_apart(haar):
    assert json.loads(json.dumps(haar.identity)) == haar.identity
    assert haar.identity != HaarDetector(FaceSettings(longest=640)).identity
    assert len(haar.identity["sha256"]) == 64


def test_opencv_without_cascades_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2.data, "haarcascades", str(tmp_path))
    with pytest.raises(MediaError, match="haarcascade_frontalface_default"):
        HaarDetector(FaceSettings())


@pytest.mark.parametrize("wrong", [{"confidence": 1}, {"longest": 10}, {"detector": "yolo"}, {"lost_after": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        FaceSettings(**wrong)


@pytest.mark.parametrize("angle", [-170.0, -30.0, 0.0, 12.0, 90.0])
@pytest.mark.parametrize("n_points", [2, 5])
def test_tilt_of_turned_landmarks(angle, n_points):
    turn = np.exp(1j * math.radians(angle))
    points = (UPRIGHT[:n_points] @ [1, 1j]) * 50 * turn + (30 + 40j)
    face = Face(0, 0, 50, 50, 1.0, np.stack([points.real, points.imag], axis=1))
    assert face.tilt == pytest.approx(angle)


def test_without_landmarks_there_is_no_tilt():
    assert Face(0, 0, 50, 50, 1.0).tilt is None


class MadeNet:
    """Stands in for YuNet: answers with rows of its own, and keeps the sizes it was told."""

    def __init__(self, rows_by_size):
        self.rows_by_size = rows_by_size
        self.size = None

    def setInputSize(self, size):  # noqa: N802 (OpenCV's name)
        self.size = size

    def detect(self, image):
        assert image.shape[2] == 3
        return 1, self.rows_by_size.get(image.shape[1::-1])


def made_yunet(monkeypatch, rows_by_size, settings):
    class Factory:
        create = staticmethod(lambda **_: MadeNet(rows_by_size))

    monkeypatch.setattr(cv2, "FaceDetectorYN", Factory)
    return YunetDetector(settings, ModelFile("made", "0" * 64, b""))


def row(x, y, width, height, points, score):
    return [x, y, width, height, *np.ravel(points), score]


def test_yunet_rows_become_faces_of_the_whole_picture(monkeypatch):
    points = [[12, 14], [18, 15], [15, 18], [13, 22], [17, 21]]
    rows = np.array([row(0, 0, 8, 8, points, 0.7), row(10, 10, 10, 16, points, 0.9)], np.float32)
    detector = made_yunet(monkeypatch, {(64, 64): rows}, FaceSettings(longest=64, align=False))
    best, other = detector.detect(np.zeros((480, 640, 3), np.uint8))
    assert (best.x, best.y, best.width, best.height) == (100, 100, 100, 160)
    assert best.score == pytest.approx(0.9)
    assert best.landmarks.tolist() == [[10 * x, 10 * y] for x, y in points]
    assert other.width == 80


def test_yunet_takes_landmarks_from_a_close_up(monkeypatch):
    side, around = YunetDetector.CLOSE_UP, YunetDetector.AROUND
    coarse = [[0, 0]] * 5
    fine = [[side / 2, side / 2], [side, side / 2], [0, 0], [side, side], [side / 4, side / 2]]
    wide = np.array([row(10, 10, 10, 16, coarse, 0.9)], np.float32)
    close = np.array([row(0, 0, 9, 9, coarse, 0.9), row(side / 4, side / 4, side / 2, side / 2, fine, 0.8)], np.float32)
    detector = made_yunet(monkeypatch, {(64, 64): wide, (side, side): close}, FaceSettings(longest=64))
    (face,) = detector.detect(np.zeros((480, 640, 3), np.uint8))
    edge = 160 * around  # the longer side of the box, in pixels of the picture, whose middle is (150, 180)
    expected = [[150, 180], [150 + edge / 2, 180], [150 - edge / 2, 180 - edge / 2]]
    assert face.landmarks[:3] == pytest.approx(np.array(expected))
    assert (face.x, face.height) == (100, 160)


def test_the_network_never_sees_a_picture_below_64_pixels_nor_is_believed_in_what_lies_outside(monkeypatch):
    points = [[12, 14]] * 5
    inside = row(0, 0, 3, 12, points, 0.8)
    outside = [row(0, 40, 3, 12, points, 0.8), row(0, 1, 7, 2, points, 0.8), row(-1e19, -3e28, 2e19, 6e28, points, 1.0)]
    outside += [row(-np.inf, -np.inf, np.inf, np.inf, points, 1.0)]
    rows = np.array([inside, *outside], np.float32)
    detector = made_yunet(monkeypatch, {(64, 64): rows}, FaceSettings(align=False))
    assert [(face.width, face.height) for face in detector.detect(np.zeros((30, 3, 3), np.uint8))] == [(3, 12)]


def test_a_close_up_of_something_else_is_not_believed(monkeypatch):
    side = YunetDetector.CLOSE_UP
    points = [[12, 14], [18, 15], [15, 18], [13, 22], [17, 21]]
    wide = np.array([row(10, 10, 10, 16, points, 0.9)], np.float32)
    close = np.array([row(0, 0, 9, 9, points, 0.9)], np.float32)
    detector = made_yunet(monkeypatch, {(64, 64): wide, (side, side): close}, FaceSettings(longest=64))
    (face,) = detector.detect(np.zeros((480, 640, 3), np.uint8))
    assert face.landmarks[0].tolist() == [120, 140]


def test_a_file_that_is_trusted_and_is_no_network_is_an_error(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"not a network")
    digest = "8e0ae2a5a5cc33ae8ab1e3a9cd5fcb4f0a4c3c8a5b6a08a3b3e4b9de5bd8fbd3"
    with pytest.raises(MediaError, match="no YuNet file that is known"):
        load_detector(FaceSettings(model=path, sha256=digest))
    with pytest.raises(MediaError, match="cannot run it as YuNet"):
        YunetDetector(FaceSettings(), ModelFile("yunet mine", digest, path.read_bytes()))


def real_weights():
    folder = os.environ.get("EMOTIWAVE_DATA")
    if not folder:
        pytest.skip("EMOTIWAVE_DATA is not set: no YuNet weights")
    return sorted((Path(folder) / "weights").glob("yunet_*_[0-9]*.onnx"))


def test_real_yunet_on_the_astronaut(astronaut):
    for path in real_weights():
        detector = load_detector(FaceSettings(model=path))
        assert detector.name.startswith("yunet ")
        assert detector.why_not_yunet is None
        for angle in (0, 20):
            face = detector.detect(turned(astronaut, angle))[0]
            check_astronaut(face, where_turned(NOSE, astronaut, angle))
            assert face.landmarks.shape == (5, 2)
            assert face.tilt == pytest.approx(angle, abs=9)
            nose = face.landmarks[2]
            assert np.abs(nose - where_turned(NOSE, astronaut, angle)).max() < 0.15 * FACE_HEIGHT
        for image in (np.zeros((1, 1, 3), np.uint8), np.zeros((20_000, 3, 3), np.uint8)):
            assert detector.detect(image) == []


def test_both_detectors_frame_a_face_alike(astronaut):
    haar = HaarDetector(FaceSettings()).detect(astronaut)[0]
    for path in real_weights():
        yunet = load_detector(FaceSettings(model=path)).detect(astronaut)[0]
        assert max(haar.width, haar.height) == pytest.approx(max(yunet.width, yunet.height), rel=0.15)
        assert np.abs(np.subtract(haar.centre, yunet.centre)).max() < 0.1 * yunet.height


def test_a_network_that_is_not_yunet_is_an_error():
    other = Path(real_weights()[0]).with_name("yunet_n_dynamic.onnx")  # OpenCV 4 cannot read its shapes
    with pytest.raises(MediaError, match="cannot run it as YuNet"):
        YunetDetector(FaceSettings(), ModelFile("yunet dynamic", "", other.read_bytes()))


def test_the_picture_given_is_left_as_it_was(haar, astronaut):
    before = astronaut.copy()
    haar.detect(astronaut)
    cut_square(astronaut, (100, 100), 50, 10, side=30, is_grey=True)
    assert (astronaut == before).all()


@pytest.mark.parametrize("shift", [(0, 0), (12, -6)])
def test_a_face_is_followed_to_where_it_would_be_found(haar, astronaut, shift):
    (face,) = haar.detect(astronaut)
    moved = np.roll(astronaut, shift[::-1], axis=(0, 1))
    (again,) = haar.follow(moved, [face])
    found = haar.detect(moved)[0]
    assert overlap([again], [found])[0, 0] > 0.8
    assert again.tilt == pytest.approx(found.tilt, abs=6)


def test_a_face_that_is_gone_far_away_or_another_size_is_not_followed(haar, astronaut):
    (face,) = haar.detect(astronaut)
    assert haar.follow(np.zeros_like(astronaut), [face]) is None
    assert haar.follow(np.roll(astronaut, 200, axis=1), [face]) is None
    assert haar.follow(cv2.resize(astronaut, (1024, 1024)), [face]) is None
    assert haar.follow(astronaut, []) == []


def test_yunet_follows_in_a_close_up(monkeypatch):
    points = [(130, 110), (160, 110), (145, 130), (130, 150), (160, 150)]
    rows = np.array([row(110, 88, 60, 90, points, 0.9)], np.float32)
    side = YunetDetector.CLOSE_UP
    detector = made_yunet(monkeypatch, {(side, side): rows}, FaceSettings())
    (again,) = detector.follow(np.zeros((360, 640, 3), np.uint8), [Face(100, 100, 40, 50, 0.9)])
    edge = 50 * YunetDetector.AROUND_MOVED  # of the close-up, around (120, 125), shown at 256 pixels
    scale, left, top = edge / side, 120 - edge / 2, 125 - edge / 2
    assert (again.x, again.y) == (pytest.approx(left + 110 * scale), pytest.approx(top + 88 * scale))
    assert (again.width, again.height) == (pytest.approx(60 * scale), pytest.approx(90 * scale))
    assert again.landmarks[0] == pytest.approx([left + 130 * scale, top + 110 * scale])
    assert again.score == pytest.approx(0.9)
    far = made_yunet(
        monkeypatch, {(side, side): np.array([row(0, 0, 60, 90, points, 0.9)], np.float32)}, FaceSettings()
    )
    assert far.follow(np.zeros((360, 640, 3), np.uint8), [Face(100, 100, 40, 50, 0.9)]) is None
