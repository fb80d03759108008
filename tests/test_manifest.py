"""The manifest: anyone's table of media is read, refused with its row named, and written from any corpus."""

import csv
import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from emotiwave.datasets import cremad, emodb, iemocap, manifest, meld, ravdess
from emotiwave.datasets.manifest import ManifestSettings, write_manifest
from emotiwave.datasets.manifest_files import read_table
from emotiwave.datasets.manifest_rows import read_rows
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.types import LabelSet, Segment, Utterance
from tests.made_corpora import (
    touch,
    write_cremad,
    write_csv,
    write_emodb,
    write_iemocap,
    write_media_manifest,
    write_meld,
    write_ravdess,
)

FORMS = (".csv", ".jsonl", ".parquet")


def load(path: Path, **keys) -> MediaRecordings:
    return manifest.load(ManifestSettings(file=path, **keys))


def write_form(path: Path, rows: list[dict]) -> Path:
    """The rows in the form that the suffix of a path asks for, by other means than those of the package."""
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def text_rows(*labels: str, **columns: list) -> list[dict]:
    rows = [{"id": f"u{k}", "text": f"text {k}", "label": label} for k, label in enumerate(labels)]
    return [row | {name: values[k] for name, values in columns.items()} for k, row in enumerate(rows)]


SPLITS = ["train", "train", "validation", "test"]


class TestReading:
    @pytest.mark.parametrize("form", FORMS)
    def test_a_row_says_what_it_says_in_every_form(self, tmp_path, form):
        for name in ("a b.mp4", "-x.wav", "ü.srt"):
            touch(tmp_path / "media" / name)
        rows = [
            {
                "id": "one",
                "video": "media/a b.mp4",
                "audio": "media/-x.wav",
                "transcript": "media/ü.srt",
                "start": 1.5,
                "end": 2.25,
                "label": "happy",
                "speaker": "7",
                "dialogue": "d",
                "split": "train",
                "language": "de",
                "rating.valence": 0.1,
                "said": "words",
            },
            {"id": "two", "video": "media/a b.mp4", "label": "sad", "split": "train"},
        ]
        recordings = load(write_form(tmp_path / f"m{form}", rows), licence="mine")
        first = recordings.utterances[0]
        assert first == Utterance(
            "one",
            "train",
            "happy",
            dialogue="d",
            speaker="7",
            language="de",
            transcript="words",
            segment=Segment("media/a b.mp4", 1.5, 2.25),
            ratings={"valence": 0.1},
        )
        assert recordings.sources["one"] == Sources(
            video=tmp_path / "media/a b.mp4", audio=tmp_path / "media/-x.wav", transcript=tmp_path / "media/ü.srt"
        )
        assert recordings.label_set == LabelSet("categorical", ("happy", "sad"))
        assert (recordings.name, recordings.licence, recordings.task) == ("manifest", "mine", "categorical")

    @pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv"])
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_csv_as_spreadsheets_write_it(self, tmp_path, suffix, delimiter, encoding):
        touch(tmp_path / "a.wav")
        start, end = ("1.5", "2.25") if delimiter == "," else ("1,5", "2,25")
        rows = [{"audio": "a.wav", "start": start, "end": end, "label": k, "split": "train"} for k in ("x", "y")]
        path = write_csv(
            tmp_path / f"m{suffix}", [r | {"id": r["label"]} for r in rows], delimiter=delimiter, encoding=encoding
        )
        assert load(path).utterances[1].segment == Segment("a.wav", 1.5, 2.25)

    @pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
    def test_a_comma_that_may_set_off_thousands_is_no_decimal_comma(self, tmp_path, form):
        path = write_form(tmp_path / f"m{form}", [{"audio": "a.wav", "start": "1,101", "end": "1,102"}])
        with pytest.raises(DatasetError, match=r"start is '1,101'; expected a number, such as 12\.5 \(a decimal comma"):
            read_rows(path)

    @pytest.mark.parametrize("form", FORMS)
    def test_names_are_read_without_spaces_at_their_ends(self, tmp_path, form):
        rows = [
            {"id": f" u{k}\u00a0", "audio": "a.wav", "recording": f"{space}r", "start": 0.0, "end": 1.0}
            | {"speaker": f"Anna{space}", "dialogue": f"{space}d", "split": f"test{space}"}
            for k, space in enumerate(["", " ", "\u00a0"])
        ]
        found = read_rows(write_form(tmp_path / f"m{form}", rows))
        assert [row.id for row in found] == ["u0", "u1", "u2"]
        assert {(row.speaker, row.dialogue, row.split) for row in found} == {("Anna", "d", "test")}
        assert {row.segment for row in found} == {Segment("r", 0.0, 1.0)}

    def test_a_speaker_with_a_space_is_the_same_speaker(self, tmp_path):
        rows = text_rows("x", "y", split=["train", "test"], speaker=["Anna", "Anna "])
        with pytest.raises(DatasetError, match="speaker 'Anna' is in two splits"):
            load(write_csv(tmp_path / "m.csv", rows), labels=("x", "y"))

    def test_rows_without_an_id_are_called_as_their_file(self, tmp_path):
        rows = [
            {"audio": "x/a.wav", "text": "", "start": "", "end": ""},
            {"audio": "x/b.wav", "text": "", "start": "0", "end": "2.5"},
            {"audio": "", "text": "hello", "start": "", "end": ""},
        ]
        path = write_csv(tmp_path / "m.csv", rows)
        assert [row.id for row in read_rows(path)] == ["a", "b_0-2.5", "line-4"]

    def test_numbers_are_names_too(self, tmp_path):
        """A spreadsheet makes numbers of speakers and classes, and pandas makes 1.0 of 1 where a cell is empty."""
        rows = [{"text": "a", "label": 0, "speaker": 1.0}, {"text": "b", "label": 1, "speaker": math.nan}]
        found = read_rows(write_form(tmp_path / "m.parquet", rows))
        assert [row.label for row in found] == [("0",), ("1",)]
        assert [row.speaker for row in found] == ["1", None]

    def test_the_index_of_a_frame_is_passed_over(self, tmp_path):
        pd.DataFrame(text_rows("x", "y"), index=["p", "q"]).to_parquet(tmp_path / "m.parquet")
        assert [row.id for row in read_rows(tmp_path / "m.parquet")] == ["u0", "u1"]

    def test_paths_start_from_the_manifest_the_root_or_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        rows = [
            {"id": k, "audio": audio}
            for k, audio in enumerate(["a.wav", "~/a.wav", str(tmp_path / "b.wav"), "../a.wav"])
        ]
        path = write_csv(tmp_path / "lists" / "m.csv", rows)
        expected = [tmp_path / "home/a.wav", tmp_path / "b.wav"]
        assert [row.sources.audio for row in read_rows(path)] == [
            tmp_path / "lists/a.wav",
            *expected,
            tmp_path / "lists/../a.wav",
        ]
        assert [row.sources.audio for row in read_rows(path, root=tmp_path / "r")][:3] == [
            tmp_path / "r/a.wav",
            *expected,
        ]

    def test_empty_rows_are_passed_over_and_counted(self, tmp_path):
        (tmp_path / "m.csv").write_text("text,label,split\na,x,train\n,,\n\nb,y,train\n")
        recordings = load(tmp_path / "m.csv")
        assert len(recordings.utterances) == 2
        assert recordings.counts["empty rows, passed over"] == 2

    def test_text_may_hold_breaks_quotes_and_delimiters(self, tmp_path):
        text = 'He said: "no";\n\tthen, "yes"'
        rows = [{"text": text, "label": "x", "split": "train"}, {"text": "b", "label": "y", "split": "train"}]
        assert load(write_csv(tmp_path / "m.csv", rows)).sources["line-3"].text == text

    def test_a_manifest_without_labels_can_be_extracted(self, tmp_path):
        path = write_csv(
            tmp_path / "m.csv", [{"audio": "not-there.wav", "face": ""}, {"audio": "b.wav", "face": "Yes"}]
        )
        rows = read_rows(path)
        assert [row.label for row in rows] == [None, None]
        assert [row.sources.is_face for row in rows] == [False, True]
        with pytest.raises(DatasetError, match=r"no row has a label; .*emotiwave data extract"):
            load(path, missing_files="keep", root=touch(tmp_path / "r" / "b.wav").parent)


