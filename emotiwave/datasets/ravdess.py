"""RAVDESS, speech: English, 1440 clips by 24 actors, 8 emotions (Livingstone & Russo, PLOS ONE 2018); CC BY-NC-SA 4.0.

A file name is a code of seven two-digit numbers: modality (01 film with sound, 02 film, 03 sound), channel (01 speech,
02 song), emotion, intensity, statement, repetition, actor. Songs are left out. The two statements are the same for
every emotion, so the words tell nothing of it: they are kept as transcripts, and are never a source of text.
"""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from emotiwave.datasets.clips import Clip, ClipCorpus, FoldSettings, find_clips, split_clips, to_recordings
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import AbsolutePath
from emotiwave.types import Utterance

LANGUAGE = "en"
LICENCE = "CC BY-NC-SA 4.0 (Livingstone & Russo 2018)"
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
FOLDS: Mapping[int, tuple[int, ...]] = {
    1: (1, 11, 20, 21),
    2: (4, 10, 12, 14),
    3: (8, 9, 19, 23),
    4: (3, 5, 7, 24),
    5: (2, 15, 16, 18),
    6: (6, 13, 17, 22),
}
"""Actors of each test fold, as EmoBox publishes them (Ma et al., Interspeech 2024)."""
N_CLIPS = 1440
RAVDESS = ClipCorpus(
    "ravdess",
    ("RAVDESS", "ravdess", "ravdess_speech_16k"),
    LICENCE,
    tuple(EMOTIONS.values()),
    "Actor_01/03-01-01-01-01-01-01.wav or Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
)

_CODE = re.compile(r"0[123]-(?P<clip>0[12]-0[1-8]-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4]))")
_FOLD_OF_ACTOR = {actor: fold for fold, actors in FOLDS.items() for actor in actors}


class RavdessSettings(FoldSettings):
    """Keys of ``[dataset]`` for ``name = "ravdess"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(*RAVDESS.folders))
    """A folder that holds the actors' folders, at any depth; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["corpus", "seven"] = "corpus"
    """``corpus``: its eight classes. ``seven``: those that corpora share, where calm counts as neutral."""
    fold: Literal[1, 2, 3, 4, 5, 6, "random"] = 1
    """EmoBox's fold that is tested on; the next one is ``validation``. ``random``: shares of the actors."""


def load(settings: RavdessSettings) -> MediaRecordings:
    """Read the names of the clips: sound, film or both, whatever is there.

    Raises:
        DatasetError: If there is no folder or no clip in it.
    """
    counts: dict[str, Count] = {}
    root = check_root(settings.root, corpus=RAVDESS.name, folder=RAVDESS.folders[0], layout=RAVDESS.layout)
    found = find_clips(RAVDESS, root, clip_of, counts)
    speech = {name: sources for name, sources in found.items() if name.startswith("01-")}
    if len(speech) < len(found):
        counts["clips of song, left out"] = len(found) - len(speech)
    if len(speech) < N_CLIPS:
        counts[f"of {N_CLIPS} published clips, not there"] = N_CLIPS - len(speech)
    clips = [_clip(name, sources) for name, sources in speech.items()]
    clips, counts["split"] = split_clips(clips, _fold, settings.fold, settings, folds=tuple(FOLDS))
    return to_recordings(RAVDESS, settings.task, clips, counts)


def clip_of(stem: str) -> str | None:
    """Name the clip of a file: its code without the modality.

    >>> clip_of("03-01-06-01-02-01-12")
    '01-06-01-02-01-12'
    """
    found = _CODE.fullmatch(stem)
    return found["clip"] if found else None


def _clip(name: str, sources: Sources) -> Clip:
    _, emotion, _, statement, _, actor = name.split("-")
    utterance = Utterance(
        id=name,
        split="train",
        label=EMOTIONS[emotion],
        speaker=f"Actor_{actor}",
        language=LANGUAGE,
        transcript=STATEMENTS[statement],
        about={"sex": "male" if int(actor) % 2 else "female"},
    )
    return Clip(utterance, sources)


def _fold(clip: Clip) -> int:
    return _FOLD_OF_ACTOR[int(clip.utterance.id[-2:])]
