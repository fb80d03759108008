"""From rows of a manifest to labelled utterances in splits: class names are checked, groups are kept together."""

import difflib
import os
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from emotiwave.datasets.manifest_rows import ABOUT, RATING, SOURCE_COLUMNS, UTTERANCE_COLUMNS, ManifestRow, resolve_path
from emotiwave.datasets.shares import cut_shares
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.recordings import Count
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import Label, LabelSet, Utterance

SHARES = {"validation": 0.15, "test": 0.2}
"""What is held out of a manifest that has no column of splits."""
FREQUENT = 5
"""Rows of a class that a class of one row is compared with."""


class ManifestLabelSettings(Settings):
    """Keys of ``[dataset]`` that say what the rows of a manifest are labelled with, and how they are split."""

    file: AbsolutePath
    """The manifest: ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``."""
    root: AbsolutePath | None = None
    """The folder that paths in it start from; by default the one it lies in."""
    task: Literal["categorical", "multilabel", "distribution", "continuous"] = "categorical"
    """One class per row, any number of classes, the share of the raters that chose each class, or values."""
    labels: tuple[str, ...] | None = None
    """The classes in their order, by default those of the train rows, sorted; of shares, also the columns of these."""
    ranges: dict[str, tuple[float, float]] | None = None
    """Of continuous labels: column -> lowest and highest value."""
    extra_columns: tuple[str, ...] = ()
    """Columns of the manifest to pass over."""
    about_columns: tuple[str, ...] = ()
    """Columns of further facts, such as sex, by which `emotiwave evaluate --by` tells scores apart, beside those whose
    names begin with ``about.``; no model sees them."""
    language: str | None = None
    """ISO code of rows that do not say theirs."""
    licence: str = "not stated"
    validation_share: float | None = Field(default=None, ge=0.0, lt=0.5)
    """Share of the groups (linked by speaker, dialogue or file) that is held out as ``validation``; by default 0.15 of
    a manifest without a column of splits, none of others."""
    test_share: float | None = Field(default=None, ge=0.0, lt=0.5)
    """Share of the groups that is held out as ``test``; by default 0.2 of a manifest without a column of splits, none
    of others."""
    split_seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> Self:
        if (self.task == "continuous") != (self.ranges is not None):
            raise ValueError('task = "continuous" and ranges = {column = [lowest, highest]} go together')
        if self.task == "continuous" and self.labels is not None:
            raise ValueError("continuous labels are named by ranges; leave out labels")
        if self.task == "distribution" and self.labels is None:
            raise ValueError('task = "distribution" needs labels = [...], the columns with the share of each class')
        for name in self.value_columns:
            if name in (*SOURCE_COLUMNS, *UTTERANCE_COLUMNS) or name.startswith((RATING, ABOUT)):
                raise ValueError(f"a {self.task} label cannot be called {name!r}, which is a column of its own meaning")
        return self

    @property
    def folder(self) -> Path:
        """The folder that paths start from."""
        return self.root or self.file.parent

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns of continuous labels, or of shares."""
        return (self.labels or ()) if self.task == "distribution" else tuple(self.ranges or ())


def to_utterances(
    rows: Sequence[ManifestRow], settings: ManifestLabelSettings, *, corpus: str, counts: dict[str, Count]
) -> tuple[LabelSet, tuple[Utterance, ...]]:
    """Label the rows and put them into splits.

    Args:
        rows: In the order of the manifest.
        settings: What labels there are, and what is held out.
        corpus: Its name, for messages.
        counts: Gets how rows were split.

    Raises:
        DatasetError: If a label is missing, unknown or spelt in two ways, only some rows name a split, or splits share
            a speaker, dialogue or file.
    """
    label_set = _label_set(rows, settings)
    with_split = [row for row in rows if row.split is not None]
    if with_split and len(with_split) < len(rows):
        bare = next(row for row in rows if row.split is None)
        raise bare.source.error("names no split, and other rows do; expected train, validation or test")
    files = {row.id: _files(row, settings.folder) for row in rows}
    _check_files(rows, files)
    dialogues = _dialogues(rows)
    utterances = tuple(
        Utterance(
            id=row.id,
            split=row.split or "train",
            label=_label(row, label_set),
            dialogue=dialogue,
            speaker=row.speaker,
            language=row.language or settings.language,
            transcript=row.said or row.sources.text,
            segment=row.segment,
            ratings=row.ratings,
            about=row.about,
        )
        for row, dialogue in zip(rows, dialogues, strict=True)
    )
    utterances = _hold_out(utterances, settings, has_splits=bool(with_split), files=files, counts=counts)
    check_leakage(utterances, corpus=corpus)
    return label_set, utterances


def _label_set(rows: Sequence[ManifestRow], settings: ManifestLabelSettings) -> LabelSet:
    if settings.ranges is not None:
        return LabelSet("continuous", settings.value_columns, tuple(settings.ranges.values()))
    if settings.labels is not None:
        return LabelSet(settings.task, settings.labels)
    if all(row.label is None for row in rows):
        raise DatasetError(
            f"{settings.file}: no row has a label; add a column label (features of unlabelled media are extracted with "
            "`emotiwave data extract`)"
        )
    train = [row for row in rows if row.split in (None, "train")]
    found = Counter(name for row in train for name in row.label or ())
    if len(found) < 2:
        raise DatasetError(f"{settings.file}: the train rows have the classes {sorted(found)}; expected two or more")
    _check_spellings(found, settings.file)
    _warn_of_typos(found, settings.file)
    return LabelSet(settings.task, tuple(sorted(found)))


def _check_spellings(found: Counter[str], file: Path) -> None:
    """Refuse classes whose names differ in capitals or spaces only."""
    first: dict[str, str] = {}
    for name in sorted(found):
        other = first.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            raise DatasetError(
                f"{file}: {found[other]} train rows have the label {other!r} and {found[name]} have {name!r}; expected "
                "one spelling of a class (if they are two classes, name all of them in labels)"
            )


def _warn_of_typos(found: Counter[str], file: Path) -> None:
    frequent = {name.casefold(): name for name, count in found.items() if count >= FREQUENT}
    for name in sorted(name for name, count in found.items() if count == 1):
        near = difflib.get_close_matches(name.casefold(), frequent, n=1, cutoff=0.75)
        if near:
            warnings.warn(
                f"{file}: one row has the label {name!r}; is it {frequent[near[0]]!r} with a slip? (If it is a class "
                "of its own, name all of them in labels.)",
                DataWarning,
                stacklevel=2,
            )


def _label(row: ManifestRow, label_set: LabelSet) -> Label:
    label: Label
    names = row.label or ()
    if label_set.kind == "multilabel":
        label = names
    elif label_set.kind in ("continuous", "distribution"):
        if row.values is None:
            raise row.source.error(f"lacks a value; expected one in each of {', '.join(label_set.names)}")
        label = row.values
    else:
        if not names:
            raise row.source.error("has no label; give it one or leave the row out")
        if len(names) > 1:
            raise row.source.error(f'has the labels {"; ".join(names)}; expected one, or task = "multilabel"')
        label = str(*names)
    try:
        label_set.encode(label)
    except DatasetError as error:
        raise row.source.error(str(error)) from None
    return label


def _files(row: ManifestRow, folder: Path) -> frozenset[str]:
    """What the row lies in, by resolved path; of a file of words that many recordings share, its own entry."""
    sources = row.sources
    paths = [path for path in (sources.video, sources.audio, sources.image, sources.transcript) if path is not None]
    found = {os.path.realpath(path) for path in paths}
    if sources.words is not None:
        found.add(f"{os.path.realpath(sources.words)}: {sources.words_id}")
    elif not found and sources.text is None and row.file is not None:  # a row of a table names a file of features
        found.add(os.path.realpath(resolve_path(row.file, folder)))
    return frozenset(found)


def _check_files(rows: Sequence[ManifestRow], files: Mapping[str, Collection[str]]) -> None:
    """Refuse a file of rows in two splits, however they name it."""
    seen: dict[str, ManifestRow] = {}
    for row in rows:
        for file in sorted(files[row.id]):
            first = seen.setdefault(file, row)
            if first.split != row.split:
                raise row.source.error(
                    f"{file} is in two splits: {row.split!r} here and {first.split!r} on {first.source.place}; keep "
                    "each file in one split"
                )


def _dialogues(rows: Sequence[ManifestRow]) -> list[str | None]:
    """The dialogue of each row; rows of one file are one dialogue unless they name theirs."""
    files = [row.file if row.segment is None else row.segment.file for row in rows]
    uses = Counter(files)
    return [
        file if row.dialogue is None and uses[file] > 1 else row.dialogue for row, file in zip(rows, files, strict=True)
    ]


def _hold_out(
    utterances: tuple[Utterance, ...],
    settings: ManifestLabelSettings,
    *,
    has_splits: bool,
    files: Mapping[str, Collection[str]],
    counts: dict[str, Count],
) -> tuple[Utterance, ...]:
    given = {"validation": settings.validation_share, "test": settings.test_share}
    shares = {name: (0 if has_splits else SHARES[name]) if share is None else share for name, share in given.items()}
    counts["split"] = "by the manifest" if has_splits else "all rows at random"
    for name, share in shares.items():
        if share and any(utterance.split == name for utterance in utterances):
            raise DatasetError(f"{settings.file}: has {name} rows; leave out {name}_share")
    if any(shares.values()):
        held = ", ".join(f"{share:g} {name}" for name, share in shares.items() if share)
        counts["held out of train"] = f"{held}, by speaker, dialogue and file, seed {settings.split_seed}"
    return cut_shares(
        utterances,
        validation_share=shares["validation"],
        test_share=shares["test"],
        seed=settings.split_seed,
        files=files,
    )
