"""CMU-MOSEI from its ``.csd`` files: six emotions or sentiment, by segment or by video, every modality kept as it is.

The label columns are sentiment, happy, sad, anger, surprise, disgust, fear (README of CMU-MultimodalSDK); emotions are
rated 0 to 3, sentiment -3 to 3 (Zadeh et al., ACL 2018). A row of zeros means that no emotion was seen.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.datasets.csd.corpus import TRUTH_FILE, CsdSettings, load_recordings
from emotiwave.datasets.csd.mosei_labels import EMOTIONS as EMOTIONS
from emotiwave.datasets.csd.mosei_labels import MOSEI, MoseiTask, Ties, count_emotions, labelling
from emotiwave.datasets.roots import data_folder
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import read_archive
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath
from emotiwave.types import all_configurations


class MoseiSettings(CsdSettings):
    """Keys of ``[dataset]`` for ``name = "mosei"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSEI.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""

    task: MoseiTask = "emotions"
    """``emotions``: six binary problems, present above 0. ``intensity``: six values 0-3. ``categorical``: the strongest
    emotion, or ``no emotion``. ``argmax``: the strongest of six, happiness where all are zero. ``sentiment``: -3 to 3.
    """
    ties: Ties = "first"
    """What ``categorical`` does where several emotions are strongest: the first in the order happiness, sadness, anger,
    surprise, disgust, fear, or none."""


def load(settings: MoseiSettings) -> Recordings:
    """Read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    recordings = load_recordings(MOSEI, settings, settings.task, labelling(settings.task, settings.ties))
    counts = dict(recordings.counts) | count_emotions(recordings.utterances)
    truth = next(iter(recordings.files.values())).parent / TRUTH_FILE
    if not _is_of_truth(recordings, settings):
        return replace(recordings, counts=counts)
    if not truth.exists():
        return replace(recordings, counts=counts, preferred=(*recordings.preferred, truth))
    posteriors = _read_truth(truth, recordings)
    return replace(recordings, counts=counts, posteriors=posteriors, sources=(*recordings.sources, truth))


def _is_of_truth(recordings: Recordings, settings: MoseiSettings) -> bool:
    """Whether the posteriors of made files are of this task, these label columns and these features."""
    same_features = all(MOSEI.modalities.get(name) == file.name for name, file in recordings.files.items())
    same_labels = recordings.label_columns == MOSEI.documented
    return settings.task == "emotions" and settings.level == "segment" and same_features and same_labels


def _read_truth(path: Path, recordings: Recordings) -> Mapping[str, NDArray[np.float64]]:
    try:
        truth = read_archive(path)
        row = {str(name): index for index, name in enumerate(truth.pop("ids"))}
        rows = [row[utterance.id] for utterance in recordings.utterances]
        given = {frozenset(name.split("+")): array[rows] for name, array in truth.items()}
        return {str(known): given[frozenset(known.modalities)] for known in all_configurations(recordings.files)}
    except (FeatureError, KeyError, IndexError) as error:
        raise DatasetError(f"{path}: is not of these files ({error}); make them again or delete it") from None
