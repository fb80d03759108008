"""Feature files of MMSA (``aligned_50.pkl``, ``unaligned_50.pkl`` of MOSI, MOSEI and others): sentiment and polarity.

The file is a dict: split -> ``text``, ``audio``, ``vision`` (utterances, frames, features), ``raw_text``, ``id``
(``video$_$clip``), ``regression_labels``, ``classification_labels``, ``annotations``, ``audio_lengths``,
``vision_lengths``. It is a pickle, read without running anything of it. ``text_bert`` holds tokens and is no feature.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.mmsa_frames import (
    MODALITIES,
    PaddedFrames,
    SplitFields,
    join_splits,
    read_frames,
    read_numbers,
)
from emotiwave.datasets.pickles import read_pickle
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.sequences import ComputationalSequence, first_duplicate
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import Corpus, Label, LabelSet, Utterance

LICENCE = "that of the corpus in the file; CMU-MOSI and CMU-MOSEI: CMU MultiComp Lab, research use"
SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # the file's name -> ours
POLARITIES = ("negative", "neutral", "positive")  # classification label 0, 1, 2
LABEL_SETS = {
    "sentiment": LabelSet("continuous", ("sentiment",), ranges=((-3.0, 3.0),)),
    "polarity": LabelSet("categorical", POLARITIES),
}


class MmsaSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "mmsa"``."""

    file: AbsolutePath
    """The pickle."""
    task: Literal["sentiment", "polarity"] = "sentiment"
    """``sentiment`` predicts a value from -3 to 3, ``polarity`` negative, neutral or positive."""


def load(settings: MmsaSettings) -> Corpus:
    """Read a file, in its own order; what had to be dealt with is counted in one DataWarning.

    Raises:
        DatasetError: If the file cannot be read safely or is not as MMSA writes it; file, split and key are named.
    """
    path = settings.file
    splits = _splits(read_pickle(path), path)
    notes: list[str] = []
    utterances = tuple(
        utterance for name, split in splits.items() for utterance in _utterances(name, split, settings.task, notes)
    )
    twice = first_duplicate([utterance.id for utterance in utterances])
    if twice is not None:
        among = ", ".join(repr(u.split) for u in utterances if u.id == twice)
        raise DatasetError(f"mmsa: {path}: id {twice!r} occurs more than once (in split {among}); ids must be unique")
    check_leakage(utterances, corpus=f"mmsa: {path}: id")
    sequences = _sequences(path, splits, notes)
    if notes:
        warnings.warn(f"mmsa: {path}: {'; '.join(notes)}", DataWarning, stacklevel=2)
    return Corpus(
        name="mmsa",
        task=settings.task,
        licence=LICENCE,
        label_set=LABEL_SETS[settings.task],
        utterances=utterances,
        sequences=sequences,
    )


def _splits(data: Any, path: Path) -> dict[str, SplitFields]:
    if type(data) is not dict or not data:
        raise DatasetError(f"mmsa: {path} holds a {type(data).__name__}; expected a dict of {', '.join(SPLITS)}")
    splits = {}
    for key, fields in data.items():
        where = f"mmsa: {path}: split {key!r}"
        if key not in SPLITS:
            raise DatasetError(f"{where}: unknown; expected {', '.join(SPLITS)}")
        if type(fields) is not dict:
            raise DatasetError(f"{where} is a {type(fields).__name__}; expected a dict with text, audio, vision, id, …")
        if not fields:
            continue
        if "id" not in fields:
            raise DatasetError(f"{where} lacks the key 'id'; it has {', '.join(map(str, fields))}")
        ids = _strings(fields["id"], f"{where}: id")
        if "utterance_id" in fields:  # what emotiwave calls them, where it wrote the file
            ids = _column(SplitFields(fields, tuple(ids), where), "utterance_id") or ids
        if ids:
            splits[SPLITS[key]] = SplitFields(fields, tuple(ids), where)
    if not splits:
        raise DatasetError(f"mmsa: {path} has no utterances")
    return splits


# Utterances


def _strings(found: Any, where: str) -> list[str]:
    """Strings in a list or an array, those of Python 2 decoded."""
    if isinstance(found, np.ndarray) and found.ndim and found.size == len(found):
        found = found.reshape(-1).tolist()
    if not isinstance(found, list | tuple):
        raise DatasetError(f"{where} is a {type(found).__name__}; expected a list of strings")
    strings = []
    for item in found:
        try:
            text = item.decode() if isinstance(item, bytes) else item
        except UnicodeDecodeError:
            raise DatasetError(f"{where}: item {len(strings)} is not UTF-8") from None
        if not isinstance(text, str):
            raise DatasetError(f"{where}: item {len(strings)} is a {type(text).__name__}; expected a string")
        strings.append(str(text))
    return strings


def _column(split: SplitFields, key: str) -> list[str] | None:
    if split.fields.get(key) is None:
        return None
    found = _strings(split.fields[key], f"{split.where}: {key}")
    if len(found) != len(split.ids):
        raise DatasetError(f"{split.where}: {key} has {len(found)} items; id has {len(split.ids)}")
    return found


