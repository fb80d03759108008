import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from emotiwave.datasets import cremad_votes
from emotiwave.datasets.cremad_votes import CremadVotesSettings
from emotiwave.errors import DatasetError
from emotiwave.types import Corpus

DATA = os.environ.get("EMOTIWAVE_DATA")
NAMES = ("anger", "disgust", "fear", "happy", "neutral", "sad")
TASKS = ("intended", "perceived", "distribution")
TELLING = ["clip", "sentence", "text", "level"]
"""Columns that tell the class, or nearly."""
VOTES = [f"{by}_{name}" for by in ("voice", "face", "av") for name in NAMES]


def made_table() -> pd.DataFrame:
    """Ten actors, two per fold, three clips each; votes that differ in every row."""
    random = np.random.default_rng(3)
    rows = []
    for k in range(30):
        intended = NAMES[k % 6]
        text = {"clip": f"{1001 + k // 3}_IEO_{intended[:3].upper()}_{k}", "sentence": "IEO", "text": "words"}
        person = {"actor": 1001 + k // 3, "actor_fold": (k // 3) % 5, "intended": intended, "level": "HI"}
        rows.append(text | person | dict(zip(VOTES, random.integers(0, 9, 18).tolist(), strict=True)))
    return pd.DataFrame(rows)


def write(folder: Path, table: pd.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "votes_wide.csv", index=False)
    return folder


def read(root: Path, **settings) -> Corpus:
    return cremad_votes.load(CremadVotesSettings(root=root, **settings))


def values(corpus: Corpus, modality: str, utterance: str) -> list[float]:
    return corpus.sequences[modality][utterance].values[0].tolist()


def assert_same(got: Corpus, expected: Corpus) -> None:
    assert got.digest == expected.digest
    assert got.counts == expected.counts
    for name, sequence in expected.sequences.items():
        np.testing.assert_array_equal(got.sequences[name].values, sequence.values)


def test_votes_become_shares_and_nothing_else_is_a_feature(tmp_path):
    table = made_table()
    table.loc[1, VOTES] = [0, 0, 0, 3, 6, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 8, 1, 0]
    corpus = read(write(tmp_path, table))
    assert corpus.sizes == {"audio": 6, "vision": 6}
    np.testing.assert_allclose(values(corpus, "audio", "1001-0002"), [0, 0, 0, 1 / 3, 2 / 3, 0], rtol=1e-6)
    np.testing.assert_allclose(values(corpus, "vision", "1001-0002"), [0, 0, 0, 0.9, 0.1, 0], rtol=1e-6)
    assert corpus.label_set.names == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    assert corpus.utterances[1].label == "disgust"
    assert corpus.utterances[3].label == "happiness"
    assert corpus.utterances[1].speaker == "1001"


@pytest.mark.parametrize("task", TASKS)
def test_sentence_level_text_and_clip_change_nothing(tmp_path, task):
    """Neither their values nor their presence: the digest is over utterances and features."""
    table = made_table()
    corpus = read(write(tmp_path / "a", table), task=task)
    random = np.random.default_rng(0)
    for column in TELLING:
        given = table[column].to_numpy()
        for number, values in enumerate((random.permutation(given), random.permutation(30), given[::-1])):
            changed = read(write(tmp_path / f"{column}{number}", table.assign(**{column: values})), task=task)
            assert_same(changed, corpus)
    assert_same(read(write(tmp_path / "none", table.drop(columns=TELLING)), task=task), corpus)
    assert all(u.transcript is None and u.segment is None and u.ratings is None for u in corpus.utterances)
    assert not any(word in u.id for u in corpus.utterances for word in ("IEO", "ANG", "HAP"))


@pytest.mark.parametrize("task", TASKS)
def test_features_are_votes_alone(tmp_path, task):
    """Of a clip with the same votes, whatever was meant, by whom, in which fold, and whatever raters of both saw."""
    table = made_table()
    table.loc[:, VOTES[:12]] = table.loc[0, VOTES[:12]].to_numpy()
    corpus = read(write(tmp_path, table), task=task)
    for sequence in corpus.sequences.values():
        assert (sequence.values == sequence.values[0]).all()


def test_votes_change_the_features(tmp_path):
    table = made_table()
    corpus = read(write(tmp_path / "a", table))
    for by, modality, other in (("voice", "audio", "vision"), ("face", "vision", "audio")):
        changed = table.assign(**{f"{by}_sad": table[f"{by}_sad"] + 5})
        again = read(write(tmp_path / by, changed))
        assert (again.sequences[modality].values != corpus.sequences[modality].values).any()
        np.testing.assert_array_equal(again.sequences[other].values, corpus.sequences[other].values)


@pytest.mark.parametrize(("fold", "given", "validation"), [(0, None, 1), (4, None, 0), (2, 0, 0)])
def test_folds_are_of_actors(tmp_path, fold, given, validation):
    corpus = read(write(tmp_path, made_table()), fold=fold, validation_fold=given)
    fold_of = {str(1001 + k): k % 5 for k in range(10)}
    for utterance in corpus.utterances:
        expected = {fold: "test", validation: "validation"}.get(fold_of[str(utterance.speaker)], "train")
        assert utterance.split == expected
    assert Counter(u.split for u in corpus.utterances) == {"train": 18, "validation": 6, "test": 6}


def test_folds_differ_and_exist(tmp_path):
    for settings in ({"fold": 1, "validation_fold": 1}, {"fold": 5}, {"fold": -1}, {"validation_fold": 5}):
        with pytest.raises(ValidationError):
            CremadVotesSettings(root=tmp_path, **settings)


def test_perceived_is_what_most_saw_and_ties_are_left_out(tmp_path):
    table = made_table()
    table.loc[:, VOTES[12:]] = 1
    table.loc[0, "av_happy"] = 5
    table.loc[4, "av_sad"] = 2
    table.loc[9, ["av_fear", "av_anger"]] = 3
    corpus = read(write(tmp_path, table), task="perceived")
    assert [(u.id, u.label) for u in corpus.utterances] == [("1001-0001", "happiness"), ("1002-0005", "sadness")]
    assert corpus.counts["clips whose most frequent votes are tied, left out"] == 28
    assert corpus.modalities == ("audio", "vision")


def test_a_distribution_is_the_shares_of_those_who_saw_and_heard(tmp_path):
    table = made_table()
    table.loc[0, VOTES[12:]] = [1, 0, 0, 3, 0, 0]
    table.loc[1, VOTES[12:]] = [2, 2, 2, 2, 2, 2]
    table.loc[2, VOTES[12:]] = 0
    table.loc[3, VOTES[:12]] = 0
    corpus = read(write(tmp_path, table), task="distribution")
    assert corpus.task == corpus.label_set.kind == "distribution"
    assert corpus.label_set.names == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    np.testing.assert_allclose(corpus.targets[0], [0.25, 0, 0, 0.75, 0, 0])
    np.testing.assert_allclose(corpus.targets[1], np.full(6, 1 / 6), rtol=1e-6)  # a tie is kept
    assert [u.id for u in corpus.utterances[:3]] == ["1001-0001", "1001-0002", "1002-0005"]
    votes = table.loc[[*range(2), *range(4, 30)], VOTES[12:]].to_numpy(float)
    np.testing.assert_allclose(corpus.targets, votes / votes.sum(axis=1, keepdims=True), rtol=1e-6)
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert corpus.counts == {
        "clips": 30,
        "clips without a vote of who saw and heard them, left out": 1,
        "clips whose largest shares are tied, scored as the first of these classes": int(tied.sum()),
        "clips without any vote, left out": 1,
    }


def test_clips_nobody_voted_on_lack_the_modality(tmp_path):
    table = made_table()
    table.loc[0, VOTES[:6]] = 0
    table.loc[1, VOTES[6:12]] = 0
    table.loc[2, VOTES[:12]] = 0
    corpus = read(write(tmp_path, table))
    assert len(corpus.utterances) == 29
    assert "1001-0003" not in {u.id for u in corpus.utterances}
    assert "1001-0001" not in corpus.sequences["audio"]
    assert "1001-0001" in corpus.sequences["vision"]
    assert "1001-0002" not in corpus.sequences["vision"]
    assert np.isfinite(corpus.sequences["audio"].values).all()
    assert corpus.counts == {
        "clips": 30,
        "clips without any vote, left out": 1,
        "clips without a vote on audio, which they lack": 1,
        "clips without a vote on vision, which they lack": 1,
    }


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("voice_sad", "-1", "row 2: voice_sad '-1'; expected a whole number from 0 to 1000"),
        ("voice_sad", "x", "row 2: voice_sad 'x'"),
        ("voice_sad", "", "row 2: voice_sad ''"),
        ("face_sad", "1.5", "row 2: face_sad '1.5'"),
        ("face_sad", "inf", "row 2: face_sad 'inf'"),
        ("av_sad", "1e300", "row 2: av_sad '1e300'"),
        ("actor_fold", "5", "row 2: actor_fold '5'; expected a whole number from 0 to 4"),
        ("actor_fold", "3", "speaker '1001' is in two splits"),
        ("intended", "hapy", r"row 2: unknown class 'hapy'; did you mean 'happy'\?"),
        ("intended", "", "row 2: unknown class ''"),
    ],
)
def test_other_rows_are_refused(tmp_path, column, value, match):
    table = made_table().astype(str)
    table.loc[1, column] = value
    with pytest.raises(DatasetError, match=match):
        read(write(tmp_path, table))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "cannot be read as a table"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
        (b'actor,actor_fold\n"', "cannot be read as a table|lacks column"),
        (b"actor,actor_fold\n1,2\n", "lacks column 'intended'; expected actor, actor_fold"),
    ],
)
def test_other_files_are_refused(tmp_path, content, match):
    (tmp_path / "votes_wide.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=match):
        read(tmp_path)


def test_a_missing_or_vast_table_is_named(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match=r"votes_wide.csv is no file"):
        read(tmp_path)
    monkeypatch.setattr(cremad_votes, "MAX_BYTES", 100)
    with pytest.raises(DatasetError, match="more than 100 bytes"):
        read(write(tmp_path, made_table()))
    only_header = write(tmp_path / "empty", made_table().iloc[:0])
    monkeypatch.setattr(cremad_votes, "MAX_BYTES", 10**6)
    with pytest.raises(DatasetError, match="no utterances"):
        read(only_header)


@pytest.mark.skipif(not DATA or not Path(DATA, "cremad_votes").is_dir(), reason="EMOTIWAVE_DATA has no cremad_votes")
def test_votes_as_published():
    """The shares of right answers are those that the first of the most frequent votes gives (ties: first by name)."""
    corpus = read(Path(str(DATA), "cremad_votes"), fold=2)
    assert len(corpus.utterances) == 7442
    assert len({u.speaker for u in corpus.utterances}) == 91
    assert Counter(u.label for u in corpus.utterances)["neutral"] == 1087
    names = np.array(corpus.label_set.names)
    labels = np.array([u.label for u in corpus.utterances])
    right = {m: (names[s.values.argmax(axis=1)] == labels).mean() for m, s in corpus.sequences.items()}
    assert right == {"audio": pytest.approx(0.455, abs=5e-4), "vision": pytest.approx(0.690, abs=5e-4)}
    assert len(read(Path(str(DATA), "cremad_votes"), task="perceived").utterances) == 7442 - 420
    shares = read(Path(str(DATA), "cremad_votes"), task="distribution")
    assert len(shares.utterances) == 7442
    np.testing.assert_allclose(shares.targets.sum(axis=1), 1, atol=1e-6)
