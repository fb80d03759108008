"""Dialogues, the neighbours of an utterance, and the rows that they take in a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from emotiwave.batch import collate
from emotiwave.dialogues import Context, find_neighbours
from tests.made import small_corpus


def neighbours_by_hand(corpus, index: int, context: Context) -> set[int]:
    """Every other utterance of the same dialogue and split that lies near enough, by comparing all pairs."""
    own = corpus.utterances[index]
    members = [i for i, u in enumerate(corpus.utterances) if (u.split, u.dialogue) == (own.split, own.dialogue)]
    place = members.index(index)
    return {
        other for at, other in enumerate(members) if other != index and -context.before <= at - place <= context.after
    }


@pytest.mark.parametrize("context", [Context(before=2), Context(after=3), Context(before=4, after=4)])
def test_neighbours_are_those_near_in_the_dialogue(context: Context) -> None:
    corpus = small_corpus()
    found = find_neighbours(corpus, context)
    assert found.shape == (80, context.before + context.after)
    for index in range(80):
        listed = found[index][found[index] >= 0].tolist()
        assert len(listed) == len(set(listed))
        assert set(listed) == neighbours_by_hand(corpus, index, context)


def test_the_nearest_come_first_and_no_split_sees_another() -> None:
    corpus = small_corpus()
    assert find_neighbours(corpus, Context(before=2, after=2))[3].tolist() == [2, 1, 4, 5]
    assert find_neighbours(corpus, Context(before=2))[[0, 1, 10]].tolist() == [[-1, -1], [0, -1], [-1, -1]]
    one = replace(corpus, utterances=tuple(replace(u, dialogue="one") for u in corpus.utterances))
    splits = np.array([u.split for u in corpus.utterances])
    found = find_neighbours(one, Context(before=50, after=50))
    for index, row in enumerate(found):
        assert set(splits[row[row >= 0]]) <= {splits[index]}


def test_how_far_context_may_go_is_bounded() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 50"):
        Context(before=51)


def test_neighbours_come_along_once_behind_those_asked() -> None:
    corpus = small_corpus()
    batch = collate(corpus, [5, 3], find_neighbours(corpus, Context(before=1, after=2)))
    # 5 has 4, 6, 7 and 3 has 2, 4, 5, of which 5 is asked itself
    numbers = [int(name.rsplit("_", 1)[1]) for name in batch.ids]
    assert numbers[:2] == [5, 3]
    assert sorted(numbers[2:]) == [2, 4, 6, 7]
    assert batch.neighbours is not None
    assert [{numbers[row] for row in rows} for rows in batch.neighbours.tolist()] == [{4, 6, 7}, {2, 4, 5}]
    assert len(batch.targets) == 2
    for name, sequence in corpus.sequences.items():
        for row, utterance in enumerate(batch.ids):
            n = sequence.n_frames(utterance)
            assert int(batch.mask[name][row].sum()) == n
            np.testing.assert_array_equal(batch.inputs[name][row, :n].numpy(), sequence[utterance].values)


def test_an_utterance_without_neighbours_has_none() -> None:
    corpus = small_corpus()
    alone = replace(corpus, utterances=tuple(replace(u, dialogue=None) for u in corpus.utterances))
    batch = collate(alone, [5, 3], find_neighbours(alone, Context(before=1, after=2)))
    assert len(batch.ids) == 2
    assert torch.equal(batch.neighbours, torch.full((2, 3), -1))


def test_without_context_a_batch_is_as_before() -> None:
    batch = collate(small_corpus(), [5, 3])
    assert batch.neighbours is None
    assert len(batch.ids) == len(batch.targets) == 2


def test_non_finite_frames_are_counted_of_those_asked_only() -> None:
    corpus = small_corpus(missing=0.0)
    sequence = corpus.sequences["text"]
    values = sequence.values.copy()
    name = corpus.utterances[4].id
    values[np.flatnonzero((values == sequence[name].values[0]).all(axis=1))[0], 0] = np.inf
    spoilt = replace(corpus, sequences=corpus.sequences | {"text": replace(sequence, values=values)})
    neighbours = find_neighbours(spoilt, Context(before=1, after=1))
    assert collate(spoilt, [5], neighbours).n_non_finite["text"] == 0
    assert collate(spoilt, [4, 5], neighbours).n_non_finite["text"] == 1
