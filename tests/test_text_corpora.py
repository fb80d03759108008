import importlib
import os
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emotiwave.datasets import dair_emotion, goemotions, text_lines
from emotiwave.datasets.dair_emotion import DairEmotionSettings
from emotiwave.datasets.goemotions import EKMAN, ORIGINAL, GoEmotionsSettings
from emotiwave.datasets.text_lines import read_lines
from emotiwave.errors import DatasetError, MissingExtraError
from emotiwave.labels import SEVEN
from emotiwave.recordings import MediaRecordings
from emotiwave.types import LabelSet

DATA = os.environ.get("EMOTIWAVE_DATA")


def found(recordings: MediaRecordings) -> list[tuple]:
    return [(u.id, u.split, u.label, u.transcript) for u in recordings.utterances]


# Lines


def test_only_line_feeds_end_a_line(tmp_path):
    text = "\ufeffone\u2028two\x85three\x0bfour\r\nfi\rve\n\nsix"
    (tmp_path / "f").write_bytes(text.encode())
    lines = [(1, "one\u2028two\x85three\x0bfour"), (2, "fi\rve"), (3, ""), (4, "six")]
    assert list(read_lines(tmp_path / "f", corpus="c")) == lines


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"a\n\xff\n", "line 2: not UTF-8"), (b"a\n" + b"b" * 11, "line 2: expected at most"), (b"\n" * 5, "line 5")],
)
def test_lines_that_are_none_are_refused(tmp_path, content, match, monkeypatch):
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(text_lines, "MAX_LINES", 4)
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DatasetError, match=match):
        list(read_lines(tmp_path / "f", corpus="c"))


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "f")
    for name in ("f", "none", "."):
        with pytest.raises(DatasetError, match="is no file"):
            list(read_lines(tmp_path / name, corpus="c"))


# GoEmotions


def write_goemotions(root: Path, task: str, lines: dict[str, list[str]]) -> Path:
    folder = root / task
    folder.mkdir(parents=True)
    (folder / "labels.txt").write_text("\n".join(EKMAN if task == "ekman" else ORIGINAL))
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text("".join(line + "\n" for line in lines.get(split, [])))
    return root


LINES = {
    "train": ['She said "no\t3\tid1', "two\ttabs\t0,4\tid2", "  \t5\tid3"],
    "dev": ["so\t6\tid4"],
    "test": ["so\t1\tid5", "two\ttabs\t2\tid6"],
}


def read_goemotions(root: Path, **settings) -> MediaRecordings:
    return goemotions.load(GoEmotionsSettings(root=root, **settings))


def test_goemotions_has_several_classes_and_keeps_quotes_and_tabs(tmp_path):
    recordings = read_goemotions(write_goemotions(tmp_path, "ekman", LINES))
    assert found(recordings) == [
        ("id1", "train", ("happiness",), 'She said "no'),
        ("id2", "train", ("anger", "neutral"), "two\ttabs"),
        ("id3", "train", ("sadness",), "  "),
        ("id4", "validation", ("surprise",), "so"),
        ("id5", "test", ("disgust",), "so"),
        ("id6", "test", ("fear",), "two\ttabs"),
    ]
    assert recordings.label_set.kind == "multilabel"
    assert recordings.label_set.names == SEVEN
    assert recordings.signals == ("text",)
    assert recordings.licence.startswith("CC BY 4.0")
    assert recordings.sources["id2"].text == "two\ttabs"
    assert {u.language for u in recordings.utterances} == {"en"}
    assert recordings.counts == {"validation texts that are also in train": 0, "test texts that are also in train": 1}
    assert [path.name for path in recordings.tables] == ["labels.txt", "train.tsv", "dev.tsv", "test.tsv"]


def test_goemotions_single_labels_are_one_of_seven(tmp_path):
    recordings = read_goemotions(write_goemotions(tmp_path, "ekman", LINES), task="seven")
    labels = [(u.id, u.label) for u in recordings.utterances]
    assert labels == [
        ("id1", "happiness"),
        ("id3", "sadness"),
        ("id4", "surprise"),
        ("id5", "disgust"),
        ("id6", "fear"),
    ]
    assert recordings.label_set.kind == "categorical"
    assert recordings.counts["comments with several classes, left out"] == 1


def test_goemotions_classes_share_a_comment(tmp_path):
    recordings = read_goemotions(write_goemotions(tmp_path, "ekman", LINES), task="shares")
    assert recordings.label_set == LabelSet("distribution", SEVEN)
    labels = {u.id: u.label for u in recordings.utterances}
    assert labels["id2"] == (0.5, 0, 0, 0, 0, 0, 0.5)  # anger, and neutral, which is the last of the seven
    assert labels["id3"] == (0, 0, 0, 0, 1, 0, 0)
    assert recordings.counts["comments whose largest shares are tied, scored as the first of these classes"] == 1
    for label in labels.values():
        recordings.label_set.encode(label)


