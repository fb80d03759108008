"""Sound cut into frames, and their spectra: what the extractors of sound have in common."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from emotiwave.errors import FeatureError

LOUDEST = 1000.0
"""Samples beyond this are refused: full scale is 1, and their squares could leave the range of float32."""
FRAMES_AT_ONCE = 2048
"""Bounds the memory that a long sound takes."""


def check_sound(samples: NDArray[np.float32], rate: int, highest: float) -> None:
    """Refuse what is no sound, or holds nothing up to the highest frequency that is asked for.

    Args:
        samples: ``(samples,)``, full scale at ±1.
        rate: Hz.
        highest: Hz.

    Raises:
        FeatureError: If samples are not one row of finite floats, or the rate is too low.
    """
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise FeatureError(
            f"sound must be one row of floats with full scale at ±1; got {samples.shape} {samples.dtype}"
        )
    if rate < 2 * highest:
        raise FeatureError(
            f"sound of {rate:,} Hz holds nothing above {rate / 2:,.0f} Hz, and features up to {highest:,.0f} Hz are "
            f"asked for; resample it to at least {2 * highest:,.0f} Hz"
        )
    wrong = ~(np.abs(samples) <= LOUDEST)
    if wrong.any():
        first = int(wrong.argmax())
        raise FeatureError(
            f"sample {first} of {len(samples):,} is {samples[first]}; expected numbers with full scale at ±1"
        )


def in_samples(seconds: float, rate: int) -> int:
    """Round a length of time to samples, at least one.

    >>> in_samples(0.025, 16_000)
    400
    """
    return max(1, round(seconds * rate))


def cut(samples: NDArray[np.float32], n_window: int, n_hop: int) -> NDArray[np.float32]:
    """View sound as frames ``(frames, n_window)``; one for each hop of samples, the last of which may be short.

    The window of a frame is centred on its hop; beyond the ends of the sound are zeros.

    >>> cut(np.array([1, 2, 3], np.float32), 4, 2)
    array([[0., 1., 2., 3.],
           [2., 3., 0., 0.]], dtype=float32)
    """
    if not len(samples):
        return np.empty((0, n_window), np.float32)
    n_frames = -(-len(samples) // n_hop)
    before = (n_window - n_hop) // 2
    padded = np.zeros((n_frames - 1) * n_hop + n_window, np.float32)
    padded[before : before + len(samples)] = samples
    return sliding_window_view(padded, n_window)[::n_hop]


def frame_intervals(n_samples: int, n_hop: int, rate: int) -> NDArray[np.float64]:
    """Give the seconds ``(frames, 2)`` that each hop of samples stands for; the last ends with the sound.

    >>> frame_intervals(5, 2, 10)
    array([[0. , 0.2],
           [0.2, 0.4],
           [0.4, 0.5]])
    """
    edges = np.minimum(np.arange(0, n_samples + n_hop, n_hop), n_samples)
    return np.stack([edges[:-1], edges[1:]], axis=1) / rate


def in_blocks(frames: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Go through frames, `FRAMES_AT_ONCE` at a time; at least one block, which may be empty."""
    for start in range(0, max(1, len(frames)), FRAMES_AT_ONCE):
        yield frames[start : start + FRAMES_AT_ONCE]


def spectrum_size(n_window: int) -> int:
    """Give the length of the transform of a window: the next power of two.

    >>> spectrum_size(400)
    512
    """
    return 1 << (n_window - 1).bit_length()


def power_spectra(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the power ``(frames, bins)`` of Hann-windowed frames ``(frames, n_window)``, from 0 Hz to half the rate.

    The sum over the bins is the mean square of the frame under the window, so a sine of full scale has power 1/2
    whatever the rate and the window.
    """
    n_window = frames.shape[1]
    n_fft = spectrum_size(n_window)
    window = hann(n_window)
    spectra = np.fft.rfft(frames * window, n_fft, axis=1)
    power = spectra.real**2 + spectra.imag**2
    power[:, 1 : n_fft // 2] *= 2  # the negative frequencies
    power /= n_fft * np.sum(window.astype(np.float64) ** 2)
    return power.astype(np.float32, copy=False)


@lru_cache(maxsize=16)
def hann(n_window: int) -> NDArray[np.float32]:
    """Give the Hann window whose ends, just beyond it, are zero.

    >>> hann(3)
    array([0.5, 1. , 0.5], dtype=float32)
    """
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, n_window + 1) / (n_window + 1))).astype(np.float32)
    window.setflags(write=False)
    return window


def hertz_to_mel(frequency: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Give mel by the formula of HTK (O'Shaughnessy 1987): ``2595 log10(1 + f / 700)``.

    >>> round(float(hertz_to_mel(1000)), 2)
    999.99
    """
    return 2595 * np.log10(1 + np.asarray(frequency, np.float64) / 700)


def mel_to_hertz(mel: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo `hertz_to_mel`."""
    return 700 * (10 ** (np.asarray(mel, np.float64) / 2595) - 1)


@lru_cache(maxsize=16)
def mel_filters(rate: int, n_fft: int, n_bands: int, lowest: float, highest: float) -> NDArray[np.float32]:
    """Give triangular filters ``(bins, n_bands)``, each with 1 at its centre and 0 at the centres of its neighbours.

    Centres are equally far apart in mel between the lowest and the highest frequency, which are where the outermost
    triangles end; the sides are straight in Hz.

    Raises:
        FeatureError: If a band is so narrow that no frequency of the transform lies in it.
    """
    edges = mel_to_hertz(np.linspace(hertz_to_mel(lowest), hertz_to_mel(highest), n_bands + 2))
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = (np.arange(n_fft // 2 + 1) * rate / n_fft)[:, None]
    filters = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(min=0)
    empty = np.flatnonzero(~filters.any(axis=0))
    if len(empty):
        band = int(empty[0])
        raise FeatureError(
            f"mel band {band} ({left[band]:.0f} to {right[band]:.0f} Hz) lies between two frequencies of the spectrum, "
            f"which are {rate / n_fft:.1f} Hz apart; ask for fewer bands or a longer window"
        )
    filters = filters.astype(np.float32)
    filters.setflags(write=False)
    return filters


def deltas(tracks: NDArray[np.float32], reach: int = 2) -> NDArray[np.float32]:
    """Give the slope of each track ``(frames, tracks)`` by frame, by regression over some frames to either side.

    The first and last values are taken to go on beyond the ends (Young et al., The HTK Book, eq. 5.16).

    >>> deltas(np.arange(6, dtype=np.float32)[:, None])[2:4, 0]
    array([1., 1.], dtype=float32)
    """
    if not len(tracks):
        return tracks
    padded = np.pad(tracks, ((reach, reach), (0, 0)), mode="edge")
    total = np.zeros_like(tracks)
    for step in range(1, reach + 1):
        ahead, behind = (padded[reach + shift : reach + shift + len(tracks)] for shift in (step, -step))
        total += step * (ahead - behind)
    return total / np.float32(2 * sum(step**2 for step in range(1, reach + 1)))
