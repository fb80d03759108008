"""What is wrong with the labels of CMU-MOSEI, planted in made videos and counted."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.made_mosei.videos import MadeVideo

RARE = 0.1
"""A class is rare below this share of the segments."""
HIGHEST = 3.0
LOWEST = np.array([-3.0] + [0.0] * 6)
LATEST = 5.0
"""Seconds at which a segment may start that is made to start below 0 s: later ones would become too long."""
GAP = 0.5
"""Seconds between an empty segment and the rest, so that it overlaps nothing."""


def plant_label_traps(videos: Sequence[MadeVideo], rng: np.random.Generator) -> tuple[MadeVideo, ...]:
    """Spoil some rows as the published file has them spoilt; what is present in a segment stays true."""
    planted = list(videos)
    traps: tuple[tuple[Callable[[MadeVideo, np.random.Generator], MadeVideo], float], ...] = (
        (_start_below_zero, 0.08),
        (_empty_a_segment, 0.02),
        (_exceed_the_range, 0.04),
        (_lose_a_rating, 0.02),
        (_leave_the_folds, 0.02),
        (_shuffle_rows, 0.4),  # last, as it moves rows
    )
    for spoil, share in traps:
        candidates = [i for i, video in enumerate(planted) if _may(spoil, planted, video)]
        for index in rng.permutation(candidates)[: max(1, round(share * len(planted)))]:
            planted[index] = spoil(planted[index], rng)
    return tuple(planted)


def _may(spoil: Callable[..., MadeVideo], videos: Sequence[MadeVideo], video: MadeVideo) -> bool:
    """Whether a trap fits a video: no row is spoilt twice, no fold is emptied."""
    if spoil is _leave_the_folds:
        return video.fold == "train" and sum(other.fold == "train" for other in videos) > 1
    if spoil in (_empty_a_segment, _shuffle_rows):
        return len(video.segments) > 1
    if spoil is _start_below_zero:
        return video.segments[:, 0].min() < LATEST
    return bool((np.abs(video.labels) <= HIGHEST).all())  # False where a label is NaN


def _start_below_zero(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    segments = video.segments.copy()
    segments[segments[:, 0].argmin(), 0] = -round(float(rng.uniform(0.05, 0.8)), 3)
    return replace(video, segments=segments)


def _empty_a_segment(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    segments = video.segments.copy()
    last = segments[:, 1].argmax()
    start = round(float(np.delete(segments[:, 1], last).max()) + GAP, 3)
    segments[last] = start, start - float(rng.integers(2)) * GAP / 5
    return replace(video, segments=segments)


def _exceed_the_range(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    labels = video.labels.copy()
    row = int(rng.integers(len(labels)))
    strongest = 1 + labels[row, 1:].argmax()
    if labels[row, strongest] > 0:
        labels[row, 1:] = np.minimum(labels[row, 1:], np.float32(8 / 3))  # clamped, the strongest stays the only one
        labels[row, strongest] = 10 / 3
    else:
        labels[row, 0] = rng.choice([-10 / 3, 3.5])
    return replace(video, labels=labels)


def _lose_a_rating(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    labels = video.labels.copy()
    labels[rng.integers(len(labels))] = np.nan
    return replace(video, labels=labels)


def _leave_the_folds(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    return replace(video, fold=None)


def _shuffle_rows(video: MadeVideo, rng: np.random.Generator) -> MadeVideo:
    order = np.roll(np.arange(len(video.segments)), int(rng.integers(1, len(video.segments))))
    return replace(video, segments=video.segments[order], presence=video.presence[order], labels=video.labels[order])


def count_label_findings(labelled: Sequence[MadeVideo]) -> Counter[str]:
    """Count what a reader who knows the folds must find in the label file, by kind."""
    labels = np.concatenate([video.labels for video in labelled])
    segments = np.concatenate([video.segments for video in labelled])
    finite = np.isfinite(labels).all(axis=1)
    emotions = labels[finite, 1:]
    highest = emotions.max(axis=1)
    return Counter(
        several_segments=sum(len(video.segments) > 1 for video in labelled),
        labels_all_zero=int((highest == 0).sum()),
        labels_tied=int(((highest > 0) & ((emotions == highest[:, None]).sum(axis=1) > 1)).sum()),
        labels_out_of_range=int(((labels < LOWEST) | (labels > HIGHEST)).any(axis=1).sum()),
        labels_non_finite=int((~finite).sum()),
        class_imbalance=int(((emotions > 0).mean(axis=0) < RARE).sum()),
        negative_start=int((segments[:, 0] < 0).sum()),
        empty_segments=int((segments[:, 1] <= segments[:, 0]).sum()),
        overlapping_segments=sum(_count_overlapping(video.segments) for video in labelled),
        unsorted_rows=sum(bool((np.diff(video.segments[:, 0]) < 0).any()) for video in labelled),
        not_in_fold=sum(len(video.segments) for video in labelled if video.fold is None),
        leading_dash=sum(video.id.startswith("-") for video in labelled),
        digit_suffix=sum(re.search(r"_\d$", video.id) is not None for video in labelled),
    )


def _count_overlapping(segments: NDArray[np.float64]) -> int:
    """Count the segments ``(rows, 2)`` that share time with another."""
    start, end = segments.T
    shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    np.fill_diagonal(shared, -1.0)
    return int((shared > 0).any(axis=1).sum())
