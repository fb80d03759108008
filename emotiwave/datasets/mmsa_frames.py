"""The features in MMSA files: padded arrays become sequences of the frames that are no padding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import DatasetError
from emotiwave.sequences import ComputationalSequence

MODALITIES = ("text", "audio", "vision")


@dataclass(frozen=True)
class SplitFields:
    """One split of a file: the fields as they were read, the utterances' ids, and how to call it in errors."""

    fields: Mapping[str, Any]
    ids: tuple[str, ...]
    where: str


@dataclass(frozen=True, eq=False)
class PaddedFrames:
    """One modality of one split; frames ``start[i]`` to ``stop[i]`` of utterance ``i`` are no padding.

    ``values[i]`` is ``(frames, features)``. Frames ``first[i]`` to ``last[i]`` are kept, those of them that are padding
    as unobserved: in files aligned to words they are where other modalities have a frame and this one has none.
    """

    values: Sequence[NDArray[Any]] | NDArray[Any]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    longer: int = 0
    """How many stated lengths exceed what is stored."""
    beyond: int = 0
    """How many utterances have frames that are not zero after their stated length."""

    @property
    def size(self) -> int:
        """The number of features."""
        return self.values[0].shape[1]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each utterance ``(utterances,)`` has a frame."""
        return self.stop > self.start


def read_frames(split: SplitFields) -> dict[str, PaddedFrames]:
    """Find the frames of each modality that a split has.

    Lengths come from ``*_lengths``, for text else from the attention mask in ``text_bert``; where there are none,
    frames of zeros at either end are padding. A modality that is zero throughout is missing.

    Raises:
        DatasetError: If shapes or lengths do not fit; file, split and key are named.
    """
    found = {name: _read(split, name) for name in MODALITIES if split.fields.get(name) is not None}
    stated = any(f"{name}_lengths" in split.fields for name in MODALITIES)
    return found if stated or len(found) < 2 or not _equally_long(found) else _keep_aligned(found)


def _read(split: SplitFields, name: str) -> PaddedFrames:
    values = _values(split, name)
    lengths, key = _stated_lengths(split, name)
    start, stop = np.zeros((2, len(values)), dtype=np.int64)
    longer = beyond = 0
    for row, frames in enumerate(values):
        filled = np.flatnonzero((frames != 0).any(axis=1))  # NaN too is not zero
        if not len(filled):
            continue
        if lengths is None:
            start[row], stop[row] = filled[0], filled[-1] + 1
            continue
        length = min(int(lengths[row]), len(frames))
        if length < 0:
            raise DatasetError(f"{split.where}: {key} of {split.ids[row]!r} is below 0; expected a number of frames")
        longer += int(lengths[row]) > len(frames)
        in_front = len(frames) - length if filled[-1] >= length and filled[0] >= len(frames) - length else 0
        beyond += bool(filled[-1] >= length and not in_front)
        start[row], stop[row] = in_front, in_front + length
        if not (frames[start[row] : stop[row]] != 0).any():
            stop[row] = start[row]
    return PaddedFrames(values, start, stop, start, stop, longer, beyond)


def _values(split: SplitFields, name: str) -> Sequence[NDArray[Any]] | NDArray[Any]:
    """Features as ``(utterances, frames, features)``, or one ``(frames, features)`` per utterance."""
    found = split.fields[name]
    where = f"{split.where}: {name}"
    if not isinstance(found, np.ndarray | list | tuple) or len(found) != len(split.ids):
        raise DatasetError(f"{where}: {_described(found)}; expected features of {len(split.ids)} utterances, as id has")
    if isinstance(found, np.ndarray) and found.dtype != object and found.ndim == 3:
        values = found
    else:
        values = [_one(item, f"{where} of {utterance!r}") for item, utterance in zip(found, split.ids, strict=True)]
    if {frames.shape[1] for frames in values} != {values[0].shape[1]} or not values[0].shape[1]:
        raise DatasetError(f"{where}: utterances differ in the number of features, or have none")
    if any(frames.dtype.kind not in "fiu" for frames in (values[:1] if isinstance(values, np.ndarray) else values)):
        raise DatasetError(f"{where}: holds {values[0].dtype}; expected numbers")
    return values


def _one(item: Any, where: str) -> NDArray[Any]:
    """Features of one utterance ``(frames, features)``; one row of features is one frame."""
    try:
        frames = np.asarray(item)
    except ValueError:
        raise DatasetError(f"{where}: rows differ in length; expected (frames, features)") from None
    if frames.dtype.kind not in "fiu" or frames.ndim not in (1, 2):
        raise DatasetError(f"{where}: {_described(frames)}; expected numbers of shape (frames, features)")
    return frames if frames.ndim == 2 else frames[None]


def _stated_lengths(split: SplitFields, name: str) -> tuple[NDArray[np.int64] | None, str]:
    key = f"{name}_lengths"
    if split.fields.get(key) is not None:
        return np.clip(read_numbers(split, key, whole=True), -1, 2**31).astype(np.int64), key
    tokens = split.fields.get("text_bert")
    if name != "text" or tokens is None:
        return None, key
    try:
        mask = np.asarray(tokens, dtype=np.float64)[:, 1, :] > 0
    except (TypeError, ValueError, IndexError):
        mask = np.empty((0, 0))
    if len(mask) != len(split.ids):
        raise DatasetError(
            f"{split.where}: text_bert: {_described(tokens)}; expected ({len(split.ids)}, 3, tokens): token ids, mask "
            "and segment ids"
        )
    return mask.sum(axis=1), "text_bert"


def read_numbers(split: SplitFields, key: str, *, whole: bool = False) -> NDArray[np.float64]:
    """Read one number per utterance ``(utterances,)``.

    Raises:
        DatasetError: If there are others than that; file, split and key are named.
    """
    found = split.fields[key]
    try:
        numbers = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise DatasetError(f"{split.where}: {key}: {_described(found)}; expected one number per utterance") from None
    if numbers.size != len(split.ids) or numbers.ndim == 0 or len(numbers) != len(split.ids):
        raise DatasetError(f"{split.where}: {key}: {_described(found)}; expected {len(split.ids)} numbers, as id has")
    numbers = numbers.reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(numbers) | (whole and numbers % 1 != 0))
    if len(wrong):
        row = int(wrong[0])
        kind = "a whole number" if whole else "a finite number"
        raise DatasetError(f"{split.where}: {key} of {split.ids[row]!r} is {numbers[row]}; expected {kind}")
    return numbers


def _described(found: Any) -> str:
    if isinstance(found, np.ndarray):
        return f"an array of shape {found.shape} and type {found.dtype}"
    return f"{len(found)} items" if isinstance(found, list | tuple) else f"a {type(found).__name__}"


def _equally_long(found: Mapping[str, PaddedFrames]) -> bool:
    lengths = [[len(frames) for frames in padded.values] for padded in found.values()]
    return all(others == lengths[0] for others in lengths)


def _keep_aligned(found: Mapping[str, PaddedFrames]) -> dict[str, PaddedFrames]:
    """Keep the frames that any modality has, so that frame ``i`` stays one word in all of them."""
    nowhere = np.iinfo(np.int64).max
    first = np.min([np.where(padded.present, padded.start, nowhere) for padded in found.values()], axis=0)
    last = np.max([np.where(padded.present, padded.stop, 0) for padded in found.values()], axis=0)
    aligned = {}
    for name, padded in found.items():
        bounds = np.where(padded.present, first, 0), np.where(padded.present, last, 0)
        aligned[name] = PaddedFrames(padded.values, padded.start, padded.stop, *bounds, padded.longer, padded.beyond)
    return aligned


def join_splits(parts: Sequence[tuple[SplitFields, PaddedFrames]]) -> ComputationalSequence:
    """Lay the frames of all splits one after the other; there are no times in the format, so intervals are NaN.

    Raises:
        DatasetError: If splits differ in the number of features.
    """
    size = parts[0][1].size
    for split, padded in parts:
        if padded.size != size:
            raise DatasetError(f"{split.where}: {padded.size} features; {parts[0][0].where} has {size}")
    lengths = np.concatenate([padded.last - padded.first for _, padded in parts])
    ids = [name for split, _ in parts for name in split.ids]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.full((int(offsets[-1]), size), np.nan, dtype=np.float32)
    row = 0
    with np.errstate(over="ignore"):  # what is no float32 becomes infinite, and so unobserved
        for _, padded in parts:
            for i, frames in enumerate(padded.values):
                at = int(offsets[row]) - int(padded.first[i]) + int(padded.start[i])
                values[at : at + int(padded.stop[i] - padded.start[i])] = frames[padded.start[i] : padded.stop[i]]
                row += 1
    present = lengths > 0
    return ComputationalSequence(
        ids=tuple(name for name, has in zip(ids, present, strict=True) if has),
        values=values,
        intervals=np.full((len(values), 2), np.nan),
        offsets=np.concatenate([[0], offsets[1:][present]]).astype(np.int64),
    )
