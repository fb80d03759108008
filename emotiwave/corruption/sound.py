"""Spoiled sound: noise, rooms, telephones, clipping; other speed and pitch."""

import io
from fractions import Fraction

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import BlockingIOError as NothingYetError
from av.error import EOFError as NoMoreError
from av.filter import Graph
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfiltfilt

Samples = NDArray[np.float32]

COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
"""Power of a noise falls with the frequency to this power."""
TELEPHONE = (300.0, 3400.0)
"""Hz, the band of a telephone line (ITU-T G.712)."""
LOWEST_HERTZ = 20.0
OPUS_RATE = 48_000


def coloured_noise(n_samples: int, colour: str, rate: int, generator: np.random.Generator) -> Samples:
    """Draw noise of mean square 1, whose power falls with frequency as `COLOURS` says, from 20 Hz up."""
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    hertz = np.fft.rfftfreq(n_samples, 1 / rate)
    spectrum *= np.maximum(hertz, LOWEST_HERTZ) ** (-COLOURS[colour] / 2)
    noise = np.fft.irfft(spectrum, n_samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def add_noise(samples: Samples, noise: Samples, decibels: float) -> Samples:
    """Mix noise in at a signal-to-noise ratio, both by their mean squares over the whole; shorter noise is repeated.

    Silence stays silence: there is nothing that noise could be so much weaker than.
    """
    repeated = np.resize(noise, len(samples))
    power, of_noise = np.mean(np.square(samples, dtype=np.float64)), np.mean(np.square(repeated, dtype=np.float64))
    if not of_noise:
        return samples
    return (samples + repeated * np.sqrt(power / of_noise / 10 ** (decibels / 10))).astype(np.float32)


def room_response(seconds: float, rate: int, generator: np.random.Generator) -> Samples:
    """Draw the impulse response of a room: a direct sound, then noise that falls by 60 dB in so many seconds.

    (Polack's model of late reverberation, 1988; direct and reverberant sound of like energy.)
    """
    times = np.arange(max(2, round(seconds * rate))) / rate
    tail = generator.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail[0] = 0
    response = tail / np.sqrt(np.sum(tail**2))
    response[0] = 1
    return response.astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Play sound in a room: as long as before, as loud as before, the direct sound where it was."""
    if not samples.any():
        return samples
    response = response[np.argmax(np.abs(response)) :]
    wet = fftconvolve(samples, response)[: len(samples)]
    return (wet * np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / np.mean(wet**2))).astype(np.float32)


def over_telephone(samples: Samples, rate: int) -> Samples:
    """Leave the band of `TELEPHONE`."""
    if len(samples) < 64:
        return samples
    return sosfiltfilt(butter(4, TELEPHONE, "bandpass", fs=rate, output="sos"), samples).astype(np.float32)


def low_pass(samples: Samples, hertz: float, rate: int) -> Samples:
    """Leave what is below a frequency."""
    if len(samples) < 64:
        return samples
    return sosfiltfilt(butter(6, hertz, "lowpass", fs=rate, output="sos"), samples).astype(np.float32)


def over_opus(samples: Samples, rate: int, bits_per_second: int) -> Samples:
    """Send sound through the codec Opus, as calls and messengers do; 6,000 bits a second and more."""
    if not len(samples):
        return samples
    buffer = io.BytesIO()
    at_48k = np.asarray(soxr.resample(samples, rate, OPUS_RATE), np.float32).clip(-1, 1)
    with av.open(buffer, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=OPUS_RATE, layout="mono")
        stream.bit_rate = bits_per_second
        frame = AudioFrame.from_ndarray(at_48k[None], format="flt", layout="mono")
        frame.sample_rate = OPUS_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    buffer.seek(0)
    with av.open(buffer, "r") as sent:
        resampler = AudioResampler(format="flt", layout="mono", rate=OPUS_RATE)
        pieces = [piece.to_ndarray()[0] for one in sent.decode(audio=0) for piece in resampler.resample(one)]
    heard = np.asarray(soxr.resample(np.concatenate(pieces), OPUS_RATE, rate), np.float32)
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)]


def clip(samples: Samples, share: float) -> Samples:
    """Cut off the largest samples: so large a share of all is at the ceiling, which becomes full scale."""
    ceiling = float(np.quantile(np.abs(samples), 1 - share)) if len(samples) else 0.0
    return (samples.clip(-ceiling, ceiling) / ceiling).astype(np.float32) if ceiling else samples


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play sound faster, and higher by as much."""
    return np.asarray(soxr.resample(samples, factor, 1.0), np.float32) if len(samples) else samples


def change_tempo(samples: Samples, factor: float, rate: int) -> Samples:
    """Speak faster at the same pitch, by FFmpeg's filter ``atempo`` (overlapped pieces); factors of 0.5 to 2."""
    if not len(samples):
        return samples
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(format="flt", sample_rate=rate, layout="mono", time_base=Fraction(1, rate)),
        graph.add("atempo", f"{factor:.6f}"),
        graph.add("abuffersink"),
    ).configure()
    frame = AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    pieces = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray()[0])
        except (NoMoreError, NothingYetError):
            return np.concatenate(pieces) if pieces else samples[:0]


def shift_pitch(samples: Samples, semitones: float, rate: int) -> Samples:
    """Speak higher at the same speed; formants move along."""
    factor = 2 ** (semitones / 12)
    return change_speed(change_tempo(samples, 1 / factor, rate), factor)
