"""What can be measured of a voice in each frame of 10 ms: loudness, pitch, harmonics and the shape of the spectrum.

Alpha ratio, Hammarberg index, slopes and flux are defined as by F. Eyben et al., The Geneva Minimalistic Acoustic
Parameter Set (GeMAPS), IEEE Trans. Affective Computing 7(2), 2016; centroid, spread, skewness, flatness and rolloff as
by G. Peeters, A large set of audio features for sound description, IRCAM 2004.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extractors.framing import (
    check_sound,
    cut,
    deltas,
    in_blocks,
    in_samples,
    mel_filters,
    power_spectra,
    spectrum_size,
)
from emotiwave.features.extractors.pitch import HOP, PitchSettings, track_pitch

VERSION = 1
"""Of the measures and of the pitch: raised when the same sound gives other values."""
LOWEST, HIGHEST = 50.0, 8000.0
"""Hz: what lies below is rumble, and what lies above is left out so that all rates give the same."""
WINDOW = 0.025
"""Seconds that a spectrum is taken over."""
N_BANDS = 64
N_COEFFICIENTS = 20
NOISE = 1e-10
"""Power of white noise that is added to every spectrum: it bounds all logarithms, and is the shape of silence."""
SHAPE = (
    "centroid",
    "spread",
    "skewness",
    "flatness",
    "rolloff",
    "flux",
    "alpha_ratio",
    "hammarberg",
    "slope",
    "slope_0_500",
    "slope_500_1500",
)
"""Measures of the shape of a spectrum, none of which changes with loudness.

Centroid, spread and rolloff (the frequency below which 85 % of the power lies) are in kHz; flatness, alpha ratio (50 to
1000 Hz over 1000 to 5000 Hz) and Hammarberg index (highest peak below 2000 Hz over the highest up to 5000 Hz) in dB;
slopes, of all and of two bands in Hz, in dB per kHz. Flux is the distance to the amplitudes of the frame before, both
of length 1."""
ROLLOFF = 0.85
SEMITONES_FROM = 55.0
"""Hz, the pitch that is 0 semitones (the note A1)."""
NO_HARMONICS, ALL_HARMONICS = 0.01, 0.9999
"""Bounds of periodicity: -20 and 40 dB of harmonics to noise."""


@dataclass(frozen=True, eq=False)
class VoiceTracks:
    """Measures of a voice per frame, float32.

    ``bands (frames, N_BANDS)`` are mel-band powers in dB, ``coefficients (frames, N_COEFFICIENTS)`` their cepstral
    coefficients from the first on (the zeroth is loudness), ``shape (frames, measures)`` as in `SHAPE`. Of the others,
    ``(frames,)`` each, ``energy`` is mean square in dB, ``pitch`` in semitones above `SEMITONES_FROM`, NaN where there
    is no voice, ``hnr`` in dB of harmonics to noise.
    """

    bands: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    shape: NDArray[np.float32]
    energy: NDArray[np.float32]
    pitch: NDArray[np.float32]
    hnr: NDArray[np.float32]


def measure_voice(samples: NDArray[np.float32], rate: int, settings: PitchSettings) -> VoiceTracks:
    """Measure a voice, one frame per hop of 10 ms.

    Raises:
        FeatureError: If the sound is not finite, or of less than 16 kHz.
    """
    check_sound(samples, rate, HIGHEST)
    n_window = in_samples(WINDOW, rate)
    n_fft = spectrum_size(n_window)
    frequencies = np.arange(n_fft // 2 + 1) * rate / n_fft
    kept = slice(np.searchsorted(frequencies, LOWEST), np.searchsorted(frequencies, HIGHEST, side="right"))
    from scipy.fft import dct  # takes a third of a second to import

    filters = mel_filters(rate, n_fft, N_BANDS, LOWEST, HIGHEST)[kept]
    bands, shapes, energies = [], [], []
    last = None
    for frames in in_blocks(cut(samples, n_window, in_samples(HOP, rate))):
        # a constant offset would leak into the lowest frequencies
        power = power_spectra(frames - frames.mean(axis=1, keepdims=True))[:, kept]
        power += np.float32(NOISE / power.shape[1])
        bands.append(decibels(power @ filters))
        energies.append(decibels(power.sum(axis=1)))
        shapes.append(spectral_shape(power, frequencies[kept] / 1000, last))
        last = power[-1:]
    band_levels = np.concatenate(bands)
    track = track_pitch(samples, rate, settings)
    periodicity = np.clip(track.periodicity, NO_HARMONICS, ALL_HARMONICS)
    return VoiceTracks(
        bands=band_levels,
        coefficients=np.asarray(dct(band_levels, norm="ortho", axis=1))[:, 1 : N_COEFFICIENTS + 1],
        shape=np.concatenate(shapes),
        energy=np.concatenate(energies),
        pitch=12 * np.log2(track.frequency / np.float32(SEMITONES_FROM)),
        hnr=decibels(periodicity / (1 - periodicity)),
    )


def decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give powers in dB.

    >>> decibels(np.array([1, 100], np.float32)).round(3)
    array([ 0., 20.], dtype=float32)
    """
    return 10 * np.log10(power)


