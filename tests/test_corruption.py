"""Spoiled sound and pictures: how much is what was asked for, and nothing else changes."""

import numpy as np
import pytest
from scipy.stats import norm

from emotiwave.corruption.pictures import blur, cover, darken, shrink
from emotiwave.corruption.sound import (
    COLOURS,
    add_noise,
    change_speed,
    change_tempo,
    clip,
    coloured_noise,
    over_telephone,
    reverberate,
    room_response,
    shift_pitch,
)

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(spectrum.argmax() * RATE / (8 * len(samples)))


@pytest.mark.parametrize("decibels", [-5.0, 0.0, 12.5])
def test_noise_is_as_loud_as_asked(decibels: float) -> None:
    generator = np.random.default_rng(0)
    samples, noise = tone(440), coloured_noise(4000, "pink", RATE, generator)  # a quarter as long: repeated
    added = add_noise(samples, noise, decibels) - samples
    assert 10 * np.log10(np.mean(samples**2) / np.mean(added**2)) == pytest.approx(decibels, abs=1e-3)
    np.testing.assert_allclose(added[:4000], added[4000:8000], atol=1e-6)


def test_silence_and_no_noise_change_nothing() -> None:
    assert not add_noise(np.zeros(100, np.float32), np.ones(10, np.float32), 0).any()
    samples = tone(100, 0.1)
    assert add_noise(samples, np.zeros(10, np.float32), 0) is samples
    assert not reverberate(np.zeros(100, np.float32), np.ones(3, np.float32)).any()
    assert not clip(np.zeros(100, np.float32), 0.1).any()


@pytest.mark.parametrize("colour", list(COLOURS))
def test_noise_falls_with_frequency_as_its_colour_says(colour: str) -> None:
    noise = coloured_noise(2**18, colour, RATE, np.random.default_rng(1))
    assert np.mean(noise**2) == pytest.approx(1, rel=1e-5)
    power, hertz = np.abs(np.fft.rfft(noise)) ** 2, np.fft.rfftfreq(len(noise), 1 / RATE)
    low, high = (power[(hertz > f) & (hertz < 1.2 * f)].mean() for f in (200, 3200))  # four octaves apart
    assert np.log2(low / high) / 4 == pytest.approx(COLOURS[colour], abs=0.05)


def test_a_room_falls_by_60_decibels_in_its_time() -> None:
    response = room_response(0.5, RATE, np.random.default_rng(0))
    assert len(response) == 8000
    assert response[0] == 1
    assert np.sum(response[1:] ** 2) == pytest.approx(1, rel=1e-4)  # reverberant and direct energy alike
    early, late = (np.mean(response[a : a + 800] ** 2) for a in (400, 4400))  # a quarter of a second apart: 30 dB
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1)


def test_reverberation_is_a_convolution_as_loud_and_as_long_as_before() -> None:
    samples = np.zeros(10, np.float32)
    samples[2] = 1
    wet = reverberate(samples, np.array([0.0, 2.0, 1.0], np.float32))  # what comes before the direct sound is cut off
    np.testing.assert_allclose(wet, np.array([0, 0, 2, 1, 0, 0, 0, 0, 0, 0]) / np.sqrt(5), atol=1e-6)


def test_a_telephone_leaves_the_middle() -> None:
    kept = [np.std(over_telephone(tone(hertz), RATE)[4000:-4000]) / np.std(tone(hertz)) for hertz in (60, 1000, 7000)]
    assert kept[0] < 0.01
    assert kept[1] == pytest.approx(1, abs=0.01)
    assert kept[2] < 0.01
    short = tone(100, 0.003)
    assert over_telephone(short, RATE) is short


def test_so_many_samples_are_clipped() -> None:
    samples = np.linspace(-0.5, 0.5, 1001, dtype=np.float32)
    clipped = clip(samples, 0.2)
    assert np.isclose(np.abs(clipped), 1).mean() == pytest.approx(0.2, abs=0.002)
    assert clipped[500 + 100] == pytest.approx(0.1 / 0.4, rel=1e-3)


def test_speed_tempo_and_pitch() -> None:
    samples = tone(440)
    faster, quicker, higher = change_speed(samples, 1.25), change_tempo(samples, 1.25, RATE), None
    assert len(faster) == 12_800
    assert loudest_hertz(faster) == pytest.approx(550, abs=1)
    assert len(quicker) == pytest.approx(12_800, rel=0.01)
    assert loudest_hertz(quicker) == pytest.approx(440, abs=1)
    higher = shift_pitch(samples, 2, RATE)
    assert len(higher) == pytest.approx(16_000, rel=0.01)
    assert loudest_hertz(higher) == pytest.approx(440 * 2 ** (2 / 12), abs=1)
    for change in (lambda empty: change_speed(empty, 1.1), lambda empty: change_tempo(empty, 1.1, RATE)):
        assert len(change(np.zeros(0, np.float32))) == 0


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (40, 48, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_keep_their_form(channels: int) -> None:
    generator, given = np.random.default_rng(0), picture(channels)
    before = given.copy()
    for made in (blur(given, 2), darken(given, 0.3, generator), cover(given, 0.2, generator)):
        assert made.shape == given.shape
        assert made.dtype == np.uint8
    assert shrink(given, 12).shape == (10, 12, channels)
    assert shrink(given, 48) is given
    assert blur(given, 0) is given
    np.testing.assert_array_equal(given, before)


def test_pictures_are_spoiled_as_asked() -> None:
    generator, given = np.random.default_rng(0), picture()
    edge = np.zeros((9, 40, 1), np.uint8)
    edge[:, 20:] = 250
    blurred = blur(edge, 2)[4, :, 0] / 250  # as the normal distribution, at 1.5 and 3.5 pixels from the edge
    np.testing.assert_allclose(blurred[[21, 23]], norm.cdf([1.5 / 2, 3.5 / 2]), atol=0.01)
    assert darken(given, 0.25, generator).mean() == pytest.approx(given.mean() / 4, rel=0.01)
    assert darken(np.full((50, 50, 1), 200, np.uint8), 0.5, generator).std() == pytest.approx(2, abs=0.15)
    covered = cover(given, 0.25, generator)
    assert (covered != given).any(axis=2).mean() == pytest.approx(0.25, abs=0.01)
