"""MELD: English, 13708 utterances of 1433 dialogues of "Friends", 7 emotions (Poria et al., ACL 2019); GPL-3.0.

The dialogue itself is Warner Bros.' text. The official splits keep dialogues apart but share the main cast, so a result
here says nothing of new speakers. Speakers are therefore named within their dialogue (``train_dia0/Joey``), which tells
who speaks in turn, and lets no model or bootstrap take them for the same person elsewhere.
"""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from emotiwave.datasets.clips import Clip, ClipCorpus, to_recordings
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import LabelSet, Utterance

LANGUAGE = "en"
LICENCE = "GPL-3.0 (Poria et al. 2019); the dialogue is Warner Bros. text"
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SENTIMENTS = ("negative", "neutral", "positive")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
FILMS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
"""Where the clips of a split lie, as the published archives unpack: in the folder of the tables, or in that of
the split (``train/train_splits``)."""
LONGEST = 64 * 2**20
"""Bytes; the longest table has one million."""
MELD = ClipCorpus(
    "meld",
    ("MELD", "meld", "MELD.Raw", "meld_text"),
    LICENCE,
    EMOTIONS,
    "train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv",
)

_CONTINUED = "".join(
    bytes([byte]).decode("cp1252" if byte not in b"\x81\x8d\x8f\x90\x9d" else "latin-1") for byte in range(128, 192)
)
_MISREAD = re.compile(rf"(?P<twice>\u00e2\u20ac[{_CONTINUED}]|[\u00c2\u00c3][{_CONTINUED}])|[\x80-\x9f]")
"""UTF-8 of punctuation and of accented letters that was read as cp1252; cp1252 that was read as Latin-1."""


class MeldSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "meld"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder(*MELD.folders))
    """The folder of the three tables, and of the folders of clips if there are any; by default in the folder that
    EMOTIWAVE_DATA names."""
    task: Literal["corpus", "seven", "sentiment"] = "corpus"
    """``corpus``: its seven classes. ``seven``: the same by the names that corpora share (joy is happiness).
    ``sentiment``: negative, neutral, positive."""


def load(settings: MeldSettings) -> MediaRecordings:
    """Read the tables; a split without its folder of clips has its words only, which is counted.

    Raises:
        DatasetError: If a table is missing or not as published, or clips are named of which none is there.
    """
    root = check_root(settings.root, corpus=MELD.name, folder=MELD.folders[0], layout=MELD.layout)
    tables = tuple(root / f"{part}_sent_emo.csv" for part in SPLITS)
    counts: dict[str, Count] = {}
    clips: list[Clip] = []
    n_repaired = 0
    for part, path in zip(SPLITS, tables, strict=True):
        films = next((folder for folder in (root / FILMS[part], root / part / FILMS[part]) if folder.is_dir()), None)
        rows = _read_table(path, counts)
        if films is None:
            counts[f"{SPLITS[part]}: no folder of clips, words only"] = len(rows)
        for row in rows:
            clips.append(_clip(row, part, films, settings.task, path))
            n_repaired += clips[-1].sources.text != row["Utterance"]
    counts["utterances with repaired characters"] = n_repaired
    counts["speakers"] = "named within their dialogue; the main cast is in every split: not speaker-independent"
    labels = LabelSet("categorical", SENTIMENTS if settings.task == "sentiment" else EMOTIONS)
    return to_recordings(MELD, settings.task, clips, counts, label_set=labels, tables=tables)


def repair(text: str) -> str:
    r"""Put right cp1252 quotes and dashes that were read as Latin-1, or whose UTF-8 was read as cp1252.

    >>> repair("I\x92m"), repair("I\u00e2\u20ac\u2122m")
    ('I’m', 'I’m')
    """
    return _MISREAD.sub(_read_again, text)


def _read_again(found: re.Match[str]) -> str:
    try:
        if found["twice"] is None:
            return found[0].encode("latin-1").decode("cp1252")
        written = (char.encode("latin-1" if "\x80" <= char <= "\x9f" else "cp1252") for char in found[0])
        return b"".join(written).decode("utf-8")
    except UnicodeError:  # one of the five bytes that cp1252 does not have
        return found[0]


def _read_table(path: Path, counts: dict[str, Count]) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > LONGEST:
            raise DatasetError(f"meld: {path} is too large for a table of this corpus; at most {LONGEST:,} bytes")
        reader = csv.DictReader(io.StringIO(_decode(path, counts), newline=""), strict=True)
        rows = list(reader)
    except OSError as error:
        raise DatasetError(f"meld: {path} cannot be read ({error.strerror}); expected {MELD.layout}") from None
    except csv.Error as error:
        raise DatasetError(f"meld: {path} cannot be read as a table ({error})") from None
    columns = reader.fieldnames or ()
    for column in COLUMNS:
        if column not in columns:
            raise DatasetError(f"meld: {path} lacks column {column!r}; expected {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise DatasetError(f"meld: {path}, row {number}: expected {len(columns)} cells, as in the header")
    return rows


def _decode(path: Path, counts: dict[str, Count]) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        counts[f"read as cp1252: {path.name}"] = "no UTF-8"
        return content.decode("cp1252", errors="replace")


def _clip(row: Mapping[str, str], part: str, films: Path | None, task: str, path: Path) -> Clip:
    dialogue, number = row["Dialogue_ID"].strip(), row["Utterance_ID"].strip()
    if not (dialogue.isdecimal() and number.isdecimal()):
        raise DatasetError(f"meld: {path}: dialogue {dialogue!r}, utterance {number!r}; expected whole numbers")
    name = f"dia{int(dialogue)}_utt{int(number)}"
    column, known = ("Sentiment", SENTIMENTS) if task == "sentiment" else ("Emotion", EMOTIONS)
    label = row[column].strip().lower()
    if label not in known:
        raise DatasetError(f"meld: {path}, {name}: {unknown_name(column.lower(), label, known)}")
    text = repair(row["Utterance"])
    utterance = Utterance(
        id=f"{part}_{name}",
        split=SPLITS[part],
        label=label,
        dialogue=f"{part}_dia{int(dialogue)}",
        speaker=f"{part}_dia{int(dialogue)}/{repair(row['Speaker'])}",
        language=LANGUAGE,
        transcript=text,
    )
    return Clip(utterance, Sources(video=films / f"{name}.mp4" if films else None, text=text))
