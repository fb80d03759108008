"""Pitch of a voice over time: autocorrelation, and the likeliest path through its peaks (Boersma 1993).

P. Boersma, Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound, Proc. Institute of Phonetic Sciences 17, 97-110. It differs in what a frame's loudness is held against: here the
loudest of some seconds around it instead of the whole recording, so that an hour can be read in blocks.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.features.extractors.framing import cut, hann, in_blocks, in_samples
from emotiwave.settings import Settings

HOP = 0.010
"""Seconds from frame to frame, which the costs below are meant for."""
LOUDNESS_REACH = 2.0
"""Seconds to either side among which the loudest frame is looked for."""
N_CANDIDATES = 8
"""Peaks per frame that the path may go through."""
PERIODS = 3
"""Periods of the lowest pitch that a window is long."""
FINER = 2
"""How many times finer than the samples the autocorrelation is, by interpolation."""
SILENT = 1e-6
"""Mean amplitude below which a frame is digital silence, whatever rounding left there; half a step of 16 bits is 15
times as much."""
VOICING_THRESHOLD, SILENCE_THRESHOLD = 0.45, 0.03
OCTAVE_COST, OCTAVE_JUMP_COST, VOICING_COST = 0.01, 0.35, 0.14


class PitchSettings(Settings):
    """Keys about the pitch of voices."""

    lowest_pitch: float = Field(60, ge=30)
    """Hz, below which no pitch is looked for."""
    highest_pitch: float = Field(600, le=2000)
    """Hz, above which no pitch is looked for; at least twice the lowest."""

    @model_validator(mode="after")
    def _check(self) -> "PitchSettings":
        if self.highest_pitch < 2 * self.lowest_pitch:
            raise ValueError(
                f"highest_pitch is {self.highest_pitch:g} Hz; expected at least twice lowest_pitch, "
                f"{self.lowest_pitch:g} Hz"
            )
        return self


@dataclass(frozen=True, eq=False)
class PitchTrack:
    """Per frame ``(frames,)`` float32: the pitch in Hz, NaN where there is no voice, and how periodic the sound is.

    ``periodicity`` is the share of the power that repeats itself, from 0 to 1.
    """

    frequency: NDArray[np.float32]
    periodicity: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Per frame, pitches ``(frames, N_CANDIDATES)`` in Hz, their autocorrelation, and the level ``(frames,)``.

    What is not there has an autocorrelation of minus infinity.
    """

    frequency: NDArray[np.float32]
    correlation: NDArray[np.float32]
    level: NDArray[np.float32]


def track_pitch(samples: NDArray[np.float32], rate: int, settings: PitchSettings) -> PitchTrack:
    """Follow the pitch, one frame per `HOP`, in agreement with `framing.cut`."""
    n_window = in_samples(PERIODS / settings.lowest_pitch, rate)
    frames = cut(samples, n_window, in_samples(HOP, rate))
    found = [_candidates(block, rate, settings) for block in in_blocks(frames)]
    frequency = np.concatenate([block.frequency for block in found])
    correlation = np.concatenate([block.correlation for block in found])
    level = np.concatenate([block.level for block in found])
    scores = _scores(frequency, correlation, level, settings.lowest_pitch)
    chosen = best_path(scores, np.log2(frequency))
    rows, is_voiced = np.arange(len(chosen)), chosen > 0
    at = np.where(is_voiced, chosen - 1, correlation.argmax(axis=1) if len(rows) else 0)
    return PitchTrack(
        frequency=np.where(is_voiced, frequency[rows, at], np.float32(np.nan)),
        periodicity=np.clip(correlation[rows, at], 0, 1),
    )


