import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from emotiwave.errors import FeatureError
from emotiwave.features.store import open_store, write_store
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Segment, Utterance

LABEL_SETS = {
    "categorical": LabelSet("categorical", ("anger", "fear")),
    "multilabel": LabelSet("multilabel", ("anger", "fear")),
    "distribution": LabelSet("distribution", ("anger", "fear")),
    "continuous": LabelSet("continuous", ("anger", "fear"), ((-3.0, 3.0), (0.0, 1.0))),
}
KINDS = tuple(LABEL_SETS)


def made_corpus(kind: Any = "categorical", **changes) -> Corpus:
    """Everything a store must keep: times unknown and known, no frame, a missing modality, and fields left empty."""
    rng = np.random.default_rng(0)

    def features(frames: int, size: int, *, timed: bool = True) -> FeatureSequence:
        times = rng.random((frames, 2)) if timed else np.full((frames, 2), np.nan)
        return FeatureSequence(rng.standard_normal((frames, size)).astype(np.float32), times)

    labels = {
        "categorical": ("anger", "fear", "anger"),
        "multilabel": (("anger", "fear"), (), ("fear",)),
        "distribution": ((2 / 3, 1 / 3), (0.0, 1.0), (0.1, 0.9)),
        "continuous": ((-1.5, 1 / 3), (0.0, 0.0), (3.0, 1.0)),
    }[kind]
    spoken = (
        {
            "dialogue": "d1",
            "speaker": "s1",
            "language": "en",
            "transcript": "Ça va? 你好",
            "ratings": {"sentiment": -1.5, "fear": 0.0},
        },
        {"segment": Segment("a.mp4", 0.25, 3.0), "transcript": ""},
        {"segment": None, "ratings": {"sentiment": 0.1}},
    )
    splits = ("train", "train", "test")
    parts = {
        "name": "made",
        "task": "polarity",
        "licence": "none, really",
        "label_set": LABEL_SETS[kind],
        "utterances": tuple(
            Utterance(f"u{i}", splits[i], labels[i], **spoken[i])  # pyright: ignore[reportArgumentType]
            for i in range(3)
        ),
        "sequences": {
            "vision": ComputationalSequence.from_sequences(
                {"u2": features(4, 3), "u0": features(0, 3), "u1": features(2, 3)}, {"rate": 25.0, "extractor": "made"}
            ),
            "audio": ComputationalSequence.from_sequences({"u0": features(1, 5, timed=False)}),
        },
        "posteriors": {"vision": rng.random((3, 2)), "audio": rng.random((3, 2)), "vision+audio": rng.random((3, 2))},
    }
    return Corpus(**(parts | changes))


def one_modality(modality: str, **changes) -> Corpus:
    whole = {f"u{i}": FeatureSequence(np.full((1, 2), i, np.float32), np.zeros((1, 2))) for i in range(3)}
    sequences = {modality: ComputationalSequence.from_sequences(whole)}
    return made_corpus(sequences=sequences, posteriors={modality: np.ones((3, 2)) / 2}, **changes)


def assert_equal(got: Corpus, expected: Corpus) -> None:
    for field in ("name", "task", "licence", "label_set", "utterances", "modalities", "digest"):
        assert getattr(got, field) == getattr(expected, field), field
    for name, sequence in expected.sequences.items():
        stored = got.sequences[name]
        assert stored.ids == sequence.ids
        assert stored.metadata == sequence.metadata
        assert stored.digest == sequence.digest
        for array in ("values", "intervals", "offsets"):
            assert getattr(stored, array).dtype == getattr(sequence, array).dtype
            assert getattr(stored, array).shape == getattr(sequence, array).shape
            assert getattr(stored, array).tobytes() == getattr(sequence, array).tobytes()
    assert (got.posteriors is None) == (expected.posteriors is None)
    for configuration, posterior in (expected.posteriors or {}).items():
        assert (got.posteriors or {})[configuration].tobytes() == posterior.tobytes()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(made_corpus(), tmp_path / "store")


def only_the_store(folder: Path) -> bool:
    return [path.name for path in folder.parent.iterdir()] == [folder.name]


# --- what goes in comes out


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_corpus_is_bit_equal(tmp_path, kind, verify):
    corpus = made_corpus(kind)
    assert_equal(open_store(write_store(corpus, tmp_path / "a" / "b" / "store"), verify=verify), corpus)


@pytest.mark.parametrize(
    "changes",
    [
        {"posteriors": None},
        {
            "label_set": LabelSet("multilabel", ("anger", "fear")),
            "utterances": tuple(replace(u, label=()) for u in made_corpus().utterances),
        },
        {"utterances": tuple(replace(u, segment=None, transcript=None) for u in made_corpus().utterances)},
        {"utterances": tuple(replace(u, ratings=None) for u in made_corpus().utterances)},
        {"utterances": tuple(replace(u, ratings={}) for u in made_corpus().utterances)},
        {"sequences": dict(reversed(list(made_corpus().sequences.items())))},
        {
            "sequences": dict(made_corpus().sequences)
            | {
                "text": ComputationalSequence(
                    (), np.zeros((0, 2), np.float32), np.zeros((0, 2)), np.zeros(1, dtype=np.int64)
                )
            }
        },
    ],
    ids=[
        "no posteriors",
        "nobody shows anything",
        "fields nobody has",
        "no ratings",
        "empty ratings",
        "other order",
        "a modality nobody has",
    ],
)
def test_a_sparse_corpus_is_bit_equal_too(tmp_path, changes):
    corpus = made_corpus(**changes)
    assert_equal(open_store(write_store(corpus, tmp_path / "store"), verify=True), corpus)


