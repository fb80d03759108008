"""From label rows to utterances: segments or whole videos, official folds or a random split; every count is kept."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from emotiwave.datasets.csd.folds import read_folds, split_at_random
from emotiwave.datasets.csd.labels import LabelFile, LabelledRow, average_videos, read_labels, usable_rows
from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.datasets.roots import check_root
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.recordings import Count, Recordings
from emotiwave.settings import AbsolutePath, Settings
from emotiwave.types import Label, LabelSet, Segment, Utterance

FOLDS_FILE = "standard_folds.json"
TRUTH_FILE = "made_truth.npz"
"""Made files bring the Bayes-optimal answers along under this name."""


class LabelSettings(Settings):
    """Keys of ``[dataset]`` that every corpus has whose labels lie in a ``.csd`` file."""

    root: AbsolutePath | None = None
    """The folder of the .csd files."""
    split: Literal["official", "random"] = "official"
    """The folds of the corpus, or videos at random, 80/10/10."""
    folds: AbsolutePath | None = None
    """The file of the official folds; standard_folds.json in ``root`` by default."""
    split_seed: int = 42
    columns: tuple[str, ...] | None = None
    """Names of the label columns, where the file's own are wrong."""


class CsdSettings(LabelSettings):
    """Keys of ``[dataset]`` that every corpus of ``.csd`` files has."""

    modalities: dict[str, str] | None = None
    """Modality -> name of its file; by default what the corpus is known for."""
    level: Literal["segment", "video"] = "segment"
    """One utterance per labelled segment, or one per video with its labels averaged."""
    require: Literal["any", "all"] = "any"
    """Keep utterances that have a frame in any modality, or only those that have one in all."""


@dataclass(frozen=True)
class CsdCorpus:
    """What tells one corpus of ``.csd`` files from another."""

    name: str
    folder: str
    licence: str
    labels: str
    words: str
    modalities: Mapping[str, str]
    documented: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    published_folds: str | None = None
    """Where in the folder of EMOTIWAVE_DATA the official folds may lie."""


@dataclass(frozen=True)
class Labelling:
    """How rated values become a label; None leaves the row out, which is counted under ``left_out``."""

    label_set: LabelSet
    needs: tuple[str, ...]
    label: Callable[[Mapping[str, float]], Label | None]
    left_out: str = ""


@dataclass(frozen=True, eq=False)
class LabelledSegments:
    """The utterances of a label file that are in a fold, and where they were read from; ``folds`` is None at random."""

    utterances: tuple[Utterance, ...]
    labels: LabelFile
    folds: Path | None
    counts: dict[str, Count]


def load_recordings(corpus: CsdCorpus, settings: CsdSettings, task: str, labelling: Labelling) -> Recordings:
    """Read labels and folds; features stay in their files.

    Raises:
        DatasetError: If a file is missing or is not as it must be.
    """
    root = check_label_root(corpus, settings)
    files = {name: root / file for name, file in (settings.modalities or corpus.modalities).items()}
    _check_files(corpus, files)

    def choose(rows: list[LabelledRow], counts: dict[str, Count]) -> list[LabelledRow]:
        if settings.level == "video":
            rows = average_videos(rows, counts)
        return _in_every_file(rows, files, counts) if settings.require == "all" else rows

    segments = read_segments(corpus, root, settings, task, labelling, choose)
    counts, folds = segments.counts, segments.folds
    words = root / corpus.words
    folds_beside = () if folds in (None, settings.folds) else (root / FOLDS_FILE,)
    if not words.exists():
        counts["timed words, for transcripts"] = f"none ({words} is not there)"
    return Recordings(
        name=corpus.name,
        task=task,
        licence=corpus.licence,
        label_set=labelling.label_set,
        utterances=segments.utterances,
        files=files,
        words=words if words.exists() else None,
        require=settings.require,
        sources=(segments.labels.path, *((folds,) if folds else ())),
        preferred=tuple(path for path in (words, *folds_beside) if not path.exists()),
        label_columns=segments.labels.columns,
        counts=counts,
    )


def check_label_root(corpus: CsdCorpus, settings: LabelSettings) -> Path:
    """Give back the folder of the .csd files if it is one.

    Raises:
        DatasetError: If none is given or it is no folder.
    """
    return check_root(
        settings.root, corpus=corpus.name, folder=corpus.folder, layout=f"the .csd files ({corpus.labels}, …)"
    )


