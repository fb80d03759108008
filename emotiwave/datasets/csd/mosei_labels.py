"""CMU-MOSEI as all forms of it know it: names of files, ranges of ratings, and how ratings become labels.

The label columns are sentiment, happy, sad, anger, surprise, disgust, fear (README of CMU-MultimodalSDK); emotions are
rated 0 to 3, sentiment -3 to 3 (Zadeh et al., ACL 2018). A row of zeros means that no emotion was seen.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from emotiwave.datasets.csd.corpus import CsdCorpus, Labelling
from emotiwave.types import LabelSet, Utterance

MoseiTask = Literal["emotions", "intensity", "categorical", "argmax", "sentiment"]
Ties = Literal["first", "leave_out"]
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


def labelling(task: MoseiTask, ties: Ties) -> Labelling:
    """Say how the ratings of a row become its label."""
    match task:
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
                lambda rated: _strongest(rated, leave_out_ties=ties == "leave_out"),
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


def count_emotions(utterances: Iterable[Utterance]) -> dict[str, int]:
    """Count among the utterances of which every emotion is rated."""
    rated = [utterance.ratings or {} for utterance in utterances]
    emotions = [[ratings[name] for name in EMOTIONS] for ratings in rated if set(EMOTIONS) <= ratings.keys()]
    if not emotions:
        return {}
    return {
        "utterances without any emotion": sum(max(values) <= 0 for values in emotions),
        "utterances with several strongest emotions": sum(
            values.count(max(values)) > 1 and max(values) > 0 for values in emotions
        ),
    }
