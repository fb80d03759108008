import math
from pathlib import Path

import numpy as np
import pytest

from emotiwave.datasets import mosei, mosi_csd
from emotiwave.datasets.csd.corpus import TRUTH_FILE
from emotiwave.datasets.mosei import EMOTIONS, MoseiSettings
from emotiwave.datasets.mosi_csd import MosiCsdSettings
from emotiwave.errors import DatasetError
from emotiwave.recordings import Recordings
from emotiwave.types import Label, all_configurations
from tests.tiny_csd import (
    MOSEI_LABELS,
    MOSEI_NAMES,
    NAN,
    USABLE,
    Row,
    write_features,
    write_folds,
    write_labels,
    write_tiny_mosei,
    write_words,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_mosei(tmp_path)


def read(root: Path, **settings) -> Recordings:
    return mosei.load(MoseiSettings(root=root, **settings))


def found(recordings: Recordings) -> dict[str, Label]:
    return {utterance.id: utterance.label for utterance in recordings.utterances}


def test_emotions_are_those_above_zero_and_a_row_of_zeros_has_none(root):
    assert found(read(root)) == {
        "-a[0]": ("happiness",),
        "-a[1]": ("sadness", "anger"),
        "-a_1[0]": (),
        "-a_1[1]": ("happiness", "surprise"),
        "b[0]": ("fear",),
        "b_2[0]": ("disgust",),
        "c[0]": ("anger",),
    }
    assert read(root).label_set.kind == "multilabel"


def test_intensity_is_six_values(root):
    recordings = read(root, task="intensity")
    assert found(recordings)["-a[1]"] == (0, 1, 2, 0, 0, 0)
    assert found(recordings)["-a_1[0]"] == (0,) * 6
    assert recordings.label_set.ranges == ((0.0, 3.0),) * 6
    assert recordings.label_set.names == EMOTIONS


def test_sentiment_is_one_value_within_its_range(root):
    recordings = read(root, task="sentiment")
    assert found(recordings) == dict(zip(USABLE, [(1,), (-1.5,), (0,), (2,), (3,), (-3,), (0.5,)], strict=True))
    assert recordings.label_set.ranges == ((-3.0, 3.0),)


STRONGEST = ("happiness", "anger", None, "happiness", "fear", "disgust", "anger")
"""By hand, of each usable segment; the third is all zeros, the fourth a tie of happiness and surprise."""


def test_categorical_says_no_emotion_and_takes_the_first_of_a_tie(root):
    recordings = read(root, task="categorical")
    assert tuple(found(recordings).values()) == tuple(name or "no emotion" for name in STRONGEST)
    assert recordings.label_set.names == (*EMOTIONS, "no emotion")
    assert "segments with several strongest emotions, left out" not in recordings.counts


def test_ties_can_be_left_out_and_zeros_are_no_tie(root):
    recordings = read(root, task="categorical", ties="leave_out")
    assert tuple(found(recordings)) == tuple(name for name in USABLE if name != "-a_1[1]")
    assert found(recordings)["-a_1[0]"] == "no emotion"
    assert recordings.counts["segments with several strongest emotions, left out"] == 1


def test_argmax_calls_zeros_happiness_as_notebooks_do(root):
    recordings = read(root, task="argmax")
    assert tuple(found(recordings).values()) == tuple(name or "happiness" for name in STRONGEST)
    assert recordings.label_set.names == EMOTIONS


@pytest.mark.parametrize("task", ["emotions", "intensity", "categorical", "argmax", "sentiment"])
def test_counts_are_complete_in_every_task(root, task):
    assert read(root, task=task).counts == {
        "label columns": "sentiment, happiness, sadness, anger, surprise, disgust, fear",
        "label columns named by": "metadata",
        "labelled videos": 6,
        "labelled segments": 10,
        "segments that began below 0 s, now at 0": 1,
        "segments with labels out of range, clamped": 1,
        "segments without length, left out": 1,
        "segments without a finite label, left out": 1,
        "split": f"official ({root / 'standard_folds.json'})",
        "fold ids without a usable label": 1,
        "videos in no fold, left out": 1,
        "segments in no fold, left out": 1,
        "train before features are read": "3 of 2 videos",
        "validation before features are read": "2 of 1 videos",
        "test before features are read": "2 of 2 videos",
        "utterances without any emotion": 1,
        "utterances with several strongest emotions": 1,
    }


def test_a_segment_is_kept_where_its_task_has_its_numbers(root):
    """Of three segments the second lacks its sentiment, the third all emotions but one."""
    rows: list[Row] = [
        (0, 1, (1, 2, 0, 0, 2, 0, 0)),
        (1, 2, (NAN, 0, 0, 0, 0, 0, 0)),
        (2, 3, (-1, 1, NAN, NAN, NAN, NAN, NAN)),
    ]
    write_labels(root / mosei.MOSEI.labels, {"-a": rows}, None)
    emotions, sentiment = read(root), read(root, task="sentiment")
    assert found(emotions) == {"-a[0]": ("happiness", "surprise"), "-a[1]": ()}
    assert found(sentiment) == {"-a[0]": (1,), "-a[2]": (-1,)}
    assert sentiment.utterances[1].ratings == {"sentiment": -1, "happiness": 1}
    assert "sentiment" not in (emotions.utterances[1].ratings or {})
    for recordings, zeros in ((emotions, 1), (sentiment, 0)):
        assert recordings.counts["segments without a finite label, left out"] == 1
        assert recordings.counts["utterances without any emotion"] == zeros
        assert recordings.counts["utterances with several strongest emotions"] == 1  # of those that are rated whole


def test_values_beyond_their_range_are_clamped_to_it(root):
    write_labels(root / mosei.MOSEI.labels, {"-a": [(0, 1, (-4, 3.5, -1, 3, 0, 0, 0.5))]}, None)
    assert read(root).utterances[0].ratings == {
        "sentiment": -3,
        "happiness": 3,
        "sadness": 0,
        "anger": 3,
        "surprise": 0,
        "disgust": 0,
        "fear": 0.5,
    }
    assert found(read(root)) == {"-a[0]": ("happiness", "anger", "fear")}
    assert found(read(root, task="categorical")) == {"-a[0]": "happiness"}  # 3.5 would have won, 3 ties


def test_fear_and_disgust_are_swapped_by_naming_the_columns(root):
    """The seed notebook prints fear before disgust; a file that really has that order is read by ``columns``."""
    swapped = ("sentiment", "happiness", "sadness", "anger", "surprise", "fear", "disgust")
    recordings = read(root, columns=swapped)
    assert found(recordings)["b[0]"] == ("disgust",)
    assert found(recordings)["b_2[0]"] == ("fear",)
    assert recordings.counts["label columns"] == ", ".join(swapped)
    assert recordings.counts["label columns named by"] == "recipe"
    assert recordings.label_columns == swapped
    assert recordings.label_set.names == EMOTIONS


def test_a_file_of_emotions_only_needs_no_sentiment(root):
    rows: list[Row] = [(0, 1, (1, 0, 0, 0, 0, 2))]
    write_labels(root / mosei.MOSEI.labels, {"-a": rows}, ["happy", "sad", "anger", "surprise", "disgust", "fear"])
    assert found(read(root)) == {"-a[0]": ("happiness", "fear")}
    with pytest.raises(DatasetError, match=r"no label column for 'sentiment' among happiness.*task 'sentiment'"):
        read(root, task="sentiment")


def test_a_file_of_sentiment_only_counts_no_emotions(root):
    write_labels(root / mosei.MOSEI.labels, {"-a": [(0, 1, (1,))]}, ["sentiment"])
    assert not [name for name in read(root, task="sentiment").counts if "emotion" in name]
    with pytest.raises(DatasetError, match="no label column for 'happiness'"):
        read(root)


def test_video_level_labels_are_means_of_rows(root):
    recordings = read(root, level="video", task="intensity")
    labels = found(recordings)
    assert list(labels) == ["-a", "-a_1", "b", "b_2", "c"]
    assert labels["-a"] == (1, 0.5, 1, 0, 0, 0)  # of (2, 0, 0, 0, 0, 0) and (0, 1, 2, 0, 0, 0)
    assert labels["-a_1"] == (0.5, 0, 0, 0.5, 0, 0)  # of zeros and (1, 0, 0, 1, 0, 0)
    assert labels["b_2"] == (0, 0, 0, 0, 1, 0)  # the row without length is no part of it
    assert found(read(root, level="video"))["-a"] == ("happiness", "sadness", "anger")
    assert found(read(root, level="video", task="sentiment"))["-a"] == (-0.25,)
    tied = read(root, level="video", task="categorical", ties="leave_out")
    assert found(tied) == {"b": "fear", "b_2": "disgust", "c": "anger"}
    assert tied.counts["segments with several strongest emotions, left out"] == 2


def test_requiring_all_modalities_is_the_intersection_of_videos(root):
    recordings = read(root, require="all")
    assert {u.dialogue for u in recordings.utterances} == {"-a", "-a_1", "b_2"}  # b has no audio, c no vision
    assert recordings.counts["videos in every file"] == 4  # nofold is in every file too
    assert len(read(root).utterances) == len(USABLE)


def test_files_have_their_official_names_and_can_be_others(root):
    recordings = read(root)
    assert {name: path.name for name, path in recordings.files.items()} == {
        "text": "CMU_MOSEI_TimestampedWordVectors.csd",
        "audio": "CMU_MOSEI_COVAREP.csd",
        "vision": "CMU_MOSEI_VisualOpenFace2.csd",
    }
    assert recordings.words == root / "CMU_MOSEI_TimestampedWords.csd"
    assert recordings.task == "emotions"
    write_features(root / "CMU_MOSEI_VisualFacet42.csd", {"-a": 3})
    facet = read(root, modalities={"vision": "CMU_MOSEI_VisualFacet42.csd"})
    assert {name: path.name for name, path in facet.files.items()} == {"vision": "CMU_MOSEI_VisualFacet42.csd"}


# Bayes-optimal answers that made files bring along


@pytest.fixture
def truth(root: Path) -> dict[str, np.ndarray]:
    """Of every segment, in the opposite order; the one of row k in configuration c is (10 c + k) / 100."""
    ids = [*USABLE, "nofold[0]"][::-1]
    names = [str(configuration) for configuration in all_configurations(("text", "audio", "vision"))]
    arrays = {name: np.array([[(10 * c + k) / 100] * 6 for k in range(8)])[::-1] for c, name in enumerate(names)}
    np.savez(root / TRUTH_FILE, ids=np.array(ids), **arrays)  # pyright: ignore[reportArgumentType]
    return arrays


def first_column(recordings: Recordings) -> dict[str, list[float]]:
    return {name: array[:, 0].tolist() for name, array in (recordings.posteriors or {}).items()}


def test_the_truth_is_that_of_each_utterance(root, truth):
    answers = first_column(read(root))
    assert set(answers) == set(truth)
    assert answers["text"] == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert answers["text+audio+vision"] == [(60 + k) / 100 for k in range(7)]
    assert first_column(read(root, require="all"))["text"] == [0.0, 0.01, 0.02, 0.03, 0.05]


def test_the_truth_is_of_the_modalities_that_are_used_whatever_their_order(root, truth):
    used = {"vision": "CMU_MOSEI_VisualOpenFace2.csd", "text": "CMU_MOSEI_TimestampedWordVectors.csd"}
    answers = first_column(read(root, modalities=used))
    assert set(answers) == {"vision", "text", "vision+text"}
    assert answers["vision+text"][1] == (10 * list(truth).index("text+vision") + 1) / 100


def test_there_is_no_truth_of_other_tasks_levels_or_files(root, truth):
    assert read(root).posteriors is not None
    write_features(root / "CMU_MOSEI_VisualFacet42.csd", {"-a": 3})
    for settings in (
        {"columns": ["sentiment", "happiness", "sadness", "anger", "surprise", "fear", "disgust"]},
        {"task": "categorical"},
        {"level": "video"},
        {"modalities": {"vision": "CMU_MOSEI_VisualFacet42.csd"}},
        {"modalities": {"face": "CMU_MOSEI_VisualOpenFace2.csd"}},
    ):
        recordings = read(root, **settings)
        assert recordings.posteriors is None
        assert root / TRUTH_FILE not in recordings.inputs
    assert read(root, columns=list(mosei.MOSEI.documented)).posteriors is not None


def test_a_truth_belongs_to_the_inputs_of_the_corpus_even_before_it_is_there(root, truth):
    recordings = read(root)
    assert root / TRUTH_FILE in recordings.sources
    assert recordings.preferred == ()
    (root / TRUTH_FILE).unlink()
    recordings = read(root)
    assert recordings.posteriors is None
    assert recordings.preferred == (root / TRUTH_FILE,)
    assert root / TRUTH_FILE in recordings.inputs
    assert read(root, task="categorical").preferred == ()  # which has none, whatever lies there


def test_metadata_in_another_order_has_no_truth(root, truth):
    """The answers are per emotion in the documented order of the columns they were made with."""
    write_labels(root / mosei.MOSEI.labels, MOSEI_LABELS, [*MOSEI_NAMES[:5], "fear", "disgust"])
    assert read(root).posteriors is None
    assert found(read(root))["b[0]"] == ("disgust",)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"ids": np.array(["other[0]"]), "text": np.ones((1, 6))},
        {"ids": np.array(USABLE)},
        {"ids": np.array(USABLE), **dict.fromkeys(["text", "audio", "vision"], np.ones((1, 6)))},
        {"ids": np.array([{}], dtype=object)},
    ],
    ids=["nothing", "other ids", "no posteriors", "too short", "objects"],
)
def test_a_truth_of_other_files_is_refused(root, arrays):
    np.savez(root / TRUTH_FILE, **arrays)
    with pytest.raises(DatasetError, match=r"made_truth\.npz: is not of these files"):
        read(root)


