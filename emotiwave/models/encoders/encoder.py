"""What an encoder is: the part of a model that turns what the store holds of one modality into a sequence."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.sequences import ComputationalSequence


@dataclass(frozen=True)
class Origin:
    """What an encoder is built of: the features per frame of its input, and where its files lie.

    ``folder`` is the encoder's folder in a saved model, from which configuration, preprocessing and vocabulary are
    read and no weights; None for a new encoder, whose settings say where they come from.
    """

    modality: str
    size: int
    folder: Path | None = None
    lean: bool = False
    """Build it for answers alone, of what is quickest to import; of a saved model only."""


class ModalityEncoder(nn.Module, ABC):
    """``(batch, time, size)`` with its mask -> ``(batch, time', width)`` with the mask of that.

    What is unobserved never reaches the answer, whatever it holds. Where nothing is observed the mask that comes back
    is False, and so it is where what is observed is not enough for a single frame.
    """

    takes: ClassVar[str] = "features"
    """What the frames must be: ``features`` of any kind, or the name of the extractor that gives them as they are."""
    width: int
    """Features per frame that come out."""

    @abstractmethod
    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        """Encode the observed frames of each utterance."""

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Take from the training utterances what no gradient gives: scales of features, a vocabulary.

        Raises:
            FeatureError: If the frames are not what this encoder takes; the message goes on after the modality's name.
        """

    def parameter_groups(self, learning_rate: float) -> Iterator[dict[str, Any]]:
        """Give the trained parameters in groups of one learning rate each, as optimisers of torch take them."""
        yield {"params": [p for p in self.parameters() if p.requires_grad], "lr": learning_rate}

    def save_files(self, folder: Path) -> None:
        """Write what else the encoder needs beside weights into a folder that exists: small files, no pickle."""

    @property
    def resting_frame(self) -> Float[Tensor, " size"] | None:
        """The frame that says nothing in particular, from which explanations integrate gradients.

        None where frames are codes, between which there is nothing.
        """
        return None

    @property
    def described(self) -> str:
        """Say in a few words what it is, for people: never empty, and without paths of any machine."""
        return type(self).__name__

    @property
    def parts(self) -> Collection[dict[str, str]]:
        """The published parts inside, for the model card: ``name``, and ``licence`` and ``revision`` where known."""
        return ()
