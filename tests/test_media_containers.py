import os
from contextlib import suppress

import av
import numpy as np
import pytest

from emotiwave.errors import MediaError
from emotiwave.media.containers import MAX_PIXELS, check_pixels, describe_media, open_container
from emotiwave.media.tracks import measure_duration
from tests.made_media import click, grey_picture, write_sound, write_video

SOUND = click(1.0, 0.5, 48_000, channels=2)


def reason_of(path):
    with pytest.raises(MediaError) as caught:
        describe_media(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_description_of_a_video(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", 30, 30.0, (64, 48), sound=SOUND, rate=48_000, rotation=90, subtitles=[(0.1, 0.6, "hello")]
    )
    found = describe_media(path)
    assert "mp4" in found.format
    assert found.duration == pytest.approx(1.0, abs=0.05)
    assert found.n_bytes == len(path.read_bytes())
    assert found.sound is not None
    assert (found.sound.codec, found.sound.rate, found.sound.channels) == ("aac", 48_000, 2)
    assert found.pictures is not None
    assert (found.pictures.codec, found.pictures.width, found.pictures.height) == ("h264", 64, 48)
    assert (found.pictures.frame_rate, found.pictures.rotation) == (30.0, 90)
    assert [track.codec for track in found.subtitles] == ["mov_text"]


def test_a_cover_is_no_video(tmp_path):
    found = describe_media(write_sound(tmp_path / "a.mp3", SOUND, 48_000, cover=grey_picture(3, (32, 32))))
    assert found.pictures is None
    assert found.sound is not None


@pytest.mark.parametrize(
    "name",
    ["-dash.wav", "with space.wav", "ünïcode 音.wav", "%03d.wav", "file:a.wav", "concat:a.wav|b.wav", "noise", "a.X!"],
)
def test_odd_names_are_plain_files(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(write_sound(tmp_path / "source.wav", SOUND, 48_000).read_bytes())
    monkeypatch.chdir(tmp_path)
    found = describe_media(type(tmp_path)(name))
    assert found.sound is not None
    assert found.sound.rate == 48_000


def test_what_is_no_media_file(tmp_path):
    (tmp_path / "text.mp4").write_text("This is a letter.\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "no media file" in reason_of(tmp_path / "text.mp4")
    assert "is empty" in reason_of(tmp_path / "empty.mp4")
    assert "no media file" in reason_of(tmp_path / "noise.mp4")
    assert "does not exist" in reason_of(tmp_path / "none.mp4")
    assert "is a folder" in reason_of(tmp_path)
    assert "cannot be opened" in reason_of(tmp_path / ("n" * 300))
    assert "cannot be opened" in reason_of(tmp_path / "a\0b.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe" in reason_of(tmp_path / "pipe.mp4")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", SOUND, 48_000)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(path), "open", refuse)
    assert "Permission denied" in reason_of(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile secret.wav\n"),
        ("list.wav", "ffconcat version 1.0\nfile secret.wav\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n"),
    ],
)
def test_lists_of_other_files_are_refused(tmp_path, name, content):
    write_sound(tmp_path / "secret.wav", SOUND, 48_000)
    (tmp_path / name).write_text(content)
    assert "no media file" in reason_of(tmp_path / name)


def test_a_track_kept_in_another_file_is_not_read(tmp_path, monkeypatch):
    path = refer_elsewhere(write_sound(tmp_path / "a.mov", SOUND, 48_000, codec="pcm_s16le"), name="secret.wav")
    asked = []

    def watch(url, flags, options):
        asked.append(url)
        raise FileNotFoundError

    real_open = av.open
    with path.open("rb") as file, pytest.raises(FileNotFoundError):
        real_open(file, io_open=watch, options={"enable_drefs": "1"})
    assert asked == [str(tmp_path / "secret.wav")]  # so the reference is a live one, had it been followed
    asked.clear()
    monkeypatch.setattr(av, "open", lambda *given, io_open, **more: real_open(*given, io_open=watch, **more))
    assert describe_media(path).sound is not None
    assert asked == []


def test_what_a_file_asks_to_be_opened_is_refused(tmp_path, monkeypatch):
    write_sound(tmp_path / "secret.wav", SOUND, 48_000)
    path = refer_elsewhere(write_sound(tmp_path / "a.mov", SOUND, 48_000, codec="pcm_s16le"), name="secret.wav")
    real_open = av.open
    lax = {"enable_drefs": "1"}
    monkeypatch.setattr(av, "open", lambda *given, options, **more: real_open(*given, options=lax, **more))
    monkeypatch.chdir(tmp_path)
    assert "refers to another file" in reason_of(path)


def refer_elsewhere(path, name):
    """Let a .mov name another file that holds its samples, as an alias record of the old Mac OS."""
    content = path.read_bytes()
    here = (12).to_bytes(4, "big") + b"url " + (1).to_bytes(4, "big")
    assert content.count(here) == 1
    words = name.encode()
    record = (
        bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12) + bytes([len(words)]) + words.ljust(63, b"\0")
    )
    record += bytes(16) + (1).to_bytes(2, "big") * 2 + bytes(16)
    full = b"disk:" + words
    record += (2).to_bytes(2, "big") + len(full).to_bytes(2, "big") + full.ljust(len(full) + len(full) % 2, b"\0")
    record += b"\xff\xff\0\0"
    there = (12 + len(record)).to_bytes(4, "big") + b"alis" + bytes(4) + record
    place = content.index(here)
    changed = bytearray(content[:place] + there + content[place + len(here) :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = content.rindex(kind, 0, place) - 4
        size = int.from_bytes(content[at : at + 4], "big") + len(there) - len(here)
        changed[at : at + 4] = size.to_bytes(4, "big")
    path.write_bytes(changed)
    return path


def test_what_goes_wrong_while_reading_names_the_file(tmp_path):
    path = write_sound(tmp_path / "a.wav", SOUND, 48_000)
    with pytest.raises(MediaError, match=r"a\.wav: damaged"), open_container(path):
        raise av.error.InvalidDataError(1, "Invalid data")


def test_nothing_is_printed(tmp_path, capfd):
    content = bytearray(write_video(tmp_path / "a.mkv", 25, sound=SOUND, rate=48_000).read_bytes())
    content[len(content) // 2 :: 37] = bytes(len(content[len(content) // 2 :: 37]))
    (tmp_path / "b.mkv").write_bytes(content)
    capfd.readouterr()
    with open_container(tmp_path / "b.mkv") as container:
        for packet in container.demux():
            try:
                packet.decode()
            except av.error.FFmpegError:
                continue
    assert capfd.readouterr() == ("", "")


def test_pictures_that_are_too_large(tmp_path):
    check_pixels(tmp_path, MAX_PIXELS, 1)
    with pytest.raises(MediaError, match="20,000 x 20,000 pixels"):
        check_pixels(tmp_path, 20_000, 20_000)


def test_an_unknown_codec(tmp_path):
    content = write_sound(tmp_path / "a.mov", SOUND, 48_000, codec="pcm_s16le").read_bytes()
    (tmp_path / "b.mov").write_bytes(content.replace(b"sowt", b"zzzz"))
    assert "codec that is not known" in reason_of(tmp_path / "b.mov")


def test_damaged_files_end_in_a_media_error(tmp_path):
    generator = np.random.default_rng(5)
    content = write_video(tmp_path / "a.mp4", 5, sound=SOUND, rate=48_000).read_bytes()
    path = tmp_path / "b.mp4"
    for _ in range(100):
        damaged = bytearray(content[: generator.integers(1, len(content) + 1)])
        for place in generator.integers(len(damaged), size=6):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        with suppress(MediaError):
            describe_media(path)


def test_how_long_a_file_lasts_is_measured_where_it_is_not_stated(tmp_path):
    sound = np.random.default_rng(0).normal(0, 0.2, 12 * 16_000).astype(np.float32)
    sound[: 6 * 16_000] = 0  # takes far fewer bytes than the other half
    write_sound(tmp_path / "a.aac", sound)
    assert measure_duration(tmp_path / "a.aac") == pytest.approx(12.0, abs=0.2)
    assert describe_media(tmp_path / "a.aac").duration != pytest.approx(12.0, abs=1.0)  # FFmpeg's guess
    write_sound(tmp_path / "a.wav", sound)
    assert measure_duration(tmp_path / "a.wav") == pytest.approx(12.0)
    with av.open(str(tmp_path / "live.webm"), "w", options={"live": "1"}) as container:  # as browsers record
        track = container.add_stream("libopus", rate=48_000, layout="mono")
        for start in range(0, 5 * 48_000, 960):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="flt", layout="mono")
            frame.rate, frame.pts = 48_000, start
            container.mux(track.encode(frame))
        container.mux(track.encode())
    assert describe_media(tmp_path / "live.webm").duration is None
    assert measure_duration(tmp_path / "live.webm") == pytest.approx(5.0, abs=0.1)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(MediaError, match=r"bad\.wav"):
        measure_duration(tmp_path / "bad.wav")
