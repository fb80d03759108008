"""What the JSON files of a run hold, as far as its page shows it; other keys are left alone."""

from pydantic import BaseModel, Field

from emotiwave.types import LabelSet


class SplitSize(BaseModel):
    """How much one split holds."""

    utterances: int
    groups: int


class ModalitySize(BaseModel):
    """How much of one modality a corpus holds."""

    features: int
    utterances: int
    frames: int


class Data(BaseModel):
    """The corpus that a run trained on."""

    name: str
    task: str
    licence: str
    digest: str
    label_set: LabelSet
    splits: dict[str, SplitSize]
    modalities: dict[str, ModalitySize]
    counts: dict[str, int | float | str] = {}
    """What reading the corpus met and did, by the words to show."""


class Training(BaseModel):
    """How training went."""

    n_epochs: int
    best_epoch: int
    best_score: float | None = None
    n_parameters: int
    n_non_finite: dict[str, int] = {}


class ReliabilityBin(BaseModel):
    """Answers that are about as sure: how many, how sure on average, how many of them are right."""

    n: int
    confidence: float
    accuracy: float


class ProbabilityQuality(BaseModel):
    """How true probabilities are."""

    ece: float
    brier: float
    aurc: float
    bins: list[ReliabilityBin] = Field(min_length=1)


class LabelSetCoverage(BaseModel):
    """How often sets of labels hold the truth, with the interval of that, and how large they are."""

    coverage: float
    low: float
    high: float
    mean_size: float


class Abstention(BaseModel):
    """Which share is answered where "not sure" may be said, and which share of that is wrong."""

    coverage: float
    risk: float | None


class ConfigurationConfidence(BaseModel):
    """How sure a run may be in one configuration, before and after its temperature."""

    temperature: float
    before: ProbabilityQuality
    after: ProbabilityQuality
    risk_coverage: list[tuple[float, float]]
    label_sets: LabelSetCoverage | None = None
    abstention: Abstention | None = None


class SplitFacts(BaseModel):
    """A split that something was fitted or measured on."""

    split: str
    n: int
    groups: int


class Confidence(BaseModel):
    """The rows of ``confidence.json``."""

    fitted_on: SplitFacts
    scored_on: SplitFacts
    coverage: float | None
    abstain_above: float | None
    configurations: dict[str, ConfigurationConfidence] = Field(min_length=1)


class Provenance(BaseModel):
    """By what scores were made: hashes of data, weights, recipe and code; what chose the weights."""

    data: str
    weights: str
    recipe: str
    code: str
    seed: int
    selection: dict[str, str | int | float | None] | None


class Environment(BaseModel):
    """What ``environment.json`` records; ``training`` is there once training has finished.

    ``cautions`` say what is questionable about the run.
    """

    corpus: Data
    seed: int
    python: str
    platform: str
    threads: int
    packages: dict[str, str]
    training: Training | None = None
    cautions: list[str] = []
