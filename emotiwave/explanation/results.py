"""The explanation of a run as files: rows of contributions and of moments, and what they come to."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from emotiwave.errors import CheckpointError
from emotiwave.explanation.means import Mean
from emotiwave.explanation.modalities import Contributions, ModalityExplanation
from emotiwave.explanation.overview import Overview
from emotiwave.files import replace_file
from emotiwave.types import Configuration

FOLDER = "explanation"
"""Of a run."""
CONTRIBUTIONS, MOMENTS, SUMMARY = "contributions.parquet", "moments.parquet", "explanation.json"


@dataclass(frozen=True)
class Moment:
    """How much a stretch of one modality moves the score of a class; ``word`` is what is said then, where known."""

    modality: str
    start: float | None
    end: float | None
    value: float
    word: str | None = None


@dataclass(frozen=True)
class ExplainedClass:
    """Why an utterance was given the score of a class: base and shares by modality, and moments."""

    name: str
    base: float
    shares: Mapping[str, float]
    method: str
    baseline: str
    gap: float | None
    moments: Sequence[Moment] = field(repr=False)


@dataclass(frozen=True)
class ExplainedUtterance:
    """One utterance: what was decided, what is true, which modalities must go for another decision."""

    id: str
    truth: tuple[str, ...]
    decision: tuple[str, ...]
    sureness: float
    flip: tuple[str, ...] | None
    classes: Sequence[ExplainedClass]


@dataclass(frozen=True)
class RunExplanation:
    """All that ``explanation.json`` tells; the rows of contributions are in a file of their own.

    ``faithfulness`` maps an explainer to what was measured of it, None if it was not; ``answers`` is the
    `digest_of_answers` that were explained.
    """

    model: str
    dataset: str
    data: str
    split: str
    scale: str
    modalities: tuple[str, ...]
    overview: Overview
    utterances: Sequence[ExplainedUtterance]
    warnings: tuple[str, ...]
    faithfulness: Mapping[str, Mapping[str, Mean]] | None = None
    answers: str = ""


_SUMMARY = TypeAdapter(RunExplanation)


def write_explanation(found: RunExplanation, who: ModalityExplanation, folder: Path) -> None:
    """Write ``contributions.parquet``, ``moments.parquet`` and ``explanation.json`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_table(_contribution_columns(who), folder / CONTRIBUTIONS)
    rows = [
        {"id": one.id, "class": of.name, "method": of.method} | asdict(moment)
        for one in found.utterances
        for of in one.classes
        for moment in of.moments
    ]
    names = ("id", "class", "method", "modality", "start", "end", "value", "word")
    _write_table({name: [row[name] for row in rows] for name in names}, folder / MOMENTS)
    replace_file(folder / SUMMARY, json.dumps(_without_nan(asdict(found)), indent=1).encode() + b"\n")


def digest_of_answers(run: Path) -> str:
    """Hash what a run's answers and decisions hang on: its weights, by ``model.json``, and ``thresholds.json``.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    path, tuned = run / "model.json", run / "thresholds.json"
    try:
        weights = str(json.loads(path.read_text(encoding="utf-8"))["sha256"]["model.safetensors"])
        thresholds = tuned.read_bytes() if tuned.exists() else b""
        return hashlib.sha256(weights.encode() + thresholds).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); train the run again") from None


def read_explanation(folder: Path) -> RunExplanation:
    """Read ``explanation.json``.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    path = folder / SUMMARY
    try:
        return _SUMMARY.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(f"{path} cannot be read ({why}); run `emotiwave explain` again") from None


def _contribution_columns(who: ModalityExplanation) -> dict[str, Any]:
    """One row per utterance and class."""
    predictions, labels = who.predictions, who.predictions.label_set
    n, n_classes = predictions.targets.shape
    decided = who.decisions[frozenset(who.modalities)]
    flips = ["+".join(sorted(flip)) if flip else None for flip in who.flips]

    def each(values: Sequence[Any]) -> list[Any]:
        return [value for value in values for _ in range(n_classes)]

    columns: dict[str, Any] = {
        "id": each(predictions.ids),
        "group": each(predictions.groups),
        "split": [predictions.split] * (n * n_classes),
        "class": list(labels.names) * n,
        "truth": predictions.targets.astype(float).ravel(),
        "decision": decided.ravel(),
        "flip": each(flips),
        "answer": predictions.answers(Configuration(who.modalities)).ravel(),
    }
    columns |= _of(who.on_scale, who.scale, n)
    return columns | ({} if who.on_probability is None else _of(who.on_probability, "probability", n))


def _of(found: Contributions, scale: str, n: int) -> dict[str, Any]:
    columns = {f"{scale}_base": list(found.base) * n}
    columns |= {f"{scale}_{name}": values.ravel() for name, values in found.values.items()}
    return columns | {f"{scale}_{one}+{other}": values.ravel() for (one, other), values in found.pairs.items()}


def _write_table(columns: Mapping[str, Any], path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink)
    replace_file(path, sink.getvalue().to_pybytes())


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, list | tuple) else value
