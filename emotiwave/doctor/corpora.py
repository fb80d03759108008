"""Corpora that are ready for a model (feature stores, MMSA files), and archives of arrays."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.mmsa import MmsaSettings
from emotiwave.datasets.mmsa import load as load_mmsa
from emotiwave.doctor.facts import (
    FileFacts,
    FileKind,
    LabelFacts,
    ModalityFacts,
    length_histogram,
    sentiment_histogram,
)
from emotiwave.doctor.feature_files import constant_columns
from emotiwave.doctor.findings import Finding, Tally, finding, percent
from emotiwave.doctor.frames import FrameCheck, FrameCounts
from emotiwave.doctor.label_file import RARE
from emotiwave.errors import DatasetError
from emotiwave.features.store import open_store
from emotiwave.npz import read_archive
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus

BLOCK_VALUES = 2**20


@dataclass(frozen=True, eq=False)
class CorpusSurvey:
    """What was seen in a corpus or an archive; ``presence`` counts utterances by the modalities that they have."""

    facts: FileFacts
    findings: tuple[Finding | None, ...]
    presence: Mapping[tuple[str, ...], int]


def survey_store(folder: Path) -> CorpusSurvey:
    """Look at a feature store, every byte of which is verified.

    Raises:
        FeatureError: If it is damaged.
    """
    n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return _survey_corpus(open_store(folder, verify=True), folder, "store", n_bytes)


def survey_mmsa(path: Path) -> CorpusSurvey:
    """Look at an MMSA pickle, of which nothing is run.

    Raises:
        DatasetError: If it is refused, or is no such file.
    """
    try:
        corpus = load_mmsa(MmsaSettings(file=path.absolute(), task="sentiment"))
    except DatasetError as error:
        if "regression_labels" not in str(error):
            raise
        corpus = load_mmsa(MmsaSettings(file=path.absolute(), task="polarity"))
    return _survey_corpus(corpus, path, "mmsa", path.stat().st_size)


def survey_archive(path: Path) -> CorpusSurvey:
    """Look at the arrays of an ``.npz``.

    Raises:
        FeatureError: If it is damaged or holds Python objects.
    """
    name, arrays = str(path), read_archive(path)
    findings: list[Finding | None] = []
    modalities = {}
    for key, array in arrays.items():
        check, found = _survey_array(array)
        n_frames = int(np.prod(array.shape[:-1])) if array.ndim else 1
        n_columns = array.shape[-1] if array.ndim > 1 else None
        modalities[key] = ModalityFacts(
            size=n_columns,
            dtype=str(array.dtype),
            n_frames=n_frames,
            n_unobserved=found.n_unobserved,
            shape=array.shape,
        )
        findings += _frame_findings(name, key, check, {key: found}, n_frames)
    return CorpusSurvey(FileFacts(name, "npz", path.stat().st_size, modalities=modalities), tuple(findings), {})


def _survey_array(array: NDArray[Any]) -> tuple[FrameCheck, FrameCounts]:
    """Look at the rows of an array; what is no table of numbers is only counted."""
    if array.dtype.kind not in "fiub" or not array.size:
        return FrameCheck(0), FrameCounts()
    table = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(-1, 1)
    check = FrameCheck(table.shape[1])
    counts = sum((check.add(block) for block in _blocks(table)), FrameCounts())
    if array.ndim < 2:  # a zero in a list of numbers is a number, and a list of one value no column
        return FrameCheck(0), FrameCounts(n_non_finite=counts.n_non_finite, n_unobserved=counts.n_non_finite)
    return check, counts


def _blocks(table: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    step = max(1, BLOCK_VALUES // table.shape[1])
    for start in range(0, len(table), step):
        with np.errstate(over="ignore"):
            yield np.asarray(table[start : start + step], dtype=np.float32)


def _survey_corpus(corpus: Corpus, path: Path, kind: FileKind, n_bytes: int) -> CorpusSurvey:
    name = str(path)
    n = len(corpus.utterances)
    findings: list[Finding | None] = [*_label_findings(corpus, name), _leakage(corpus, name)]
    modalities = {}
    for modality, sequence in corpus.sequences.items():
        check, found = _survey_sequence(sequence)
        missing = [u.id for u in corpus.utterances if not sequence.n_frames(u.id)]
        empty = sum(utterance_id in sequence for utterance_id in missing)
        more = f"It is {modality}{f'; {empty:,} of them are stored with a length of zero' if empty else ''}."
        n_frames, total = len(sequence.values), sum(found.values(), FrameCounts())
        findings += _frame_findings(name, modality, check, found, n_frames)
        findings.append(finding("missing_modality", name, Tally.of(missing), total=n, more=more))
        modalities[modality] = ModalityFacts(
            size=sequence.size,
            dtype=str(sequence.values.dtype),
            n_frames=n_frames,
            n_unobserved=total.n_unobserved,
            n_missing=len(missing),
        )
    presence = Counter(
        tuple(name for name, sequence in corpus.sequences.items() if sequence.n_frames(u.id)) for u in corpus.utterances
    )
    facts = FileFacts(
        file=name,
        kind=kind,
        n_bytes=n_bytes,
        n_videos=len({u.group for u in corpus.utterances}),
        labels=_label_facts(corpus),
        splits=dict(Counter(u.split for u in corpus.utterances)),
        modalities=modalities,
    )
    return CorpusSurvey(facts, tuple(findings), presence)


def _survey_sequence(sequence: ComputationalSequence) -> tuple[FrameCheck, dict[str, FrameCounts]]:
    check, found = FrameCheck(sequence.size), {}
    for name in sequence.ids:
        found[name] = sum((check.add(block) for block in _blocks(sequence[name].values)), FrameCounts())
    return check, found


def _frame_findings(
    file: str, part: str, check: FrameCheck, found: Mapping[str, FrameCounts], n_frames: int
) -> list[Finding | None]:
    non_finite, all_zero = Tally(inside=True), Tally(inside=True)
    for name, counts in found.items():
        non_finite.add(counts.n_non_finite, name)
        all_zero.add(counts.n_all_zero, name)
    return [
        finding("non_finite", file, non_finite, total=n_frames, more=f"In {part}."),
        finding("all_zero_frames", file, all_zero, total=n_frames, more=f"In {part}."),
        constant_columns(file, check.constant, check.size, more=f"In {part}."),
    ]


def _leakage(corpus: Corpus, name: str) -> Finding | None:
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for utterance in corpus.utterances:
        for kind, who in (("video", utterance.dialogue), ("speaker", utterance.speaker)):
            if who is not None:
                splits[kind, who].add(utterance.split)
    both = [f"{kind} {who}" for (kind, who), where in splits.items() if len(where) > 1]
    return finding("split_leakage", name, Tally.of(both), total=len(splits))


def _class_shares(corpus: Corpus) -> dict[str, float]:
    held = corpus.targets > 0 if corpus.label_set.kind == "continuous" else corpus.targets
    return dict(zip(corpus.label_set.names, held.mean(axis=0).tolist(), strict=True))


def _label_findings(corpus: Corpus, name: str) -> list[Finding | None]:
    kind, n = corpus.label_set.kind, len(corpus.utterances)
    nothing = [u.id for u in corpus.utterances if u.label == ()]
    shares = {} if kind == "continuous" else _class_shares(corpus)
    rare = [label for label, share in sorted(shares.items(), key=lambda item: item[1]) if share < RARE]
    said = ", ".join(f"{label} {percent(share)}" for label, share in shares.items())
    return [
        finding("labels_all_zero", name, Tally.of(nothing), total=n),
        finding("class_imbalance", name, Tally.of(rare), total=len(shares), more=f"Shares: {said}."),
    ]


def _label_facts(corpus: Corpus) -> LabelFacts:
    utterances = corpus.utterances
    sentiment = [u.ratings["sentiment"] for u in utterances if u.ratings and "sentiment" in u.ratings]
    seconds = [u.segment.end - u.segment.start for u in utterances if u.segment is not None]
    splits = dict.fromkeys(u.split for u in utterances)
    multilabel = corpus.label_set.kind == "multilabel"
    return LabelFacts(
        columns=corpus.label_set.names,
        named_by=f"task {corpus.task}",
        n_rows=len(utterances),
        n_segments=len(utterances),
        class_shares=_class_shares(corpus),
        all_zero_share=sum(u.label == () for u in utterances) / len(utterances) if multilabel else None,
        tied_share=None,
        sentiment=sentiment_histogram(np.array(sentiment)) if sentiment else None,
        lengths=length_histogram(np.array(seconds)) if seconds and np.isfinite(seconds).all() else None,
        folds={
            split: {
                "videos": len({u.group for u in utterances if u.split == split}),
                "segments": sum(u.split == split for u in utterances),
            }
            for split in splits
        },
    )
