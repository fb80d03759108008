import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotiwave.datasets.mmsa import MmsaSettings, load
from emotiwave.datasets.pickles import read_pickle
from emotiwave.errors import DatasetError, DataWarning, FeatureError
from emotiwave.features.mmsa_export import write_mmsa
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance

SIZES = {"text": 3, "audio": 2, "vision": 4}


def made_split(ids: list[str], **changes) -> dict:
    """A split as MMSA writes it: 6 frames, of which the first 4 are no padding."""
    rng = np.random.default_rng(len(ids))
    fields: dict = {
        name: np.pad(rng.uniform(0.1, 1.0, (len(ids), 4, size)), ((0, 0), (0, 2), (0, 0)))
        for name, size in SIZES.items()
    }
    fields |= {
        "id": ids,
        "raw_text": [f"words of {name}" for name in ids],
        "regression_labels": np.linspace(-3, 3, len(ids)),
        "audio_lengths": [4] * len(ids),
        "vision_lengths": [4] * len(ids),
    }
    fields["classification_labels"] = np.sign(fields["regression_labels"]) + 1
    fields["annotations"] = [("Negative", "Neutral", "Positive")[int(k)] for k in fields["classification_labels"]]
    return {key: value for key, value in (fields | changes).items() if value is not None}


def made_file(folder: Path, train: dict | None = None, **splits) -> Path:
    ids = ["a$_$1", "a$_$2", "-b$_$0"]
    content = {"train": made_split(ids) if train is None else train} | splits
    path = folder / "made.pkl"
    path.write_bytes(pickle.dumps(content, 4))
    return path


def read(path: Path, task: str = "sentiment") -> Corpus:
    return load(MmsaSettings.model_validate({"file": path, "task": task}))


def refuse(path: Path, *parts: str, task: str = "sentiment") -> None:
    with pytest.raises(DatasetError) as raised:
        read(path, task)
    for part in (str(path), *parts):
        assert part in str(raised.value)


# Reading


def test_what_the_file_says_is_in_the_corpus(tmp_path):
    train = made_split(["a$_$1", "a$_$2", "-b$_$0"])
    corpus = read(made_file(tmp_path, train, valid=made_split(["c_2$_$7"]), test=made_split(["d$_$1", "d$_$2"])))
    assert [u.id for u in corpus.utterances] == ["a$_$1", "a$_$2", "-b$_$0", "c_2$_$7", "d$_$1", "d$_$2"]
    assert [u.dialogue for u in corpus.utterances] == ["a", "a", "-b", "c_2", "d", "d"]
    assert [u.split for u in corpus.utterances] == ["train"] * 3 + ["validation"] + ["test"] * 2
    assert [u.label for u in corpus.utterances] == [(-3.0,), (0.0,), (3.0,), (-3.0,), (-3.0,), (3.0,)]
    assert corpus.utterances[1].transcript == "words of a$_$2"
    assert corpus.utterances[0].ratings == {"sentiment": -3.0}
    assert corpus.label_set == LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),))
    assert corpus.sizes == SIZES
    for name in SIZES:
        sequence = corpus.sequences[name]["a$_$2"]
        np.testing.assert_array_equal(sequence.values, train[name][1, :4].astype(np.float32))
        assert np.isnan(sequence.intervals).all()


def test_polarity_is_of_the_classes_and_keeps_the_rating(tmp_path):
    labels = np.array([2.0, 0.0, 1.0])  # not what the signs would say
    corpus = read(
        made_file(tmp_path, made_split(["a$_$1", "a$_$2", "b$_$1"], classification_labels=labels)), "polarity"
    )
    assert corpus.label_set == LabelSet("categorical", ("negative", "neutral", "positive"))
    assert [u.label for u in corpus.utterances] == ["positive", "negative", "neutral"]
    assert [u.ratings for u in corpus.utterances] == [{"sentiment": value} for value in (-3.0, 0.0, 3.0)]


