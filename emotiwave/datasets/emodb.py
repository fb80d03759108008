"""Emo-DB: German, 535 clips by 10 actors, 7 emotions (Burkhardt et al., Interspeech 2005); free, cite the paper.

The name of a clip says actor, text, emotion (by its German initial) and take: ``03a01Fa``. The ten texts are the same
for every emotion: they are kept as transcripts, and are never a source of text. EmoBox's folds of this corpus share
actors between train and test, so each actor is a fold here.
"""

import re
from typing import Literal

from pydantic import Field

from emotiwave.datasets.clips import Clip, ClipCorpus, FoldSettings, find_clips, split_clips, to_recordings
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import AbsolutePath
from emotiwave.types import Utterance

LANGUAGE = "de"
LICENCE = "published free of charge, without a licence text; cite Burkhardt et al. 2005"
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
ACTORS = (3, 8, 9, 10, 11, 12, 13, 14, 15, 16)
TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
N_CLIPS = 535
EMODB = ClipCorpus("emodb", ("EmoDB", "emodb", "EMODB"), LICENCE, tuple(EMOTIONS.values()), "wav/03a01Fa.wav")

MEN = ("03", "10", "11", "12", "15")
"""Actors, as the database's page describes them (Burkhardt et al., 2005); the others are women."""
_NAME = re.compile(rf"({'|'.join(f'{actor:02d}' for actor in ACTORS)})({'|'.join(TEXTS)})[{''.join(EMOTIONS)}][a-z]")


class EmodbSettings(FoldSettings):
    """Keys of ``[dataset]`` for ``name = "emodb"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(*EMODB.folders))
    """A folder that holds ``wav``; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["corpus", "seven"] = "corpus"
    """``corpus``: its seven classes, boredom among them. ``seven``: those that corpora share, without boredom."""
    fold: Literal[3, 8, 9, 10, 11, 12, 13, 14, 15, 16, "random"] = 3
    """The actor that is tested on, by the number that file names begin with; the next one is ``validation``.
    ``random``: shares of the actors."""


def load(settings: EmodbSettings) -> MediaRecordings:
    """Read the names of the clips.

    Raises:
        DatasetError: If there is no folder or no clip in it.
    """
    counts: dict[str, Count] = {}
    root = check_root(settings.root, corpus=EMODB.name, folder=EMODB.folders[0], layout=EMODB.layout)
    found = find_clips(EMODB, root, clip_of, counts)
    if len(found) < N_CLIPS:
        counts[f"of {N_CLIPS} published clips, not there"] = N_CLIPS - len(found)
    clips = [_clip(name, sources) for name, sources in found.items()]
    clips, counts["split"] = split_clips(clips, _fold, settings.fold, settings, folds=ACTORS)
    return to_recordings(EMODB, settings.task, clips, counts)


def clip_of(stem: str) -> str | None:
    """Name the clip of a file, which is called as it is; None if it is no name of a clip.

    >>> clip_of("03a01Fa")
    '03a01Fa'
    """
    return stem if _NAME.fullmatch(stem) else None


def _clip(name: str, sources: Sources) -> Clip:
    utterance = Utterance(
        id=name,
        split="train",
        label=EMOTIONS[name[5]],
        speaker=name[:2],
        language=LANGUAGE,
        transcript=TEXTS[name[2:5]],
        about={"sex": "male" if name[:2] in MEN else "female"},
    )
    return Clip(utterance, sources)


def _fold(clip: Clip) -> int:
    return int(str(clip.utterance.speaker))
