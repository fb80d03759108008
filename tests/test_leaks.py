"""What stands in two splits: planted copies are found, same or near, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import emotiwave
from emotiwave.doctor.leaks import Leak, find_leaks
from emotiwave.errors import DatasetError
from emotiwave.evaluation.subgroups import read_facts
from emotiwave.features.store import write_store
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance
from tests.test_cli import run

LABELS = LabelSet("categorical", ("a", "b"))
WORDS = (
    "well this is the very first thing anybody told me about it",
    "the weather was lovely and we walked along the river",
    "nobody ever listens to what I have to say in here",
    "they promised to come back before the end of the week",
    "I really could not believe my eyes when she came in",
)


def corpus_of(sequences: dict[str, ComputationalSequence], utterances: list[Utterance]) -> Corpus:
    return Corpus("made", "task", "none", LABELS, tuple(utterances), sequences)


def frames(values: np.ndarray) -> FeatureSequence:
    values = np.asarray(values, np.float32)
    return FeatureSequence(values, np.stack([np.arange(len(values)), np.arange(1, len(values) + 1)], axis=1) / 10)


def seen(leaks: list[Leak]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(leak.utterance, leak.modality): (leak.other, leak.kind) for leak in leaks}


@pytest.mark.parametrize("size", [8, 400])
def test_copies_of_frames_are_found(size: int) -> None:
    rng = np.random.default_rng(0)
    n = 60
    sounds = {f"u{k}": rng.standard_normal((6 + k % 5, size)) * 3 + 7 for k in range(n)}
    sounds["u50"] = sounds["u3"].copy()
    sounds["u51"] = sounds["u4"] + 0.05 * rng.standard_normal(sounds["u4"].shape)  # nearly
    sounds["u52"] = sounds["u5"] + 3 * rng.standard_normal(sounds["u5"].shape)  # not at all
    sounds["u53"] = np.repeat(sounds["u6"], 2, axis=0)  # twice as long, the same in every part
    sounds["u54"] = sounds["u55"].copy()  # in the same split
    utterances = [Utterance(f"u{k}", "test" if k >= 45 else "dev" if k >= 40 else "train", "a") for k in range(n)]
    audio = ComputationalSequence.from_sequences({name: frames(values) for name, values in sounds.items()})
    corpus = corpus_of({"audio": audio}, utterances)
    leaks = find_leaks(corpus, "test")
    assert seen(leaks) == {("u50", "audio"): ("u3", "same"), ("u51", "audio"): ("u4", "near")}
    assert {leak.utterance: leak.similarity for leak in leaks}["u50"] == 1.0
    assert 0.98 < {leak.utterance: leak.similarity for leak in leaks}["u51"] < 1.0
    facts = read_facts(corpus, ["u50", "u52", "u51"], ["leak"])
    assert facts == {"leak": ["in another split", "new", "in another split"]}
    with pytest.raises(DatasetError, match="split 'nope' is empty"):
        find_leaks(corpus, "nope")


def test_pictures_that_are_only_dark_are_not_alike() -> None:
    rng = np.random.default_rng(1)
    pictures = {f"u{k}": rng.random((1, 300)) * 40 + 120 for k in range(40)}
    pictures["u38"], pictures["u2"] = rng.random((1, 300)) * 4, rng.random((1, 300)) * 4
    pictures["u39"] = 0.6 * pictures["u7"]  # the same picture, darker
    utterances = [Utterance(f"u{k}", "test" if k >= 30 else "train", "a") for k in range(40)]
    vision = ComputationalSequence.from_sequences({name: frames(values) for name, values in pictures.items()})
    found = seen(find_leaks(corpus_of({"vision": vision}, utterances), "test"))
    assert ("u38", "vision") not in found
    assert found == {("u39", "vision"): ("u7", "near")}


def test_copies_of_texts_are_found() -> None:
    test = (
        WORDS[0].upper() + "!!",
        "the weather was lovely, and we walked along this river",
        "thank you",
        "a sentence that nobody has said in any other place",
    )
    texts = [*WORDS, "thank you", *test]
    utterances = [
        Utterance(f"u{k}", "test" if k > len(WORDS) else "train", "a", transcript=text) for k, text in enumerate(texts)
    ]
    rng = np.random.default_rng(0)
    text = ComputationalSequence.from_sequences({u.id: frames(rng.standard_normal((3, 4))) for u in utterances})
    leaks = find_leaks(corpus_of({"text": text}, utterances), "test")
    assert seen(leaks) == {("u6", "text"): ("u0", "same"), ("u7", "text"): ("u1", "near")}
    silent = corpus_of({"audio": text}, utterances)  # acted: all say the same, and no words are an input
    assert find_leaks(silent, "test") == []


def test_chance_missing_input_and_padding_are_no_leaks() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 4, 6, 30):
        rows = {f"u{k}": rng.standard_normal((1, size)) for k in range(600)}
        utterances = [Utterance(f"u{k}", "test" if k >= 510 else "train", "a") for k in range(600)]
        audio = ComputationalSequence.from_sequences({name: frames(values) for name, values in rows.items()})
        assert find_leaks(corpus_of({"audio": audio}, utterances), "test") == [], size
    for nothing in (np.nan, 0.0):
        rows = {f"u{k}": rng.standard_normal((3, 30)) if k % 5 else np.full((3, 30), nothing) for k in range(60)}
        utterances = [Utterance(f"u{k}", "test" if k >= 40 else "train", "a") for k in range(60)]
        audio = ComputationalSequence.from_sequences({name: frames(values) for name, values in rows.items()})
        assert find_leaks(corpus_of({"audio": audio}, utterances), "test") == []


def test_texts_without_spaces() -> None:
    words = "\u4eca\u5929\u5929\u6c14\u975e\u5e38\u597d\u6211\u5f88\u9ad8\u5174"
    utterances = [Utterance("u0", "train", "a", transcript=words), Utterance("u1", "test", "a", transcript=words)]
    text = ComputationalSequence.from_sequences({u.id: frames(np.ones((1, 2))) for u in utterances})
    assert seen(find_leaks(corpus_of({"text": text}, utterances), "test")) == {("u1", "text"): ("u0", "same")}


def test_the_command_says_how_many_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    utterances = [Utterance(f"u{k}", "test" if k > 15 else "train", "ab"[k % 2]) for k in range(20)]
    sounds = {u.id: frames(rng.standard_normal((4, 3))) for u in utterances}
    sounds["u19"] = sounds["u1"]
    corpus = corpus_of({"audio": ComputationalSequence.from_sequences(sounds)}, utterances)
    write_store(corpus, tmp_path / "store")
    code, out, _ = run(capsys, "data", "leaks", str(tmp_path / "store"))
    assert code == 1
    assert "of 4 test utterances 1 are in another split too" in " ".join(out.split())
    code, out, _ = run(capsys, "data", "leaks", str(tmp_path / "store"), "--json")
    found = json.loads(out)
    assert (code, found["n_leaked"], found["leaks"][0]["other"]) == (1, 1, "u1")
    assert emotiwave.find_leakage(tmp_path / "store").counts() == {("audio", "same", "train"): 1}
    write_store(
        replace(
            corpus,
            utterances=corpus.utterances[:19],
            sequences={
                "audio": ComputationalSequence.from_sequences(
                    {name: of for name, of in sounds.items() if name != "u19"}
                )
            },
        ),
        tmp_path / "clean",
    )
    code, out, _ = run(capsys, "data", "leaks", str(tmp_path / "clean"))
    assert (code, "0 are in another split, by audio" in out) == (0, True)
    code, _, told = run(capsys, "data", "leaks", "nothing")
    assert code == 1
    assert "Traceback" not in told
