"""Pictures of a clip as the face expert sees them: every face is followed and answered, one of them is judged."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emotiwave.experts import Crop
from emotiwave.faces.crops import cut_face, cut_square, fit_face
from emotiwave.faces.detectors import FaceDetector, FaceSettings
from emotiwave.faces.face import Face, overlap
from emotiwave.faces.tracking import FaceTracker
from emotiwave.labels import SEVEN
from emotiwave.media.usability import (
    FreezeDetector,
    UsabilitySettings,
    summarise,
    summarise_counts,
    unusable_picture,
)
from emotiwave.recognizer.reading import Array, Ask, Reading
from emotiwave.signals import Frame, Span, Usability

AT_ONCE = 64
"""Faces that are answered together."""
LOOK_AROUND = 2.0
"""Seconds after which newcomers are looked for; between, faces are followed from picture to picture."""
MOST_FOLLOWED = 3
"""Faces that are followed so; of more, all of each picture is searched."""
LONGEST_GAP = 0.3
"""Seconds of a picture up to which faces are followed."""
ALIKE, ALIKE_SIDE = 0.8, 24
"""Correlation of the pixels of two faces, and their pixels along a side, from which on they are of the same moment."""
SAME_PLACE = 0.6
"""Overlap (intersection over union) of a face in two pictures from which on it is where it must be in between."""
MOST_FACES = 8
"""Faces of one picture that are answered, the largest ones."""
MOST_SUBJECTS = 10
ABOUT_AS_LONG = 0.8
"""Of the time of the face that is there longest."""
KEPT_EVERY = 0.5
"""Seconds between faces that are kept to be shown."""
SHORTEST = 0.5
"""Seconds that a face must be seen for to be told of, where there are times; one that comes while others are followed
may be seen up to `LOOK_AROUND` late, and not at all if it is gone by then."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One face over the clip, and its reading; ``start`` to ``end`` and ``seconds`` are NaN of a photo."""

    number: int
    start: float
    end: float
    seconds: float
    reading: Reading


@dataclass(frozen=True, eq=False)
class FacesSeen:
    """What was seen: the reading of the face that is judged, and of every face to tell of, the judged one first."""

    reading: Reading
    faces: tuple[Seen, ...]
    found_by: str = ""
    """The detector, to be added to what answered; nothing if the pictures were faces."""
    strip: tuple[tuple[float, NDArray[np.uint8]], ...] = ()
    """The judged face now and then, with its time, where faces were kept."""


@dataclass(frozen=True)
class _Picture:
    """One picture: when it is shown, why it is of no use, and the numbers of the faces in it and of tiny ones."""

    start: float
    end: float
    reason: str | None
    faces: frozenset[int] = frozenset()
    tiny: frozenset[int] = frozenset()


def in_the_middle(before: Sequence[Face], after: Sequence[Face]) -> list[Face] | None:
    """Tell where faces are in a picture from the ones before and after it; None if that is not clear.

    That halves what has to be searched: for each face of ``after``, a box and landmarks half-way.
    """
    if not before or len(before) != len(after):
        return None
    overlaps = overlap(after, before)
    others = overlaps.argmax(axis=1)
    if len(set(others.tolist())) < len(before) or overlaps.max(axis=1).min() < SAME_PLACE:
        return None
    return [_half_way(before[index], face) for face, index in zip(after, others.tolist(), strict=True)]


def _look_alike(picture: Frame, faces: Sequence[Face], other: Frame, others: Sequence[Face]) -> bool:
    """Whether faces that were not looked for look like those that were found in the next picture, one by one."""
    for face, found in zip(faces, others, strict=True):
        pixels = [
            cut_square(of.image, one.centre, max(one.width, one.height), 0.0, side=ALIKE_SIDE, is_grey=True)
            for of, one in ((picture, face), (other, found))
        ]
        centred = [values.astype(np.float64) - values.mean() for values in pixels]
        size = np.sqrt(np.prod([np.square(values).sum() for values in centred]))
        if (centred[0] * centred[1]).sum() < ALIKE * size:
            return False
    return True


def _half_way(one: Face, other: Face) -> Face:
    landmarks = None
    if one.landmarks is not None and other.landmarks is not None and len(one.landmarks) == len(other.landmarks):
        landmarks = (one.landmarks + other.landmarks) / 2
    return Face(
        (one.x + other.x) / 2,
        (one.y + other.y) / 2,
        (one.width + other.width) / 2,
        (one.height + other.height) / 2,
        (one.score + other.score) / 2,
        landmarks,
    )


