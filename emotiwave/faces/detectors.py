"""Detectors of faces: YuNet where its file is to be had, else the Haar cascades that OpenCV brings along."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.errors import MediaError
from emotiwave.faces.crops import cut_square
from emotiwave.faces.face import UPRIGHT, Face, check_picture, overlap
from emotiwave.faces.model_file import ModelFile, NoYunetError, find_yunet
from emotiwave.settings import AbsolutePath, Settings

DARK = 40
"""Mean luma below which Haar spreads grey levels out first: at a tenth of the light no face was found else."""


class FaceSettings(Settings):
    """Keys of ``[faces]``: how faces are found, followed and cut out."""

    detector: Literal["auto", "yunet", "haar"] = "auto"
    """``auto`` is YuNet if its file is to be had, else Haar."""
    model: AbsolutePath | None = None
    """YuNet's ONNX file; by default what EMOTIWAVE_YUNET names, or the cache, or fetched once."""
    sha256: str | None = None
    """The hash of ``model``, if it is a file of your own: it says that you trust it."""
    confidence: float = Field(default=0.6, gt=0, lt=1)
    """The least score of a face."""
    longest: int = Field(default=320, ge=64, le=4096)
    """Pictures are shrunk to this many pixels along their longer side before faces are looked for."""
    margin: float = Field(default=0.1, ge=0, le=2)
    """How much more than its box is cut out on either side, of the longer side of the box."""
    align: bool = True
    """Turn faces until their eyes are level."""
    same_face: float = Field(default=0.2, gt=0, lt=1)
    """The least overlap (intersection over union) of a face with where it was seen last."""
    lost_after: float = Field(default=1.0, gt=0)
    """Seconds after which a face that is seen no more counts as another when it comes back."""


