"""CMU-MOSEI from its ``.csd`` files: six emotions or sentiment, by segment or by video, every modality kept as it is.

The label columns are sentiment, happy, sad, anger, surprise, disgust, fear (README of CMU-MultimodalSDK); emotions are
rated 0 to 3, sentiment -3 to 3 (Zadeh et al., ACL 2018). A row of zeros means that no emotion was seen.
"""

from pydantic import Field

from emotiwave.datasets.csd.corpus import CsdSettings
from emotiwave.datasets.csd.mosei_labels import EMOTIONS as EMOTIONS
from emotiwave.datasets.csd.mosei_labels import MOSEI, MoseiTask, Ties
from emotiwave.datasets.csd.mosei_recordings import load_mosei
from emotiwave.datasets.roots import data_folder
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath


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
    return load_mosei(MOSEI, settings, settings.task, settings.ties)
