"""What every expert is: inputs of one modality in, an `Answer` out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emotiwave.experts.answer import Answer, Prior


@dataclass(frozen=True)
class Crop:
    """How pictures of faces are best cut out: pixels along a side, and whether they are grey."""

    side: int = 48
    is_grey: bool = True


class ModalityExpert(Protocol):
    """Answers texts, sound (`Waveform`) or pictures of faces (uint8) with probabilities of the seven classes."""

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def modality(self) -> str:
        """``text``, ``audio`` or ``vision``."""
        ...

    @property
    def prior(self) -> Prior:
        """How common each class was where it was trained, or calibrated."""
        ...

    @property
    def crop(self) -> Crop:
        """How it wants faces; of no use to an expert of another modality."""
        ...

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of the installed weights as they are."""
        ...

    def __call__(self, inputs: Sequence[Any], /) -> Answer:
        """Answer each input; what it cannot read is not observed, with a reason."""
        ...
