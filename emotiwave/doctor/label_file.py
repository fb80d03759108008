"""What is remarkable about the labels, segments and ids of a label file."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.datasets.mosei import EMOTIONS
from emotiwave.doctor.facts import FileFacts, LabelFacts, length_histogram, sentiment_histogram
from emotiwave.doctor.findings import Finding, Tally, finding, percent
from emotiwave.doctor.label_table import SENTIMENT, WIDTHS, LabelTable

RARE = 0.1
"""Classes that hold for a smaller share than this are rare."""


def label_findings(table: LabelTable) -> list[Finding | None]:
    """Find what is remarkable about labels, segments and ids."""
    overlapping, unsorted = _times_by_video(table)
    n, videos, labelled = len(table), len(table.videos), len(table.segments)
    out_of_range = ((table.clamped != table.values) & np.isfinite(table.values)).any(axis=1)
    several = [
        name for name, count in zip(table.videos, np.bincount(table.video, minlength=videos), strict=True) if count > 1
    ]
    n_finite = int(table.finite.sum())
    rows = {
        "labels_out_of_range": out_of_range,
        "labels_non_finite": ~table.finite,
        "empty_segments": ~table.has_length,
        "negative_start": table.times[:, 0] < 0,
        "overlapping_segments": overlapping,
    }
    ids = {
        "leading_dash": [name for name in table.videos if name.startswith("-")],
        "digit_suffix": [name for name in table.videos if re.search(r"_[0-9]$", name)],
    }
    return [
        *_column_findings(table),
        finding(
            "damaged_labels",
            table.file,
            Tally.of(list(table.damaged)),
            total=videos,
            more=f"The first: {next(iter(table.damaged.values()), '')}.",
        ),
        *(finding(kind, table.file, table.tally(mask), total=n) for kind, mask in rows.items()),
        finding("labels_all_zero", table.file, table.tally(table.all_zero), total=n_finite),
        finding("labels_tied", table.file, table.tally(table.tied), total=n_finite),
        finding("several_segments", table.file, Tally.of(several), total=labelled),
        finding("unsorted_rows", table.file, Tally.of(unsorted), total=labelled),
        *(finding(kind, table.file, Tally.of(names), total=videos) for kind, names in ids.items()),
        _imbalance(table),
    ]


def label_facts(file: CsdFile, table: LabelTable, folds: Mapping[str, Sequence[str]] | None) -> FileFacts:
    """Say what a label file holds."""
    usable, split_of = table.usable, {video: split for split, ids in (folds or {}).items() for video in ids}
    splits = np.array([split_of.get(name, "in no fold") for name in table.videos])[table.video[usable]]
    videos = table.video[usable]
    n, n_finite = int(usable.sum()), int(table.finite.sum())
    seconds = np.diff(table.times[usable], axis=1)[:, 0]
    labels = LabelFacts(
        columns=table.columns,
        named_by=table.named_by,
        n_rows=len(table),
        n_segments=n,
        class_shares=class_shares(table),
        all_zero_share=int(table.all_zero.sum()) / n_finite if n_finite and table.emotions.shape[1] else None,
        tied_share=int(table.tied.sum()) / n_finite if n_finite and table.emotions.shape[1] else None,
        sentiment=sentiment_histogram(table.clamped[usable, table.columns.index(SENTIMENT)])
        if SENTIMENT in table.columns
        else None,
        lengths=length_histogram(seconds),
        folds={
            name: {"videos": len(np.unique(videos[splits == name])), "segments": int((splits == name).sum())}
            for name in (*(folds or {}), "in no fold")
        }
        if folds is not None
        else {},
    )
    return FileFacts(
        file=table.file,
        kind="labels",
        n_bytes=file.path.stat().st_size,
        root=file.root,
        size=next(iter(table.widths.values())) if table.widths and not n else len(table.columns),
        n_videos=len(table.segments),
        seconds=float(seconds.sum()),
        labels=labels,
    )


def fold_findings(table: LabelTable, folds: Mapping[str, Sequence[str]], folds_file: str) -> list[Finding | None]:
    """Find segments of videos in no fold, and ids in a fold that have no labels."""
    in_fold = {video for ids in folds.values() for video in ids}
    outside = np.array([name not in in_fold for name in table.videos], dtype=bool)
    unlabelled = sorted(in_fold - table.segments.keys())
    rows = outside[table.video]
    videos = len(np.unique(table.video[rows]))
    return [
        finding("not_in_fold", table.file, table.tally(rows), total=len(table), more=f"Videos: {videos:,}."),
        finding("fold_without_labels", folds_file, Tally.of(unlabelled), total=len(in_fold)),
    ]


def class_shares(table: LabelTable) -> dict[str, float]:
    """The share of segments with finite labels in which each emotion is present."""
    names = [name for name in table.columns if name in EMOTIONS]
    if not table.finite.any():
        return {}
    return dict(zip(names, (table.emotions[table.finite] > 0).mean(axis=0).tolist(), strict=True))


def _imbalance(table: LabelTable) -> Finding | None:
    shares = class_shares(table)
    rare = [name for name, share in sorted(shares.items(), key=lambda item: item[1]) if share < RARE]
    said = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    return finding("class_imbalance", table.file, Tally.of(rare), total=len(shares), more=f"Shares: {said}.")


def _column_findings(table: LabelTable) -> list[Finding | None]:
    found = [
        finding(
            "label_width",
            table.file,
            Tally.of(list(table.widths)),
            total=len(table.videos),
            more=f"They have {_listed(set(table.widths.values()))} columns; expected {len(table.columns)}: "
            f"{', '.join(table.columns)}.",
        )
    ]
    documented = WIDTHS[len(table.columns)]
    if not len(table):
        return found
    if table.named_by == "documentation":
        given = f"says {', '.join(table.given_names[:8])}" if table.given_names else "names none"
        more = f"The metadata {given}; taken: {', '.join(documented)}."
        found.append(finding("label_columns", table.file, Tally(len(documented)), total=len(documented), more=more))
    else:
        found.append(_order(table, documented))
    return found


def _order(table: LabelTable, documented: Sequence[str]) -> Finding | None:
    """Word that columns stand in another order than documented; fear and disgust above all."""
    moved = [name for name, expected in zip(table.columns, documented, strict=True) if name != expected]
    swap = (
        "Fear and disgust are exchanged: one of the two orders mislabels both. "
        if set(moved) == {"fear", "disgust"}
        else ""
    )
    more = f"{swap}The file says {', '.join(table.columns)}; documented is {', '.join(documented)}."
    return finding("label_order", table.file, Tally.of(moved), total=len(documented), more=more)


def _times_by_video(table: LabelTable) -> tuple[NDArray[np.bool_], list[str]]:
    """Which rows overlap another of their video ``(rows,)``, and which videos have rows out of order."""
    overlapping, unsorted = np.zeros(len(table), dtype=bool), []
    bounds = np.searchsorted(table.video, np.arange(len(table.videos) + 1))
    for name, (first, last) in zip(table.videos, pairwise(bounds), strict=True):
        start = table.times[first:last, 0]
        if (start[1:] < start[:-1]).any():
            unsorted.append(name)
        rows = first + np.flatnonzero(table.has_length[first:last])
        rows = rows[np.argsort(table.times[rows, 0], kind="stable")]
        start, end = table.times[rows].T
        later = np.append(start[1:], np.inf) < end
        earlier = np.append(-np.inf, np.maximum.accumulate(end)[:-1]) > start if len(rows) else later
        overlapping[rows] = later | earlier
    return overlapping, unsorted


def _listed(numbers: set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)[:4]))