@pytest.mark.parametrize("name", ["text", "Face_2", "file"])
def test_a_modality_may_have_any_name_of_letters_digits_and_underscores(tmp_path, name):
    corpus = one_modality(name)
    assert_equal(open_store(write_store(corpus, tmp_path / "store")), corpus)


def test_arrays_are_mapped_and_not_loaded(store):
    for sequence in open_store(store).sequences.values():
        for array in (sequence.values, sequence.intervals):
            owner = array
            while owner is not None and not isinstance(owner, np.memmap):
                owner = owner.base
            assert isinstance(owner, np.memmap)


def test_nothing_can_be_written_back_through_a_mapped_array(store):
    sequence = open_store(store).sequences["vision"]
    for array in (sequence.values, sequence.intervals, sequence.offsets, sequence["u2"].values):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert_equal(open_store(store, verify=True), made_corpus())


def test_opening_does_not_read_values_but_verifying_does(store):
    path = store / "sequences" / "vision" / "values.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_store(store)
    with pytest.raises(FeatureError, match="vision"):
        open_store(store, verify=True)


# --- replacing


def test_a_newer_store_replaces_the_older_whole(store):
    newer = one_modality("vision", name="newer")
    assert_equal(open_store(write_store(newer, store), verify=True), newer)
    assert not (store / "sequences" / "audio").exists()
    assert only_the_store(store)


def test_a_store_may_be_replaced_by_what_was_read_from_it(store):
    write_store(open_store(store), store)
    assert_equal(open_store(store, verify=True), made_corpus())


def test_an_empty_folder_may_become_a_store(tmp_path):
    (tmp_path / "store").mkdir()
    assert_equal(open_store(write_store(made_corpus(), tmp_path / "store")), made_corpus())


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_store_is_not_overwritten(tmp_path, kind):
    place = tmp_path / "thesis"
    file = place / "chapter.txt" if kind == "folder" else place
    file.parent.mkdir(exist_ok=True)
    file.write_text("years of work")
    with pytest.raises(FeatureError, match=r"thesis.*no feature store"):
        write_store(made_corpus(), place)
    assert file.read_text() == "years of work"
    assert only_the_store(place)


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a b", "."])
def test_a_modality_that_cannot_name_a_folder_is_refused(tmp_path, name):
    with pytest.raises(FeatureError, match="cannot name a folder"):
        write_store(one_modality(name), tmp_path / "store")
    assert not any(tmp_path.iterdir())


class CrashError(Exception):
    pass


def crash_at_call(number: int, function):
    calls = iter(range(1, 1000))

    def crashing(*args, **kwargs):
        if next(calls) == number:
            raise CrashError
        return function(*args, **kwargs)

    return crashing


CRASHES = [(np, "save", 1), (np, "save", 4), (os, "fsync", 2), (pq, "write_table", 1), (os, "replace", 1)]


@pytest.mark.parametrize(("module", "name", "call"), [*CRASHES, (os, "replace", 2)])
def test_a_crash_while_writing_leaves_the_older_store(store, monkeypatch, module, name, call):
    with monkeypatch.context() as patch:
        patch.setattr(module, name, crash_at_call(call, getattr(module, name)))
        with pytest.raises(CrashError):
            write_store(made_corpus("multilabel", name="newer"), store)
    assert only_the_store(store)
    assert_equal(open_store(store, verify=True), made_corpus())
    assert open_store(write_store(made_corpus(name="newest"), store)).name == "newest"
    assert only_the_store(store)


@pytest.mark.parametrize(("module", "name", "call"), CRASHES)
def test_a_crash_while_writing_the_first_store_leaves_nothing(tmp_path, monkeypatch, module, name, call):
    monkeypatch.setattr(module, name, crash_at_call(call, getattr(module, name)))
    with pytest.raises(CrashError):
        write_store(made_corpus(), tmp_path / "store")
    assert not any(tmp_path.iterdir())


# --- damage

ARRAYS = [f"sequences/vision/{name}.npy" for name in ("values", "intervals", "offsets")]
JSONS = ["corpus.json", "sequences/vision/metadata.json"]
OTHERS = ["utterances.parquet", "posteriors.npz"]


def test_a_folder_that_is_no_store_is_told(tmp_path):
    with pytest.raises(FeatureError, match=rf"{tmp_path.name}: no feature store here .corpus.json is missing"):
        open_store(tmp_path)


@pytest.mark.parametrize("file", [*ARRAYS, JSONS[1], OTHERS[0]])
def test_a_missing_file_is_named(store, file):
    (store / file).unlink()
    with pytest.raises(FeatureError, match=Path(file).name):
        open_store(store)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("file", [*ARRAYS, *JSONS, *OTHERS])
