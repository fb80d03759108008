"""CMU-MOSI from its ``.csd`` files: sentiment from -3 to 3 of every opinion segment, every modality kept as it is.

File names are those of CMU-MultimodalSDK; the annotation is of Zadeh et al., IEEE Intelligent Systems 2016.
"""

from typing import Literal

from pydantic import Field

from emotiwave.datasets.csd.corpus import CsdCorpus, CsdSettings, Labelling, data_folder, load_recordings
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath
from emotiwave.types import LabelSet

RANGE = (-3.0, 3.0)
MOSI_CSD = CsdCorpus(
    name="mosi_csd",
    folder="CMU_MOSI",
    licence="CMU MultiComp Lab, research use",
    labels="CMU_MOSI_Opinion_Labels.csd",
    words="CMU_MOSI_TimestampedWords.csd",
    modalities={
        "text": "CMU_MOSI_TimestampedWordVectors.csd",
        "audio": "CMU_MOSI_COVAREP.csd",
        "vision": "CMU_MOSI_Visual_Facet_42.csd",
    },
    documented=("sentiment",),
    ranges={"sentiment": RANGE},
)


class MosiCsdSettings(CsdSettings):
    """Keys of ``[dataset]`` for ``name = "mosi_csd"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(MOSI_CSD.folder))
    """The folder of the .csd files; by default in the folder that EMOTIWAVE_DATA names."""

    task: Literal["sentiment", "polarity"] = "sentiment"
    """The rating from -3 to 3, or ``negative`` (below 0) against ``positive`` (0 and above)."""


def load(settings: MosiCsdSettings) -> Recordings:
    """Read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    if settings.task == "sentiment":
        labelling = Labelling(
            LabelSet("continuous", ("sentiment",), (RANGE,)), ("sentiment",), lambda rated: (rated["sentiment"],)
        )
    else:
        labelling = Labelling(
            LabelSet("categorical", ("negative", "positive")),
            ("sentiment",),
            lambda rated: "negative" if rated["sentiment"] < 0 else "positive",
        )
    return load_recordings(MOSI_CSD, settings, settings.task, labelling)
