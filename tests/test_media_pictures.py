import gc
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emotiwave.errors import DataWarning, MediaError
from emotiwave.media import containers, tracks
from emotiwave.media.pictures import read_frames
from tests.made_media import grey_picture, index_of, write_sound, write_video

CORNERS = np.zeros((48, 64, 3), np.uint8)
CORNERS[:24, :32], CORNERS[:24, 32:], CORNERS[24:, :32], CORNERS[24:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255


def shown(frames):
    return [(index_of(frame.image), round(frame.start, 3), round(frame.end, 3)) for frame in frames]


def sampled_by_hand(times, end, rate, start=0.0):
    """Index of the picture shown at the middle of every period, the periods of one picture joined."""
    found: list[tuple[int, float, float]] = []
    period = 0
    while start + (period + 0.5) / rate < end:
        middle = start + (period + 0.5) / rate
        index = max(k for k, time in enumerate(times) if time <= middle + 1e-9)
        begin, stop = start + period / rate, start + (period + 1) / rate
        if found and found[-1][0] == index:
            begin = found.pop()[1]
        found.append((index, begin, stop))
        period += 1
    index, begin, _ = found.pop()
    return [(k % 32, round(b, 3), round(e, 3)) for k, b, e in [*found, (index, begin, end)]]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.webm"])
def test_the_picture_at_the_middle_of_each_period(tmp_path, name):
    codec = "libvpx" if name == "a.webm" else "libx264"
    path = write_video(tmp_path / name, 40, 25.0, codec=codec)
    times = [k / 25 for k in range(40)]
    assert shown(read_frames(path)) == sampled_by_hand(times, 1.6, 5.0)
    assert shown(read_frames(path, rate=7.0)) == sampled_by_hand(times, 1.6, 7.0)
    assert shown(read_frames(path, 0.5, 1.1)) == sampled_by_hand(times, 1.1, 5.0, start=0.5)


def test_variable_frame_rate(tmp_path):
    times = [0.0, 0.05, 0.1, 0.35, 0.4, 1.25, 1.3, 1.35]
    path = write_video(tmp_path / "a.mp4", 8, times=times)
    assert shown(read_frames(path)) == [(2, 0.0, 0.4), (4, 0.4, 1.2), (6, 1.2, pytest.approx(1.4, abs=0.02))]
    every = list(read_frames(path, rate=None))
    assert [frame.start for frame in every] == pytest.approx(times)
    assert [index_of(frame.image) for frame in every] == list(range(8))
    assert all(one.end == other.start for one, other in pairwise(every))


def test_a_slow_video_gives_each_picture_once(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4, fps=1.0)
    assert shown(read_frames(path)) == [(0, 0.0, 1.0), (1, 1.0, 2.0), (2, 2.0, 3.0), (3, 3.0, 4.0)]
    assert shown(read_frames(path, 1.45, 2.45)) == [(1, 1.45, 2.05), (2, 2.05, 2.45)]  # middles 1.55, ..., 1.95, 2.15


def test_every_picture_of_a_segment(tmp_path):
    path = write_video(tmp_path / "a.mp4", 30, 25.0)
    assert shown(read_frames(path, 0.5, 0.6, rate=None)) == [(12, 0.5, 0.52), (13, 0.52, 0.56), (14, 0.56, 0.6)]


def test_short_segments_and_videos(tmp_path):
    one = write_video(tmp_path / "one.mp4", 1)
    assert shown(read_frames(one)) == [(0, 0.0, 0.04)]
    assert shown(read_frames(one, rate=None)) == [(0, 0.0, 0.04)]
    path = write_video(tmp_path / "a.mp4", 30, 25.0)
    assert shown(read_frames(path, 0.5, 0.51)) == [(12, 0.5, 0.51)]
    (frame,) = read_frames(path, 0.5, 0.59)
    assert (frame.start, frame.end) == (0.5, 0.59)


def test_a_seek_decodes_what_reading_through_does(tmp_path):
    def textured(index):
        generator = np.random.default_rng(index // 7)
        return generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)

    path = write_video(tmp_path / "a.mp4", 150, 25.0, pictures=textured, keyframes=40)
    whole = list(read_frames(path, rate=None))
    for start, end in [(1.0, 1.5), (3.3, 3.5), (5.9, 6.0)]:
        part = list(read_frames(path, start, end, rate=None))
        expected = [frame for frame in whole if frame.end > start + 1e-9 and frame.start < end - 1e-9]
        assert len(part) == len(expected)
        for frame, other in zip(part, expected, strict=True):
            np.testing.assert_array_equal(frame.image, other.image)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_pictures_are_turned_upright(tmp_path, rotation):
    path = write_video(tmp_path / "a.mp4", 2, pictures=lambda _: CORNERS, rotation=rotation, pixels="yuv444p")
    frame = next(read_frames(path))
    upright = np.rot90(CORNERS, rotation // 90)  # counter-clockwise, too
    assert frame.image.shape == upright.shape
    np.testing.assert_allclose(frame.image.astype(int), upright, atol=4)


def test_mirrored_pictures(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2, pictures=lambda _: CORNERS, rotation=90, pixels="yuv444p")
    content = path.read_bytes()
    unit = 1 << 16

    def matrix(a, b, c, d):
        """As a track header holds it."""
        return b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d))

    assert content.count(matrix(0, -unit, unit, 0)) == 1
    for change, expected in [
        (matrix(0, unit, unit, 0), CORNERS.transpose(1, 0, 2)),
        (matrix(-unit, 0, 0, unit), CORNERS[:, ::-1]),
        (matrix(unit, 0, 0, -unit), CORNERS[::-1]),
    ]:
        (tmp_path / "b.mp4").write_bytes(content.replace(matrix(0, -unit, unit, 0), change))
        np.testing.assert_allclose(next(read_frames(tmp_path / "b.mp4")).image.astype(int), expected, atol=4)


