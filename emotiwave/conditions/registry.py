"""The conditions by name: what each does, over which severities, and how it is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from emotiwave.conditions import signals
from emotiwave.conditions.hiding import Frames, Seed, hide_frames, hide_modalities, hide_stretch
from emotiwave.conditions.signals import SpoilPictures, SpoilSound, SpoilWords
from emotiwave.conditions.spoiling import add_noise, shift
from emotiwave.conditions.text import split_condition
from emotiwave.errors import ConfigError, unknown_name
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus

Hide = Callable[[Frames, float, Seed], Frames]
Spoil = Callable[[Corpus, Sequence[str], Sequence[str], float, Seed], dict[str, dict[str, FeatureSequence]]]


@dataclass(frozen=True)
class Kind:
    """One kind of condition: it hides frames, spoils features, or spoils signals."""

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
    sound: SpoilSound | None = None
    pictures: SpoilPictures | None = None
    words: SpoilWords | None = None
    needs_file: bool = False
    """Whether it is of a given sound, which is named after ``@``."""

    @property
    def signal(self) -> str | None:
        """What of media it spoils, before features are extracted again; None of what is done to features."""
        found = {"audio": self.sound, "vision": self.pictures, "text": self.words}
        return next((signal for signal, spoil in found.items() if spoil is not None), None)


AMPLITUDES = (0.1, 0.178, 0.316, 0.562, 1.0, 1.778)
AMPLITUDE = "amplitude as a share of the voice's: 0.1 is a signal-to-noise ratio of 20 dB, 1 of 0 dB, 1.778 of -5 dB"


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
    "noise": Kind("pink noise", AMPLITUDE, AMPLITUDES, 100.0, sound=signals.pink_noise, needs_one=True),
    "babble": Kind(
        "three other voices of the corpus at once", AMPLITUDE, AMPLITUDES, 100.0, sound=signals.babble, needs_one=True
    ),
    "background": Kind(
        "a given sound, as background:audio@dog.wav",
        AMPLITUDE,
        AMPLITUDES,
        100.0,
        sound=signals.background,
        needs_one=True,
        needs_file=True,
    ),
    "reverberation": Kind(
        "a drawn room",
        "seconds in which its answer falls by 60 dB",
        (0.2, 0.4, 0.8, 1.6),
        10.0,
        sound=signals.reverberation,
        needs_one=True,
    ),
    "room": Kind(
        "a given impulse response, as room:audio@hall.wav",
        "share of what is heard",
        (0.25, 0.5, 1.0),
        1.0,
        sound=signals.room,
        needs_one=True,
        needs_file=True,
        is_drawn=False,
    ),
    "clipping": Kind(
        "the largest samples are cut off",
        "share of the samples",
        (0.01, 0.05, 0.1, 0.3),
        0.9,
        sound=signals.clipping,
        needs_one=True,
        is_drawn=False,
    ),
    "narrow_band": Kind(
        "the upper end of the band is lost",
        "octaves below 8 kHz",
        (1.0, 2.0, 3.0),
        5.0,
        sound=signals.narrow_band,
        needs_one=True,
        is_drawn=False,
    ),
    "codec": Kind(
        "sent through the codec Opus",
        "24 kilobits a second divided by so much",
        (1.0, 2.0, 4.0),
        4.0,
        sound=signals.codec,
        needs_one=True,
        is_drawn=False,
    ),
    "blur": Kind(
        "pictures are out of focus",
        "standard deviation in per cent of the shorter side",
        (1.0, 2.0, 4.0, 6.0),
        50.0,
        pictures=signals.blurred,
        needs_one=True,
        is_drawn=False,
    ),
    "darkness": Kind(
        "pictures are dark",
        "share of the light that is gone",
        (0.5, 0.8, 0.9, 0.95),
        1.0,
        pictures=signals.dark,
        needs_one=True,
    ),
    "occlusion": Kind(
        "a part of each picture is hidden",
        "share of the area",
        (0.1, 0.25, 0.5),
        1.0,
        pictures=signals.occluded,
        needs_one=True,
    ),
    "low_resolution": Kind(
        "pictures are coarse",
        "times that sides are halved",
        (1.0, 2.0, 3.0),
        10.0,
        pictures=signals.low_resolution,
        needs_one=True,
        is_drawn=False,
    ),
    "freeze": Kind(
        "the picture stands still",
        "share of the seconds",
        (0.1, 0.3, 0.5, 0.7, 0.9),
        1.0,
        pictures=signals.frozen,
        needs_one=True,
    ),
    "word_errors": Kind(
        "words are wrong, missing or too many",
        "share of the words",
        (0.1, 0.2, 0.3, 0.5),
        1.0,
        words=signals.word_errors,
        needs_one=True,
    ),
    "truncation": Kind(
        "the end of the words is lost, or all of them",
        "share of the words",
        (0.25, 0.5, 0.75, 1.0),
        1.0,
        words=signals.truncated,
        needs_one=True,
        is_drawn=False,
    ),
}
"""The first five are of features, which any corpus has, the others of media, whose features are extracted again."""


@dataclass(frozen=True)
class Condition:
    """What is done: its kind, to one modality or to all, at which severities from low to high, 0 not among them."""

    kind: str
    modality: str | None = None
    severities: tuple[float, ...] = ()
    file: Path | None = None
    """The sound that is given, where the kind needs one."""

    def __str__(self) -> str:
        name = self.kind if self.modality is None else f"{self.kind}:{self.modality}"
        return name if self.file is None else f"{name}@{self.file.name}"

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
    """Read ``KIND``, ``KIND:MODALITY`` or ``KIND:MODALITY@FILE``, perhaps with severities: ``noise:audio=0.1,1``.

    Raises:
        ConfigError: If there is no such condition, or a severity is outside of its range.
    """
    kind, modality, file, values = split_condition(text)
    name = f"{kind}:{modality}" if modality else kind
    if kind not in KINDS:
        raise ConfigError(unknown_name("condition", kind, KINDS))
    about = KINDS[kind]
    if about.needs_one and not modality:
        raise ConfigError(
            f"condition {kind} is of one modality; write which one, as in {kind}:{about.signal or 'audio'}"
        )
    if about.needs_file != bool(file):
        told = "needs a sound" if about.needs_file else "takes no file"
        raise ConfigError(f"condition {kind} {told}; write {kind}:{modality}{'@FILE' if about.needs_file else ''}")
    if about.of_several and modality:
        raise ConfigError(f"condition {kind} is of all modalities at once; write {kind}, without :{modality}")
    try:
        given = tuple(float(value) for value in values.split(",")) if values else about.grid
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
    return Condition(kind, modality or None, severities, Path(file).absolute() if file else None)


def with_hidden(corpus: Corpus, ids: Sequence[str], hidden: Frames) -> Corpus:
    """Give the utterances of a corpus alone, with frames hidden: rows of NaN, which are not observed."""
    return rebuilt(
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
        raise ConfigError(f"condition {condition} spoils no features; it needs a mask, or media")
    return rebuilt(
        corpus, ids, condition.of.spoil(corpus, ids, condition.modalities(corpus), severity, condition.seed(draw))
    )


def _hide(of: FeatureSequence, mask: np.ndarray) -> FeatureSequence:
    return FeatureSequence(np.where(mask[:, None], np.float32(np.nan), of.values), of.intervals)


def rebuilt(corpus: Corpus, ids: Sequence[str], changed: Mapping[str, Mapping[str, FeatureSequence]]) -> Corpus:
    """Give the utterances of a corpus alone, some of their sequences replaced."""
    wanted = set(ids)
    sequences = {}
    for name, sequence in corpus.sequences.items():
        new = changed.get(name, {})
        found = {one: new.get(one, sequence[one]) for one in sequence.ids if one in wanted}
        sequences[name] = ComputationalSequence.from_sequences(found, sequence.metadata, size=sequence.size)
    utterances = tuple(utterance for utterance in corpus.utterances if utterance.id in wanted)
    return Corpus(corpus.name, corpus.task, corpus.licence, corpus.label_set, utterances, sequences)
