"""Anyone's utterance features, of any language and licence: a manifest whose cells name ``.npz`` or ``.npy`` files.

A file holds ``(features,)`` for the whole utterance or ``(frames, features)``; in an ``.npz`` under ``values`` (with
``intervals (frames, 2)`` in seconds, if known) or ``features``. Or one file per modality holds all utterances, in the
order of the manifest: ``(rows, features)`` or ``(rows, frames, features)``. An empty cell is a missing modality. Frames
with a value that is not finite are unobserved, and are left out; so are frames of zeros that fill up the end of
``(rows, frames, features)``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.manifest_files import CellTable, TableRow, read_table
from emotiwave.datasets.manifest_labels import ManifestLabelSettings, to_utterances
from emotiwave.datasets.manifest_rows import (
    UTTERANCE_COLUMNS,
    ManifestRow,
    check_columns,
    check_ids,
    parse_row,
    resolve_path,
)
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import map_array, read_archive
from emotiwave.recordings import Count, Sources
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus

MODALITIES = ("text", "audio", "vision")


class TableSettings(ManifestLabelSettings):
    """Keys of ``[dataset]`` for ``name = "table"``."""

    modalities: dict[str, str] | None = None
    """Modality -> column of paths; by default the columns text, audio and vision that are there."""
    files: dict[str, str] | None = None
    """Modality -> one file of all utterances, in the order of the manifest, instead of columns; paths start where those
    of the manifest do."""


def load(settings: TableSettings) -> Corpus:
    """Read a table of features; utterances without a frame in any modality are left out and counted.

    Raises:
        DatasetError: If the manifest or a file of features is missing, damaged, or not as it must be; row, file and
            modality are named.
    """
    table = read_table(settings.file)
    columns = _columns(table, settings)
    values = settings.value_columns
    known = (*UTTERANCE_COLUMNS, *columns.values(), *values)
    about = settings.about_columns
    needed = (*columns.values(), *values, *about)
    check_columns(settings.file, table, known=(*known, *about), extra=settings.extra_columns, needed=needed)
    rows = [_row(row, columns, values, about) for row in table.rows]
    check_ids(rows)
    counts: dict[str, Count] = {"empty rows, passed over": table.n_empty} if table.n_empty else {}
    label_set, utterances = to_utterances(rows, settings, corpus="table", counts=counts)
    sequences = {name: _from_cells(rows, name, column, settings.folder, counts) for name, column in columns.items()}
    for name, file in (settings.files or {}).items():
        sequences[name] = _from_one_file(rows, name, resolve_path(file, settings.folder), counts)
    kept = [u for u in utterances if any(sequence.n_frames(u.id) for sequence in sequences.values())]
    if len(kept) < len(utterances):
        counts["utterances without any feature, left out"] = len(utterances) - len(kept)
    if not kept:
        raise DatasetError(f"{settings.file}: no row has a feature in {', '.join(sequences)}")
    return Corpus(
        name="table",
        task=settings.task,
        licence=settings.licence,
        label_set=label_set,
        utterances=tuple(kept),
        sequences=sequences,
        counts=counts,
    )


def _columns(table: CellTable, settings: TableSettings) -> dict[str, str]:
    columns = settings.modalities
    if columns is None:
        columns = {name: name for name in MODALITIES if name in table.columns and name not in (settings.files or {})}
    if twice := set(columns) & set(settings.files or {}):
        raise DatasetError(f"{settings.file}: modality {min(twice)!r} is in modalities and in files; expected one")
    if not columns and not settings.files:
        raise DatasetError(
            f"{settings.file}: no column of features; expected one of {', '.join(MODALITIES)} that names an .npz or "
            '.npy file per row, or files = {audio = "audio.npy"}'
        )
    return columns


def _row(row: TableRow, columns: Mapping[str, str], values: Sequence[str], about: Sequence[str]) -> ManifestRow:
    named = next((row.text(column) for column in columns.values() if column in row.cells), None)
    return parse_row(row, Sources(), named, values=values, about=about)


def _from_cells(
    rows: Sequence[ManifestRow], modality: str, column: str, root: Path, counts: dict[str, Count]
) -> ComputationalSequence:
    """Read the file of every row that names one."""
    found: dict[str, FeatureSequence] = {}
    for row in rows:
        name = row.source.text(column)
        if name is None:
            continue
        try:
            found[row.id] = _read_features(resolve_path(name, root))
        except FeatureError as error:
            raise row.source.error(f"{modality}: {error}") from None
        size, first = found[row.id].values.shape[1], next(iter(found.values())).values.shape[1]
        if size != first:
            raise row.source.error(f"{modality}: {name} has {size} features; expected {first} as in the rows before")
    if not found:
        raise DatasetError(f"{rows[0].source.file}: no row names a file in column {column!r}; leave {modality} out")
    return _observed(found, modality, counts)


def _from_one_file(
    rows: Sequence[ManifestRow], modality: str, path: Path, counts: dict[str, Count]
) -> ComputationalSequence:
    """Take a row of one array for every row of the table."""
    try:
        array, _ = _read_arrays(path)
    except FeatureError as error:
        raise DatasetError(f"{modality}: {error}") from None
    if array.ndim not in (2, 3) or len(array) != len(rows) or not array.shape[-1]:
        raise DatasetError(
            f"{modality}: {path}: shape {array.shape}; expected ({len(rows)}, features) or ({len(rows)}, frames, "
            f"features), a row for each of {rows[0].source.file}"
        )
    found = {}
    for row, values in zip(rows, array, strict=True):
        frames = _float32(np.atleast_2d(values))
        if array.ndim == 3:
            frames = frames[: 1 + np.flatnonzero(frames.any(axis=1)).max(initial=-1)]
        found[row.id] = FeatureSequence(frames, np.full((len(frames), 2), np.nan))
    return _observed(found, modality, counts)


def _observed(found: Mapping[str, FeatureSequence], modality: str, counts: dict[str, Count]) -> ComputationalSequence:
    """Join what was measured."""
    size = next(iter(found.values())).values.shape[1]
    kept: dict[str, FeatureSequence] = {}
    n_dropped = 0
    for name, sequence in found.items():
        finite = np.isfinite(sequence.values).all(axis=1)
        n_dropped += int((~finite).sum())
        if finite.any():
            kept[name] = FeatureSequence(sequence.values[finite], sequence.intervals[finite])
    if n_dropped:
        counts[f"{modality} frames that are not finite, left out"] = n_dropped
    return ComputationalSequence.from_sequences(kept, size=size)


def _read_features(path: Path) -> FeatureSequence:
    """Read the features of one utterance.

    Raises:
        FeatureError: If the file is missing, damaged, or its arrays are not those of one utterance.
    """
    array, intervals = _read_arrays(path)
    if array.ndim not in (1, 2) or not array.shape[-1]:
        raise FeatureError(f"{path}: shape {array.shape}; expected (features,) or (frames, features)")
    values = _float32(np.atleast_2d(array))
    if intervals is None:
        return FeatureSequence(values, np.full((len(values), 2), np.nan))
    if intervals.shape != (len(values), 2):
        raise FeatureError(f"{path}: intervals of shape {intervals.shape}; expected ({len(values)}, 2)")
    times = intervals.astype(np.float64)
    start, end = times.T
    if not (np.isfinite(times).all() and (start < end).all() and (np.diff(start) >= 0).all()):
        raise FeatureError(f"{path}: intervals that do not run forwards; expected start < end in ascending seconds")
    return FeatureSequence(values, times)


def _read_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Read the values of a file, and the intervals where it has them.

    Raises:
        FeatureError: If the file is missing, damaged, or holds anything but numbers.
    """
    if not path.is_file():
        raise FeatureError(f"{path} is not there; paths start from the folder of the manifest (or key root)")
    if path.suffix.lower() not in (".npy", ".npz"):
        raise FeatureError(f"{path}: expected an .npy or .npz file")
    arrays = {"values": map_array(path)} if path.suffix.lower() == ".npy" else read_archive(path)
    name = next((name for name in ("values", "features") if name in arrays), None)
    if name is None:
        raise FeatureError(f"{path}: holds {', '.join(sorted(arrays)) or 'no array'}; expected values or features")
    for key, array in arrays.items():
        if key in (name, "intervals") and array.dtype.kind not in "fiub":
            raise FeatureError(f"{path}: {key} are of type {array.dtype}; expected numbers")
    return arrays[name], arrays.get("intervals")


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """What float32 cannot hold becomes infinite, and so is unobserved."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float32)
