"""Files in the layout of CMU-MOSEI as recordings, with the Bayes-optimal answers where made files bring them along."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.corpus import TRUTH_FILE, CsdCorpus, CsdSettings, load_recordings
from emotiwave.datasets.csd.mosei_labels import MoseiTask, Ties, count_emotions, labelling
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.npz import read_archive
from emotiwave.recordings import Recordings
from emotiwave.types import all_configurations


def load_mosei(corpus: CsdCorpus, settings: CsdSettings, task: MoseiTask, ties: Ties) -> Recordings:
    """Read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    recordings = load_recordings(corpus, settings, task, labelling(task, ties))
    counts = dict(recordings.counts) | count_emotions(recordings.utterances)
    truth = next(iter(recordings.files.values())).parent / TRUTH_FILE
    if not _is_of_truth(recordings, corpus, settings):
        return replace(recordings, counts=counts)
    if not truth.exists():
        return replace(recordings, counts=counts, preferred=(*recordings.preferred, truth))
    posteriors = _read_truth(truth, recordings)
    return replace(recordings, counts=counts, posteriors=posteriors, sources=(*recordings.sources, truth))


def _is_of_truth(recordings: Recordings, corpus: CsdCorpus, settings: CsdSettings) -> bool:
    """Whether the posteriors of made files are of this task, these label columns and these features."""
    same_features = all(corpus.modalities.get(name) == file.name for name, file in recordings.files.items())
    same_labels = recordings.label_columns == corpus.documented
    return recordings.task == "emotions" and settings.level == "segment" and same_features and same_labels


def _read_truth(path: Path, recordings: Recordings) -> Mapping[str, NDArray[np.float64]]:
    try:
        truth = read_archive(path)
        row = {str(name): index for index, name in enumerate(truth.pop("ids"))}
        rows = [row[utterance.id] for utterance in recordings.utterances]
        given = {frozenset(name.split("+")): array[rows] for name, array in truth.items()}
        posteriors = {str(known): given[frozenset(known.modalities)] for known in all_configurations(recordings.files)}
        for name, array in posteriors.items():
            _check_probabilities(name, array, (len(rows), len(recordings.label_set.names)))
    except (FeatureError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: is not of these files ({error}); make them again or delete it") from None
    return posteriors


def _check_probabilities(name: str, array: NDArray[np.float64], shape: tuple[int, int]) -> None:
    if array.shape != shape or array.dtype.kind != "f":
        raise ValueError(f"{name} has shape {array.shape} {array.dtype}; expected {shape} probabilities")
    if not ((array >= 0) & (array <= 1)).all():  # also false of NaN
        raise ValueError(f"{name} has values outside 0 to 1; expected probabilities")
