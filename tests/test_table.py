"""The table of features: anyone's arrays become a corpus; what cannot be used is named by row, file and modality."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave.datasets import table
from emotiwave.datasets.splits import check_leakage
from emotiwave.datasets.table import TableSettings
from emotiwave.errors import DatasetError
from emotiwave.features.store import open_store, write_store
from emotiwave.types import Corpus, LabelSet, Segment
from tests.made_corpora import write_csv


def load(path: Path, **keys) -> Corpus:
    classes = {} if "ranges" in keys else {"labels": ("x", "y")}
    return table.load(TableSettings(file=path, **classes, **keys))


def save(path: Path, values, **arrays) -> str:
    """An array as .npy, or several as .npz; gives the name of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        np.savez(path, **({"values": values} if values is not None else {}) | arrays)
    return path.name


def rows(n: int, **columns: list) -> list[dict]:
    """Train rows of two classes by turns."""
    made = [{"id": f"u{k}", "label": "xy"[k % 2], "split": "train"} for k in range(n)]
    return [row | {name: values[k] for name, values in columns.items()} for k, row in enumerate(made)]


class TestFilePerRow:
    def test_vectors_frames_and_missing_modalities(self, tmp_path):
        vector, frames, times = np.arange(3.0), np.ones((4, 2)), [[0, 1], [1, 2], [2, 2.5], [2.5, 9]]
        audio = [save(tmp_path / "a.npy", vector), "", save(tmp_path / "c.npz", None, features=vector + 1)]
        vision = [save(tmp_path / "v.npz", frames, intervals=times), save(tmp_path / "w.npy", frames[:1]), ""]
        path = write_csv(tmp_path / "t.csv", rows(3, audio=audio, vision=vision, said=["hello", "", ""]))
        corpus = load(path, licence="mine", language="en")
        assert corpus.modalities == ("audio", "vision")
        assert corpus.sizes == {"audio": 3, "vision": 2}
        assert corpus.sequences["audio"].ids == ("u0", "u2")
        np.testing.assert_array_equal(corpus.sequences["audio"]["u2"].values, [[1, 2, 3]])
        assert np.isnan(corpus.sequences["audio"]["u0"].intervals).all()
        np.testing.assert_array_equal(corpus.sequences["vision"]["u0"].intervals, times)
        assert [corpus.sequences["vision"].n_frames(name) for name in ("u0", "u1", "u2")] == [4, 1, 0]
        assert corpus.label_set == LabelSet("categorical", ("x", "y"))
        first = corpus.utterances[0]
        assert (first.transcript, first.language, first.split, corpus.licence) == ("hello", "en", "train", "mine")

    def test_columns_can_be_called_anything(self, tmp_path):
        names = [save(tmp_path / "feats" / f"{k}.npy", np.ones(2)) for k in range(2)]
        path = write_csv(tmp_path / "t.csv", rows(2, egemaps=names))
        corpus = load(path, root=tmp_path / "feats", modalities={"audio": "egemaps"})
        assert corpus.sizes == {"audio": 2}

    def test_frames_that_are_not_finite_are_left_out_and_counted(self, tmp_path):
        values = np.ones((4, 2))
        values[1, 0], values[2, 1] = np.nan, np.inf
        names = [
            save(tmp_path / "a.npz", values, intervals=np.array([[0, 1], [1, 2], [2, 3], [3, 4]])),
            save(tmp_path / "b.npy", np.full(2, np.nan)),
            save(tmp_path / "c.npy", np.array([1.0, 1e300])),  # more than float32 can hold
            save(tmp_path / "d.npy", np.ones(2)),
        ]
        corpus = load(write_csv(tmp_path / "t.csv", rows(4, audio=names)))
        assert [utterance.id for utterance in corpus.utterances] == ["u0", "u3"]
        np.testing.assert_array_equal(corpus.sequences["audio"]["u0"].intervals, [[0, 1], [3, 4]])
        assert corpus.counts["audio frames that are not finite, left out"] == 4
        assert corpus.counts["utterances without any feature, left out"] == 2

    def test_integers_and_half_precision_are_numbers(self, tmp_path):
        names = [save(tmp_path / "a.npy", np.array([1, 2])), save(tmp_path / "b.npy", np.array([1, 2], np.float16))]
        corpus = load(write_csv(tmp_path / "t.csv", rows(2, audio=names)))
        np.testing.assert_array_equal(corpus.sequences["audio"].values, [[1, 2], [1, 2]])

    def test_segments_and_continuous_labels(self, tmp_path):
        name = save(tmp_path / "a.npy", np.ones(2))
        given = [
            {"id": k, "audio": name, "valence": v, "start": 1, "end": 2.5, "recording": "talk", "split": "train"}
            for k, v in (("a", -0.5), ("b", 1))
        ]
        corpus = load(write_csv(tmp_path / "t.csv", given), task="continuous", ranges={"valence": (-1.0, 1.0)})
        np.testing.assert_array_equal(corpus.targets, [[-0.5], [1]])
        assert corpus.utterances[0].segment == Segment("talk", 1, 2.5)

    def test_without_splits_speakers_are_kept_together(self, tmp_path):
        name = [save(tmp_path / f"{k}.npy", np.ones(2)) for k in range(12)]
        given = [{"audio": name[k], "label": "xy"[k % 2], "speaker": k // 3} for k in range(12)]
        corpus = load(write_csv(tmp_path / "t.csv", given), validation_share=0.25, test_share=0.25)
        check_leakage(corpus.utterances, corpus="table")
        assert Counter(u.split for u in corpus.utterances) == {"train": 6, "validation": 3, "test": 3}

    def test_a_file_in_two_splits_is_refused(self, tmp_path):
        given = rows(2, audio=[save(tmp_path / "a.npy", np.ones(2))] * 2)
        given[1]["split"] = "test"
        with pytest.raises(DatasetError, match=r"line 3: .*a\.npy is in two splits: 'test' here and 'train' on line 2"):
            load(write_csv(tmp_path / "t.csv", given))

    def test_a_store_keeps_it(self, tmp_path):
        names = [save(tmp_path / f"{k}.npy", np.full((2, 2), k)) for k in range(3)]
        corpus = load(write_csv(tmp_path / "t.csv", rows(3, audio=names)))
        assert open_store(write_store(corpus, tmp_path / "store"), verify=True).digest == corpus.digest


BAD_FILES = {
    "missing": (lambda path: None, r"bad\.npy is not there"),
    "empty": (lambda path: path.write_bytes(b""), "truncated or damaged"),
    "text": (lambda path: path.write_text("1,2,3"), "truncated or damaged"),
    "objects": (lambda path: np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True), "damaged"),
    "strings": (lambda path: np.save(path, np.array(["a", "b"])), r"values are of type <U1; expected numbers"),
    "complex": (lambda path: np.save(path, np.ones(2, complex)), "values are of type complex128"),
    "scalar": (
        lambda path: np.save(path, np.float64(1)),
        r"shape \(\); expected \(features,\) or \(frames, features\)",
    ),
    "cube": (lambda path: np.save(path, np.ones((2, 2, 2))), r"shape \(2, 2, 2\); expected"),
    "no_features": (lambda path: np.save(path, np.ones((3, 0))), r"shape \(3, 0\)|truncated or damaged"),
    "other_size": (lambda path: np.save(path, np.ones(5)), "has 5 features; expected 2 as in the rows before"),
}
BAD_ARCHIVES = {
    "other_names": ({"x": np.ones(2), "y": np.ones(2)}, "holds x, y; expected values or features"),
    "intervals": (
        {"values": np.ones((2, 2)), "intervals": np.ones(2)},
        r"intervals of shape \(2,\); expected \(2, 2\)",
    ),
    "backwards": ({"values": np.ones((2, 2)), "intervals": np.array([[1, 2], [0, 1]])}, "that do not run forwards"),
    "no_time": ({"values": np.ones((1, 2)), "intervals": np.array([[1, 1]])}, "that do not run forwards"),
    "nan_time": ({"values": np.ones((1, 2)), "intervals": np.array([[np.nan, 1]])}, "that do not run forwards"),
    "words": ({"values": np.ones((1, 2)), "intervals": np.array([["a", "b"]])}, "intervals are of type"),
}


class TestBadFiles:
    @pytest.mark.parametrize("name", BAD_FILES)
    def test_a_bad_array_is_named(self, tmp_path, name):
        make, message = BAD_FILES[name]
        make(tmp_path / "bad.npy")
        path = write_csv(tmp_path / "t.csv", rows(2, audio=[save(tmp_path / "good.npy", np.ones(2)), "bad.npy"]))
        with pytest.raises(DatasetError, match=rf"t\.csv, line 3: audio: .*({message})") as error:
            load(path)
        assert "bad.npy" in str(error.value)

    @pytest.mark.parametrize("name", BAD_ARCHIVES)
    def test_a_bad_archive_is_named(self, tmp_path, name):
        arrays, message = BAD_ARCHIVES[name]
        np.savez(tmp_path / "bad.npz", **arrays)
        path = write_csv(tmp_path / "t.csv", rows(2, audio=["bad.npz", "bad.npz"]))
        with pytest.raises(DatasetError, match=rf"t\.csv, line 2: audio: .*bad\.npz.*{message}"):
            load(path)

    def test_another_suffix_is_refused(self, tmp_path):
        (tmp_path / "a.wav").write_bytes(b"RIFF")
        path = write_csv(tmp_path / "t.csv", rows(2, audio=["a.wav", "a.wav"]))
        with pytest.raises(DatasetError, match=r"a\.wav: expected an \.npy or \.npz file"):
            load(path)

    def test_columns_at_odds_are_named(self, tmp_path):
        path = write_csv(tmp_path / "t.csv", rows(2, audio=["", ""]))
        with pytest.raises(DatasetError, match="no row names a file in column 'audio'; leave audio out"):
            load(path)
        with pytest.raises(DatasetError, match="unknown column 'vison'; did you mean 'vision'"):
            load(write_csv(tmp_path / "u.csv", rows(2, vision=["", ""])), modalities={"vision": "vison"})
        with pytest.raises(DatasetError, match="modality 'audio' is in modalities and in files"):
            load(path, modalities={"audio": "audio"}, files={"audio": "a.npy"})
        path = write_csv(tmp_path / "t.csv", rows(2))
        with pytest.raises(DatasetError, match="no column of features; expected one of text, audio, vision"):
            load(path)
        path = write_csv(tmp_path / "t.csv", rows(2, audoi=["a.npy"] * 2, text=["b.npy"] * 2))
        with pytest.raises(DatasetError, match="unknown column 'audoi'; Known: "):
            load(path, files={"audio": "a.npy"})

    def test_no_feature_at_all_is_said(self, tmp_path):
        name = save(tmp_path / "a.npy", np.full(2, np.nan))
        with pytest.raises(DatasetError, match="no row has a feature in audio"):
            load(write_csv(tmp_path / "t.csv", rows(2, audio=[name, name])))

    def test_an_id_that_occurs_twice_is_named(self, tmp_path):
        name = save(tmp_path / "a.npy", np.ones(2))
        given = rows(2, audio=[name, name])
        given[1]["id"] = "u0"
        with pytest.raises(DatasetError, match="line 3: id 'u0' is that of line 2 too"):
            load(write_csv(tmp_path / "t.csv", given))

    def test_damaged_archives_give_no_other_error(self, tmp_path):
        save(tmp_path / "good.npz", np.ones((3, 2)), intervals=np.array([[0, 1], [1, 2], [2, 3]]))
        np.save(tmp_path / "good.npy", np.ones((3, 2)))
        generator = random.Random(0)
        for suffix in (".npz", ".npy"):
            good = (tmp_path / f"good{suffix}").read_bytes()
            path = write_csv(tmp_path / "t.csv", rows(2, audio=[f"bad{suffix}"] * 2))
            for _ in range(100):
                damaged = bytearray(good)
                for _ in range(generator.randint(1, 4)):
                    damaged[generator.randrange(len(damaged))] = generator.randrange(256)
                length = generator.choice((len(damaged), generator.randrange(len(damaged))))
                (tmp_path / f"bad{suffix}").write_bytes(damaged[:length])
                try:
                    load(path)
                except DatasetError:
                    continue


class TestOneFile:
    def test_a_row_of_the_array_for_every_row_of_the_table(self, tmp_path):
        audio = np.arange(6.0).reshape(3, 2)
        audio[1] = np.nan
        save(tmp_path / "audio.npy", audio)
        save(tmp_path / "vision.npz", None, features=np.ones((3, 4)))
        path = write_csv(tmp_path / "t.csv", rows(3))
        corpus = load(path, files={"audio": "audio.npy", "vision": "vision.npz"})
        assert corpus.sizes == {"audio": 2, "vision": 4}
        assert corpus.sequences["audio"].ids == ("u0", "u2")
        np.testing.assert_array_equal(corpus.sequences["audio"]["u2"].values, [[4, 5]])

    def test_frames_that_fill_up_the_end_are_left_out(self, tmp_path):
        frames = np.zeros((2, 5, 2))
        frames[0, :3] = 1
        frames[0, 1] = 0  # a frame of zeros among others is data
        frames[1, 4] = np.nan
        save(tmp_path / "audio.npy", frames)
        save(tmp_path / "v.npy", np.ones(1))
        path = write_csv(tmp_path / "t.csv", rows(2, vision=["v.npy", "v.npy"]))
        corpus = load(path, files={"audio": "audio.npy"})
        assert [corpus.sequences["audio"].n_frames(name) for name in ("u0", "u1")] == [3, 4]
        assert corpus.modalities == ("vision", "audio")

    @pytest.mark.parametrize("shape", [(3, 2), (2,), (2, 1, 1, 1), (2, 0)])
    def test_another_shape_is_named(self, tmp_path, shape):
        save(tmp_path / "audio.npz", np.ones(shape))
        with pytest.raises(DatasetError, match=r"audio: .*audio\.npz: shape .*expected \(2, features\)"):
            load(write_csv(tmp_path / "t.csv", rows(2)), files={"audio": "audio.npz"})

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(DatasetError, match=r"audio: .*audio\.npy is not there"):
            load(write_csv(tmp_path / "t.csv", rows(2)), files={"audio": "audio.npy"})


def test_a_table_in_parquet(tmp_path):
    names = [save(tmp_path / f"{k}.npy", np.full((2, 2), k)) for k in range(3)]
    pd.DataFrame(rows(3, audio=names)).to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").digest == load(write_csv(tmp_path / "t.csv", rows(3, audio=names))).digest
