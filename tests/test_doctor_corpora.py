"""The doctor on what is ready for a model: feature stores, MMSA files, archives of arrays."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotiwave.doctor.inspection import Inspection, inspect
from emotiwave.features.store import write_store
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Segment, Utterance

NAN = np.nan
SPLITS = ("train",) * 6 + ("validation",) * 2 + ("test",) * 2


def counts(inspection: Inspection) -> dict[str, int]:
    return {one.kind: one.count for one in inspection.findings}


def sequence(arrays: dict[str, np.ndarray]) -> ComputationalSequence:
    return ComputationalSequence.from_sequences(
        {
            name: FeatureSequence(array.astype(np.float32), np.tile([0.0, 1.0], (len(array), 1)))
            for name, array in arrays.items()
        }
    )


def made_corpus() -> Corpus:
    """Ten utterances of ten videos, two frames of audio and three of vision each; both classes in half of them."""
    rng = np.random.default_rng(2)
    ids = [f"u{index}" for index in range(10)]
    utterances = tuple(
        Utterance(id=name, split=split, label=(("joy",), ("fear",))[index % 2], dialogue=f"video {index}")
        for index, (name, split) in enumerate(zip(ids, SPLITS, strict=True))
    )
    sequences = {
        "audio": sequence({name: rng.normal(size=(2, 3)) for name in ids}),
        "vision": sequence({name: rng.normal(size=(3, 2)) for name in ids}),
    }
    return Corpus("made", "emotions", "none", LabelSet("multilabel", ("joy", "fear")), utterances, sequences)


def with_audio(corpus: Corpus, **changed: np.ndarray | None) -> Corpus:
    arrays = {name: changed.get(name, corpus.sequences["audio"][name].values) for name in corpus.sequences["audio"].ids}
    kept = {name: array for name, array in arrays.items() if array is not None}
    return replace(corpus, sequences={**corpus.sequences, "audio": sequence(kept)})


def with_utterance(corpus: Corpus, index: int, **changes: object) -> Corpus:
    utterances = list(corpus.utterances)
    utterances[index] = replace(utterances[index], **changes)
    return replace(corpus, utterances=tuple(utterances))


def test_a_clean_store_has_no_finding_and_its_facts_add_up(tmp_path):
    corpus = with_utterance(made_corpus(), 0, segment=Segment("video 0", 1.0, 3.5), ratings={"sentiment": -2.5})
    inspection = inspect([write_store(corpus, tmp_path / "store")])
    assert inspection.findings == ()
    (facts,) = inspection.facts
    assert (facts.kind, facts.n_videos, facts.splits) == ("store", 10, {"train": 6, "validation": 2, "test": 2})
    assert facts.modalities is not None
    assert facts.labels is not None
    assert facts.labels.class_shares == {"joy": 0.5, "fear": 0.5}
    assert facts.labels.sentiment is not None
    assert facts.labels.sentiment.counts == (0, 1) + (0,) * 11  # -2.75 to -2.25
    assert facts.labels.lengths is not None
    assert facts.labels.lengths.counts[2] == 1
    assert {name: part.n_frames for name, part in facts.modalities.items()} == {"audio": 20, "vision": 30}
    assert inspection.presence == {("audio", "vision"): 10}


@pytest.mark.parametrize(
    ("spoil", "planted"),
    [
        (lambda c: with_audio(c, u0=np.array([[NAN, 1, 2], [1, 2, 3]]), u5=np.full((2, 3), np.inf)), {"non_finite": 3}),
        (lambda c: with_audio(c, u0=np.zeros((2, 3))), {"all_zero_frames": 2}),
        (lambda c: with_audio(c, u3=None, u4=np.empty((0, 3))), {"missing_modality": 2}),
        (lambda c: with_audio(c, **{f"u{i}": np.array([[4.0, i, -i]]) for i in range(10)}), {"constant_columns": 1}),
        (lambda c: with_utterance(c, 9, dialogue="video 0"), {"split_leakage": 1}),
        (lambda c: with_utterance(with_utterance(c, 0, speaker="ann"), 7, speaker="ann"), {"split_leakage": 1}),
        (lambda c: with_utterance(c, 1, label=()), {"labels_all_zero": 1}),
        (
            lambda c: replace(c, utterances=tuple(replace(u, label=("joy",)) for u in c.utterances)),
            {"class_imbalance": 1},
        ),
    ],
)  # fmt: skip
def test_what_is_planted_in_a_store_is_found(tmp_path, spoil, planted):
    inspection = inspect([write_store(spoil(made_corpus()), tmp_path / "store")])
    assert counts(inspection) == planted
    assert inspection.needs_decision == ("split_leakage" in planted)


def test_zero_lengths_are_told_apart_from_missing(tmp_path):
    corpus = with_audio(made_corpus(), u3=None, u4=np.empty((0, 3)))
    inspection = inspect([write_store(corpus, tmp_path / "store")])
    assert "1 of them are stored with a length of zero" in inspection.findings[0].detail
    assert inspection.presence == {("audio", "vision"): 8, ("vision",): 2}


def test_a_store_that_was_changed_is_unreadable(tmp_path):
    folder = write_store(made_corpus(), tmp_path / "store")
    path = folder / "sequences" / "audio" / "values.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert counts(inspect([folder])) == {"unreadable": 1}


def mmsa_split(prefix: str, n: int) -> dict:
    rng = np.random.default_rng(n)
    return {
        "id": [f"{prefix}{index}$_$0" for index in range(n)],
        "raw_text": ["words"] * n,
        "text": rng.normal(size=(n, 4, 3)).astype(np.float32),
        "audio": rng.normal(size=(n, 4, 2)).astype(np.float32),
        "vision": rng.normal(size=(n, 4, 2)).astype(np.float32),
        "regression_labels": np.linspace(-2, 2, n).astype(np.float32),
    }


def write_mmsa_file(path: Path, **splits: dict) -> Path:
    path.write_bytes(pickle.dumps(splits, protocol=4))
    return path


def test_an_mmsa_file_without_faults(tmp_path):
    path = write_mmsa_file(tmp_path / "aligned_50.pkl", train=mmsa_split("a", 6), valid=mmsa_split("b", 3))
    inspection = inspect([path])
    assert inspection.findings == ()
    (facts,) = inspection.facts
    assert (facts.kind, facts.splits) == ("mmsa", {"train": 6, "validation": 3})
    assert facts.labels is not None
    assert facts.labels.sentiment is not None
    assert sum(facts.labels.sentiment.counts) == 9


def test_faults_of_an_mmsa_file(tmp_path):
    train = mmsa_split("a", 6)
    train["audio"][2] = 0  # lacks it
    train["text"][0, 1, 1] = NAN
    train["regression_labels"][3] = 4.0
    inspection = inspect([write_mmsa_file(tmp_path / "x.pkl", train=train)])
    assert {kind: count for kind, count in counts(inspection).items() if kind != "reader_notes"} == {
        "missing_modality": 1,
        "non_finite": 1,
    }
    notes = next(one for one in inspection.findings if one.kind == "reader_notes")
    assert "1 of 6 labels outside -3 to 3" in notes.detail
    assert str(tmp_path) not in notes.detail


def test_an_mmsa_file_with_classes_only(tmp_path):
    train = mmsa_split("a", 6)
    del train["regression_labels"]
    train["classification_labels"] = np.array([0, 0, 1, 1, 2, 2])
    inspection = inspect([write_mmsa_file(tmp_path / "x.pkl", train=train)])
    assert inspection.findings == ()
    assert inspection.facts[0].labels is not None
    assert inspection.facts[0].labels.class_shares["neutral"] == pytest.approx(1 / 3)


def test_a_pickle_that_is_no_mmsa_file(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([1, 2]))
    inspection = inspect([tmp_path / "x.pkl"])
    assert counts(inspection) == {"unreadable": 1}
    assert "expected a dict of train, valid, test" in inspection.findings[0].detail


def test_an_archive_of_arrays(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(5, 4, 3))
    frames[0, 0, 1], frames[1, 2:, :] = NAN, 0.0
    frames[..., 2] = np.where(frames.any(axis=-1), 8.0, 0.0)
    np.savez(
        tmp_path / "x.npz", frames=frames, labels=np.array([0, 0, 1]), names=np.array(["a", "b"]), one=np.array(NAN)
    )
    inspection = inspect([tmp_path / "x.npz"])
    found = sorted((one.kind, one.count, one.detail.split(". ")[-1]) for one in inspection.findings)
    assert found == [
        ("all_zero_frames", 2, "In frames."),
        ("constant_columns", 1, "In frames."),
        ("non_finite", 1, "In frames."),
        ("non_finite", 1, "In one."),
    ]
    modalities = inspection.facts[0].modalities
    assert modalities is not None
    assert (modalities["frames"].shape, modalities["frames"].n_frames) == ((5, 4, 3), 20)
    assert modalities["frames"].n_unobserved == 3
    assert modalities["names"].dtype == "<U1"