def test_polarity_without_class_numbers_is_of_annotations_and_without_them_of_the_sign(tmp_path):
    ids = ["a$_$1", "a$_$2", "b$_$1"]
    worded = made_split(ids, classification_labels=None, annotations=np.array(["Neutral", "positive", "Negative"]))
    with pytest.warns(DataWarning, match=r"'train': polarity from annotations"):
        corpus = read(made_file(tmp_path, worded), "polarity")
    assert [u.label for u in corpus.utterances] == ["neutral", "positive", "negative"]
    bare = made_split(ids, classification_labels=None, annotations=None)
    with pytest.warns(DataWarning, match=r"'train': polarity from the sign of regression_labels"):
        corpus = read(made_file(tmp_path, bare), "polarity")
    assert [u.label for u in corpus.utterances] == ["negative", "neutral", "positive"]


def test_polarity_needs_no_values(tmp_path):
    corpus = read(made_file(tmp_path, made_split(["a$_$1", "b$_$1"], regression_labels=None)), "polarity")
    assert [u.ratings for u in corpus.utterances] == [None, None]


def test_labels_out_of_range_are_clamped_and_counted(tmp_path):
    train = made_split(["a$_$1", "a$_$2", "b$_$1"], regression_labels=np.array([[-3.3], [0.5], [7.0]]))
    with pytest.warns(DataWarning, match=r"'train': 2 of 3 labels outside -3 to 3, clamped"):
        corpus = read(made_file(tmp_path, train))
    assert [u.label for u in corpus.utterances] == [(-3.0,), (0.5,), (3.0,)]


def test_lists_strings_in_arrays_and_single_features_are_read_too(tmp_path):
    audio = np.arange(1.0, 13.0, dtype=np.float16).reshape(2, 3, 2)
    fields = {
        "id": np.array([b"a$_$1", b"b$_$1"]),
        "raw_text": np.array(["one", "two"], dtype=object),
        "regression_labels": [0.5, -0.5],
        "audio": audio.tolist(),
    }
    corpus = read(made_file(tmp_path, fields))
    assert corpus.modalities == ("audio",)
    assert [u.id for u in corpus.utterances] == ["a$_$1", "b$_$1"]
    assert [u.transcript for u in corpus.utterances] == ["one", "two"]
    np.testing.assert_array_equal(corpus.sequences["audio"]["b$_$1"].values, audio[1])
    ragged = np.empty(2, dtype=object)
    ragged[0], ragged[1] = audio[0], audio[1, :1]
    corpus = read(made_file(tmp_path, fields | {"audio": ragged}))
    assert [corpus.sequences["audio"].n_frames(u.id) for u in corpus.utterances] == [3, 1]
    corpus = read(made_file(tmp_path, fields | {"audio": audio[:, 0]}))  # one vector per utterance
    np.testing.assert_array_equal(corpus.sequences["audio"]["b$_$1"].values, audio[1, :1])


def test_text_ends_where_its_mask_does(tmp_path):
    tokens = np.zeros((2, 3, 6), dtype=np.int64)
    tokens[0, 1, :2] = 1
    tokens[1, 1, :3] = 1
    text = np.ones((2, 6, 3))
    with pytest.warns(DataWarning, match=r"text: 2 of 2 utterances have frames beyond the length they state"):
        corpus = read(made_file(tmp_path, made_split(["a$_$1", "b$_$1"], text=text, text_bert=tokens)))
    assert [corpus.sequences["text"].n_frames(u.id) for u in corpus.utterances] == [2, 3]


def test_stated_lengths_keep_frames_of_zeros_and_find_padding_in_front(tmp_path):
    audio = np.zeros((4, 5, 1))
    audio[0, :, 0] = [0, 7, 0, 0, 0]  # three frames, of which one is not zero
    audio[1, :, 0] = [0, 0, 7, 8, 9]  # padded in front
    audio[2, :, 0] = [7, 8, 9, 6, 5]  # cut: it states more than it has
    audio[3, :, 0] = [7, 8, 9, 6, 0]  # longer than it says
    ids = ["a$_$1", "a$_$2", "b$_$1", "b$_$2"]
    train = made_split(ids, audio=audio, audio_lengths=np.array([3, 3, 9, 2]))
    with pytest.warns(DataWarning) as raised:
        corpus = read(made_file(tmp_path, train))
    assert [corpus.sequences["audio"][name].values[:, 0].tolist() for name in ids] == [
        [0, 7, 0],
        [7, 8, 9],
        [7, 8, 9, 6, 5],
        [7, 8],
    ]
    message = str(raised[0].message)
    assert "audio: 1 of 4 utterances state more frames than are stored" in message
    assert "audio: 1 of 4 utterances have frames beyond the length they state" in message


