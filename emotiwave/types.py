"""The nouns of Emotiwave: utterances, label sets, corpora, configurations, scores, predictions.

Frozen dataclasses over plain Python and numpy; nothing here imports torch.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from emotiwave.errors import DatasetError, unknown_name
from emotiwave.sequences import ComputationalSequence, first_duplicate

LabelKind = Literal["categorical", "multilabel"]
Label = str | tuple[str, ...]

CONSTANT = "constant"
"""The model name of score rows for the best answer that looks at nothing."""
BAYES_OPTIMAL = "bayes_optimal"
"""The model name of score rows for what Bayes' rule says, on made corpora."""


@dataclass(frozen=True)
class Segment:
    """A stretch of one media file; ``start`` and ``end`` in seconds."""

    file: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """One labelled stretch of speech.

    ``label`` is one class name (categorical) or a tuple of class names, perhaps empty (multilabel).
    ``intensity`` is the corpus's own continuous rating where it has one; MOSI: sentiment from -3 to 3.
    """

    id: str
    split: str
    label: Label
    dialogue: str | None = None
    speaker: str | None = None
    language: str | None = None
    transcript: str | None = None
    segment: Segment | None = None
    intensity: float | None = None

    @property
    def group(self) -> str:
        """What a bootstrap resamples and a split must keep together: the dialogue, else the speaker, else itself."""
        return self.dialogue or self.speaker or self.id


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task: exactly one holds (categorical) or any number hold (multilabel)."""

    kind: LabelKind
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < (2 if self.kind == "categorical" else 1):
            raise DatasetError(f"a {self.kind} label set needs more classes than {list(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise DatasetError(f"class names must differ; got {list(self.names)}")

    def encode(self, label: Label) -> NDArray[np.float32]:
        """Turn a label into a target of shape ``(n_classes,)``: one-hot, or 0/1 per class.

        Raises:
            DatasetError: If the label is outside the set.
        """
        if (self.kind == "categorical") != isinstance(label, str):
            raise DatasetError(f"label {label!r} does not fit a {self.kind} label set")
        chosen = (label,) if isinstance(label, str) else label
        target = np.zeros(len(self.names), dtype=np.float32)
        for name in chosen:
            if name not in self.names:
                raise DatasetError(unknown_name("label", name, self.names))
            target[self.names.index(name)] = 1.0
        return target


@dataclass(frozen=True)
class Configuration:
    """The set of modalities available; prints as ``text+audio``."""

    modalities: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join(self.modalities)

    def __contains__(self, modality: object) -> bool:
        return modality in self.modalities


def all_configurations(modalities: Iterable[str]) -> tuple[Configuration, ...]:
    """List the 2^M - 1 non-empty subsets, smallest first.

    >>> [str(c) for c in all_configurations(["text", "audio"])]
    ['text', 'audio', 'text+audio']
    """
    names = tuple(modalities)
    return tuple(Configuration(c) for size in range(1, len(names) + 1) for c in combinations(names, size))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Utterances with labels and splits, and one computational sequence per modality.

    ``posteriors`` holds the Bayes-optimal class probabilities ``(utterances, n_classes)`` per configuration, for made
    corpora that know them.
    """

    name: str
    task: str
    licence: str
    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    sequences: Mapping[str, ComputationalSequence]
    posteriors: Mapping[str, NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        if not self.utterances:
            raise DatasetError(f"{self.name}: the corpus has no utterances")
        ids = [utterance.id for utterance in self.utterances]
        if len(set(ids)) != len(ids):
            raise DatasetError(f"{self.name}: duplicate utterance id {first_duplicate(ids)!r}; ids must be unique")
        if not self.sequences:
            raise DatasetError(f"{self.name}: the corpus has no modality")
        for utterance in self.utterances:
            if not any(sequence.n_frames(utterance.id) for sequence in self.sequences.values()):
                raise DatasetError(
                    f"{self.name}: utterance {utterance.id!r} has no frame in any modality "
                    f"({', '.join(self.sequences)}); give it features or leave it out of the corpus"
                )
        for name, sequence in self.sequences.items():
            strangers = set(sequence.ids).difference(ids)
            if strangers:
                raise DatasetError(f"{self.name}: {name} features for {min(strangers)!r}, which is no utterance")
        self.targets  # noqa: B018 - labels outside the set are refused here, not in the middle of training

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the modalities."""
        return tuple(self.sequences)

    @property
    def sizes(self) -> dict[str, int]:
        """The number of features per modality."""
        return {name: sequence.size for name, sequence in self.sequences.items()}

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """Targets ``(utterances, n_classes)``: one-hot, or 0/1 per class."""
        rows = []
        for utterance in self.utterances:
            try:
                rows.append(self.label_set.encode(utterance.label))
            except DatasetError as error:
                raise DatasetError(f"{self.name}: utterance {utterance.id!r}: {error}") from None
        return np.stack(rows)

    def indices(self, split: str) -> NDArray[np.int64]:
        """Find the rows of one split.

        Raises:
            DatasetError: If no utterance is in it.
        """
        found = np.array([i for i, u in enumerate(self.utterances) if u.split == split], dtype=np.int64)
        if not len(found):
            known = sorted({utterance.split for utterance in self.utterances})
            raise DatasetError(f"{self.name}: split {split!r} is empty; the splits are {', '.join(known)}")
        return found

    def lengths(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many frames each utterance has in its longest modality."""
        ids = [self.utterances[i].id for i in indices]
        return np.array([max(sequence.n_frames(name) for sequence in self.sequences.values()) for name in ids])

    def has_split(self, split: str) -> bool:
        """Whether any utterance is in a split."""
        return any(utterance.split == split for utterance in self.utterances)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of utterances, label set and every sequence: what a run trained on."""
        described = [self.label_set.kind, self.label_set.names, [asdict(u) for u in self.utterances]]
        sha = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name in sorted(self.sequences):
            sha.update(f"{name}:{self.sequences[name].digest}".encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class Score:
    """One evaluation row.

    ``condition`` is ``configuration`` (one set of available modalities), ``mean``, ``mean_incomplete`` or
    ``retention`` (incomplete mean over complete). ``label`` names a class, or is None for an average over classes.
    ``value`` lies in 0-1 (retention may exceed 1). ``seed`` is None for baselines and for means over seeds, and only
    those means have an ``sd``.
    """

    model: str
    dataset: str
    split: str
    condition: str
    available: tuple[str, ...] | None
    metric: str
    label: str | None
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    seed: int | None
    sd: float | None = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of each utterance of a split, in every configuration.

    ``logits`` maps a configuration to ``(utterances, n_classes)``; ``targets (utterances, n_classes)``;
    ``groups`` names the video or speaker of each utterance, which bootstraps resample.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    split: str
    label_set: LabelSet
    targets: NDArray[np.float32]
    logits: Mapping[Configuration, NDArray[np.float32]]
    n_non_finite: Mapping[str, int] = field(default_factory=dict)
    """Frames per modality that held NaN or infinity, and so were not observed."""

    def probabilities(self, configuration: Configuration) -> NDArray[np.float64]:
        """Class probabilities ``(utterances, n_classes)``: softmax (categorical) or sigmoid per class."""
        logits = self.logits[configuration].astype(np.float64)
        if self.label_set.kind == "multilabel":
            return expit(logits)
        return softmax(logits, axis=1)