class TestLabels:
    def test_classes_are_those_of_the_train_rows(self, tmp_path):
        path = write_csv(tmp_path / "m.csv", text_rows("sad", "happy", "sad", "happy", split=SPLITS))
        assert load(path).label_set.names == ("happy", "sad")
        assert load(path, labels=("sad", "happy", "angry")).label_set.names == ("sad", "happy", "angry")

    @pytest.mark.parametrize("keys", [{}, {"labels": ("happy", "sad")}])
    def test_a_slip_outside_train_is_refused_and_the_nearest_named(self, tmp_path, keys):
        path = write_csv(tmp_path / "m.csv", text_rows("sad", "happy", "sad", "hapy", split=SPLITS))
        with pytest.raises(DatasetError, match=r"m\.csv, line 5: unknown label 'hapy'; did you mean 'happy'\?"):
            load(path, **keys)

    def test_a_class_of_one_row_that_is_nearly_a_frequent_one_is_warned_of(self, tmp_path):
        path = write_csv(tmp_path / "m.csv", text_rows(*["Happy"] * 5, "hapy", "sad", split=["train"] * 7))
        with pytest.warns(DataWarning, match="one row has the label 'hapy'; is it 'Happy'"):
            assert load(path).label_set.names == ("Happy", "hapy", "sad")
        assert load(path, labels=("Happy", "hapy", "sad")).label_set.names == ("Happy", "hapy", "sad")

    @pytest.mark.parametrize("other", ["joy", "JOY", "Joy\u00a0of  life"])
    def test_one_class_in_two_spellings_is_refused(self, tmp_path, other):
        first = "Joy" if len(other) == 3 else "joy of life"
        path = write_csv(tmp_path / "m.csv", text_rows(first, first, other, "sad", split=["train"] * 4))
        with pytest.raises(DatasetError, match="expected one spelling of a class") as error:
            load(path)
        assert repr(first) in str(error.value)
        assert repr(other) in str(error.value)
        assert load(path, labels=(first, other, "sad")).label_set.names == (first, other, "sad")

    @pytest.mark.parametrize("form", FORMS)
    def test_several_classes(self, tmp_path, form):
        given = [["joy", "fear"], ["joy"], []]
        rows = [
            {
                "text": "a",
                "labels": " joy; fear ;" if form == ".csv" and k == 0 else ";".join(names) if form == ".csv" else names,
            }
            for k, names in enumerate(given)
        ]
        recordings = load(write_form(tmp_path / f"m{form}", rows), task="multilabel", validation_share=0, test_share=0)
        assert [utterance.label for utterance in recordings.utterances] == [("joy", "fear"), ("joy",), ()]
        assert recordings.label_set == LabelSet("multilabel", ("fear", "joy"))

    def test_values(self, tmp_path):
        rows = [{"text": "a", "arousal": 0.5, "valence": -1}, {"text": "b", "arousal": 1, "valence": 0.25}]
        ranges = {"valence": (-1.0, 1.0), "arousal": (0.0, 1.0)}
        path = write_csv(tmp_path / "m.csv", rows)
        recordings = load(path, task="continuous", ranges=ranges, validation_share=0, test_share=0)
        assert [utterance.label for utterance in recordings.utterances] == [(-1.0, 0.5), (0.25, 1.0)]
        assert recordings.label_set.names == ("valence", "arousal")

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"task": "continuous"}, "go together"),
            ({"ranges": {"valence": (-1, 1)}}, "go together"),
            ({"task": "continuous", "ranges": {"text": (0, 1)}}, "cannot be called 'text'"),
            ({"task": "continuous", "ranges": {"valence": (-1, 1)}, "labels": ("a",)}, "leave out labels"),
            ({"task": "distribution"}, "needs labels"),
            ({"task": "distribution", "labels": ("joy", "id")}, "cannot be called 'id'"),
            ({"task": "distribution", "labels": ("a", "b"), "ranges": {"a": (0, 1)}}, "go together"),
            ({"task": "ordinal"}, "task"),
        ],
    )
    def test_settings_at_odds_are_refused(self, tmp_path, keys, message):
        with pytest.raises(ValidationError, match=message):
            ManifestSettings.model_validate({"file": tmp_path / "m.csv"} | keys)


