"""The results of a run's evaluation, as files of its folder: scores, predictions, thresholds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from emotiwave.calibration import Thresholds, has_thresholds
from emotiwave.errors import CheckpointError
from emotiwave.evaluation.under_conditions import Met, UnderCondition
from emotiwave.files import replace_file
from emotiwave.metrics.counts import decide
from emotiwave.types import Configuration, LabelSet, Predictions, Score

SUBGROUPS, PROVENANCE, CHOICE = "subgroups.jsonl", "evaluation.json", "choice.json"
CONDITIONS = ("conditions.jsonl", "conditions.json", "conditions.parquet")
RESULTS = (
    "scores.jsonl",
    "predictions.parquet",
    "thresholds.json",
    *CONDITIONS,
    SUBGROUPS,
    "confidence.json",
    PROVENANCE,
)
_SCORE = TypeAdapter(Score)


def discard_results(folder: Path) -> None:
    """Remove what an earlier evaluation wrote, the scores first, without which there is no evaluation."""
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)


def write_scores(scores: Sequence[Score], folder: Path) -> None:
    """Write ``scores.jsonl``, one row a line."""
    lines = [json.dumps(asdict(row)) for row in scores]
    replace_file(folder / "scores.jsonl", ("\n".join(lines) + "\n").encode())


def write_conditions(
    scores: Sequence[Score],
    answered: Sequence[UnderCondition],
    met: Sequence[Met],
    folder: Path,
    thresholds: Thresholds | None = None,
    *,
    dataset: str = "",
) -> None:
    """Write what was said under conditions, and what they met; nothing where there were none.

    ``conditions.parquet`` has the columns of ``predictions.parquet`` beside condition, severity and draw, where
    ``configuration`` is what is left of the utterance; ``conditions.jsonl`` a score a line; ``conditions.json`` the
    draws and the hashes of their masks.
    """
    if not answered:
        return
    tuned = thresholds.by_configuration if thresholds else {}
    tables = []
    for one in answered:
        ((complete, _),) = one.predictions.logits.items()
        columns = _columns(one.predictions, complete, one.thresholds(tuned), dataset)
        columns["configuration"] = [str(left) for left in one.left]
        about = {"condition": one.condition, "severity": one.severity, "draw": one.draw}
        tables.append(pa.table({name: [value] * len(one.left) for name, value in about.items()} | columns))
    _write_table(tables, folder / "conditions.parquet")
    replace_file(folder / "conditions.json", json.dumps([asdict(one) for one in met], indent=1).encode() + b"\n")
    if scores:
        replace_file(folder / "conditions.jsonl", "".join(json.dumps(asdict(row)) + "\n" for row in scores).encode())


def write_provenance(described: Mapping[str, Any], folder: Path) -> None:
    """Write ``evaluation.json``: of what, by what and how the scores are, and how settings were chosen."""
    chosen = {"choice": json.loads((folder / CHOICE).read_text(encoding="utf-8"))} if (folder / CHOICE).exists() else {}
    replace_file(folder / PROVENANCE, json.dumps({**described, **chosen}, indent=1).encode() + b"\n")


def note_choice(folder: Path, split: str, candidates: Sequence[Sequence[str]], chosen: Sequence[str]) -> None:
    """Note that overrides were chosen among candidates, by the score on a split, for this and every evaluation."""
    choice = {"split": split, "candidates": [list(one) for one in candidates], "chosen": list(chosen)}
    replace_file(folder / CHOICE, json.dumps(choice, indent=1).encode() + b"\n")


def write_subgroups(scores: Sequence[Score], folder: Path) -> None:
    """Write ``subgroups.jsonl``, one row a line; nothing where there are none."""
    if scores:
        replace_file(folder / SUBGROUPS, "".join(json.dumps(asdict(row)) + "\n" for row in scores).encode())


def write_confidence(measured: Mapping[str, Any] | None, folder: Path) -> None:
    """Write ``confidence.json``: how true probabilities are; nothing where it was not asked for."""
    if measured is not None:
        replace_file(folder / "confidence.json", json.dumps(measured, indent=1).encode() + b"\n")


def read_scores(folder: Path, name: str = "scores.jsonl") -> list[Score]:
    """Read ``scores.jsonl``, or another file of such rows; nothing where it is not there.

    Raises:
        CheckpointError: If it is damaged.
    """
    path = folder / name
    if not path.exists():
        return []
    try:
        return [_SCORE.validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(f"{path}: cannot be read ({why}); run `emotiwave evaluate {folder}` again") from None


def write_predictions(
    predictions: Predictions, folder: Path, thresholds: Thresholds | None = None, *, dataset: str
) -> None:
    """Write ``predictions.parquet``: a row per utterance and configuration with truth, decision and answers.

    Columns ``probability_NAME``, and truth and decision as class names; of distributions also ``share_NAME``, the share
    of the raters, of which the largest is the truth. Of continuous labels ``value_NAME``, and truth and decision as
    lists of values, the decision clipped to the ranges. ``dataset`` is the name of the corpus.
    """
    tuned = thresholds.by_configuration if thresholds else {}
    tables = [pa.table(_columns(predictions, c, tuned.get(c), dataset)) for c in predictions.logits]
    _write_table(tables, folder / "predictions.parquet")


def _columns(
    predictions: Predictions, configuration: Configuration, thresholds: Any, dataset: str
) -> dict[str, pa.Array | Sequence[Any]]:
    labels, answers = predictions.label_set, predictions.answers(configuration)
    column = "value" if labels.kind == "continuous" else "probability"
    columns: dict[str, Any] = {
        "id": predictions.ids,
        "group": predictions.groups,
        "dataset": [dataset] * len(predictions.ids),
        "split": [predictions.split] * len(predictions.ids),
        "configuration": [str(configuration)] * len(predictions.ids),
        "truth": _label_column(predictions.targets, labels),
        "decision": _label_column(_decisions(answers, labels, thresholds), labels),
    }
    columns |= {f"{column}_{name}": answers[:, k] for k, name in enumerate(labels.names)}
    if labels.kind == "distribution":
        columns |= {f"share_{name}": predictions.targets[:, k] for k, name in enumerate(labels.names)}
    return columns


def _write_table(tables: Sequence[pa.Table], path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(tables), sink)
    replace_file(path, sink.getvalue().to_pybytes())


def write_thresholds(thresholds: Thresholds | None, folder: Path) -> None:
    """Write ``thresholds.json``, those that decided; nothing where none were tuned."""
    if thresholds is None:
        return
    named = [(k, name) for k, name in enumerate(thresholds.label_set.names) if has_thresholds(thresholds.label_set)[k]]
    described = {
        "split": thresholds.split,
        "n": thresholds.n,
        "objective": "f1",
        "thresholds": {
            str(configuration): {name: float(row[k]) for k, name in named}
            for configuration, row in thresholds.by_configuration.items()
        },
    }
    replace_file(folder / "thresholds.json", json.dumps(described, indent=1).encode() + b"\n")


def _decisions(answers: Any, labels: LabelSet, thresholds: Any) -> Any:
    return answers if labels.kind == "continuous" else decide(answers, labels, thresholds)


def _label_column(rows: Any, labels: LabelSet) -> pa.Array:
    if labels.kind == "continuous":
        return pa.array(rows.astype(float).tolist(), type=pa.list_(pa.float64()))
    chosen = [[name for name, yes in zip(labels.names, row, strict=True) if yes] for row in labels.holds(rows)]
    if labels.kind == "multilabel":
        return pa.array(chosen, type=pa.list_(pa.string()))
    return pa.array([row[0] for row in chosen], type=pa.string())


def read_thresholds(folder: Path, labels: LabelSet) -> dict[str, dict[str, float]]:
    """Read the thresholds of ``thresholds.json``: configuration -> class -> threshold; nothing where none were tuned.

    Raises:
        CheckpointError: If it is damaged, or of other classes.
    """
    path = folder / "thresholds.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["thresholds"]
        tuned = {
            str(configuration): {str(name): float(value) for name, value in row.items()}
            for configuration, row in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error!r}); run `emotiwave evaluate {folder}` again") from None
    strange = {name for row in tuned.values() for name in row} - set(labels.names)
    if strange:
        raise CheckpointError(f"{path}: a threshold of {min(strange)!r}, which the run does not answer")
    return tuned
