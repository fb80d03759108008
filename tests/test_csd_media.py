import json
import os
from pathlib import Path

import numpy as np
import pytest

from emotiwave.datasets import mosei_media, mosi_media
from emotiwave.datasets.csd_media_files import Line, find_media, nearest_line, read_transcript
from emotiwave.datasets.mosei_media import MoseiMediaSettings
from emotiwave.datasets.mosi_media import MosiMediaSettings
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.types import Segment
from tests.tiny_csd import MOSEI_FOLDS, MOSEI_LABELS, MOSEI_NAMES, USABLE, write_folds, write_labels, write_words

LABELS, WORDS = "CMU_MOSEI_Labels.csd", "CMU_MOSEI_TimestampedWords.csd"
VIDEOS, SOUNDS, TEXTS = "Raw/Videos/Full/Combined", "Raw/Audio/Full/WAV_16000", "Raw/Transcript/Full/Combined"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six labelled videos; `-a`, `-a_1` and `b` are there as videos, `b_2` as sound, `c` as words only."""
    write_labels(tmp_path / LABELS, MOSEI_LABELS, MOSEI_NAMES)
    write_folds(tmp_path / "standard_folds.json", **MOSEI_FOLDS)
    write_words(tmp_path / WORDS, {video: ["oh", "well"] for video in ("-a", "c")})
    touch(tmp_path, *(f"{VIDEOS}/{video}.mp4" for video in ("-a", "-a_1", "b", "stranger")))
    touch(tmp_path, *(f"{SOUNDS}/{video}.wav" for video in ("-a", "b_2")))
    return tmp_path


def transcript(root: Path, video: str, *lines: str, folder: str = TEXTS) -> Path:
    path = root / folder / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def read(root: Path, **settings) -> MediaRecordings:
    return mosei_media.load(MoseiMediaSettings(root=root, **settings))


def test_every_segment_has_the_files_of_its_video_and_of_no_other(root):
    video, sound, words = root / VIDEOS, root / SOUNDS, root / WORDS
    of_a = Sources(video=video / "-a.mp4", audio=sound / "-a.wav", words=words, words_id="-a")
    assert read(root).sources == {
        "-a[0]": of_a,
        "-a[1]": of_a,
        "-a_1[0]": Sources(video=video / "-a_1.mp4"),
        "-a_1[1]": Sources(video=video / "-a_1.mp4"),
        "b[0]": Sources(video=video / "b.mp4"),
        "b_2[0]": Sources(audio=sound / "b_2.wav"),
        "c[0]": Sources(words=words, words_id="c"),
    }


def test_times_labels_and_folds_are_those_of_the_label_file(root):
    recordings = read(root)
    assert tuple(u.id for u in recordings.utterances) == USABLE
    found = {u.id: (u.split, u.label, u.segment) for u in recordings.utterances}
    assert found["-a[1]"] == ("train", ("sadness", "anger"), Segment(f"{VIDEOS}/-a.mp4", 0.0, 5.0))
    assert found["b[0]"] == ("train", ("fear",), Segment(f"{VIDEOS}/b.mp4", 0.0, 6.0))
    assert found["b_2[0]"] == ("test", ("disgust",), Segment(f"{SOUNDS}/b_2.wav", 1.0, 2.0))
    assert found["c[0]"] == ("test", ("anger",), Segment("c", 0.0, 8.0))
    assert recordings.utterances[0].dialogue == "-a"
    assert recordings.utterances[0].language == "en"
    assert recordings.name == "mosei_media"
    assert recordings.tables == (root / LABELS, root / "standard_folds.json")


def test_what_is_missing_is_counted(root):
    counts = read(root).counts
    assert counts["labelled videos without a video file"] == 2
    assert counts["labelled videos with a sound file only"] == 1
    assert counts["segments with timed words"] == 3
    assert counts["segments with a line of a transcript"] == 0
    assert counts["segments without words"] == 4
    assert counts["segments without video, sound and words, left out"] == 0
    assert counts["utterances without any emotion"] == 1
    assert counts["segments in no fold, left out"] == 1


def test_segments_without_any_source_are_left_out_and_counted(root):
    (root / WORDS).unlink()
    (root / VIDEOS / "-a_1.mp4").unlink()
    recordings = read(root)
    assert [u.id for u in recordings.utterances] == ["-a[0]", "-a[1]", "b[0]", "b_2[0]"]
    assert recordings.sources.keys() == {u.id for u in recordings.utterances}
    assert recordings.counts["segments without video, sound and words, left out"] == 3
    assert recordings.counts["utterances without any emotion"] == 0  # the one of -a_1 is gone


def test_an_id_is_never_matched_by_its_beginning(root):
    """Cut segments are named ID_NUMBER: `-a_1.mp4` of that folder is the second segment of `-a`."""
    (root / VIDEOS / "-a_1.mp4").rename(root / VIDEOS / "-a_1.copy.mp4")
    touch(root, "Raw/Videos/Segmented/Combined/-a_1.mp4", "Raw/Audio/Segmented/-a_1.wav", f"{VIDEOS}/-a_10.mp4")
    recordings = read(root)
    assert "-a_1[0]" not in recordings.sources
    assert recordings.counts["labelled videos without a video file"] == 3


def test_any_folder_and_container_will_do_and_the_first_of_several_is_taken(root, tmp_path):
    media = tmp_path / "else where"
    touch(media, "2/b.webm", "1/deep/er/b.MKV", "-a.avi", ".hidden/-a_1.mp4", "c.mp4.part", "b_2.opus")
    recordings = read(root, media=media)
    assert recordings.sources["b[0]"] == Sources(video=media / "1/deep/er/b.MKV")
    assert recordings.sources["-a[0]"].video == media / "-a.avi"
    assert recordings.sources["b_2[0]"].audio == media / "b_2.opus"
    assert "-a_1[0]" not in recordings.sources
    assert recordings.utterances[0].segment == Segment("-a.avi", 5.0, 10.0)
    assert recordings.counts["videos that are there several times, the first taken"] == 1


def test_the_same_corpus_elsewhere_has_the_same_utterances(root, tmp_path):
    moved = tmp_path / "moved"
    before = read(root).utterances
    moved.mkdir()
    for name in ("Raw", LABELS, WORDS, "standard_folds.json"):
        (root / name).rename(moved / name)
    assert read(moved).utterances == before


# Transcripts

A_LINES = ("-a___0___0.02___5.0___Well ___ then.", "-a___1___5___9.95___So it is!", "-a___2___40___50___other")


def test_lines_are_found_by_their_times_where_there_are_no_timed_words(root):
    transcript(root, "-a", *A_LINES)
    transcript(root, "-a_1", "-a_1___7___3.0___9.0___late", "-a_1___8___0.0___5.0___too long")
    recordings = read(root)
    assert recordings.sources["-a_1[1]"] == Sources(video=root / VIDEOS / "-a_1.mp4", text="late")
    assert recordings.sources["-a_1[0]"].text is None
    assert recordings.sources["-a[0]"].text is None  # its words are timed
    assert {u.id: u.transcript for u in recordings.utterances if u.transcript} == {"-a_1[1]": "late"}
    assert recordings.counts["segments with a line of a transcript"] == 1
    assert recordings.counts["segments without words"] == 3


def test_a_video_with_timed_words_gets_no_lines_though_a_segment_has_no_word(root):
    write_words(root / WORDS, {"-a": ["oh"]})  # within the first seconds only
    transcript(root, "-a", *A_LINES)
    recordings = read(root)
    assert {recordings.sources[name].text for name in ("-a[0]", "-a[1]")} == {None}
    assert recordings.sources["-a[0]"].words == recordings.sources["-a[1]"].words == root / WORDS


def test_transcripts_can_be_preferred(root):
    transcript(root, "-a", *A_LINES)
    recordings = read(root, text="transcripts")
    assert recordings.sources["-a[0]"].text == "So it is!"
    assert recordings.sources["-a[1]"].text == "Well ___ then."
    assert recordings.sources["-a[0]"].words is None
    assert recordings.sources["c[0]"].words == root / WORDS
    assert recordings.counts["segments with timed words"] == 1


def test_a_start_below_zero_is_zero_in_both(root):
    transcript(root, "b", "b___0___-0.5___6.0___early")
    assert read(root).sources["b[0]"].text == "early"


@pytest.mark.parametrize("apart", [0.09, 0.11])
def test_times_may_differ_by_a_tenth_of_a_second(apart):
    lines = [Line(1.0, 2.0, "x")]
    for segment in (Segment("v", 1.0 + apart, 2.0), Segment("v", 1.0, 2.0 - apart)):
        assert (nearest_line(lines, segment) is None) == (apart > 0.1)
    assert nearest_line([], Segment("v", 0, 1)) is None


def test_ids_that_end_in_underscores_are_read(tmp_path):
    path = transcript(tmp_path, "a_", "a____0___1___2___text", "a___0___1___2___other video", folder=".")
    assert read_transcript(path, "a_") == ([Line(1.0, 2.0, "text")], 1)


def test_other_lines_are_counted_and_files_that_are_no_text_warned_of(root):
    bad = [
        "",
        "-a",
        "-a___0___x___5___t",
        "-a___0___nan___5___t",
        "-a___0___0___5",
        "b___0___0___5___t",
        "0___0___5___t",
    ]
    transcript(root, "-a", *A_LINES, *bad)
    transcript(root, "b").write_bytes(b"b___0___0___6___\xff")
    (root / TEXTS / "-a_1.txt").mkdir()
    with pytest.warns(DataWarning, match=r"1 transcripts cannot be read; .*b.txt: line 1: not UTF-8"):
        recordings = read(root, text="transcripts")
    assert recordings.counts["lines of transcripts that are not as they must be, passed over"] == 6
    assert recordings.counts["transcripts that cannot be read, left out"] == 1
    assert recordings.sources["-a[0]"].text == "So it is!"


# Errors


def test_no_video_at_all_shows_the_layout(root, tmp_path):
    touch(tmp_path / "empty", "notes.mp4", "a.mp4")
    with pytest.raises(DatasetError, match=r"none of the 5 labelled videos is below .*Full/Combined/-a\.mp4"):
        read(root, media=tmp_path / "empty")
    with pytest.raises(DatasetError, match=r"dataset.media: .*none is no folder"):
        read(root, media=tmp_path / "none")


def test_labels_folds_and_words_must_be_there_and_be_what_they_are(root, monkeypatch):
    monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)  # the published folds may lie there
    write_labels(root / WORDS, MOSEI_LABELS, MOSEI_NAMES)
    with pytest.raises(DatasetError, match="holds numbers; expected the file of timed words"):
        read(root)
    (root / WORDS).write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match="cannot be opened as HDF5"):
        read(root)
    (root / WORDS).unlink()
    (root / "standard_folds.json").unlink()
    with pytest.raises(DatasetError, match=r"standard_folds.json: no such file"):
        read(root)
    (root / LABELS).unlink()
    with pytest.raises(DatasetError, match=r"CMU_MOSEI_Labels.csd: no such file"):
        read(root)
    with pytest.raises(DatasetError, match="mosei_media: no folder given"):
        mosei_media.load(MoseiMediaSettings(root=None))


# Tasks


@pytest.mark.parametrize(
    ("task", "kind", "first"),
    [
        ("emotions", "multilabel", ("happiness",)),
        ("intensity", "continuous", (2, 0, 0, 0, 0, 0)),
        ("categorical", "categorical", "happiness"),
        ("argmax", "categorical", "happiness"),
        ("sentiment", "continuous", (1,)),
    ],
)
def test_tasks_are_those_of_mosei(root, task, kind, first):
    recordings = read(root, task=task)
    assert recordings.task == task
    assert recordings.label_set.kind == kind
    assert recordings.utterances[0].label == first
    assert len(read(root, task="categorical", ties="leave_out").utterances) == len(USABLE) - 1


def test_mosi_from_a_folder_of_videos(tmp_path):
    labels = {"03bSnISJMiM": [(1, 4, (-2.4,)), (0, 2, (0.0,))], "_dI--eQ6qVU": [(0, 3, (3.2,))]}
    write_labels(tmp_path / "CMU_MOSI_Opinion_Labels.csd", labels, None)
    (tmp_path / "folds.json").write_text(json.dumps({"train": ["03bSnISJMiM"], "valid": [], "test": ["_dI--eQ6qVU"]}))
    touch(tmp_path, "Raw/Video/Full/03bSnISJMiM.mp4", "Raw/Video/Segmented/_dI--eQ6qVU_1.mp4")
    touch(tmp_path, "Raw/Audio/WAV_16000/Full/_dI--eQ6qVU.wav")
    settings = {"root": tmp_path, "folds": tmp_path / "folds.json"}
    recordings = mosi_media.load(MosiMediaSettings(**settings))
    assert [u.id for u in recordings.utterances] == ["03bSnISJMiM[0]", "03bSnISJMiM[1]", "_dI--eQ6qVU[0]"]
    np.testing.assert_allclose([u.label[0] for u in recordings.utterances], [-2.4, 0, 3], rtol=1e-6)
    assert recordings.sources["_dI--eQ6qVU[0]"].signals == {"audio"}
    polarity = mosi_media.load(MosiMediaSettings(**settings, task="polarity"))
    assert [u.label for u in polarity.utterances] == ["negative", "positive", "positive"]


# The published ids, for what they look like


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA is not set")
def test_every_published_id_finds_its_file(tmp_path):
    folds = Path(os.environ["EMOTIWAVE_DATA"]) / "mosei_meta" / "standard_folds.json"
    if not folds.exists():
        pytest.skip("EMOTIWAVE_DATA has no mosei_meta")
    videos = [video for ids in json.loads(folds.read_text()).values() for video in ids]
    touch(tmp_path, *(f"{VIDEOS}/{video}.mp4" for video in videos))
    files = find_media(tmp_path, videos, {})
    assert len(videos) == 3227
    assert files.videos == {video: f"{VIDEOS}/{video}.mp4" for video in videos}