class TestSplits:
    def test_a_manifest_without_splits_is_split_by_speaker(self, tmp_path):
        recordings = load(write_media_manifest(tmp_path), validation_share=0.25, test_share=0.25)
        found = {split: {u.speaker for u in recordings.utterances if u.split == split} for split in set(SPLITS)}
        assert [len(found[split]) for split in ("train", "validation", "test")] == [2, 1, 1]
        assert len(set.union(*found.values())) == 4
        assert recordings.counts["split"] == "all rows at random"
        held_out = "0.25 validation, 0.25 test, by speaker, dialogue and file, seed 0"
        assert recordings.counts["held out of train"] == held_out

    def test_the_defaults_hold_out_fifteen_and_twenty_percent(self, tmp_path):
        rows = text_rows(*["x", "y"] * 50)
        recordings = load(write_csv(tmp_path / "m.csv", rows))
        assert Counter(u.split for u in recordings.utterances) == {"train": 65, "validation": 15, "test": 20}

    def test_segments_of_one_file_stay_together(self, tmp_path):
        rows = []
        for name in "abcde":
            touch(tmp_path / f"{name}.wav")
            rows += [{"audio": f"./{name}.wav", "start": k, "end": k + 1, "label": "xy"[k % 2]} for k in range(3)]
        recordings = load(write_csv(tmp_path / "m.csv", rows))
        check = {utterance.dialogue for utterance in recordings.utterances}
        assert check == {f"{name}.wav" for name in "abcde"}
        assert {len({u.split for u in recordings.utterances if u.dialogue == d}) for d in check} == {1}

    def test_rows_of_one_file_stay_together_whatever_their_dialogue(self, tmp_path):
        files = [touch(tmp_path / f"{k}.mp4") for k in range(10)]
        rows = [
            {"id": f"{file.stem}-{k}", "video": name, "start": k, "end": k + 1, "label": "xy"[k % 2]}
            | {"dialogue": f"d{file.stem}{k}"}
            for file in files
            for k, name in enumerate([file.name, str(file), f"../{tmp_path.name}/{file.name}"])
        ]
        recordings = load(write_csv(tmp_path / "m.csv", rows))
        splits: dict[str, set[str]] = {}
        for utterance in recordings.utterances:
            splits.setdefault(utterance.id.partition("-")[0], set()).add(utterance.split)
        assert Counter(split for (split,) in splits.values()) == {"train": 7, "validation": 1, "test": 2}
        with pytest.raises(DatasetError, match="of the 1 groups"):
            load(write_csv(tmp_path / "m.csv", rows[:3]))

    @pytest.mark.parametrize("column", ["video", "audio", "image", "transcript"])
    def test_a_file_in_two_given_splits_is_refused_however_it_is_named(self, tmp_path, column):
        file = touch(tmp_path / "v")
        (tmp_path / "link").symlink_to(file)
        for name in ("v", "./v", str(file), "link"):
            rows = [
                {column: given, "label": "xy"[k % 2], "id": k, "dialogue": k, "split": split}
                for k, (given, split) in enumerate([("v", "train"), ("v", "train"), (name, "test")])
            ]
            with pytest.raises(DatasetError, match=r"line 4: .*/v is in two splits: 'test' here and 'train' on line 2"):
                load(write_csv(tmp_path / "m.csv", rows))

    def test_a_file_of_words_may_be_of_many_recordings(self, tmp_path):
        touch(tmp_path / "words.csd")
        rows = text_rows("x", "y", "x", "y", split=SPLITS, words=["words.csd"] * 4, words_id=list("abcd"))
        assert len(load(write_csv(tmp_path / "m.csv", rows)).utterances) == 4
        rows[3] |= {"words_id": "a", "dialogue": "its own"}
        with pytest.raises(DatasetError, match=r"line 5: .*words\.csd: a is in two splits"):
            load(write_csv(tmp_path / "m.csv", [row | {"dialogue": row.get("dialogue", row["id"])} for row in rows]))

    def test_names_of_splits_that_others_use(self, tmp_path):
        rows = text_rows("x", "y", "x", "y", "x", split=["Train", "train", "dev", " test", "VAL"])
        found = [utterance.split for utterance in load(write_csv(tmp_path / "m.csv", rows)).utterances]
        assert found == ["train", "train", "validation", "test", "validation"]

    def test_a_share_can_be_held_out_of_given_splits(self, tmp_path):
        rows = text_rows(*["x", "y"] * 6, split=["train"] * 10 + ["test"] * 2)
        path = write_csv(tmp_path / "m.csv", rows)
        assert {utterance.split for utterance in load(path).utterances} == {"train", "test"}
        recordings = load(path, validation_share=0.2)
        assert Counter(u.split for u in recordings.utterances) == {"train": 8, "validation": 2, "test": 2}
        with pytest.raises(DatasetError, match="has test rows; leave out test_share"):
            load(path, test_share=0.2)

    def test_a_speaker_in_two_splits_is_refused(self, tmp_path):
        rows = text_rows("x", "y", "x", "y", split=SPLITS, speaker=["a", "b", "c", "b"])
        with pytest.raises(DatasetError, match="manifest: speaker 'b' is in two splits"):
            load(write_csv(tmp_path / "m.csv", rows))

    def test_too_few_groups_are_said(self, tmp_path):
        with pytest.raises(DatasetError, match=r"a share of 0\.2 of the 2 groups"):
            load(write_csv(tmp_path / "m.csv", text_rows("x", "y")))


