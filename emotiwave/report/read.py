"""Reads evaluated run folders; everything that the page shows is in their files."""

import csv
import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from emotiwave.errors import CheckpointError, EmotiwaveError
from emotiwave.metrics import HEADLINE, WITHOUT_RETENTION, averages, per_label_metrics
from emotiwave.metrics.counts import Counts, count
from emotiwave.report.file_formats import Confidence, Data, Environment, Provenance
from emotiwave.types import BAYES_OPTIMAL, CONSTANT, Configuration, Label, LabelSet, Score

BASELINES = (CONSTANT, BAYES_OPTIMAL)
Place = Configuration | str
"""Where a score stands: a configuration, or ``mean``, ``mean_incomplete`` or ``retention``."""

T = TypeVar("T")
_SCORE = TypeAdapter(Score)
_DAMAGE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException, EmotiwaveError)


@dataclass(frozen=True)
class EvaluationFacts:
    """How the run was scored."""

    bootstrap: int
    confidence: float
    thresholds: str


@dataclass(frozen=True)
class Epoch:
    """One line of ``history.csv``."""

    number: int
    train_loss: float
    validation_score: float | None


@dataclass(frozen=True)
class Tuned:
    """The thresholds of the complete configuration by class, and the split that they were tuned on."""

    split: str
    thresholds: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Scores:
    """The rows of ``scores.jsonl``, found by what they score."""

    model: str
    configurations: tuple[Configuration, ...]
    rows: Mapping[tuple[str, Place, str, str | None], Score]

    @property
    def complete(self) -> Configuration:
        """The configuration with every modality."""
        return max(self.configurations, key=lambda c: len(c.modalities))

    @property
    def singles(self) -> tuple[Configuration, ...]:
        """The configurations of one modality, where that is not all there is."""
        return tuple(c for c in self.configurations if len(c.modalities) == 1 and c != self.complete)

    @property
    def summaries(self) -> tuple[str, ...]:
        """The places that stand for several configurations."""
        return ("mean", "mean_incomplete", "retention") if self.singles else ("mean",)

    @property
    def headline(self) -> Score:
        """Mean macro-F1 over all configurations: the one number that models are chosen by."""
        return self.own("mean", HEADLINE)

    def own(self, place: Place, metric: str, label: str | None = None) -> Score:
        """Look up a row of the run's model."""
        return self.rows[self.model, place, metric, label]

    def find(self, model: str, place: Place, metric: str = HEADLINE) -> Score | None:
        """Find an average of a model or baseline; None where it was not scored."""
        return self.rows.get((model, place, metric, None))


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """One run folder: what was trained, how it went, and what it scored.

    ``targets`` and ``decisions (utterances, n_classes)`` are of the complete configuration, as `LabelSet.encode` makes
    them, but decisions on a distribution are one-hot; ``truth`` is what was scored against, by utterance id. ``tuned``
    holds the thresholds of that configuration by class, where they were tuned; ``under`` the rows of
    ``conditions.jsonl``; ``confidence`` those of ``confidence.json``; ``apart`` those of
    ``subgroups.jsonl``.
    """

    folder: Path
    name: str
    config: str
    evaluation: EvaluationFacts
    environment: Environment
    history: tuple[Epoch, ...]
    scores: Scores
    targets: NDArray[np.float32] = field(repr=False)
    decisions: NDArray[np.float32] = field(repr=False)
    truth: Mapping[str, Label] = field(repr=False)
    tuned: Tuned | None = None
    under: tuple[Score, ...] = ()
    confidence: Confidence | None = None
    apart: tuple[Score, ...] = ()
    provenance: Provenance | None = None

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        return self.environment.corpus.label_set

    @property
    def counts(self) -> Counts:
        """Truth against decision, as `emotiwave.metrics.counts.count` counts classes."""
        one_group = np.zeros(len(self.targets), dtype=np.int64)
        return count(self.labels.holds(self.targets), self.decisions > 0, one_group, self.labels)[0]

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept; None if training did not finish."""
        return self.environment.training.best_epoch if self.environment.training else None


def read_runs(runs: Mapping[Path, str]) -> list[EvaluatedRun]:
    """Read run folders, each with its label.

    Raises:
        CheckpointError: If a file of a run is missing or damaged; it is named.
    """
    environments = {folder: _read_environment(folder) for folder in runs}
    names = distinct_names(
        [(label, f"seed {environments[folder].seed}", folder.name, str(folder)) for folder, label in runs.items()]
    )
    return [_read_run(folder, name, environments[folder]) for folder, name in zip(runs, names, strict=True)]


def distinct_names(described: Sequence[tuple[str, ...]]) -> list[str]:
    """Name things by as many of their details as tell them apart.

    >>> distinct_names([("late", "seed 0"), ("bottleneck", "seed 0"), ("bottleneck", "seed 1")])
    ['late', 'bottleneck · seed 0', 'bottleneck · seed 1']
    """
    names = [details[0] for details in described]
    for level in range(1, min(map(len, described))):
        times = Counter(names)
        names = [
            f"{name} · {details[level]}" if times[name] > 1 else name
            for name, details in zip(names, described, strict=True)
        ]
    return names


def _read_run(folder: Path, name: str, environment: Environment) -> EvaluatedRun:
    labels = environment.corpus.label_set
    config = _read(folder / "config.toml", _parse_config)
    history = _read(folder / "history.csv", _parse_history)
    scores = _read(folder / "scores.jsonl", lambda path: _parse_scores(path, environment.corpus), by="evaluate")
    decided = _read(folder / "predictions.parquet", lambda path: _parse_decisions(path, labels, scores), by="evaluate")
    tuned = None
    if config[1].thresholds != "fixed":
        tuned = _read(folder / "thresholds.json", lambda path: _parse_thresholds(path, scores), by="evaluate")
    names = ("conditions.jsonl", "subgroups.jsonl")
    under, apart = (
        _read(folder / name, _parse_rows, by="evaluate") if (folder / name).exists() else () for name in names
    )
    confidence = None
    if (folder / "confidence.json").exists():
        confidence = _read(folder / "confidence.json", _parse_confidence, by="evaluate --calibrate")
    provenance = None
    if (folder / "evaluation.json").exists():  # earlier versions wrote none
        provenance = _read(folder / "evaluation.json", _parse_provenance, by="evaluate")
    return EvaluatedRun(
        folder, name, *config, environment, history, scores, *decided, tuned, under, confidence, apart, provenance
    )


def _read(path: Path, parse: Callable[[Path], T], *, by: str = "train") -> T:
    """Parse a file that a command wrote; say how to make it again where that fails."""
    remedy = "train the run again"
    if by.startswith("evaluate"):
        command, *flags = by.split()
        remedy = f"run `{' '.join(['emotiwave', command, str(path.parent), *flags])}` first"
    try:
        return parse(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; {remedy}") from None
    except _DAMAGE as error:
        raise CheckpointError(f"{path} cannot be read ({_first_line(error)}); {remedy}") from None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_environment(folder: Path) -> Environment:
    return _read(folder / "environment.json", lambda path: Environment.model_validate_json(path.read_bytes()))


def _parse_config(path: Path) -> tuple[str, EvaluationFacts]:
    text = path.read_text(encoding="utf-8")
    evaluation: dict[str, Any] = tomllib.loads(text)["evaluation"]
    thresholds = evaluation.get("thresholds", "fixed")  # the only rule there was before it had a key
    return text, EvaluationFacts(evaluation["bootstrap"], evaluation["confidence"], thresholds)


def _parse_history(path: Path) -> tuple[Epoch, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError("it holds no epoch")
    return tuple(
        Epoch(
            number=int(row["epoch"]),
            train_loss=float(row["train_loss"]),
            validation_score=float(row["validation_score"]) if row["validation_score"] else None,
        )
        for row in rows
    )


def _parse_scores(path: Path, data: Data) -> Scores:
    rows = [_SCORE.validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found: dict[tuple[str, Place, str, str | None], Score] = {}
    for row in rows:
        place = Configuration(row.available) if row.available else row.condition
        found[row.model, place, row.metric, row.label] = row
    own = [row for row in rows if row.model not in BASELINES]
    configurations = dict.fromkeys(Configuration(row.available) for row in own if row.available)
    if not configurations:
        raise ValueError("it holds no score of the model")
    scores = Scores(own[0].model, tuple(configurations), found)
    _check_complete(scores, data)
    return scores


def _parse_rows(path: Path) -> tuple[Score, ...]:
    rows = tuple(_SCORE.validate_json(line) for line in path.read_text(encoding="utf-8").splitlines())
    if not rows:
        raise ValueError("it holds no row")
    places = {(row.condition, row.severity, row.available is None) for row in rows}
    scored = {(row.condition, row.severity, row.available is None) for row in rows if row.metric == HEADLINE}
    if lacking := {place for place in places - scored if not place[0].startswith("relative:")}:
        raise ValueError(f"it lacks the {HEADLINE} of {min(lacking, key=str)[0]}")
    return rows


def _parse_provenance(path: Path) -> Provenance:
    return Provenance.model_validate_json(path.read_bytes())


def _parse_confidence(path: Path) -> Confidence:
    return Confidence.model_validate_json(path.read_bytes())


def _check_complete(scores: Scores, data: Data) -> None:
    expected = 2 ** len(data.modalities) - 1
    if len(scores.configurations) != expected:
        raise ValueError(f"it holds {len(scores.configurations)} of {expected} configurations")
    labels = data.label_set
    for place in (*scores.configurations, *scores.summaries):
        wanted: list[tuple[str, str | None]] = [
            (metric, None) for metric in averages(labels) if place != "retention" or metric not in WITHOUT_RETENTION
        ]
        if isinstance(place, Configuration):
            wanted += [(metric, label) for metric in per_label_metrics(labels) for label in labels.names]
        for metric, label in wanted:
            score = scores.rows.get((scores.model, place, metric, label))
            if score is None or not math.isfinite(score.value):
                raise ValueError(f"it lacks the {metric} of {label or 'all classes'} for {place}")


def _parse_decisions(
    path: Path, labels: LabelSet, scores: Scores
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Label]]:
    """Targets and decisions in the complete configuration, and the truth by utterance."""
    expected, complete = scores.headline, [("configuration", "==", str(scores.complete))]
    shares = [f"share_{name}" for name in labels.names] if labels.kind == "distribution" else []
    columns = ["id", "split", "truth", "decision", *shares]
    rows = pq.read_table(path, columns=columns, filters=complete).to_pylist()
    if len(rows) != expected.n or {row["split"] for row in rows} != {expected.split}:
        raise ValueError(f"it does not hold the {expected.n} {expected.split} utterances of scores.jsonl")
    truths = [tuple(row[name] for name in shares) if shares else _label(row["truth"]) for row in rows]
    targets = np.stack([labels.encode(truth) for truth in truths])
    decided = LabelSet("categorical", labels.names) if shares else labels
    decisions = np.stack([decided.encode(_label(row["decision"])) for row in rows])
    return targets, decisions, {row["id"]: truth for row, truth in zip(rows, truths, strict=True)}


def _parse_thresholds(path: Path, scores: Scores) -> Tuned:
    described = json.loads(path.read_text(encoding="utf-8"))
    tuned = {str(name): float(value) for name, value in described["thresholds"][str(scores.complete)].items()}
    return Tuned(str(described["split"]), tuned)


def _label(value: Any) -> Label:
    return value if isinstance(value, str) else tuple(value)
