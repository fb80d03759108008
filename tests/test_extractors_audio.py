"""The extractors of sound against numbers that are worked out in other ways."""

import csv
import itertools
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.stats
from pydantic import ValidationError

from emotiwave.errors import FeatureError, MissingExtraError
from emotiwave.features.extractors import framing, voice
from emotiwave.features.extractors.egemaps import Egemaps, EgemapsSettings
from emotiwave.features.extractors.framing import cut, deltas, hann, mel_filters, power_spectra
from emotiwave.features.extractors.logmel import FLOOR, LogMel, LogMelSettings
from emotiwave.features.extractors.pitch import (
    OCTAVE_JUMP_COST,
    VOICING_COST,
    PitchSettings,
    best_path,
    track_pitch,
)
from emotiwave.features.extractors.prosody import NAMES, Prosody, ProsodySettings
from emotiwave.features.extractors.prosody_statistics import (
    NAMES as STATISTIC_NAMES,
)
from emotiwave.features.extractors.prosody_statistics import (
    ProsodyStatistics,
    ProsodyStatisticsSettings,
    statistics,
)
from emotiwave.features.extractors.voice import (
    SHAPE,
    measure_voice,
    middle_pitch,
    pitch_everywhere,
    pitch_slope,
    spectral_shape,
)
from tests import fake_opensmile

RATE = 16_000
PITCH = PitchSettings()
DATA = os.environ.get("EMOTIWAVE_DATA")


def seconds(length: float, rate: int = RATE) -> np.ndarray:
    return np.arange(round(length * rate)) / rate


def sine(frequency: float, length: float = 0.5, loudness: float = 0.3) -> np.ndarray:
    return (loudness * np.sin(2 * np.pi * frequency * seconds(length))).astype(np.float32)


def buzz(frequency: float, length: float = 0.5, first: int = 1, rate: int = RATE) -> np.ndarray:
    """A tone with all its harmonics, from the first that is asked for, each weaker than the one before."""
    harmonics = range(first, int(7900 / frequency) + 1)
    phase = 2 * np.pi * frequency * seconds(length, rate)
    return (0.2 * np.sum([np.sin(k * phase + k * k) / k for k in harmonics], axis=0)).astype(np.float32)


def noise(length: float, loudness: float = 0.1, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).standard_normal(round(length * RATE))
    return (loudness * samples).astype(np.float32)


def inner(values: np.ndarray) -> np.ndarray:
    """Without frames whose windows reach beyond the sound."""
    return values[4:-4]


