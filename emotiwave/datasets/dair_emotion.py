"""Emotion of dair-ai: 20,000 English tweets of six classes, love among them; no licence stated, research and education.

Saravia et al., "CARER: Contextualized affect representations for emotion recognition", EMNLP 2018. The tweets are read
from ``train.txt``, ``val.txt``, ``test.txt`` with lines of text and class, separated by a semicolon, or from the Hub.
Authors are not named, so nothing keeps a person in one split.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.datasets.text_lines import read_lines, text_recordings
from emotiwave.errors import DatasetError, MissingExtraError, unknown_name
from emotiwave.labels import SEVEN, to_seven
from emotiwave.recordings import Count, MediaRecordings
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import LabelSet, Utterance

LICENCE = "none stated; research and education (Saravia et al. 2018)"
HUB_NAME = "dair-ai/emotion"
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # the file's name -> ours
LAYOUT = "train.txt, val.txt, test.txt"
CLASSES = {
    "sadness": "sadness",
    "joy": "happiness",
    "love": "love",
    "anger": "anger",
    "fear": "fear",
    "surprise": "surprise",
}
"""The corpus's word, in the order of its numbers on the Hub -> ours."""


class DairEmotionSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "dair_emotion"``."""

    source: Literal["files", "hub"] = "files"
    """The three files in ``root``, or the Hub, which needs the extra ``hub`` and a network for the first time."""
    root: AbsolutePath | None = Field(default_factory=lambda: data_folder("dair_emotion"))
    """The folder of the files; by default in the folder that EMOTIWAVE_DATA names."""
    revision: str | None = None
    """Commit or tag on the Hub; the newest by default."""
    task: Literal["corpus", "seven"] = "corpus"
    """The six classes of the corpus, or those of them that are among the seven that corpora share: all but love."""


class Tweet(NamedTuple):
    """One text, and its class in the corpus's word; ``number`` counts from 1 in its split."""

    split: str
    number: int
    text: str
    label: str


def load(settings: DairEmotionSettings) -> MediaRecordings:
    """Read the tweets, in the order of their source.

    Raises:
        DatasetError: If a file is missing, a line is not as it must be, or the Hub gives nothing.
        MissingExtraError: If the Hub is asked for and the extra is not installed.
    """
    tables: tuple[Path, ...] = ()
    if settings.source == "hub":
        tweets = list(_read_hub(settings.revision))
    else:
        root = check_root(settings.root, corpus="dair_emotion", folder="dair_emotion", layout=LAYOUT)
        tables = tuple(root / f"{name}.txt" for name in SPLITS)
        tweets = [tweet for path in tables for tweet in _read_tweets(path)]
    counts: dict[str, Count] = {}
    if settings.task == "seven":
        kept = [tweet for tweet in tweets if to_seven("dair_emotion", tweet.label)]
        counts["texts of love, which is none of the seven, left out"] = len(tweets) - len(kept)
        tweets = kept
    return text_recordings(
        [
            Utterance(f"{t.split}-{t.number:05d}", t.split, CLASSES[t.label], language="en", transcript=t.text)
            for t in tweets
        ],
        name="dair_emotion",
        task=settings.task,
        licence=LICENCE,
        label_set=LabelSet("categorical", SEVEN if settings.task == "seven" else tuple(CLASSES.values())),
        counts=counts,
        tables=tables,
    )


def _read_tweets(path: Path) -> Iterator[Tweet]:
    """Split lines at their last semicolon: others are part of the text. Empty lines are not counted."""
    number = 0
    for line_number, line in read_lines(path, corpus="dair_emotion"):
        if not line.strip():
            continue
        number += 1
        text, semicolon, label = line.rpartition(";")
        where = f"dair_emotion: {path}: line {line_number}"
        if not semicolon:
            raise DatasetError(f"{where}: {line[:50]!r}; expected a text, a semicolon and a class")
        if label.strip() not in CLASSES:
            raise DatasetError(f"{where}: {unknown_name('class', label.strip()[:50], CLASSES)}")
        yield Tweet(SPLITS[path.stem], number, text, label.strip())


def _read_hub(revision: str | None) -> Iterator[Tweet]:
    try:
        hub: Any = import_module("datasets")
    except ImportError:
        raise MissingExtraError(
            "dair_emotion: the Hub needs the package datasets: pip install 'emotiwave[hub]'; or set "
            f'dataset.source = "files" and put {LAYOUT} into dataset.root'
        ) from None
    try:
        splits = hub.load_dataset(HUB_NAME, "split", revision=revision)
    except Exception as error:  # whatever the network, the Hub and the cache raise
        raise DatasetError(
            f"dair_emotion: {HUB_NAME} cannot be had from the Hub ({type(error).__name__}: {error}); check the network "
            f'and dataset.revision, or set dataset.source = "files" and put {LAYOUT} into dataset.root'
        ) from None
    for split in SPLITS.values():
        if split not in splits:
            raise DatasetError(
                f"dair_emotion: {HUB_NAME} lacks the split {split!r}; expected {', '.join(SPLITS.values())}"
            )
        yield from _read_hub_split(split, splits[split])


def _read_hub_split(split: str, rows: Any) -> Iterator[Tweet]:
    try:
        names = tuple(rows.features["label"].names)
        texts, labels = list(rows["text"]), [names[label] for label in rows["label"]]
    except (KeyError, AttributeError, IndexError, TypeError) as error:
        raise DatasetError(
            f"dair_emotion: {HUB_NAME}: split {split!r} is not as published ({error!r}); expected columns text and "
            "label, whose numbers have names; set dataset.revision to a commit that has them"
        ) from None
    for number, (text, label) in enumerate(zip(texts, labels, strict=True), start=1):
        if label not in CLASSES or not isinstance(text, str):
            raise DatasetError(
                f"dair_emotion: {HUB_NAME}: split {split!r}: row {number} is {label!r} of a {type(text).__name__}; "
                f"expected a text of {', '.join(CLASSES)}"
            )
        yield Tweet(split, number, text, label)
