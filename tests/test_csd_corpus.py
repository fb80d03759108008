import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from emotiwave.datasets.csd import folds, labels
from emotiwave.datasets.csd.corpus import CsdCorpus, CsdSettings, Labelling, load_recordings
from emotiwave.datasets.csd.folds import read_folds, split_at_random
from emotiwave.datasets.csd.labels import LabelFile, read_labels
from emotiwave.datasets.csd.writer import write_csd
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.recordings import Recordings
from emotiwave.types import LabelSet, Segment
from tests.tiny_csd import MOSEI_NAMES, Row, write_features, write_folds, write_labels, write_spoilt, write_words

DOCUMENTED = ("sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear")
SEVEN: Row = (0.0, 1.0, (-1.5, 1, 2, 3, 0.5, 0.25, 0.75))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "CMU_MOSEI_Labels.csd"


# Folds


@pytest.mark.parametrize("validation", ["valid", "dev", "val", "validation"])
def test_folds_are_read_from_json(tmp_path, validation):
    (tmp_path / "f.json").write_text(json.dumps({"train": ["-a", "b_2"], validation: ["c"], "test": []}))
    assert read_folds(tmp_path / "f.json") == {"train": ("-a", "b_2"), "validation": ("c",), "test": ()}


MODULE = """\"\"\"The SDK's own module.\"\"\"
import os
{code}
standard_train_fold = ['-a', 'b_2']
standard_valid_fold = ('c',)
standard_test_fold = ["d"]
"""


@pytest.mark.parametrize(
    "code",
    [
        "os.makedirs({marker!r})",
        "class A:\n    os.makedirs({marker!r})",
        "made: int = os.makedirs({marker!r})",
        "other = os.makedirs({marker!r})",
        "train_test = __import__('os').makedirs({marker!r})",
    ],
)
def test_the_sdks_module_is_parsed_and_never_run(tmp_path, code):
    module, marker = tmp_path / "cmu_mosei_std_folds.py", tmp_path / "was run"
    module.write_text(MODULE.format(code=code.format(marker=str(marker))))
    exec(module.read_text(), {})  # whoever runs it makes the folder
    marker.rmdir()
    assert read_folds(module) == {"train": ("-a", "b_2"), "validation": ("c",), "test": ("d",)}
    assert not marker.exists()


@pytest.mark.parametrize(
    "value", ["os.listdir()", "[x for x in 'ab']", "['a'] + ['b']", "f'{1}'", "{[]: 1}", "-" * 9_000 + "1", "[" * 9_000]
)
def test_a_fold_that_is_no_literal_is_refused(tmp_path, value):
    (tmp_path / "f.py").write_text(f"import os\nstandard_train_fold = {value}\n")
    with pytest.raises(DatasetError, match=r"f\.py: cannot be read as folds"):
        read_folds(tmp_path / "f.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected lists of ids by fold; got list"),
        ("3", "got int"),
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"train": ["a"], "valid": ["b"]}', "no fold for test"),
        ('{"train": ["a"], "valid": ["b"], "test": ["c"], "extra": []}', "unknown fold 'extra'"),
        ('{"train": "abc", "valid": [], "test": []}', "'train' must be a list of ids"),
        ('{"train": [1], "valid": [], "test": []}', "'train' must be a list of ids"),
        ('{"train": [["a"]], "valid": [], "test": []}', "'train' must be a list of ids"),
        ('{"train": {"a": 1}, "valid": [], "test": []}', "'train' must be a list of ids"),
        ('{"train": ["a"], "valid": ["b"], "test": ["a"]}', "'a' is in both train and test"),
        ('{"train": ["a"], "valid": ["b"], "dev": ["c"], "test": ["d"]}', "two folds for validation"),
        (b"\xff\xfe{", "cannot be read"),
    ],
)
def test_folds_of_another_shape_are_refused(tmp_path, content, message):
    path = tmp_path / "folds.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=message) as caught:
        read_folds(path)
    assert str(path) in str(caught.value)


