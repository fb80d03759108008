"""Pictures into frames, a few seconds at a time: faces found and followed, one of them judged, cut out, described."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emotiwave.faces.crops import cut_face, fit_face
from emotiwave.faces.detectors import FaceDetector, FaceSettings
from emotiwave.faces.face import Face
from emotiwave.faces.tracking import FaceTracker
from emotiwave.features.extraction.frames import Frames
from emotiwave.features.extractor import VisionExtractor
from emotiwave.media.usability import FreezeDetector, UsabilitySettings, unusable_picture
from emotiwave.signals import Frame, Span

AT_ONCE = 64
"""Pictures among whose faces one is chosen, and that are described together: what bounds memory."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """One picture: when, why it is of no use, and by track the faces in it, each cut out as extractors want it."""

    start: float
    end: float
    reason: str | None
    faces: Mapping[int, Mapping[str, NDArray[np.uint8]]]
    tiny: frozenset[int]
    whole: Mapping[str, NDArray[np.uint8]]


@dataclass(eq=False)
class PictureExtraction:
    """Takes the pictures of one utterance and describes them; ``origin`` is where it starts in the file, in seconds."""

    extractors: Mapping[str, VisionExtractor]
    faces: FaceSettings
    usability: UsabilitySettings
    detector: FaceDetector | None
    origin: float = 0.0
    is_face: bool = False
    """The pictures are faces that were cut out already."""
    n_pictures: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.tracker = FaceTracker(self.faces)
        self.freezes = FreezeDetector(self.usability)
        self.frames = {name: Frames(extractor.size) for name, extractor in self.extractors.items()}
        self.wants_faces = [name for name, e in self.extractors.items() if e.pictures == "faces"]

    def take(self, pictures: Iterable[Frame]) -> dict[str, Frames]:
        """Describe all pictures; frames by modality, with the spans of no use and what was seen as their facts."""
        spans: dict[str, list[Span]] = {name: [] for name in self.extractors}
        for seen in _batches((self._look(picture) for picture in pictures), AT_ONCE):
            subject = self.tracker.main_subject()
            for name, extractor in self.extractors.items():
                reasons = [self._reason(name, picture, subject) for picture in seen]
                self._describe(name, extractor, seen, reasons, subject)
                spans[name] += [
                    Span(picture.start, picture.end, reason)
                    for picture, reason in zip(seen, reasons, strict=True)
                    if reason
                ]
        frozen = [Span(span.start - self.origin, span.end - self.origin, span.reason) for span in self.freezes.spans]
        for name, frames in self.frames.items():
            frames.spans, frames.facts = (*spans[name], *frozen), self._facts()
        return self.frames

    def _facts(self) -> dict[str, Any]:
        if not self.wants_faces or self.is_face:
            return {"pictures": self.n_pictures}
        main = self.tracker.main_subject()
        return {
            "pictures": self.n_pictures,
            "detector": None if self.detector is None else self.detector.name,
            "faces": len(self.tracker.subjects()),
            "main face": None if main is None else int(main),
        }

    def _look(self, picture: Frame) -> _Seen:
        self.n_pictures += 1
        start, end = picture.start - self.origin, picture.end - self.origin
        reason = unusable_picture(picture.image, self.usability)
        self.freezes.see(picture)
        whole = {
            name: fit_face(picture.image, extractor.side, extractor.is_grey)
            if self.is_face
            else fit_frame(picture.image, extractor.side, extractor.is_grey)
            for name, extractor in self.extractors.items()
            if self.is_face or extractor.pictures == "frames"
        }
        if not self.wants_faces or self.is_face or self.detector is None:
            return _Seen(start, end, reason, {}, frozenset(), whole)
        faces = self.detector.detect(picture.image)
        tracks = self.tracker.update(faces, 0.0 if np.isnan(picture.start) else picture.start)
        tiny = {
            track
            for track, face in zip(tracks, faces, strict=True)
            if min(face.width, face.height) * picture.scale < self.usability.smallest_face
        }
        cut = {track: self._cut(picture.image, face) for track, face in zip(tracks, faces, strict=True)}
        return _Seen(start, end, reason, cut, frozenset(tiny), whole)

    def _cut(self, image: NDArray[np.uint8], face: Face) -> dict[str, NDArray[np.uint8]]:
        cut = {}
        for name in self.wants_faces:
            extractor = self.extractors[name]
            cut[name] = cut_face(
                image,
                face,
                side=extractor.side,
                is_grey=extractor.is_grey,
                margin=self.faces.margin,
                align=self.faces.align,
            )
        return cut

    def _reason(self, name: str, picture: _Seen, subject: int | None) -> str | None:
        if picture.reason or name in picture.whole:
            return picture.reason
        if subject is None or subject not in picture.faces:
            return "no face"
        return "tiny face" if subject in picture.tiny else None

    def _describe(
        self,
        name: str,
        extractor: VisionExtractor,
        seen: Sequence[_Seen],
        reasons: Sequence[str | None],
        subject: int | None,
    ) -> None:
        """Append one row per picture; NaN where there is nothing to describe."""
        intervals = np.array([[picture.start, picture.end] for picture in seen])
        values = np.full((len(seen), extractor.size), np.nan, dtype=np.float32)
        used = [row for row, reason in enumerate(reasons) if reason is None]
        if used:
            images = np.stack([_picture_of(seen[row], name, subject) for row in used])
            values[used] = extractor(images, intervals[used]).values
        self.frames[name].append(values, intervals)


def _picture_of(seen: _Seen, name: str, subject: int | None) -> NDArray[np.uint8]:
    return seen.whole[name] if name in seen.whole or subject is None else seen.faces[subject][name]


def fit_frame(image: NDArray[np.uint8], side: int, is_grey: bool) -> NDArray[np.uint8]:
    """Cut the square in the middle of a picture and bring it to ``(side, side, 3)``, or ``(side, side, 1)`` grey."""
    height, width = image.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(image[top : top + edge, left : left + edge])
    if is_grey:
        square = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if edge > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8).reshape(side, side, -1)


def longest_side(extractors: Iterable[VisionExtractor]) -> int:
    """How large pictures are decoded: enough that a face of a third of their height is not enlarged much."""
    return 1280 if max(extractor.side for extractor in extractors) > 112 else 640


def _batches(items: Iterator[_Seen], size: int) -> Iterator[list[_Seen]]:
    while batch := list(islice(items, size)):
        yield batch
