"""CMU-MOSEI as media: 3,228 English videos of YouTube, 22,856 segments, six emotions and sentiment; research use only.

Zadeh et al., "Multimodal language analysis in the wild: CMU-MOSEI dataset and interpretable dynamic fusion graph",
ACL 2018. Labels, tasks and folds are those of ``mosei``; the features are yet to be extracted.
"""

from dataclasses import replace

from pydantic import Field

from emotiwave.datasets.csd.mosei_labels import MOSEI, MoseiTask, Ties, count_emotions, labelling
from emotiwave.datasets.csd_media import CsdMediaSettings, load_media
from emotiwave.datasets.roots import data_folder
from emotiwave.recordings import MediaRecordings
from emotiwave.settings import AbsolutePath

MOSEI_MEDIA = replace(MOSEI, name="mosei_media")


class MoseiMediaSettings(CsdMediaSettings):
    """Keys of ``[dataset]`` for ``name = "mosei_media"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSEI.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""
    task: MoseiTask = "emotions"
    """``emotions``: six binary problems, present above 0. ``intensity``: six values 0-3. ``categorical``: the strongest
    emotion, or ``no emotion``. ``argmax``: the strongest of six, happiness where all are zero. ``sentiment``: -3 to 3.
    """
    ties: Ties = "first"
    """What ``categorical`` does where several emotions are strongest: the first in the order happiness, sadness, anger,
    surprise, disgust, fear, or none."""


def load(settings: MoseiMediaSettings) -> MediaRecordings:
    """Read labels and folds, and find the media.

    Raises:
        DatasetError: If a file is missing or is not as it must be, or no labelled video is there.
    """
    recordings = load_media(MOSEI_MEDIA, settings, settings.task, labelling(settings.task, settings.ties))
    return replace(recordings, counts=dict(recordings.counts) | count_emotions(recordings.utterances))
