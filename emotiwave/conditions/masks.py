"""Mask manifests: what a condition hides of a split, drawn once and kept in a small file, so that all methods meet it.

A file is Parquet: a row per severity, utterance and modality of which something is hidden, with the frames from each
of ``first`` to before ``last``; its metadata name condition, corpus, content hash of the data, split and seed, and hold
the hash of the rows.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emotiwave.conditions.hiding import Hidden
from emotiwave.conditions.registry import Condition
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.files import replace_file
from emotiwave.types import Corpus

MAX_BYTES = 2**30
"""Of a manifest; more is refused unread."""
_KEY = b"emotiwave"
_FORM = 1


@dataclass(frozen=True)
class Drawn:
    """What masks were drawn for."""

    condition: str
    corpus: str
    data: str
    """Content hash of the corpus."""
    split: str
    seed: int


@dataclass(frozen=True, eq=False)
class Masks:
    """What is hidden at each severity, and how much of all there is that comes to."""

    drawn: Drawn
    hidden: Mapping[float, Hidden]
    realised: Mapping[float, float]
    """Severity -> share of what there was that is hidden: of modalities for ``missing``, else of frames."""

    @property
    def severities(self) -> tuple[float, ...]:
        """From low to high."""
        return tuple(sorted(self.hidden))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is hidden and of what it was drawn for, whatever the order of rows in a file."""
        described = json.dumps([asdict(self.drawn), sorted(map(list, self.realised.items())), sorted(self._rows())])
        return hashlib.sha256(described.encode()).hexdigest()

    def _rows(self) -> list[tuple[float, str, str, int, list[int], list[int]]]:
        return [
            (severity, one, name, len(mask), *_spans(mask))
            for severity, by_modality in self.hidden.items()
            for name, by_utterance in by_modality.items()
            for one, mask in by_utterance.items()
        ]


def draw_masks(corpus: Corpus, split: str, condition: Condition, seed: int) -> Masks:
    """Draw what a condition hides of a split.

    Raises:
        ConfigError: If the condition hides nothing, or is of a modality that the corpus lacks.
        DatasetError: If the split is empty.
    """
    if condition.of.hide is None:
        raise ConfigError(f"condition {condition} spoils features and hides nothing: it has no masks")
    ids = [corpus.utterances[index].id for index in corpus.indices(split)]
    names = condition.modalities(corpus)
    hidden = {s: condition.of.hide(corpus, ids, names, s, seed) for s in condition.severities}
    by_modality = condition.of.of_several
    there = sum(_size(corpus.sequences[name].n_frames(one), by_modality) for name in names for one in ids)
    realised = {
        severity: sum(_size(int(mask.sum()), by_modality) for of in found.values() for mask in of.values()) / there
        for severity, found in hidden.items()
    }
    return Masks(Drawn(str(condition), corpus.name, corpus.digest, split, seed), hidden, realised)


def _size(n_frames: int, by_modality: bool) -> int:
    return min(1, n_frames) if by_modality else n_frames


def write_masks(masks: Masks, path: Path) -> None:
    """Write a manifest."""
    rows = sorted(masks._rows())
    columns: dict[str, Any] = {
        "severity": pa.array([row[0] for row in rows], pa.float64()),
        "id": pa.array([row[1] for row in rows], pa.string()),
        "modality": pa.array([row[2] for row in rows], pa.string()),
        "n_frames": pa.array([row[3] for row in rows], pa.int64()),
        "first": pa.array([row[4] for row in rows], pa.list_(pa.int64())),
        "last": pa.array([row[5] for row in rows], pa.list_(pa.int64())),
    }
    about = {
        "form": _FORM,
        "drawn": asdict(masks.drawn),
        "realised": [[severity, share] for severity, share in sorted(masks.realised.items())],
        "sha256": masks.digest,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns).replace_schema_metadata({_KEY: json.dumps(about)}), sink, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, sink.getvalue().to_pybytes())


def read_masks(path: Path, corpus: Corpus, split: str, condition: Condition, seed: int) -> Masks:
    """Read a manifest, and make sure that it is of this split of this corpus, this condition and seed.

    Raises:
        DatasetError: If it cannot be read, was changed, or was drawn for something else; what differs is named.
    """
    wanted = Drawn(str(condition), corpus.name, corpus.digest, split, seed)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_KEY])
        if about["form"] != _FORM:
            raise ValueError(f"form {about['form']}; expected {_FORM}")
        drawn = Drawn(**about["drawn"])
        _check_same(path, drawn, wanted)
        realised = {float(severity): float(share) for severity, share in about["realised"]}
        masks = Masks(drawn, _hidden(table, list(realised), corpus), realised)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: no mask manifest, or damaged ({type(error).__name__}: {error})") from None
    if masks.digest != about["sha256"]:
        raise DatasetError(f"{path}: was changed since it was drawn (its hash differs); fetch or draw it anew")
    if missing := set(condition.severities) - set(masks.severities):
        raise DatasetError(
            f"{path}: has no severity {min(missing):g}; it has {', '.join(f'{s:g}' for s in masks.severities)}"
        )
    return masks


def _check_same(path: Path, drawn: Drawn, wanted: Drawn) -> None:
    for name, value in asdict(wanted).items():
        found = getattr(drawn, name)
        if found != value:
            what = "content (hash of the data)" if name == "data" else name
            raise DatasetError(
                f"{path}: masks of another {what}: {found!r}; expected {value!r}; draw masks anew, or take what they "
                "were drawn for"
            )


def _hidden(table: pa.Table, severities: list[float], corpus: Corpus) -> dict[float, dict[str, dict[str, Any]]]:
    hidden: dict[float, dict[str, dict[str, Any]]] = {severity: {} for severity in severities}
    for row in table.to_pylist():
        name, one = row["modality"], row["id"]
        n = corpus.sequences[name].n_frames(one)
        if row["n_frames"] != n:
            raise ValueError(f"{row['n_frames']} frames of {name} of {one!r}; the corpus has {n}")
        hidden[row["severity"]].setdefault(name, {})[one] = _mask(n, row["first"], row["last"])
    return hidden


def _spans(mask: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Where runs of hidden frames begin, and where they end."""
    steps = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()


def _mask(n_frames: int, first: list[int], last: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(n_frames, bool)
    for start, end in zip(first, last, strict=True):
        if not 0 <= start < end <= n_frames:
            raise ValueError(f"frames {start} to {end} of {n_frames}")
        mask[start:end] = True
    return mask
