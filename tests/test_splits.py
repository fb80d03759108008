from dataclasses import replace

import pytest

from emotiwave.datasets.splits import check_leakage, split_off
from emotiwave.errors import DatasetError
from emotiwave.types import Utterance


def said(id: str, split: str, *, dialogue: str | None = None, speaker: str | None = None) -> Utterance:
    return Utterance(id, split, "anger", dialogue=dialogue, speaker=speaker)


def ten_dialogues_of_three() -> list[Utterance]:
    train = [said(f"d{d}_{i}", "train", dialogue=f"d{d}") for d in range(10) for i in range(3)]
    return [*train, said("t1", "test", dialogue="t")]


@pytest.mark.parametrize("kind", ["dialogue", "speaker"])
def test_leakage_names_the_offender_and_an_utterance_in_each_split(kind):
    leaking = [
        said("u1", "train", **{kind: "fine"}),
        said("u2", "train", **{kind: "both"}),
        said("u3", "test", **{kind: "both"}),
    ]
    with pytest.raises(DatasetError) as raised:
        check_leakage(leaking, corpus="made")
    for part in ("made", kind, "'both'", "'u2'", "'train'", "'u3'", "'test'"):
        assert part in str(raised.value)


def test_a_speaker_may_leak_although_no_dialogue_does():
    with pytest.raises(DatasetError, match="speaker 's'"):
        check_leakage(
            [said("u1", "train", dialogue="d1", speaker="s"), said("u2", "test", dialogue="d2", speaker="s")],
            corpus="made",
        )


@pytest.mark.parametrize(
    "utterances",
    [
        [said("u1", "train"), said("u2", "test")],
        [said("u1", "train", dialogue="x"), said("u2", "test", speaker="x")],
        [said("u1", "train", dialogue="d1", speaker="s"), said("u2", "train", dialogue="d2", speaker="s")],
    ],
    ids=["nobody known", "a dialogue and a speaker of one name", "a speaker of two dialogues in one split"],
)
def test_what_is_no_leak_passes(utterances):
    check_leakage(utterances, corpus="made")


@pytest.mark.parametrize(("share", "n_dialogues"), [(0.1, 1), (0.3, 3), (0.9, 9)])
def test_split_off_moves_that_share_of_the_dialogues_whole(share, n_dialogues):
    before = ten_dialogues_of_three()
    after = split_off(before, source="train", target="validation", share=share, seed=0)
    moved = {u.dialogue for u in after if u.split == "validation"}
    assert len(moved) == n_dialogues
    assert [u.split for u in after if u.dialogue in moved] == ["validation"] * 3 * n_dialogues


def test_split_off_changes_nothing_but_the_split():
    before = ten_dialogues_of_three()
    after = split_off(before, source="train", target="validation", share=0.5, seed=0)
    assert [replace(u, split="") for u in after] == [replace(u, split="") for u in before]
    assert after[-1].split == "test"


def test_split_off_is_seeded_and_does_not_depend_on_the_order():
    utterances = ten_dialogues_of_three()

    def moved(seed: int, order: int = 1) -> set[str]:
        after = split_off(utterances[::order], source="train", target="validation", share=0.3, seed=seed)
        return {u.id for u in after if u.split == "validation"}

    assert moved(3) == moved(3) == moved(3, order=-1)
    assert len({frozenset(moved(seed)) for seed in range(10)}) > 1


def test_split_off_moves_speakers_whole_where_no_dialogue_is_known():
    utterances = [said(f"s{s}_{i}", "train", speaker=f"s{s}") for s in range(4) for i in range(2)]
    after = split_off(utterances, source="train", target="validation", share=0.5, seed=0)
    check_leakage(after, corpus="made")
    assert [u.split for u in after].count("validation") == 4


def test_split_off_keeps_a_speaker_of_several_dialogues_together():
    """The module promises splits that keep a video and a speaker together."""
    utterances = [said(f"u{d}", "train", dialogue=f"d{d}", speaker=f"s{d // 2}") for d in range(8)]
    for seed in range(5):
        check_leakage(split_off(utterances, source="train", target="validation", share=0.5, seed=seed), corpus="made")


def test_split_off_keeps_files_together_that_are_said():
    utterances = [said(f"u{k}", "train", dialogue=f"d{k}") for k in range(12)]
    files = {f"u{k}": {f"f{k // 2}", f"only {k}"} for k in range(12)}
    for seed in range(5):
        after = split_off(utterances, source="train", target="test", share=0.5, seed=seed, files=files)
        moved = [u.split == "test" for u in after]
        assert moved[::2] == moved[1::2]
        assert sum(moved) == 6


@pytest.mark.parametrize("share", [0.0, 0.04, 0.96, 1.0])
def test_a_share_that_leaves_a_side_empty_is_refused(share):
    with pytest.raises(DatasetError, match=r"10 groups in 'train' leaves a split empty"):
        split_off(ten_dialogues_of_three(), source="train", target="validation", share=share, seed=0)