def test_large_pictures_are_scaled_down_by_area(tmp_path):
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8), (320, 240))
    path = write_video(tmp_path / "a.mp4", 2, size=(320, 240), pictures=lambda _: smooth, pixels="yuv444p")
    frame = next(read_frames(path, longest=80))
    assert frame.image.shape == (60, 80, 3)
    assert frame.scale == 4.0
    np.testing.assert_allclose(
        frame.image.astype(int), cv2.resize(smooth, (80, 60), interpolation=cv2.INTER_AREA), atol=6
    )
    assert next(read_frames(path)).scale == 1.0


def test_pixels_that_are_not_square(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2, pictures=lambda _: CORNERS, aspect=Fraction(3, 2))
    assert next(read_frames(path)).image.shape == (48, 96, 3)
    frame = next(read_frames(path, longest=48))
    assert (frame.image.shape, frame.scale) == ((24, 48, 3), 2.0)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p10le", "gray"])
def test_levels_of_any_pixel_format(tmp_path, pixels):
    codec = {"yuvj420p": "mjpeg"}.get(pixels, "ffv1")
    path = write_video(tmp_path / "a.mkv", 3, codec=codec, pixels=pixels, options={})
    assert [index_of(frame.image) for frame in read_frames(path, rate=None)] == [0, 1, 2]


def test_no_pictures(tmp_path):
    sound = np.zeros(16_000, np.float32)
    for path in (
        write_sound(tmp_path / "a.wav", sound),
        write_sound(tmp_path / "a.mp3", sound, cover=grey_picture(0, (32, 32))),
    ):
        with pytest.raises(MediaError, match="has no pictures; expected"):
            next(read_frames(path))


