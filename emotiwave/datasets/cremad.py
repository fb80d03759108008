"""CREMA-D: English, 7442 clips by 91 actors, 6 emotions (Cao et al., IEEE TAC 2014); ODbL 1.0, contents DbCL 1.0.

The name of a clip says actor, sentence, emotion and level: ``1001_DFA_ANG_XX``. Levels other than XX occur with one
sentence only, and twelve sentences are the same for every emotion: sentence and level are no inputs, so the sentence is
kept as the transcript and is never a source of text.
"""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from emotiwave.datasets.clips import Clip, ClipCorpus, FoldSettings, find_clips, split_clips, to_recordings
from emotiwave.datasets.cremad_actors import read_actors
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import AbsolutePath
from emotiwave.types import Utterance

LANGUAGE = "en"
LICENCE = "ODbL 1.0, contents DbCL 1.0 (Cao et al. 2014)"
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
N_CLIPS = 7442
N_FOLDS = 5
FIRST_ACTOR = 1001
CREMAD = ClipCorpus(
    "cremad",
    ("CREMA-D", "cremad"),
    LICENCE,
    tuple(EMOTIONS.values()),
    "AudioWAV/1001_DFA_ANG_XX.wav or VideoFlash/1001_DFA_ANG_XX.flv",
)

# one published name ends in a single X
_NAME = re.compile(rf"10(0[1-9]|[1-8]\d|9[01])_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX?)")


class CremadSettings(FoldSettings):
    """Keys of ``[dataset]`` for ``name = "cremad"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(*CREMAD.folders))
    """A folder that holds ``AudioWAV``, ``VideoFlash`` or both; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["corpus", "seven"] = "corpus"
    """``corpus``: its six classes, as the actors intended them. ``seven``: those that corpora share; none is surprise.
    """
    fold: Literal[0, 1, 2, 3, 4, "random"] = 0
    """Every fifth actor, from this one on, is tested on; the next fold is ``validation``. ``random``: shares of the
    actors."""


def load(settings: CremadSettings) -> MediaRecordings:
    """Read the names of the clips: sound, film or both, whatever is there.

    Raises:
        DatasetError: If there is no folder or no clip in it.
    """
    counts: dict[str, Count] = {}
    root = check_root(settings.root, corpus=CREMAD.name, folder=CREMAD.folders[0], layout=CREMAD.layout)
    found = find_clips(CREMAD, root, clip_of, counts)
    if len(found) < N_CLIPS:
        counts[f"of {N_CLIPS} published clips, not there"] = N_CLIPS - len(found)
    actors = read_actors(root)
    clips = [_clip(name, sources, actors) for name, sources in found.items()]
    clips, counts["split"] = split_clips(clips, _fold, settings.fold, settings, folds=range(N_FOLDS))
    return to_recordings(CREMAD, settings.task, clips, counts)


def clip_of(stem: str) -> str | None:
    """Name the clip of a file, which is called as it is; None if it is no name of a clip.

    >>> clip_of("1001_DFA_ANG_XX")
    '1001_DFA_ANG_XX'
    """
    return stem if _NAME.fullmatch(stem) else None


def _clip(name: str, sources: Sources, actors: Mapping[str, Mapping[str, str]]) -> Clip:
    actor, sentence, emotion, _ = name.split("_")
    utterance = Utterance(
        id=name,
        split="train",
        label=EMOTIONS[emotion],
        speaker=actor,
        language=LANGUAGE,
        transcript=SENTENCES[sentence],
        about=actors.get(actor),
    )
    return Clip(utterance, sources)


def _fold(clip: Clip) -> int:
    return (int(str(clip.utterance.speaker)) - FIRST_ACTOR) % N_FOLDS