def test_without_lengths_zeros_at_either_end_are_padding(tmp_path):
    audio = np.zeros((2, 6, 1))
    audio[0, :, 0] = [0, 0, 5, 0, np.nan, 0]
    audio[1, :, 0] = [5, 6, 0, 0, 0, 0]
    train = made_split(["a$_$1", "b$_$1"], audio=audio, audio_lengths=None, vision=None, vision_lengths=None, text=None)
    corpus = read(made_file(tmp_path, train))
    np.testing.assert_array_equal(corpus.sequences["audio"]["a$_$1"].values[:, 0], [5, 0, np.nan])
    np.testing.assert_array_equal(corpus.sequences["audio"]["b$_$1"].values[:, 0], [5, 6])


def test_in_an_aligned_file_a_frame_stays_one_word_in_all_modalities(tmp_path):
    text, audio = np.zeros((2, 6, 1)), np.zeros((2, 6, 1))
    text[0, :, 0] = [0, 1, 2, 3, 0, 0]
    audio[0, :, 0] = [0, 0, 7, 0, 9, 0]  # nothing heard in the first word, one more frame at the end
    text[1, :, 0] = [1, 2, 0, 0, 0, 0]  # no audio at all
    train = made_split(["a$_$1", "b$_$1"], text=text, audio=audio, vision=None, audio_lengths=None, vision_lengths=None)
    with pytest.warns(DataWarning, match=r"audio: 1 of 2 utterances have no frame"):
        corpus = read(made_file(tmp_path, train))
    np.testing.assert_array_equal(corpus.sequences["text"]["a$_$1"].values[:, 0], [1, 2, 3, np.nan])
    np.testing.assert_array_equal(corpus.sequences["audio"]["a$_$1"].values[:, 0], [np.nan, 7, 0, 9])
    np.testing.assert_array_equal(corpus.sequences["text"]["b$_$1"].values[:, 0], [1, 2])
    assert "b$_$1" not in corpus.sequences["audio"]


def test_what_is_not_finite_stays_and_what_is_no_float32_becomes_infinite(tmp_path):
    train = made_split(["a$_$1", "b$_$1"])
    train["audio"][0, 0], train["audio"][0, 1] = [-np.inf, 1e300], [np.nan, 0.0]
    values = read(made_file(tmp_path, train)).sequences["audio"]["a$_$1"].values
    np.testing.assert_array_equal(values[:2], np.array([[-np.inf, np.inf], [np.nan, 0.0]], np.float32))


def test_a_modality_of_zeros_is_missing_and_counted(tmp_path):
    train = made_split(["a$_$1", "a$_$2", "b$_$1"])
    train["vision"][1] = 0
    with pytest.warns(DataWarning, match=r"'train': vision: 1 of 3 utterances have no frame that is not zero"):
        corpus = read(made_file(tmp_path, train))
    assert corpus.sequences["vision"].ids == ("a$_$1", "b$_$1")
    np.testing.assert_array_equal(corpus.sequences["vision"]["b$_$1"].values, train["vision"][2, :4].astype(np.float32))


def test_tokens_are_no_text(tmp_path):
    tokens = np.ones((2, 3, 6))
    with pytest.warns(DataWarning, match=r"only text_bert .* needs a text encoder"):
        corpus = read(made_file(tmp_path, made_split(["a$_$1", "b$_$1"], text=None, text_bert=tokens)))
    assert corpus.modalities == ("audio", "vision")
    alone = made_split(["a$_$1", "b$_$1"], text=None, audio=None, vision=None, text_bert=tokens)
    refuse(made_file(tmp_path, alone), "text_bert", "text encoder")


def test_empty_splits_are_left_out(tmp_path):
    corpus = read(made_file(tmp_path, valid={}, test=made_split([])))
    assert {u.split for u in corpus.utterances} == {"train"}


