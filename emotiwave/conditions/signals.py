"""What signals meet on their way: noise, rooms, telephones, darkness, wrong words; each ever worse, 0 as it was.

Every function takes a signal, how badly, and a generator of the utterance; with another severity it draws the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from emotiwave.corruption.pictures import Picture, blur, cover, darken
from emotiwave.corruption.sound import (
    Samples,
    add_noise,
    clip,
    coloured_noise,
    low_pass,
    over_opus,
    reverberate,
    room_response,
)
from emotiwave.signals import Frame, Word

BABBLERS = 3
FULL_BAND = 8000.0
"""Hz, from which the upper end of the band falls by an octave per severity."""
OPUS_BITS = 24_000
"""A second, divided by the severity."""
MOST_OPUS_BITS = 256_000
STILL = 1.0
"""Seconds of video that stand still, or do not, together."""


@dataclass(frozen=True, eq=False)
class Around:
    """What there is beside the utterance: other voices, a given sound at the same rate, and words that are said."""

    voices: Sequence[Samples] = ()
    given: Samples | None = None
    vocabulary: Sequence[str] = ()


SpoilSound = Callable[[Samples, int, float, np.random.Generator, Around], Samples]
SpoilPictures = Callable[[Iterable[Frame], float, Callable[[], np.random.Generator]], Iterator[Frame]]
SpoilWords = Callable[[tuple[Word, ...], float, np.random.Generator, Around], tuple[Word, ...]]


def pink_noise(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Add pink noise so loud, by root mean square, as a share of the sound."""
    return add_noise(samples, coloured_noise(max(2, len(samples)), "pink", rate, rng), decibels(severity))


def babble(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Let three others of the corpus speak at once, so loud as a share of the sound."""
    chosen = [around.voices[k] for k in rng.choice(len(around.voices), BABBLERS, replace=False)]
    voices = [np.resize(np.roll(voice, int(rng.integers(len(voice)))), len(samples)) for voice in chosen]
    loud = [voice / max(1e-9, float(np.sqrt(np.mean(np.square(voice, dtype=np.float64))))) for voice in voices]
    return add_noise(samples, np.sum(loud, axis=0).astype(np.float32), decibels(severity))


def background(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Add the given sound from somewhere in it on, so loud as a share of the sound."""
    given = np.zeros(1, np.float32) if around.given is None else around.given
    return add_noise(samples, np.roll(given, -int(rng.integers(len(given)))), decibels(severity))


def reverberation(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Put the sound into a drawn room, whose answer falls by 60 dB in so many seconds."""
    return reverberate(samples, room_response(severity, rate, rng))


def room(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Put the sound into the room of a given impulse response: such a share of what is heard is the room."""
    if around.given is None:
        return samples
    return ((1 - severity) * samples + severity * reverberate(samples, around.given)).astype(np.float32)


def clipping(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Cut off the largest samples, such a share of those that are not silent, and play as loud as before."""
    loud = samples != 0
    if not loud.any():
        return samples
    clipped = samples.copy()
    clipped[loud] = clip(samples[loud], severity) * float(np.abs(samples).max())
    return clipped


def narrow_band(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Take away the upper end of the band, so many octaves below 8 kHz."""
    hertz = FULL_BAND / 2**severity
    return samples if hertz >= rate / 2 else low_pass(samples, hertz, rate)


def codec(samples: Samples, rate: int, severity: float, rng: np.random.Generator, around: Around) -> Samples:
    """Send the sound through Opus at 24 kilobits a second divided by so much."""
    return over_opus(samples, rate, min(MOST_OPUS_BITS, round(OPUS_BITS / severity)))


def decibels(severity: float) -> float:
    """The signal-to-noise ratio of a noise with such a share of the signal's root mean square.

    >>> [round(decibels(share)) for share in (0.1, 1.0)]
    [20, 0]
    """
    return -20 * float(np.log10(severity))


def blurred(pictures: Iterable[Frame], severity: float, draw: Callable[[], np.random.Generator]) -> Iterator[Frame]:
    """Blur, with a standard deviation of so many per cent of the shorter side."""
    return _each(pictures, lambda picture, _: blur(picture, severity / 100 * min(picture.shape[:2])), draw)


def dark(pictures: Iterable[Frame], severity: float, draw: Callable[[], np.random.Generator]) -> Iterator[Frame]:
    """Take such a share of the light away; what a camera adds stays as strong."""
    rng = draw()
    return _each(pictures, lambda picture, _: darken(picture, 1 - severity, rng), draw)


def occluded(pictures: Iterable[Frame], severity: float, draw: Callable[[], np.random.Generator]) -> Iterator[Frame]:
    """Hide such a share of each picture behind one colour, at the same place in all of them."""
    return _each(pictures, lambda picture, rng: cover(picture, severity, rng), draw)


def low_resolution(
    pictures: Iterable[Frame], severity: float, draw: Callable[[], np.random.Generator]
) -> Iterator[Frame]:
    """Halve the pixels along each side so many times, and enlarge again."""
    return _each(pictures, lambda picture, _: _coarse(picture, severity), draw)


def frozen(pictures: Iterable[Frame], severity: float, draw: Callable[[], np.random.Generator]) -> Iterator[Frame]:
    """Let such a share of the seconds show their first picture all along."""
    rng, levels, held = draw(), {}, {}
    for frame in pictures:
        if np.isnan(frame.start):  # a photo, which stands still anyway
            yield frame
            continue
        second = int(frame.start // STILL)
        if second not in levels:
            levels[second], held[second] = float(rng.random()), frame.image
        yield replace(frame, image=held[second]) if levels[second] < severity else frame


def _each(
    pictures: Iterable[Frame],
    change: Callable[[Picture, np.random.Generator], Picture],
    draw: Callable[[], np.random.Generator],
) -> Iterator[Frame]:
    for frame in pictures:
        yield replace(frame, image=change(frame.image, draw()))


def _coarse(picture: Picture, halvings: float) -> Picture:
    height, width = picture.shape[:2]
    small = (max(1, round(width / 2**halvings)), max(1, round(height / 2**halvings)))
    made = cv2.resize(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), (width, height))
    return np.asarray(made, np.uint8).reshape(picture.shape)


def word_errors(words: tuple[Word, ...], severity: float, rng: np.random.Generator, around: Around) -> tuple[Word, ...]:
    """Make an error at such a share of the words: another word of the corpus, none, or one more."""
    found: list[Word] = []
    levels, kinds = rng.random(len(words)), rng.integers(3, size=len(words))
    others = rng.integers(len(around.vocabulary), size=len(words))
    for word, level, kind, other in zip(words, levels, kinds.tolist(), others.tolist(), strict=True):
        wrong = replace(word, text=around.vocabulary[other])
        found += [word] if level >= severity else {0: [wrong], 1: [], 2: [word, wrong]}[kind]
    return tuple(found)


def truncated(words: tuple[Word, ...], severity: float, rng: np.random.Generator, around: Around) -> tuple[Word, ...]:
    """Lose the end: such a share of the words; of all of them nothing is left."""
    return words[: len(words) - round(severity * len(words))]


def squeezed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring sound back below full scale, where what was added went over it."""
    loudest = float(np.abs(values).max(initial=0.0))
    return values if loudest <= 1 else (values / loudest).astype(np.float32)
