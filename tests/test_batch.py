"""The batch and its one mask."""

import numpy as np
import torch

from emotiwave.batch import collate, keep_only
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus, LabelSet, Utterance


def corpus() -> Corpus:
    """Utterance a has 3 text frames, one with NaN, and no audio; b has 1 text frame and 2 of audio, one infinite."""
    text = np.array([[1, 2], [np.nan, 4], [5, 6], [7, 8]], dtype=np.float32)
    audio = np.array([[1], [np.inf]], dtype=np.float32)
    return Corpus(
        name="c",
        task="t",
        licence="none",
        label_set=LabelSet("categorical", ("x", "y")),
        utterances=(Utterance(id="a", split="train", label="x"), Utterance(id="b", split="train", label="y")),
        sequences={
            "text": ComputationalSequence(("b", "a"), text[[3, 0, 1, 2]], np.zeros((4, 2)), np.array([0, 1, 4])),
            "audio": ComputationalSequence(("b",), audio, np.zeros((2, 2)), np.array([0, 2])),
        },
    )


def test_padding_missing_and_non_finite_frames_are_all_unobserved() -> None:
    batch = collate(corpus(), [0, 1])
    assert batch.ids == ("a", "b")
    assert batch.mask["text"].tolist() == [[True, False, True], [True, False, False]]
    assert batch.mask["audio"].tolist() == [[False, False], [True, False]]
    assert batch.inputs["text"].tolist() == [[[1, 2], [0, 0], [5, 6]], [[7, 8], [0, 0], [0, 0]]]
    assert batch.inputs["audio"].tolist() == [[[0], [0]], [[1], [0]]]
    assert batch.n_non_finite == {"text": 1, "audio": 1}
    assert batch.targets.tolist() == [[1, 0], [0, 1]]


def test_present_says_whether_a_frame_was_observed() -> None:
    present = collate(corpus(), [0, 1]).present
    assert {name: value.tolist() for name, value in present.items()} == {"text": [True, True], "audio": [False, True]}


def test_a_modality_missing_for_all_still_has_a_frame_that_is_unobserved() -> None:
    batch = collate(corpus(), [0])
    assert batch.inputs["audio"].shape == (1, 1, 1)
    assert not batch.mask["audio"].any()


def test_collate_does_not_change_the_corpus() -> None:
    made = corpus()
    before = made.sequences["text"].values.copy()
    collate(made, [0, 1])
    np.testing.assert_array_equal(made.sequences["text"].values, before)


def test_keep_only_hides_the_others_and_touches_no_values() -> None:
    batch = collate(corpus(), [0, 1])
    kept = keep_only(batch, {"audio"})
    assert not kept.mask["text"].any()
    assert torch.equal(kept.mask["audio"], batch.mask["audio"])
    assert torch.equal(kept.inputs["text"], batch.inputs["text"])
    assert batch.mask["text"].any()


def test_to_keeps_everything() -> None:
    batch = collate(corpus(), [0, 1]).to("cpu")
    assert batch.ids == ("a", "b")
    assert batch.mask["text"].sum() == 3


def test_a_frame_of_nan_alone_was_marked_by_its_maker_and_is_no_surprise() -> None:
    text = np.array([[np.nan, np.nan], [np.nan, 4], [np.inf, np.inf], [7, 8]], dtype=np.float32)
    sequence = ComputationalSequence(("a",), text, np.zeros((4, 2)), np.array([0, 4]))
    marked = Corpus("c", "t", "l", corpus().label_set, (Utterance("a", "train", "x"),), {"text": sequence})
    batch = collate(marked, [0])
    assert batch.mask["text"].tolist() == [[False, False, False, True]]
    assert batch.n_non_finite == {"text": 2}
