"""A store that is being prepared: flat files that grow by recording, and a journal that a killed process leaves whole.

A recording's frames are appended first, then its line in the journal. On return the journal tells how long every file
must be; what a dying process appended beyond is cut off.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

try:
    import fcntl
except ImportError:  # not on Windows, where nothing keeps two processes apart
    fcntl = None

from emotiwave.errors import FeatureError
from emotiwave.features.prepared import PreparedRecording

JOURNAL = "journal.jsonl"
HEADER_BYTES = 128
"""Room before the data for the header of a .npy file, which is known at the end only."""
BLOCK_BYTES = 2**20
ROW_BYTES = {"values": 4, "intervals": 16}


@dataclass(frozen=True)
class JournalLine:
    """What the journal keeps of one recording."""

    recording: str
    ids: tuple[str, ...]
    kept: tuple[bool, ...]
    lengths: Mapping[str, tuple[int, ...]]
    """Modality -> frames per utterance."""
    transcripts: tuple[str | None, ...]
    counts: Mapping[str, int]
    errors: tuple[dict[str, str], ...]
    usability: tuple[dict[str, Any], ...] = ()


class PartialStore:
    """The growing files of a store, in their final folder structure; a context manager.

    Raises:
        FeatureError: If another process is at it.
        OSError: If files cannot be written.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int], key: str) -> None:
        self.folder, self.sizes = folder, dict(sizes)
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self._log: IO[bytes] = stack.enter_context((folder / JOURNAL).open("a+b"))
            _lock(self._log, folder)
            self.lines = self._go_on(key)
            self._files = {
                (name, array): stack.enter_context(self._open(name, array))
                for name in self.sizes
                for array in ROW_BYTES
            }
            self._stack = stack.pop_all()

    def __enter__(self) -> "PartialStore":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def recordings(self) -> set[str]:
        """The recordings that are there already."""
        return {line.recording for line in self.lines}

    def append(self, features: PreparedRecording) -> None:
        """Append the frames of a recording, then its line in the journal."""
        for name, prepared in features.modalities.items():
            for array in ROW_BYTES:
                file = self._files[name, array]
                file.write(np.ascontiguousarray(getattr(prepared, array)).data)
                file.flush()
        line = JournalLine(
            recording=features.recording,
            ids=features.ids,
            kept=features.kept,
            lengths={name: prepared.lengths for name, prepared in features.modalities.items()},
            transcripts=features.transcripts,
            counts=dict(features.counts),
            errors=features.errors,
            usability=features.usability,
        )
        self._log.write(json.dumps(line.__dict__).encode() + b"\n")
        self._log.flush()
        self.lines.append(line)

    def finish(self) -> None:
        """Turn the flat files into ``.npy`` arrays on disk; nothing can be appended any more."""
        for (name, array), file in self._files.items():
            rows = sum(sum(line.lengths[name]) for line in self.lines)
            shape = (rows, self.sizes[name]) if array == "values" else (rows, 2)
            file.seek(0)
            file.write(_npy_header(shape, "<f4" if array == "values" else "<f8"))
            file.flush()
            os.fsync(file.fileno())

    def blocks(self, modality: str) -> Iterator[bytes]:
        """Read what was appended of a modality: its values, then its intervals."""
        for array in ROW_BYTES:
            with self._path(modality, array).open("rb") as file:
                file.seek(HEADER_BYTES)
                while block := file.read(BLOCK_BYTES):
                    yield block

    def _go_on(self, key: str) -> list[JournalLine]:
        """Read what an earlier process finished, if it prepared the same; else begin anew."""
        kept, n_rows, n_bytes = [], dict.fromkeys(self.sizes, 0), 0
        for line, end in _read_journal(self._log, key):
            rows = {name: n_rows[name] + sum(line.lengths[name]) for name in self.sizes}
            if any(_size(self._path(n, a)) < HEADER_BYTES + self._row(n, a) * rows[n] for n in rows for a in ROW_BYTES):
                break  # the machine died before the frames of this line were on disk
            n_rows, n_bytes = rows, end
            kept.append(line)
        self._log.truncate(n_bytes)
        if not kept:
            shutil.rmtree(self.folder / "sequences", ignore_errors=True)  # perhaps of other modalities
            self._log.write(json.dumps({"key": key}).encode() + b"\n")
            self._log.flush()
        for name, rows in n_rows.items():
            for array in ROW_BYTES:
                path = self._path(name, array)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    file.truncate(HEADER_BYTES + self._row(name, array) * rows)
        return kept

    def _path(self, name: str, array: str) -> Path:
        return self.folder / "sequences" / name / f"{array}.npy"

    def _row(self, name: str, array: str) -> int:
        return ROW_BYTES[array] * (self.sizes[name] if array == "values" else 1)

    def _open(self, name: str, array: str) -> IO[bytes]:
        file = self._path(name, array).open("r+b")
        file.seek(0, os.SEEK_END)
        return file


def _lock(file: IO[bytes], folder: Path) -> None:
    """Keep other processes out until the file is closed, or this process dies."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FeatureError(f"{folder}: another process is preparing this store; wait until it is done") from None


def _read_journal(file: IO[bytes], key: str) -> Iterator[tuple[JournalLine, int]]:
    """The lines of a journal up to a torn one, and where each ends; none if it is of another preparation."""
    file.seek(0)
    end = 0
    for index, text in enumerate(file):
        end += len(text)
        try:
            found: dict[str, Any] = json.loads(text)
            if not text.endswith(b"\n") or (index == 0 and found != {"key": key}):
                return
            if index > 0:
                yield JournalLine(**found), end
        except (ValueError, TypeError):
            return  # the process died while it wrote this line


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _npy_header(shape: tuple[int, int], dtype: str) -> bytes:
    """The header of a ``.npy`` file of version 1.0, of `HEADER_BYTES` in all (numpy.lib.format)."""
    described = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode("latin1")
    length = HEADER_BYTES - 10
    if len(described) >= length:
        raise FeatureError(f"arrays of shape {shape} do not fit the format")
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + described.ljust(length - 1) + b"\n"
