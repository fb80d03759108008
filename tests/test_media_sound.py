import os
import tracemalloc
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from scipy.signal import butter, sosfilt

from emotiwave.errors import DataWarning, MediaError
from emotiwave.media import sound, tracks
from emotiwave.media.pictures import read_frames
from emotiwave.media.sound import read_sound, sound_blocks
from tests.made_media import click, write_sound, write_video

RATE = 16_000


def noise(seconds, rate, channels=1, seed=0):
    """Noise below 3 kHz, which every rate and codec carries."""
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * rate))) * 0.1
    return sosfilt(butter(4, 3000, fs=rate, output="sos"), white).astype(np.float32)


def time_of_peak(waveform):
    return waveform.start + float(np.argmax(np.abs(waveform.samples))) / waveform.rate


def cores_of(blocks):
    """Cut the cores out of blocks."""
    for block in blocks:
        waveform = block.waveform
        begin, end = (round((time - waveform.start) * waveform.rate) for time in block.core)
        yield waveform.samples[begin:end]


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 6), (96_000, 1)]
)
def test_any_rate_and_number_of_channels(tmp_path, rate, channels):
    samples = noise(1.5, rate, channels)
    path = write_sound(tmp_path / "a.wav", samples, rate, codec="pcm_f32le")
    weights = np.sqrt([0.5, 0.5, 1, 0, 0.25, 0.25]) if channels == 6 else np.ones(channels)
    expected = soxr.resample(np.average(samples, axis=0, weights=weights).astype(np.float32), rate, RATE)
    waveform = read_sound(path)
    assert (waveform.rate, waveform.start, waveform.gaps) == (RATE, 0.0, ())
    assert waveform.samples.dtype == np.float32
    assert len(waveform.samples) == len(expected) == 1.5 * RATE
    np.testing.assert_allclose(waveform.samples, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "step"),
    [
        ("a.wav", "pcm_u8", 2**-7),
        ("a.wav", "pcm_s16le", 2**-15),
        ("a.wav", "pcm_s24le", 2**-23),
        ("a.wav", "pcm_s32le", 2**-24),
        ("a.wav", "pcm_f32le", 1e-9),
        ("a.wav", "pcm_f64le", 1e-9),
        ("a.wav", "pcm_alaw", 0.02),
        ("a.flac", "flac", 2**-15),
    ],
)
def test_any_format_of_samples(tmp_path, name, codec, step):
    samples = noise(0.3, RATE)
    waveform = read_sound(write_sound(tmp_path / name, samples, RATE, codec=codec))
    np.testing.assert_allclose(waveform.samples, samples[0], atol=1.01 * step)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.mp4", "a.mkv", "a.ogg", "a.opus", "a.webm"])
@pytest.mark.parametrize("rate", [48_000, 24_000])
def test_a_click_stays_at_its_time(tmp_path, name, rate):
    if (name, rate) == ("a.webm", 24_000):
        pytest.skip("FFmpeg dates such a file 6 ms wrong when it writes it")
    path = write_sound(tmp_path / name, click(3.0, 2.2, rate, channels=2), rate)
    assert time_of_peak(read_sound(path)) == pytest.approx(2.2, abs=0.001)
    assert time_of_peak(read_sound(path, 1.9, 2.6)) == pytest.approx(2.2, abs=0.001)
    assert time_of_peak(read_sound(path, 2.17)) == pytest.approx(2.2, abs=0.001)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_a_segment_is_that_slice_of_the_whole(tmp_path, name):
    path = write_sound(
        tmp_path / name, noise(4.0, 44_100 if name != "a.ogg" else 48_000), 44_100 if name != "a.ogg" else 48_000
    )
    whole = read_sound(path).samples
    for start, end in [(0.0, 0.5), (0.05, 0.2), (1.0, 1.5), (2.3337, 3.01), (3.9, 4.0)]:
        segment = read_sound(path, start, end)
        first, last = round(start * RATE), round(end * RATE)
        assert segment.start == first / RATE
        np.testing.assert_allclose(segment.samples, whole[first:last], atol=1e-6)