TWO = ["a$_$1", "b$_$1"]
MISMATCHES = {
    "no utterances": ({"train": {}}, "has no utterances"),
    "no dict": ([1, 2], "holds a list", "train, valid, test"),
    "unknown split": ({"dev": made_split(TWO)}, "split 'dev'", "train, valid, test"),
    "a split that is no dict": ({"train": [1]}, "split 'train' is a list"),
    "no ids": ({"train": made_split(TWO, id=None)}, "split 'train'", "'id'"),
    "ids that are numbers": ({"train": made_split(TWO, id=[1, 2])}, "split 'train'", "id", "item 0 is a int"),
    "an id without a video": ({"train": made_split(["a$_$1", "b1"])}, "split 'train'", "'b1'", "video$_$clip"),
    "an id twice": ({"train": made_split(["a$_$1", "a$_$1"])}, "'a$_$1'", "more than once"),
    "an id in two splits": ({"train": made_split(TWO), "test": made_split(["b$_$1"])}, "'b$_$1'", "'train', 'test'"),
    "a video in two splits": ({"train": made_split(TWO), "test": made_split(["b$_$2"])}, "'b'", "'train'", "'test'"),
    "no labels": ({"train": made_split(TWO, regression_labels=None)}, "split 'train'", "regression_labels"),
    "too few labels": ({"train": made_split(TWO, regression_labels=[1.0])}, "split 'train'", "regression_labels", "2"),
    "labels in words": ({"train": made_split(TWO, regression_labels=["x", "y"])}, "split 'train'", "regression_labels"),
    "a label that is no number": ({"train": made_split(TWO, regression_labels=[1.0, np.nan])}, "'b$_$1' is nan"),
    "too few transcripts": ({"train": made_split(TWO, raw_text=["x"])}, "split 'train'", "raw_text", "1 items"),
    "features of other utterances": ({"train": made_split(TWO, audio=np.ones((3, 6, 2)))}, "audio", "(3, 6, 2)"),
    "features in words": ({"train": made_split(TWO, text=["some", "words"])}, "'train': text", "expected numbers"),
    "four axes": ({"train": made_split(TWO, text=np.ones((2, 6, 3, 1)))}, "'train': text", "(frames, features)"),
    "features that differ": ({"train": made_split(TWO, text=[np.ones((2, 3)), np.ones((2, 4))])}, "text", "number"),
    "rows that differ": ({"train": made_split(TWO, text=[[[1, 2], [3]], [[1, 2]]])}, "text", "differ"),
    "features of another size": ({"train": made_split(TWO), "test": made_split(["c$_$1"], text=np.ones((1, 6, 9)))},
                                 "split 'test'", "9 features", "has 3"),
    "a modality in one split": ({"train": made_split(TWO), "test": made_split(["c$_$1"], text=None)},
                                "split 'test'", "'text'"),
    "lengths of others": ({"train": made_split(TWO, audio_lengths=[4])}, "split 'train'", "audio_lengths"),
    "half a frame": ({"train": made_split(TWO, audio_lengths=[4, 1.5])}, "audio_lengths of 'b$_$1' is 1.5"),
    "lengths below zero": ({"train": made_split(TWO, vision_lengths=[4, -1])}, "vision_lengths of 'b$_$1'", "below 0"),
    "other tokens": ({"train": made_split(TWO, text_bert=np.ones((2, 6)))}, "text_bert", "(2, 3, tokens)"),
    "nothing but zeros": ({"train": made_split(TWO, **{name: np.zeros((2, 6, 3)) for name in SIZES})}, "'a$_$1'"),
    "no features": ({"train": made_split(TWO, text=None, audio=None, vision=None)}, "no features"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_mismatch_is_named(name, tmp_path):
    content, *parts = MISMATCHES[name]
    path = tmp_path / "made.pkl"
    path.write_bytes(pickle.dumps(content))
    refuse(path, *parts)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"classification_labels": [0, 3]}, "classification_labels of 'b$_$1' is 3"),
        ({"classification_labels": None, "annotations": ["Negative", "Weakly"]}, "annotations of 'b$_$1' is 'Weakly'"),
        ({"classification_labels": None, "annotations": None, "regression_labels": None}, "has none of"),
    ],
)
def test_classes_that_are_none_of_polarity_are_named(changes, part, tmp_path):
    refuse(made_file(tmp_path, made_split(TWO, **changes)), "split 'train'", part, task="polarity")


