"""How something is said, frame by frame: pitch, voicing, loudness, harmonics and spectral shape."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.features.extractor import AudioExtractor
from emotiwave.features.extractors.framing import deltas, frame_intervals, in_samples
from emotiwave.features.extractors.pitch import HOP, LOUDNESS_REACH, PitchSettings
from emotiwave.features.extractors.voice import (
    SHAPE,
    VERSION,
    VoiceTracks,
    measure_voice,
    middle_pitch,
    pitch_everywhere,
    pitch_slope,
)
from emotiwave.sequences import FeatureSequence

PITCH_REACH = 0.5
"""Seconds that a pitch is carried into what has none."""
PATH_REACH = 0.5
"""Seconds within which the path of the pitch forgets where it began."""
N_CEPSTRAL = 13
CEPSTRAL = tuple(f"mfcc_{k}" for k in range(1, N_CEPSTRAL + 1))
NAMES = (
    *("pitch", "pitch_delta", "voiced", "hnr", "energy", "energy_delta"),
    *SHAPE,
    *CEPSTRAL,
    *(f"{name}_delta" for name in CEPSTRAL),
)


class ProsodySettings(PitchSettings):
    """Keys of ``prosody``."""

    pooled: int = Field(1, ge=1, le=100)
    """How many frames of 10 ms are averaged into one; 10 gives frames of 100 ms."""


class Prosody(AudioExtractor):
    """Measures of the voice per frame, named in `NAMES` and described in `voice`.

    ``pitch`` is in semitones above 55 Hz. Where there is no voice it is interpolated, up to `PITCH_REACH` seconds from
    the nearest one; farther away it is the middle of the range. ``voiced`` tells where it was measured: 1 or 0, or the
    share of voiced frames where frames are pooled. ``energy`` (dB to full scale, from 50 to 8000 Hz) is all that
    changes with loudness, as long as the sound is well above -100 dB.

    In blocks of long sound a frame has the values of the whole, as loudness is compared within 2 seconds; only where a
    voice is hard to tell for longer than `PATH_REACH` may its pitch differ.
    """

    size = len(NAMES)

    def __init__(self, settings: ProsodySettings) -> None:
        self.settings = settings
        hop = HOP * settings.pooled
        self.frames_per_second = 1 / hop
        # whole frames, so that a block with context begins on a frame where the block does
        self.context = hop * np.ceil((LOUDNESS_REACH + PITCH_REACH + PATH_REACH) / hop)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": "prosody", "version": VERSION, "settings": self.settings.model_dump(mode="json")}

    @property
    def names(self) -> tuple[str, ...]:
        """Name each feature."""
        return NAMES

    def __call__(self, signal: NDArray[np.float32], timing: int) -> FeatureSequence:
        """Extract one frame per 10 ms, or per ``pooled`` times as much; the last may stand for less.

        Raises:
            FeatureError: If the sound is not finite, or of less than 16 kHz.
        """
        pooled, n_hop = self.settings.pooled, in_samples(HOP, timing)
        values = self._values(measure_voice(signal, timing, self.settings))
        if pooled > 1 and len(values):
            starts = np.arange(0, len(values), pooled)
            counts = np.diff(starts, append=len(values))
            values = np.add.reduceat(values, starts) / counts[:, None]
        return FeatureSequence(
            values.astype(np.float32, copy=False), frame_intervals(len(signal), n_hop * pooled, timing)
        )

    def _values(self, tracks: VoiceTracks) -> NDArray[np.float32]:
        pitch = pitch_everywhere(tracks.pitch, round(PITCH_REACH / HOP), middle_pitch(self.settings))
        cepstral = tracks.coefficients[:, :N_CEPSTRAL]
        voice = np.stack(
            [
                pitch,
                pitch_slope(tracks.pitch),
                np.isfinite(tracks.pitch),
                tracks.hnr,
                tracks.energy,
                deltas(tracks.energy[:, None])[:, 0],
            ],
            axis=1,
        )
        return np.concatenate([voice, tracks.shape, cepstral, deltas(cepstral)], axis=1, dtype=np.float32)
