"""GoEmotions: 54,263 English comments from Reddit, 28 classes or Ekman's six and neutral, several at once; CC BY 4.0.

Demszky et al., "GoEmotions: A dataset of fine-grained emotions", ACL 2020; Google Research released the code, not
the data, under Apache-2.0. A folder ``ekman`` or ``original`` holds
``labels.txt`` and ``train.tsv``, ``dev.tsv``, ``test.tsv`` with lines of text, label numbers and the comment's id,
separated by tabs. Authors are not named, so nothing keeps a person in one split.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.datasets.text_lines import read_lines, text_recordings
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.labels import SEVEN, to_seven
from emotiwave.recordings import Count, MediaRecordings
from emotiwave.sequences import first_duplicate
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import Label, LabelKind, LabelSet, Utterance

LICENCE = "CC BY 4.0 (Demszky et al. 2020)"
LAYOUT = "ekman/ and original/, each with labels.txt, train.tsv, dev.tsv, test.tsv"
SPLITS = {"train": "train", "dev": "validation", "test": "test"}  # the file's name -> ours
EKMAN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
ORIGINAL = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire"),
    *("disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy"),
    *("love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral"),
)

GoEmotionsTask = Literal["ekman", "original", "seven", "shares"]
KINDS: dict[GoEmotionsTask, LabelKind] = {
    "ekman": "multilabel",
    "original": "multilabel",
    "seven": "categorical",
    "shares": "distribution",
}


class GoEmotionsSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "goemotions"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder("goemotions"))
    """The folder of ``ekman`` and ``original``; by default in the folder that EMOTIWAVE_DATA names."""
    task: GoEmotionsTask = "ekman"
    """``ekman``: which of anger, disgust, fear, happiness, sadness, surprise, neutral hold, perhaps several.
    ``original``: which of the 28. ``seven``: the one of seven, of the comments that have one only. ``shares``: all
    comments, the classes of one sharing it equally."""


class Comment(NamedTuple):
    """One line of a file, with its classes by name."""

    id: str
    split: str
    text: str
    classes: tuple[str, ...]


def load(settings: GoEmotionsSettings) -> MediaRecordings:
    """Read the comments, in the order of the files.

    Raises:
        DatasetError: If a file is missing, or a line is not as it must be; it is named.
    """
    root = check_root(settings.root, corpus="goemotions", folder="goemotions", layout=LAYOUT)
    is_original = settings.task == "original"
    folder = root / ("original" if is_original else "ekman")
    names = _read_names(folder / "labels.txt", ORIGINAL if is_original else EKMAN)
    if not is_original:
        names = tuple(str(to_seven("goemotions", name)) for name in names)
    tables = tuple(folder / f"{name}.tsv" for name in SPLITS)
    comments = [comment for path in tables for comment in _read_comments(path, names)]
    twice = first_duplicate([comment.id for comment in comments])
    if twice is not None:
        raise DatasetError(f"goemotions: {folder}: comment {twice!r} occurs a second time; ids must be unique")
    counts: dict[str, Count] = {}
    if settings.task == "seven":
        single = [comment for comment in comments if len(comment.classes) == 1]
        counts["comments with several classes, left out"] = len(comments) - len(single)
        comments = single
    if settings.task == "shares":
        tied = sum(len(comment.classes) > 1 for comment in comments)
        counts["comments whose largest shares are tied, scored as the first of these classes"] = tied
    return text_recordings(
        [Utterance(c.id, c.split, _label(c, settings.task), language="en", transcript=c.text) for c in comments],
        name="goemotions",
        task=settings.task,
        licence=LICENCE,
        label_set=LabelSet(KINDS[settings.task], names if is_original else SEVEN),
        counts=counts,
        tables=(folder / "labels.txt", *tables),
    )


def _label(comment: Comment, task: GoEmotionsTask) -> Label:
    if task == "seven":
        return comment.classes[0]
    if task == "shares":
        return tuple((name in comment.classes) / len(comment.classes) for name in SEVEN)
    return comment.classes


def _read_names(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(line.strip() for _, line in read_lines(path, corpus="goemotions") if line.strip())
    for name in names:
        if name not in known:
            raise DatasetError(f"goemotions: {path}: {unknown_name('class', name[:50], known)}")
    if sorted(names) != sorted(known):
        raise DatasetError(f"goemotions: {path} names {len(names)} classes; expected each of {', '.join(known)} once")
    return names


def _read_comments(path: Path, names: Sequence[str]) -> Iterator[Comment]:
    """Split lines at their last two tabs: quotes and tabs in a text are part of it."""
    numbers = {str(number): name for number, name in enumerate(names)}
    for line_number, line in read_lines(path, corpus="goemotions"):
        if not line:
            continue
        cells = line.rsplit("\t", 2)
        chosen = cells[1].split(",") if len(cells) == 3 else []
        if not chosen or not cells[-1] or not numbers.keys() >= set(chosen) or len(set(chosen)) < len(chosen):
            raise DatasetError(
                f"goemotions: {path}: line {line_number}: {line[-50:]!r}; expected text, tab, class numbers from 0 to "
                f"{len(names) - 1} with commas, tab, id of the comment"
            )
        yield Comment(cells[2], SPLITS[path.stem], cells[0], tuple(numbers[number] for number in chosen))