def test_a_file_that_runs_code_is_refused(tmp_path):
    path = tmp_path / "made.pkl"
    path.write_bytes(b"cos\nmkdir\n(X\x04\x00\x00\x00oopstR.")
    refuse(path, "os.mkdir")


# Writing


def made_corpus(lengths: dict[str, list[int]], labels=None, **changes) -> Corpus:
    """Five utterances of three videos with frames of so many; 0 lacks the modality."""
    names = ["v-1[3]", "v-1[0]", "v_2[1]", "w[10]", "w[2]"]
    splits = ["train", "train", "validation", "test", "test"]
    values = [0.1, -0.7, 0.0, 2.6, -3.0]
    rng = np.random.default_rng(5)
    sequences = {}
    for modality, counts in lengths.items():
        found = {
            name: FeatureSequence(
                rng.uniform(0.5, 1.5, (count, SIZES[modality])).astype(np.float32), np.full((count, 2), np.nan)
            )
            for name, count in zip(names, counts, strict=True)
            if count
        }
        sequences[modality] = ComputationalSequence.from_sequences(found, size=SIZES[modality])
    utterances = tuple(
        Utterance(
            id=name,
            split=split,
            label=(value,),
            dialogue=name.split("[")[0],
            transcript=f"said {i}",
            ratings={"sentiment": value},
        )
        for i, (name, split, value) in enumerate(zip(names, splits, values, strict=True))
    )
    sentiment = LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),))
    corpus = Corpus("mmsa", "sentiment", "made", sentiment, utterances, sequences)
    return replace(corpus, **changes)


ALIGNED = {"text": [4, 2, 7, 1, 3], "audio": [4, 2, 7, 1, 3], "vision": [4, 2, 7, 1, 3]}
UNALIGNED = {"text": [4, 2, 7, 1, 3], "audio": [20, 9, 1, 1, 5], "vision": [1, 2, 3, 4, 5]}
GAPS = {"text": [4, 2, 0, 1, 3], "audio": [4, 0, 7, 1, 3], "vision": [0, 0, 7, 1, 3]}


def assert_same(got: Corpus, expected: Corpus) -> None:
    assert got.utterances == expected.utterances
    assert got.label_set == expected.label_set
    assert got.modalities == expected.modalities
    for name, sequence in expected.sequences.items():
        assert got.sequences[name].ids == sequence.ids
        np.testing.assert_array_equal(got.sequences[name].offsets, sequence.offsets)
        np.testing.assert_array_equal(got.sequences[name].values, sequence.values)


@pytest.mark.parametrize(("lengths", "aligned"), [(ALIGNED, True), (ALIGNED, False), (UNALIGNED, False)])
def test_a_corpus_comes_back_as_it_was(lengths, aligned, tmp_path):
    corpus = made_corpus(lengths)
    counts = write_mmsa(corpus, tmp_path / "made.pkl", aligned=aligned)
    assert_same(read(tmp_path / "made.pkl"), corpus)
    assert counts["utterances"] == {"train": 2, "validation": 1, "test": 2}
    for what in ("missing", "pooled", "unobserved"):
        assert counts[what] == {"text": 0, "audio": 0, "vision": 0}


@pytest.mark.parametrize("aligned", [True, False])
def test_a_corpus_with_missing_modalities_comes_back_as_it_was(aligned, tmp_path):
    corpus = made_corpus(GAPS)
    counts = write_mmsa(corpus, tmp_path / "made.pkl", aligned=aligned)
    assert counts["missing"] == {"text": 1, "audio": 1, "vision": 2}
    with pytest.warns(DataWarning, match="'valid': text: 1 of 1 utterances have no frame"):
        assert_same(read(tmp_path / "made.pkl"), corpus)


def test_a_file_comes_back_as_it_was(tmp_path):
    first = read(made_file(tmp_path, valid=made_split(["c$_$1"]), test=made_split(["d$_$1"])))
    write_mmsa(first, tmp_path / "again.pkl", aligned=True)
    assert_same(read(tmp_path / "again.pkl"), first)
    written = pickle.loads((tmp_path / "again.pkl").read_bytes())
    assert written["train"]["id"] == ["a$_$1", "a$_$2", "-b$_$0"]
    assert "utterance_id" not in written["train"]


