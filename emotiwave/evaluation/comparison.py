"""What a comparison of methods on the same utterances finds: scores, paired differences, verdicts, costs."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["higher", "lower", "tie"]
MEAN, MEAN_INCOMPLETE, RETENTION = "mean", "mean_incomplete", "retention"
"""Places of a table beside the single configurations, which go by their own names."""


@dataclass(frozen=True)
class MethodScore:
    """What a method reaches in one place of the table: a configuration such as ``text+audio``, or a summary.

    ``value`` is the mean over seeds, each over all test utterances; where the test set is divided into folds, those of
    all folds together. ``sd`` is the standard deviation (n - 1) over seeds, or over folds where no method has several
    seeds, and None of a single one. The interval resamples groups.
    """

    method: str
    place: str
    value: float
    sd: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Difference:
    """A method less the anchor in one place, on the same resamples of groups.

    ``p`` is that of the bootstrap, two-sided; ``p_adjusted`` is corrected by Holm (1979) over the family: all methods
    for the mean; all methods and single configurations; all methods and the other summaries. A bound, which is no
    method, is in no family. ``verdict`` is a tie unless ``p_adjusted`` is below 1 less the confidence.
    """

    method: str
    anchor: str
    place: str
    value: float
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_adjusted: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Cost:
    """What a method takes: numbers learned; milliseconds of a training step; most resident memory of its process.

    ``n_parameters`` counts the numbers of all its models, where it has one per configuration. ``step_ms`` is the median
    epoch, with the scoring of its validation, over its steps; None of what is not trained by steps. ``seconds`` is the
    training of one seed or fold, without the candidates that were tried and without the answers on test.
    """

    n_parameters: int | None
    step_ms: float | None
    seconds: float | None
    peak_mb: float | None
    mode: str
    """How a step is trained: which configurations it fuses, on how many utterances."""


@dataclass(frozen=True)
class Method:
    """One row: what it is called, what it cost, and why it has no scores if something failed."""

    name: str
    cost: Cost | None
    failure: str | None = None
    chosen: str | None = None
    """The settings that validation chose, where there was a choice."""


@dataclass(frozen=True)
class CorpusComparison:
    """All methods on one corpus."""

    name: str
    corpus: str
    task: str
    split: str
    metric: str
    n: int
    n_groups: int
    digests: tuple[str, ...]
    """Content hash of the data, one per fold."""
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    modalities: tuple[str, ...]
    places: tuple[str, ...]
    """In the order to show: configurations from small to large, then the summaries."""
    anchor: str
    procedure: str
    """How settings were fixed."""
    notes: tuple[str, ...]
    confidence: float
    resamples: int
    constant: float | None
    """What the best constant answer reaches, chosen on the scored data; the same in every configuration."""
    methods: tuple[Method, ...]
    scores: tuple[MethodScore, ...]
    differences: tuple[Difference, ...]
