import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotiwave.datasets import fer2013, image_folder, roots
from emotiwave.datasets.class_folders import Picture, hold_out
from emotiwave.datasets.fer2013 import Fer2013Settings
from emotiwave.datasets.fer2013_table import CLASSES
from emotiwave.datasets.image_folder import ImageFolderSettings
from emotiwave.datasets.roots import files_below
from emotiwave.errors import DatasetError, DataWarning
from emotiwave.labels import SEVEN
from emotiwave.recordings import MediaRecordings


def picture(path: Path, grey: int | None = None) -> Path:
    """Write an even picture; without ``grey`` it is another one for each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = hashlib.sha256(os.fsencode(path)).digest()[:16] if grey is None else bytes([grey] * 16)
    Image.frombytes("L", (4, 4), pixels).save(path, "PNG")
    return path


def labels(recordings: MediaRecordings) -> dict[str, tuple]:
    return {utterance.id: (utterance.split, utterance.label) for utterance in recordings.utterances}


def folders(root: Path, **settings) -> MediaRecordings:
    return image_folder.load(ImageFolderSettings(root=root, **settings))


# Files below a folder


def test_files_are_found_in_order_at_any_depth_and_hidden_ones_are_not(tmp_path):
    for name in ("b/2", "b/10", "a", "b/c/d", ".hidden", ".git/a", "b/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(files_below(tmp_path)) == ["a", "b/10", "b/2", "b/c/d"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "x").mkdir(parents=True)
    (elsewhere / "x" / "f.jpg").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "x" / "back").symlink_to(root)
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "pipe.jpg")
    assert list(files_below(root)) == ["gone.jpg", "linked/x/f.jpg"]


def test_a_link_to_itself_is_a_broken_link(tmp_path):
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "there").symlink_to(tmp_path / "back")
    (tmp_path / "back").symlink_to(tmp_path / "there")
    assert list(files_below(tmp_path)) == ["back", "loop.jpg", "there"]


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(roots, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match="more than 2 files"):
        list(files_below(tmp_path))


# Any folder


def test_folders_of_splits_and_classes(tmp_path):
    for name in ("train/happy/1.jpg", "Train/x", "val/sad/2.JPG", "test/Anger/person/3.png", "test/contempt/4.webp"):
        if name != "Train/x":
            picture(tmp_path / name)
    recordings = folders(tmp_path)
    assert labels(recordings) == {
        "train/happy/1.jpg": ("train", "happiness"),
        "val/sad/2.JPG": ("validation", "sadness"),
        "test/Anger/person/3.png": ("test", "anger"),
        "test/contempt/4.webp": ("test", "contempt"),
    }
    assert recordings.label_set.names == ("anger", "happiness", "sadness", "contempt")
    assert recordings.counts["folders whose class has another name"] == (
        "Anger is anger, happy is happiness, sad is sadness"
    )
    source = recordings.sources["val/sad/2.JPG"]
    assert source.image == tmp_path / "val/sad/2.JPG"
    assert not source.is_face
    assert folders(tmp_path, is_face=True).sources["val/sad/2.JPG"].is_face


def test_what_is_no_picture_of_a_class_is_counted(tmp_path):
    for name in ("train/a/1.jpg", "train/b/2.jpg", "train/stray.jpg", "stray.jpg", "train/a/.hidden.jpg"):
        picture(tmp_path / name)
    for name in ("train/a/notes.txt", "train/a/Thumbs.db", "train/a/jpg", "train/a/.DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "train" / "a" / "folder.jpg").mkdir()
    recordings = folders(tmp_path, test_share=0, validation_share=0)
    assert list(labels(recordings)) == ["train/a/1.jpg", "train/b/2.jpg"]
    assert recordings.counts["files that are no pictures, passed over"] == 3
    assert recordings.counts["pictures in no folder of a class, left out"] == 2
    assert recordings.label_set.names == ("a", "b")


def test_without_splits_shares_of_every_class_are_held_out(tmp_path):
    for name, n in (("anger", 20), ("fear", 10), ("rare", 2), ("single", 1)):
        for k in range(n):
            picture(tmp_path / name / f"{k}.png")
    recordings = folders(tmp_path, test_share=0.2, validation_share=0.25)
    found = Counter((u.label, u.split) for u in recordings.utterances)
    # anger: 4 of 20, then 4 of 16; fear: 2 of 10, then 2 of 8; rare: 1 of 2, then none of the last
    assert found == {
        ("anger", "test"): 4,
        ("anger", "validation"): 4,
        ("anger", "train"): 12,
        ("fear", "test"): 2,
        ("fear", "validation"): 2,
        ("fear", "train"): 6,
        ("rare", "test"): 1,
        ("rare", "train"): 1,
        ("single", "train"): 1,
    }
    assert labels(recordings) == labels(folders(tmp_path, test_share=0.2, validation_share=0.25))
    assert labels(recordings) != labels(folders(tmp_path, test_share=0.2, validation_share=0.25, split_seed=1))
    assert recordings.counts["test pictures"] == 7
    assert recordings.counts["test pictures drawn from train"] == "7, seed 0"


def test_a_draw_depends_on_the_split_and_touches_train_only():
    pictures = [Picture(Path(str(k)), str(k), "train" if k < 50 else "test", "a") for k in range(60)]
    drawn = [{p.name for p in hold_out(pictures, s, 0.5, 0, {}) if p.split == s} for s in ("validation", "other")]
    assert len(drawn[0]) == len(drawn[1]) == 25
    assert drawn[0] != drawn[1]
    assert all(int(name) < 50 for name in drawn[0])


def test_copies_are_drawn_into_a_split_together_and_count_as_one(tmp_path):
    for label in ("anger", "fear"):
        for k in range(40):
            picture(tmp_path / label / f"{k}.png", k // 4)  # ten pictures, of four copies each
    picture(tmp_path / "fear" / "alone.png", 99)
    recordings = folders(tmp_path, test_share=0.3, validation_share=0.3)
    splits: dict[int, set[str]] = {}
    for utterance in recordings.utterances:
        if "alone" not in utterance.id:
            splits.setdefault(int(Path(utterance.id).stem) // 4, set()).add(utterance.split)
    assert all(len(found) == 1 for found in splits.values())
    # both classes hold the same ten, counted with anger: 3 of 10, then 2 of 7, with eight files each
    assert Counter(u.split for u in recordings.utterances) == {"test": 24, "validation": 16, "train": 41}
    assert recordings.counts["pictures that occur several times"] == 10
    assert recordings.counts["pictures that occur with several labels"] == 10
    assert recordings.counts["test pictures that are also in train"] == 0


def test_copies_across_given_splits_are_counted(tmp_path):
    for name, grey in (("train/a/1.png", 1), ("test/a/2.png", 1), ("val/b/3.png", 1), ("test/b/4.png", 2)):
        picture(tmp_path / name, grey)
    counts = folders(tmp_path).counts
    assert counts["test pictures that are also in train"] == 1
    assert counts["validation pictures that are also in train"] == 1
    assert counts["validation pictures that are also in test"] == 1
    assert counts["pictures that occur with several labels"] == 1


def test_a_missing_validation_folder_is_cut_from_train_and_test_is_left_alone(tmp_path):
    for split, n in (("train", 10), ("test", 4)):
        for k in range(n):
            picture(tmp_path / split / "abc"[k % 2] / f"{k}.png")
    found = Counter(u.split for u in folders(tmp_path, validation_share=0.2).utterances)
    assert found == {"train": 8, "validation": 2, "test": 4}  # one of five, of each of two classes
    assert Counter(u.split for u in folders(tmp_path, validation_share=0).utterances) == {"train": 10, "test": 4}


def test_classes_are_mapped_and_typos_named(tmp_path):
    for name in ("glad", "joyful", "blue", "angry"):
        picture(tmp_path / "train" / name / "1.png")
    given = {"glad": "happiness", "joyful": "happiness", "blue": "sadness"}
    assert [u.label for u in folders(tmp_path, classes=given, test_share=0, validation_share=0).utterances] == [
        "anger",
        "sadness",
        "happiness",
        "happiness",
    ]
    with pytest.raises(DatasetError, match=r"unknown class folder 'joyfull'; did you mean 'joyful'\?"):
        folders(tmp_path, classes={"joyfull": "happiness"})
    with pytest.raises(DatasetError, match=r"'blue': unknown class 'sadnes'; did you mean 'sadness'\?"):
        folders(tmp_path, classes={"blue": "sadnes"}, task="seven")
    with pytest.warns(DataWarning, match="'blue' is called 'sadnes'; is 'sadness' meant"):
        folders(tmp_path, classes={"blue": "sadnes"})


def test_seven_leaves_out_what_is_none_of_them_and_counts_it(tmp_path):
    for k, name in enumerate(("happy", "contempt", "contempt", "neutral")):
        picture(tmp_path / "train" / name / f"{k}.png")
    recordings = folders(tmp_path, task="seven", test_share=0, validation_share=0)
    assert [u.label for u in recordings.utterances] == ["happiness", "neutral"]
    assert recordings.label_set.names == SEVEN
    assert recordings.counts["pictures of contempt, which is none of the seven, left out"] == 2


def test_a_name_that_is_no_text_is_still_an_id(tmp_path):
    folder = os.fsencode(tmp_path / "train" / "a")
    picture(tmp_path / "train" / "a" / "-1 ü.png")
    picture(tmp_path / "train" / "b" / "2.png")
    try:
        Path(os.fsdecode(folder + b"/\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes text only")
    recordings = folders(tmp_path, test_share=0, validation_share=0)
    assert list(labels(recordings)) == ["train/a/-1 ü.png", r"train/a/\udcff.png", "train/b/2.png"]
    image = recordings.sources[r"train/a/\udcff.png"].image
    assert image is not None
    assert image.exists()


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ((), r"no picture in a folder of a class; expected SPLIT/CLASS"),
        (("1.png", "train/2.png"), "no picture in a folder of a class"),
        (("train/a/1.png", "b/2.png"), "'train' is named like a split and 'b' is not"),
        (("train/a/1.png",), "pictures of a only; expected two classes"),
    ],
)
def test_other_folders_are_refused(tmp_path, files, match):
    for name in files:
        picture(tmp_path / name)
    with pytest.raises(DatasetError, match=match):
        folders(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        DatasetError, match=r"image_folder: .*none is no folder; expected one that holds train/happiness"
    ):
        folders(tmp_path / "none")


# RAF-DB

RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""Of the classes 1 to 7, as the authors number them."""


