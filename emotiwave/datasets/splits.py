"""Splits that keep a video, a speaker and a file together, and the check that proves it of videos and speakers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from emotiwave.errors import DatasetError
from emotiwave.types import Utterance


def check_leakage(utterances: Iterable[Utterance], *, corpus: str) -> None:
    """Refuse a corpus in which one video or speaker stands in two splits.

    Raises:
        DatasetError: The offender, both splits, and an utterance in each are named.
    """
    seen: dict[tuple[str, str], Utterance] = {}
    for utterance in utterances:
        for kind, name in (("dialogue", utterance.dialogue), ("speaker", utterance.speaker)):
            if name is None:
                continue
            first = seen.setdefault((kind, name), utterance)
            if first.split != utterance.split:
                raise DatasetError(
                    f"{corpus}: {kind} {name!r} is in two splits: utterance {first.id!r} in {first.split!r} and "
                    f"{utterance.id!r} in {utterance.split!r}; keep each {kind} in one split"
                )


def split_off(
    utterances: Sequence[Utterance],
    *,
    source: str,
    target: str,
    share: float,
    seed: int,
    files: Mapping[str, Collection[str]] | None = None,
) -> tuple[Utterance, ...]:
    """Move whole groups (linked by video, speaker or file) of one split to another until it holds ``share`` of them.

    Args:
        utterances: Of all splits.
        source: The split that groups are taken from.
        target: The split that they are moved to.
        share: Of the groups in the source.
        seed: Of the choice.
        files: Utterance id -> the files it lies in, where utterances may share some.

    Raises:
        DatasetError: If the share would leave either side without a group.
    """
    candidates = [utterance for utterance in utterances if utterance.split == source]
    groups = _inseparable(candidates, files or {})
    names = sorted(set(groups.values()))
    n_moved = round(share * len(names))
    if not 0 < n_moved < len(names):
        raise DatasetError(f"a share of {share} of the {len(names)} groups in {source!r} leaves a split empty")
    moved = set(np.random.default_rng(seed).permutation(names)[:n_moved].tolist())
    return tuple(replace(u, split=target) if groups.get(u.id) in moved else u for u in utterances)


def _inseparable(utterances: Sequence[Utterance], files: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Utterance id -> name of its group: utterances linked by dialogue, speaker or file, directly or through others."""
    links = DisjointSet([utterance.id for utterance in utterances])
    first: dict[tuple[str, str], str] = {}
    for utterance in utterances:
        named = [("file", file) for file in files.get(utterance.id, ())]
        for kind, name in (("dialogue", utterance.dialogue), ("speaker", utterance.speaker), *named):
            if name is not None:
                links.merge(utterance.id, first.setdefault((kind, name), utterance.id))
    return {utterance.id: min(links.subset(utterance.id)) for utterance in utterances}