class TestFraming:
    def test_windows_are_centred_on_hops(self):
        samples = np.arange(1, 41, dtype=np.float32)
        frames = cut(samples, 10, 4)
        assert frames.shape == (10, 10)
        np.testing.assert_array_equal(frames[5], samples[17:27])  # hop 20…23, and 3 to either side
        np.testing.assert_array_equal(frames[0], [0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
        np.testing.assert_array_equal(frames[-1], [34, 35, 36, 37, 38, 39, 40, 0, 0, 0])

    def test_power_of_a_sine_is_half(self):
        for n_window, frequency in ((400, 1000), (500, 777.7), (1200, 3210)):
            power = power_spectra(sine(frequency, 0.1, 1.0)[None, :n_window])
            assert power.sum() == pytest.approx(0.5, rel=2e-3)

    def test_power_is_the_mean_square_under_the_window(self):
        frame = noise(0.025)
        weights = hann(400).astype(float) ** 2
        expected = np.average(frame.astype(float) ** 2, weights=weights)
        assert power_spectra(frame[None]).sum() == pytest.approx(expected, rel=1e-5)

    def test_mel_filters_one_by_one(self):
        filters = mel_filters(RATE, 512, 10, 100.0, 4000.0)
        mel_low, mel_high = (1127.0104803 * np.log(1 + f / 700) for f in (100, 4000))  # HTK with the natural logarithm
        edges = [700 * (np.exp((mel_low + k * (mel_high - mel_low) / 11) / 1127.0104803) - 1) for k in range(12)]
        for bin_, band in itertools.product(range(257), range(10)):
            left, centre, right = edges[band : band + 3]
            f = bin_ * 31.25
            if left <= f <= centre:
                expected = (f - left) / (centre - left)
            else:
                expected = (right - f) / (right - centre) if centre < f < right else 0.0
            assert filters[bin_, band] == pytest.approx(expected, abs=1e-5)

    def test_too_narrow_bands_are_refused(self):
        with pytest.raises(FeatureError, match=r"mel band \d+ .* fewer bands or a longer window"):
            mel_filters(RATE, 512, 300, 20.0, 8000.0)

    def test_deltas_are_slopes_of_regression_lines(self):
        track = np.random.default_rng(0).standard_normal(20).astype(np.float32)
        expected = [np.polyfit(range(5), track[k - 2 : k + 3], 1)[0] for k in range(2, 18)]
        np.testing.assert_allclose(deltas(track[:, None])[2:-2, 0], expected, atol=1e-5)


class TestLogMel:
    def test_one_frame_by_the_definition_of_the_transform(self):
        samples = noise(0.3) + sine(440, 0.3)
        settings = LogMelSettings(bands=20)
        values = LogMel(settings)(samples, RATE).values
        frame = samples[10 * 160 + 80 - 200 :][:400].astype(float)
        window = np.sin(np.pi * np.arange(1, 401) / 401) ** 2
        bins, times = np.arange(257)[:, None], np.arange(400)
        spectrum = (frame * window * np.exp(-2j * np.pi * bins * times / 512)).sum(axis=1)
        power = np.abs(spectrum) ** 2 * np.where(np.isin(np.arange(257), (0, 256)), 1, 2) / 512 / (window**2).sum()
        expected = np.log(power @ mel_filters(RATE, 512, 20, 20.0, 8000.0).astype(float))
        np.testing.assert_allclose(values[10], expected, atol=1e-4)

    def test_frames_follow_each_other(self):
        sequence = LogMel(LogMelSettings())(noise(0.1234), RATE)
        assert sequence.values.shape == (13, 64)
        np.testing.assert_allclose(sequence.intervals[:, 0], 0.01 * np.arange(13))
        np.testing.assert_allclose(sequence.intervals[1:, 0], sequence.intervals[:-1, 1])
        assert sequence.intervals[-1, 1] == pytest.approx(1974 / RATE)

    def test_silence_is_the_floor(self):
        values = LogMel(LogMelSettings())(np.zeros(RATE, np.float32), RATE).values
        np.testing.assert_allclose(values, np.log(FLOOR), rtol=1e-6)

    def test_ten_times_louder_adds_the_same_to_every_band(self):
        extractor, sound = LogMel(LogMelSettings()), noise(0.5)
        difference = extractor(10 * sound, RATE).values - extractor(sound, RATE).values
        np.testing.assert_allclose(difference, np.log(100), atol=1e-4)

    def test_memory_blocks_do_not_show(self, monkeypatch):
        sound = noise(1.0)
        whole = LogMel(LogMelSettings())(sound, RATE).values
        monkeypatch.setattr(framing, "FRAMES_AT_ONCE", 7)
        np.testing.assert_allclose(LogMel(LogMelSettings())(sound, RATE).values, whole, atol=1e-5)

    @pytest.mark.parametrize(
        ("samples", "rate", "message"),
        [
            (np.zeros(100, np.float32), 8000, "8,000 Hz holds nothing above 4,000 Hz.*resample it to at least 16,000"),
            (np.array([0, np.nan, 0], np.float32), RATE, "sample 1 of 3 is nan"),
            (np.array([0, 0, -np.inf], np.float32), RATE, "sample 2 of 3 is -inf"),
            (np.array([1e20], np.float32), RATE, "full scale at ±1"),
            (np.zeros(100, np.int16), RATE, "int16"),
            (np.zeros((100, 2), np.float32), RATE, r"\(100, 2\)"),
        ],
    )
    def test_bad_sound(self, samples, rate, message):
        with pytest.raises(FeatureError, match=message):
            LogMel(LogMelSettings())(samples, rate)

    @pytest.mark.parametrize("wrong", [{"lowest": 9000}, {"hop": 0.05}, {"bands": 0}, {"highest": float("nan")}])
    def test_bad_settings(self, wrong):
        with pytest.raises(ValidationError):
            LogMelSettings(**wrong)


class TestPitch:
    @pytest.mark.parametrize("frequency", [70, 82.4, 110, 155.6, 220, 311.1, 440, 554.4])
    @pytest.mark.parametrize("kind", ["sine", "buzz", "noisy buzz"])
    def test_known_pitch(self, frequency, kind):
        sound = sine(frequency) if kind == "sine" else buzz(frequency)
        if kind == "noisy buzz":
            sound = sound + noise(0.5, 0.05)
        found = track_pitch(sound, RATE, PITCH).frequency
        assert np.isfinite(found).all()
        np.testing.assert_allclose(inner(found), frequency, rtol=0.01)
        assert np.median(found) == pytest.approx(frequency, rel=0.003)

    def test_glide(self):
        time = seconds(1.0)
        phase = np.cumsum(2 * np.pi * 100 * 2**time / RATE)
        sound = (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 12)], axis=0)).astype(np.float32)
        found = track_pitch(sound, RATE, PITCH).frequency
        middles = 0.01 * (np.arange(100) + 0.5)
        np.testing.assert_allclose(inner(found), inner(100 * 2**middles), rtol=0.003)

    def test_missing_fundamental(self):
        found = track_pitch(buzz(150, first=3), RATE, PITCH).frequency
        np.testing.assert_allclose(inner(found), 150, rtol=0.01)

    def test_high_pitch_among_its_many_multiples(self):
        found = track_pitch(sine(590), RATE, PitchSettings(lowest_pitch=30)).frequency
        np.testing.assert_allclose(found[8:-8], 590, rtol=0.01)

    def test_other_rates(self):
        found = track_pitch(buzz(200, rate=44_100), 44_100, PITCH).frequency
        np.testing.assert_allclose(inner(found), 200, rtol=0.005)

    @pytest.mark.parametrize("seed", range(3))
    def test_white_noise_has_none(self, seed):
        assert np.isnan(track_pitch(noise(3, seed=seed), RATE, PITCH).frequency).all()

    def test_silence_and_a_constant_have_none(self):
        for sound in (np.zeros(RATE, np.float32), np.full(RATE, 0.7, np.float32), sine(200, loudness=1e-7)):
            track = track_pitch(sound, RATE, PITCH)
            assert np.isnan(track.frequency).all()
            assert track.periodicity.max() < 0.01

    def test_voice_begins_and_ends_where_it_does(self):
        sound = np.concatenate([noise(0.5, 0.05), buzz(130, 0.6), noise(0.5, 0.05, seed=1)])
        voiced = np.flatnonzero(np.isfinite(track_pitch(sound, RATE, PITCH).frequency))
        assert abs(voiced[0] - 50) <= 2
        assert abs(voiced[-1] - 109) <= 2
        assert len(voiced) == voiced[-1] - voiced[0] + 1

    def test_a_hum_far_below_the_voice_is_silence(self):
        sound = np.concatenate([buzz(130, 0.6), sine(100, 0.6, 0.001)])
        assert np.isnan(track_pitch(sound, RATE, PITCH).frequency[66:]).all()

    @pytest.mark.parametrize("ratio", [5.0, 10.0, 20.0])
    def test_harmonics_to_noise(self, ratio):
        tone = buzz(200, 2.0)
        # half a second in, and with noise of as much less power as is asked for
        sound = tone + noise(2.0, float(np.sqrt((tone.astype(float) ** 2).mean() / 10 ** (ratio / 10))))
        assert np.median(measure_voice(sound, RATE, PITCH).hnr) == pytest.approx(ratio, abs=0.5)

    def test_best_path_against_all_paths(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            scores = rng.uniform(0, 1, (5, 4)).astype(np.float32)
            octaves = rng.uniform(0, 3, (5, 3)).astype(np.float32)

            def total(path, scores=scores, octaves=octaves):
                value = sum(scores[frame, state] for frame, state in enumerate(path))
                for frame, (one, other) in enumerate(itertools.pairwise(path)):
                    if one and other:
                        value -= OCTAVE_JUMP_COST * abs(octaves[frame, one - 1] - octaves[frame + 1, other - 1])
                    elif one or other:
                        value -= VOICING_COST
                return value

            expected = max(itertools.product(range(4), repeat=5), key=total)
            assert best_path(scores, octaves).tolist() == list(expected)

    def test_range_must_span_an_octave(self):
        with pytest.raises(ValidationError, match="at least twice lowest_pitch"):
            PitchSettings(lowest_pitch=100, highest_pitch=150)


class TestVoice:
    def shape(self, power, kilohertz) -> dict[str, float]:
        return dict(zip(SHAPE, spectral_shape(np.array([power], np.float32), np.array(kilohertz))[0], strict=True))

    def test_two_lines(self):
        power, kilohertz = np.full(81, 1e-9), np.arange(81) / 10
        power[[10, 40]] = 3.0, 1.0  # 1.0 and 4.0 kHz
        found = self.shape(power, kilohertz)
        centroid = (3 * 1 + 1 * 4) / 4
        variance = (3 * (1 - centroid) ** 2 + (4 - centroid) ** 2) / 4
        assert found["centroid"] == pytest.approx(centroid, rel=1e-5)
        assert found["spread"] == pytest.approx(np.sqrt(variance), rel=1e-5)
        third = (3 * (1 - centroid) ** 3 + (4 - centroid) ** 3) / 4
        assert found["skewness"] == pytest.approx(third / variance**1.5, rel=1e-4)
        assert found["rolloff"] == pytest.approx(4.0)
        assert found["alpha_ratio"] == pytest.approx(10 * np.log10(3), rel=1e-4)
        assert found["hammarberg"] == pytest.approx(10 * np.log10(3), rel=1e-4)
        mean_level = (10 * np.log10(3) + 10 * np.log10(1) + 79 * -90) / 81
        assert found["flatness"] == pytest.approx(mean_level - 10 * np.log10(4 / 81), rel=1e-4)

    def test_hammarberg_index_has_its_edges(self):
        power, kilohertz = np.full(81, 1e-9), np.arange(81) / 10
        power[[15, 30, 60]] = 10.0, 0.1, 1000.0  # 1.5, 3 and 6 kHz
        assert self.shape(power, kilohertz)["hammarberg"] == pytest.approx(20, rel=1e-4)

    def test_straight_line(self):
        kilohertz = np.arange(256) / 32
        found = self.shape(10 ** (-0.6 * kilohertz), kilohertz)
        for name in ("slope", "slope_0_500", "slope_500_1500"):
            assert found[name] == pytest.approx(-6, rel=1e-3)

    def test_slope_of_a_band_ignores_the_others(self):
        kilohertz = np.arange(256) / 32
        power = np.where(kilohertz <= 0.5, 10 ** (2 * kilohertz), 10 ** (1 - kilohertz + 0.5))
        found = self.shape(power, kilohertz)
        assert found["slope_0_500"] == pytest.approx(20, rel=1e-3)
        assert found["slope_500_1500"] == pytest.approx(
            np.polyfit(kilohertz[16:49], 10 * np.log10(power[16:49]), 1)[0], rel=1e-3
        )

    def test_flux(self):
        power = np.array([[1, 0, 0], [4, 0, 0], [0, 9, 0], [0, 1, 1]], np.float32) + np.float32(1e-12)
        flux = spectral_shape(np.pad(power, ((0, 0), (0, 60)), constant_values=1e-12), np.arange(63) / 8)[:, 5]
        expected = [0, 0, np.sqrt(2), np.sqrt(0.5 + (1 - np.sqrt(0.5)) ** 2)]
        np.testing.assert_allclose(flux, expected, atol=1e-4)

    def test_energy_and_pitch_of_a_sine(self):
        tracks = measure_voice(sine(440, loudness=0.5), RATE, PITCH)
        np.testing.assert_allclose(inner(tracks.energy), 10 * np.log10(0.125), atol=0.02)
        np.testing.assert_allclose(inner(tracks.pitch), 36, atol=0.01)  # three octaves above 55 Hz

    def test_an_offset_does_not_count(self):
        tracks, without = (measure_voice(sine(300, loudness=0.01) + offset, RATE, PITCH) for offset in (0.3, 0))
        np.testing.assert_allclose(inner(tracks.energy), 10 * np.log10(0.00005), atol=0.1)
        np.testing.assert_allclose(inner(tracks.bands), inner(without.bands), atol=0.2)

    def test_silence_is_quiet_white_noise(self):
        tracks = measure_voice(np.zeros(RATE, np.float32), RATE, PITCH)
        np.testing.assert_allclose(tracks.energy, -100, atol=0.01)
        shape = dict(zip(SHAPE, tracks.shape.T, strict=True))
        np.testing.assert_allclose(shape["centroid"], 4.03, atol=0.02)
        np.testing.assert_allclose(shape["flatness"], 0, atol=1e-3)
        np.testing.assert_allclose(tracks.hnr, -19.96, atol=0.01)

    def test_cepstral_coefficients(self):
        tracks = measure_voice(noise(0.2), RATE, PITCH)
        for k in (1, 2, 13):
            basis = np.cos(np.pi * k * (np.arange(64) + 0.5) / 64) * np.sqrt(2 / 64)
            np.testing.assert_allclose(tracks.coefficients[:, k - 1], tracks.bands @ basis, atol=1e-3)

    def test_memory_blocks_do_not_show(self, monkeypatch):
        sound = buzz(130) + noise(0.5, 0.02)
        whole = measure_voice(sound, RATE, PITCH)
        monkeypatch.setattr(framing, "FRAMES_AT_ONCE", 7)
        parts = measure_voice(sound, RATE, PITCH)
        for name in ("bands", "coefficients", "shape", "energy", "pitch", "hnr"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=2e-3, rtol=1e-4)

    def test_rates_agree(self):
        def tracks(rate):
            return measure_voice(buzz(150, rate=rate), rate, PITCH)

        low, high = tracks(16_000), tracks(32_000)
        np.testing.assert_allclose(inner(low.bands), inner(high.bands), atol=0.7)
        np.testing.assert_allclose(inner(low.pitch), inner(high.pitch), atol=0.02)

    def test_pitch_everywhere(self):
        nan = np.nan
        pitch = np.array([nan, nan, nan, 10, nan, nan, nan, 14, nan, nan, nan], np.float32)
        expected = [20, 10, 10, 10, 11, 12, 13, 14, 14, 14, 20]
        np.testing.assert_allclose(pitch_everywhere(pitch, 2, 20), expected)
        np.testing.assert_allclose(pitch_everywhere(pitch[:3], 2, 20), [20, 20, 20])

    def test_pitch_slope(self):
        pitch = np.array([1, 2, 3, 4, 5, np.nan, 7, 8, 9, 10, 11], np.float32)
        np.testing.assert_allclose(pitch_slope(pitch)[2:-2], [1, 0, 0, 0, 0, 0, 1])


class TestProsody:
    def test_names(self):
        extractor = Prosody(ProsodySettings())
        assert len(extractor.names) == len(set(extractor.names)) == extractor.size

    def test_no_voice_is_told_apart(self):
        sequence = Prosody(ProsodySettings())(noise(0.5), RATE)
        assert (sequence.values[:, NAMES.index("voiced")] == 0).all()
        np.testing.assert_allclose(sequence.values[:, NAMES.index("pitch")], middle_pitch(PITCH), rtol=1e-6)
        assert middle_pitch(PITCH) == pytest.approx(12 * np.log2(np.sqrt(60 * 600) / 55))

    def test_pauses_keep_the_pitch(self):
        sound = np.concatenate([buzz(110, 0.4), noise(0.2, 0.01), buzz(110, 0.4)])
        values = Prosody(ProsodySettings())(sound, RATE).values
        np.testing.assert_allclose(values[4:-4, NAMES.index("pitch")], 12, atol=0.2)
        voiced = values[:, NAMES.index("voiced")]
        assert voiced[:38].all()
        assert not voiced[44:56].any()

    def test_pooled_frames_are_means(self):
        sound = np.concatenate([buzz(110, 0.33), noise(0.224, 0.05)])
        each = Prosody(ProsodySettings())(sound, RATE)
        pooled = Prosody(ProsodySettings(pooled=10))(sound, RATE)
        assert pooled.values.dtype == np.float32
        assert len(pooled.values) == 6  # 0.554 s
        for k in range(6):
            np.testing.assert_allclose(
                pooled.values[k], each.values[10 * k : 10 * k + 10].mean(axis=0), rtol=1e-4, atol=1e-6
            )
            assert pooled.intervals[k, 0] == pytest.approx(0.1 * k)
        assert pooled.intervals[-1, 1] == pytest.approx(0.554)
        assert 0 < pooled.values[3, NAMES.index("voiced")] < 1

    @pytest.mark.skipif(DATA is None, reason="EMOTIWAVE_DATA is not set")
    def test_pitch_of_real_voices(self):
        folder = Path(DATA or "") / "ravdess_speech_16k"
        if not folder.exists():
            pytest.skip("no ravdess_speech_16k in EMOTIWAVE_DATA")
        with (folder / "index.csv").open(encoding="utf-8") as table:
            rows = [row for row in csv.DictReader(table) if row["emotion"] == "neutral"]
        medians: dict[str, list[float]] = {}
        for row in rows[::7]:
            (path,) = folder.rglob(Path(row["file"]).name)
            with av.open(str(path)) as container:
                samples = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
            found = track_pitch(samples.astype(np.float32) / 32768, RATE, PITCH).frequency
            medians.setdefault(row["sex"][0].lower(), []).append(float(np.nanmedian(found)))
        assert 75 < min(medians["m"]) < np.median(medians["m"]) < 140
        assert 165 < np.median(medians["f"]) < max(medians["f"]) < 300
        assert max(medians["m"]) < 200
        assert min(medians["f"]) > 140


class TestProsodyStatistics:
    def test_statistics(self):
        rng = np.random.default_rng(0)
        tracks = rng.gamma(2.0, size=(40, 3)).astype(np.float32)
        frames = np.sort(rng.choice(100, 40, replace=False))
        found = statistics(tracks, frames)
        for track, row in zip(tracks.T.astype(float), found, strict=True):
            expected = [
                track.mean(),
                track.std(),
                *np.percentile(track, (5, 50, 95)),
                scipy.stats.iqr(track),
                scipy.stats.skew(track),
                scipy.stats.linregress(0.01 * frames, track).slope,
            ]
            np.testing.assert_allclose(row, expected, rtol=1e-6)

    def test_statistics_of_what_does_not_change(self):
        for n_frames in (1, 30):
            found = statistics(np.full((n_frames, 1), 0.1, np.float32), np.arange(n_frames))
            np.testing.assert_allclose(found[0], [0.1, 0, 0.1, 0.1, 0.1, 0, 0, 0], atol=1e-7)

    def row(self, sound: np.ndarray) -> dict[str, float]:
        sequence = ProsodyStatistics(ProsodyStatisticsSettings())(sound, RATE)
        assert sequence.values.shape == (1, len(STATISTIC_NAMES))
        assert len(set(STATISTIC_NAMES)) == len(STATISTIC_NAMES)
        np.testing.assert_allclose(sequence.intervals, [[0, len(sound) / RATE]])
        return dict(zip(STATISTIC_NAMES, sequence.values[0].tolist(), strict=True))

    def test_rhythm_of_three_syllables(self):
        fade = np.minimum(1, np.minimum(seconds(0.2), 0.2 - seconds(0.2)) / 0.05).astype(np.float32)
        gap = np.zeros(round(0.1 * RATE), np.float32)
        syllable = buzz(110, 0.2) * fade
        row = self.row(np.concatenate([gap, syllable, gap, syllable, gap, syllable, gap]))
        assert row["active_seconds"] == pytest.approx(0.8, abs=0.03)
        assert row["syllables_per_second"] == pytest.approx(3 / 0.8, rel=0.05)
        assert row["voiced_per_second"] == pytest.approx(3 / 0.8, rel=0.05)
        assert row["active_share"] == pytest.approx(0.75, abs=0.06)
        assert row["voiced_seconds"] == pytest.approx(0.2, abs=0.03)
        assert row["pitch_median"] == pytest.approx(12, abs=0.1)
        assert row["pitch_iqr"] < 0.1

    def test_quiet_frames_do_not_count(self):
        loud, quiet = noise(0.5), noise(0.5, 0.0005)  # 46 dB below
        alone, both = self.row(loud), self.row(np.concatenate([loud, quiet]))
        assert both["energy_mean"] == pytest.approx(alone["energy_mean"], abs=0.5)
        assert both["mel_30_median"] == pytest.approx(alone["mel_30_median"], abs=0.5)

    def test_glide_has_a_slope(self):
        phase = np.cumsum(2 * np.pi * 110 * 2 ** seconds(1.0) / RATE)
        row = self.row((0.1 * np.sin(phase) + 0.05 * np.sin(2 * phase)).astype(np.float32))
        assert row["pitch_slope"] == pytest.approx(12, rel=0.01)  # an octave per second
        assert row["pitch_delta_mean"] == pytest.approx(0.12, rel=0.06)

    def test_no_voice(self):
        row = self.row(noise(0.5))
        assert row["voiced_share"] == row["voiced_seconds"] == row["pitch_sd"] == row["pitch_slope"] == 0
        assert row["pitch_mean"] == pytest.approx(middle_pitch(PITCH))


class TestEgemaps:
    def test_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "opensmile", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'emotiwave\[opensmile\]'"):
            Egemaps(EgemapsSettings())

    def test_frames(self, monkeypatch):
        fake_opensmile.install(monkeypatch)
        sequence = Egemaps(EgemapsSettings(level="frames"))(sine(200, 1.0), RATE)
        assert sequence.values.shape == (96, 25)
        np.testing.assert_allclose(sequence.intervals[0], [0.005, 0.015])
        np.testing.assert_allclose(sequence.intervals[-1], [0.955, 0.965])

    def test_full_scale_does_not_overflow(self, monkeypatch):
        fake_opensmile.install(monkeypatch)
        sequence = Egemaps(EgemapsSettings())(np.ones(RATE, np.float32), RATE)
        assert sequence.values.shape == (1, 88)
        assert sequence.values[0, 0] == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(sequence.intervals, [[0, 1]])

    def test_incomplete_rows_are_unobserved(self, monkeypatch):
        fake_opensmile.install(monkeypatch)
        extractor = Egemaps(EgemapsSettings(level="frames"))
        process = extractor._smile.process_signal

        def with_gap(samples, rate):
            table = process(samples, rate).copy()
            table.iloc[3, 5] = np.inf
            return table

        monkeypatch.setattr(extractor._smile, "process_signal", with_gap)
        values = extractor(sine(200, 1.0), RATE).values
        assert np.isnan(values[3]).all()
        assert np.isfinite(np.delete(values, 3, axis=0)).all()

    def test_too_short(self, monkeypatch):
        fake_opensmile.install(monkeypatch)
        sequence = Egemaps(EgemapsSettings())(np.zeros(500, np.float32), RATE)
        assert np.isnan(sequence.values).all()
        assert len(sequence.values) == 1
        assert len(Egemaps(EgemapsSettings(level="frames"))(np.zeros(500, np.float32), RATE).values) == 0


def test_noise_floor_is_that_of_silence():
    assert voice.NOISE == FLOOR
