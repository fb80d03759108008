"""Inspects files and what they say of each other: one pass over each, whatever is wrong with one of them."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from emotiwave.datasets.csd.corpus import TRUTH_FILE
from emotiwave.datasets.csd.folds import read_folds
from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.doctor.completeness import folds_elsewhere, missing_files
from emotiwave.doctor.corpora import CorpusSurvey, survey_archive, survey_mmsa, survey_store
from emotiwave.doctor.facts import FileFacts, all_printable
from emotiwave.doctor.feature_files import Labelled, root_name, survey_features
from emotiwave.doctor.findings import Finding, noted, ranked, unreadable
from emotiwave.doctor.label_file import fold_findings, label_facts, label_findings
from emotiwave.doctor.label_table import is_label_file, read_label_table
from emotiwave.errors import DatasetError, DataWarning, EmotiwaveError, printable

Progress = Callable[[str, int, int], None]
"""Is told the name of a file, how many of its videos are done, and of how many."""
Found = TypeVar("Found")
HDF5 = b"\x89HDF\r\n\x1a\n"
STORE = "corpus.json"
SUFFIXES = {".csd": "csd", ".npz": "npz", ".pkl": "mmsa", ".pickle": "mmsa", ".json": "folds", ".py": "folds"}
ORDER = ("folds", "labels", "words", "features", "store", "mmsa", "npz")
"""Files that others are held against come first."""
EXPECTED = ".csd files, MMSA files (.pkl), .npz archives, feature stores, and folders of these"


@dataclass(frozen=True)
class Inspection:
    """What was found: findings, the worst first; facts per file; and how many videos have which modalities."""

    findings: tuple[Finding, ...]
    facts: tuple[FileFacts, ...]
    presence: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def needs_decision(self) -> bool:
        """Whether a person must decide something before these files are prepared."""
        return any(finding.severity == "decision" for finding in self.findings)


def inspect(paths: Sequence[Path], *, folds: Path | None = None, progress: Progress | None = None) -> Inspection:
    """Inspect files, stores and folders of them; a file that cannot be read becomes a finding.

    Args:
        paths: ``.csd``, MMSA ``.pkl``, ``.npz``, feature stores, or folders of these.
        folds: The ids of each split; by default a file named ``…folds.json`` among them.
        progress: Is called after each video.
    """
    doctor = _Doctor(progress or (lambda *_: None))
    files = dict.fromkeys(file for path in paths for file in doctor.guard(path, expand) or ())
    kinds = {file: kind for file in files if (kind := doctor.guard(file, recognise))}
    if folds is None and "folds" not in kinds.values():  # what preparation falls back on
        folds = next((known for path in paths if (known := doctor.guard(path, folds_elsewhere))), None)
    if folds is not None:
        kinds = {folds: "folds"} | {file: kind for file, kind in kinds.items() if kind != "folds"}
    for file in sorted(kinds, key=lambda file: ORDER.index(kinds[file])):
        doctor.guard(file, doctor.survey[kinds[file]])
    for path in paths:
        if path.is_dir():
            doctor.findings += doctor.guard(path, partial(missing_files, has_folds=doctor.folds is not None)) or []
    return doctor.result()


def expand(path: Path) -> list[Path]:
    """List what is to be inspected: a folder stands for the files and stores in it.

    Raises:
        DatasetError: If there is nothing.
    """
    if not path.is_dir() or (path / STORE).exists():
        return [path]
    found = [file for file in sorted(path.iterdir()) if _may_be_store(file) or _is_known(file)]
    if not found:
        raise DatasetError(f"{path}: a folder with nothing to inspect in it; expected {EXPECTED}")
    return found


def _may_be_store(path: Path) -> bool:
    try:
        return (path / STORE).exists()
    except PermissionError:
        return True  # then it is one that cannot be read


def _is_known(path: Path) -> bool:
    kind = SUFFIXES.get(path.suffix.lower())
    described = kind is not None and (kind != "folds" or path.stem.endswith("folds"))
    return described and path.name != TRUTH_FILE and path.is_file()


def recognise(path: Path) -> str:
    """Say what kind of file this is, by its name and its first bytes.

    Raises:
        DatasetError: If it is of no known kind.
    """
    if (path / STORE).exists():
        return "store"
    if not path.is_file():
        raise DatasetError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}; expected {EXPECTED}")
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        with path.open("rb") as file:
            kind = "csd" if file.read(len(HDF5)) == HDF5 else None
    if kind is None:
        raise DatasetError(f"{path}: of no known kind; expected {EXPECTED}")
    if kind != "csd":
        return kind
    with CsdFile(path) as file:
        return "labels" if is_label_file(file) else "words" if file.holds_words else "features"


def to_json(inspection: Inspection) -> str:
    """Write findings and facts as JSON."""
    keys = ("file", "kind", "count", "severity", "detail", "action")
    rows = [{key: getattr(finding, key) for key in keys} for finding in inspection.findings]
    return json.dumps({"findings": rows, "files": [facts.to_dict() for facts in inspection.facts]}, indent=1)


class _Doctor:
    """Gathers what is found, and what later files are held against."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.findings: list[Finding | None] = []
        self.facts: list[FileFacts] = []
        self.folds: dict[str, tuple[str, ...]] | None = None
        self.folds_file = ""
        self.labelled = Labelled()
        self.videos: dict[str, Mapping[str, int]] = {}
        self.presence: Counter[tuple[str, ...]] = Counter()
        self.survey: dict[str, Callable[[Path], None]] = {
            "folds": self._folds,
            "labels": self._labels,
            "words": self._features,
            "features": self._features,
            "store": lambda path: self._corpus(path, survey_store),
            "mmsa": lambda path: self._corpus(path, survey_mmsa),
            "npz": lambda path: self._corpus(path, survey_archive),
        }

    def guard(self, path: Path, task: Callable[[Path], Found]) -> Found | None:
        """Do something with a file; where it cannot be read, that is a finding, and the others go on."""
        found, notes = None, []
        try:
            # times and values may be any numbers: what overflows is told as not finite
            with np.errstate(all="ignore"), warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always", DataWarning)
                found = task(path)
        except EmotiwaveError as error:
            self.findings.append(unreadable(str(path), str(error)))
        except OSError as error:
            self.findings.append(unreadable(str(path), f"{path}: cannot be read ({error.strerror or error})"))
        for note in notes:
            said = str(note.message).removeprefix("mmsa: ")
            said = said.removeprefix(f"{path.absolute()}: ").removeprefix(f"{path}: ")
            self.findings.append(noted(str(path), said))
        return found

    def _folds(self, path: Path) -> None:
        if self.folds is not None:
            raise DatasetError(f"{path}: a second file of folds; {self.folds_file} is used")
        self.folds, self.folds_file = read_folds(path), str(path)
        sizes = {split: len(ids) for split, ids in self.folds.items()}
        self.facts.append(FileFacts(self.folds_file, "folds", path.stat().st_size, splits=sizes))

    def _labels(self, path: Path) -> None:
        with CsdFile(path) as file:
            table = read_label_table(file, self._progress_of(path))
            self.findings += [*label_findings(table), root_name(file)]
            self.facts.append(label_facts(file, table, self.folds))
        if self.folds is not None:
            self.findings += fold_findings(table, self.folds, self.folds_file)
        self.labelled = Labelled({**table.segments, **self.labelled.segments}, self.labelled.n_words)

    def _features(self, path: Path) -> None:
        with CsdFile(path) as file:
            survey = survey_features(file, self.labelled, self._progress_of(path))
        self.findings += survey.findings
        self.facts.append(survey.facts)
        if survey.facts.kind == "words":
            self.labelled = Labelled(self.labelled.segments, survey.n_frames)
        else:
            name = survey.facts.root or path.stem
            self.videos[name if name not in self.videos else str(path)] = survey.n_frames

    def _corpus(self, path: Path, survey: Callable[[Path], CorpusSurvey]) -> None:
        seen = survey(path)
        self.findings += seen.findings
        self.facts.append(seen.facts)
        self.presence.update(seen.presence)
        self._progress_of(path)(1, 1)

    def _progress_of(self, path: Path) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(printable(path.name), done, total)

    def result(self) -> Inspection:
        videos = self.labelled.segments or dict.fromkeys(video for of in self.videos.values() for video in of)
        if self.videos:
            self.presence.update(
                tuple(name for name, n_frames in self.videos.items() if n_frames.get(video)) for video in videos
            )
        found = Inspection(ranked(self.findings), tuple(self.facts), dict(self.presence.most_common()))
        return all_printable(found)