@pytest.mark.parametrize("below", ["", "DATASET"])
def test_rafdb_in_numbered_folders(tmp_path, below):
    for split in ("train", "test"):
        for number in range(1, 8):
            picture(tmp_path / below / split / str(number) / f"{split}_0000{number}_aligned.jpg")
    (tmp_path / below / "train_labels.csv").touch()
    recordings = folders(tmp_path, layout="rafdb", validation_share=0)
    found = [u.label for u in recordings.utterances if u.split == "train"]
    assert tuple(found) == RAFDB
    assert recordings.label_set.names == SEVEN
    assert all(source.is_face for source in recordings.sources.values())
    assert "RAF-DB" in recordings.licence
    assert folders(tmp_path, layout="rafdb", task="seven", validation_share=0).utterances == recordings.utterances


def write_list(root: Path, lines: list[str]) -> Path:
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel" / "list_patition_label.txt").write_text("\r\n".join(lines) + "\n")
    return root


def test_rafdb_as_a_list_of_labels(tmp_path):
    lines = ["train_00001.jpg 5", "train_00002.jpg 1", "test_0001.jpg 7", "test_0002.jpg 4"]
    write_list(tmp_path, lines)
    for name in ("train_00001", "train_00002", "test_0001"):
        picture(tmp_path / "Image" / "aligned" / f"{name}_aligned.jpg")
    recordings = folders(tmp_path, layout="rafdb", validation_share=0)
    assert labels(recordings) == {
        "train_00001_aligned.jpg": ("train", "sadness"),
        "train_00002_aligned.jpg": ("train", "surprise"),
        "test_0001_aligned.jpg": ("test", "neutral"),
        "test_0002_aligned.jpg": ("test", "happiness"),
    }
    assert recordings.counts["pictures that are listed but not there"] == 1
    assert recordings.tables == (tmp_path / "EmoLabel" / "list_patition_label.txt",)
    assert recordings.sources["test_0001_aligned.jpg"].image == tmp_path / "Image/aligned/test_0001_aligned.jpg"


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["train_1.jpg 8"], r"line 1: 'train_1.jpg 8'; expected"),
        (["train_1.jpg 1", "dev_1.jpg 1"], "line 2"),
        (["train_/../../x.jpg 1"], "line 1"),
        (["train_1.jpg 1", "train_1.jpg 2"], "line 2: 'train_1.jpg' a second time"),
        (["train_9.jpg 1"], "holds none of the 1 faces"),
        (["\ud800"], "not UTF-8"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, lines, match):
    picture(tmp_path / "aligned" / "train_1_aligned.jpg")
    (tmp_path / "EmoLabel").mkdir()
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=match):
        folders(tmp_path, layout="rafdb")