# CMU-MOSI

MOSI_LABELS: dict[str, list[Row]] = {"03bSnISJMiM": [(1, 4, (-2.4,)), (0, 2, (0.0,))], "_dI--eQ6qVU": [(0, 3, (3.2,))]}


@pytest.fixture
def mosi(tmp_path: Path) -> Path:
    folder = tmp_path / "mosi"
    folder.mkdir()
    write_labels(folder / "CMU_MOSI_Opinion_Labels.csd", MOSI_LABELS, None, root="Opinion Segment Labels")
    videos = dict.fromkeys(MOSI_LABELS, 5)
    for file in ("TimestampedWordVectors", "COVAREP", "Visual_Facet_42"):
        write_features(folder / f"CMU_MOSI_{file}.csd", videos)
    write_words(folder / "CMU_MOSI_TimestampedWords.csd", {video: ["so", "sp", "good"] for video in videos})
    write_folds(folder / "standard_folds.json", ["03bSnISJMiM"], [], ["_dI--eQ6qVU"])
    return folder


def test_mosi_sentiment_is_read_by_segment(mosi):
    recordings = mosi_csd.load(MosiCsdSettings(root=mosi))
    assert [(u.id, u.split) for u in recordings.utterances] == [
        ("03bSnISJMiM[0]", "train"),
        ("03bSnISJMiM[1]", "train"),
        ("_dI--eQ6qVU[0]", "test"),
    ]
    np.testing.assert_allclose([u.label[0] for u in recordings.utterances], [-2.4, 0, 3], rtol=1e-6)
    assert recordings.counts["label columns"] == "sentiment"
    assert recordings.counts["label columns named by"] == "documentation"
    assert recordings.counts["segments with labels out of range, clamped"] == 1
    assert set(recordings.files) == {"text", "audio", "vision"}
    assert recordings.words == mosi / "CMU_MOSI_TimestampedWords.csd"


