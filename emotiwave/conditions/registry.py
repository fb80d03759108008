"""The conditions by name: what each does, over which severities, and how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from emotiwave.conditions.hiding import Frames, Seed, hide_frames, hide_modalities, hide_stretch
from emotiwave.conditions.spoiling import add_noise, shift
from emotiwave.errors import ConfigError, unknown_name
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus

Hide = Callable[[Frames, float, Seed], Frames]
Spoil = Callable[[Corpus, Sequence[str], Sequence[str], float, Seed], dict[str, dict[str, FeatureSequence]]]


@dataclass(frozen=True)
class Kind:
    """One kind of condition: either it hides, or it spoils."""

    about: str
    unit: str
    """Of the severity."""
    grid: tuple[float, ...]
    """Severities that are measured unless others are asked for."""
    highest: float
    hide: Hide | None = None
    spoil: Spoil | None = None
    is_drawn: bool = True
    """Whether there is something to draw, so that drawing it again gives another."""
    needs_one: bool = False
    """Whether it is of one modality, and not of all at once."""
    of_several: bool = False
    """Whether it is of all modalities, and never of one."""


KINDS: dict[str, Kind] = {
    "missing": Kind(
        "modalities of utterances are missing at random, at least one is kept",
        "share of the modalities of all utterances",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        1.0,
        hide=hide_modalities,
        of_several=True,
    ),
    "frame_drop": Kind(
        "frames are lost here and there", "share of the frames", (0.1, 0.3, 0.5, 0.7, 0.9), 1.0, hide=hide_frames
    ),
    "span_drop": Kind(
        "one stretch of frames is lost", "share of the frames", (0.1, 0.3, 0.5, 0.7, 0.9), 1.0, hide=hide_stretch
    ),
    "feature_noise": Kind(
        "normal noise on the features",
        "standard deviations of a feature",
        (0.25, 0.5, 1.0, 2.0),
        100.0,
        spoil=add_noise,
    ),
    "time_shift": Kind(
        "one modality lags behind the others",
        "seconds",
        (0.25, 0.5, 1.0, 2.0),
        3600.0,
        spoil=shift,
        is_drawn=False,
        needs_one=True,
    ),
}
"""Of features, which any corpus has."""


@dataclass(frozen=True)
class Condition:
    """What is done: its kind, to one modality or to all, at which severities from low to high, 0 not among them."""

    kind: str
    modality: str | None = None
    severities: tuple[float, ...] = ()

    def __str__(self) -> str:
        return self.kind if self.modality is None else f"{self.kind}:{self.modality}"

    @property
    def of(self) -> Kind:
        """What its kind is."""
        return KINDS[self.kind]

    def seed(self, draw: int) -> tuple[int, ...]:
        """What a draw begins from: another one for every kind."""
        return (draw, crc32(self.kind.encode()))

    def modalities(self, corpus: Corpus) -> tuple[str, ...]:
        """The modalities that it is about.

        Raises:
            ConfigError: If the corpus has none of that name.
        """
        if self.modality is None:
            return corpus.modalities
        if self.modality not in corpus.modalities:
            raise ConfigError(
                f"condition {self}: {corpus.name} has no {self.modality}; it has {', '.join(corpus.modalities)}"
            )
        return (self.modality,)


def read_condition(text: str) -> Condition:
    """Read ``KIND``, ``KIND:MODALITY``, each perhaps with severities: ``frame_drop:audio=0.1,0.5``.

    Raises:
        ConfigError: If there is no such condition, or a severity is outside of its range.
    """
    name, _, values = text.strip().partition("=")
    kind, _, modality = name.strip().partition(":")
    if kind not in KINDS:
        raise ConfigError(unknown_name("condition", kind, KINDS))
    about = KINDS[kind]
    if about.needs_one and not modality:
        raise ConfigError(f"condition {kind} is of one modality; write which one, as in {kind}:audio")
    if about.of_several and modality:
        raise ConfigError(f"condition {kind} is of all modalities at once; write {kind}, without :{modality}")
    try:
        given = tuple(float(value) for value in values.split(",")) if values.strip() else about.grid
    except ValueError:
        raise ConfigError(f"condition {text!r}: severities are numbers, as in {name}=0.1,0.5") from None
    severities = tuple(sorted({severity for severity in given if severity != 0}))
    for severity in severities:
        if not 0 < severity <= about.highest:  # also false of NaN
            raise ConfigError(
                f"condition {name}: severity {severity:g} is outside 0 to {about.highest:g} ({about.unit})"
            )
    if not severities:
        raise ConfigError(f"condition {text!r}: has no severity above 0")
    return Condition(kind, modality or None, severities)


def with_hidden(corpus: Corpus, ids: Sequence[str], hidden: Frames) -> Corpus:
    """Give the utterances of a corpus alone, with frames hidden: rows of NaN, which are not observed."""
    return _rebuild(
        corpus,
        ids,
        {
            name: {one: _hide(corpus.sequences[name][one], mask) for one, mask in of.items()}
            for name, of in hidden.items()
        },
    )


def spoilt(corpus: Corpus, ids: Sequence[str], condition: Condition, severity: float, draw: int) -> Corpus:
    """Give the utterances of a corpus alone, spoiled by a condition that hides nothing.

    Raises:
        ConfigError: If the condition hides, or is of a modality that the corpus lacks.
    """
    if condition.of.spoil is None:
        raise ConfigError(f"condition {condition} hides; it needs a mask")
    return _rebuild(
        corpus, ids, condition.of.spoil(corpus, ids, condition.modalities(corpus), severity, condition.seed(draw))
    )


def _hide(of: FeatureSequence, mask: np.ndarray) -> FeatureSequence:
    return FeatureSequence(np.where(mask[:, None], np.float32(np.nan), of.values), of.intervals)


def _rebuild(corpus: Corpus, ids: Sequence[str], changed: dict[str, dict[str, FeatureSequence]]) -> Corpus:
    wanted = set(ids)
    sequences = {}
    for name, sequence in corpus.sequences.items():
        new = changed.get(name, {})
        found = {one: new.get(one, sequence[one]) for one in sequence.ids if one in wanted}
        sequences[name] = ComputationalSequence.from_sequences(found, sequence.metadata, size=sequence.size)
    utterances = tuple(utterance for utterance in corpus.utterances if utterance.id in wanted)
    return Corpus(corpus.name, corpus.task, corpus.licence, corpus.label_set, utterances, sequences)
