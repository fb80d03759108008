"""Reading ``.csd`` files: lazily, by interval, in bounded memory, and without trusting them.

A ``.csd`` is HDF5 with a single root group, whose name is not that of the file: ``ROOT/data/ID/features (frames,
size)``, ``ROOT/data/ID/intervals (frames, 2)`` in seconds, and ``ROOT/metadata/KEY`` holding JSON (CMU-MultimodalSDK,
file_ops.py). Links that lead elsewhere, external storage and virtual datasets are refused, and sizes are checked before
anything is read.
"""

import json
import math
import warnings
from collections import Counter
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import h5py.h5l
import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.metadata import read_text
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.sequences import FeatureSequence

PAUSE = "sp"
"""How the words of CMU-MOSEI and CMU-MOSI write a pause."""
SAMPLED_VIDEOS = 25
MAX_READ_BYTES = 2**30
"""No single read may need more than this: an hour of OpenFace2 at 30 Hz needs a third of it."""
WORD_BYTES = 64
"""What a word needs as a Python string, besides its own bytes."""
MAX_FRAMES = 2**24
"""46 hours at 100 Hz: who declares more means harm."""
MOST_PER_STORED_BYTE = 2048
"""deflate packs at most 1,032 bytes into one: a dataset that declares more than this was never written."""
TROUBLE = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What h5py raises on damaged files."""


class CsdFile:
    """An open ``.csd``; a context manager. Nothing but names is read until asked for.

    Raises:
        DatasetError: If the file cannot be opened, is truncated, or is no computational sequence.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():  # a pipe would block for ever
            raise DatasetError(f"{path}: is no file; expected a .csd file")
        try:
            self._file = h5py.File(path, "r", locking=False)
        except FileNotFoundError:
            raise DatasetError(f"{path}: no such file; expected a .csd file") from None
        except PermissionError:
            raise DatasetError(f"{path}: no permission to read it") from None
        except TROUBLE as error:
            raise DatasetError(
                f"{path}: cannot be opened as HDF5 ({error}); it may be truncated or no .csd file: download it again"
            ) from None
        try:
            self.root, self._data = self._find_data()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "CsdFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _find_data(self) -> tuple[str, h5py.Group]:
        roots = self._names(self._file)
        if len(roots) != 1:
            shown = ", ".join(map(repr, roots[:5])) or "none"
            raise DatasetError(f"{self.path}: expected a single root group; got {len(roots)} ({shown})")
        root = self._child(self._file, roots[0], h5py.Group)
        names = self._names(root)
        if "data" not in names:
            raise DatasetError(
                f"{self.path}: root {roots[0]!r} holds {', '.join(map(repr, names[:5])) or 'nothing'}; expected "
                "'data' and 'metadata': this is no computational sequence"
            )
        return roots[0], self._child(root, "data", h5py.Group)

    def _names(self, group: h5py.Group) -> tuple[str, ...]:
        """List what lies in a group, in the order of the file."""
        try:
            names = tuple(group)
        except TROUBLE as error:
            raise DatasetError(f"{self.path}: the list of names in {group.name} is damaged ({error})") from None
        for name in names:
            if not isinstance(name, str):  # what is not UTF-8 comes as bytes
                raise DatasetError(f"{self.path}: {group.name} holds the name {name!r}, which is no text")
        return names

    def _child(self, group: h5py.Group, name: str, kind: type) -> Any:
        """Open what lies in a group, unless a link would lead out of it."""
        place = f"{group.name.rstrip('/')}/{name}" if group.name else name
        try:
            if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise DatasetError(f"{self.path}: {place} is a link to elsewhere; links are not followed")
            found = group[name]
        except TROUBLE as error:
            raise DatasetError(f"{self.path}: {place} is missing or damaged ({error})") from None
        if not isinstance(found, kind):
            expected = "group" if kind is h5py.Group else "dataset"
            raise DatasetError(f"{self.path}: {place} is no {expected}")
        return found

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the videos, in the order of the file."""
        return self._names(self._data)

    def __contains__(self, entry_id: object) -> bool:
        return isinstance(entry_id, str) and entry_id in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _layout(self) -> tuple[int, bool]:
        """Features per frame, and whether they are words, of most videos among some that are evenly spaced."""
        spaced = self.ids[:: max(1, math.ceil(len(self.ids) / SAMPLED_VIDEOS))]
        why = "it has none"
        for sample in (spaced, self.ids):
            found: Counter[tuple[int, bool]] = Counter()
            for entry_id in sample:
                try:
                    entry = self[entry_id]
                except DatasetError as error:
                    why = str(error)  # whoever reads this video is told
                    continue
                found[entry.size, entry.is_text] += 1
            if found:
                return found.most_common(1)[0][0]
        raise DatasetError(f"{self.path}: no video in it can be read ({why})")

    @property
    def size(self) -> int:
        """The number of features per frame: what most of its videos have."""
        return self._layout[0]

    @property
    def holds_words(self) -> bool:
        """Whether its features are words."""
        return self._layout[1]

    @cached_property
    def dimension_names(self) -> tuple[str, ...] | None:
        """What the metadata calls the columns; None where it does not."""
        names = self._metadata("dimension names")
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
        return None

    def _metadata(self, key: str) -> Any:
        """Read one value of the metadata: parsed where it is JSON, else as text; None where there is none."""
        root = self._child(self._file, self.root, h5py.Group)
        if "metadata" not in self._names(root):
            return None
        group = self._child(root, "metadata", h5py.Group)
        if key not in self._names(group):
            return None
        dataset = self._child(group, key, h5py.Dataset)
        shape, _ = self._check_storage(dataset)
        if math.prod(shape) != 1:
            raise DatasetError(f"{self.path}: {dataset.name} has shape {shape}; metadata is one JSON text each")
        try:
            text = read_text(self.path, dataset, self._file.userblock_size)
        except DatasetError as error:
            warnings.warn(f"{error}; it is passed over", DataWarning, stacklevel=2)
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    def __getitem__(self, entry_id: str) -> "CsdEntry":
        """Open the features of one video.

        Raises:
            DatasetError: If it is not there, damaged, too large, or its features and intervals do not fit.
        """
        if entry_id not in self:
            raise DatasetError(f"{self.path}: no entry {entry_id!r} among {len(self.ids)}")
        group = self._child(self._data, entry_id, h5py.Group)
        features = self._child(group, "features", h5py.Dataset)
        intervals = self._child(group, "intervals", h5py.Dataset)
        shape, dtype = self._check_storage(features)
        times, time_dtype = self._check_storage(intervals)
        if len(shape) != 2 or not shape[1] or dtype.kind not in "fiuS":
            raise DatasetError(
                f"{self.path}: {entry_id!r}: features of shape {shape} {dtype}; expected "
                "(frames, size) numbers, or fixed-length strings for words"
            )
        if times != (shape[0], 2) or time_dtype.kind not in "fiu":
            raise DatasetError(
                f"{self.path}: {entry_id!r}: {shape[0]} frames of features but intervals of shape "
                f"{times} {time_dtype}; expected ({shape[0]}, 2) seconds"
            )
        if shape[0] > MAX_FRAMES:
            raise DatasetError(f"{self.path}: {entry_id!r}: {shape[0]:,} frames; at most {MAX_FRAMES:,} are read")
        return CsdEntry(self.path, entry_id, features, intervals)

    def _check_storage(self, dataset: h5py.Dataset) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Refuse what lies in other files, or is far more than the file can hold; return shape and type."""
        try:
            elsewhere = dataset.is_virtual or dataset.external
            shape, dtype, chunks = dataset.shape, dataset.dtype, dataset.chunks
            stored = dataset.id.get_storage_size()
        except TROUBLE as error:
            raise DatasetError(f"{self.path}: {dataset.name} is damaged, or of a type unknown here ({error})") from None
        if elsewhere:
            raise DatasetError(f"{self.path}: {dataset.name} is stored in other files; they are not opened")
        if shape is None:
            raise DatasetError(f"{self.path}: {dataset.name} holds nothing")
        declared = math.prod(shape) * dtype.itemsize
        if declared > MOST_PER_STORED_BYTE * stored:
            raise DatasetError(
                f"{self.path}: {dataset.name} declares {declared:,} bytes but stores {stored:,}; not read"
            )
        if chunks is not None and (needed := math.prod(chunks) * dtype.itemsize) > MAX_READ_BYTES // 4:
            raise DatasetError(f"{self.path}: {dataset.name} has chunks of {needed:,} bytes; not read")
        return shape, dtype


