"""How something is said, in one row per utterance: statistics of pitch, loudness, harmonics, spectrum and rhythm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extractor import AudioExtractor
from emotiwave.features.extractors.framing import deltas
from emotiwave.features.extractors.pitch import HOP, PitchSettings
from emotiwave.features.extractors.voice import (
    N_BANDS,
    N_COEFFICIENTS,
    SHAPE,
    VERSION,
    VoiceTracks,
    measure_voice,
    middle_pitch,
    pitch_slope,
)
from emotiwave.sequences import FeatureSequence

ACTIVE = 40.0
"""dB below the loudest frame down to which frames count."""
SYLLABLE_PROMINENCE, SYLLABLE_GAP = 3.0, 0.08
"""A peak of energy that rises by so many dB from its surroundings, so many seconds from a higher one, is a syllable
(after de Jong and Wempe 2009)."""
STATISTICS = ("mean", "sd", "p5", "median", "p95", "iqr", "skewness", "slope")
COEFFICIENTS = tuple(f"mfcc_{k}" for k in range(1, N_COEFFICIENTS + 1))
SOUND_TRACKS = (
    *("energy", "energy_delta", "hnr"),
    *SHAPE,
    *(f"mel_{band}" for band in range(N_BANDS)),
    *COEFFICIENTS,
    *(f"{name}_delta" for name in COEFFICIENTS),
)
VOICE_TRACKS = ("pitch", "pitch_delta")
RHYTHM = (
    "active_seconds",
    "active_share",
    "voiced_share",
    "voiced_per_second",
    "voiced_seconds",
    "syllables_per_second",
)
NAMES = (*(f"{track}_{name}" for track in (*SOUND_TRACKS, *VOICE_TRACKS) for name in STATISTICS), *RHYTHM)


class ProsodyStatisticsSettings(PitchSettings):
    """Keys of ``prosody_statistics``."""


class ProsodyStatistics(AudioExtractor):
    """One row of `NAMES` for each call: `STATISTICS` of every track over time, and rhythm.

    Frames within `ACTIVE` dB of the loudest count, and of pitch those with a voice; the slope is per second. Without
    any voice, ``voiced_share`` is 0 and pitch the middle of its range, unmoved. An utterance must come whole: of long
    sound in blocks, each block gives a row of its own, which stands for that block.
    """

    size = len(NAMES)
    summarises = True

    def __init__(self, settings: ProsodyStatisticsSettings) -> None:
        self.settings = settings

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": "prosody_statistics", "version": VERSION, "settings": self.settings.model_dump(mode="json")}

    @property
    def names(self) -> tuple[str, ...]:
        """Name each feature."""
        return NAMES

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Extract one frame, which lasts as long as the sound.

        Raises:
            FeatureError: If the sound is not finite, or of less than 16 kHz.
        """
        tracks = measure_voice(signal, timing, self.settings)
        if not len(signal):
            return FeatureSequence(np.empty((0, self.size), np.float32), np.empty((0, 2)))
        is_active = tracks.energy >= tracks.energy.max() - ACTIVE
        row = np.concatenate(
            [
                statistics(_sound_tracks(tracks)[is_active], np.flatnonzero(is_active)).ravel(),
                self._of_pitch(tracks, is_active).ravel(),
                _rhythm(tracks, is_active),
            ],
            dtype=np.float32,
        )
        return FeatureSequence(row[None], np.array([[0, len(signal) / timing]]))

    def _of_pitch(self, tracks: VoiceTracks, is_active: NDArray[np.bool_]) -> NDArray[np.float64]:
        is_voiced = is_active & np.isfinite(tracks.pitch)
        if not is_voiced.any():
            return statistics(np.array([[middle_pitch(self.settings), 0]], np.float32), np.zeros(1, np.int64))
        voice = np.stack([tracks.pitch, pitch_slope(tracks.pitch)], axis=1)
        return statistics(voice[is_voiced], np.flatnonzero(is_voiced))


def _sound_tracks(tracks: VoiceTracks) -> NDArray[np.float32]:
    """All tracks that every frame has ``(frames, tracks)``, in the order of `SOUND_TRACKS`."""
    energy = tracks.energy[:, None]
    columns = [energy, deltas(energy), tracks.hnr[:, None], tracks.shape, tracks.bands, tracks.coefficients]
    return np.concatenate([*columns, deltas(tracks.coefficients)], axis=1)


def statistics(tracks: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Describe each track ``(frames, tracks)`` by `STATISTICS` ``(tracks, statistics)``; all finite.

    Skewness and slope of a track that does not change, or of one frame, are 0.

    Args:
        tracks: At least one frame.
        frames: ``(frames,)``, the place of each in the order of hops.
    """
    mean = tracks.mean(axis=0, dtype=np.float64)
    centred = tracks - mean
    sd = np.sqrt((centred**2).mean(axis=0))
    p5, p25, median, p75, p95 = np.percentile(tracks, (5, 25, 50, 75, 95), axis=0)
    # what rounding to float32 leaves of a track that does not change is no spread
    changes = sd > 1e-6 * np.maximum(np.abs(mean), 1)
    skewness = np.where(changes, (centred**3).mean(axis=0) / np.where(changes, sd, 1) ** 3, 0)
    since = HOP * (frames - frames.mean())
    length = (since**2).sum()
    slope = since @ centred / length if length > 0 else np.zeros_like(mean)
    return np.stack([mean, sd, p5, median, p95, p75 - p25, skewness, slope], axis=1)


def _rhythm(tracks: VoiceTracks, is_active: NDArray[np.bool_]) -> list[float]:
    """Measure the stretches of voice and the peaks of energy, in the order of `RHYTHM`.

    Rates are per second from the first active frame to the last.
    """
    from scipy.signal import find_peaks  # takes a second to import

    first, last = np.flatnonzero(is_active)[[0, -1]]
    seconds = (last - first + 1) * HOP
    is_voiced = is_active & np.isfinite(tracks.pitch)
    n_stretches = int((np.diff(is_voiced.astype(np.int8), prepend=0) == 1).sum())
    n_voiced = int(is_voiced.sum())
    peaks, _ = find_peaks(
        tracks.energy[first : last + 1], prominence=SYLLABLE_PROMINENCE, distance=max(1, round(SYLLABLE_GAP / HOP))
    )
    return [
        seconds,
        float(is_active[first : last + 1].mean()),
        n_voiced / int(is_active.sum()),
        n_stretches / seconds,
        n_voiced * HOP / max(1, n_stretches),
        len(peaks) / seconds,
    ]