def test_goemotions_three_classes_share_a_comment_equally(tmp_path):
    root = write_goemotions(tmp_path, "ekman", LINES | {"dev": ["so\t0,2,6\tid4"]})
    recordings = read_goemotions(root, task="shares")
    shares = recordings.label_set.encode(next(u.label for u in recordings.utterances if u.id == "id4"))
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 0, 0, 1 / 3, 0], rtol=1e-6)


def test_goemotions_original_keeps_its_28_names(tmp_path):
    root = write_goemotions(tmp_path, "original", {"train": ["a\t17,27\tx"], "test": ["b\t0\ty"]})
    recordings = read_goemotions(root, task="original")
    assert [u.label for u in recordings.utterances] == [("joy", "neutral"), ("admiration",)]
    assert len(recordings.label_set.names) == 28


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("text only", "line 2: 'text only'; expected text, tab, class numbers from 0 to 6"),
        ("text\t7\tid", "line 2"),
        ("text\t\tid", "line 2"),
        ("text\t1,\tid", "line 2"),
        ("text\t1,1\tid", "line 2"),
        ("text\t-1\tid", "line 2"),
        ("text\t1\t", "line 2"),
        ("text\t1\tid0", "comment 'id0' occurs a second time"),
    ],
)
def test_goemotions_refuses_other_lines(tmp_path, line, match):
    root = write_goemotions(tmp_path, "ekman", {"train": ["fine\t0\tid0", line]})
    with pytest.raises(DatasetError, match=match):
        read_goemotions(root)


def test_goemotions_refuses_other_classes_and_folders(tmp_path):
    root = write_goemotions(tmp_path, "ekman", LINES)
    with pytest.raises(DatasetError, match=r"original/labels.txt is no file"):
        read_goemotions(root, task="original")
    (root / "ekman" / "labels.txt").write_text("\n".join(EKMAN).replace("joy", "happines"))
    with pytest.raises(DatasetError, match="unknown class 'happines'"):
        read_goemotions(root)
    (root / "ekman" / "labels.txt").write_text("\n".join(EKMAN[:-1]))
    with pytest.raises(DatasetError, match="names 6 classes; expected each of anger"):
        read_goemotions(root)
    with pytest.raises(DatasetError, match="expected one that holds ekman/ and original/"):
        read_goemotions(root / "none")


@pytest.mark.skipif(not DATA or not Path(DATA, "goemotions").is_dir(), reason="EMOTIWAVE_DATA has no goemotions")
def test_goemotions_as_published():
    root = Path(str(DATA), "goemotions")
    for task in ("ekman", "original"):
        counts = Counter(u.split for u in read_goemotions(root, task=task).utterances)
        assert counts == {"train": 43410, "validation": 5426, "test": 5427}
    single = read_goemotions(root, task="seven").utterances
    assert Counter(u.split for u in single) == {"train": 39555, "validation": 4946, "test": 4968}
    assert Counter(u.label for u in single if u.split == "test") == {
        "happiness": 1863,
        "neutral": 1606,
        "anger": 572,
        "surprise": 488,
        "sadness": 283,
        "fear": 80,
        "disgust": 76,
    }


# dair-ai/emotion

TWEETS = {
    "train": ["i feel; oddly;joy", "", "warm;love", "same words;anger"],
    "val": ["", "same words;sadness", "  "],
    "test": ["same words;fear", "oh;surprise "],
}


def read_dair(root: Path | None, **settings) -> MediaRecordings:
    return dair_emotion.load(DairEmotionSettings(root=root, **settings))


@pytest.fixture
def tweets(tmp_path: Path) -> Path:
    for name, lines in TWEETS.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    return tmp_path


def test_tweets_are_split_at_their_last_semicolon(tweets):
    recordings = read_dair(tweets)
    assert found(recordings) == [
        ("train-00001", "train", "happiness", "i feel; oddly"),
        ("train-00002", "train", "love", "warm"),
        ("train-00003", "train", "anger", "same words"),
        ("validation-00001", "validation", "sadness", "same words"),
        ("test-00001", "test", "fear", "same words"),
        ("test-00002", "test", "surprise", "oh"),
    ]
    assert recordings.label_set.names == ("sadness", "happiness", "love", "anger", "fear", "surprise")
    assert recordings.counts == {"validation texts that are also in train": 1, "test texts that are also in train": 1}


