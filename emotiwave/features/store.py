"""The feature store: a corpus on disk as flat arrays that are memory-mapped, never loaded.

A folder holds ``corpus.json``, ``utterances.parquet``, perhaps ``posteriors.npz``, and per modality a folder
``sequences/NAME`` with ``values.npy`` (float32, raw: standardisation lives in the model), ``intervals.npy`` (seconds),
``offsets.npy`` and ``metadata.json``. Reading an utterance is one slice of a mapped file.
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import map_array, read_archive
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus, Segment, Utterance, read_label_set

FORMAT = 2
ARRAYS = ("values", "intervals", "offsets")


def write_store(corpus: Corpus, folder: Path) -> Path:
    """Write a corpus; the folder appears whole or not at all, and replaces an older store of the same place.

    Raises:
        FeatureError: If the place is taken by something that is no store, or a modality's name cannot be a folder.
    """
    check_place(folder, corpus.modalities)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _write_files(corpus, scratch)
        replace_store(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def check_place(folder: Path, modalities: Iterable[str]) -> None:
    """Refuse a place where something lies that is no store, and modalities whose names cannot be folders.

    Raises:
        FeatureError: The place or the modality is named.
    """
    for name in modalities:
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise FeatureError(f"modality {name!r} cannot name a folder; use letters, digits and _")
    if folder.exists() and not (folder / "corpus.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FeatureError(f"{folder} exists and is no feature store; choose another folder")


def _write_files(corpus: Corpus, folder: Path) -> None:
    for name, sequence in corpus.sequences.items():
        place = folder / "sequences" / name
        place.mkdir(parents=True)
        for array in ("values", "intervals"):
            _write_array(place / f"{array}.npy", getattr(sequence, array))
    write_description(corpus, folder)


def write_description(corpus: Corpus, folder: Path) -> None:
    """Write all of a store but the values and intervals, which lie there already."""
    for name, sequence in corpus.sequences.items():
        place = folder / "sequences" / name
        _write_array(place / "offsets.npy", sequence.offsets)
        described = {"ids": sequence.ids, "digest": sequence.digest, "metadata": dict(sequence.metadata)}
        (place / "metadata.json").write_text(json.dumps(described), encoding="utf-8")
    pq.write_table(_utterance_table(corpus.utterances), folder / "utterances.parquet")
    if corpus.posteriors is not None:
        with zipfile.ZipFile(folder / "posteriors.npz", "w") as archive:  # np.savez takes no array named "file"
            for name, array in corpus.posteriors.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    described = {
        "format": FORMAT,
        "name": corpus.name,
        "task": corpus.task,
        "licence": corpus.licence,
        "label_set": asdict(corpus.label_set),
        "modalities": corpus.modalities,
        "counts": dict(corpus.counts),
        "digest": corpus.digest,
    }
    (folder / "corpus.json").write_text(json.dumps(described, indent=1), encoding="utf-8")


def _write_array(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def replace_store(scratch: Path, folder: Path) -> None:
    """Put a finished folder in the place of an older store, or where nothing was."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(scratch, folder)
    except BaseException:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def open_store(folder: Path, *, verify: bool = False) -> Corpus:
    """Open a store; arrays are memory-mapped and nothing is read until it is used.

    Args:
        folder: What `write_store` wrote.
        verify: Read everything once and compare the content hashes.

    Raises:
        FeatureError: If the store is missing, truncated, of another format, or fails verification.
    """
    described = _read_json(folder / "corpus.json")
    if described.get("format") != FORMAT:
        raise FeatureError(f"{folder}: store format {described.get('format')!r}; this version reads {FORMAT}")
    try:
        utterances = tuple(_utterance(row) for row in pq.read_table(folder / "utterances.parquet").to_pylist())
        posteriors = folder / "posteriors.npz"
        corpus = Corpus(
            name=described["name"],
            task=described["task"],
            licence=described["licence"],
            label_set=read_label_set(described["label_set"]),
            utterances=utterances,
            sequences={name: _open_sequence(folder / "sequences" / name) for name in described["modalities"]},
            posteriors=read_archive(posteriors) if posteriors.exists() else None,
            counts=described["counts"],
        )
        if verify:
            _verify(folder, corpus, described["digest"])
    except DatasetError as error:
        raise FeatureError(f"{folder}: {error}") from None
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise FeatureError(f"{folder}: damaged feature store ({error}); prepare it again") from None
    return corpus


def store_bytes(folder: Path) -> int:
    """How much a store holds on disk, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _verify(folder: Path, corpus: Corpus, digest: str) -> None:
    for name, sequence in corpus.sequences.items():
        fresh = ComputationalSequence(sequence.ids, sequence.values, sequence.intervals, sequence.offsets)
        if fresh.digest != sequence.digest:
            raise FeatureError(
                f"{folder}: {name} does not match its content hash; the file was changed or damaged: "
                "delete the store and prepare it again"
            )
    if corpus.digest != digest:
        raise FeatureError(f"{folder}: utterances or labels do not match the content hash of the store")


def _open_sequence(folder: Path) -> ComputationalSequence:
    described = _read_json(folder / "metadata.json")
    arrays: dict[str, NDArray[Any]] = {}
    for name in ARRAYS:
        arrays[name] = map_array(folder / f"{name}.npy")
    try:
        return ComputationalSequence(
            tuple(described["ids"]), **arrays, metadata=described["metadata"], known_digest=described["digest"]
        )
    except FeatureError as error:
        raise FeatureError(f"{folder}: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FeatureError(f"{path.parent}: no feature store here ({path.name} is missing)") from None
    except ValueError as error:
        raise FeatureError(f"{path}: not valid JSON ({error}); prepare the store again") from None
    if not isinstance(described, dict):
        raise FeatureError(f"{path}: expected a JSON object; got {type(described).__name__}")
    return described


def _utterance_table(utterances: Sequence[Utterance]) -> pa.Table:
    rows = [utterance.to_dict() for utterance in utterances]
    ratings = [None if (rated := row.pop("ratings")) is None else list(rated.items()) for row in rows]
    column = pa.array(ratings, type=pa.map_(pa.string(), pa.float64()))  # as a struct, absent ratings would be nulls
    about = [None if utterance.about is None else list(utterance.about.items()) for utterance in utterances]
    table = pa.Table.from_pylist(rows).append_column("ratings", column)
    return table.append_column("about", pa.array(about, type=pa.map_(pa.string(), pa.string())))


def _utterance(row: dict[str, Any]) -> Utterance:
    label = row.pop("label")
    segment = row.pop("segment", None)
    ratings, about = row.pop("ratings"), row.pop("about", None)  # stores of earlier versions tell nothing more
    return Utterance(
        **row,
        ratings=None if ratings is None else dict(ratings),
        about=None if about is None else dict(about),
        label=label if isinstance(label, str) else tuple(label),
        segment=Segment(**segment) if segment else None,
    )
