"""CMU-MOSI as media: 93 English videos of YouTube, 2,199 opinion segments, sentiment from -3 to 3; research use only.

Zadeh et al., "Multimodal sentiment intensity analysis in videos", IEEE Intelligent Systems 2016. Labels, tasks and
folds are those of ``mosi_csd``; the features are yet to be extracted.
"""

from dataclasses import replace

from pydantic import Field

from emotiwave.datasets.csd.mosi_labels import MOSI_CSD, MosiTask, labelling
from emotiwave.datasets.csd_media import CsdMediaSettings, load_media
from emotiwave.datasets.roots import data_folder
from emotiwave.recordings import MediaRecordings
from emotiwave.settings import AbsolutePath

MOSI_MEDIA = replace(MOSI_CSD, name="mosi_media")


class MosiMediaSettings(CsdMediaSettings):
    """Keys of ``[dataset]`` for ``name = "mosi_media"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSI_CSD.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""
    task: MosiTask = "sentiment"
    """The rating from -3 to 3, or ``negative`` (below 0) against ``positive`` (0 and above)."""


def load(settings: MosiMediaSettings) -> MediaRecordings:
    """Read labels and folds, and find the media.

    Raises:
        DatasetError: If a file is missing or is not as it must be, or no labelled video is there.
    """
    return load_media(MOSI_MEDIA, settings, settings.task, labelling(settings.task))
