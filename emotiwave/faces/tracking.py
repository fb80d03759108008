"""Faces followed from picture to picture, and which of them a video is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from emotiwave.faces.detectors import FaceSettings
from emotiwave.faces.face import Face, overlap


@dataclass
class Subject:
    """One face over time; times in seconds.

    ``seconds`` is how long it was seen in all; ``total_area`` the sum of its areas in square pixels over the pictures
    it was seen in; ``presence`` is area times time.
    """

    id: int
    first_seen: float
    last_seen: float
    seconds: float = 0.0
    total_area: float = 0.0
    presence: float = 0.0


class FaceTracker:
    """Gives the same number to the same face in pictures that follow each other.

    A face is taken for that of before which it overlaps most (the assignment with the largest sum of intersections over
    unions). Only boxes of faces that may come back are kept, and a few totals of all others.
    """

    def __init__(self, settings: FaceSettings) -> None:
        self.settings = settings
        self._subjects: list[Subject] = []
        self._boxes: dict[int, Face] = {}
        self._time: float | None = None

    def update(self, faces: Sequence[Face], time_s: float) -> list[int]:
        """Take the faces of the next picture, shown at a time in seconds; the number of each, in their order."""
        elapsed = 0.0 if self._time is None else min(max(0.0, time_s - self._time), self.settings.lost_after)
        self._time = time_s
        self._boxes = {
            number: box
            for number, box in self._boxes.items()
            if time_s - self._subjects[number].last_seen <= self.settings.lost_after
        }
        matched = self._match(faces)
        numbers = []
        for row, face in enumerate(faces):
            number = matched.get(row, len(self._subjects))
            if number == len(self._subjects):
                self._subjects.append(Subject(number, first_seen=time_s, last_seen=time_s))
            self._see(number, face, time_s, elapsed)
            numbers.append(number)
        return numbers

    def subjects(self) -> list[Subject]:
        """Every face that was seen, by its number."""
        return list(self._subjects)

    def main_subject(self) -> int | None:
        """The number of the face with the most presence; among equals the largest, then the first; None of none."""
        best = max(self._subjects, key=lambda found: (found.presence, found.total_area, -found.id), default=None)
        return None if best is None else best.id

    def _match(self, faces: Sequence[Face]) -> dict[int, int]:
        """Row of a face -> number of the face of before."""
        numbers = list(self._boxes)
        if not faces or not numbers:
            return {}
        overlaps = overlap(faces, [self._boxes[number] for number in numbers])
        overlaps[overlaps < self.settings.same_face] = 0.0
        from scipy.optimize import linear_sum_assignment  # takes a third of a second to import

        rows, columns = linear_sum_assignment(overlaps, maximize=True)
        return {
            int(row): numbers[column] for row, column in zip(rows, columns, strict=True) if overlaps[row, column] > 0
        }

    def _see(self, number: int, face: Face, time_s: float, elapsed: float) -> None:
        subject = self._subjects[number]
        subject.last_seen = time_s
        subject.seconds += elapsed
        subject.total_area += face.area
        subject.presence += face.area * elapsed
        self._boxes[number] = face
