"""CREMA-D's votes: what raters heard in 7,442 English clips of 91 actors, and what others saw; six classes; ODbL 1.0.

Cao et al., "CREMA-D: Crowd-sourced emotional multimodal actors dataset", IEEE Transactions on Affective Computing 2014.
Two modalities of six shares each: ``audio`` of the votes of those who only heard a clip, ``vision`` of those who only
saw the face. Nothing else of the table is a feature: the sentence, the level and the name of a clip tell its class (one
sentence only was spoken at three levels, never a neutral one, and the name spells out the emotion), and are not even
read. An utterance is called by the actor and the row of the table, where whoever needs the clip can look it up.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from emotiwave.datasets.cremad_actors import read_actors
from emotiwave.datasets.roots import check_root, data_folder
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.recordings import Count
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import Corpus, Label, LabelSet, Utterance

LICENCE = "ODbL 1.0 (database), DbCL 1.0 (contents)"
FILE = "votes_wide.csv"
MAX_BYTES = 2**26
"""The published table has 743 KB."""
N_FOLDS = 5
CLASSES = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
}
"""The table's word -> ours; also the order of the features."""
MODALITIES = ("audio", "vision")
SEEN_BY = {"audio": "voice", "vision": "face", "both": "av"}
"""Our word -> what the table's columns begin with."""
COLUMNS = ("actor", "actor_fold", "intended", *(f"{by}_{name}" for by in SEEN_BY.values() for name in CLASSES))


class CremadVotesSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "cremad_votes"``."""

    root: AbsolutePath | None = Field(default_factory=lambda: data_folder("cremad_votes"))
    """The folder of votes_wide.csv; by default in the folder that EMOTIWAVE_DATA names."""
    task: Literal["intended", "perceived", "distribution"] = "intended"
    """The emotion that the actor was to show, the one that most raters of voice and face together saw, or the shares of
    these raters."""
    fold: int = Field(default=0, ge=0, lt=N_FOLDS)
    """The fold of actors that is ``test``, 0 to 4."""
    validation_fold: int | None = Field(default=None, ge=0, lt=N_FOLDS)
    """The fold of actors that is ``validation``; the one after the test fold by default."""

    @model_validator(mode="after")
    def _folds_differ(self) -> "CremadVotesSettings":
        if self.fold == self.validation_fold:
            raise ValueError(f"fold and validation_fold are both {self.fold}; expected two folds of actors")
        return self


def load(settings: CremadVotesSettings) -> Corpus:
    """Read the votes, in the order of the table.

    Raises:
        DatasetError: If the table is missing or not as it must be; the row and column are named.
    """
    root = check_root(settings.root, corpus="cremad_votes", folder="cremad_votes", layout=FILE)
    table = _read_table(root / FILE)
    counts: dict[str, Count] = {"clips": len(table)}
    shares = {name: _shares(table, by) for name, by in SEEN_BY.items()}
    labels = _labels(table, shares["both"], settings.task, counts)
    kept = _rows_with_votes(list(labels), shares, counts)
    if settings.task == "distribution":
        tied = _are_tied(shares["both"][kept])
        counts["clips whose largest shares are tied, scored as the first of these classes"] = int(tied.sum())
    utterances = _utterances(table, {row: labels[row] for row in kept}, settings, read_actors(root))
    ids = [utterance.id for utterance in utterances]
    check_leakage(utterances, corpus="cremad_votes")
    return Corpus(
        name="cremad_votes",
        task=settings.task,
        licence=LICENCE,
        label_set=LabelSet(
            "distribution" if settings.task == "distribution" else "categorical", tuple(CLASSES.values())
        ),
        utterances=utterances,
        sequences={modality: _one_frame_each(ids, shares[modality][kept]) for modality in MODALITIES},
        counts=counts,
    )


def _read_table(path: Path) -> pd.DataFrame:
    """Read the columns that are needed and no other, so that no other can become a feature."""
    if not path.is_file():
        raise DatasetError(f"cremad_votes: {path} is no file; expected the table of votes there")
    if path.stat().st_size > MAX_BYTES:
        raise DatasetError(f"cremad_votes: {path} has more than {MAX_BYTES:,} bytes; expected the table of votes")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=lambda name: name in COLUMNS)
    except (ValueError, OSError) as error:
        raise DatasetError(f"cremad_votes: {path} cannot be read as a table ({error})") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DatasetError(f"cremad_votes: {path} lacks column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    for column in COLUMNS:
        if column in ("actor", "intended"):
            continue
        highest = N_FOLDS - 1 if column == "actor_fold" else 1000
        numbers = pd.Series(pd.to_numeric(table[column], errors="coerce"))
        bad = np.flatnonzero(~(numbers.isin(range(highest + 1))))
        if len(bad):
            raise DatasetError(
                f"cremad_votes: {path}: row {bad[0] + 1}: {column} {table[column].iloc[bad[0]]!r}; expected a whole "
                f"number from 0 to {highest}"
            )
        table[column] = numbers.astype(np.int64)
    return table


def _shares(table: pd.DataFrame, by: str) -> NDArray[np.float64]:
    """Shares of the votes ``(clips, 6)``; NaN where nobody voted."""
    votes = table[[f"{by}_{name}" for name in CLASSES]].to_numpy(np.float64)
    total = votes.sum(axis=1, keepdims=True)
    return np.divide(votes, total, out=np.full_like(votes, np.nan), where=total > 0)


def _rows_with_votes(
    rows: Sequence[int], shares: Mapping[str, NDArray[np.float64]], counts: dict[str, Count]
) -> list[int]:
    """Leave out the clips that nobody voted on; count them, and those that lack one modality."""
    unheard, unseen = (np.isnan(shares[modality][:, 0]) for modality in MODALITIES)
    kept = [row for row in rows if not (unheard[row] and unseen[row])]
    if len(kept) < len(rows):
        counts["clips without any vote, left out"] = len(rows) - len(kept)
    for modality, missing in zip(MODALITIES, (unheard[kept], unseen[kept]), strict=True):
        if missing.any():
            counts[f"clips without a vote on {modality}, which they lack"] = int(missing.sum())
    return kept


def _labels(table: pd.DataFrame, shares: NDArray[np.float64], task: str, counts: dict[str, Count]) -> dict[int, Label]:
    """The label of each row that has one: clips are left out, and counted, where raters of both are divided or none."""
    match task:
        case "intended":
            return _intended(table)
        case "perceived":
            return _perceived(table, counts)
        case _:
            voted = np.flatnonzero(~np.isnan(shares[:, 0])).tolist()
            if len(voted) < len(shares):
                counts["clips without a vote of who saw and heard them, left out"] = len(shares) - len(voted)
            return {row: tuple(shares[row].tolist()) for row in voted}


def _intended(table: pd.DataFrame) -> dict[int, Label]:
    for row, name in enumerate(table["intended"], start=1):
        if name not in CLASSES:
            raise DatasetError(f"cremad_votes: {FILE}: row {row}: {unknown_name('class', name, CLASSES)}")
    return {row: CLASSES[name] for row, name in enumerate(table["intended"])}


def _perceived(table: pd.DataFrame, counts: dict[str, Count]) -> dict[int, Label]:
    votes = table[[f"{SEEN_BY['both']}_{name}" for name in CLASSES]].to_numpy()
    is_clear = (~_are_tied(votes)).tolist()
    counts["clips whose most frequent votes are tied, left out"] = is_clear.count(False)
    names = list(CLASSES.values())
    return {row: names[votes[row].argmax()] for row, clear in enumerate(is_clear) if clear}


def _are_tied(votes: NDArray[np.number]) -> NDArray[np.bool_]:
    """Whether several classes have the most votes ``(clips,)``."""
    return (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1


def _utterances(
    table: pd.DataFrame,
    labels: Mapping[int, Label],
    settings: CremadVotesSettings,
    about: Mapping[str, Mapping[str, str]],
) -> tuple[Utterance, ...]:
    validation = (settings.fold + 1) % N_FOLDS if settings.validation_fold is None else settings.validation_fold
    splits: Mapping[int, str] = {settings.fold: "test", validation: "validation"}
    actors, folds = table["actor"].tolist(), table["actor_fold"].tolist()
    return tuple(
        Utterance(
            id=f"{actors[row]}-{row + 1:04d}",
            split=splits.get(folds[row], "train"),
            label=label,
            speaker=actors[row],
            language="en",
            about=about.get(actors[row]),
        )
        for row, label in labels.items()
    )


def _one_frame_each(ids: Sequence[str], shares: NDArray[np.float64]) -> ComputationalSequence:
    """Make sequences of one frame, without those of whom nobody voted; votes have no times."""
    voted = ~np.isnan(shares[:, 0])
    return ComputationalSequence(
        ids=tuple(name for name, has in zip(ids, voted, strict=True) if has),
        values=shares[voted].astype(np.float32),
        intervals=np.full((int(voted.sum()), 2), np.nan),
        offsets=np.arange(int(voted.sum()) + 1, dtype=np.int64),
    )