def test_mosi_polarity_is_negative_below_zero_and_positive_from_zero_on(mosi):
    recordings = mosi_csd.load(MosiCsdSettings(root=mosi, task="polarity"))
    assert [u.label for u in recordings.utterances] == ["negative", "positive", "positive"]
    assert recordings.label_set.names == ("negative", "positive")


def test_mosi_averages_by_video(mosi):
    recordings = mosi_csd.load(MosiCsdSettings(root=mosi, level="video"))
    first = recordings.utterances[0]
    assert first.segment is not None
    assert (first.id, first.segment.end) == ("03bSnISJMiM", math.inf)
    assert first.label[0] == pytest.approx(-1.2)


def test_mosi_says_which_modality_has_no_file(mosi):
    (mosi / "CMU_MOSI_Visual_Facet_42.csd").unlink()
    with pytest.raises(DatasetError, match=r"mosi_csd: no vision file .*Visual_Facet_42\.csd.*dataset\.modalities"):
        mosi_csd.load(MosiCsdSettings(root=mosi))


@pytest.mark.parametrize(("settings", "folder"), [(MoseiSettings, "CMU_MOSEI"), (MosiCsdSettings, "CMU_MOSI")])
def test_the_files_are_where_emotiwave_data_says_and_stay_there(settings, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path))
    chosen = settings()
    monkeypatch.setenv("EMOTIWAVE_DATA", "/elsewhere")
    assert chosen.root == tmp_path / folder
    assert settings(root=tmp_path).root == tmp_path
    monkeypatch.delenv("EMOTIWAVE_DATA")
    assert settings().root is None
