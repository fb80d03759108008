"""CMU-MOSI as all forms of it know it: names of files, the range of its rating, and how ratings become labels.

File names are those of CMU-MultimodalSDK; the annotation is of Zadeh et al., IEEE Intelligent Systems 2016.
"""

from typing import Literal

from emotiwave.datasets.csd.corpus import CsdCorpus, Labelling
from emotiwave.types import LabelSet

MosiTask = Literal["sentiment", "polarity"]
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


def labelling(task: MosiTask) -> Labelling:
    """Say how the rating of a row becomes its label."""
    if task == "sentiment":
        return Labelling(
            LabelSet("continuous", ("sentiment",), (RANGE,)), ("sentiment",), lambda rated: (rated["sentiment"],)
        )
    return Labelling(
        LabelSet("categorical", ("negative", "positive")),
        ("sentiment",),
        lambda rated: "negative" if rated["sentiment"] < 0 else "positive",
    )
