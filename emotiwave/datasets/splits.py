"""Splits that keep a video and a speaker together, and the check that proves it."""

from collections.abc import Iterable, Sequence
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
    utterances: Sequence[Utterance], *, source: str, target: str, share: float, seed: int
) -> tuple[Utterance, ...]:
    """Move whole groups (linked by video or speaker) of one split to another until it holds ``share`` of the groups.

    Raises:
        DatasetError: If the share would leave either side without a group.
    """
    candidates = [utterance for utterance in utterances if utterance.split == source]
    groups = _inseparable(candidates)
    names = sorted(set(groups.values()))
    n_moved = round(share * len(names))
    if not 0 < n_moved < len(names):
        raise DatasetError(f"a share of {share} of the {len(names)} groups in {source!r} leaves a split empty")
    moved = set(np.random.default_rng(seed).permutation(names)[:n_moved].tolist())
    return tuple(replace(u, split=target) if groups.get(u.id) in moved else u for u in utterances)


def _inseparable(utterances: Sequence[Utterance]) -> dict[str, str]:
    """Utterance id -> name of its group: utterances linked by a dialogue or a speaker, directly or through others."""
    links = DisjointSet([utterance.id for utterance in utterances])
    first: dict[tuple[str, str], str] = {}
    for utterance in utterances:
        for kind, name in (("dialogue", utterance.dialogue), ("speaker", utterance.speaker)):
            if name is not None:
                links.merge(utterance.id, first.setdefault((kind, name), utterance.id))
    return {utterance.id: min(links.subset(utterance.id)) for utterance in utterances}