BAD_ROWS = {
    "empty_id": ({"id": "", "audio": "", "text": ""}, "has no source"),
    "duplicate": ({"id": "good"}, r"line 3: id 'good' is that of line 2 too; ids must be unique"),
    "missing_file": ({"audio": "b/clip.wav"}, r"line 3: audio 'b/clip\.wav' is not there \(.*b/clip\.wav\)"),
    "windows": ({"audio": "b\\clip.wav"}, "write / between folders"),
    "a_folder": ({"audio": "."}, "audio '.' is not there"),
    "nul": ({"audio": "a\0.wav"}, r"line 3: audio holds a character that is none"),
    "end": ({"start": "3", "end": "3"}, r"line 3: start 3 and end 3; expected seconds with 0 <= start < end"),
    "negative": ({"start": "-1", "end": "3"}, "start -1 and end 3"),
    "half": ({"start": "1"}, "both in seconds, or none"),
    "words_for_time": ({"start": "one", "end": "2"}, "start is 'one'; expected a number, such as 12.5"),
    "clock": ({"start": "00:01:02", "end": "2"}, "start is '00:01:02'; expected a number"),
    "nan": ({"start": "nan", "end": "2"}, "start is 'nan'; expected a number"),
    "huge": ({"start": "1", "end": "1e999"}, "end is '1e999'; expected a number"),
    "underscore": ({"start": "1", "end": "1_0"}, "end is '1_0'; expected a number"),
    "times_of_text": ({"audio": "", "text": "a", "start": "1", "end": "2"}, "a start and an end but no file"),
    "split": ({"split": "tset"}, r"line 3: unknown split 'tset'; did you mean 'test'\?"),
    "no_split": ({"split": ""}, "line 3: names no split, and other rows do"),
    "no_label": ({"label": ""}, "line 3: has no label; give it one"),
    "two_labels": ({"label": "x;y"}, 'has the labels x; y; expected one, or task = "multilabel"'),
    "face": ({"face": "perhaps"}, "face is 'perhaps'; expected true or false"),
    "rating": ({"rating.valence": "high"}, "rating.valence is 'high'; expected a number"),
}