def test_love_is_none_of_the_seven(tweets):
    recordings = read_dair(tweets, task="seven")
    assert [u.id for u in recordings.utterances if u.split == "train"] == ["train-00001", "train-00003"]
    assert recordings.label_set.names == SEVEN
    assert recordings.counts["texts of love, which is none of the seven, left out"] == 1


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("no class", r"val.txt: line 1: 'no class'; expected a text, a semicolon and a class"),
        ("text;suprise", r"line 1: unknown class 'suprise'; did you mean 'surprise'\?"),
        ("text;", "line 1: unknown class ''"),
    ],
)
def test_tweets_that_are_none_are_refused(tweets, line, match):
    (tweets / "val.txt").write_text(line)
    with pytest.raises(DatasetError, match=match):
        read_dair(tweets)


def test_tweets_need_their_files(tweets):
    (tweets / "val.txt").unlink()
    with pytest.raises(DatasetError, match=r"val.txt is no file"):
        read_dair(tweets)
    with pytest.raises(DatasetError, match=r"expected in it: train.txt, val.txt, test.txt"):
        read_dair(None)
    for name in TWEETS:
        (tweets / f"{name}.txt").write_text("\n")
    with pytest.raises(DatasetError, match="no text is left"):
        read_dair(tweets)


class MadeSplit(dict):
    """Columns by name, and what a Hub data set says of its labels."""

    def __init__(self, texts: list, labels: list, names=("sadness", "joy", "love", "anger", "fear", "surprise")):
        super().__init__(text=texts, label=labels)
        self.features = {"label": SimpleNamespace(names=names)}


def made_hub(monkeypatch: pytest.MonkeyPatch, answer) -> list:
    """Stand in for the package `datasets`; gives what it was asked for."""
    asked = []

    def load_dataset(*given, **named):
        asked.append((given, named))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return asked


def hub_splits(**changed) -> dict:
    splits = {
        "train": MadeSplit(["a;b", "c"], [2, 1]),
        "validation": MadeSplit(["d"], [0]),
        "test": MadeSplit(["c"], [5]),
    }
    return splits | changed


def test_tweets_of_the_hub(monkeypatch):
    asked = made_hub(monkeypatch, hub_splits())
    recordings = read_dair(None, source="hub", revision="abc")
    assert asked == [(("dair-ai/emotion", "split"), {"revision": "abc"})]
    assert found(recordings) == [
        ("train-00001", "train", "love", "a;b"),
        ("train-00002", "train", "happiness", "c"),
        ("validation-00001", "validation", "sadness", "d"),
        ("test-00001", "test", "surprise", "c"),
    ]
    assert recordings.tables == ()
    assert recordings.counts["test texts that are also in train"] == 1


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (ConnectionError("no route"), r"cannot be had from the Hub \(ConnectionError: no route\); check the network"),
        (RuntimeError("odd"), "cannot be had"),
        ({"train": MadeSplit(["a"], [0])}, "lacks the split 'validation'"),
        (hub_splits(test=MadeSplit(["a"], [9])), "split 'test' is not as published"),
        (hub_splits(test=MadeSplit(["a"], [0], names=("bliss",))), "row 1 is 'bliss' of a str"),
        (hub_splits(test=MadeSplit([None], [0])), "row 1 is 'sadness' of a NoneType"),
        (hub_splits(test={}), "is not as published"),
    ],
)
def test_a_hub_that_gives_something_else(monkeypatch, answer, match):
    made_hub(monkeypatch, answer)
    with pytest.raises(DatasetError, match=match):
        read_dair(None, source="hub")


def test_the_hub_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emotiwave\[hub\]'"):
        read_dair(None, source="hub")


def test_files_need_no_extra(monkeypatch, tweets):
    monkeypatch.setitem(sys.modules, "datasets", None)
    importlib.reload(dair_emotion)
    assert len(dair_emotion.load(dair_emotion.DairEmotionSettings(root=tweets)).utterances) == 6


@pytest.mark.skipif(not DATA or not Path(DATA, "dair_emotion").is_dir(), reason="EMOTIWAVE_DATA has no dair_emotion")
def test_tweets_as_published():
    utterances = read_dair(Path(str(DATA), "dair_emotion")).utterances
    assert Counter(u.split for u in utterances) == {"train": 16000, "validation": 2000, "test": 2000}
    assert Counter(u.label for u in utterances if u.split == "train") == {
        "happiness": 5362,
        "sadness": 4666,
        "anger": 2159,
        "fear": 1937,
        "love": 1304,
        "surprise": 572,
    }