@pytest.mark.parametrize("task", ["sentiment", "polarity"])
def test_polarity_comes_back_as_it_was(task, tmp_path):
    train = made_split(["a$_$1", "a$_$2", "b$_$1"], classification_labels=[2, 0, 1])
    first = read(made_file(tmp_path, train), task)
    write_mmsa(first, tmp_path / "again.pkl", aligned=False)
    assert [u.label for u in read(tmp_path / "again.pkl", task).utterances] == [u.label for u in first.utterances]


def test_the_file_is_what_mmsa_reads(tmp_path):
    """Keys, shapes and types as its loader uses them, and no name that numpy 1 lacks."""
    write_mmsa(made_corpus(UNALIGNED), tmp_path / "made.pkl", aligned=False)
    content = (tmp_path / "made.pkl").read_bytes()
    assert b"_core" not in content
    code = f"import pickle; data = pickle.load(open({str(tmp_path / 'made.pkl')!r}, 'rb')); print(data['test'])"
    assert "w$_$10" in subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    data = pickle.loads(content)
    assert list(data) == ["train", "valid", "test"]
    train, test = data["train"], data["test"]
    assert train["id"] == ["v-1$_$3", "v-1$_$0"]
    assert train["raw_text"] == ["said 0", "said 1"]
    assert train["regression_labels"].tolist() == [0.1, -0.7]
    assert train["classification_labels"].tolist() == [2, 0]
    assert data["valid"]["annotations"] == ["Neutral"]
    assert train["audio"].shape == (2, 20, 2)
    assert test["audio"].shape == (2, 20, 2)
    assert test["text"].shape == (2, 7, 3)
    assert (train["audio_lengths"], test["vision_lengths"]) == ([20, 9], [4, 5])
    assert (train["audio"][1, 9:] == 0).all()
    train["audio"][0, 0, 0] = 5.0  # arrays can be written to


def test_long_sequences_are_pooled_and_counted(tmp_path):
    corpus = made_corpus({"text": [4, 2, 1, 1, 1], "audio": [6, 4, 1, 1, 1]})
    counts = write_mmsa(corpus, tmp_path / "made.pkl", aligned=False, frames={"text": 2, "audio": 3})
    assert counts["pooled"] == {"text": 1, "audio": 2}
    again = read(tmp_path / "made.pkl")
    before = corpus.sequences["audio"]["v-1[3]"].values
    expected = before.astype(np.float64).reshape(3, 2, 2).mean(axis=1)  # pairs of frames
    np.testing.assert_allclose(again.sequences["audio"]["v-1[3]"].values, expected, rtol=1e-6)
    assert again.sequences["text"].n_frames("v-1[3]") == 2


def test_aligned_modalities_are_pooled_alike(tmp_path):
    corpus = made_corpus(ALIGNED)
    counts = write_mmsa(corpus, tmp_path / "made.pkl", aligned=True, frames=3)
    assert counts["pooled"] == {"text": 2, "audio": 2, "vision": 2}
    again = read(tmp_path / "made.pkl")
    assert [again.sequences["vision"].n_frames(u.id) for u in again.utterances] == [3, 2, 3, 1, 3]


def test_unobserved_frames_become_zeros_and_are_counted(tmp_path):
    corpus = made_corpus(ALIGNED)
    corpus.sequences["audio"].values[[1, 4], [0, 1]] = [np.nan, -np.inf]
    counts = write_mmsa(corpus, tmp_path / "made.pkl", aligned=True)
    assert counts["unobserved"] == {"text": 0, "audio": 2, "vision": 0}
    again = read(tmp_path / "made.pkl").sequences["audio"].values
    assert not again[[1, 4]].any()
    kept = [0, 2, 3, *range(5, 17)]
    np.testing.assert_array_equal(again[kept], corpus.sequences["audio"].values[kept])