def test_folders_of_another_set_are_no_rafdb(tmp_path):
    picture(tmp_path / "train" / "8" / "1.png")
    with pytest.raises(DatasetError, match=r"train/8 is no folder of RAF-DB; expected below"):
        folders(tmp_path, layout="rafdb")
    write_list(tmp_path, ["train_1.jpg 1"])
    with pytest.raises(DatasetError, match="no folder of aligned faces"):
        folders(tmp_path, layout="rafdb")


# FER2013


def faces(root: Path, **settings) -> MediaRecordings:
    return fer2013.load(Fer2013Settings(root=root, **settings))


@pytest.fixture
def fer_root(tmp_path: Path) -> Path:
    """Of train: one copy of test, one of validation, one within train with another label."""
    root = tmp_path / "fer2013"
    for name, grey in (
        ("train/happy/Training_1.png", 1),
        ("train/sad/Training_2.png", 2),
        ("train/angry/Training_3.png", 3),
        ("train/fear/Training_4.png", 3),
        ("train/disgust/Training_5.png", 5),
        ("validation/sad/PublicTest_6.png", 1),
        ("test/neutral/PrivateTest_7.png", 2),
        ("test/surprise/PrivateTest_8.png", 2),
        ("test/surprise/PrivateTest_9.png", 9),
    ):
        picture(root / name, grey)
    return root