def test_no_pictures_there(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    with pytest.raises(MediaError, match="no pictures from 3 s on"):
        next(read_frames(path, 3.0, 4.0))
    with pytest.raises(MediaError, match="expected 0 <= start < end"):
        next(read_frames(path, 2.0, 1.0))


def test_a_segment_that_ends_far_beyond_the_pictures_is_warned_of(tmp_path):
    path = write_video(tmp_path / "a.mp4", 50)
    with pytest.warns(DataWarning, match=r"a\.mp4: the segment ends at 200 s, the pictures at 2\.0 s") as caught:
        assert list(read_frames(path, 0.5, 200.0))
    assert len(caught) == 1


def test_declared_sizes_are_checked_before_decoding(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 2, codec="ffv1", pixels="bgr0", options={})
    content = bytearray(path.read_bytes())
    sizes = content.index(b"strf") + 12  # of the bitmap header
    content[sizes : sizes + 8] = (20_000).to_bytes(4, "little") + (4_000).to_bytes(4, "little")
    (tmp_path / "b.avi").write_bytes(content)
    with pytest.raises(MediaError, match="more than 50,000,000 pixels"):
        next(read_frames(tmp_path / "b.avi"))
    monkeypatch.setattr(containers, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(MediaError, match="pictures of 64 x 48 pixels; expected at most 3,071"):
        next(read_frames(write_video(tmp_path / "a.mp4", 2)))


def test_pictures_larger_than_their_container_says_are_not_decoded(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 2)
    monkeypatch.setattr(tracks, "MAX_PIXELS", 64 * 48 - 1)  # of the decoder; the container still passes
    with pytest.raises(MediaError, match="nothing of its pictures can be decoded"):
        next(read_frames(path))


def test_a_damaged_picture_costs_no_more_than_it_must(tmp_path):
    path = write_video(tmp_path / "a.mkv", 25, codec="mjpeg", pixels="yuvj420p", options={})
    with av.open(str(path)) as container:
        position, size = [(packet.pos, packet.size) for packet in container.demux(video=0)][12]
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xd8", position)
    content[at : at + size] = bytes(size)
    path.write_bytes(content)
    frames = shown(read_frames(path, rate=None))
    assert [index for index, _, _ in frames] == [k for k in range(25) if k != 12]
    assert frames[11] == (11, 0.44, 0.52)


def test_two_pictures_at_a_time(tmp_path):
    source = write_video(tmp_path / "a.mkv", 10, codec="mjpeg", pixels="yuvj420p", options={})
    with av.open(str(source)) as given, av.open(str(tmp_path / "b.mkv"), "w") as taken:
        track = taken.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(given.demux(video=0)):
            if packet.dts is not None:
                packet.stream = track
                packet.pts = packet.dts = packet.pts - (40 if index == 5 else 0)  # milliseconds
                taken.mux(packet)
    frames = shown(read_frames(tmp_path / "b.mkv", rate=None))
    assert [index for index, _, _ in frames] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert frames[4] == (4, 0.16, 0.24)


def test_a_truncated_video_gives_what_is_there(tmp_path):
    path = write_video(tmp_path / "a.mkv", 100, 25.0, pictures=noisy)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(DataWarning, match=r"a\.mkv: pictures until 2\.\d s, where the file states 4\.0 s"):
        frames = list(read_frames(path))
    assert 1.0 < frames[-1].end < 3.0
    assert all(one.end == other.start for one, other in pairwise(frames))


def noisy(index):
    return np.random.default_rng(index).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def test_frames_are_freed_as_they_come(tmp_path):
    """No garbage collection is needed: what is decoded lies in no cycle, save the first picture."""
    path = write_video(tmp_path / "a.mp4", 50, 25.0)
    gc.collect()
    gc.disable()
    try:
        n_frames = sum(1 for _ in read_frames(path, rate=None))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        n_uncollected = sum(type(thing) is av.VideoFrame for thing in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert n_frames == 50
    assert n_uncollected <= 1


@pytest.mark.filterwarnings("ignore::emotiwave.errors.DataWarning")
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx")])
def test_damaged_files_end_in_frames_or_a_media_error(tmp_path, name, codec):
    generator = np.random.default_rng(3)
    content = write_video(tmp_path / name, 12, codec=codec).read_bytes()
    path = tmp_path / f"b{Path(name).suffix}"
    n_read = 0
    for _ in range(50):
        damaged = bytearray(content[: generator.choice([len(content) // 2, len(content)])])
        for place in generator.integers(len(damaged), size=2):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            frames = list(read_frames(path))
        except MediaError:
            continue
        n_read += 1
        assert all(frame.start < frame.end for frame in frames)
        assert all(one.end == other.start for one, other in pairwise(frames))
    assert n_read


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA does not name the folder of real data")
def test_a_real_clip():
    (path,) = Path(os.environ["EMOTIWAVE_DATA"], "av_clips", "ravdess").glob("*.mp4")
    frames = list(read_frames(path, longest=320))
    assert len(frames) == 20
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert frames[-1].end == pytest.approx(4.0, abs=0.05)