@pytest.mark.parametrize("context", [0.0, 0.1, 0.7])
def test_blocks_are_the_whole_cut_up(tmp_path, context):
    path = write_sound(tmp_path / "a.wav", noise(3.3, 44_100), 44_100)
    whole = read_sound(path, 0.2)
    blocks = list(sound_blocks(path, 0.2, seconds=0.5, context=context))
    assert [block.core[0] for block in blocks] == pytest.approx([0.2 + 0.5 * k for k in range(7)])
    assert all(one.core[1] == other.core[0] for one, other in pairwise(blocks))
    assert blocks[-1].core[1] == pytest.approx(3.3)
    np.testing.assert_array_equal(np.concatenate(list(cores_of(blocks))), whole.samples)
    for block in blocks:
        start, end = max(0.2, block.core[0] - context), min(3.3, block.core[1] + context)
        assert block.waveform.start == pytest.approx(start)
        assert block.waveform.duration == pytest.approx(end - start)
        first = round((start - 0.2) * RATE)
        np.testing.assert_array_equal(
            block.waveform.samples, whole.samples[first : first + len(block.waveform.samples)]
        )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_that_starts_late_begins_with_a_gap(tmp_path, name):
    sound = click(1.0, 0.5, 48_000)
    path = write_video(tmp_path / name, 50, sound=sound, rate=48_000, sound_start=0.8)
    waveform = read_sound(path)
    assert waveform.gaps == (pytest.approx((0.0, 0.8), abs=0.025),)
    assert time_of_peak(waveform) == pytest.approx(1.3, abs=0.002)
    assert not waveform.samples[: round(0.77 * RATE)].any()
    inside = read_sound(path, 0.2, 0.6)
    assert inside.gaps == ((0.2, 0.6),)
    assert inside.duration == pytest.approx(0.4)


def packets_of(path):
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size, packet.pts) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("rate", [48_000, 96_000])
def test_a_damaged_packet_costs_that_packet_only(tmp_path, rate):
    path = write_sound(tmp_path / "a.m4a", noise(2.0, rate), rate)
    whole = read_sound(path).samples
    position, size, pts = packets_of(path)[50]
    content = bytearray(path.read_bytes())
    content[position : position + size] = b"\xff" * size
    path.write_bytes(content)
    waveform = read_sound(path)
    (gap,) = waveform.gaps
    assert gap == pytest.approx((pts / rate, (pts + 1024) / rate), abs=0.001)
    assert len(waveform.samples) == len(whole)
    before, after = round(gap[0] * RATE) - 400, round(gap[1] * RATE) + 400
    np.testing.assert_allclose(waveform.samples[:before], whole[:before], atol=1e-3)
    np.testing.assert_allclose(waveform.samples[after:], whole[after:], atol=0.02)  # AAC fills bands with noise


def test_an_index_that_is_wrong(tmp_path, monkeypatch):
    """A seek that ends too late is made again from further back."""
    path = write_sound(tmp_path / "a.flac", noise(4.0, RATE), RATE)
    expected = read_sound(path, 2.5, 3.5)
    for run_ins in ((-1.0,), (-1.0, 0.5)):
        monkeypatch.setattr(tracks, "_RUN_INS", run_ins)
        segment = read_sound(path, 2.5, 3.5)
        assert segment.gaps == ()
        np.testing.assert_array_equal(segment.samples, expected.samples)


def test_packets_that_are_missing_leave_a_gap(tmp_path):
    source = write_sound(tmp_path / "a.mkv", click(3.0, 2.5, 48_000), 48_000)
    with av.open(str(source)) as given, av.open(str(tmp_path / "b.mkv"), "w") as taken:
        track = taken.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None and not 1.0 <= packet.pts * packet.time_base < 1.5:
                packet.stream = track
                taken.mux(packet)
    waveform = read_sound(tmp_path / "b.mkv")
    assert waveform.gaps == (pytest.approx((1.0, 1.5), abs=0.025),)
    assert time_of_peak(waveform) == pytest.approx(2.5, abs=0.001)
    blocks = list(sound_blocks(tmp_path / "b.mkv", seconds=0.4))
    assert [bool(block.waveform.gaps) for block in blocks] == [False, False, True, True, False, False, False, False]
    assert all(block.core[0] <= gap[0] < gap[1] <= block.core[1] for block in blocks for gap in block.waveform.gaps)


