"""The nouns of Emotiwave: utterances, label sets, corpora, configurations, scores, predictions.

Frozen dataclasses over plain Python and numpy; nothing here imports torch.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import DatasetError, unknown_name
from emotiwave.probabilities import sigmoid, softmax
from emotiwave.sequences import ComputationalSequence, first_duplicate

LabelKind = Literal["categorical", "multilabel", "distribution", "continuous"]
Label = str | tuple[str, ...] | tuple[float, ...]

EXCLUSIVE_KINDS: frozenset[LabelKind] = frozenset({"categorical", "distribution"})
"""Kinds of labels of which one class holds, so that probabilities sum to 1 and the largest decides."""
SHARE_TOLERANCE = 1e-6
"""How far shares of raters may be from summing to 1, once they are float32."""

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

    ``label`` is one class name (categorical), a tuple of class names, perhaps empty (multilabel), a share per class
    (distribution), or a value per label (continuous). ``ratings`` are the corpus's own continuous ratings by name,
    whatever the task; MOSI: ``sentiment`` from -3 to 3. ``about`` are further facts by name, such as the sex of the
    speaker, by which scores can be told apart; no model sees them, and they are in no content hash.
    """

    id: str
    split: str
    label: Label
    dialogue: str | None = None
    speaker: str | None = None
    language: str | None = None
    transcript: str | None = None
    segment: Segment | None = None
    ratings: Mapping[str, float] | None = field(default=None, hash=False)
    about: Mapping[str, str] | None = field(default=None, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name but ``about``, for JSON and tables (`dataclasses.asdict` takes ten times as long)."""
        values = vars(self) | {"segment": vars(self.segment).copy() if self.segment else None}
        del values["about"]
        return values

    @property
    def group(self) -> str:
        """What a bootstrap resamples and a split must keep together: the dialogue, else the speaker, else itself."""
        return self.dialogue or self.speaker or self.id


@dataclass(frozen=True)
class LabelSet:
    """What a task asks: which one class holds (categorical), which ones hold (multilabel), or how much (continuous).

    A distribution also asks which one class holds, but knows the share of the raters that chose each: targets are soft,
    and decisions are scored against the class with the largest share, the first of those that are tied.

    ``ranges`` holds the lowest and the highest value of each continuous label, and is None for classes. A range goes
    from zero (how much of something there is) or crosses zero (between two opposites), so that every continuous label
    can also be read as a decision.
    """

    kind: LabelKind
    names: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        if len(self.names) < (2 if self.is_exclusive else 1):
            raise DatasetError(f"a {self.kind} label set needs more classes than {list(self.names)}")
        if len(set(self.names)) != len(self.names):
            raise DatasetError(f"class names must differ; got {list(self.names)}")
        if (self.kind == "continuous") != (self.ranges is not None):
            needs = "needs ranges, one per label" if self.kind == "continuous" else "has no ranges"
            raise DatasetError(f"a {self.kind} label set {needs}; got {self.ranges}")
        if self.ranges is not None and len(self.ranges) != len(self.names):
            raise DatasetError(f"{len(self.names)} labels need as many ranges; got {len(self.ranges)}")
        for name, (low, high) in zip(self.names, self.ranges or (), strict=False):  # classes have no ranges
            if not (low <= 0 < high and math.isfinite(low) and math.isfinite(high)):
                raise DatasetError(
                    f"label {name!r} ranges from {low} to {high}; expected a finite range from 0 or across 0, so shift "
                    "the values (by the middle of a scale between opposites, by the low end of an intensity)"
                )

    @property
    def is_exclusive(self) -> bool:
        """Whether one class holds, and only one: categorical labels and distributions."""
        return self.kind in EXCLUSIVE_KINDS

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest values ``(2, n_labels)`` of continuous labels.

        Raises:
            DatasetError: If the labels are classes, which have none.
        """
        if self.ranges is None:
            raise DatasetError(f"{self.kind} labels have no range of values")
        return np.array(self.ranges, dtype=np.float64).T

    def encode(self, label: Label) -> NDArray[np.float32]:
        """Turn a label into a target of shape ``(n_classes,)``: one-hot, 0/1 per class, or shares or values as given.

        Raises:
            DatasetError: If the label is outside the set.
        """
        if self.ranges is not None:
            return self._encode_values(label)
        if self.kind == "distribution":
            return self._encode_shares(label)
        if (self.kind == "categorical") != isinstance(label, str):
            raise DatasetError(f"label {label!r} does not fit a {self.kind} label set")
        chosen = (label,) if isinstance(label, str) else label
        target = np.zeros(len(self.names), dtype=np.float32)
        for name in chosen:
            if name not in self.names:
                raise DatasetError(unknown_name("label", str(name), self.names))
            target[self.names.index(str(name))] = 1.0
        return target

    def holds(self, targets: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which classes hold in targets ``(n, n_classes)``, or which values are above 0.

        Of a distribution that is the class with the largest share; of classes that share it, the first.

        >>> LabelSet("distribution", ("anger", "fear", "neutral")).holds(np.float32([[0.2, 0.4, 0.4]]))
        array([[False,  True, False]])
        """
        if self.kind == "distribution":
            return np.arange(targets.shape[1]) == targets.argmax(axis=1)[:, None]
        return targets > 0

    def _check_numbers(self, label: Label) -> None:
        if isinstance(label, str) or any(isinstance(value, str) for value in label):
            raise DatasetError(f"label {label!r} does not fit a {self.kind} label set")
        if len(label) != len(self.names):
            raise DatasetError(f"label {label!r} has {len(label)} values; expected {len(self.names)}, one per label")

    def _encode_shares(self, label: Label) -> NDArray[np.float32]:
        self._check_numbers(label)
        shares = np.array(label, dtype=np.float64)
        for name, share in zip(self.names, shares, strict=True):
            if not 0 <= share <= 1 + SHARE_TOLERANCE:  # also true of NaN
                raise DatasetError(f"the share of {name} is {share:g}; expected 0 to 1")
        target = shares.astype(np.float32)
        total = target.sum(dtype=np.float64)
        if abs(total - 1) > SHARE_TOLERANCE:
            raise DatasetError(
                f"the shares of {', '.join(self.names)} sum to {total:.7g}; expected 1, so divide each by their sum "
                "and keep all digits"
            )
        return target

    def _encode_values(self, label: Label) -> NDArray[np.float32]:
        self._check_numbers(label)
        for name, value, low, high in zip(self.names, label, *self.bounds, strict=True):
            if not np.float32(low) <= np.float32(value) <= np.float32(high):  # as targets are kept; also false of NaN
                raise DatasetError(f"{name} is {value}; expected a value from {low:g} to {high:g}")
        return np.array(label, dtype=np.float32)


def read_label_set(described: Mapping[str, Any]) -> LabelSet:
    """Make a label set of what JSON holds of one: ``kind``, ``names`` and, of continuous labels, ``ranges``.

    Raises:
        KeyError: If something is missing.
        DatasetError: If it is no label set.
    """
    ranges = described.get("ranges")
    if ranges is not None:
        ranges = tuple((float(low), float(high)) for low, high in ranges)
    return LabelSet(described["kind"], tuple(described["names"]), ranges)


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

    ``posteriors`` holds the Bayes-optimal class probabilities ``(utterances, n_classes)`` per configuration, or the
    posterior means of continuous labels, for made corpora that know them.
    """

    name: str
    task: str
    licence: str
    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    sequences: Mapping[str, ComputationalSequence]
    posteriors: Mapping[str, NDArray[np.float64]] | None = None
    counts: Mapping[str, int | float | str] = field(default_factory=dict)

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

    def without_targets(self, split: str) -> "Corpus":
        """Give the same corpus without the truth of one split: what learns from it, or is chosen by it, fails.

        Labels there are None, targets and what Bayes' rule says are NaN.
        """
        is_in = np.array([utterance.split == split for utterance in self.utterances])[:, None]
        hidden = copy(self)  # a new one would refuse utterances without a label
        known = self.posteriors
        vars(hidden).update(
            targets=np.where(is_in, np.float32(np.nan), self.targets),
            utterances=tuple(replace(u, label=None) if u.split == split else u for u in self.utterances),
            digest=self.digest,  # it is of the same data, of which less is told
            posteriors=known and {name: np.where(is_in, np.nan, of) for name, of in known.items()},
        )
        return hidden

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
        """Targets ``(utterances, n_classes)``: one-hot, 0/1 per class, shares, or values."""
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
        labels = self.label_set
        described = [labels.kind, labels.names, labels.ranges, [u.to_dict() for u in self.utterances]]
        sha = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name in sorted(self.sequences):
            sha.update(f"{name}:{self.sequences[name].digest}".encode())
        return sha.hexdigest()


@dataclass(frozen=True)
class Score:
    """One evaluation row.

    ``condition`` is ``configuration`` (one set of available modalities), ``mean``, ``mean_incomplete`` or
    ``retention`` (incomplete mean over complete); or what was done to the input, such as ``missing``, at a
    ``severity``, the area under such a curve over its range (``area:missing``) and that area over the score of
    unspoiled input (``relative:missing``). ``label`` names a class, or is None for an average over classes.
    ``value`` lies in 0-1 (retention and such shares may exceed 1), but ``pearson`` in -1 to 1; and where lower is
    better, ``mae`` is in units of the label and ``nll`` in nats. ``seed`` is None for baselines and for means over
    seeds, and only those means have an ``sd``.
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
    severity: float | None = None


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
        """Class probabilities ``(utterances, n_classes)``: softmax (one class holds) or sigmoid per class.

        Raises:
            DatasetError: If the labels are continuous.
        """
        logits = self.logits[configuration].astype(np.float64)
        if self.label_set.kind == "continuous":
            raise DatasetError("continuous labels have values, not probabilities; ask for `answers`")
        if self.label_set.kind == "multilabel":
            return sigmoid(logits)
        return softmax(logits, axis=1)

    def answers(self, configuration: Configuration) -> NDArray[np.float64]:
        """What is scored ``(utterances, n_classes)``: probabilities, or continuous values clipped to their range."""
        if self.label_set.kind != "continuous":
            return self.probabilities(configuration)
        return np.clip(self.logits[configuration].astype(np.float64), *self.label_set.bounds)
