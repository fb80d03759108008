import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave.datasets.mosi import MosiSettings, load
from emotiwave.errors import DatasetError
from emotiwave.types import Corpus

# Rows as the published file has them: utterances of a video in the order of their names as text (1, 10, 2).
ROWS = [
    # utt_id, video_id, utt_index, speaker, split, polarity, sentiment, mosi_official_split, text
    ("vb_1", "vb", 1, 7, "train", 1, 2.4, "train", "GOOD"),
    ("vb_10", "vb", 10, 7, "train", 0, -1.2, "train", "NA"),
    ("vb_2", "vb", 2, 7, "train", 1, 0.0, "train", "A, B"),
    ("va_1", "va", 1, 8, "train", 0, -3.0, "valid", "BAD"),
    ("vc_1", "vc", 1, 9, "train", 1, 3.0, "train", "FINE"),
    ("vd_1", "vd", 1, 5, "test", 1, 0.6, "test", "WELL"),
    ("-ve_1", "-ve", 1, 6, "train", 0, -0.2, "test", "NO"),
]
COLUMNS = (
    "utt_id", "video_id", "utt_index", "speaker", "split", "polarity", "sentiment", "mosi_official_split", "text",
)  # fmt: skip
SIZES = {"text": 4, "audio": 3, "video": 2}