DIFFERENCES = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
LONG = "a" * 100_000


def same_text() -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), [LONG])


BOMBS = {
    "dictionary": (lambda: {"text": same_text()}, {"store_schema": False}),
    "list": (lambda: {"labels": pa.ListArray.from_arrays(range(1001), same_text())}, {"store_schema": False}),
    "one_list": (lambda: {"labels": pa.ListArray.from_arrays([0, 1000], same_text())}, {"store_schema": False}),
    "differences": (lambda: {"text": [LONG] * 1000}, DIFFERENCES),
    "fixed": (lambda: {"text": pa.array([LONG.encode()] * 1000, pa.binary(100_000))}, {}),
    "nothing": (lambda: {"text": pa.nulls(1_000_000)}, {}),
    "numbers": (lambda: {"labels": pa.array([[1] * 1_000_000])}, {}),
}


class TestBadTables:
    @pytest.mark.parametrize("name", BAD_ROWS)
    def test_a_bad_row_is_named(self, tmp_path, name):
        touch(tmp_path / "a.wav")
        columns = ("id", "audio", "text", "start", "end", "label", "split", "face", "rating.valence")
        good = dict.fromkeys(columns, "") | {"id": "good", "audio": "a.wav", "label": "x", "split": "train"}
        change, message = BAD_ROWS[name]
        path = write_csv(
            tmp_path / "m.csv", [good, good | {"id": "bad"} | change, good | {"id": "third", "label": "y"}]
        )
        with pytest.raises(DatasetError, match=message) as error:
            load(path)
        assert str(path) in str(error.value)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "holds no row"),
            (b"text,label\n", "holds no row"),
            (b"text,lable\na,x\n", r"unknown column 'lable'; did you mean 'label'\? .*extra_columns"),
            (b"text,label,labels\na,x,y\n", "has columns label and labels"),
            (b"text,text\na,x\n", "two columns are called 'text'"),
            (b"text,,label\na,b,x\n", "column 2 has no name"),
            (b"text,label\na\n", "line 2: 1 cells; expected 2"),
            (b"text,label\na,x,y\n", "line 2: 3 cells; expected 2"),
            (b'text,label\n"a,x\nb,y\n', "cannot be read as CSV"),
            (b"text,label\n\xff\xfe,x\n", "is not UTF-8"),
            ("text,label\na,x\n".encode("utf-16"), "is not UTF-8"),
            (b"text,label\na,x\nb,x\n", r"the train rows have the classes \['x'\]; expected two or more"),
        ],
    )
    def test_a_bad_csv_is_explained(self, tmp_path, content, message):
        (tmp_path / "m.csv").write_bytes(content)
        with pytest.raises(DatasetError, match=message) as error:
            load(tmp_path / "m.csv")
        assert "m.csv" in str(error.value)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("[1, 2]", "line 1: .*expected an object"),
            ('{"text": "a"', "line 1: cannot be read as JSON"),
            ("[" * 100_000, "line 1: cannot be read as JSON"),
            ('{"text": {"a": 1}, "label": "x"}', "line 1: text holds a dict"),
            ('{"text": ["a"], "label": "x"}', "text is a list; expected one text"),
            ('{"text": "a", "labels": [["joy"], "sad"]}', "line 1: labels holds a list in a list; expected"),
            ('{"text": "a", "labels": [[]]}', "labels holds a list in a list"),
            ('{"text": "a", "labels": [{"joy": 1}]}', "labels holds a dict"),
            ('{"text": "\\ud800", "label": "x"}', "text holds a character that is none"),
            ('{"audio": "a.wav", "start": Infinity, "end": 2}', "start is 'inf'; expected a number"),
        ],
    )
    def test_bad_json_lines_are_explained(self, tmp_path, content, message):
        (tmp_path / "m.jsonl").write_text(content)
        with pytest.raises(DatasetError, match=message):
            read_rows(tmp_path / "m.jsonl")

    def test_bad_parquet_is_explained(self, tmp_path):
        (tmp_path / "m.parquet").write_bytes(b"PAR1 but not really PAR1")
        with pytest.raises(DatasetError, match="cannot be read"):
            read_rows(tmp_path / "m.parquet")
        pq.write_table(pa.table({"text": [pd.Timestamp("2020-01-01")]}), tmp_path / "m.parquet")
        with pytest.raises(DatasetError, match="row 1: text holds a datetime"):
            read_rows(tmp_path / "m.parquet")

    def test_a_table_that_unpacks_to_too_much_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("emotiwave.datasets.manifest_files.MAX_BYTES", 100_000)
        pq.write_table(pa.table({"text": ["a" * 1000] * 1000}), tmp_path / "m.parquet")
        assert (tmp_path / "m.parquet").stat().st_size < 10_000
        with pytest.raises(DatasetError, match="unpacks to more than 100,000 bytes"):
            read_rows(tmp_path / "m.parquet")
        (tmp_path / "m.csv").write_bytes(b"a" * 100_001)
        with pytest.raises(DatasetError, match="100,001 bytes; at most 100,000"):
            read_rows(tmp_path / "m.csv")

    @pytest.mark.parametrize("name", BOMBS)
    def test_what_unpacks_to_too_much_is_known_before_it_is_unpacked(self, tmp_path, monkeypatch, name):
        """What 1,000 rows name is one text of 100,000 characters, or nothing in many rows."""
        monkeypatch.setattr("emotiwave.datasets.manifest_files.MAX_BYTES", 2_000_000)
        columns, keys = BOMBS[name]
        path = tmp_path / "m.parquet"
        pq.write_table(pa.table(columns()), path, compression="zstd", **keys)
        assert path.stat().st_size < 20_000
        default = pa.default_memory_pool()
        pool = pa.proxy_memory_pool(default)
        pa.set_memory_pool(pool)
        try:
            with pytest.raises(DatasetError, match="unpacks to more than 2,000,000 bytes"):
                read_rows(path)
        finally:
            pa.set_memory_pool(default)
        assert pool.max_memory() < 4_000_000

    @pytest.mark.parametrize("keys", [{}, DIFFERENCES, {"use_dictionary": False}, {"row_group_size": 7}])
    @pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
    def test_parquet_as_others_write_it(self, tmp_path, kind, keys):
        texts = [f"text {k % 50}" if k % 3 else None for k in range(200)]
        names = [["joy", f"n{k % 9}"][: k % 3] for k in range(200)]
        table = {"text": pa.array(texts, kind), "labels": pa.array(names, pa.list_(pa.string())), "said": ["b"] * 200}
        pq.write_table(pa.table(table), tmp_path / "m.parquet", **keys)
        read = read_table(tmp_path / "m.parquet")
        assert [row.text("text") for row in read.rows] == texts
        assert [row.names("labels") for row in read.rows] == [tuple(given) for given in names]

    def test_a_categorical_column_of_parquet(self, tmp_path):
        pd.DataFrame({"text": ["a", "b"], "label": pd.Categorical(["x", "y"])}).to_parquet(tmp_path / "m.parquet")
        assert [row.label for row in read_rows(tmp_path / "m.parquet")] == [("x",), ("y",)]

    def test_lists_in_lists_are_refused_in_parquet_too(self, tmp_path):
        pq.write_table(pa.table({"text": ["a"], "labels": [[["joy"]]]}), tmp_path / "m.parquet")
        with pytest.raises(DatasetError, match="column 'labels' holds list<"):
            read_rows(tmp_path / "m.parquet")

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(DatasetError, match=r"'\.xlsx' is no form of table; expected \.csv"):
            read_rows(touch(tmp_path / "m.xlsx"))
        with pytest.raises(DatasetError, match=r"m\.csv: cannot be read \(No such file"):
            read_rows(tmp_path / "m.csv")
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(DatasetError, match="cannot be read"):
            read_rows(tmp_path / "folder.csv")

    def test_extra_columns_are_passed_over_when_named(self, tmp_path):
        rows = text_rows("x", "y", "x", "y", split=SPLITS, note=["n"] * 4)
        path = write_csv(tmp_path / "m.csv", rows)
        assert len(load(path, extra_columns=("note",)).utterances) == 4
        assert len(read_rows(path, extra_columns=["note"])) == 4

    def test_a_continuous_column_that_is_not_there_is_named(self, tmp_path):
        path = write_csv(tmp_path / "m.csv", [{"text": "a", "valence": 1}])
        ranges = {"valence": (0.0, 1.0), "arousal": (0.0, 1.0)}
        with pytest.raises(DatasetError, match="unknown column 'arousal'"):
            load(path, task="continuous", ranges=ranges)
        rows = [{"text": "a", "valence": 1, "arousal": ""}]
        with pytest.raises(DatasetError, match="lacks a value; expected one in each of valence, arousal"):
            load(write_csv(tmp_path / "m.csv", rows), task="continuous", ranges=ranges)
        rows = [{"text": "a", "valence": 1, "arousal": 2}]
        with pytest.raises(DatasetError, match=r"line 2: arousal is 2\.0; expected a value from 0 to 1"):
            load(write_csv(tmp_path / "m.csv", rows), task="continuous", ranges=ranges)

    def test_rows_with_missing_files_can_be_kept(self, tmp_path):
        path = write_media_manifest(tmp_path)
        (tmp_path / "clips" / "clip 4.wav").unlink()
        with pytest.raises(DatasetError, match="line 6"):
            load(path, test_share=0.25)
        recordings = load(path, missing_files="keep", validation_share=0.25, test_share=0.25)
        assert len(recordings.utterances) == 12
        assert recordings.counts["files not there"] == 1
        for file in (tmp_path / "clips").iterdir():
            file.unlink()
        with pytest.raises(DatasetError, match="nor are 11 more of 12 files"):
            load(path, missing_files="keep")

    @pytest.mark.parametrize("form", FORMS)
    def test_damaged_tables_give_no_other_error(self, tmp_path, form):
        rows = text_rows("x", "y", "x", "y", split=SPLITS, start=[0.5] * 4, audio=["a.wav"] * 4)
        good = write_form(tmp_path / f"good{form}", rows).read_bytes()
        path = tmp_path / f"m{form}"
        generator = random.Random(0)
        for _ in range(150):
            damaged = bytearray(good)
            for _ in range(generator.randint(1, 6)):
                damaged[generator.randrange(len(damaged))] = generator.choice(
                    (0, 10, 34, 44, 59, 123, 255, generator.randrange(256))
                )
            path.write_bytes(damaged[: generator.choice((len(damaged), generator.randrange(len(damaged))))])
            try:
                read_rows(path)
            except DatasetError:
                continue