@dataclass(eq=False)
class FaceReader:
    """Takes the pictures of a clip one after another; of each face it keeps what the expert says, not the pixels."""

    expert: Ask
    crop: Crop
    detector: FaceDetector | None
    faces: FaceSettings
    usability: UsabilitySettings
    origin: float = 0.0
    """Where the clip starts in the file, in seconds."""
    reliability: float = 1.0
    kept: int = 0
    """Faces that are kept of each person, half a second apart, to be shown."""
    _pictures: list[_Picture] = field(default_factory=list, init=False)
    _waiting: list[tuple[int, int, NDArray[np.uint8]]] = field(default_factory=list, init=False)
    _said: dict[int, dict[int, Array]] = field(default_factory=dict, init=False)
    _unread: dict[int, dict[int, str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._last: list[Face] = []
        self._seconds: dict[int, float] = {}
        self._ends: dict[int, float] = {}
        self._strips: dict[int, tuple[float, list[tuple[float, NDArray[np.uint8]]]]] = {}
        self._looked_around = -np.inf
        self._tracker = FaceTracker(self.faces)
        self._freezes = FreezeDetector(self.usability)

    def take(self, pictures: Iterable[Frame]) -> FacesSeen:
        """Look at all pictures.

        Raises:
            MediaError: If they cannot be decoded.
        """
        between: Frame | None = None
        for picture in pictures:
            if between is None and self._is_followed(picture):
                between = picture
                continue
            before, found = self._last, self._find(picture)
            if between is not None:
                half_way = in_the_middle(before, found)
                is_there = half_way is not None and _look_alike(between, half_way, picture, found)
                self._look(between, half_way if half_way and is_there else self._detect(between))
                between = None
            self._look(picture, found)
            if len(self._waiting) >= AT_ONCE:
                self._ask()
        if between is not None:
            self._look(between, self._find(between))
        self._ask()
        return self._sum_up()

    def _is_followed(self, picture: Frame) -> bool:
        """Whether the faces of a picture may be told from those of the one before and the one after."""
        return 1 <= len(self._last) <= MOST_FOLLOWED and picture.end - picture.start <= LONGEST_GAP

    def _look(self, picture: Frame, found: list[Face]) -> None:
        start, end = picture.start - self.origin, picture.end - self.origin
        reason = unusable_picture(picture.image, self.usability)
        self._freezes.see(picture)
        numbers = self._tracker.update(found, 0.0 if np.isnan(start) else start)
        for number in numbers:
            self._seconds[number] = self._seconds.get(number, 0.0) + np.nan_to_num(end - start)
            self._ends[number] = end
        by_size = sorted(zip(numbers, found, strict=True), key=lambda one: -one[1].area)
        tiny = {
            number
            for number, face in by_size
            if self.detector is not None and min(face.width, face.height) * picture.scale < self.usability.smallest_face
        }
        if reason is None:
            for number, face in [one for one in by_size if one[0] not in tiny][:MOST_FACES]:
                cut = self._cut(picture.image, face)
                self._waiting.append((number, len(self._pictures), cut))
                self._keep(number, (start + end) / 2, cut)
        self._pictures.append(_Picture(start, end, reason, frozenset(numbers), frozenset(tiny)))

    def _keep(self, number: int, time: float, cut: NDArray[np.uint8]) -> None:
        """Keep some faces of a person to be shown, the further apart the longer the clip is."""
        if not self.kept or number >= MOST_SUBJECTS:
            return
        apart, strip = self._strips.setdefault(number, (KEPT_EVERY, []))
        if strip and time - strip[-1][0] < apart - 1e-6:
            return
        strip.append((time, cut))
        if len(strip) > self.kept:
            self._strips[number] = (2 * apart, strip[::2])

    def _find(self, picture: Frame) -> list[Face]:
        """Follow faces for two seconds, then look all over the picture; also where one is lost."""
        found = None
        if (
            self.detector is not None
            and self._is_followed(picture)
            and picture.start < self._looked_around + LOOK_AROUND
        ):
            found = self.detector.follow(picture.image, self._last)
        if found is None:
            found, self._looked_around = self._detect(picture), picture.start
        self._last = found if self.detector is not None else []
        return found

    def _detect(self, picture: Frame) -> list[Face]:
        """Look all over a picture; one that is a face is one."""
        if self.detector is None:
            height, width = picture.image.shape[:2]
            return [Face(0, 0, width, height, 1.0)]
        return self.detector.detect(picture.image)

    def _cut(self, image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        """Cut a face out, not larger than it is in the picture, so that its size can be measured."""
        if self.detector is None:
            return fit_face(image, min(self.crop.side, max(image.shape[:2])), self.crop.is_grey)
        edge = max(face.width, face.height) * (1 + 2 * self.faces.margin)
        side = max(1, min(self.crop.side, round(edge)))
        return cut_face(
            image, face, side=side, is_grey=self.crop.is_grey, margin=self.faces.margin, align=self.faces.align
        )

    def _ask(self) -> None:
        """Let the expert answer the faces that wait."""
        answer = self.expert([crop for _, _, crop in self._waiting])
        evidence = answer.log_posterior - np.log(answer.prior)
        for row, (number, index, _) in enumerate(self._waiting):
            if answer.observed[row]:
                self._said.setdefault(number, {})[index] = evidence[row]
            else:
                self._unread.setdefault(number, {})[index] = "unreadable"
        self._waiting.clear()

    def _sum_up(self) -> FacesSeen:
        frozen = [Span(span.start - self.origin, span.end - self.origin, span.reason) for span in self._freezes.spans]
        main = self._judged()
        reading = self._reading_of(main, frozen)
        is_timed = not np.isnan(self._pictures[0].start)
        seen = []
        for subject in sorted(
            self._tracker.subjects(), key=lambda one: (one.id != main, -one.presence, -one.total_area)
        ):
            seconds = self._seconds[subject.id]
            if is_timed and subject.id != main and seconds < SHORTEST:
                continue
            of = reading if subject.id == main else self._reading_of(subject.id, frozen)
            times = (subject.first_seen, self._ends[subject.id], seconds) if is_timed else (np.nan, np.nan, np.nan)
            seen.append(Seen(subject.id, *times, of))
            if len(seen) == MOST_SUBJECTS:
                break
        found_by = "" if self.detector is None else f", faces found by {self.detector.name}"
        _, strip = self._strips.get(-1 if main is None else main, (0.0, []))
        return FacesSeen(reading, tuple(seen), found_by, tuple(strip))

    def _judged(self) -> int | None:
        """Choose the face that is there longest; of those that are there about as long, the largest."""
        longest = max(self._seconds.values(), default=0.0)
        lasting = [one for one in self._tracker.subjects() if self._seconds[one.id] >= ABOUT_AS_LONG * longest]
        best = max(lasting, key=lambda one: (one.total_area, -one.id), default=None)
        return None if best is None else best.id

    def _reading_of(self, number: int | None, frozen: Sequence[Span]) -> Reading:
        said, unread = self._said.get(-1 if number is None else number, {}), self._unread.get(number or 0, {})
        reasons: dict[int, str] = {}
        for index, picture in enumerate(self._pictures):
            if picture.reason:
                reasons[index] = picture.reason
            elif number is None or number not in picture.faces:
                reasons[index] = "no face"
            elif number in picture.tiny:
                reasons[index] = "tiny face"
            elif index not in said:
                reasons[index] = unread.get(index, "too many faces")
            elif any(span.start <= (picture.start + picture.end) / 2 < span.end for span in frozen):
                reasons[index] = "frozen"
        used = [index for index in said if index not in reasons]
        times = np.array([(self._pictures[index].start, self._pictures[index].end) for index in used]).reshape(-1, 2)
        weights = np.nan_to_num(times[:, 1] - times[:, 0], nan=1.0)
        evidence = np.array([said[index] for index in used]).reshape(-1, len(SEVEN))
        seconds = 0.0 if np.isnan(self._pictures[-1].end) else self._pictures[-1].end
        return Reading("vision", evidence, times, weights, self._usability(reasons), seconds, self.reliability)

    def _usability(self, reasons: Mapping[int, str]) -> Usability:
        pictures = self._pictures
        if np.isnan(pictures[0].start):
            return summarise_counts("vision", Counter(reasons.values()), len(pictures), self.usability)
        spans = [Span(pictures[index].start, pictures[index].end, why) for index, why in sorted(reasons.items())]
        return summarise("vision", spans, pictures[0].start, pictures[-1].end, self.usability)
