"""CMU-MOSI from its ``.csd`` files: sentiment from -3 to 3 of every opinion segment, every modality kept as it is.

File names are those of CMU-MultimodalSDK; the annotation is of Zadeh et al., IEEE Intelligent Systems 2016.
"""

from pydantic import Field

from emotiwave.datasets.csd.corpus import CsdSettings, load_recordings
from emotiwave.datasets.csd.mosi_labels import MOSI_CSD, MosiTask, labelling
from emotiwave.datasets.roots import data_folder
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath


class MosiCsdSettings(CsdSettings):
    """Keys of ``[dataset]`` for ``name = "mosi_csd"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSI_CSD.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""

    task: MosiTask = "sentiment"
    """The rating from -3 to 3, or ``negative`` (below 0) against ``positive`` (0 and above)."""


def load(settings: MosiCsdSettings) -> Recordings:
    """Read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    return load_recordings(MOSI_CSD, settings, settings.task, labelling(settings.task))
