"""What an extractor is: a function from a signal and its timing to a feature sequence."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from emotiwave.sequences import FeatureSequence

SignalT = TypeVar("SignalT")
TimingT = TypeVar("TimingT")


class Extractor(ABC, Generic[SignalT, TimingT]):
    """One extractor, built of its settings; holds weights if it has any and no state between calls.

    A frame that says nothing (a word without a vector, say) is a row of NaN: it is unobserved.
    """

    signal: ClassVar[Literal["audio", "vision", "text"]]
    size: int
    """The number of features per frame, known before the first call."""
    is_costly: bool = True
    """Whether features are worth keeping in a cache."""
    frames_per_second: float | None = None
    """Frames per second of signal, where that is fixed: for foretelling what a cache will hold."""
    summarises: bool = False
    """Whether a row stands for all of a block, silences in it included: then it is of use if the utterance is."""
    is_averageable: bool = True
    """Whether several frames may become their mean; pictures and ids of tokens may not, and one of them is taken."""
    longest: int | None = None
    """Where frames cannot be pooled at all, as they are pieces of a signal: those after which an utterance is cut."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All that the values depend on beside the signal, as JSON values: name, version, settings, hash of weights."""

    @abstractmethod
    def __call__(self, signal: SignalT, timing: TimingT) -> FeatureSequence:
        """Extract ``values (frames, size)`` float32 and ``intervals (frames, 2)`` in seconds."""

    def many(self, signals: Sequence[tuple[SignalT, TimingT]]) -> list[FeatureSequence]:
        """Extract of several signals; the same as one by one, and faster where an extractor says how."""
        return [self(signal, timing) for signal, timing in signals]


class AudioExtractor(Extractor[NDArray[np.float32], int]):
    """Of ``samples (samples,)`` float32 and their rate in Hz; intervals count from the first sample.

    Long sound comes in blocks with `context` seconds more on either side; what of the frames lies in there is dropped.
    """

    signal = "audio"
    context: float = 0.0


class VisionExtractor(Extractor[NDArray[np.uint8], NDArray[np.float64]]):
    """Of pictures ``(frames, side, side, 3)`` uint8 RGB, or ``(frames, side, side, 1)`` grey, and their intervals.

    Gives one row per picture, with the intervals that it was given.
    """

    signal = "vision"
    side: int
    """Pixels along each side of the pictures that it takes."""
    is_grey: bool = False
    pictures: Literal["faces", "frames"] = "faces"
    """Crops of the face that is followed, or whole frames."""


class TextExtractor(Extractor[Sequence[str], NDArray[np.float64]]):
    """Of words and their intervals ``(words, 2)`` in seconds, NaN where unknown.

    Gives a row per word or per piece of a word, with the interval of the word.
    """

    signal = "text"