def read_segments(
    corpus: CsdCorpus,
    root: Path,
    settings: LabelSettings,
    task: str,
    labelling: Labelling,
    choose: Callable[[list[LabelledRow], dict[str, Count]], list[LabelledRow]] | None = None,
) -> LabelledSegments:
    """Read labels and folds; ``choose`` may leave out or join rows of the label file before they are split.

    Raises:
        DatasetError: If a file is missing or is not as it must be, or no segment is left.
    """
    for name in settings.columns or ():
        if name not in corpus.ranges:
            raise DatasetError(f"{corpus.name}: dataset.columns: {unknown_name('column', name, corpus.ranges)}")
    if len(set(settings.columns or ())) < len(settings.columns or ()):
        raise DatasetError(f"{corpus.name}: dataset.columns names a column twice: {', '.join(settings.columns or ())}")
    labels = read_labels(root / corpus.labels, documented=corpus.documented, columns=settings.columns)
    missing = [name for name in labelling.needs if name not in labels.columns]
    if missing:
        raise DatasetError(
            f"{labels.path}: no label column for {missing[0]!r} among {', '.join(labels.columns)}; "
            f"task {task!r} needs it"
        )
    counts: dict[str, Count] = {"label columns": ", ".join(labels.columns), "label columns named by": labels.named_by}
    counts |= {"labelled videos": len({row.video for row in labels.rows}), "labelled segments": len(labels.rows)}
    if labels.damaged:
        counts["videos with damaged labels, left out"] = len(labels.damaged)
    rows = usable_rows(labels, corpus.ranges, labelling.needs, counts)
    if choose is not None:
        rows = choose(rows, counts)
    folds = None if settings.split == "random" else settings.folds or _default_folds(root, corpus)
    split_of = _splits(rows, folds, settings.split_seed, counts)
    utterances = _utterances(rows, labels.columns, split_of, labelling, counts)
    if not utterances:
        said = "; ".join(f"{name}: {count}" for name, count in counts.items())
        raise DatasetError(f"{corpus.name}: no labelled segment of {root} is left ({said})")
    return LabelledSegments(utterances, labels, folds, counts)


def _check_files(corpus: CsdCorpus, files: Mapping[str, Path]) -> None:
    for modality, path in files.items():
        if not path.exists():
            present = ", ".join(f'{name} = "{file.name}"' for name, file in files.items() if file.exists())
            raise DatasetError(
                f"{corpus.name}: no {modality} file {path}; put it there, or name the files that you have: "
                f"dataset.modalities = {{{present}}}"
            )


def _in_every_file(
    rows: Sequence[LabelledRow], files: Mapping[str, Path], counts: dict[str, Count]
) -> list[LabelledRow]:
    common = {row.video for row in rows}
    for path in files.values():
        with CsdFile(path) as file:
            common &= set(file.ids)
    counts["videos in every file"] = len(common)
    return [row for row in rows if row.video in common]


def _splits(
    rows: Sequence[LabelledRow], path: Path | None, split_seed: int, counts: dict[str, Count]
) -> dict[str, str]:
    """Video -> split, by the folds in a file or else at random."""
    videos = {row.video for row in rows}
    if path is None:
        folds = split_at_random(videos, seed=split_seed)
        counts["split"] = f"random, seed {split_seed}"
    else:
        folds = read_folds(path)
        counts["split"] = f"official ({path})"
        unused = {video for ids in folds.values() for video in ids} - videos
        if unused:
            counts["fold ids without a usable label"] = len(unused)
    split_of = {video: split for split, ids in folds.items() for video in ids}
    outside = videos - split_of.keys()
    if outside:
        counts["videos in no fold, left out"] = len(outside)
        counts["segments in no fold, left out"] = sum(row.video in outside for row in rows)
    return split_of


def published_folds(corpus: CsdCorpus) -> Path | None:
    """The official folds in the folder that EMOTIWAVE_DATA names, if they are there."""
    data = os.environ.get("EMOTIWAVE_DATA")
    path = Path(data) / corpus.published_folds if data and corpus.published_folds else None
    return path if path is not None and path.exists() else None


def _default_folds(root: Path, corpus: CsdCorpus) -> Path:
    beside, elsewhere = root / FOLDS_FILE, published_folds(corpus)
    if not beside.exists() and elsewhere is None:
        raise DatasetError(
            f"{beside}: no such file; put the official folds there as JSON (train, valid, test: lists of ids), name "
            'the SDK\'s module of standard folds with dataset.folds, or set dataset.split = "random"'
        )
    return beside if beside.exists() or elsewhere is None else elsewhere


def _utterances(
    rows: Sequence[LabelledRow],
    columns: Sequence[str],
    split_of: Mapping[str, str],
    labelling: Labelling,
    counts: dict[str, Count],
) -> tuple[Utterance, ...]:
    utterances, left_out = [], 0
    for row in rows:
        if row.video not in split_of:
            continue
        ratings = {name: float(value) for name, value in zip(columns, row.values, strict=True) if np.isfinite(value)}
        label = labelling.label(ratings)
        if label is None:
            left_out += 1
            continue
        utterances.append(
            Utterance(
                id=row.video if row.row < 0 else row.id,
                split=split_of[row.video],
                label=label,
                dialogue=row.video,
                language="en",
                segment=Segment(row.video, row.start, row.end),
                ratings=ratings,
            )
        )
    if left_out:
        counts[labelling.left_out] = left_out
    for split in sorted({"train", "validation", "test"} - {utterance.split for utterance in utterances}):
        counts[f"{split} before features are read"] = 0
    for split, number in Counter(utterance.split for utterance in utterances).items():
        videos = len({u.dialogue for u in utterances if u.split == split})
        counts[f"{split} before features are read"] = f"{number} of {videos} videos"
    return tuple(utterances)
