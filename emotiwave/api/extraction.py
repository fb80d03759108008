"""Features of anyone's media, without a corpus: files in, files out."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from emotiwave.api.progress import recording_progress
from emotiwave.config import parse_media_features
from emotiwave.datasets.manifest_files import read_table
from emotiwave.datasets.manifest_rows import read_rows
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.features.extract_files import Extraction, extract_files
from emotiwave.features.extraction.reader import open_media
from emotiwave.features.settings import processes_available
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.settings import PathLike
from emotiwave.types import LabelSet, Utterance

KEPT_COLUMNS = ("label", "labels", "speaker", "dialogue", "split", "language")
"""Columns of a manifest that go on into the table of features."""
MANIFESTS = (".csv", ".tsv", ".jsonl", ".parquet")
_UNLABELLED = LabelSet("categorical", ("unlabelled", "other"))
"""Files need no labels to be extracted, but recordings have some."""


def extract(
    files: PathLike | Sequence[PathLike],
    *,
    out: PathLike,
    overrides: Iterable[str] = (),
    processes: int | None = 1,
    console: Console | None = None,
) -> Extraction:
    """Extract features of media files, or of the rows of a manifest, into files.

    Args:
        files: Videos, sound, photos and transcripts, each an utterance of its own; or one manifest (``.csv``,
            ``.tsv``, ``.jsonl``, ``.parquet``), whose labels are not needed.
        out: The folder to write to.
        overrides: ``KEY=VALUE`` strings, keys of ``[features]`` such as ``extractors.audio=logmel``.
        processes: How many work at once, None for one per core.
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If a key is wrong, an extractor cannot be had, or nothing could be extracted of any file.
        KeyboardInterrupt: If the user stops it; the same call finds what was finished in the cache.
    """
    given = [Path(path) for path in ([files] if isinstance(files, str | os.PathLike) else files)]
    settings = parse_media_features(overrides)
    recordings, columns = _recordings(given)
    opener = open_media(recordings, settings)
    opener.fetch()
    with recording_progress("extracting", console or Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        extraction = extract_files(
            recordings,
            opener,
            Path(out),
            columns=columns,
            processes=processes or processes_available(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return extraction


def _recordings(files: Sequence[Path]) -> tuple[MediaRecordings, dict[str, dict[str, Any]]]:
    """The utterances to extract, and by id what their manifest says of labels, speakers and splits."""
    if not files:
        raise ConfigError("no file to extract; give media files or a manifest")
    columns: dict[str, dict[str, Any]] = {}
    for path in files:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; name the files in it, such as {path / '*.mp4'}")
    manifests = [path for path in files if path.suffix.lower() in MANIFESTS]
    if manifests and len(files) > 1:
        raise ConfigError(f"{manifests[0]}: a manifest is extracted on its own; leave the other files out")
    if manifests:
        rows = read_rows(manifests[0], extra_columns=read_table(manifests[0]).columns)
        utterances = tuple(
            Utterance(
                row.id,
                "test",
                "unlabelled",
                dialogue=row.dialogue,
                speaker=row.speaker,
                language=row.language,
                transcript=row.said or row.sources.text,
                segment=row.segment,
            )
            for row in rows
        )
        sources = {row.id: row.sources for row in rows}
        columns = {
            row.id: {name: cell for name, cell in row.source.cells.items() if name in KEPT_COLUMNS} for row in rows
        }
    else:
        names = _names(files)
        utterances = tuple(Utterance(name, "test", "unlabelled") for name in names)
        sources = {name: Sources.of_file(path) for name, path in zip(names, files, strict=True)}
    if not utterances:
        raise DatasetError(f"{files[0]}: has no rows; nothing to extract")
    return MediaRecordings("files", "extraction", "that of the files", _UNLABELLED, utterances, sources), columns


def _names(files: Sequence[Path]) -> list[str]:
    """Name each file by its stem, and by a number where several have the same."""
    names: dict[str, None] = {}
    seen: Counter[str] = Counter()
    for path in files:
        seen[path.stem] += 1
        name = path.stem if seen[path.stem] == 1 else f"{path.stem}-{seen[path.stem]}"
        while name in names:
            name += "-2"
        names[name] = None
    return list(names)