class CsdEntry:
    """The features of one video, still in the file."""

    def __init__(self, path: Path, entry_id: str, features: h5py.Dataset, intervals: h5py.Dataset) -> None:
        self.path, self.id = path, entry_id
        self._features, self._intervals = features, intervals

    @property
    def n_frames(self) -> int:
        """The number of frames."""
        return int(self._features.shape[0])

    @property
    def size(self) -> int:
        """The number of features per frame."""
        return int(self._features.shape[1])

    @property
    def is_text(self) -> bool:
        """Whether the features are words."""
        return self._features.dtype.kind == "S"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the features as the file has them."""
        return self._features.dtype

    @property
    def is_chunked(self) -> bool:
        """Whether the features are stored in chunks, perhaps compressed, which are unpacked as a whole."""
        return self._features.chunks is not None

    @cached_property
    def intervals(self) -> NDArray[np.float64]:
        """Start and end of each frame ``(frames, 2)`` in seconds, as the file has them."""
        return self._read(self._intervals, 0, self.n_frames).astype(np.float64, copy=False)

    @cached_property
    def midpoints(self) -> NDArray[np.float64]:
        """The middle of each frame ``(frames,)`` in seconds."""
        with np.errstate(invalid="ignore", over="ignore"):  # a frame from -inf to inf is nowhere
            return self.intervals.mean(axis=1)

    @cached_property
    def _in_order(self) -> bool:
        return bool((self.midpoints[1:] >= self.midpoints[:-1]).all())  # False where a midpoint is NaN

    def values(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read some frames ``(frames, size)``: float32 numbers, or bytes for words.

        Raises:
            DatasetError: If they are damaged, or too many to read at once.
        """
        values = self._read(self._features, start, self.n_frames if stop is None else stop)
        if values.dtype == np.float32 or self.is_text:
            return values
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and so unobserved
            return values.astype(np.float32)

    def frames_between(self, start: float, end: float) -> NDArray[np.int64]:
        """Find the frames whose midpoint lies in ``[start, end)`` seconds, in order of time."""
        if self._in_order:
            first, last = np.searchsorted(self.midpoints, [start, end], side="left")
            return np.arange(first, last)
        inside = np.flatnonzero((self.midpoints >= start) & (self.midpoints < end))
        return inside[np.argsort(self.midpoints[inside], kind="stable")]

    def read_frames(self, frames: NDArray[np.int64]) -> NDArray[Any]:
        """Read frames by their index, in one slice of the file where that is possible."""
        if not len(frames):
            return self.values(0, 0)
        first, last = int(frames.min()), int(frames.max()) + 1
        values = self.values(first, last)
        return values if self._in_order and last - first == len(frames) else values[frames - first]

    def between(self, start: float, end: float) -> FeatureSequence:
        """Read the frames whose midpoint lies in ``[start, end)``; their intervals count from ``start``."""
        frames = self.frames_between(start, end)
        return FeatureSequence(self.read_frames(frames), self.intervals[frames] - start)

    def _read(self, dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
        item = dataset.dtype.itemsize + WORD_BYTES if dataset.dtype.kind == "S" else max(dataset.dtype.itemsize, 4)
        needed = (stop - start) * dataset.shape[1] * item
        if needed > MAX_READ_BYTES:
            raise DatasetError(
                f"{self.path}: {self.id!r}: {str(dataset.name).rsplit('/', 1)[-1]} would take {needed:,} bytes at "
                f"once; at most {MAX_READ_BYTES:,} are read"
            )
        try:
            return dataset[start:stop]
        except TROUBLE as error:
            raise DatasetError(f"{self.path}: {self.id!r}: damaged ({error}); download the file again") from None