def test_fer2013_from_folders(fer_root):
    recordings = faces(fer_root)
    assert labels(recordings) == {
        "test/neutral/PrivateTest_7.png": ("test", "neutral"),
        "test/surprise/PrivateTest_8.png": ("test", "surprise"),
        "test/surprise/PrivateTest_9.png": ("test", "surprise"),
        "train/angry/Training_3.png": ("train", "anger"),
        "train/disgust/Training_5.png": ("train", "disgust"),
        "train/fear/Training_4.png": ("train", "fear"),
        "train/happy/Training_1.png": ("train", "happiness"),
        "train/sad/Training_2.png": ("train", "sadness"),
        "validation/sad/PublicTest_6.png": ("validation", "sadness"),
    }
    assert recordings.label_set.names == SEVEN
    assert all(source.is_face for source in recordings.sources.values())
    assert recordings.signals == ("vision",)
    assert recordings.counts == {
        "pictures that occur several times": 3,
        "pictures that occur with several labels": 3,
        "validation pictures that are also in train": 1,
        "test pictures that are also in train": 2,
        "validation pictures that are also in test": 0,
        "train pictures": 5,
        "validation pictures": 1,
        "test pictures": 3,
    }


def test_copies_between_validation_and_test_are_counted(fer_root):
    picture(fer_root / "validation" / "fear" / "PublicTest_10.png", 9)
    assert faces(fer_root).counts["validation pictures that are also in test"] == 1