CORPORA = {
    "ravdess": lambda root: ravdess.load(ravdess.RavdessSettings(root=write_ravdess(root))),
    "cremad": lambda root: cremad.load(cremad.CremadSettings(root=write_cremad(root), task="seven")),
    "emodb": lambda root: emodb.load(emodb.EmodbSettings(root=write_emodb(root))),
    "iemocap": lambda root: iemocap.load(iemocap.IemocapSettings(root=write_iemocap(root))),
    "iemocap_films": lambda root: iemocap.load(iemocap.IemocapSettings(root=write_iemocap(root), media="dialogues")),
    "meld": lambda root: meld.load(meld.MeldSettings(root=write_meld(root))),
    "manifest": lambda root: load(write_media_manifest(root), validation_share=0.25, test_share=0.25),
}


def made(root: Path, **changes) -> MediaRecordings:
    """Recordings with everything that can be said of an utterance."""
    sources = {
        "words": Sources(words=root / "words.csd", words_id="-abc[0]", video=root / "v" / "a;b, c.mp4"),
        "photo": Sources(image=root / "~" / "p.png", is_face=True, text='two\nlines\r\nand "quotes"; ü'),
        "far": Sources(audio=Path("/elsewhere/x.wav"), transcript=root / "t.srt"),
    }
    utterances = (
        Utterance(
            "words", "train", ("joy", "fear"), "d", "s", "en", None, Segment("-abc", 0.1 + 0.2, 1e3), {"v": 1 / 3}
        ),
        Utterance("photo", "test", (), transcript=sources["photo"].text),
        Utterance("far", "validation", ("fear",), transcript="what was said", ratings={"v": -1.0, "a b": 2.0}),
    )
    keys = {"label_set": LabelSet("multilabel", ("joy", "fear")), "utterances": utterances, "sources": sources}
    return MediaRecordings(**{"name": "made", "task": "multilabel", "licence": "none"} | keys | changes)


