"""The command line over anyone's media: files to features, corpora to manifests and stores, and what is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave import api
from emotiwave.config import read_recipe
from emotiwave.features.store import open_store
from tests.made_corpora import write_csv, write_ravdess
from tests.made_media import write_sound
from tests.test_cli import run

RATE = 16_000


def tone(path: Path, seconds: float = 0.5, pitch: float = 220.0) -> Path:
    samples = 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)
    return write_sound(path, samples.astype(np.float32))


def bad(path: Path) -> Path:
    path.write_text("this is no sound, and long enough to be some\n" * 30)
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def extract(capsys, *words: str | Path, keys: tuple[str, ...] = ()) -> tuple[int, str, str]:
    keys = ("cache_folder=cache", "faces.detector=haar", "extractors.audio=logmel", *keys)
    sets = [word for key in keys for word in ("--set", key)]
    return run(capsys, "data", "extract", *map(str, words), "--out", "out", "--processes", "1", *sets)


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- data extract


def test_files_of_any_kind_become_files_of_features(capsys, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = [tone(tmp_path / "hello there.wav"), tone(tmp_path / "sub" / "hello there.wav", 0.3)]
    (tmp_path / "said.TXT").write_text("so good")
    code, out, err = extract(capsys, *files, tmp_path / "said.TXT", keys=("features.extractors.text=hashed",))
    assert (code, err) == (0, "")
    assert "hello there: audio observed" in out
    assert "said: text observed" in out
    assert (
        out.splitlines()[-1] == "out: 3 of 3 utterances have features, in 3 files that features.csv names; 0 error rows"
    )
    table = pd.read_csv("out/features.csv", keep_default_na=False).set_index("id")
    assert list(table.index) == ["hello there", "hello there-2", "said"]
    assert table.loc["said", "said"] == "so good"
    assert table["audio"].tolist()[2] == table["text"].tolist()[0] == ""
    lengths = [len(np.load(f"out/{table.loc[name, 'audio']}")["values"]) for name in table.index[:2]]
    assert lengths == pytest.approx([50, 30], abs=4)
    with np.load(f"out/{table.loc['said', 'text']}") as found:
        assert found["values"].shape == (2, 256)
    assert {row["utterance"] for row in rows_of(tmp_path / "out" / "usability.jsonl")} == set(table.index)
    assert rows_of(tmp_path / "out" / "errors.jsonl") == []


def test_the_rows_of_a_manifest_are_extracted_without_labels(capsys, tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 2.0)
    rows = [
        {"id": "a", "audio": "long.wav", "text": "one two", "start": 0.5, "end": 1.0, "mood": "?"},
        {"id": "b/1", "audio": "long.wav", "text": "", "start": "", "end": "", "mood": ""},
    ]
    write_csv(tmp_path / "clips.csv", rows)
    code, _, err = extract(capsys, "clips.csv", keys=("extractors.text=hashed",))
    assert (code, err) == (0, "")
    table = pd.read_csv("out/features.csv", keep_default_na=False).set_index("id")
    assert table.loc["a", ["start", "end"]].astype(float).tolist() == [0.5, 1.0]
    assert table["said"].tolist() == ["one two", ""]
    for name, seconds in {"a": 0.5, "b/1": 2.0}.items():
        with np.load(f"out/{table.loc[name, 'audio']}") as found:
            assert found["intervals"][-1, 1] == pytest.approx(seconds, abs=0.05)


def test_long_names_and_a_cache_that_cannot_be_written_to_cost_no_features(capsys, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "file").write_text("no folder")
    write_csv(tmp_path / "clips.csv", [{"id": "\u8a71" * 100 + end, "audio": "a.wav"} for end in "xy"])
    code, out, err = extract(capsys, "clips.csv", keys=("cache_folder=file",))
    assert (code, "error row" in err) == (0, False)
    assert "out: 2 of 2 utterances have features" in out
    assert len(list((tmp_path / "out" / "features").iterdir())) == 2


def test_one_file_that_cannot_be_read_is_a_row(capsys, tmp_path: Path) -> None:
    code, out, err = extract(capsys, tone(tmp_path / "good.wav"), bad(tmp_path / "bad.wav"), "gone.wav")
    assert code == 0
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["bad (audio)", "gone (audio)"]
    assert "out: 1 of 3 utterances have features, in 1 files that features.csv names; 2 error rows" in out
    assert [row["utterance"] for row in rows_of(tmp_path / "out" / "errors.jsonl")] == ["bad", "gone"]


def test_when_none_can_be_read_it_exits_with_1(capsys, tmp_path: Path) -> None:
    silent = write_sound(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    code, out, err = extract(capsys, bad(tmp_path / "bad.wav"), silent)
    assert code == 1
    assert "error row: bad (audio): " in err
    assert "silent: audio silent 100 %, ignored" in out
    assert "out: 0 of 2 utterances have features, in 0 files" in out


@pytest.mark.parametrize(
    ("words", "keys", "message"),
    [
        ([], ("extractors.audio=logmell",), "audio: unknown extractor 'logmell'; did you mean 'logmel'?"),
        ([], ("frame_rat=3",), "unknown key 'frame_rat'; did you mean 'frame_rate'?"),
        ([], ("frame_rate=0",), "frame_rate"),
        ([], ("extractors.vision=face", "faces.detector=harr"), "faces.detector"),
        ([], ("frames",), "KEY=VALUE"),
        (["b.csv"], (), "b.csv: a manifest is extracted on its own; leave the other files out"),
    ],
)
def test_what_can_go_wrong_with_data_extract_is_explained(words, keys, message, capsys, tmp_path: Path) -> None:
    code, _, err = extract(capsys, tone(tmp_path / "a.wav"), *words, keys=keys)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_data_extract_into_a_file_or_of_no_rows_is_explained(capsys, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    code, _, err = extract(capsys, tone(tmp_path / "a.wav"))
    assert (code, err) == (1, "error: out: is a file; expected a folder to write to\n")
    (tmp_path / "none.csv").write_text("id,audio\n")
    code, _, err = extract(capsys, "none.csv")
    assert code == 1
    assert "none.csv" in err


@pytest.mark.parametrize(
    ("words", "called", "said"),
    [
        (["extract", "a.wav", "--out", "out"], "extract", "finds what was finished in the cache"),
        (["prepare", "manifest"], "prepare", "goes on where it was"),
    ],
)
def test_stopping_says_how_to_go_on(words, called, said, capsys, monkeypatch) -> None:
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, called, stop)
    code, _, err = run(capsys, "data", *words)
    assert code == 130
    assert f"Stopped. The same command {said}." in err


# --- data manifest


def test_a_corpus_is_written_as_a_manifest_and_the_recipe_that_is_printed_reads_it(capsys, tmp_path: Path) -> None:
    root = write_ravdess(tmp_path / "ravdess")
    code, out, err = run(capsys, "data", "manifest", "ravdess", "deep/m.csv", "--set", f"dataset.root={root}")
    assert (code, err) == (0, "deep/m.csv: written; the same recipe on it:\n")
    (tmp_path / "mine.toml").write_text(out)
    recordings = read_recipe("mine.toml").load_recordings()
    original = read_recipe("ravdess", [f"dataset.root={root}"]).load_recordings()
    assert len(original.utterances) > 300
    assert [(u.label, u.split, u.speaker) for u in recordings.utterances] == [
        (u.label, u.split, u.speaker) for u in original.utterances
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synthetic", "m.csv"], "synthetic"),
        (["ravdess", "m.xls", "--set", "dataset.root=ravdess"], "m.xls"),
        (["manifest", "m.csv"], "manifest.csv"),
    ],
)
def test_what_cannot_be_written_as_a_manifest_is_explained(words, message, capsys, tmp_path: Path) -> None:
    write_ravdess(tmp_path / "ravdess")
    code, _, err = run(capsys, "data", "manifest", *words)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")
    assert not list(tmp_path.glob("m.*"))


# --- data prepare of a manifest


def prepare(capsys, *keys: str) -> tuple[int, str, str]:
    keys = ("dataset.file=clips.csv", "features.cache_folder=cache", "features.extractors={audio='logmel'}", *keys)
    sets = [word for key in keys for word in ("--set", key)]
    return run(capsys, "data", "prepare", "manifest", "--out", "store", "--processes", "1", *sets)


def clips(tmp_path: Path, n_bad: int = 0) -> None:
    rows = []
    for k in range(4 + n_bad):
        name = f"c{k}.wav"
        if k < 4:
            tone(tmp_path / name, 0.3, 200 + 50 * k)
        else:
            bad(tmp_path / name)
        split = "validation" if k == 2 else "test" if k == 3 else "train"
        rows.append(
            {"id": f"c{k}", "audio": name, "label": ("anger", "joy")[k % 2], "speaker": f"s{k}", "split": split}
        )
    write_csv(tmp_path / "clips.csv", rows)


def test_a_manifest_is_prepared_once_and_again_when_something_changes(capsys, tmp_path: Path) -> None:
    clips(tmp_path)
    code, out, err = prepare(capsys)
    assert code == 0
    assert err.startswith("4 utterances: the store takes at most 69.6 KB, the cache about ")
    assert err.count("\n") == 1
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("train speakers")] == ["2"]
    place = tmp_path / "store"
    assert out.splitlines()[-1] == f"{place}: the feature store is ready"
    digest = open_store(place).digest
    code, again, err = prepare(capsys)
    assert (code, err) == (0, "")
    assert again.splitlines() == [*out.splitlines()[:-1], f"{place}: the feature store was up to date"]
    tone(tmp_path / "c1.wav", 0.3, 1000)
    code, out, _ = prepare(capsys)
    assert (code, out.splitlines()[-1]) == (0, f"{place}: the feature store is ready")
    changed = open_store(place, verify=True).digest
    assert changed != digest
    code, out, _ = prepare(capsys, "features.frames=5")
    assert (code, out.splitlines()[-1]) == (0, f"{place}: the feature store is ready")
    assert set(np.diff(open_store(place).sequences["audio"].offsets)) == {5}
    assert prepare(capsys)[0] == 0
    assert open_store(place).digest == changed
    rows = (tmp_path / "clips.csv").read_text().replace("c0,c0.wav,anger", "c0,c0.wav,joy")
    (tmp_path / "clips.csv").write_text(rows.replace("c1,c1.wav,joy", "c1,c1.wav,anger"))
    code, out, _ = prepare(capsys)
    assert (code, out.splitlines()[-1]) == (0, f"{place}: the feature store is ready")
    assert open_store(place).utterances[0].label == "joy"


def test_no_more_than_twenty_error_rows_are_printed_and_all_are_kept(capsys, tmp_path: Path) -> None:
    clips(tmp_path, n_bad=23)
    code, out, err = prepare(capsys)
    assert code == 0
    assert err.count("error row: ") == 20
    assert "error row: c4 (audio): " in err
    assert err.splitlines()[-1] == f"3 more error rows are in {tmp_path / 'store' / 'preparation.json'}"
    assert [int(line.split()[-1]) for line in out.splitlines() if line.startswith("errors (")] == [23]
    assert len(json.loads((tmp_path / "store" / "preparation.json").read_text())["errors"]) == 23
    assert len(open_store(tmp_path / "store").utterances) == 4


def test_a_file_of_a_manifest_that_is_not_there_is_refused_or_a_row(capsys, tmp_path: Path) -> None:
    clips(tmp_path)
    (tmp_path / "c1.wav").unlink()
    code, _, err = prepare(capsys)
    assert code == 1
    assert "audio 'c1.wav' is not there" in err
    assert not (tmp_path / "store").exists()
    tone(tmp_path / "c4.wav", 0.3)
    with (tmp_path / "clips.csv").open("a") as file:
        file.write("c4,c4.wav,joy,s4,train\n")
    code, _, err = prepare(capsys, "dataset.missing_files=keep")
    assert code == 0
    assert "error row: c1 (audio): " in err
    assert {u.id for u in open_store(tmp_path / "store").utterances} == {"c0", "c2", "c3", "c4"}


def test_extractors_are_listed(capsys) -> None:
    code, out, _ = run(capsys, "list", "extractors")
    assert code == 0
    assert {"logmel", "prosody", "egemaps", "face", "hashed", "glove", "tokens"} <= {
        line.split()[0] for line in out.splitlines()
    }
