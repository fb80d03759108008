"""The files of CMU-MOSI at utterance level, as declare-lab published them: labels, splits, transcripts and features.

1447 train and 752 test utterances of 62 and 31 videos. The text and video vectors were trained on the labels of the
train videos, so a validation split cut from train overrates them (Poria et al., ACL 2017, describe the features).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.datasets.splits import check_leakage, split_off
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import read_archive
from emotiwave.sequences import ComputationalSequence, first_duplicate
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import LabelSet, Utterance

FOLDER = "mosi_trimodal"
TABLE = "utterances.csv"
FEATURES = "features.npz"
LAYOUT = f"{TABLE} and {FEATURES}"
LICENCE = "features: MIT (declare-lab); corpus: CMU MultiComp Lab, research use"
ARRAYS = {"text": "text", "audio": "audio", "vision": "video"}  # our modality -> the file's array
COLUMNS = ("utt_id", "video_id", "utt_index", "split", "polarity", "sentiment", "text")
NUMBERS = ("utt_index", "polarity", "sentiment")
POLARITIES = {0: "negative", 1: "positive"}
LABEL_SETS = {
    "polarity": LabelSet("categorical", tuple(POLARITIES.values())),
    "sentiment": LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),)),
}


class MosiFilesSettings(Settings):
    """Keys of ``[dataset]`` for every corpus of these files."""

    root: AbsolutePath | None = None
    """The folder ``mosi_trimodal``; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["polarity", "sentiment"] = "polarity"
    """``polarity``: negative or positive. ``sentiment``: the raters' mean, from -3 to 3."""
    validation_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the train videos to hold out as ``validation``; misleading with these features."""
    split_seed: int = Field(default=0, ge=0)


class MosiFiles(NamedTuple):
    """What was read: utterances in the order of the videos and of the utterances in them, and where from."""

    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    sequences: dict[str, ComputationalSequence]
    tables: tuple[Path, ...]


def read_mosi(settings: MosiFilesSettings, modalities: Collection[str], *, corpus: str) -> MosiFiles:
    """Read labels, splits and transcripts, and the features of some modalities.

    Args:
        settings: Where the files are, and the task.
        modalities: Of ``text``, ``audio`` and ``vision``, those whose features are wanted; others are not looked at.
        corpus: Who asks, for errors.

    Raises:
        DatasetError: If a file is missing or its rows, columns or labels are not as published.
    """
    root = check_root(settings.root or data_folder(FOLDER), corpus=corpus, folder=FOLDER, layout=LAYOUT)
    path, arrays_path = root / TABLE, root / FEATURES
    try:
        table = _read_table(path)
        arrays = _read_arrays(arrays_path, modalities, n_rows=len(table))
        table = table.sort_values(["video_id", "utt_index"], kind="stable")
        utterances = tuple(_utterance(row, settings.task, path) for row in table.to_dict("records"))
    except (DatasetError, FeatureError) as error:
        raise DatasetError(f"{corpus}: {error}") from None
    check_leakage(utterances, corpus=corpus)
    if settings.validation_share:
        utterances = split_off(
            utterances, source="train", target="validation", share=settings.validation_share, seed=settings.split_seed
        )
    order = table.index.to_numpy()
    ids = tuple(utterance.id for utterance in utterances)
    return MosiFiles(
        label_set=LABEL_SETS[settings.task],
        utterances=utterances,
        sequences={name: _one_frame_each(ids, array[order]) for name, array in arrays.items()},
        tables=(path, arrays_path),
    )


def _read_table(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise DatasetError(f"{path} does not exist; expected {LAYOUT} in {path.parent}")
    try:
        table = pd.read_csv(path, dtype={"utt_id": str, "video_id": str, "text": str}, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path} cannot be read as a table ({error})") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DatasetError(f"{path} lacks column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    for column in NUMBERS:
        numbers = pd.Series(pd.to_numeric(table[column], errors="coerce"))
        for row in table.loc[numbers.isna()].to_dict("records"):
            raise DatasetError(f"{path}: {row['utt_id']}: {column} {row[column]!r}; expected a number")
        table[column] = numbers
    twice = first_duplicate(table["utt_id"].tolist())
    if twice is not None:
        raise DatasetError(f"{path}: duplicate utt_id {twice!r}; ids must be unique")
    return table


def _read_arrays(path: Path, modalities: Collection[str], *, n_rows: int) -> Mapping[str, NDArray[np.float32]]:
    archive = read_archive(path)
    names = {modality: name for modality, name in ARRAYS.items() if modality in modalities}
    for name in names.values():
        if name not in archive:
            raise DatasetError(f"{path} lacks the array {name!r}; expected {', '.join(names.values())}")
        if archive[name].ndim != 2 or len(archive[name]) != n_rows:
            raise DatasetError(
                f"{path}: array {name!r} has shape {archive[name].shape}; expected ({n_rows}, features), "
                f"one row per row of {TABLE}"
            )
        if archive[name].dtype.kind not in "fiu":
            raise DatasetError(f"{path}: array {name!r} holds {archive[name].dtype}; expected numbers")
    return {modality: archive[name].astype(np.float32) for modality, name in names.items()}


def _utterance(row: Mapping[Any, Any], task: str, path: Path) -> Utterance:
    if row["polarity"] not in POLARITIES:
        raise DatasetError(f"{path}: {row['utt_id']}: polarity {row['polarity']!r}; expected 0 or 1")
    sentiment = float(row["sentiment"])
    label = POLARITIES[row["polarity"]] if task == "polarity" else (sentiment,)
    try:
        LABEL_SETS[task].encode(label)  # now, and not after transcripts were encoded
    except DatasetError as error:
        raise DatasetError(f"{path}: {row['utt_id']}: {error}") from None
    return Utterance(
        id=row["utt_id"],
        split=row["split"],
        label=label,
        dialogue=row["video_id"],
        language="en",
        transcript=row["text"],
        ratings={"sentiment": sentiment},
    )


def _one_frame_each(ids: tuple[str, ...], rows: NDArray[np.float32]) -> ComputationalSequence:
    """Make sequences of one frame; the source has no times, so the intervals are unknown."""
    return ComputationalSequence(
        ids=ids,
        values=rows,
        intervals=np.full((len(rows), 2), np.nan),
        offsets=np.arange(len(rows) + 1, dtype=np.int64),
    )
