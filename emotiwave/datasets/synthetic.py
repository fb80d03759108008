"""A made corpus whose truth is known: which modality carries which class, in which frames, under how much noise.

Every class ``k`` that modality ``m`` carries has a unit direction ``d``, orthogonal to the others. Where the class
holds, the frames of one span of fixed length get ``d`` added; all frames get Gaussian noise of standard deviation
``noise``; then features are scaled and shifted to look like raw measurements. Spans start uniformly at random. So the
evidence for a class in a modality is a sum over possible starts, modalities are independent given the classes, and
Bayes' rule gives the best possible answer for every configuration in closed form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import expit, softmax

from emotiwave.datasets.span_evidence import span_evidence
from emotiwave.datasets.splits import check_leakage
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.settings import Settings
from emotiwave.types import Configuration, Corpus, LabelSet, Utterance, all_configurations

PREVALENCE = {"happiness": 0.40, "sadness": 0.30, "anger": 0.25, "surprise": 0.20, "disgust": 0.20, "fear": 0.15}
UTTERANCES_PER_DIALOGUE = 10


class SyntheticModality(Settings):
    """How one modality is made: frames per second, features per frame, and what it carries."""

    rate: float = Field(gt=0)
    """Frames per second."""
    features: int = Field(gt=0)
    noise: float = Field(gt=0)
    """Standard deviation of the noise per feature; the planted pattern has length 1."""
    carries: tuple[str, ...]
    """The classes this modality shows; the others leave no trace in it."""
    span: float = Field(gt=0)
    """Seconds that a planted pattern lasts."""


MODALITIES = {
    "text": SyntheticModality(
        rate=3.0, features=24, noise=0.60, carries=("happiness", "sadness", "anger", "disgust"), span=1.0
    ),
    "audio": SyntheticModality(
        rate=20.0, features=16, noise=1.20, carries=("sadness", "anger", "surprise", "fear"), span=0.8
    ),
    "vision": SyntheticModality(
        rate=10.0, features=32, noise=1.00, carries=("happiness", "surprise", "disgust", "fear"), span=1.0
    ),
}


class SyntheticSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "synthetic"``."""

    task: Literal["categorical", "multilabel"] = "categorical"
    seed: int = Field(default=0, ge=0)
    n_train: int = Field(default=600, gt=0)
    n_validation: int = Field(default=200, ge=0)
    n_test: int = Field(default=400, ge=0)
    missing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """How often an utterance naturally lacks a modality; one modality is always kept."""
    shortest: float = Field(default=2.0, gt=0)
    """Seconds of the shortest utterance."""
    longest: float = Field(default=5.0, gt=0)
    """Seconds of the longest utterance."""
    modalities: dict[str, SyntheticModality] = MODALITIES

    @model_validator(mode="after")
    def _is_possible(self) -> "SyntheticSettings":
        if self.longest < self.shortest:
            raise ValueError(f"longest ({self.longest} s) is below shortest ({self.shortest} s)")
        if not self.modalities:
            raise ValueError("modalities must name at least one")
        for name, made in self.modalities.items():
            if len(set(made.carries)) < len(made.carries):
                raise ValueError(f"modality {name} carries a class twice: {', '.join(made.carries)}")
            strangers = [label for label in made.carries if label not in PREVALENCE]
            if strangers:
                raise ValueError(f"modality {name} carries {strangers[0]!r}; the classes are {', '.join(PREVALENCE)}")
            if len(made.carries) > made.features:
                raise ValueError(
                    f"modality {name} needs at least {len(made.carries)} features, one per class it carries"
                )
            if not 1 <= _span_frames(made) <= int(self.shortest * made.rate):
                raise ValueError(f"modality {name}: a span of {made.span} s does not fit into {self.shortest} s")
        return self