def row_values(row: int, size: int) -> list[float]:
    return [100.0 * row + feature for feature in range(size)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pd.DataFrame(ROWS, columns=pd.Index(COLUMNS)).to_csv(tmp_path / "utterances.csv", index=False)
    write_arrays(tmp_path, {})
    return tmp_path


def write_arrays(root: Path, changes: dict[str, np.ndarray | None]) -> None:
    arrays: dict[str, np.ndarray | None] = {
        name: np.array([row_values(row, size) for row in range(len(ROWS))], np.float32) for name, size in SIZES.items()
    }
    kept = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(root / "features.npz", **kept)  # pyright: ignore[reportArgumentType]


def edit(root: Path, utterance: str, column: str, value: object) -> None:
    table = pd.read_csv(root / "utterances.csv", dtype=str, keep_default_na=False)
    table.loc[table["utt_id"] == utterance, column] = str(value)
    table.to_csv(root / "utterances.csv", index=False)


def read(root: Path, **settings) -> Corpus:
    return load(MosiSettings(root=root, **settings))


def test_utterances_come_in_the_order_of_videos_and_of_their_index(root):
    assert [u.id for u in read(root).utterances] == ["-ve_1", "va_1", "vb_1", "vb_2", "vb_10", "vc_1", "vd_1"]


def test_features_follow_their_row_of_the_table(root):
    corpus = read(root)
    assert corpus.sizes == {"text": 4, "audio": 3, "vision": 2}
    for number, row in enumerate(ROWS):
        for modality, array in (("text", "text"), ("audio", "audio"), ("vision", "video")):
            features = corpus.sequences[modality][row[0]]
            assert features.values.tolist() == [row_values(number, SIZES[array])]


def test_the_time_of_the_one_frame_is_unknown(root):
    assert np.isnan(read(root).sequences["text"].intervals).all()


def test_labels_split_video_transcript_and_rating_are_kept(root):
    by_id = {u.id: u for u in read(root).utterances}
    for name, video, _, _, split, polarity, sentiment, _, text in ROWS:
        said = by_id[name]
        assert (said.dialogue, said.split, said.transcript) == (video, split, text)
        assert said.ratings == {"sentiment": sentiment}
        assert said.label == ("positive" if polarity else "negative")
    assert read(root).label_set.names == ("negative", "positive")


def test_sentiment_is_a_continuous_task_of_the_same_utterances(root):
    corpus = read(root, task="sentiment")
    assert (corpus.task, corpus.label_set.kind) == ("sentiment", "continuous")
    assert (corpus.label_set.names, corpus.label_set.ranges) == (("sentiment",), ((-3.0, 3.0),))
    by_id = {row[0]: row[6] for row in ROWS}
    assert {u.id: u.label for u in corpus.utterances} == {name: (value,) for name, value in by_id.items()}
    assert [u.id for u in corpus.utterances] == [u.id for u in read(root).utterances]


def test_the_order_of_the_rows_does_not_matter(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("shuffled")
    order = [3, 6, 0, 5, 2, 4, 1]
    pd.DataFrame([ROWS[i] for i in order], columns=pd.Index(COLUMNS)).to_csv(other / "utterances.csv", index=False)
    with np.load(root / "features.npz") as arrays:
        np.savez(other / "features.npz", **{name: arrays[name][order] for name in arrays.files})
    assert read(other).digest == read(root).digest


def test_a_validation_share_cuts_whole_videos_out_of_train(root):
    corpus = read(root, validation_share=0.5)
    splits = {video: {u.split for u in corpus.utterances if u.dialogue == video} for video in ("-ve", "va", "vb", "vc")}
    assert sorted(map(sorted, splits.values())) == [["train"], ["train"], ["validation"], ["validation"]]
    assert {u.id for u in corpus.utterances if u.split == "test"} == {"vd_1"}


def test_by_default_nothing_is_held_out(root):
    assert not read(root).has_split("validation")


def test_the_folder_is_found_through_the_environment(root, monkeypatch):
    folder = root.parent / "mosi_trimodal"
    root.rename(folder)
    monkeypatch.setenv("EMOTIWAVE_DATA", str(folder.parent))
    assert len(load(MosiSettings()).utterances) == len(ROWS)


def test_without_a_folder_the_error_says_how_to_give_one(monkeypatch):
    monkeypatch.delenv("EMOTIWAVE_DATA", raising=False)
    with pytest.raises(DatasetError, match=r"root.*EMOTIWAVE_DATA"):
        load(MosiSettings())


@pytest.mark.parametrize("file", ["utterances.csv", "features.npz"])
def test_a_missing_file_is_named(root, file):
    (root / file).unlink()
    with pytest.raises(DatasetError, match=file):
        read(root)


@pytest.mark.parametrize("file", ["utterances.csv", "features.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe nothing of ours"], ids=["empty", "garbage"])
def test_a_file_that_is_something_else_is_named(root, file, content):
    (root / file).write_bytes(content)
    with pytest.raises(DatasetError, match=file):
        read(root)


def test_an_archive_that_was_cut_off_is_named(root):
    path = root / "features.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"features\.npz"):
        read(root)


def test_an_archive_with_a_flipped_bit_is_named(root):
    path = root / "features.npz"
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(601).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"features\.npz"):
        read(root)


@pytest.mark.parametrize("column", ["utt_id", "video_id", "utt_index", "split", "polarity", "sentiment", "text"])
def test_a_missing_column_is_named(root, column):
    pd.read_csv(root / "utterances.csv").drop(columns=column).to_csv(root / "utterances.csv", index=False)
    with pytest.raises(DatasetError, match=rf"utterances\.csv lacks column '{column}'"):
        read(root)


@pytest.mark.parametrize("array", ["text", "audio", "video"])
def test_a_missing_array_is_named(root, array):
    write_arrays(root, {array: None})
    with pytest.raises(DatasetError, match=rf"features\.npz lacks the array.*{array}"):
        read(root)


@pytest.mark.parametrize("shape", [(6, 3), (8, 3), (7,), (7, 1, 3)])
def test_an_array_without_a_row_per_utterance_is_named_with_both_counts(root, shape):
    write_arrays(root, {"video": np.zeros(shape, np.float32)})
    with pytest.raises(DatasetError, match=rf"'video' has shape \({shape[0]},.*expected \(7, features\)"):
        read(root)


@pytest.mark.parametrize("value", [2, -1, 0.5])
def test_a_polarity_that_is_neither_0_nor_1_names_the_row(root, value):
    edit(root, "va_1", "polarity", value)
    with pytest.raises(DatasetError, match=r"utterances\.csv: va_1: polarity .*expected 0 or 1"):
        read(root)


@pytest.mark.parametrize("value", ["", "?"])
@pytest.mark.parametrize("column", ["polarity", "sentiment", "utt_index"])
def test_a_cell_that_is_no_number_names_the_row(root, column, value):
    edit(root, "vc_1", column, value)
    with pytest.raises(DatasetError, match="vc_1"):
        read(root)


def test_an_utterance_twice_is_named(root):
    edit(root, "vc_1", "utt_id", "vd_1")
    with pytest.raises(DatasetError, match="'vd_1'"):
        read(root)


def test_a_video_in_two_splits_is_named(root):
    edit(root, "vb_10", "split", "test")
    with pytest.raises(DatasetError, match=r"dialogue 'vb'.*'vb_1' in 'train' and 'vb_10' in 'test'"):
        read(root)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_arrays_of_objects_are_refused_and_never_unpickled(root):
    proof = root / "went-off"
    write_arrays(root, {"audio": np.array([[Bomb(proof)]] * 7, dtype=object)})
    with pytest.raises(DatasetError, match=r"features\.npz"):
        read(root)
    assert not proof.exists()


# --- the published files

REAL = Path(os.environ.get("EMOTIWAVE_DATA", "")) / "mosi_trimodal"


@pytest.fixture(scope="module")
def mosi() -> Corpus:
    if "EMOTIWAVE_DATA" not in os.environ:
        pytest.skip("EMOTIWAVE_DATA is not set: the published MOSI features are not here")
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not here")
    return load(MosiSettings())


@pytest.mark.parametrize(
    ("split", "n_utterances", "n_videos", "positive"), [("train", 1447, 62, 49.0), ("test", 752, 31, 62.1)]
)
def test_the_published_features_have_the_published_counts(mosi, split, n_utterances, n_videos, positive):
    rows = mosi.indices(split)
    assert len(rows) == n_utterances
    assert len({mosi.utterances[i].dialogue for i in rows}) == n_videos
    assert round(100 * float(mosi.targets[rows, 1].mean()), 1) == positive


def test_the_published_features_have_the_published_sizes(mosi):
    assert mosi.sizes == {"text": 100, "audio": 73, "vision": 100}
    assert all(np.isfinite(sequence.values).all() for sequence in mosi.sequences.values())


def test_the_published_polarity_is_the_sign_of_the_sentiment(mosi):
    assert all((u.label == "positive") == (u.ratings["sentiment"] >= 0) for u in mosi.utterances)
