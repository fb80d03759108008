"""Splits that keep a video and a speaker together, and the check that proves it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

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
    """Move whole groups (videos, or speakers) of one split to another until it holds ``share`` of the groups.

    Raises:
        DatasetError: If the share would leave either side without a group.
    """
    groups = sorted({utterance.group for utterance in utterances if utterance.split == source})
    n_moved = round(share * len(groups))
    if not 0 < n_moved < len(groups):
        raise DatasetError(f"a share of {share} of the {len(groups)} groups in {source!r} leaves a split empty")
    moved = set(np.random.default_rng(seed).permutation(groups)[:n_moved].tolist())
    return tuple(replace(u, split=target) if u.split == source and u.group in moved else u for u in utterances)