def test_an_empty_packet_does_not_end_the_sound(tmp_path):
    source = write_sound(tmp_path / "a.flac", click(2.0, 1.5, 48_000), 48_000)
    with av.open(str(source)) as given, av.open(str(tmp_path / "b.nut"), "w") as taken:
        track = taken.add_stream_from_template(given.streams.audio[0])
        for index, packet in enumerate(given.demux(audio=0)):
            if packet.dts is None:
                continue
            put = av.Packet(0) if index == 10 else packet
            put.pts, put.dts, put.time_base, put.stream = packet.pts, packet.dts, packet.time_base, track
            taken.mux(put)
    waveform = read_sound(tmp_path / "b.nut")
    assert waveform.gaps == (pytest.approx((10 * 4608 / 48_000, 11 * 4608 / 48_000)),)
    assert time_of_peak(waveform) == pytest.approx(1.5, abs=0.001)


def test_samples_that_are_no_numbers_are_a_gap(tmp_path):
    samples = noise(0.5, RATE)
    samples[0, 4000:4010], samples[0, 4010] = np.nan, 1e30
    waveform = read_sound(write_sound(tmp_path / "a.wav", samples, RATE, codec="pcm_f32le"))
    assert waveform.gaps == (pytest.approx((4000 / RATE, 4011 / RATE)),)
    assert not waveform.samples[4000:4011].any()
    np.testing.assert_array_equal(waveform.samples[4011:], samples[0, 4011:])


def test_a_leap_of_years_is_not_filled(tmp_path):
    """From one packet on, timestamps say that two years have passed; a packet that is missing later is a gap still."""
    source = write_sound(tmp_path / "a.flac", click(3.0, 2.5, 48_000), 48_000)
    with av.open(str(source)) as given, av.open(str(tmp_path / "b.nut"), "w") as taken:
        track = taken.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None and not 2.0 <= packet.pts * packet.time_base < 2.2:
                packet.stream = track
                leap = 3_000_000_000_000 if packet.pts * packet.time_base > 1 else 0
                packet.pts = packet.dts = packet.pts + leap
                taken.mux(packet)
    waveform = read_sound(tmp_path / "b.nut")
    assert waveform.duration == pytest.approx(3.0, abs=0.001)
    assert waveform.gaps == (pytest.approx((2.0, 2.2), abs=0.1),)
    assert time_of_peak(waveform) == pytest.approx(2.5, abs=0.001)


def test_a_recording_that_was_appended_is_kept(tmp_path):
    one = write_sound(tmp_path / "a.ts", click(3.0, 1.0, 48_000), 48_000).read_bytes()
    (tmp_path / "b.ts").write_bytes(one + one)
    assert read_sound(tmp_path / "b.ts").duration == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.mkv", "a.ogg"])
def test_a_truncated_file_gives_what_is_there(tmp_path, name):
    path = write_sound(tmp_path / name, noise(3.0, 48_000), 48_000)
    whole = read_sound(path).samples
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with nullcontext() if name in ("a.mp3", "a.wav", "a.ogg") else pytest.warns(DataWarning, match=r"states 3\.0 s"):
        part = read_sound(path).samples
    assert 0.3 * len(whole) < len(part) < 0.7 * len(whole)
    np.testing.assert_allclose(part[:-2000], whole[: len(part) - 2000], atol=1e-6)