def test_copies_are_dropped_from_train_if_asked_for(fer_root):
    recordings = faces(fer_root, duplicates="drop_from_train")
    assert [u.id for u in recordings.utterances if u.split == "train"] == [
        "train/angry/Training_3.png",
        "train/disgust/Training_5.png",
        "train/fear/Training_4.png",
    ]
    assert recordings.counts["train pictures that are also in another split, left out"] == 2
    assert recordings.counts["test pictures"] == 3


def test_public_and_private_test_in_one_folder_are_told_apart_by_their_names(fer_root):
    (fer_root / "validation" / "sad" / "PublicTest_6.png").rename(fer_root / "test" / "PublicTest_6.png")
    (fer_root / "test" / "sad").mkdir()
    (fer_root / "test" / "PublicTest_6.png").rename(fer_root / "test" / "sad" / "PublicTest_6.png")
    recordings = faces(fer_root)
    assert labels(recordings)["test/sad/PublicTest_6.png"] == ("validation", "sadness")
    assert recordings.counts["pictures of validation in the folder of test, taken as what their names say"] == 1


def test_a_picture_that_is_not_there_stays_for_the_report_of_extraction(fer_root):
    (fer_root / "train" / "sad" / "Training_0.jpg").symlink_to(fer_root / "nowhere.jpg")
    assert "train/sad/Training_0.jpg" in labels(faces(fer_root))


def test_other_folders_are_no_fer2013(tmp_path):
    picture(tmp_path / "train" / "hapy" / "1.png")
    with pytest.raises(DatasetError, match=r"unknown class 'hapy'; did you mean 'happy'\?"):
        faces(tmp_path)
    other = picture(tmp_path / "other" / "happy" / "1.png").parents[1]
    with pytest.raises(DatasetError, match=r"holds neither train nor fer2013.csv nor .*; expected train/angry"):
        faces(other)
    (other / "train").mkdir()
    with pytest.raises(DatasetError, match="other/happy is in no folder of a split"):
        faces(other)
    with pytest.raises(DatasetError, match=r'no folder given; set \[dataset\] root = ".../fer2013"'):
        fer2013.load(Fer2013Settings(root=None))


# The Kaggle table


def pixels_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 48))


def write_table(path: Path, rows: list[tuple], header: str = "emotion,pixels,Usage") -> Path:
    """Rows of emotion, pixels and usage, in the order of the header."""
    order = [("emotion", "pixels", "usage").index(name.strip().lower()) for name in header.split(",")]
    lines = [",".join(str(row[k]) for k in order) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def row(emotion: int, seed: int, usage: str) -> tuple:
    return emotion, " ".join(map(str, pixels_of(seed).ravel())), usage


@pytest.mark.parametrize(
    ("name", "header"), [("fer2013.csv", "emotion,pixels,Usage"), ("icml_face_data.csv", "emotion, Usage, pixels")]
)
def test_pixels_of_the_table_become_pictures(tmp_path, name, header):
    rows = [row(0, 1, "Training"), row(3, 2, "PublicTest"), row(6, 3, "PrivateTest"), row(1, 1, "PrivateTest")]
    table = write_table(tmp_path / name, rows, header)
    recordings = faces(tmp_path, unpacked=tmp_path / "unpacked")
    assert labels(recordings) == {
        "train/angry/00001.png": ("train", "anger"),
        "validation/happy/00002.png": ("validation", "happiness"),
        "test/neutral/00003.png": ("test", "neutral"),
        "test/disgust/00004.png": ("test", "disgust"),
    }
    for number, utterance in enumerate(sorted(recordings.utterances, key=lambda u: u.id[-9:]), start=1):
        with Image.open(recordings.sources[utterance.id].image) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), pixels_of({4: 1}.get(number, number)))
    assert recordings.counts["test pictures that are also in train"] == 1
    assert recordings.tables == (table,)


