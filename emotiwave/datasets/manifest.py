"""Anyone's own media, any language and licence: one table whose rows name files, times, labels, speakers and splits.

Every corpus of media can be written as such a table (`write_manifest`) and is the same when read back.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from emotiwave.datasets.manifest_files import Value, read_table, write_table
from emotiwave.datasets.manifest_labels import ManifestLabelSettings, to_utterances
from emotiwave.datasets.manifest_rows import (
    ABOUT,
    FILE_COLUMNS,
    NAME_COLUMNS,
    RATING,
    SOURCE_COLUMNS,
    UTTERANCE_COLUMNS,
    ManifestRow,
    check_columns,
    default_recording,
    parse_rows,
)
from emotiwave.errors import DatasetError
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import PathLike
from emotiwave.types import LabelSet, Utterance


class ManifestSettings(ManifestLabelSettings):
    """Keys of ``[dataset]`` for ``name = "manifest"``."""

    missing_files: Literal["refuse", "keep"] = "refuse"
    """What happens if a file is not there: an error, or an utterance whose extraction will fail and be reported."""


def load(settings: ManifestSettings) -> MediaRecordings:
    """Read a manifest and look for its files.

    Raises:
        DatasetError: If the manifest or a file of it is missing, or a row is not as it must be; file and row are named.
    """
    table = read_table(settings.file)
    values = settings.value_columns
    known = (*SOURCE_COLUMNS, *UTTERANCE_COLUMNS, *values)
    about = settings.about_columns
    check_columns(settings.file, table, known=(*known, *about), extra=settings.extra_columns, needed=(*values, *about))
    rows = parse_rows(table, root=settings.folder, values=values, about=about)
    counts: dict[str, Count] = {"empty rows, passed over": table.n_empty} if table.n_empty else {}
    _look_for_files(rows, settings, counts)
    label_set, utterances = to_utterances(rows, settings, corpus="manifest", counts=counts)
    return MediaRecordings(
        name="manifest",
        task=settings.task,
        licence=settings.licence,
        label_set=label_set,
        utterances=utterances,
        sources={row.id: row.sources for row in rows},
        tables=(settings.file,),
        counts=counts,
    )


def write_manifest(
    recordings: MediaRecordings, path: PathLike, *, relative_to: PathLike | None = None
) -> dict[str, Any]:
    """Write any corpus of media as a manifest, which gives the same utterances, labels, sources and splits.

    Args:
        recordings: The corpus.
        path: Where to: ``.csv``, ``.jsonl`` or ``.parquet``.
        relative_to: Files in this folder are named from it, all others by their absolute path; the folder of the
            manifest by default.

    Returns:
        The keys of ``[dataset]`` to read it by.

    Raises:
        DatasetError: If a manifest cannot hold it: modalities that come as features, a class with ``;`` in its name,
            say, or a speaker with a space at an end.
        OSError: If it cannot be written.
    """
    path = Path(path).absolute()
    root = path.parent if relative_to is None else Path(relative_to).absolute()
    if recordings.given:
        raise DatasetError(
            f"{recordings.name}: gives {', '.join(recordings.given)} as features, and a manifest names media files "
            "only; use the corpus as it is"
        )
    _check_names(recordings.label_set)
    rows = [
        _source_cells(recordings.sources[utterance.id], root) | _label_cells(utterance, recordings.label_set)
        for utterance in recordings.utterances
    ]
    for row, utterance in zip(rows, recordings.utterances, strict=True):
        row |= _utterance_cells(utterance, row)
        _check_ends(row)
    names = {name for row in rows for name, value in row.items() if value is not None}
    ordered = ("id", *SOURCE_COLUMNS, *(column for column in UTTERANCE_COLUMNS if column != "id"))
    write_table(path, [*(name for name in ordered if name in names), *sorted(names.difference(ordered))], rows)
    return _keys(recordings.label_set, path, root)


def _look_for_files(rows: Sequence[ManifestRow], settings: ManifestSettings, counts: dict[str, Count]) -> None:
    named = [
        (row, column, path)
        for row in rows
        for column in FILE_COLUMNS
        if (path := getattr(row.sources, column)) is not None
    ]
    missing = [item for item in named if not os.path.isfile(item[2])]
    if not missing:
        return
    if settings.missing_files == "keep" and len(missing) < len(named):
        counts["files not there"] = len({path for _, _, path in missing})
        return
    row, column, path = missing[0]
    others = f", nor are {len(missing) - 1} more of {len(named)} files" if len(missing) > 1 else ""
    hint = "; write / between folders" if "\\" in str(path) and not path.exists() else ""
    raise row.source.error(
        f"{column} {row.source.text(column)!r} is not there ({path}){others}{hint}; paths start from {settings.folder} "
        '(key root); with missing_files = "keep", the rows with files go on'
    )


def _source_cells(sources: Sources, root: Path) -> dict[str, Value]:
    paths = {column: getattr(sources, column) for column in FILE_COLUMNS}
    cells: dict[str, Value] = {column: _written(path, root) for column, path in paths.items() if path is not None}
    return cells | {"text": sources.text, "words_id": sources.words_id, "face": sources.is_face or None}


def _check_names(label_set: LabelSet) -> None:
    have_columns = label_set.kind in ("continuous", "distribution")
    for name in label_set.names:
        if have_columns and name in (*SOURCE_COLUMNS, *UTTERANCE_COLUMNS):
            raise DatasetError(f"label {name!r} is a column of its own meaning in a manifest; rename it")
        if not have_columns and (";" in name or name != name.strip()):
            raise DatasetError(f"class {name!r}: a manifest needs names without ';' and spaces at the ends; rename it")


def _check_ends(row: Mapping[str, Value]) -> None:
    for column in (*NAME_COLUMNS, *(name for name in row if name.startswith(ABOUT))):
        value = row.get(column)
        if isinstance(value, str) and value.strip() not in ("", value):
            raise DatasetError(
                f"utterance {row['id']!r}: {column} {value!r}: a manifest needs names without spaces at the ends; "
                "rename it"
            )


def _written(path: Path, root: Path) -> str:
    name = path.absolute().relative_to(root) if path.absolute().is_relative_to(root) else path.absolute()
    return f"./{name.as_posix()}" if name.parts[0] == "~" else name.as_posix()


def _label_cells(utterance: Utterance, label_set: LabelSet) -> dict[str, Value]:
    match label_set.kind:
        case "continuous" | "distribution":
            return {name: float(value) for name, value in zip(label_set.names, utterance.label, strict=True)}
        case "multilabel":
            return {"labels": tuple(str(name) for name in utterance.label) or None}
        case _:
            return {"label": str(utterance.label)}


def _utterance_cells(utterance: Utterance, row: Mapping[str, Value]) -> dict[str, Value]:
    cells: dict[str, Value] = {
        "id": utterance.id,
        "said": utterance.transcript if utterance.transcript != row["text"] else None,
        "speaker": utterance.speaker,
        "dialogue": utterance.dialogue,
        "split": utterance.split,
        "language": utterance.language,
    }
    if utterance.segment is not None:
        cells |= {"start": float(utterance.segment.start), "end": float(utterance.segment.end)}
        if utterance.segment.file != default_recording(row):
            cells["recording"] = utterance.segment.file
    cells |= {RATING + name: float(value) for name, value in (utterance.ratings or {}).items()}
    return cells | {ABOUT + name: fact for name, fact in (utterance.about or {}).items()}


def _keys(label_set: LabelSet, path: Path, root: Path) -> dict[str, Any]:
    keys: dict[str, Any] = {"file": str(path), "task": label_set.kind}
    if root != path.parent:
        keys["root"] = str(root)
    if label_set.ranges is None:
        return keys | {"labels": list(label_set.names)}
    return keys | {"ranges": dict(zip(label_set.names, map(list, label_set.ranges), strict=True))}
