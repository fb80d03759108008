"""Splits cut at random where a corpus brings none: whole groups, linked by speaker or dialogue, never a part of one."""

from collections.abc import Sequence

from emotiwave.datasets.splits import split_off
from emotiwave.types import Utterance


def cut_shares(
    utterances: Sequence[Utterance], *, validation_share: float, test_share: float, seed: int
) -> tuple[Utterance, ...]:
    """Move shares of the groups in ``train`` to ``test`` and to ``validation``; both are shares of all groups.

    Raises:
        DatasetError: If there are too few groups for a share.
    """
    cut = tuple(utterances)
    if test_share:
        cut = split_off(cut, source="train", target="test", share=test_share, seed=seed)
    if validation_share:
        share = validation_share / (1 - test_share)  # of the groups that are left
        cut = split_off(cut, source="train", target="validation", share=share, seed=seed)
    return cut