def test_a_file_that_was_cut_off_is_named(store, file, kept):
    content = (store / file).read_bytes()
    (store / file).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FeatureError, match=Path(file).name):
        open_store(store)


@pytest.mark.parametrize("file", [*ARRAYS, *JSONS, *OTHERS])
def test_a_file_of_garbage_is_named(store, file):
    (store / file).write_bytes(b"\x93NUMPY\x01\x00 \xff\xfe nothing of ours \x00" * 20)
    with pytest.raises(FeatureError, match=Path(file).name):
        open_store(store)


@pytest.mark.parametrize("file", JSONS)
@pytest.mark.parametrize("content", ["[1, 2]", "{}", '{"format": 1}'])
def test_a_description_without_its_keys_is_refused(store, file, content):
    (store / file).write_text(content)
    with pytest.raises(FeatureError, match=store.name):
        open_store(store, verify=True)


@pytest.mark.parametrize("key", ["format", "name", "label_set", "modalities", "digest"])
def test_every_key_of_the_description_is_needed(store, key):
    described = json.loads((store / "corpus.json").read_text())
    del described[key]
    (store / "corpus.json").write_text(json.dumps(described))
    with pytest.raises(FeatureError, match=store.name):
        open_store(store, verify=True)


def test_another_format_names_both(store):
    described = json.loads((store / "corpus.json").read_text())
    (store / "corpus.json").write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(FeatureError, match=r"store format 99; this version reads 2"):
        open_store(store)


@pytest.mark.parametrize(
    "offsets",
    [
        np.array([0, 4, 4]),
        np.array([0, 4, 4, 7]),
        np.array([1, 4, 4, 6]),
        np.array([0, 9, 4, 6]),
        np.array([0, -4, 4, 6]),
        np.array([0, np.nan, 4, 6]),
        np.array([0, 1.5, 4, 6]),
        np.zeros((4, 2), dtype=np.int64),
        np.array(6),
    ],
    ids=lambda offsets: str(offsets.tolist()),
)
def test_garbage_offsets_are_refused_and_the_folder_named(store, offsets):
    np.save(store / "sequences" / "vision" / "offsets.npy", offsets)
    with pytest.raises(FeatureError, match="vision"):
        open_store(store)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("array", ["values", "intervals", "offsets"])
@pytest.mark.parametrize("bare", [False, True], ids=["npy of objects", "bare pickle"])
def test_pickled_objects_are_refused_and_never_run(store, tmp_path, array, bare):
    path, proof = store / "sequences" / "vision" / f"{array}.npy", tmp_path / "went-off"
    objects = np.array([[Bomb(proof)]], dtype=object)
    if bare:
        objects.dump(path)
    else:
        np.save(path, objects, allow_pickle=True)
    with pytest.raises(FeatureError, match=rf"{array}\.npy"):
        open_store(store)
    assert not proof.exists()


def test_verifying_finds_any_flipped_byte_of_any_array(store):
    for file in (store / "sequences").glob("*/*.npy"):
        clean = file.read_bytes()
        for position in range(len(clean) - np.load(file).nbytes, len(clean)):
            content = bytearray(clean)
            content[position] ^= 1
            file.write_bytes(content)
            with pytest.raises(FeatureError, match=file.parent.name):
                open_store(store, verify=True)
        file.write_bytes(clean)
    open_store(store, verify=True)


@pytest.mark.parametrize("file", ARRAYS)
def test_a_flipped_byte_in_the_header_of_an_array_is_refused_or_harmless(store, file):
    clean = (store / file).read_bytes()
    n_refused = 0
    for position in range(len(clean) - np.load(store / file).nbytes):
        content = bytearray(clean)
        content[position] ^= 1
        (store / file).write_bytes(content)
        try:
            opened = open_store(store, verify=True)
        except FeatureError:
            n_refused += 1
        else:
            assert_equal(opened, made_corpus())
    assert n_refused > 20


@pytest.mark.parametrize("word", [b"Ca va", b"d1", b"u2", b"anger", b"train"])
def test_verifying_finds_a_changed_word_of_the_utterances(tmp_path, word):
    utterances = (replace(made_corpus().utterances[0], transcript="Ca va"), *made_corpus().utterances[1:])
    store = write_store(made_corpus(utterances=utterances), tmp_path / "store")
    path = store / "utterances.parquet"
    content = path.read_bytes()
    assert word in content
    for spoiled in (bytes([word[0] ^ 2]), b"\xff"):  # another letter, and what is no text at all
        path.write_bytes(content.replace(word, spoiled + word[1:]))
        with pytest.raises(FeatureError, match=store.name):
            open_store(store, verify=True)


def test_verifying_finds_classes_that_changed_places(store):
    described = json.loads((store / "corpus.json").read_text())
    described["label_set"]["names"].reverse()
    (store / "corpus.json").write_text(json.dumps(described))
    with pytest.raises(FeatureError, match="content hash"):
        open_store(store, verify=True)