def test_the_numbers_of_the_table_are_those_of_the_challenge():
    assert list(CLASSES) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def test_a_table_is_unpacked_once_and_again_when_it_changes(tmp_path, monkeypatch):
    write_table(tmp_path / "fer2013.csv", [row(0, 1, "Training"), row(1, 2, "PrivateTest")])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = faces(tmp_path)
    image = first.sources["train/angry/00001.png"].image
    assert image is not None
    assert image.is_relative_to(tmp_path / "cache" / "emotiwave" / "fer2013")
    with monkeypatch.context() as patched:
        patched.setattr(fer2013, "unpack_table", None)  # not called again
        assert faces(tmp_path).sources == first.sources
    write_table(tmp_path / "fer2013.csv", [row(0, 1, "Training"), row(1, 2, "Training")])
    assert Counter(u.split for u in faces(tmp_path).utterances) == {"train": 2}


FULL = " ".join(["7"] * 2304)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (f"7,{FULL},Training", "row 2: emotion '7'; expected a number from 0 to 6"),
        (f",{FULL},Training", "row 2: emotion ''"),
        (f"0,{FULL},Test", "row 2: Usage 'Test'; expected Training, PublicTest, PrivateTest"),
        ("0,1 2 3,Training", "row 2: 3 pixels; expected 2304"),
        (f"0,{FULL} 7,Training", "row 2: 2305 pixels"),
        (f"0,{FULL[:-1]}256,Training", "row 2: pixels .*; expected numbers from 0 to 255"),
        (f"0,{FULL[:-1]}-1,Training", "row 2: pixels"),
        (f"0,{FULL[:-1]}7.5,Training", "row 2: pixels"),
        (f"0,{FULL}", "row 2 has 2 cells; expected 3"),
        (f"0,{FULL},Training,", "row 2 has 4 cells"),
        ("0," + "7 " * 200_000, "row 2 has"),
        ('"' + "7 " * 200_000, "cannot be read as a table"),
        ("0,\udcff,Training", "cannot be read as a table"),
    ],
)
def test_a_row_that_is_not_as_it_must_be_is_named_and_nothing_is_left_behind(tmp_path, line, match):
    text = f"emotion,pixels,Usage\n0,{FULL},Training\n{line}\n"
    (tmp_path / "fer2013.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError, match=match):
        faces(tmp_path, unpacked=tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_the_tables_of_the_competition_lack_the_splits(tmp_path):
    write_table(tmp_path / "fer2013.csv", [(0, FULL, "")], header="emotion,pixels")
    with pytest.raises(DatasetError, match=r"lacks column 'Usage'; expected .*official splits"):
        faces(tmp_path, unpacked=tmp_path / "unpacked")


def test_a_table_that_cannot_be_unpacked_there_is_named(tmp_path):
    write_table(tmp_path / "fer2013.csv", [(0, FULL, "Training")])
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot be unpacked into"):
        faces(tmp_path, unpacked=tmp_path / "file" / "below")


def test_fer2013_as_published():
    data = os.environ.get("EMOTIWAVE_DATA")
    if not data or not (Path(data) / "fer2013").is_dir():
        pytest.skip("EMOTIWAVE_DATA names no folder with fer2013")
    recordings = faces(Path(data) / "fer2013", duplicates="drop_from_train")
    found = Counter((u.split, u.label) for u in recordings.utterances)
    assert {split: sum(n for (of, _), n in found.items() if of == split) for split in ("validation", "test")} == {
        "validation": 3589,
        "test": 3589,
    }
    assert found["test", "disgust"] == 55
    assert found["test", "happiness"] == 879
    assert recordings.counts["pictures that occur several times"] == 1516
    assert recordings.counts["pictures that occur with several labels"] == 57
    assert recordings.counts["test pictures that are also in train"] == 288
    dropped = recordings.counts["train pictures that are also in another split, left out"]
    assert recordings.counts["train pictures"] == 28709 - int(dropped)
