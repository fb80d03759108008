"""Signals of one recording: sound, pictures and words with their times, and which spans of them are of no use."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz, of every waveform that is decoded."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """Sound: ``samples (samples,)`` float32, one channel, full scale at ±1; ``rate`` in Hz.

    ``start`` is the time of the first sample, in seconds from the start of the file. ``gaps`` are spans of the same
    clock in which the file holds no sound, or sound that could not be decoded; samples are zero there and stand for
    nothing.
    """

    samples: NDArray[np.float32]
    rate: int
    start: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video or a photo: ``image (height, width, 3)`` uint8 RGB, upright.

    ``start`` and ``end`` say how long it is shown, in seconds from the start of the file; NaN for a photo. ``scale`` is
    how many pixels of the file one pixel of ``image`` stands for, along a side.
    """

    image: NDArray[np.uint8]
    start: float
    end: float
    scale: float = 1.0


@dataclass(frozen=True)
class Word:
    """One spoken or written word; ``start`` and ``end`` in seconds from the start of the file, NaN if unknown."""

    text: str
    start: float = math.nan
    end: float = math.nan


@dataclass(frozen=True)
class Span:
    """A stretch of a signal that is of no use, in seconds from the start of the file, and why.

    NaN times stand for the whole signal.
    """

    start: float
    end: float
    reason: str


@dataclass(frozen=True)
class Usability:
    """How much of one modality of one utterance can be used, and why not the rest.

    ``observed`` is a share from 0 to 1 of its duration (of its frames or words where there are no times); ``reasons``
    hold the share that each reason takes away. Below `ignored`'s bound the whole modality is unobserved.
    """

    modality: str
    observed: float
    reasons: Mapping[str, float]
    ignored: bool

    def __str__(self) -> str:
        """Say it in a line.

        >>> str(Usability("audio", 0.29, {"silent": 0.71}, ignored=True))
        'audio silent 71 %, ignored'
        """
        why = ", ".join(f"{reason} {100 * share:.0f} %" for reason, share in self.reasons.items())
        return f"{self.modality} {why or 'observed'}{', ignored' if self.ignored else ''}"


def join_words(words: Iterable[Word]) -> str:
    """The transcript of timed words."""
    return " ".join(word.text for word in words)