def test_a_file_that_ends_before_it_says_is_warned_of(tmp_path):
    path = write_sound(tmp_path / "a.flac", noise(4.0, RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(DataWarning, match=r"a\.flac: sound until .* where the file states 4\.0 s"):
        read_sound(path)


def test_no_sound(tmp_path):
    with pytest.raises(MediaError, match=r"a\.mp4: has no sound"):
        read_sound(write_video(tmp_path / "a.mp4", 5))


def test_no_sound_there(tmp_path):
    path = write_sound(tmp_path / "a.wav", noise(1.0, RATE), RATE)
    with pytest.raises(MediaError, match="no sound from 3 s on; it ends before"):
        read_sound(path, 3.0, 4.0)


def test_a_segment_that_ends_far_beyond_the_sound_is_warned_of_once(tmp_path):
    path = write_sound(tmp_path / "a.wav", noise(3.3, RATE), RATE)
    for read in (read_sound, lambda *given: list(sound_blocks(*given, seconds=1.0))):
        with pytest.warns(DataWarning, match=r"a\.wav: the segment ends at 200 s, the sound at 3\.3 s") as caught:
            assert read(path, 0.5, 200.0)
        assert len(caught) == 1
        assert read(path, 0.5, 4.2)  # no warning: rounded times


@pytest.mark.parametrize(("place", "gain"), [(0, 0.7071), (2, 1.0), (3, 0.0), (4, 0.5)])
def test_surround_sound_is_mixed_by_its_layout(tmp_path, place, gain):
    samples = np.zeros((6, RATE // 2), np.float32)
    samples[place] = 0.8
    mixed = read_sound(write_sound(tmp_path / "a.wav", samples, RATE, codec="pcm_f32le")).samples
    np.testing.assert_allclose(mixed, 0.8 * gain / 3.4142, atol=1e-4)  # ITU-R BS.775: 0.7071 twice, 1, 0.5 twice


def test_short_sound_beside_long_pictures_is_whole(tmp_path):
    path = write_video(tmp_path / "a.mkv", 100, sound=noise(1.5, 48_000), rate=48_000)  # 4 s of pictures
    assert read_sound(path).duration == pytest.approx(1.5, abs=0.05)
    assert list(read_frames(path))[-1].end == pytest.approx(4.0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(DataWarning, match=r"pictures until .* states 4\.0 s: truncated"):
        assert list(read_frames(path))


def test_sound_beside_one_picture_that_is_shown_for_longer(tmp_path):
    path = write_video(tmp_path / "a.mkv", 1, 0.2, sound=noise(1.5, 48_000), rate=48_000)  # until 5 s
    assert read_sound(path).duration == pytest.approx(1.5, abs=0.05)


def test_a_fifth_that_lacks_is_warned_of(tmp_path):
    path = write_sound(tmp_path / "a.flac", noise(2.0, RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 7 // 10])
    with pytest.warns(DataWarning, match=r"a\.flac: sound until 1\.[234] s, where the file states 2\.0 s"):
        read_sound(path)


@pytest.mark.parametrize(
    ("start", "end"), [(2.0, 1.0), (-1.0, 2.0), (1.0, 1.0), (float("nan"), 2.0), (0.0, 1e300), (1e300, None)]
)
def test_segments_that_are_none(tmp_path, start, end):
    path = write_sound(tmp_path / "a.wav", noise(1.0, RATE), RATE)
    with pytest.raises(MediaError, match="expected 0 <= start < end"):
        read_sound(path, start, end)


def test_hours_are_not_read_at_once(tmp_path, monkeypatch):
    assert sound.MAX_SECONDS == 7200
    monkeypatch.setattr(sound, "MAX_SECONDS", 3.6)
    path = write_sound(tmp_path / "a.wav", np.zeros(RATE * 5, np.float32), RATE)
    for end in (None, 4.8):
        with pytest.raises(MediaError, match=r"more than 0\.001 hours of sound; read it in segments"):
            read_sound(path, end=end)
    assert read_sound(path, 1.0, 4.6).duration == pytest.approx(3.6)


def test_blocks_take_no_more_memory_for_longer_sound(tmp_path):
    peaks = []
    for seconds in (20, 80):
        path = write_sound(tmp_path / "a.wav", np.zeros(RATE * seconds, np.float32), RATE)
        tracemalloc.start()
        n_blocks = sum(1 for _ in sound_blocks(path, seconds=2.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_blocks == seconds / 2
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.filterwarnings("ignore::emotiwave.errors.DataWarning")
@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.m4a", "a.mkv"])
def test_damaged_files_end_in_sound_or_a_media_error(tmp_path, name):
    generator = np.random.default_rng(7)
    content = write_sound(tmp_path / name, noise(1.1, 48_000, 2), 48_000).read_bytes()
    path = tmp_path / f"b{Path(name).suffix}"
    n_read = 0
    for _ in range(40):
        damaged = bytearray(content[: generator.choice([len(content) // 2, len(content)])])
        for place in generator.integers(len(damaged), size=2):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            waveform = read_sound(path)
        except MediaError:
            continue
        n_read += 1
        assert np.isfinite(waveform.samples).all()
        assert all(0 <= start < end <= waveform.duration + 1e-6 for start, end in waveform.gaps)
    assert n_read


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA does not name the folder of real data")
def test_a_real_clip():
    (path,) = Path(os.environ["EMOTIWAVE_DATA"], "av_clips", "ravdess").glob("*.mp4")
    waveform = read_sound(path)
    assert waveform.duration == pytest.approx(4.04, abs=0.1)
    assert 0.01 < np.abs(waveform.samples).max() <= 1
