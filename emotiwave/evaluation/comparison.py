"""What a comparison of methods on the same utterances finds: scores, paired differences, verdicts, costs."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["higher", "lower", "tie"]
MEAN, MEAN_INCOMPLETE, RETENTION = "mean", "mean_incomplete", "retention"
"""Places of a table beside the single configurations, which go by their own names."""
AREA, RELATIVE, EFFECTIVE = "area", "relative", "effective"
"""What a curve comes to; its places go by ``area:missing``, its points by ``missing=0.3``."""


@dataclass(frozen=True)
class Curve:
    """A condition under which all methods answered the same utterances, at growing severities, with the same masks.

    Its points are places of the scores and differences, severity 0 being the complete configuration. So is what the
    curve comes to: the ``area`` under it over its range, from severity 0 on, which is a mean score; the share of the
    complete score that that is, ``relative`` robustness; and ``effective`` robustness, the area beyond what the other
    methods would keep of such a complete score, taking the mean of their shares (after Taori et al., NeurIPS 2020, with
    a line through the origin; it is told, and compared with no anchor).
    """

    condition: str
    severities: tuple[float, ...]
    """From low to high, 0 not among them."""
    realised: tuple[float, ...] | None
    """What share was hidden at each, mean over folds and draws; None of what hides nothing."""
    draws: int
    masks: str | None
    """Hash of all that was hidden."""

    def place(self, severity: float) -> str:
        """What a point is called."""
        return f"{self.condition}={severity:g}"

    @property
    def places(self) -> tuple[str, ...]:
        """What its points are called."""
        return tuple(self.place(severity) for severity in self.severities)


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
    for the mean; all methods and single configurations; all methods and the other summaries; all methods and points of
    a curve; all methods and what a curve comes to. A bound, which is no method, is in no family. ``verdict`` is a tie
    unless ``p_adjusted`` is below 1 less the confidence.
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
    curves: tuple[Curve, ...] = ()
