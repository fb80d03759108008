"""CMU-MOSEI from its ``.csd`` files: six emotions or sentiment, by segment or by video, every modality kept as it is.

The label columns are sentiment, happy, sad, anger, surprise, disgust, fear (README of CMU-MultimodalSDK); emotions are
rated 0 to 3, sentiment -3 to 3 (Zadeh et al., ACL 2018). A row of zeros means that no emotion was seen.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.datasets.csd.corpus import TRUTH_FILE, CsdCorpus, CsdSettings, Labelling, data_folder, load_recordings
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import read_archive
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath
from emotiwave.types import LabelSet, all_configurations

EMOTIONS = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
NO_EMOTION = "no emotion"
MOSEI = CsdCorpus(
    name="mosei",
    folder="CMU_MOSEI",
    licence="CMU MultiComp Lab, research use",
    labels="CMU_MOSEI_Labels.csd",
    words="CMU_MOSEI_TimestampedWords.csd",
    modalities={
        "text": "CMU_MOSEI_TimestampedWordVectors.csd",
        "audio": "CMU_MOSEI_COVAREP.csd",
        "vision": "CMU_MOSEI_VisualOpenFace2.csd",
    },
    documented=("sentiment", *EMOTIONS),
    ranges={"sentiment": (-3.0, 3.0)} | dict.fromkeys(EMOTIONS, (0.0, 3.0)),
    published_folds="mosei_meta/standard_folds.json",
)


class MoseiSettings(CsdSettings):
    """Keys of ``[dataset]`` for ``name = "mosei"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSEI.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""

    task: Literal["emotions", "intensity", "categorical", "argmax", "sentiment"] = "emotions"
    """``emotions``: six binary problems, present above 0. ``intensity``: six values 0-3. ``categorical``: the strongest
    emotion, or ``no emotion``. ``argmax``: the strongest of six, happiness where all are zero. ``sentiment``: -3 to 3.
    """
    ties: Literal["first", "leave_out"] = "first"
    """What ``categorical`` does where several emotions are strongest: the first in the order happiness, sadness, anger,
    surprise, disgust, fear, or none."""


def load(settings: MoseiSettings) -> Recordings:
    """Read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    recordings = load_recordings(MOSEI, settings, settings.task, labelling(settings))
    counts = dict(recordings.counts) | _count_labels(recordings)
    truth = next(iter(recordings.files.values())).parent / TRUTH_FILE
    if not _is_of_truth(recordings, settings):
        return replace(recordings, counts=counts)
    if not truth.exists():
        return replace(recordings, counts=counts, preferred=(*recordings.preferred, truth))
    posteriors = _read_truth(truth, recordings)
    return replace(recordings, counts=counts, posteriors=posteriors, sources=(*recordings.sources, truth))


def labelling(settings: MoseiSettings) -> Labelling:
    """Say how the ratings of a row become its label."""
    match settings.task:
        case "emotions":
            return Labelling(LabelSet("multilabel", EMOTIONS), EMOTIONS, _present)
        case "intensity":
            ranges = tuple(MOSEI.ranges[name] for name in EMOTIONS)
            return Labelling(
                LabelSet("continuous", EMOTIONS, ranges),
                EMOTIONS,
                lambda rated: tuple(rated[name] for name in EMOTIONS),
            )
        case "sentiment":
            ranges = (MOSEI.ranges["sentiment"],)
            return Labelling(
                LabelSet("continuous", ("sentiment",), ranges), ("sentiment",), lambda rated: (rated["sentiment"],)
            )
        case "argmax":
            return Labelling(
                LabelSet("categorical", EMOTIONS), EMOTIONS, lambda rated: max(EMOTIONS, key=rated.__getitem__)
            )
        case "categorical":
            return Labelling(
                LabelSet("categorical", (*EMOTIONS, NO_EMOTION)),
                EMOTIONS,
                lambda rated: _strongest(rated, leave_out_ties=settings.ties == "leave_out"),
                left_out="segments with several strongest emotions, left out",
            )


def _present(rated: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(name for name in EMOTIONS if rated[name] > 0)


def _strongest(rated: Mapping[str, float], *, leave_out_ties: bool) -> str | None:
    highest = max(rated[name] for name in EMOTIONS)
    if highest <= 0:
        return NO_EMOTION
    strongest = [name for name in EMOTIONS if rated[name] == highest]
    return None if leave_out_ties and len(strongest) > 1 else strongest[0]


def _count_labels(recordings: Recordings) -> dict[str, int]:
    """Count among the utterances of which every emotion is rated."""
    rated = [utterance.ratings or {} for utterance in recordings.utterances]
    emotions = [[ratings[name] for name in EMOTIONS] for ratings in rated if set(EMOTIONS) <= ratings.keys()]
    if not emotions:
        return {}
    return {
        "utterances without any emotion": sum(max(values) <= 0 for values in emotions),
        "utterances with several strongest emotions": sum(
            values.count(max(values)) > 1 and max(values) > 0 for values in emotions
        ),
    }


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
