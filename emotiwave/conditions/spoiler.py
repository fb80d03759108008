"""What spoils the signals of an utterance, or of a clip, as a condition says."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.registry import KINDS, Condition, read_condition
from emotiwave.conditions.signals import Around, squeezed
from emotiwave.errors import ConfigError, MediaError
from emotiwave.files import file_digest
from emotiwave.media.sound import read_sound
from emotiwave.signals import SAMPLE_RATE, Frame, Word

OF_A_CORPUS = ("babble", "word_errors")
"""Kinds that need other utterances."""


@dataclass(frozen=True, eq=False)
class MediaSpoiler:
    """Spoils one kind of signal, and leaves the others as they are."""

    condition: Condition
    severity: float
    draw: int
    around: Around

    def sound(self, utterance: str, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Spoil sound; what goes over full scale then is played softer."""
        spoil = self.condition.of.sound
        if spoil is None or not samples.any():
            return samples
        return squeezed(spoil(samples, rate, self.severity, self._generator(utterance), self.around))

    def pictures(self, utterance: str, pictures: Iterable[Frame]) -> Iterator[Frame]:
        """Spoil pictures."""
        spoil = self.condition.of.pictures
        return iter(pictures) if spoil is None else spoil(pictures, self.severity, lambda: self._generator(utterance))

    def words(self, utterance: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Spoil words."""
        spoil = self.condition.of.words
        return words if spoil is None else spoil(words, self.severity, self._generator(utterance), self.around)

    def _generator(self, utterance: str) -> np.random.Generator:
        return np.random.default_rng([*self.condition.seed(self.draw), crc32(utterance.encode())])


@dataclass(frozen=True)
class ClipSpoiler:
    """Spoils the signals of one clip, by one condition after the other."""

    spoilers: tuple[MediaSpoiler, ...]

    def sound(self, utterance: str, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Spoil sound."""
        for spoiler in self.spoilers:
            samples = spoiler.sound(utterance, samples, rate)
        return samples

    def pictures(self, utterance: str, pictures: Iterable[Frame]) -> Iterator[Frame]:
        """Spoil pictures."""
        spoilt = iter(pictures)
        for spoiler in self.spoilers:
            spoilt = spoiler.pictures(utterance, spoilt)
        return spoilt

    def words(self, utterance: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Spoil words."""
        for spoiler in self.spoilers:
            words = spoiler.words(utterance, words)
        return words


def clip_spoiler(conditions: Sequence[str]) -> ClipSpoiler:
    """Make what spoils a clip; each condition has one severity, as in ``noise:audio=0.5``.

    Raises:
        ConfigError: If a condition is unknown, not of signals, needs a corpus, or has not one severity.
    """
    found = []
    for text in conditions:
        condition = read_condition(text)
        signal = condition.of.signal
        if signal is None or condition.kind in OF_A_CORPUS:
            known = ", ".join(name for name, kind in KINDS.items() if kind.signal and name not in OF_A_CORPUS)
            raise ConfigError(f"condition {condition.kind} is not of a clip; those of clips are {known}")
        if condition.modality != signal:
            raise ConfigError(f"condition {text}: {condition.kind} spoils {signal}; write {condition.kind}:{signal}")
        if len(condition.severities) != 1:
            raise ConfigError(f"condition {text}: takes one severity for a clip, as in {condition}=0.5")
        given = None if condition.file is None else read_given(condition.file)
        found.append(MediaSpoiler(condition, condition.severities[0], 0, Around(given=given)))
    return ClipSpoiler(tuple(found))


def read_given(path: Path) -> NDArray[np.float32]:
    """Read a given sound.

    Raises:
        ConfigError: If it cannot be read, or is silent.
    """
    try:
        return _read(path, file_digest(path))
    except OSError as error:
        raise ConfigError(f"the sound of a condition cannot be read: {error}") from None


@lru_cache(maxsize=8)
def _read(path: Path, digest: str) -> NDArray[np.float32]:
    try:
        sound = read_sound(path)
    except (MediaError, OSError) as error:
        raise ConfigError(f"the sound of a condition cannot be read: {error}") from None
    if sound.rate != SAMPLE_RATE or not sound.samples.any():
        raise ConfigError(f"{path}: is silent; a condition needs a sound")
    return sound.samples
