from itertools import permutations

import numpy as np
import pytest

from emotiwave.faces.detectors import FaceSettings
from emotiwave.faces.face import Face, overlap
from emotiwave.faces.tracking import FaceTracker


def face(x, y=0.0, width=10.0, height=10.0):
    return Face(x, y, width, height, 0.9)


def tracker(**settings):
    return FaceTracker(FaceSettings(**settings))


def test_faces_keep_their_numbers_whatever_their_order():
    follow = tracker()
    assert follow.update([face(0), face(100)], 0.0) == [0, 1]
    assert follow.update([face(98), face(3)], 0.2) == [1, 0]
    assert follow.update([face(96)], 0.4) == [1]
    assert follow.update([face(5), face(50), face(95)], 0.6) == [0, 2, 1]


def test_the_best_assignment_is_found_where_greed_would_fail():
    follow = tracker(same_face=0.05)
    follow.update([face(0), face(6)], 0.0)
    # the first overlaps both (7/13 and 7/13 for x = 3): the greedy choice of it for 1 would leave 0 without a face
    assert follow.update([face(4), face(9)], 0.2) == [0, 1]


def test_a_face_that_comes_back_late_is_another():
    follow = tracker(lost_after=0.5)
    follow.update([face(0)], 0.0)
    follow.update([], 0.4)
    assert follow.update([face(0)], 0.5) == [0]
    assert follow.update([], 1.0) == []
    assert follow.update([face(0)], 1.1) == [1]


def test_too_little_overlap_is_another_face():
    follow = tracker(same_face=0.3)
    follow.update([face(0)], 0.0)
    assert follow.update([face(5)], 0.2) == [0]  # 5 / 15
    assert follow.update([face(11)], 0.4) == [1]  # 4 / 16


def test_totals_by_hand():
    follow = tracker(lost_after=1.0)
    follow.update([face(0, width=10)], 2.0)
    follow.update([face(0, width=20)], 2.5)
    follow.update([], 2.75)
    follow.update([face(0, width=20), face(500)], 3.0)
    first, second = follow.subjects()
    assert (first.first_seen, first.last_seen) == (2.0, 3.0)
    assert first.seconds == pytest.approx(0.5 + 0.25)
    assert first.total_area == 100 + 200 + 200
    assert first.presence == pytest.approx(200 * 0.5 + 200 * 0.25)
    assert second.seconds == pytest.approx(0.25)
    assert follow.main_subject() == 0


def test_a_pause_of_the_video_counts_for_little():
    follow = tracker(lost_after=1.0)
    follow.update([], 0.0)
    follow.update([face(0)], 3600.0)
    assert follow.subjects()[0].seconds == 1.0


def test_small_and_persistent_against_large_and_brief():
    follow = tracker()
    for step in range(20):
        brief = [face(200, width=30, height=20)] if step in (10, 11) else []
        follow.update([face(0), *brief], step / 5)
    assert follow.main_subject() == 0
    follow.update([face(200, width=200, height=100)], 20 / 5)
    assert follow.main_subject() == follow.subjects()[-1].id


def test_of_a_photo_the_largest_is_meant_and_of_equals_the_first():
    follow = tracker()
    assert follow.main_subject() is None
    follow.update([face(0), face(100, width=20), face(200, width=20)], 0.0)
    assert follow.main_subject() == 1


def test_times_that_go_back_take_nothing_away():
    follow = tracker()
    follow.update([face(0)], 5.0)
    assert follow.update([face(0)], 4.0) == [0]
    assert follow.subjects()[0].seconds == 0


def test_only_faces_that_may_come_back_are_kept():
    follow = tracker(lost_after=0.5)
    for step in range(200):
        follow.update([face(1000.0 * step)], step / 5)
    assert len(follow.subjects()) == 200
    assert len(follow._boxes) <= 4


def test_assignment_is_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(30):
        before = [face(x, y) for x, y in rng.uniform(0, 25, (4, 2))]
        after = [face(x, y) for x, y in rng.uniform(0, 25, (4, 2))]
        shared = overlap(after, before)
        follow = tracker(same_face=0.001)
        follow.update(before, 0.0)
        numbers = follow.update(after, 0.1)
        got = sum(shared[row, number] for row, number in enumerate(numbers) if number < 4)
        best = max(sum(shared[row, column] for row, column in enumerate(order)) for order in permutations(range(4)))
        assert got == pytest.approx(best, abs=0.01)


def test_overlap_of_drawn_boxes():
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 20, (20, 2)), rng.integers(1, 15, (20, 2))
    faces = [Face(*map(float, (*corner, *size)), 1.0) for corner, size in zip(*boxes, strict=True)]
    drawn = np.zeros((20, 40, 40), bool)
    for canvas, ((x, y), (width, height)) in zip(drawn, zip(*boxes, strict=True), strict=True):
        canvas[y : y + height, x : x + width] = True
    expected = [[(a & b).sum() / (a | b).sum() for b in drawn] for a in drawn]
    assert overlap(faces, faces) == pytest.approx(np.array(expected))