def test_clips_without_a_number_are_counted_in_each_video(tmp_path):
    corpus = made_corpus(ALIGNED)
    utterances = tuple(replace(u, id=f"clip {i}") for i, u in enumerate(corpus.utterances))
    sequences = {
        name: replace(sequence, ids=tuple(u.id for u in utterances)) for name, sequence in corpus.sequences.items()
    }
    corpus = replace(corpus, utterances=utterances, sequences=sequences)
    write_mmsa(corpus, tmp_path / "made.pkl", aligned=True)
    data = pickle.loads((tmp_path / "made.pkl").read_bytes())
    assert data["train"]["id"] == ["v-1$_$0", "v-1$_$1"]
    assert data["test"]["id"] == ["w$_$0", "w$_$1"]
    assert_same(read(tmp_path / "made.pkl"), corpus)


def test_modalities_of_unequal_lengths_are_not_aligned(tmp_path):
    with pytest.raises(FeatureError, match=r"'v-1\[3\]' has 4 of text, 20 of audio, 1 of vision frames.*`align`"):
        write_mmsa(made_corpus(UNALIGNED), tmp_path / "made.pkl", aligned=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "aligned", "message"),
    [(0, True, "budget of 0"), ({"text": 5}, False, "0 frames for audio"), (UNALIGNED, True, "share one budget")],
)
def test_budgets_that_are_none_are_refused(frames, aligned, message, tmp_path):
    frames = {"text": 5, "audio": 6, "vision": 7} if frames is UNALIGNED else frames
    with pytest.raises(FeatureError, match=message):
        write_mmsa(made_corpus(ALIGNED), tmp_path / "made.pkl", aligned=aligned, frames=frames)


def test_an_utterance_without_a_rating_is_left_out_and_counted(tmp_path):
    corpus = made_corpus(ALIGNED)
    first, *others = corpus.utterances
    rated = [replace(u, label=("happy",), ratings={"sentiment": 1.5}) for u in others]
    spoilt = (replace(first, label=("happy",), ratings={"happy": 1.0}), *rated)
    emotions = replace(corpus, utterances=spoilt, label_set=LabelSet("multilabel", ("happy", "sad")))
    counts = write_mmsa(emotions, tmp_path / "made.pkl", aligned=True)
    assert counts["unrated, left out"] == {first.split: 1}
    assert sum(counts["utterances"].values()) == len(others)
    written = read_pickle(tmp_path / "made.pkl")
    assert sum(len(split["id"]) for split in written.values()) == len(others)
    assert {float(label) for split in written.values() for label in split["regression_labels"]} == {1.5}


def test_other_labels_modalities_and_splits_are_refused(tmp_path):
    corpus = made_corpus(ALIGNED)
    emotions = LabelSet("multilabel", ("happy", "sad"))
    unrated = tuple(replace(u, label=("happy",), ratings=None) for u in corpus.utterances)
    with pytest.raises(DatasetError, match=r"no utterance has a rating of sentiment.* multilabel happy, sad"):
        write_mmsa(replace(corpus, utterances=unrated, label_set=emotions), tmp_path / "made.pkl", aligned=True)
    renamed = replace(corpus, sequences={"pulse": corpus.sequences["text"]})
    with pytest.raises(DatasetError, match="'pulse'"):
        write_mmsa(renamed, tmp_path / "made.pkl", aligned=True)
    moved = replace(corpus, utterances=tuple(replace(u, split="dev") for u in corpus.utterances))
    with pytest.raises(DatasetError, match="'dev'"):
        write_mmsa(moved, tmp_path / "made.pkl", aligned=True)


def test_a_value_alone_is_enough_and_a_rating_is_enough_beside_emotions(tmp_path):
    corpus = made_corpus(ALIGNED)
    unrated = replace(corpus, utterances=tuple(replace(u, ratings=None) for u in corpus.utterances))
    write_mmsa(unrated, tmp_path / "made.pkl", aligned=True)
    assert_same(read(tmp_path / "made.pkl"), corpus)
    emotions = LabelSet("multilabel", ("happy", "sad"))
    felt = tuple(replace(u, label=("happy",)) for u in corpus.utterances)
    write_mmsa(replace(corpus, utterances=felt, label_set=emotions), tmp_path / "made.pkl", aligned=True)
    assert_same(read(tmp_path / "made.pkl"), corpus)


def test_a_writing_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "made.pkl"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FeatureError, match=r"made\.pkl: cannot be written \(No space left"):
        write_mmsa(made_corpus(ALIGNED), path, aligned=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
