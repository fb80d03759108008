import math
import os
from pathlib import Path

import numpy as np
import pytest

from emotiwave.media.pictures import read_frames
from emotiwave.media.sound import read_sound
from emotiwave.media.usability import (
    FreezeDetector,
    UsabilitySettings,
    summarise,
    summarise_counts,
    unusable_picture,
    unusable_sound,
    unusable_text,
)
from emotiwave.signals import SAMPLE_RATE, Frame, Span, Waveform

SETTINGS = UsabilitySettings()
RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (120, 160, 3)).astype(np.uint8)

needs_data = pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA names no folder of corpora")


def tone(seconds: float, level: float = -20.0, hertz: float = 200.0) -> np.ndarray:
    """A sine whose root mean square is at a level in dB of full scale."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (math.sqrt(2) * 10 ** (level / 20) * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def zeros(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def sound(*parts: np.ndarray, start: float = 0.0, gaps: tuple = ()) -> Waveform:
    return Waveform(np.concatenate(parts), SAMPLE_RATE, start, gaps)


def found(waveform: Waveform, settings: UsabilitySettings = SETTINGS) -> list[tuple[float, float, str]]:
    return [(round(span.start, 3), round(span.end, 3), span.reason) for span in unusable_sound(waveform, settings)]


def test_long_silences_are_found_in_seconds_of_the_file():
    waveform = sound(zeros(0.99), tone(0.99), zeros(0.3), tone(0.72), zeros(1.5), start=5.0)
    # the pause of 0.3 s is short; 0.1 s next to the tones stay observed
    assert found(waveform) == [(5.0, 5.89, "silent"), (8.1, 9.5, "silent")]
    assert found(waveform, UsabilitySettings(shortest_silence=0.0)) == []
    assert found(waveform, UsabilitySettings(shortest_silence=0.3))[1] == (7.08, 7.18, "silent")


def test_nothing_but_silence():
    assert found(sound(zeros(1.0))) == [(0.0, 1.0, "silent")]
    assert found(sound(zeros(1.0) + 0.3)) == [(0.0, 1.0, "silent")]  # a steady offset is no sound
    assert found(sound(tone(1.0, level=-71))) == [(0.0, 1.0, "silent")]
    assert found(sound(tone(1.0, level=-69))) == []
    assert found(sound(zeros(0.3))) == [(0.0, 0.3, "silent")]  # shorter than a pause, but all there is
    assert found(sound(zeros(0.0))) == []
    assert found(sound(zeros(0.01))) == []


def test_noise_is_no_silence():
    noise = RANDOM.normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
    assert found(sound(noise)) == []
    assert found(sound(noise / 100)) == []


def test_what_is_far_below_the_loud_parts_is_silent():
    waveform = sound(tone(0.9, level=-10), tone(0.9, level=-56))
    assert found(waveform) == [(1.0, 1.8, "silent")]
    assert found(sound(tone(0.9, level=-10), tone(0.9, level=-54))) == []
    assert found(waveform, UsabilitySettings(silence_range=0.0)) == []
    assert found(sound(zeros(1.0)), UsabilitySettings(silence_level=0.0)) == []


def test_clipped_sound_is_found_and_loud_sound_is_not():
    overdriven = np.clip(tone(0.5, level=10), -1, 1)
    assert found(sound(tone(0.5), overdriven, tone(0.5), start=2.0)) == [(2.5, 3.0, "clipped")]
    assert found(sound(overdriven), UsabilitySettings(clipped_share=0.0)) == []
    assert found(sound(tone(0.5, level=-3.01))) == []  # its peaks are at full scale


def test_the_ceiling_of_a_sine_is_what_trigonometry_says():
    # A sine of amplitude 2 is beyond 0.97 for 1 - 2 asin(0.97 / 2) / pi = 0.678 of the time.
    clipped = np.clip(tone(1.0, level=20 * math.log10(math.sqrt(2)), hertz=100), -1, 1)
    assert found(sound(clipped), UsabilitySettings(clipped_share=0.66)) == [(0.0, 1.0, "clipped")]
    assert found(sound(clipped), UsabilitySettings(clipped_share=0.69)) == []


def test_gaps_are_no_sound_and_not_what_loudness_is_measured_by():
    waveform = sound(zeros(19.0), tone(1.0, level=-20), tone(1.0, level=-68), gaps=((0.0, 19.0),))
    spans = unusable_sound(waveform, SETTINGS)
    assert [(span.reason, span.start) for span in spans] == [("no sound", 0.0), ("silent", 0.0), ("silent", 20.11)]
    usability = summarise("audio", spans, 0.0, 21.0, SETTINGS)
    assert usability.reasons["no sound"] == pytest.approx(19 / 21)
    assert usability.reasons["silent"] == pytest.approx(0.89 / 21)
    assert found(sound(zeros(1.0), gaps=((0.0, 1.0),)))[0] == (0.0, 1.0, "no sound")


def test_pictures_that_show_nothing():
    assert unusable_picture(PICTURE, SETTINGS) is None
    assert unusable_picture(PICTURE // 10, SETTINGS) == "dark"
    assert unusable_picture(235 + PICTURE // 20, SETTINGS) == "overexposed"
    assert unusable_picture(100 + PICTURE // 40, SETTINGS) == "flat"
    assert unusable_picture(np.zeros((1, 1, 3), np.uint8), SETTINGS) == "dark"
    off = UsabilitySettings(dark_level=0.0, bright_level=0.0, least_contrast=0.0)
    for value in (0, 100, 255):
        assert unusable_picture(np.full((4, 2000, 3), value, np.uint8), off) is None


def test_single_bright_pixels_do_not_light_a_dark_picture():
    dark = np.zeros((480, 640, 3), np.uint8)
    dark[::97, ::89] = 255
    assert unusable_picture(dark, SETTINGS) == "dark"


def freezes(pictures: list[np.ndarray], settings: UsabilitySettings = SETTINGS, rate: float = 5.0) -> list[tuple]:
    detector = FreezeDetector(settings)
    for index, picture in enumerate(pictures):
        detector.see(Frame(picture, index / rate, (index + 1) / rate))
    return [(span.start, span.end, span.reason) for span in detector.spans]


def test_a_video_that_stands_still_is_frozen():
    moving = [np.roll(PICTURE, 7 * index, axis=1) for index in range(1, 6)]
    assert freezes(moving + [PICTURE] * 15 + moving) == [(1.0, 4.0, "frozen")]
    assert freezes([PICTURE] * 10) == [(0.0, 2.0, "frozen")]
    assert freezes([PICTURE] * 9) == []
    assert freezes([PICTURE] * 10, UsabilitySettings(shortest_freeze=0.0)) == []
    assert freezes([]) == []
    assert freezes([PICTURE] * 9 + [PICTURE[:60]] * 9) == []  # the video changes its size


def test_noise_of_compression_is_still_and_one_eye_that_blinks_is_not():
    still = [np.clip(PICTURE.astype(int) + RANDOM.integers(-1, 2, PICTURE.shape), 0, 255).astype(np.uint8)] * 15
    assert freezes(still) == [(0.0, 3.0, "frozen")]
    blink = PICTURE.copy()
    blink[30:38, 40:50] = 255 - blink[30:38, 40:50]
    assert freezes([PICTURE] * 7 + [blink] + [PICTURE] * 7) == []


def test_slow_movement_is_no_freeze():
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, :, None], (120, 160, 3))
    assert freezes([ramp + index for index in range(20)]) == []  # by less than the bound from frame to frame


def test_photos_are_never_frozen():
    detector = FreezeDetector(SETTINGS)
    for _ in range(20):
        detector.see(Frame(PICTURE, math.nan, math.nan))
    assert detector.spans == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("well, that is fine", None),
        ("42", None),
        ("🙂 🙂", None),
        (":) ;-(", None),
        ("<3", None),
        ("我很高兴。", None),
        ("... -- ?!", "garbage"),
        ("\ufffd\ufffd ab", "garbage"),
        ("\ufffd", "garbage"),
        ("a\x01\x02\x03", "garbage"),
        ("one \ufffd among many words", None),
        ("no " * 20, None),
        ("no " * 21, "repeated"),
        ("Thank you. " * 21, "repeated"),
        ("thank you. Thank you. " * 11, "repeated"),
        ("no " * 21 + "and then he said that " * 5, None),
    ],
)
def test_text_that_says_nothing(text, reason):
    assert unusable_text(text.split(), SETTINGS) == reason


def test_checks_of_text_can_be_turned_off():
    off = UsabilitySettings(most_repeats=0, garbage_share=0.0)
    assert unusable_text(["no"] * 1000, off) is None
    assert unusable_text(["\ufffda"], off) is None


def test_overlapping_spans_are_counted_once_as_on_a_fine_grid():
    for _ in range(50):
        ends = np.sort(RANDOM.integers(-200, 1200, (6, 2)), axis=1) / 100
        spans = [Span(*end, reason) for end, reason in zip(ends.tolist(), "aabbcc", strict=True)]
        owners = [next((s.reason for s in spans if s.start <= at < s.end), "") for at in np.arange(0.005, 10, 0.01)]
        usability = summarise("vision", spans, 0.0, 10.0, SETTINGS)
        assert usability.observed == pytest.approx(owners.count("") / 1000)
        for reason in "abc":
            assert usability.reasons.get(reason, 0.0) == pytest.approx(owners.count(reason) / 1000)


def test_the_sum_of_a_stretch_reads_like_a_sentence():
    assert str(summarise("audio", [Span(0.0, 67.1, "silent")], 60.0, 70.0, SETTINGS)) == "audio silent 71 %"
    usability = summarise("audio", [Span(0.0, 9.5, "silent"), Span(9.4, 9.7, "clipped")], 0.0, 10.0, SETTINGS)
    assert str(usability) == "audio silent 95 %, clipped 2 %, ignored"
    assert usability.observed == pytest.approx(0.03)
    assert str(summarise("vision", [Span(math.nan, math.nan, "no face")], 3.0, 4.0, SETTINGS)) == (
        "vision no face 100 %, ignored"
    )
    assert str(summarise("vision", [], 0.0, 4.0, SETTINGS)) == "vision observed"


def test_too_little_sound_is_ignored_and_a_short_picture_is_not():
    assert str(summarise("audio", [Span(0.0, 0.5, "silent")], 0.0, 0.6, SETTINGS)) == (
        "audio silent 83 %, too short 17 %, ignored"
    )
    assert str(summarise("audio", [], 0.0, 0.1, SETTINGS)) == "audio too short 100 %, ignored"
    assert str(summarise("vision", [], 0.0, 0.1, SETTINGS)) == "vision observed"
    off = UsabilitySettings(least_seconds=0.0, least_observed=0.0)
    assert not summarise("audio", [Span(0.0, 0.59, "silent")], 0.0, 0.6, off).ignored
    assert summarise("audio", [Span(0.0, 0.6, "silent")], 0.0, 0.6, off).ignored  # nothing is left
    assert str(summarise("audio", [], 1.0, 1.0, SETTINGS)) == "audio empty 100 %, ignored"


def test_counts_of_frames_are_summed_too():
    assert str(summarise_counts("vision", {"dark": 0, "no face": 19}, 20, SETTINGS)) == ("vision no face 95 %, ignored")
    assert summarise_counts("text", {}, 3, SETTINGS).observed == 1.0
    assert summarise_counts("text", {}, 0, SETTINGS).ignored


@needs_data
def test_speech_stays_observed_in_quiet_recordings():
    """Loud frames are speech in these clips, which were made in a studio."""
    clips = sorted((Path(os.environ["EMOTIWAVE_DATA"]) / "ravdess_speech_16k").glob("Actor_0[12]/*.flac"))[::12]
    assert clips
    for clip in clips:
        waveform = read_sound(clip)
        spans = unusable_sound(waveform, SETTINGS)
        assert {span.reason for span in spans} <= {"silent"}
        usability = summarise("audio", spans, 0.0, waveform.duration, SETTINGS)
        assert not usability.ignored
        assert usability.observed < 0.9  # about a second of silence comes before and after the sentence
        loud = np.flatnonzero(np.abs(waveform.samples) > 0.1 * np.abs(waveform.samples).max()) / SAMPLE_RATE
        assert not any(((loud >= span.start) & (loud < span.end)).any() for span in spans)


@needs_data
def test_real_pictures_are_of_use():
    detector = FreezeDetector(SETTINGS)
    clip = Path(os.environ["EMOTIWAVE_DATA"]) / "av_clips" / "ravdess" / "01-01-07-02-02-01-01_1.mp4"
    for frame in read_frames(clip):
        assert unusable_picture(frame.image, SETTINGS) is None
        detector.see(frame)
    assert detector.spans == ()