def test_folds_that_are_missing_a_folder_or_too_long_are_refused(tmp_path, monkeypatch):
    for path, message in ((tmp_path / "none.json", "no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(DatasetError, match=message):
            read_folds(path)
    content = json.dumps({"train": ["a"], "valid": [], "test": []})
    (tmp_path / "f.json").write_text(content)
    for most, is_read in ((len(content), True), (len(content) - 1, False)):
        monkeypatch.setattr(folds, "MAX_BYTES", {".json": most})
        if is_read:
            assert read_folds(tmp_path / "f.json")["train"] == ("a",)
        else:
            with pytest.raises(DatasetError, match="more than"):
                read_folds(tmp_path / "f.json")


def test_a_random_split_is_that_of_scikit_learn_whatever_the_order_of_ids():
    ids = [f"video{k}" for k in range(3292)]
    train, rest = train_test_split(sorted(ids), test_size=0.2, random_state=42)
    validation, test = train_test_split(rest, test_size=0.5, random_state=42)
    split = split_at_random(reversed(ids), seed=42)
    assert {name: len(of) for name, of in split.items()} == {"train": 2633, "validation": 329, "test": 330}
    assert split == {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}
    assert split != split_at_random(ids, seed=43)


def test_a_random_split_needs_ten_videos():
    assert {name: len(of) for name, of in split_at_random("abcdefghij", seed=0).items()} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }
    with pytest.raises(DatasetError, match="at least 10 videos; got 9"):
        split_at_random("abcdefghi", seed=0)


# Labels


def named(path: Path, names: list[str] | None, row: Row = SEVEN, **settings) -> LabelFile:
    return read_labels(write_labels(path, {"v": [row]}, names), documented=DOCUMENTED, **settings)


def test_every_row_is_a_segment_called_by_its_row(path):
    write_labels(path, {"-a": [(5, 9, [1]), (0, 4, [2])], "-a_1": [(0, 2, [3])]}, ["sentiment"])
    rows = read_labels(path, documented=DOCUMENTED).rows
    assert [(row.id, row.video, row.start, row.end, row.values.tolist()) for row in rows] == [
        ("-a[0]", "-a", 5, 9, [1]),
        ("-a[1]", "-a", 0, 4, [2]),
        ("-a_1[0]", "-a_1", 0, 2, [3]),
    ]


def test_columns_are_named_by_the_metadata(path):
    found = named(path, MOSEI_NAMES)
    assert (found.columns, found.named_by) == (DOCUMENTED, "metadata")


def test_the_metadata_is_believed_in_its_own_order_and_spelling(path):
    """A release may well have fear before disgust: then the sixth column is fear."""
    found = named(path, ["Sentiment", "Happiness", "Sadness", "Angry", " surprise ", "FEAR", "disgust"])
    assert found.columns == ("sentiment", "happiness", "sadness", "anger", "surprise", "fear", "disgust")
    assert dict(zip(found.columns, found.rows[0].values.tolist(), strict=True))["fear"] == 0.25


@pytest.mark.parametrize(
    "names", [None, [], ["label"] * 7, [*MOSEI_NAMES[:6], "joy"], [*MOSEI_NAMES[:5], "fear", "fear"]], ids=str
)
def test_metadata_that_does_not_help_gives_way_to_the_documentation(path, names):
    found = named(path, names)
    assert (found.columns, found.named_by) == (DOCUMENTED, "documentation")
    assert dict(zip(found.columns, found.rows[0].values.tolist(), strict=True))["disgust"] == 0.25


def test_a_recipe_overrules_the_metadata(path):
    swapped = ("sentiment", "happiness", "sadness", "anger", "surprise", "fear", "disgust")
    found = named(path, MOSEI_NAMES, columns=swapped)
    assert (found.columns, found.named_by) == (swapped, "recipe")
    assert dict(zip(found.columns, found.rows[0].values.tolist(), strict=True))["disgust"] == 0.75


SIX: Row = (0.0, 1.0, (1, 2, 3, 0.5, 0.25, 0.75))


def test_six_columns_are_refused_unless_somebody_names_them(path):
    for names in (None, MOSEI_NAMES):
        with pytest.raises(DatasetError, match=r"Labels\.csd: 6 label columns; expected 7 .*dataset\.columns"):
            named(path, names, SIX)
    assert named(path, MOSEI_NAMES[1:], SIX).columns == DOCUMENTED[1:]
    assert named(path, None, SIX, columns=DOCUMENTED[1:]).columns == DOCUMENTED[1:]


@pytest.mark.parametrize("odd", range(4))
def test_a_video_of_other_columns_than_most_is_damaged_wherever_it_is(path, odd):
    write_labels(path, {f"v{k}": [SIX] if k == odd else [SEVEN] for k in range(4)}, MOSEI_NAMES)
    found = read_labels(path, documented=DOCUMENTED)
    assert [row.video for row in found.rows] == [f"v{k}" for k in range(4) if k != odd]
    assert list(found.damaged) == [f"v{odd}"]
    assert f"'v{odd}' has 6 label columns; the file has 7" in found.damaged[f"v{odd}"]


def test_where_most_videos_have_other_columns_than_names_the_file_is_refused(path):
    write_labels(path, {"a": [SEVEN], "b": [SIX], "c": [SIX]}, MOSEI_NAMES)
    with pytest.raises(DatasetError, match=r"6 label columns; expected 7 .sentiment, .*dataset\.columns"):
        read_labels(path, documented=DOCUMENTED)
    found = read_labels(path, documented=DOCUMENTED, columns=DOCUMENTED[1:])
    assert ([row.video for row in found.rows], list(found.damaged)) == (["b", "c"], ["a"])


def test_names_that_cannot_be_read_give_way_to_the_documentation(path):
    write_labels(path, {"v": [SEVEN]}, ["x" * 5_000_000])
    with pytest.warns(DataWarning, match="dimension names has .* characters; not read; it is passed over"):
        found = read_labels(path, documented=DOCUMENTED)
    assert (found.columns, found.named_by) == (DOCUMENTED, "documentation")


def test_words_for_labels_are_refused(path):
    write_words(path, {"v": ["oh"]})
    with pytest.raises(DatasetError, match="label columns"):
        read_labels(path, documented=("sentiment",))


def test_a_damaged_video_is_left_out_and_said(path):
    write_spoilt(path, lambda group: group.update(features=np.ones((3, 1)), intervals=np.ones((2, 2))))
    found = read_labels(path, documented=("sentiment", "happiness"))
    assert [row.video for row in found.rows] == ["sound"] * 3
    assert "3 frames of features but intervals of shape (2, 2)" in found.damaged["spoilt"]


def test_a_file_without_any_label_is_refused(path):
    write_labels(path, {}, MOSEI_NAMES)
    with pytest.raises(DatasetError, match="no video in it can be read"):
        read_labels(path, documented=DOCUMENTED)
    write_csd(path, root="R", entries=[("v", np.empty((0, 7), np.float32), np.empty((0, 2)))], metadata={})
    with pytest.raises(DatasetError, match=r"no labelled segment$"):
        read_labels(path, documented=DOCUMENTED)


def test_where_every_video_is_damaged_the_first_damage_is_told(path):
    write_labels(path, {"v": [SEVEN]}, MOSEI_NAMES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("emotiwave.datasets.csd.reader.MAX_READ_BYTES", 1)
        with pytest.raises(DatasetError, match=r"no labelled segment; 1 videos cannot be read.*28 bytes at once"):
            read_labels(path, documented=DOCUMENTED)


def test_no_more_rows_are_read_than_a_corpus_can_have(path, monkeypatch):
    monkeypatch.setattr(labels, "MAX_ROWS", 3)
    write_labels(path, {"a": [SEVEN] * 2, "b": [SEVEN]}, MOSEI_NAMES)
    assert len(read_labels(path, documented=DOCUMENTED).rows) == 3
    write_labels(path, {"a": [SEVEN] * 2, "b": [SEVEN] * 2}, MOSEI_NAMES)
    with pytest.raises(DatasetError, match="more than 3 labelled segments"):
        read_labels(path, documented=DOCUMENTED)


# Corpora

TINY = CsdCorpus(
    name="tiny",
    folder="TINY",
    licence="made for tests",
    labels="Labels.csd",
    words="Words.csd",
    modalities={"text": "Text.csd", "audio": "Audio.csd"},
    documented=("sentiment", "happiness"),
    ranges={"sentiment": (-3.0, 3.0), "happiness": (0.0, 3.0)},
    published_folds="published/folds.json",
)
SENTIMENT = Labelling(
    LabelSet("continuous", ("sentiment",), ((-3.0, 3.0),)), ("sentiment",), lambda r: (r["sentiment"],)
)
NAN = math.nan
LABELS: dict[str, list[Row]] = {
    "-a": [(5, 10, (1, 0)), (0, 5, (-1, 3))],  # not in order of time
    "-a_1": [
        (-0.5, 2, (3.5, 1)),
        (2, 2, (0, 0)),
        (1, 4, (NAN, 0)),
    ],  # starts below 0, out of range; no length; no number
    "b": [(0, 1, (0.5, -1))],  # out of range
    "c": [(0, 3, (2, 2)), (1, 2, (0, 0))],  # in no fold
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Text of all but b, audio of all but -a_1."""
    write_labels(tmp_path / "Labels.csd", LABELS, ["sentiment", "happy"])
    write_features(tmp_path / "Text.csd", {"-a": 10, "-a_1": 10, "c": 3})
    write_features(tmp_path / "Audio.csd", {"-a": 10, "b": 1, "c": 3, "unlabelled": 2})
    write_folds(tmp_path / "standard_folds.json", ["-a", "ghost"], ["-a_1"], ["b"])
    return tmp_path


def read(root: Path, labelling: Labelling = SENTIMENT, **settings) -> Recordings:
    return load_recordings(TINY, CsdSettings(root=root, **settings), "sentiment", labelling)


def test_utterances_are_the_segments_with_a_fold_a_length_and_a_label(root):
    recordings = read(root)
    assert [(u.id, u.split, u.segment, u.label, u.ratings) for u in recordings.utterances] == [
        ("-a[0]", "train", Segment("-a", 5, 10), (1,), {"sentiment": 1, "happiness": 0}),
        ("-a[1]", "train", Segment("-a", 0, 5), (-1,), {"sentiment": -1, "happiness": 3}),
        ("-a_1[0]", "validation", Segment("-a_1", 0, 2), (3,), {"sentiment": 3, "happiness": 1}),
        ("b[0]", "test", Segment("b", 0, 1), (0.5,), {"sentiment": 0.5, "happiness": 0}),
    ]
    assert {(u.dialogue, u.group) for u in recordings.utterances} == {("-a", "-a"), ("-a_1", "-a_1"), ("b", "b")}
    assert list(recordings.by_video()) == ["-a", "-a_1", "b"]


def test_everything_that_was_dropped_or_changed_is_counted(root):
    assert read(root).counts == {
        "label columns": "sentiment, happiness",
        "label columns named by": "metadata",
        "labelled videos": 4,
        "labelled segments": 8,
        "segments that began below 0 s, now at 0": 1,
        "segments with labels out of range, clamped": 2,
        "segments without length, left out": 1,
        "segments without a finite label, left out": 1,
        "split": f"official ({root / 'standard_folds.json'})",
        "timed words, for transcripts": f"none ({root / 'Words.csd'} is not there)",
        "fold ids without a usable label": 1,
        "videos in no fold, left out": 1,
        "segments in no fold, left out": 2,
        "train before features are read": "2 of 1 videos",
        "validation before features are read": "1 of 1 videos",
        "test before features are read": "1 of 1 videos",
    }


def test_what_did_not_happen_is_not_counted(root):
    write_labels(root / "Labels.csd", {"-a": LABELS["-a"]}, None)
    write_folds(root / "standard_folds.json", ["-a"], [], [])
    assert read(root).counts == {
        "label columns": "sentiment, happiness",
        "label columns named by": "documentation",
        "labelled videos": 1,
        "labelled segments": 2,
        "split": f"official ({root / 'standard_folds.json'})",
        "train before features are read": "2 of 1 videos",
        "validation before features are read": 0,
        "test before features are read": 0,
        "timed words, for transcripts": f"none ({root / 'Words.csd'} is not there)",
    }
    write_words(root / "Words.csd", {"-a": ["oh"]})
    assert "timed words, for transcripts" not in read(root).counts


@pytest.mark.parametrize(
    ("start", "end"), [(2, 2), (3, 2), (-2, -1), (-2, 0), (NAN, 3), (1, NAN), (1, math.inf), (-math.inf, math.inf)]
)
def test_segments_without_length_are_left_out_and_counted(root, start, end):
    write_labels(root / "Labels.csd", {"-a": [(start, end, (1, 1)), (0, 1, (2, 2))]}, None)
    recordings = read(root)
    assert [u.id for u in recordings.utterances] == ["-a[1]"]
    assert recordings.counts["segments without length, left out"] == 1
    assert "segments that began below 0 s, now at 0" not in recordings.counts


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
def test_segments_without_a_finite_label_are_left_out_and_counted(root, value):
    write_labels(root / "Labels.csd", {"-a": [(0, 1, (value, 0)), (0, 1, (2, 2))]}, None)
    recordings = read(root)
    assert [u.id for u in recordings.utterances] == ["-a[1]"]
    assert recordings.counts["segments without a finite label, left out"] == 1


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
def test_a_column_that_the_task_does_not_need_may_lack_a_number(root, value):
    """The segment is kept; what was not rated is no rating."""
    write_labels(root / "Labels.csd", {"-a": [(0, 1, (1, value)), (1, 2, (2, 3))]}, None)
    recordings = read(root)
    rated = {u.id: u.ratings for u in recordings.utterances}
    assert rated == {"-a[0]": {"sentiment": 1}, "-a[1]": {"sentiment": 2, "happiness": 3}}
    assert not [name for name in recordings.counts if "left out" in name or "clamped" in name]
    both = Labelling(SENTIMENT.label_set, ("sentiment", "happiness"), SENTIMENT.label)
    assert [u.id for u in read(root, both).utterances] == ["-a[1]"]


def test_rows_that_a_task_has_no_label_for_are_left_out_and_counted(root):
    def label(rated):
        return (rated["sentiment"],) if rated["sentiment"] > 0 else None

    recordings = read(root, Labelling(SENTIMENT.label_set, ("sentiment",), label, left_out="not positive"))
    assert [u.id for u in recordings.utterances] == ["-a[0]", "-a_1[0]", "b[0]"]
    assert recordings.counts["not positive"] == 1
    assert recordings.counts["train before features are read"] == "1 of 1 videos"


def test_a_damaged_video_of_labels_is_counted(root):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("emotiwave.datasets.csd.reader.MAX_READ_BYTES", 2 * 2 * 8)  # -a_1 has three rows
        assert read(root).counts["videos with damaged labels, left out"] == 1


def test_a_video_of_other_columns_than_most_is_counted_as_damaged(root):
    """Be it the first of the file."""
    others: dict[str, list[Row]] = {name: rows for name, rows in LABELS.items() if name != "-a"}
    write_labels(root / "Labels.csd", {"-a": [(0, 1, (1,))], **others}, ["sentiment", "happy"])
    recordings = read(root)
    assert recordings.counts["videos with damaged labels, left out"] == 1
    assert [u.id for u in recordings.utterances] == ["-a_1[0]", "b[0]"]


def test_video_level_averages_the_usable_rows_of_each_video(root):
    recordings = read(root, level="video")
    assert [(u.id, u.split, u.segment, u.ratings) for u in recordings.utterances] == [
        ("-a", "train", Segment("-a", 0, math.inf), {"sentiment": 0, "happiness": 1.5}),
        ("-a_1", "validation", Segment("-a_1", 0, math.inf), {"sentiment": 3, "happiness": 1}),
        ("b", "test", Segment("b", 0, math.inf), {"sentiment": 0.5, "happiness": 0}),
    ]
    assert recordings.counts["segments whose labels were averaged by video"] == 6
    assert recordings.counts["videos in no fold, left out"] == 1
    assert recordings.counts["train before features are read"] == "1 of 1 videos"


def test_requiring_all_keeps_the_videos_of_every_file(root):
    write_folds(root / "standard_folds.json", ["-a"], ["-a_1"], ["b", "c"])
    recordings = read(root, require="all")
    assert [u.id for u in recordings.utterances] == ["-a[0]", "-a[1]", "c[0]", "c[1]"]
    assert recordings.counts["videos in every file"] == 2
    assert recordings.require == "all"
    assert len(read(root).utterances) == 6
    text_only = read(root, require="all", modalities={"text": "Text.csd"})
    assert {u.dialogue for u in text_only.utterances} == {"-a", "-a_1", "c"}


def test_a_random_split_is_by_video_over_those_that_are_left(root):
    ids = [f"v{k:02}" for k in range(20)]
    write_labels(root / "Labels.csd", {name: [(0, 1, (0, 0)), (1, 2, (1, 0))] for name in [*ids, "lone"]}, None)
    for file in ("Text.csd", "Audio.csd"):
        write_features(root / file, dict.fromkeys(ids, 2))
    (root / "standard_folds.json").unlink()
    recordings = read(root, split="random", require="all", split_seed=5)
    train, rest = train_test_split(ids, test_size=0.2, random_state=5)
    validation, test = train_test_split(rest, test_size=0.5, random_state=5)
    found = {split: {u.dialogue for u in recordings.utterances if u.split == split} for split in ("validation", "test")}
    assert found == {"validation": set(validation), "test": set(test)}
    assert len(train) == 16
    assert recordings.counts["split"] == "random, seed 5"
    assert recordings.counts["train before features are read"] == "32 of 16 videos"
    assert recordings.sources == (root / "Labels.csd",)


def test_fold_ids_are_matched_whole_never_by_prefix(root):
    write_folds(root / "standard_folds.json", ["-a_1"], ["-"], ["b_", "b"])
    assert {(u.dialogue, u.split) for u in read(root).utterances} == {("-a_1", "train"), ("b", "test")}


def test_folds_lie_beside_the_files_or_are_named_or_published(root, monkeypatch, tmp_path_factory):
    named = write_folds(root / "mine.json", ["b"], [], ["-a"])
    assert {u.dialogue: u.split for u in read(root, folds=named).utterances} == {"b": "train", "-a": "test"}
    assert read(root, folds=named).counts["split"] == f"official ({named})"
    (root / "standard_folds.json").unlink()
    monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)
    with pytest.raises(DatasetError, match=r'standard_folds\.json: no such file.*dataset\.split = "random"'):
        read(root)
    data = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("EMOTIWAVE_DATA", str(data))
    with pytest.raises(DatasetError, match="no such file"):
        read(root)
    (data / "published").mkdir()
    published = write_folds(data / "published/folds.json", ["-a_1"], [], [])
    assert read(root).sources == (root / "Labels.csd", published)
    assert read(root).counts["split"] == f"official ({published})"
    assert [u.id for u in read(root).utterances] == ["-a_1[0]"]


def test_a_corpus_without_a_folder_says_what_to_set(monkeypatch):
    monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)
    with pytest.raises(DatasetError, match=r'set \[dataset\] root = "\.\.\./.*EMOTIWAVE_DATA'):
        load_recordings(TINY, CsdSettings(), "sentiment", SENTIMENT)


def test_inputs_name_every_file(root):
    recordings = read(root)
    read_from = tuple(root / name for name in ("Labels.csd", "standard_folds.json", "Text.csd", "Audio.csd"))
    assert recordings.words is None
    assert recordings.preferred == (root / "Words.csd",)
    assert recordings.inputs == (*read_from, root / "Words.csd")
    write_words(root / "Words.csd", {"-a": ["oh"]})
    recordings = read(root)
    assert recordings.words == root / "Words.csd"
    assert (recordings.preferred, recordings.inputs) == ((), (*read_from, root / "Words.csd"))
    assert recordings.label_columns == ("sentiment", "happiness")


def test_published_folds_give_way_to_folds_beside_the_files(root, monkeypatch, tmp_path_factory):
    """So the file that is not there yet belongs to what the corpus depends on."""
    beside = root / "standard_folds.json"
    data = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("EMOTIWAVE_DATA", str(data))
    (data / "published").mkdir()
    published = beside.rename(data / "published/folds.json")
    recordings = read(root)
    assert recordings.sources == (root / "Labels.csd", published)
    assert recordings.preferred == (root / "Words.csd", beside)
    assert set(recordings.preferred) < set(recordings.inputs)
    for settings in ({"folds": published}, {"split": "random"}):  # which look at no folds beside the files
        write_labels(root / "Labels.csd", LABELS | {f"v{k}": LABELS["b"] for k in range(10)}, None)
        assert read(root, **settings).preferred == (root / "Words.csd",)
    write_folds(beside, ["-a"], [], [])
    assert read(root).sources == (root / "Labels.csd", beside)
    assert read(root).preferred == (root / "Words.csd",)


def test_features_are_not_read(root):
    for name in ("Text.csd", "Audio.csd"):
        (root / name).write_bytes(b"no HDF5 at all")
    assert len(read(root).utterances) == 4
    with pytest.raises(DatasetError, match=r"Text\.csd: cannot be opened as HDF5"):
        read(root, require="all")


def test_columns_that_are_another_corpus_s_are_kept_as_they_are(root):
    write_labels(root / "Labels.csd", {"-a": [(0, 1, (9, 9, 9))]}, ["sentiment", "happy", "anger"])
    recordings = read(root)
    assert recordings.utterances[0].ratings == {"sentiment": 3, "happiness": 3, "anger": 9}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"modalities": {"text": "Text.csd", "audio": "None.csd"}},
            r'no audio file .*None\.csd; put it there, or .*: dataset\.modalities = \{text = "Text\.csd"\}$',
        ),
        ({"columns": ["sentiment", "joy"]}, "dataset.columns: unknown column 'joy'"),
        ({"columns": ["sentiment", "sentiment"]}, "dataset.columns names a column twice"),
        ({"columns": ["happiness", "fear"]}, "unknown column 'fear'"),
        ({"columns": ["happiness"]}, r"Labels\.csd: 2 label columns; expected 1 \(happiness\)"),
        ({"root": "/none"}, "/none is no folder"),
        ({"folds": "/none.json"}, "no such file"),
    ],
)
def test_settings_that_do_not_fit_the_files_are_refused(root, settings, message):
    with pytest.raises(DatasetError, match=message):
        read(**{"root": root} | settings)


def test_a_task_whose_column_is_missing_is_refused(root):
    with pytest.raises(DatasetError, match="no label column for 'fear' among sentiment, happiness; task"):
        read(root, Labelling(SENTIMENT.label_set, ("sentiment", "fear"), SENTIMENT.label))


def test_folds_of_another_corpus_are_refused(root):
    write_folds(root / "standard_folds.json", ["x"], ["y"], ["z"])
    with pytest.raises(DatasetError, match=r"no labelled segment of .* is left \(label columns: .*\)") as caught:
        read(root)
    for count in ("fold ids without a usable label: 3", "videos in no fold, left out: 4"):
        assert f"; {count}" in str(caught.value)


# The real folds and segment times of CMU-MOSEI


@pytest.fixture(scope="module")
def mosei_meta() -> Path:
    data = os.environ.get("EMOTIWAVE_DATA")
    if not data or not (Path(data) / "mosei_meta").is_dir():
        pytest.skip("needs mosei_meta in the folder that EMOTIWAVE_DATA names")
    return Path(data) / "mosei_meta"


def test_the_official_folds_have_their_published_sizes(mosei_meta):
    found = read_folds(mosei_meta / "standard_folds.json")
    assert {split: len(ids) for split, ids in found.items()} == {"train": 2249, "validation": 300, "test": 678}


def test_the_official_folds_hold_the_published_number_of_segments(mosei_meta, tmp_path):
    with (mosei_meta / "segments.csv").open(newline="") as file:
        given = list(csv.DictReader(file))
    videos: dict[str, list[Row]] = {}
    for row in given:
        videos.setdefault(row["video_id"], []).append((float(row["start"]), float(row["end"]), (0, 0)))
    write_labels(tmp_path / "Labels.csd", videos, None)
    for name in TINY.modalities.values():
        write_features(tmp_path / name, {"v": 1})
    recordings = read(tmp_path, folds=mosei_meta / "standard_folds.json")
    splits = [u.split for u in recordings.utterances]
    assert {split: splits.count(split) for split in splits} == {"train": 16327, "validation": 1871, "test": 4662}
    told = {"train": "train", "valid": "validation", "test": "test"}
    by_video = {row["video_id"]: told[row["split"]] for row in given}
    assert all(u.split == by_video[str(u.dialogue)] for u in recordings.utterances)
