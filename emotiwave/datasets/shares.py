"""Splits cut at random where a corpus brings none: whole groups, linked by speaker, dialogue or file, never a part."""

from collections.abc import Collection, Mapping, Sequence

from emotiwave.datasets.splits import split_off
from emotiwave.types import Utterance


def cut_shares(
    utterances: Sequence[Utterance],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
    files: Mapping[str, Collection[str]] | None = None,
) -> tuple[Utterance, ...]:
    """Move shares of the groups in ``train`` to ``test`` and to ``validation``; both are shares of all groups.

    Args:
        utterances: Of which those in ``train`` are linked to groups.
        validation_share: Share of the groups that is moved to ``validation``.
        test_share: Share of the groups that is moved to ``test``.
        seed: Of the choice.
        files: Utterance id -> the files it lies in, where utterances may share some.

    Raises:
        DatasetError: If there are too few groups for a share.
    """
    cut = tuple(utterances)
    if test_share:
        cut = split_off(cut, source="train", target="test", share=test_share, seed=seed, files=files)
    if validation_share:
        share = validation_share / (1 - test_share)  # of the groups that are left
        cut = split_off(cut, source="train", target="validation", share=share, seed=seed, files=files)
    return cut
