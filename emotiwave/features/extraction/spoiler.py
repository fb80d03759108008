"""What may be done to signals between their files and all that looks at them."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotiwave.signals import Frame, Word


class Spoiler(Protocol):
    """Spoils the signals of an utterance, which goes by its id; what comes out is judged and described as any other."""

    def sound(self, utterance: str, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Spoil the sound of a segment ``(samples,)``; as long as before."""
        ...

    def pictures(self, utterance: str, pictures: Iterable[Frame]) -> Iterator[Frame]:
        """Spoil pictures, one by one."""
        ...

    def words(self, utterance: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Spoil a transcript."""
        ...
