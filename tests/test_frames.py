"""Frames on their way to the store, and the cache that keeps them."""

from pathlib import Path

import numpy as np
import pytest

from emotiwave.errors import FeatureError
from emotiwave.features.extraction.cache import FeatureCache, cache_key
from emotiwave.features.extraction.frames import IN_MEMORY_BYTES, Frames, covered_frames, merge_spans, open_frames
from emotiwave.files import file_digest
from emotiwave.signals import Span

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)
INTERVALS = np.array([[0.0, 0.5], [0.5, 1.0], [1.0, 1.5], [1.5, 2.0]])


def some_frames() -> Frames:
    frames = Frames(3, spans=(Span(0.5, 1.0, "silent"),), facts={"seconds": 2.0})
    frames.append(VALUES[:1], INTERVALS[:1])
    frames.append(VALUES[1:], INTERVALS[1:])
    return frames


def test_blocks_are_joined_in_order():
    frames = some_frames()
    assert len(frames) == 4
    np.testing.assert_array_equal(frames.rows(1, 3), VALUES[1:3])
    np.testing.assert_array_equal(frames.intervals, INTERVALS)
    frames.append(VALUES[:1], INTERVALS[:1] + 2)
    np.testing.assert_array_equal(frames.rows(4, 5), VALUES[:1])


def test_a_block_of_another_size_is_refused():
    with pytest.raises(FeatureError, match=r"gave values \(4, 3\); expected \(4, 2\)"):
        Frames(2).append(VALUES, INTERVALS)


def test_many_frames_go_to_disk_and_come_back():
    frames = Frames(1024)
    block = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    for number in range(5):
        frames.append(block + number, np.zeros((1024, 2)))
    assert frames.file._rolled
    assert 5 * block.nbytes > IN_MEMORY_BYTES
    np.testing.assert_array_equal(frames.rows(3 * 1024 + 7, 3 * 1024 + 9), block[7:9] + 3)


def test_written_frames_are_read_back(tmp_path: Path):
    some_frames().write(tmp_path / "a.frames")
    found = open_frames(tmp_path / "a.frames")
    assert found is not None
    np.testing.assert_array_equal(found.rows(0, 4), VALUES)
    np.testing.assert_array_equal(found.intervals, INTERVALS)
    assert found.spans == (Span(0.5, 1.0, "silent"),)
    assert found.facts == {"seconds": 2.0}


def test_no_frames_are_frames_too(tmp_path: Path):
    Frames(3).write(tmp_path / "none.frames")
    found = open_frames(tmp_path / "none.frames")
    assert found is not None
    assert found.rows(0, 0).shape == (0, 3)
    assert found.intervals.shape == (0, 2)


def test_damaged_frames_count_as_not_there(tmp_path: Path):
    path = tmp_path / "a.frames"
    some_frames().write(path)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[1:], whole[:40], whole[:-8] + b"EWFRAME2", b"\0" * len(whole)):
        path.write_bytes(content)
        assert open_frames(path) is None
    assert open_frames(tmp_path / "other") is None


@pytest.mark.parametrize(
    ("spans", "covered"),
    [
        ([], [False, False, False, False]),
        ([Span(0.0, 0.5, "a")], [True, False, False, False]),
        ([Span(0.3, 0.75, "a")], [False, True, False, False]),  # 0.2 of the first, half of the second
        ([Span(0.3, 0.74, "a")], [False, False, False, False]),
        ([Span(0.5, 0.65, "a"), Span(0.85, 1.4, "b"), Span(0.6, 0.7, "b")], [False, True, True, False]),
        ([Span(-5, 9, "a")], [True, True, True, True]),
        ([Span(np.nan, np.nan, "a")], [True, True, True, True]),
    ],
)
def test_frames_of_which_half_is_of_no_use_are_covered(spans: list[Span], covered: list[bool]):
    assert covered_frames(INTERVALS, spans).tolist() == covered


def test_frames_are_covered_as_by_counting_moments():
    rng = np.random.default_rng(3)
    starts = np.sort(rng.uniform(0, 10, 40))
    intervals = np.stack([starts, starts + rng.uniform(0.1, 1, 40)], axis=1)
    spans = [Span(begin, begin + length, "a") for begin, length in rng.uniform(0, 1, (12, 2)) * [10, 1.5]]
    moments = intervals[:, :1] + (np.arange(4000) + 0.5) / 4000 * (intervals[:, 1:] - intervals[:, :1])
    inside = np.any([(moments >= s.start) & (moments < s.end) for s in spans], axis=0).mean(axis=1)
    clear = np.abs(inside - 0.5) > 1e-3
    assert clear.sum() > 30
    assert 5 < (inside > 0.5).sum() < 35
    assert (covered_frames(intervals, spans) == (inside > 0.5))[clear].all()


def test_spans_that_touch_are_joined():
    assert merge_spans([Span(2, 3, "b"), Span(0, 1, "a"), Span(1, 1.5, "c"), Span(2.5, 2.6, "d")]) == [(0, 1.5), (2, 3)]


def test_the_cache_finds_what_was_kept_and_nothing_else(tmp_path: Path):
    cache = FeatureCache(tmp_path / "cache")
    key = cache_key({"of": "a", "rate": 5.0})
    assert cache.find(key) is None
    frames = some_frames()
    cache.keep(key, frames)
    found = cache.find(key)
    assert found is not None
    assert len(found) == 4
    assert cache.find(cache_key({"of": "a", "rate": 5.1})) is None
    assert cache_key({"rate": 5.0, "of": "a"}) == key


def test_without_a_folder_nothing_is_kept(tmp_path: Path):
    frames = some_frames()
    FeatureCache(None).keep("0" * 64, frames)
    assert FeatureCache(None).find("0" * 64) is None


def test_a_file_is_known_by_its_bytes(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    assert file_digest(one) == file_digest(two) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    two.write_bytes(b"abcd")
    assert file_digest(two) != file_digest(one)
