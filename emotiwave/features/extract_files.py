"""Features of media as files: an ``.npz`` per utterance and modality, and a table of them that can be trained on."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emotiwave.errors import FeatureError
from emotiwave.features.extraction.collapsing import useless
from emotiwave.features.extraction.extracted import usability_rows
from emotiwave.features.extraction.frames import Frames
from emotiwave.features.extraction.reader import MediaReader, OpenMedia, Wanted, media_works
from emotiwave.features.workers import Work, read_here, read_in_processes
from emotiwave.files import replace_file, whole_file
from emotiwave.recordings import Count, MediaRecordings
from emotiwave.signals import join_words

TABLE = "features.csv"
USABILITY = "usability.jsonl"
ERRORS = "errors.jsonl"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Extraction:
    """What was extracted: the folder, a row per utterance, what of each signal was of use, and a row per error."""

    folder: Path
    rows: tuple[Mapping[str, Any], ...]
    usability: tuple[Mapping[str, Any], ...]
    errors: tuple[Mapping[str, str], ...]
    modalities: tuple[str, ...]
    notes: Mapping[str, Count]

    @property
    def n_with_features(self) -> int:
        """How many utterances have features in any modality."""
        return sum(any(row.get(modality) for modality in self.modalities) for row in self.rows)

    @property
    def n_files(self) -> int:
        """How many files of features were written."""
        return sum(bool(row.get(modality)) for row in self.rows for modality in self.modalities)


def extract_files(
    recordings: MediaRecordings,
    opener: OpenMedia,
    folder: Path,
    *,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Extraction:
    """Extract every utterance into files, at the full rate of each extractor.

    Writes ``features/ID.MODALITY.npz`` (``values (frames, features)``, ``intervals (frames, 2)`` in seconds from the
    start of the utterance; unobserved frames are NaN), ``features.csv``, ``usability.jsonl`` and ``errors.jsonl``.

    Args:
        recordings: What to extract.
        opener: What opens a reader of it in any process.
        folder: Where to; files of an earlier extraction that are not written anew are removed.
        columns: By id, further cells of ``features.csv``: labels, say.
        processes: How many work at once.
        progress: Told after each recording.

    Raises:
        FeatureError: If the folder holds something else, cannot be written to, or no process survives.
    """
    _check_folder(folder)
    works = media_works(recordings)
    rows: list[Mapping[str, Any]] = []
    usability: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, str]] = []
    try:
        (folder / "features").mkdir(parents=True, exist_ok=True)
        open_writer = OpenWriter(opener, folder)
        with open_writer() as writer:
            modalities, notes = tuple(writer.sizes), writer.notes
            in_processes = processes > 1 and len(works) > 1
            read = (
                read_in_processes(open_writer, works, processes, _failed) if in_processes else read_here(writer, works)
            )
            for done, written in enumerate(read, 1):
                rows += [row | dict((columns or {}).get(row["id"], {})) for row in written.rows]
                usability += written.usability
                errors += written.errors
                if progress:
                    progress(done, len(works))
        _remove_others(folder, rows, modalities)
        replace_file(folder / TABLE, pd.DataFrame(rows).to_csv(index=False).encode())
        replace_file(folder / USABILITY, _json_lines(usability))
        replace_file(folder / ERRORS, _json_lines(errors))
    except OSError as error:
        raise FeatureError(f"{folder}: cannot be written ({error})") from None
    except BrokenExecutor as error:
        raise FeatureError(f"{error}; perhaps for want of memory: use fewer --processes") from None
    return Extraction(folder, tuple(rows), tuple(usability), tuple(errors), modalities, notes)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds what no extraction wrote."""
    if folder.exists() and not folder.is_dir():
        raise FeatureError(f"{folder}: is a file; expected a folder to write to")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "features").is_dir():
        raise FeatureError(f"{folder}: is not empty and holds no extraction; choose another folder")


def _remove_others(folder: Path, rows: Sequence[Mapping[str, Any]], modalities: Sequence[str]) -> None:
    """Remove the feature files of an earlier extraction into the same folder."""
    written = {folder / str(row[modality]) for row in rows for modality in modalities if row.get(modality)}
    for path in (folder / "features").glob("*.npz"):
        if path not in written:
            path.unlink()


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@dataclass(frozen=True)
class _Written:
    rows: list[dict[str, Any]]
    usability: list[dict[str, Any]]
    errors: list[dict[str, str]]


def _failed(work: Work, error: str) -> _Written:
    rows = [{"id": name} for name in work.ids]
    return _Written(rows, [], [{"recording": work.recording, "modality": "all", "error": error}])


@dataclass(frozen=True)
class OpenWriter:
    """Opens a `FileWriter` in any process."""

    open_media: OpenMedia
    folder: Path

    def __call__(self) -> "FileWriter":
        """Open it."""
        return FileWriter(self.open_media(), self.folder)


class FileWriter:
    """A reader of media that writes what it extracts into files; a context manager."""

    def __init__(self, reader: MediaReader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        self.sizes, self.metadata, self.notes = reader.sizes, reader.metadata, reader.notes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.__exit__()

    def read(self, recording: str, wanted: Sequence[Wanted]) -> _Written:
        """Extract the utterances of a recording into files."""
        rows, usability, errors = [], [], []
        for (utterance, sources), of in zip(wanted, self.reader.extract(recording, wanted), strict=True):
            row: dict[str, Any] = {"id": utterance.id, "recording": str(next(iter(sources.files), ""))}
            if utterance.segment is not None:
                row |= {"start": utterance.segment.start, "end": utterance.segment.end}
            row["said"] = join_words(of.words) if of.words is not None else utterance.transcript or ""
            for modality in self.sizes:
                judged, frames = of.usability.get(modality), of.frames.get(modality)
                row[modality] = ""
                if judged is not None and not judged.ignored and frames is not None and len(frames):
                    place = Path("features") / f"{_file_name(utterance.id)}.{modality}.npz"
                    write_npz(frames, useless(frames, self.reader.extractors[modality]), self.folder / place)
                    row[modality] = str(place)
            rows.append(row)
            usability += usability_rows(utterance, of)
            errors += of.errors
        return _Written(rows, usability, errors)


def write_npz(frames: Frames, is_useless: NDArray[np.bool_], path: Path) -> None:
    """Write frames as an archive of ``values`` and ``intervals``, a block at a time; frames of no use are NaN."""
    n_rows = max(1, 2**20 // frames.size)
    with whole_file(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        with archive.open("values.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(frames), frames.size)}
            np.lib.format.write_array_header_1_0(member, header)
            for first in range(0, len(frames), n_rows):
                values = frames.rows(first, min(first + n_rows, len(frames))).copy()
                values[is_useless[first : first + n_rows]] = np.nan
                member.write(values.tobytes())
        with archive.open("intervals.npy", "w") as member:
            np.lib.format.write_array(member, frames.intervals, allow_pickle=False)


def _file_name(utterance_id: str) -> str:
    """A name for an id that any file system takes, and that no other id has."""
    name = re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", utterance_id).encode()[:150].decode(errors="ignore").lstrip(".")
    return name if name == utterance_id else f"{name}-{hashlib.sha256(utterance_id.encode()).hexdigest()[:8]}"
