"""CMU-MOSI at utterance level: the declare-lab features, 1447 train and 752 test utterances of 62 and 31 videos.

The text and video vectors were trained on the labels of the train videos, so a validation split cut from train
overrates them (Poria et al., ACL 2017, describe the features). Train for a number of epochs fixed beforehand.
"""

from emotiwave.datasets.mosi_files import ARRAYS, LICENCE, MosiFilesSettings, read_mosi
from emotiwave.types import Corpus


class MosiSettings(MosiFilesSettings):
    """Keys of ``[dataset]`` for ``name = "mosi"``."""


def load(settings: MosiSettings) -> Corpus:
    """Read the corpus, in the order of the videos and of the utterances in them.

    Raises:
        DatasetError: If a file is missing or its rows, columns or labels are not as published.
    """
    read = read_mosi(settings, tuple(ARRAYS), corpus="mosi")
    return Corpus(
        name="mosi",
        task=settings.task,
        licence=LICENCE,
        label_set=read.label_set,
        utterances=read.utterances,
        sequences=read.sequences,
    )