class TestWriting:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("name", CORPORA)
    def test_every_corpus_is_the_same_when_read_back(self, tmp_path, name, form):
        recordings = CORPORA[name](tmp_path / "corpus")
        keys = write_manifest(recordings, tmp_path / f"m{form}", relative_to=tmp_path / "corpus")
        again = manifest.load(ManifestSettings.model_validate(keys))
        assert again.utterances == recordings.utterances
        assert again.sources == recordings.sources
        assert again.label_set == recordings.label_set

    @pytest.mark.parametrize("form", FORMS)
    def test_all_that_can_be_said_comes_back(self, tmp_path, form):
        recordings = made(tmp_path)
        for sources in recordings.sources.values():
            for path in sources.files:
                if path.is_relative_to(tmp_path):
                    touch(path)
        keys = write_manifest(recordings, tmp_path / f"m{form}")
        again = manifest.load(ManifestSettings.model_validate(keys | {"missing_files": "keep"}))
        assert again.utterances == recordings.utterances
        assert again.sources == recordings.sources
        assert again.label_set == recordings.label_set
        assert again.counts["files not there"] == 1

    @pytest.mark.parametrize("form", FORMS)
    def test_long_text_comes_back(self, tmp_path, form):
        limit = csv.field_size_limit(100_000)
        text = "word " * 30_000 + "end"
        recordings = made(
            tmp_path,
            utterances=(Utterance("u", "train", ("joy",), transcript=text),),
            sources={"u": Sources(text=text)},
        )
        keys = write_manifest(recordings, tmp_path / f"m{form}")
        assert manifest.load(ManifestSettings.model_validate(keys)).sources == recordings.sources
        assert csv.field_size_limit(limit) == 100_000

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("name", ["\udcff.wav", "a\0.wav"])
    def test_a_name_that_cannot_be_written_is_refused(self, tmp_path, form, name):
        recordings = made(
            tmp_path, utterances=(Utterance("u", "train", ("joy",)),), sources={"u": Sources(audio=tmp_path / name)}
        )
        with pytest.raises(DatasetError, match=r"row 1: audio is .*\.wav', which cannot be written"):
            write_manifest(recordings, tmp_path / f"m{form}")
        label_set = LabelSet("multilabel", ("\udcff", "b"))
        utterance = Utterance("u", "train", ("\udcff",))
        recordings = made(tmp_path, utterances=(utterance,), sources={"u": Sources(text="a")}, label_set=label_set)
        with pytest.raises(DatasetError, match=r"row 1: labels is .* cannot be written"):
            write_manifest(recordings, tmp_path / f"m{form}")
        assert not list(tmp_path.glob("*m.*"))

    @pytest.mark.parametrize("form", FORMS)
    def test_values_come_back_bit_equal(self, tmp_path, form):
        values = [(float(v), float(a)) for v, a in np.random.default_rng(0).uniform(-1, 1, (20, 2))]
        utterances = tuple(
            Utterance(f"u{k}", "train" if k else "test", label, transcript="t") for k, label in enumerate(values)
        )
        recordings = made(
            tmp_path,
            label_set=LabelSet("continuous", ("valence", "arousal"), ((-1.0, 1.0), (-1.0, 1.5))),
            utterances=utterances,
            sources={utterance.id: Sources(text="t") for utterance in utterances},
        )
        keys = write_manifest(recordings, tmp_path / f"m{form}")
        again = manifest.load(ManifestSettings.model_validate(keys))
        assert again.utterances == utterances
        assert again.label_set == recordings.label_set

    @pytest.mark.parametrize("form", FORMS)
    def test_shares_come_back_bit_equal(self, tmp_path, form):
        votes = np.random.default_rng(0).multinomial(7, (0.5, 0.3, 0.2), size=20)
        utterances = tuple(
            Utterance(f"u{k}", "train" if k else "test", tuple((row / 7).tolist()), transcript="t")
            for k, row in enumerate(votes)
        )
        recordings = made(
            tmp_path,
            label_set=LabelSet("distribution", ("joy", "fear", "no; neither")),
            utterances=utterances,
            sources={utterance.id: Sources(text="t") for utterance in utterances},
        )
        keys = write_manifest(recordings, tmp_path / f"m{form}")
        again = manifest.load(ManifestSettings.model_validate(keys))
        assert again.utterances == utterances
        assert again.label_set == recordings.label_set
        with pytest.raises(DatasetError, match="label 'text' is a column of its own"):
            write_manifest(
                replace(recordings, label_set=LabelSet("distribution", ("a", "text", "b"))), tmp_path / "m.csv"
            )

    def test_files_are_named_from_the_folder_of_the_manifest(self, tmp_path):
        recordings = CORPORA["emodb"](tmp_path / "corpus")
        write_manifest(recordings, tmp_path / "m.csv")
        assert pd.read_csv(tmp_path / "m.csv")["audio"][0] == "corpus/wav/03b09Aa.wav"
        write_manifest(recordings, tmp_path / "m.csv", relative_to=tmp_path / "other")
        assert pd.read_csv(tmp_path / "m.csv")["audio"][0] == str(tmp_path / "corpus/wav/03b09Aa.wav")

    def test_what_a_manifest_cannot_hold_is_refused(self, tmp_path):
        recordings = CORPORA["emodb"](tmp_path / "corpus")
        first = recordings.utterances[0]
        with pytest.raises(DatasetError, match=r"'\.xlsx' is no form of table"):
            write_manifest(recordings, tmp_path / "m.xlsx")
        with pytest.raises(DatasetError, match="class 'a;b': a manifest needs names"):
            write_manifest(replace(recordings, label_set=LabelSet("categorical", ("a;b", "c"))), tmp_path / "m.csv")
        with pytest.raises(DatasetError, match="row 1: language is ' ', which would be read as empty"):
            write_manifest(replace(recordings, utterances=(replace(first, language=" "),)), tmp_path / "m.csv")
        with pytest.raises(DatasetError, match=f"utterance '{first.id}': speaker 'Anna ': a manifest needs names"):
            write_manifest(replace(recordings, utterances=(replace(first, speaker="Anna "),)), tmp_path / "m.csv")
        assert not list(tmp_path.glob("*m.*"))


class TestRecordings:
    def test_an_id_that_occurs_twice_is_refused(self, tmp_path):
        recordings = made(tmp_path)
        with pytest.raises(DatasetError, match="made: two utterances are called 'words'"):
            replace(recordings, utterances=(*recordings.utterances, recordings.utterances[0]))

    def test_an_utterance_without_sources_is_refused(self, tmp_path):
        with pytest.raises(DatasetError, match="made: utterance 'words' has no file and no text"):
            made(tmp_path, sources={})