class FaceDetector(ABC):
    """Finds faces in pictures. Build one in each process; threads must not share one."""

    name: str
    """Which detector it is, for reports."""
    sha256: str
    """Of its weights."""
    why_not_yunet: str | None = None
    """One line, if YuNet was wished for and could not be had."""

    def __init__(self, settings: FaceSettings) -> None:
        self.settings = settings

    @property
    def identity(self) -> dict[str, Any]:
        """All that its finds depend on beside the picture, as JSON values."""
        chosen = self.settings.model_dump(include={"confidence", "longest", "align"})
        return {"name": self.name, "version": 2, "sha256": self.sha256, "opencv": cv2.__version__, **chosen}

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """Find the faces in a picture ``(height, width, 3)`` uint8 RGB, the best first.

        Raises:
            MediaError: If the image is no picture.
        """
        check_picture(image)
        found = [face for face in self._find(image) if face.score >= self.settings.confidence]
        return sorted(found, key=lambda face: (-face.score, face.x, face.y))

    def follow(self, image: NDArray[np.uint8], faces: Sequence[Face]) -> list[Face] | None:
        """Find faces again that were there a moment before, each near where it was and about as large.

        Several times as fast as `detect`; newcomers are not seen.

        Returns:
            A face for each of ``faces``, in their order; None if one of them is not found there.

        Raises:
            MediaError: If the image is no picture.
        """
        check_picture(image)
        found = []
        for face in faces:
            again = self._find_near(image, face)
            if again is None or again.score < self.settings.confidence:
                return None
            found.append(again)
        is_same = overlap(found, found) > self.settings.same_face if len(found) > 1 else np.eye(len(found), dtype=bool)
        return None if is_same.sum() > len(found) else found  # two that became one: who is it?

    @abstractmethod
    def _find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Find faces of any score."""

    @abstractmethod
    def _find_near(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        """Find a face near another one."""


class YunetDetector(FaceDetector):
    """YuNet, a small network that also finds eyes, nose and mouth [Wu et al., MIR 2023].

    Its landmarks are too upright where faces are small: of a tilt of 20 degrees it saw a third to four fifths at 100
    pixels, and nearly all at 200. So for `FaceSettings.align` it looks at the largest faces a second time, enlarged.

    Raises:
        MediaError: If OpenCV cannot run the file, or it is another network.
    """

    CLOSE_UP = 256
    """Pixels, a multiple of 32 as the network wants; the face takes 1 / `AROUND` of it."""
    AROUND = 1.2
    AROUND_MOVED = 1.5
    """Of a face that may have moved since; it then has about 170 pixels, enough for its landmarks."""
    LEAST = 64
    """Pixels; smaller pictures get black at the right and below. Where a side is rounded up to 32, the network reads
    memory that nobody wrote (seen with OpenCV 4.14), and finds faces of any size."""
    CLOSE_UPS = 3
    """At most so many per picture, so that a crowd takes no longer."""

    def __init__(self, settings: FaceSettings, file: ModelFile) -> None:
        super().__init__(settings)
        self.name = file.name
        self.sha256 = file.sha256
        self.wide = self._net(file)
        self.close = self._net(file)  # one net each, since it takes time to change the size of a picture

    def _net(self, file: ModelFile) -> cv2.FaceDetectorYN:
        try:
            net = cv2.FaceDetectorYN.create(
                framework="onnx",
                bufferModel=np.frombuffer(file.content, np.uint8),
                bufferConfig=np.empty(0, np.uint8),
                input_size=(self.CLOSE_UP, self.CLOSE_UP),
                score_threshold=self.settings.confidence,
            )
            net.detect(np.zeros((self.CLOSE_UP, self.CLOSE_UP, 3), np.uint8))
        except cv2.error as error:
            raise MediaError(f"{file.name}: OpenCV {cv2.__version__} cannot run it as YuNet ({error.err})") from None
        return net

    def _find(self, image: NDArray[np.uint8]) -> list[Face]:
        small, scale = _shrink(image, self.settings.longest)
        height, width = small.shape[:2]
        padded = np.zeros((max(height, self.LEAST), max(width, self.LEAST), 3), np.uint8)
        padded[:height, :width] = small
        self.wide.setInputSize((padded.shape[1], padded.shape[0]))
        faces = [face for face in _run(self.wide, padded, scale) if _lies_in(image, face)]
        faces.sort(key=lambda face: -face.area)
        if self.settings.align:
            faces[: self.CLOSE_UPS] = [self._look_closer(image, face) for face in faces[: self.CLOSE_UPS]]
        return faces

    def _find_near(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        edge = max(face.width, face.height) * self.AROUND_MOVED
        near = self._nearest(image, face.centre, edge, within=self.CLOSE_UP / 3)
        if near is None:
            return None
        scale, (x, y) = edge / self.CLOSE_UP, np.array(face.centre) - edge / 2
        landmarks = None if near.landmarks is None else near.landmarks * scale + (x, y)
        return Face(
            x + near.x * scale, y + near.y * scale, near.width * scale, near.height * scale, near.score, landmarks
        )

    def _nearest(
        self, image: NDArray[np.uint8], centre: tuple[float, float], edge: float, *, within: float
    ) -> Face | None:
        """Find the face in a close-up whose middle is nearest to that of the close-up, in pixels of the close-up."""
        square = cut_square(image, centre, edge, 0.0, side=self.CLOSE_UP, is_grey=False)
        middle = (self.CLOSE_UP / 2, self.CLOSE_UP / 2)
        found = _run(self.close, square, np.ones(2))
        near = min(found, key=lambda other: math.dist(other.centre, middle), default=None)
        return None if near is None or math.dist(near.centre, middle) > within else near

    def _look_closer(self, image: NDArray[np.uint8], face: Face) -> Face:
        """The same face with landmarks of its own close-up, if it is found there."""
        edge = max(face.width, face.height) * self.AROUND
        near = self._nearest(image, face.centre, edge, within=self.CLOSE_UP / 8)
        if near is None or near.landmarks is None:
            return face
        middle = self.CLOSE_UP / 2
        return replace(face, landmarks=(near.landmarks - middle) * edge / self.CLOSE_UP + face.centre)


class HaarDetector(FaceDetector):
    """Haar cascades [Viola & Jones, CVPR 2001] of faces that look into the camera, and of their eyes.

    Where none is found, the picture is searched again, turned to either side and smaller: heads are often tilted.

    Raises:
        MediaError: If this OpenCV has no cascades.
    """

    name = "haar"
    SCORE = 4
    """A face that n overlapping windows agree on scores ``n / (n + 4)``: 6 windows score 0.6."""
    STEP = 1.1
    """From one size of window to the next."""
    TILT = 30.0
    """Degrees that pictures are turned by."""
    GROW = 1.1
    """Its boxes are smaller than YuNet's by so much, at the same place: with it, crops of both are framed alike."""
    EYES_SIDE = 128
    """Pixels of the face that eyes are looked for in; below are where: left, right, top, bottom."""
    EYES_WHERE = ((0.0, 0.55, 0.12, 0.62), (0.45, 1.0, 0.12, 0.62))
    REACH = 1.0
    """Times the size of a face, from its middle, that it is looked for a moment later; and below, times larger."""
    CHANGE = 1.4
    CASCADES = ("frontalface_default", "righteye_2splits", "lefteye_2splits")

    def __init__(self, settings: FaceSettings, why_not_yunet: str | None = None) -> None:
        super().__init__(settings)
        self.why_not_yunet = why_not_yunet
        paths = [Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml" for name in self.CASCADES]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise MediaError(f"OpenCV {cv2.__version__} lacks {missing[0]}; install opencv-python-headless below 5")
        self.sha256 = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
        self.cascade, *self.eyes = (cv2.CascadeClassifier(str(path)) for path in paths)

    def _find(self, image: NDArray[np.uint8]) -> list[Face]:
        small, scale = _shrink(image, self.settings.longest)
        found = self._boxes(_grey(small), scale, 0.0)
        if not found:
            smaller, scale = _shrink(image, self.settings.longest // 2)
            turned = [self._boxes(_turn(_grey(smaller), angle), scale, angle) for angle in (self.TILT, -self.TILT)]
            found = max(turned, key=lambda boxes: max((box[3] for box in boxes), default=0.0))
        return [self._face(image, *box) for box in found]

    def _find_near(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        small, scale = _shrink(image, self.settings.longest)
        size = face.width / self.GROW / scale.mean()
        (x, y), reach = face.centre / scale, size * self.REACH
        left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
        part = _grey(small)[top : math.ceil(y + reach), left : math.ceil(x + reach)]
        if not part.size:
            return None
        sizes = (round(size / self.CHANGE),) * 2, (round(size * self.CHANGE),) * 2
        offset = np.array([left, top])
        found = self._boxes(np.ascontiguousarray(part), scale, 0.0, offset=offset, sizes=sizes)
        best = max(found, key=lambda box: box[3], default=None)
        return None if best is None else self._face(image, *best)

    def _boxes(
        self,
        grey: NDArray[np.uint8],
        scale: NDArray[np.float64],
        angle: float,
        *,
        offset: NDArray[np.int64] | float = 0.0,
        sizes: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    ) -> list[tuple[NDArray[np.float64], float, float, float]]:
        """Centre and side of each face in pixels of the whole picture, the angle, and the score.

        ``offset`` is where ``grey`` begins in the picture that it was cut out of; ``sizes`` are the least and the
        largest windows, (0, 0) for any.
        """
        boxes, votes = self.cascade.detectMultiScale2(grey, self.STEP, 2, 0, *sizes)
        middle = np.array([grey.shape[1], grey.shape[0]]) / 2
        turn = _rotation(angle)
        found = []
        for (x, y, width, height), n in zip(boxes, np.ravel(votes), strict=True):
            score = float(n / (n + self.SCORE))
            if score >= self.settings.confidence:
                centre = turn @ (np.array([x + width / 2, y + height / 2]) - middle) + middle
                found.append(((centre + offset) * scale, float(width * self.GROW * scale.mean()), angle, score))
        return found

    def _face(
        self, image: NDArray[np.uint8], centre: NDArray[np.float64], side: float, angle: float, score: float
    ) -> Face:
        x, y = (centre - side / 2).tolist()
        eyes = self._eyes(image, centre, side / self.GROW, angle) if self.settings.align else None
        if eyes is None and angle:  # of a turned picture it is known how far the face is turned, at least
            eyes = UPRIGHT[:2]
        landmarks = None if eyes is None else centre + eyes @ _rotation(angle).T * side
        return Face(x, y, side, side, score, landmarks)

    def _eyes(
        self, image: NDArray[np.uint8], centre: NDArray[np.float64], edge: float, angle: float
    ) -> NDArray[np.float64] | None:
        """Both eyes ``(2, 2)`` from the middle of the box, over its side, if they are found where eyes can be."""
        square = cut_square(image, tuple(centre.tolist()), edge, angle, side=self.EYES_SIDE, is_grey=True)
        grey = _spread(square[:, :, 0])
        eyes = []
        for cascade, where in zip(self.eyes, self.EYES_WHERE, strict=True):
            left, right, top, bottom = (round(share * self.EYES_SIDE) for share in where)
            least, most = self.EYES_SIDE // 8, self.EYES_SIDE // 2
            found, votes = cascade.detectMultiScale2(
                grey[top:bottom, left:right], self.STEP, 4, 0, (least, least), (most, most)
            )
            if len(found) == 0:
                return None
            x, y, width, height = found[int(np.argmax(votes))]
            eyes.append([left + x + width / 2, top + y + height / 2])
        from_middle = np.array(eyes) / self.EYES_SIDE - 0.5
        across, down = from_middle[1] - from_middle[0]
        if across < 0.25 or abs(down) > across / 2:  # one eye twice, or a brow or nostril
            return None
        return from_middle / self.GROW


def load_detector(settings: FaceSettings, *, may_download: bool = True) -> FaceDetector:
    """Build the detector that the settings ask for.

    Raises:
        MediaError: If YuNet is asked for and not to be had, or a file that is named is not YuNet's.
    """
    if settings.detector == "haar":
        return HaarDetector(settings)
    try:
        return YunetDetector(settings, find_yunet(settings.model, settings.sha256, may_download=may_download))
    except NoYunetError as error:
        if settings.detector == "yunet":
            raise
        return HaarDetector(settings, why_not_yunet=str(error))


def _run(net: cv2.FaceDetectorYN, image: NDArray[np.uint8], scale: NDArray[np.float64]) -> list[Face]:
    """Find faces in a picture of the size that the net was told; ``scale`` brings them to the pixels of another."""
    _, rows = net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if rows is None:
        return []
    found = []
    for row in np.asarray(rows, np.float64):
        places = row[:14].reshape(7, 2) * scale
        x, y, width, height = places[:2].ravel().tolist()
        if min(width, height) > 0:
            found.append(Face(x, y, width, height, min(1.0, float(row[14])), places[2:]))
    return found


def _lies_in(image: NDArray[np.uint8], face: Face) -> bool:
    """Whether the middle of a face is in the picture, and the face no larger than twice the picture."""
    height, width = image.shape[:2]
    x, y = face.centre
    return 0 <= x <= width and 0 <= y <= height and face.width <= 2 * width and face.height <= 2 * height


def _shrink(image: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture no longer than asked for, and how many pixels across and down one of its pixels stands for."""
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.ascontiguousarray(image) if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.array([width / size[0], height / size[1]])


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _spread(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))


def _spread(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.equalizeHist(grey) if grey.mean() < DARK else grey, np.uint8)


def _rotation(angle: float) -> NDArray[np.float64]:
    """From a square that is turned clockwise by degrees to the picture."""
    turn = math.radians(angle)
    return np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])


def _turn(grey: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """Turn a picture about its middle so that what is tilted clockwise by the angle stands upright."""
    height, width = grey.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
