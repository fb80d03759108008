"""Three trained experts, for words, voice and face; their weights are a distribution of their own."""

from dataclasses import dataclass
from pathlib import Path

from emotiwave.experts.answer import Answer
from emotiwave.experts.distribution import Distribution, find_weights
from emotiwave.experts.face import FaceExpert
from emotiwave.experts.text import TextExpert
from emotiwave.experts.voice import Speaker, VoiceExpert

__all__ = ["Answer", "Experts", "FaceExpert", "Speaker", "TextExpert", "VoiceExpert", "load_experts"]


@dataclass(frozen=True, eq=False)
class Experts:
    """One expert per modality, all of the same seven classes."""

    text: TextExpert
    audio: VoiceExpert
    vision: FaceExpert
    weights: Distribution
    """What the weights are, and their terms."""


def load_experts(folder: Path | None = None, *, voice: str = "all") -> Experts:
    """Read the experts, after every file was compared with its hash; the terms are printed once.

    Args:
        folder: Of weights; by default that of the installed distribution.
        voice: ``all`` blocks of the voice expert, or ``prosody`` alone: three times as fast, and less exact.

    Raises:
        MissingExtraError: If the distribution is not installed.
        CheckpointError: If weights are damaged, changed or of another version.
    """
    weights = find_weights(folder)
    weights.verify()
    weights.tell_terms()
    return Experts(
        TextExpert.load(weights), VoiceExpert.load(weights, voice), FaceExpert.load(weights), weights.description
    )
