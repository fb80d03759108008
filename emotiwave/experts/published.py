"""Classifiers that others trained, from the Hugging Face Hub or a folder, in the place of an expert."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emotiwave.errors import ConfigError, MediaError
from emotiwave.experts.answer import Answer, Prior, put_together
from emotiwave.experts.expert import Crop
from emotiwave.experts.face import why_unseen
from emotiwave.experts.label_map import LabelMap, map_labels, to_seven_classes
from emotiwave.experts.text import says_something
from emotiwave.experts.voice import checked_samples
from emotiwave.experts.voice_vector import SHORTEST, active_span
from emotiwave.labels import SEVEN
from emotiwave.pretrained.classifier import Classifier, load_classifier
from emotiwave.pretrained.files import Kind
from emotiwave.signals import Waveform

KINDS: dict[str, Kind] = {"text": "text", "audio": "speech", "vision": "image"}
UNIFORM = np.full(len(SEVEN), 1 / len(SEVEN))


class PublishedExpert:
    """A published classifier as an expert; as sure as it is itself until `emotiwave.calibrate` has seen some labels."""

    is_shipped = False

    def __init__(self, classifier: Classifier, modality: str, labels: LabelMap) -> None:
        self.classifier, self.modality, self.labels = classifier, modality, labels
        self.name = classifier.encoder.name
        self.prior: Prior = UNIFORM
        side = getattr(classifier.preprocessing, "side", 0)
        self.crop = Crop(side, is_grey=False) if modality == "vision" else Crop()

    @property
    def identity(self) -> dict[str, str]:
        """What the weights are: the commit of the Hub, or the hash of all files of a folder."""
        return dict(self.classifier.encoder.identity)

    def __call__(self, inputs: Sequence[Any]) -> Answer:
        """Answer texts, sound or pictures; what holds nothing is not observed."""
        reasons = [_REASONS[self.modality](one) for one in inputs]
        observed = np.array([reason is None for reason in reasons], dtype=bool)
        some = [one for one, reason in zip(inputs, reasons, strict=True) if reason is None]
        prepared = [one.split() for one in some] if self.modality == "text" else some
        answers = to_seven_classes(self.classifier(prepared), self.labels)
        return put_together(answers, {}, self.prior, reasons, observed)


def load_published(
    name: str, modality: str, *, labels: LabelMap | None = None, revision: str | None = None
) -> PublishedExpert:
    """Load a classifier of text, of speech or of pictures as the expert of a modality.

    Args:
        name: A name of the Hub, or a folder that ``save_pretrained`` has written.
        modality: ``text``, ``audio`` or ``vision``.
        labels: Label -> one of the seven classes, or None, for labels that are not known words.
        revision: A branch, tag or commit of the Hub.

    Raises:
        ConfigError: If it cannot be found, is of something else, or a label is not known.
        CheckpointError: If its files are damaged, or it has no trained head.
    """
    if modality not in KINDS:
        raise ConfigError(f"no expert of {modality!r} can be replaced; expected one of {', '.join(KINDS)}")
    classifier = load_classifier(name, KINDS[modality], revision=revision)
    return PublishedExpert(classifier, modality, map_labels(classifier.labels, labels, source=name))


def _why_unheard(sound: Waveform) -> str | None:
    try:
        samples = checked_samples(sound.samples)
    except MediaError as error:
        return str(error)
    first, last = active_span(samples)
    if last - first < SHORTEST * sound.rate:
        return f"{(last - first) / sound.rate:.2f} s of sound; expected at least {SHORTEST:g} s"
    return None


def _why_unread(text: str) -> str | None:
    return None if says_something(text.split()) else "no words"


_REASONS: dict[str, Any] = {"text": _why_unread, "audio": _why_unheard, "vision": why_unseen}