@dataclass(frozen=True, eq=False)
class PlantedModality:
    """The truth about one modality: ``directions (carried, features)``, and ``scale``/``offset (features,)``."""

    made: SyntheticModality
    directions: NDArray[np.float64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    spans: Mapping[str, Mapping[str, tuple[float, float]]]
    """Utterance id -> class -> start and end in seconds of the planted pattern."""


def load(settings: SyntheticSettings) -> Corpus:
    """Make the corpus, with the Bayes-optimal posterior of every configuration."""
    return generate(settings)[0]


def generate(settings: SyntheticSettings) -> tuple[Corpus, Mapping[str, PlantedModality]]:
    """Make the corpus and tell what was planted in it."""
    rng = np.random.default_rng(settings.seed)
    classes = tuple(PREVALENCE)
    utterances = _draw_utterances(settings, rng)
    seconds = rng.uniform(settings.shortest, settings.longest, size=len(utterances))
    observed = _draw_observed(len(utterances), len(settings.modalities), settings.missing, rng)
    sequences: dict[str, ComputationalSequence] = {}
    planted: dict[str, PlantedModality] = {}
    evidence: dict[str, NDArray[np.float64]] = {}
    for column, (name, made) in enumerate(settings.modalities.items()):
        sequences[name], planted[name] = _plant(made, utterances, seconds, observed[:, column], rng)
        evidence[name] = log_likelihood_ratios(sequences[name], planted[name], [u.id for u in utterances])
    corpus = Corpus(
        name="synthetic",
        task=settings.task,
        licence="made by Emotiwave; public domain",
        label_set=LabelSet(settings.task, classes),
        utterances=utterances,
        sequences=sequences,
        posteriors={str(c): posterior(evidence, c, task=settings.task) for c in all_configurations(sequences)},
    )
    check_leakage(utterances, corpus="synthetic")
    return corpus, planted


def class_prior(task: Literal["categorical", "multilabel"]) -> NDArray[np.float64]:
    """Probability of each class before anything is seen: the prevalences, normalised if only one class holds."""
    prevalence = np.array(list(PREVALENCE.values()))
    return prevalence if task == "multilabel" else prevalence / prevalence.sum()


def posterior(
    evidence: Mapping[str, NDArray[np.float64]],
    configuration: Configuration,
    *,
    task: Literal["categorical", "multilabel"],
) -> NDArray[np.float64]:
    """Apply Bayes' rule to the log-likelihood ratios ``(utterances, n_classes)`` of the available modalities."""
    total = sum(evidence[name] for name in configuration.modalities)
    prior = class_prior(task)
    if task == "multilabel":
        return expit(np.log(prior / (1 - prior)) + total)
    return softmax(np.log(prior) + total, axis=1)


def log_likelihood_ratios(
    sequence: ComputationalSequence, planted: PlantedModality, ids: list[str]
) -> NDArray[np.float64]:
    """How much likelier the frames are with each class than without it: ``(utterances, n_classes)``, natural log.

    Zero where the modality is missing or does not carry the class.
    """
    classes = list(PREVALENCE)
    columns = [classes.index(name) for name in planted.made.carries]
    n_span = _span_frames(planted.made)
    ratios = np.zeros((len(ids), len(classes)))
    for row, utterance_id in enumerate(ids):
        if utterance_id not in sequence:
            continue
        frames = (sequence[utterance_id].values - planted.offset) / planted.scale
        ratios[row, columns] = span_evidence(frames @ planted.directions.T, noise=planted.made.noise, n_span=n_span)
    return ratios


def _span_frames(made: SyntheticModality) -> int:
    return round(made.span * made.rate)


def _draw_utterances(settings: SyntheticSettings, rng: np.random.Generator) -> tuple[Utterance, ...]:
    classes, prior = list(PREVALENCE), class_prior(settings.task)
    utterances = []
    sizes = {"train": settings.n_train, "validation": settings.n_validation, "test": settings.n_test}
    for split, size in sizes.items():
        for index in range(size):
            if settings.task == "multilabel":
                label = tuple(name for name, p in zip(classes, prior, strict=True) if rng.random() < p)
            else:
                label = str(rng.choice(classes, p=prior))
            dialogue = f"{split}-{index // UTTERANCES_PER_DIALOGUE:03d}"
            utterances.append(
                Utterance(
                    id=f"{dialogue}_{index % UTTERANCES_PER_DIALOGUE}",
                    split=split,
                    label=label,
                    dialogue=dialogue,
                    speaker=dialogue,
                )
            )
    return tuple(utterances)


def _draw_observed(n: int, n_modalities: int, missing: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    observed = rng.random((n, n_modalities)) >= missing
    emptied = ~observed.any(axis=1)
    observed[emptied, rng.integers(n_modalities, size=int(emptied.sum()))] = True
    return observed


def _plant(
    made: SyntheticModality,
    utterances: tuple[Utterance, ...],
    seconds: NDArray[np.float64],
    observed: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[ComputationalSequence, PlantedModality]:
    basis, _ = np.linalg.qr(rng.standard_normal((made.features, made.features)))
    directions = basis[:, : len(made.carries)].T
    scale = np.exp(rng.standard_normal(made.features))
    offset = 3.0 * rng.standard_normal(made.features)
    n_span = _span_frames(made)
    spans: dict[str, dict[str, tuple[float, float]]] = {}
    sequences: dict[str, FeatureSequence] = {}
    for utterance, duration, is_observed in zip(utterances, seconds, observed, strict=True):
        if not is_observed:
            continue
        n_frames = int(duration * made.rate)
        frames = made.noise * rng.standard_normal((n_frames, made.features))
        spans[utterance.id] = {}
        for name, direction in zip(made.carries, directions, strict=True):
            if name == utterance.label or (isinstance(utterance.label, tuple) and name in utterance.label):
                start = int(rng.integers(n_frames - n_span + 1))
                frames[start : start + n_span] += direction
                spans[utterance.id][name] = (start / made.rate, (start + n_span) / made.rate)
        edges = np.arange(n_frames + 1) / made.rate
        sequences[utterance.id] = FeatureSequence(
            (frames * scale + offset).astype(np.float32), np.stack([edges[:-1], edges[1:]], axis=1)
        )
    metadata = {"rate": made.rate, "extractor": "synthetic"}
    sequence = ComputationalSequence.from_sequences(sequences, metadata, size=made.features)
    return sequence, PlantedModality(made, directions, scale, offset, spans)