def _candidates(frames: NDArray[np.float32], rate: int, settings: PitchSettings) -> _Candidates:
    """Find the highest peaks of the normalised autocorrelation, between the samples by a parabola."""
    correlation, level = _autocorrelation(frames, 1 + int(rate / settings.lowest_pitch))
    shortest = max(1, int(FINER * rate / settings.highest_pitch))
    middle = correlation[:, shortest:-1]
    before, after = correlation[:, shortest - 1 : -2], correlation[:, shortest + 1 :]
    is_peak = (middle > before) & (middle >= after) & (middle > 0)
    lags = np.arange(shortest, shortest + middle.shape[1], dtype=np.float32)
    # of two peaks alike the earlier, or the path could go through multiples of the period only
    ranks = np.where(is_peak, middle - OCTAVE_COST * np.log2(lags), -np.inf)
    best = np.argpartition(-ranks, N_CANDIDATES, axis=1)[:, :N_CANDIDATES]
    left, top, right, rank = (np.take_along_axis(of, best, axis=1) for of in (before, middle, after, ranks))
    is_there = np.isfinite(rank)
    bend = np.where(is_there, left - 2 * top + right, -1)
    shift = np.where(is_there, 0.5 * (left - right) / bend, 0)
    frequency = (FINER * rate / (lags[best] + shift)).astype(np.float32)
    height = np.where(is_there, top - 0.25 * (left - right) * shift, -np.inf)
    return _Candidates(frequency, np.minimum(height, 1).astype(np.float32), level)


def _autocorrelation(frames: NDArray[np.float32], n_lags: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Autocorrelation ``(frames, FINER * n_lags)`` of windowed frames over that of the window, and the level.

    Its value at lag 0 is 1; silence has 0 throughout.
    """
    n_window = frames.shape[1]
    window, window_correlation = _window(n_window, n_lags)
    n_fft = _transform_size(n_window + n_lags)
    spectra = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * window, n_fft, axis=1)
    power = spectra.real**2 + spectra.imag**2
    correlation = np.fft.irfft(power, FINER * n_fft, axis=1)[:, : FINER * n_lags]
    total = correlation[:, :1].clip(min=0)
    level = np.sqrt(FINER * total / np.sum(window**2))
    is_sound = level > SILENT
    correlation = np.where(is_sound, correlation / np.where(is_sound, total, 1) / window_correlation, 0)
    return correlation.astype(np.float32, copy=False), level[:, 0]


def _transform_size(n_values: int) -> int:
    """Round up to a product of small factors, which transforms fast."""
    return -(-n_values // 120) * 120


@lru_cache(maxsize=16)
def _window(n_window: int, n_lags: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    window = hann(n_window)
    n_fft = _transform_size(n_window + n_lags)
    power = np.abs(np.fft.rfft(window.astype(np.float64), n_fft)) ** 2
    correlation = np.fft.irfft(power, FINER * n_fft)[: FINER * n_lags]
    return window, (correlation / correlation[0]).astype(np.float32)


def _scores(
    frequency: NDArray[np.float32], correlation: NDArray[np.float32], level: NDArray[np.float32], lowest: float
) -> NDArray[np.float32]:
    """How well each state ``(frames, 1 + N_CANDIDATES)`` fits: no voice (eq. 23), then each pitch (eq. 24)."""
    from scipy.ndimage import maximum_filter1d  # takes a third of a second to import

    reach = round(LOUDNESS_REACH / HOP)
    loudest = maximum_filter1d(level, 2 * reach + 1, mode="nearest") if len(level) else level
    share = np.where(loudest > 0, level / np.where(loudest > 0, loudest, 1), 0)
    unvoiced = VOICING_THRESHOLD + np.maximum(0, 2 - share * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD)
    voiced = correlation - OCTAVE_COST * np.log2(lowest / frequency)
    return np.concatenate([unvoiced[:, None], voiced], axis=1).astype(np.float32)


def best_path(scores: NDArray[np.float32], octaves: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the states ``(frames,)`` of the highest total score less the costs of changes (Viterbi).

    Args:
        scores: ``(frames, states)``; state 0 is no voice.
        octaves: ``(frames, states - 1)``, the pitch of each other state.
    """
    n_frames, n_states = scores.shape
    came_from = np.zeros((n_frames, n_states), np.int64)
    costs = np.full((n_states, n_states), VOICING_COST, np.float32)
    costs[0, 0] = 0
    states = np.arange(n_states)
    total = scores[0] if n_frames else np.zeros(n_states, np.float32)
    for frame in range(1, n_frames):
        costs[1:, 1:] = OCTAVE_JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame])
        reached = total[:, None] - costs
        came_from[frame] = reached.argmax(axis=0)
        total = reached[came_from[frame], states] + scores[frame]
        total -= total.max()  # or the sum of an hour would lose its last digits
    path = np.empty(n_frames, np.int64)
    state = int(total.argmax())
    for frame in range(n_frames - 1, -1, -1):
        path[frame] = state
        state = came_from[frame, state]
    return path