def _utterances(name: str, split: SplitFields, task: str, notes: list[str]) -> list[Utterance]:
    transcripts = _column(split, "raw_text") or [""] * len(split.ids)
    sentiment = _sentiment(split, notes)
    labels: list[Label]
    if task == "polarity":
        labels = list(_polarity(split, sentiment, notes))
    elif sentiment is not None:
        labels = [(value,) for value in sentiment]
    else:
        raise DatasetError(
            f"{split.where} lacks the key 'regression_labels'; with classes only, set task = \"polarity\""
        )
    videos = [_video(name, split.where) for name in _strings(split.fields["id"], split.where)]
    return [
        Utterance(
            id=split.ids[row],
            split=name,
            label=labels[row],
            dialogue=videos[row],
            transcript=transcripts[row] or None,
            ratings=None if sentiment is None else {"sentiment": sentiment[row]},
        )
        for row in range(len(split.ids))
    ]


def _video(name: str, where: str) -> str:
    found = re.fullmatch(r"(.+)(?:\$_\$.+|\[.+\])", name, flags=re.DOTALL)
    if found is None:
        raise DatasetError(f"{where}: id {name!r}; expected video$_$clip, so that a video can be kept in one split")
    return found[1]


def _sentiment(split: SplitFields, notes: list[str]) -> list[float] | None:
    if split.fields.get("regression_labels") is None:
        return None
    values = read_numbers(split, "regression_labels")
    clamped = np.clip(values, -3.0, 3.0)
    if (outside := int((clamped != values).sum())) > 0:
        notes.append(f"{_name(split)}: {outside} of {len(values)} labels outside -3 to 3, clamped")
    return clamped.tolist()


def _polarity(split: SplitFields, sentiment: list[float] | None, notes: list[str]) -> list[str]:
    """Classes from classification_labels; where there are none from annotations, else from the sign of the value."""
    if split.fields.get("classification_labels") is not None:
        classes = read_numbers(split, "classification_labels")
        if len(wrong := np.flatnonzero(~np.isin(classes, (0, 1, 2)))):
            raise DatasetError(
                f"{split.where}: classification_labels of {split.ids[wrong[0]]!r} is {classes[wrong[0]]:g}; "
                "expected 0 (negative), 1 (neutral) or 2 (positive)"
            )
        return [POLARITIES[int(k)] for k in classes]
    annotations = _column(split, "annotations")
    if annotations is not None:
        notes.append(f"{_name(split)}: polarity from annotations, since there are no classification_labels")
        for name, annotation in zip(split.ids, annotations, strict=True):
            if annotation.lower() not in POLARITIES:
                raise DatasetError(
                    f"{split.where}: annotations of {name!r} is {annotation!r}; expected {', '.join(POLARITIES)}"
                )
        return [annotation.lower() for annotation in annotations]
    if sentiment is None:
        raise DatasetError(f"{split.where} has none of classification_labels, annotations and regression_labels")
    notes.append(f"{_name(split)}: polarity from the sign of regression_labels, since there are no classes")
    return [POLARITIES[1 + int(np.sign(value))] for value in sentiment]


def _name(split: SplitFields) -> str:
    return split.where.rsplit("split ", 1)[1]


# Features


def _sequences(path: Path, splits: Mapping[str, SplitFields], notes: list[str]) -> dict[str, ComputationalSequence]:
    found = {name: read_frames(split) for name, split in splits.items()}
    names = [modality for modality in MODALITIES if any(modality in frames for frames in found.values())]
    _check_modalities(path, splits, found, names, notes)
    for name, frames in found.items():
        _check_present(splits[name], frames)
        for modality, padded in frames.items():
            _note_frames(f"{_name(splits[name])}: {modality}", padded, notes)
    return {modality: join_splits([(splits[name], found[name][modality]) for name in splits]) for modality in names}


def _check_modalities(
    path: Path,
    splits: Mapping[str, SplitFields],
    found: Mapping[str, Mapping[str, PaddedFrames]],
    names: list[str],
    notes: list[str],
) -> None:
    tokens = any(split.fields.get("text_bert") is not None for split in splits.values())
    if not names:
        if tokens:
            raise DatasetError(
                f"mmsa: {path} has text_bert (token ids) and no text, audio or vision; token ids are no features: run "
                "a text encoder over raw_text and store what it gives under 'text'"
            )
        raise DatasetError(f"mmsa: {path} has no features; expected at least one of {', '.join(MODALITIES)}")
    for name, split in splits.items():
        for modality in names:
            if modality not in found[name]:
                raise DatasetError(f"{split.where} lacks the key {modality!r}, which other splits have")
    if tokens and "text" not in names:
        notes.append("only text_bert (token ids) and no text features, which needs a text encoder: no text modality")


def _check_present(split: SplitFields, frames: Mapping[str, PaddedFrames]) -> None:
    nothing = ~np.any([padded.present for padded in frames.values()], axis=0)
    if nothing.any():
        name = split.ids[int(np.flatnonzero(nothing)[0])]
        raise DatasetError(
            f"{split.where}: {int(nothing.sum())} utterances, the first {name!r}, are zero in {', '.join(frames)}; "
            "leave them out of the file"
        )


def _note_frames(where: str, padded: PaddedFrames, notes: list[str]) -> None:
    missing: NDArray[np.bool_] = ~padded.present
    total = len(missing)
    for count, what in (
        (int(missing.sum()), "have no frame that is not zero, and so lack it"),
        (padded.longer, "state more frames than are stored, and keep those stored"),
        (padded.beyond, "have frames beyond the length they state, which are left out"),
    ):
        if count:
            notes.append(f"{where}: {count} of {total} utterances {what}")
