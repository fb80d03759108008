"""IEMOCAP: English, 10039 turns of 10 actors in 5 sessions, 12 hours (Busso et al., LRE 2008); by signed release.

Each session has two actors of its own, so sessions are the folds. Raters' majority is the class; turns without one are
left out. A film shows both actors of its dialogue, whoever speaks.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from emotiwave.datasets.clips import Clip, ClipCorpus, FoldSettings, split_clips, to_recordings
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.errors import DatasetError
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.settings import AbsolutePath
from emotiwave.types import LabelSet, Segment, Utterance

LANGUAGE = "en"
LICENCE = "USC SAIL, research use by signed release form (Busso et al. 2008)"
NO_MAJORITY = "unknown"
EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": "other",
    "sad": "sadness",
    "sur": "surprise",
    "xxx": NO_MAJORITY,
}
FOUR = {
    "anger": "anger",
    "excitement": "happiness",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
}
"""The four classes that most papers report, with excitement merged into happiness: 5531 turns."""
DIMENSIONS = ("valence", "activation", "dominance")
SESSIONS = (1, 2, 3, 4, 5)
LONGEST = 16 * 2**20
"""Bytes; tables of the corpus have a hundred thousand at most."""
IEMOCAP = ClipCorpus(
    "iemocap",
    ("IEMOCAP", "iemocap", "IEMOCAP_full_release"),
    LICENCE,
    tuple(name for name in EMOTIONS.values() if name != NO_MAJORITY),
    "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, Session1/dialog/transcriptions/Ses01F_impro01.txt and "
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
)

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_RATED = re.compile(
    rf"\[{_NUMBER} - {_NUMBER}\]\s+(Ses\d\d[FM]_\w+_[FM]\w*\d+)\s+(\w+)\s+\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]\s*"
)
_SAID = re.compile(r"(\S+) \[[\d.]+-[\d.]+\]:(.*)")


class IemocapSettings(FoldSettings):
    """Keys of ``[dataset]`` for ``name = "iemocap"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(*IEMOCAP.folders))
    """The folder of ``Session1`` to ``Session5``; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["four", "corpus", "seven"] = "four"
    """``four``: anger, happiness with excitement, neutral, sadness. ``corpus``: its ten classes. ``seven``: those that
    corpora share, where excitement is happiness, and frustration and other are left out."""
    media: Literal["sentences", "dialogues", "none"] = "sentences"
    """``sentences``: the sound of each turn. ``dialogues``: film and sound of whole dialogues, of which turns are
    segments. ``none``: transcripts only."""
    fold: Literal[1, 2, 3, 4, 5, "random"] = 5
    """The session that is tested on; the next one is ``validation``. ``random``: shares of the speakers."""


class Turn(NamedTuple):
    """One rated turn; times in seconds from the start of its dialogue."""

    name: str
    dialogue: str
    start: float
    end: float
    emotion: str
    ratings: Mapping[str, float]


def load(settings: IemocapSettings) -> MediaRecordings:
    """Read ratings and transcripts of every session that is there.

    Raises:
        DatasetError: If the folder or a transcript is missing, or ratings are not as published.
    """
    root = check_root(settings.root, corpus=IEMOCAP.name, folder=IEMOCAP.folders[0], layout=IEMOCAP.layout)
    tables = _rating_files(root)
    said = {name: text for table in tables for name, text in _read_transcript(_transcript_of(table))}
    counts: Counter[str] = Counter()
    clips = []
    for table in tables:
        for turn in read_turns(table):
            reason = _why_left_out(turn, said.get(turn.name), settings)
            if reason:
                counts[reason] += 1
            else:
                clips.append(_clip(turn, table.parents[2], said.get(turn.name), settings, root))
    clips, how = split_clips(clips, _session, settings.fold, settings, folds=SESSIONS)
    names = tuple(dict.fromkeys(FOUR.values())) if settings.task == "four" else IEMOCAP.classes
    tables = (*tables, *map(_transcript_of, tables))
    labels = LabelSet("categorical", names)
    return to_recordings(IEMOCAP, settings.task, clips, counts | {"split": how}, label_set=labels, tables=tables)


def read_turns(path: Path) -> Iterator[Turn]:
    """Read the rated turns of one file of ``EmoEvaluation``.

    Raises:
        DatasetError: If a line that begins with a time is no turn, or its emotion is unknown.
    """
    for number, line in enumerate(_lines(path), start=1):
        if not re.match(r"\[[\d-]", line):
            continue
        found = _RATED.fullmatch(line)
        if found is None or found[4] not in EMOTIONS or float(found[2]) <= float(found[1]):
            raise DatasetError(
                f"iemocap: {path}, line {number}: {line[:80]!r}; expected [start - end], turn, emotion (one of "
                f"{', '.join(EMOTIONS)}) and [valence, activation, dominance]"
            )
        start, end, name, emotion, *ratings = found.groups()
        rated = {dimension: float(rating) for dimension, rating in zip(DIMENSIONS, ratings, strict=True)}
        yield Turn(name, path.stem, float(start), float(end), EMOTIONS[emotion], rated)


def _rating_files(root: Path) -> tuple[Path, ...]:
    found = sorted(root.glob("Session[1-5]/dialog/EmoEvaluation/*.txt"))
    tables = tuple(path for path in found if not path.name.startswith("."))
    if not tables:
        raise DatasetError(f"iemocap: no ratings in {root}; expected {IEMOCAP.layout}")
    return tables


def _transcript_of(table: Path) -> Path:
    return table.parents[1] / "transcriptions" / table.name


def _read_transcript(path: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        found = _SAID.match(line)
        if found and found[2].strip():
            yield found[1], found[2].strip()


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LONGEST:
            raise DatasetError(f"iemocap: {path} is too large for a table of this corpus; at most {LONGEST:,} bytes")
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DatasetError(f"iemocap: {path} cannot be read ({error.strerror}); expected {IEMOCAP.layout}") from None


def _why_left_out(turn: Turn, text: str | None, settings: IemocapSettings) -> str | None:
    if turn.emotion == NO_MAJORITY:
        return "turns without a majority of raters, left out"
    if settings.task == "four" and turn.emotion not in FOUR:
        return "turns of classes outside the four, left out"
    if settings.media == "none" and text is None:
        return "turns without a transcript, left out"
    return None


def _clip(turn: Turn, session: Path, text: str | None, settings: IemocapSettings, root: Path) -> Clip:
    film = session / "dialog" / "avi" / "DivX" / f"{turn.dialogue}.avi"
    sound = session / "dialog" / "wav" / f"{turn.dialogue}.wav"
    sources, segment = Sources(text=text), None
    match settings.media:
        case "sentences":
            name = f"{turn.name}.wav"
            sources = Sources(audio=session / "sentences" / "wav" / turn.dialogue / name, text=text)
        case "dialogues":
            sources = Sources(video=film, audio=sound if sound.is_file() else None, text=text)
            segment = Segment(film.relative_to(root).as_posix(), turn.start, turn.end)
    utterance = Utterance(
        id=turn.name,
        split="train",
        label=FOUR[turn.emotion] if settings.task == "four" else turn.emotion,
        dialogue=turn.dialogue,
        # the letter in the name of the dialogue says who wears the markers, the one of the turn who speaks
        speaker=f"{turn.name[:5]}{turn.name.rpartition('_')[2][0]}",
        language=LANGUAGE,
        transcript=text,
        segment=segment,
        ratings=turn.ratings,
    )
    return Clip(utterance, sources)


def _session(clip: Clip) -> int:
    return int(clip.utterance.id[3:5])