def spectral_shape(
    power: NDArray[np.float32], kilohertz: NDArray[np.float64], before: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Measure the shape of spectra, as in `SHAPE`.

    Args:
        power: ``(frames, bins)``, all above zero.
        kilohertz: ``(bins,)``, of the bins.
        before: The spectrum ``(1, bins)`` before the first, if there is one.
    """
    frequency = kilohertz.astype(np.float32)
    total = power.sum(axis=1)
    centroid = power @ frequency / total
    distance = frequency - centroid[:, None]
    weighted = power * distance**2
    spread = np.sqrt(weighted.sum(axis=1) / total)
    skewness = (weighted * distance).sum(axis=1) / total / np.maximum(spread, 1e-3) ** 3
    levels = decibels(power)
    at_rolloff = (np.cumsum(power, axis=1) >= ROLLOFF * total[:, None]).argmax(axis=1)
    below_1, below_2, below_5 = np.searchsorted(kilohertz, (1, 2, 5), side="right")
    columns = {
        "centroid": centroid,
        "spread": spread,
        "skewness": skewness,
        "flatness": levels.mean(axis=1) - decibels(total / power.shape[1]),
        "rolloff": frequency[at_rolloff],
        "flux": _flux(power, total, before),
        "alpha_ratio": decibels(power[:, :below_1].sum(axis=1) / power[:, below_1:below_5].sum(axis=1)),
        "hammarberg": levels[:, :below_2].max(axis=1) - levels[:, below_2:below_5].max(axis=1),
        "slope": _slope(levels, frequency, 0, 8),
        "slope_0_500": _slope(levels, frequency, 0, 0.5),
        "slope_500_1500": _slope(levels, frequency, 0.5, 1.5),
    }
    return np.stack([columns[name] for name in SHAPE], axis=1)


def _flux(
    power: NDArray[np.float32], total: NDArray[np.float32], before: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Distance of amplitudes, of length 1 each, from those before; 0 for the first frame of all."""
    amplitude = np.sqrt(power / total[:, None])
    first = amplitude[:1] if before is None else np.sqrt(before / before.sum())
    return np.linalg.norm(np.diff(amplitude, axis=0, prepend=first), axis=1)


def _slope(
    levels: NDArray[np.float32], frequency: NDArray[np.float32], lowest: float, highest: float
) -> NDArray[np.float32]:
    """Slope of the regression line of levels in dB over frequency in kHz, within a band."""
    inside = (frequency >= lowest) & (frequency <= highest)
    centred = frequency[inside] - frequency[inside].mean()
    return levels[:, inside] @ (centred / (centred**2).sum())


def pitch_everywhere(pitch: NDArray[np.float32], reach: int, default: float) -> NDArray[np.float32]:
    """Give frames without a voice the pitch on the line between the nearest voices before and after.

    Before the first and after the last voice it stays as it is there. Frames farther than ``reach`` frames from every
    voice get the default.

    >>> pitch_everywhere(np.array([np.nan, 10, np.nan, 14, np.nan, np.nan], np.float32), 1, 20)
    array([10., 10., 12., 14., 14., 20.], dtype=float32)
    """
    voiced = np.flatnonzero(np.isfinite(pitch))
    if not len(voiced):
        return np.full_like(pitch, default)
    frames = np.arange(len(pitch))
    after = np.searchsorted(voiced, frames).clip(max=len(voiced) - 1)
    nearest = np.minimum(np.abs(voiced[after] - frames), np.abs(voiced[(after - 1).clip(min=0)] - frames))
    filled = np.interp(frames, voiced, pitch[voiced]).astype(np.float32)
    return np.where(nearest <= reach, filled, np.float32(default))


def pitch_slope(pitch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change of pitch from frame to frame, by regression; 0 where any of the five frames around has no voice."""
    if not len(pitch):
        return pitch
    slopes = deltas(pitch[:, None])[:, 0]
    return np.where(np.isfinite(slopes + pitch), slopes, np.float32(0))


def middle_pitch(settings: PitchSettings) -> float:
    """The middle of the range of pitches, in semitones."""
    return float(12 * np.log2(np.sqrt(settings.lowest_pitch * settings.highest_pitch) / SEMITONES_FROM))
