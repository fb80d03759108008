"""Label pairs: who meets whom, that nothing is left over, and that every number says what it is of."""

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emotiwave import api
from emotiwave.api.runs import evaluate_with_notes
from emotiwave.cautions import cautions
from emotiwave.config import parse_recipe, read_recipe
from emotiwave.datasets import DATASETS, MediaDataset
from emotiwave.datasets.paired import LABEL_PAIRED, PairedSettings, load
from emotiwave.datasets.pairing import Item, by_place, draw_pairs, pair_up
from emotiwave.datasets.splits import check_leakage
from emotiwave.errors import ConfigError, DatasetError
from emotiwave.features.prepare import prepare
from emotiwave.features.store import open_store
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.types import Segment, Utterance
from tests.made_corpora import write_csv, write_iemocap, write_meld, write_ravdess

FACES = {
    "train": {"angry": 5, "happy": 2, "neutral": 3},
    "validation": {"angry": 1},
    "test": {"angry": 2, "happy": 1, "disgust": 1},
}
TWEETS = {
    "train": {"anger": 2, "joy": 3, "love": 4},
    "val": {"anger": 1},
    "test": {"anger": 2, "joy": 1, "fear": 2},
}


def write_faces(folder: Path, faces: Mapping[str, Mapping[str, int]] = FACES) -> Path:
    random = np.random.default_rng(0)
    for split, classes in faces.items():
        for name, n in classes.items():
            (folder / split / name).mkdir(parents=True)
            for k in range(n):
                pixels = random.integers(20, 200, (48, 48), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{k}.png")
    return folder


def write_tweets(folder: Path, tweets: Mapping[str, Mapping[str, int]] = TWEETS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, classes in tweets.items():
        lines = [f"i feel {name} {split} {k};{name}\n" for name, n in classes.items() for k in range(n)]
        (folder / f"{split}.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> dict:
    return {
        "vision": {"name": "fer2013", "root": str(write_faces(tmp_path / "faces"))},
        "text": {"name": "dair_emotion", "root": str(write_tweets(tmp_path / "tweets"))},
    }


def paired(tables: Mapping[str, object], **keys: object) -> MediaRecordings:
    return load(PairedSettings.model_validate({**tables, **keys}))


def met(recordings: MediaRecordings) -> list[tuple[str | None, str | None]]:
    """The picture and the text of every utterance."""
    found = [recordings.sources[utterance.id] for utterance in recordings.utterances]
    return [(str(sources.image) if sources.image else None, sources.text) for sources in found]


def item(name: str, label: str = "anger", **keys: object) -> Item:
    sources = {key: keys.pop(key) for key in ("audio", "image", "text", "transcript") if key in keys}
    return Item(Utterance(id=name, split="train", label=label, **keys), Sources(**(sources or {"text": name})))  # pyright: ignore[reportArgumentType]


# Who meets whom


def test_pairs_are_counted_as_by_hand(tables):
    """Train: 5 angry faces with 2 tweets, 2 happy ones with 3; 3 neutral ones alone; love is none of the seven."""
    recordings = paired(tables)
    assert recordings.name == "label-paired fer2013+dair_emotion"
    assert recordings.task == "label-paired seven"
    counts = Counter((utterance.split, utterance.label) for utterance in recordings.utterances)
    assert counts == {
        ("train", "anger"): 5,
        ("train", "happiness"): 3,
        ("train", "neutral"): 3,
        ("validation", "anger"): 1,
        ("test", "anger"): 2,
        ("test", "happiness"): 1,
        ("test", "disgust"): 1,
        ("test", "fear"): 2,
    }
    said = recordings.counts
    assert said["train anger"] == "5 pairs of 5 vision, 2 text (2 to 3 times each)"
    assert said["train happiness"] == "3 pairs of 2 vision (1 to 2 times each), 3 text"
    assert said["train neutral"] == "3 of vision alone, no text"
    assert said["test fear"] == "2 of text alone, no vision"
    assert (said["train: vision+text, pairs"], said["train: vision alone"]) == (8, 3)
    assert (said["test: vision+text, pairs"], said["test: vision alone"], said["test: text alone"]) == (3, 1, 2)
    assert said["text (dair_emotion): texts of love, which is none of the seven, left out"] == 4
    assert said["vision (fer2013): train pictures"] == 10
    assert not any("several bootstrap groups" in what for what in said)


def test_signals_of_a_pair_are_of_its_class_and_split(tables):
    recordings = paired(tables)
    folders = {"angry": "anger", "happy": "joy"}
    n_pairs = 0
    for utterance, (image, text) in zip(recordings.utterances, met(recordings), strict=True):
        of_image = None if image is None else Path(image).parts[-3:-1]
        if of_image is not None:
            assert of_image[0] == utterance.split
            assert recordings.sources[utterance.id].is_face
        if text is not None:
            assert utterance.transcript == text
            assert utterance.language == "en"
            _, _, label, split, _ = text.split()
            assert {"val": "validation"}.get(split, split) == utterance.split
        if of_image is not None and text is not None:
            assert folders[of_image[1]] == label
            n_pairs += 1
    assert n_pairs == 8 + 1 + 3
    check_leakage(recordings.utterances, corpus="paired")


def test_nothing_is_left_over_and_repeats_are_even(tables):
    images, texts = zip(*met(paired(tables)), strict=True)
    assert set(images) - {None} == {str(path) for path in Path(tables["vision"]["root"]).rglob("*.png")}
    assert len(set(texts) - {None}) == sum(n for of in TWEETS.values() for name, n in of.items() if name != "love")
    angry = Counter(text for text in texts if text and text.startswith("i feel anger train"))
    assert sorted(angry.values()) == [2, 3]
    happy = Counter(image for image in images if image and "train/happy" in image)
    assert sorted(happy.values()) == [1, 2]


@pytest.mark.parametrize("sizes", [(7, 3), (3, 7), (5, 5), (1, 6), (12, 4)])
def test_each_is_in_as_many_pairs_as_any_other_or_one_more(sizes: tuple[int, int]):
    items = {name: [item(f"{name}{k}") for k in range(n)] for name, n in zip(("vision", "text"), sizes, strict=True)}
    pairs = list(draw_pairs(items, ("train", "anger"), seed=3))
    assert len(pairs) == max(sizes)
    for (name, of), n in zip(items.items(), sizes, strict=True):
        used = Counter(pair[name].utterance.id for pair in pairs)
        assert used.keys() == {one.utterance.id for one in of}
        assert set(used.values()) <= {max(sizes) // n, -(-max(sizes) // n)}


def test_every_split_and_class_has_a_draw_of_its_own():
    """Drawn alike, the k-th face of one class would meet the text of the same number as in any other class."""
    items = {name: [item(f"{name}{k}") for k in range(12)] for name in ("vision", "text")}
    places = [("train", "anger"), ("train", "fear"), ("test", "anger")]
    drawn = [
        frozenset((pair["vision"].utterance.id, pair["text"].utterance.id) for pair in draw_pairs(items, place, seed=0))
        for place in places
    ]
    assert len(set(drawn)) == 3
    assert all(len(first & second) < 6 for first, second in combinations(drawn, 2))  # one is to be expected


def test_every_pair_is_equally_likely():
    """Over 400 seeds each of 3 x 2 pairs occurs 400 / 2 times, give or take five standard deviations of ten."""
    items = {"vision": [item(f"v{k}") for k in range(3)], "text": [item(f"t{k}") for k in range(2)]}
    drawn: Counter[tuple[str, str]] = Counter()
    for seed in range(400):
        for pair in draw_pairs(items, ("train", "anger"), seed):
            drawn[pair["vision"].utterance.id, pair["text"].utterance.id] += 1
    assert len(drawn) == 6
    assert all(150 < n < 250 for n in drawn.values())


def test_of_three_sides_any_two_meet():
    """The 4 clips and 2 texts beside 8 photos could meet in 8 ways, and do not in 4 only, as if both went round."""
    sizes = {"vision": 8, "audio": 4, "text": 2}
    items = {name: [item(f"{name}{k}") for k in range(n)] for name, n in sizes.items()}
    ways = [
        {(pair["audio"], pair["text"]) for pair in draw_pairs(items, ("train", "anger"), seed)} for seed in range(20)
    ]
    assert max(map(len, ways)) > 4


def test_a_seed_makes_the_pairs_and_nothing_else_does(tables):
    first = paired(tables)
    assert met(paired(tables)) == met(first)
    assert met(paired(dict(reversed(tables.items())))) == met(first)
    others = [met(paired(tables, seed=seed)) for seed in range(1, 6)]
    assert all(len(other) == len(met(first)) for other in others)
    assert any(set(other) != set(met(first)) for other in others)


def test_pairs_of_a_class_do_not_depend_on_other_classes_nor_on_the_order_of_a_corpus(tmp_path, tables):
    """Without the joyful train tweets, the angry ones keep their numbers in the file."""
    before = paired(tables)
    tweets = {**TWEETS, "train": {"anger": 2, "love": 4}}
    tables["text"]["root"] = str(write_tweets(tmp_path / "fewer", tweets))
    after = paired(tables)
    angry = [{pair for pair in met(of) if pair[0] and "train/angry" in pair[0]} for of in (before, after)]
    assert len(angry[0]) == 5
    assert angry[0] == angry[1]


def test_pairs_do_not_depend_on_the_order_of_rows(tmp_path, tables):
    rows = [{"id": f"u{k}", "text": f"words {k}", "label": "anger", "split": "train"} for k in range(4)]
    rows += [{"id": f"s{k}", "text": f"so {k}", "label": "fear", "split": "train"} for k in range(2)]
    pairs = []
    for name, ordered in (("a.csv", rows), ("b.csv", rows[::-1])):
        tables["text"] = {"name": "manifest", "file": str(write_csv(tmp_path / name, ordered))}
        pairs.append(met(paired(tables)))
    assert pairs[0] == pairs[1]


def test_of_a_corpus_with_several_signals_only_the_one_is_taken(tmp_path, tables):
    (tmp_path / "sound.wav").touch()
    picture = Path(tables["vision"]["root"]) / "train" / "angry" / "0.png"
    row = {"id": "u", "image": str(picture), "audio": "sound.wav", "text": "words", "label": "anger", "split": "train"}
    other = {**row, "id": "w", "label": "fear"}
    tables["vision"] = {"name": "manifest", "file": str(write_csv(tmp_path / "m.csv", [row, other]))}
    recordings = paired(tables)
    assert recordings.signals == ("text", "vision")
    assert recordings.counts["train fear"] == "1 of vision alone, no text"
    assert "words" not in {text for _, text in met(recordings)}


# What one side lacks


def test_what_has_no_counterpart_is_refused_if_asked_for(tables):
    with pytest.raises(
        DatasetError, match=r"train: class 'neutral' has 3 of vision \(fer2013\) and none of text"
    ) as error:
        paired(tables, unmatched="refuse")
    assert 'unmatched = "alone"' in str(error.value)


def test_a_split_of_one_side_only_stays_alone(tmp_path):
    faces = {"train": {"angry": 2}, "test": {"angry": 1}}
    tables = {
        "vision": {"name": "fer2013", "root": str(write_faces(tmp_path / "faces", faces))},
        "text": {"name": "dair_emotion", "root": str(write_tweets(tmp_path / "tweets"))},
    }
    recordings = paired(tables)
    alone = [u for u, (image, _) in zip(recordings.utterances, met(recordings), strict=True) if image is None]
    assert [u.id for u in alone if u.split == "validation"] == ["text:validation-00001"]
    assert recordings.counts["validation anger"] == "1 of text alone, no vision"
    with pytest.raises(DatasetError, match=r"class 'happiness' has 3 of text \(dair_emotion\) and none of vision"):
        paired(tables, unmatched="refuse")


def test_goemotions_gives_comments_of_one_class(tmp_path, tables):
    (tmp_path / "ekman").mkdir()
    names = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    (tmp_path / "ekman" / "labels.txt").write_text("\n".join(names))
    for split in ("train", "dev", "test"):
        lines = ["mad\t0\ta\n", "both\t0,1\tb\n", "glad\t3\tc\n", "so so\t4\td\n", "yuck\t1\te\n"]
        (tmp_path / "ekman" / f"{split}.tsv").write_text("".join(line.replace("\n", f"{split}\n") for line in lines))
    tables["text"] = {"name": "goemotions", "root": str(tmp_path)}
    recordings = paired(tables)
    assert recordings.counts["train neutral"] == "3 pairs of 3 vision, 1 text (3 times each)"
    assert recordings.counts["text (goemotions): comments with several classes, left out"] == 3
    assert "CC BY 4.0" in recordings.licence
    assert "fer2013: none stated" in recordings.licence


# Bootstrap groups


def test_a_repeated_item_is_in_one_group(tables):
    """5 angry faces share 2 tweets: two groups. 3 joyful tweets share 2 faces: two groups. 3 faces alone: three."""
    recordings = paired(tables)
    train = [utterance for utterance in recordings.utterances if utterance.split == "train"]
    assert len({utterance.group for utterance in train}) == 2 + 2 + 3
    by_signal: dict[str, set[str]] = {}
    for utterance, signals in zip(recordings.utterances, met(recordings), strict=True):
        for signal in signals:
            if signal is not None:
                by_signal.setdefault(signal, set()).add(utterance.group)
    assert all(len(groups) == 1 for groups in by_signal.values())


def test_speakers_of_a_corpus_are_kept_together_and_what_crosses_them_is_counted():
    """Three clips of speaker s and one of speaker r, with two texts: the texts are said by both, or by s alone."""
    sound = [item(f"a{k}", audio=Path(f"{k}.wav"), speaker="r" if k == 3 else "s") for k in range(4)]
    places = by_place({"audio": sound, "text": [item("t0"), item("t1")]})
    found = pair_up(places, ("audio", "text"), seed=0)
    assert {utterance.speaker for utterance in found.utterances} == {"audio:s", "audio:r"}
    said_by: dict[str | None, set[str]] = {}
    for utterance in found.utterances:
        said_by.setdefault(found.sources[utterance.id].text, set()).add(utterance.group)
    n_crossing = sum(len(groups) > 1 for groups in said_by.values())
    assert n_crossing == 1
    assert found.counts["text speakers or items in several bootstrap groups"] == 1


# Three sides, and recordings


def test_three_corpora_are_joined_and_one_may_lack_a_class(tmp_path, tables):
    """Train clips: 2 of anger (speaker s), 1 of fear; no clip is happy."""
    rows = [
        {"id": "c0", "audio": "c0.wav", "label": "anger", "speaker": "s", "split": "train", "start": "0", "end": "2"},
        {"id": "c1", "audio": "c0.wav", "label": "anger", "speaker": "s", "split": "train", "start": "2", "end": "3"},
        {"id": "c2", "audio": "c2.wav", "label": "fear", "speaker": "r", "split": "train", "start": "0", "end": "1"},
        {"id": "c3", "audio": "c3.wav", "label": "bored", "speaker": "q", "split": "train", "start": "0", "end": "1"},
    ]
    for name in ("c0.wav", "c2.wav", "c3.wav"):
        (tmp_path / name).touch()
    tables["audio"] = {"name": "manifest", "file": str(write_csv(tmp_path / "clips.csv", rows))}
    recordings = paired(tables)
    assert recordings.name == "label-paired fer2013+manifest+dair_emotion"
    assert recordings.signals == ("text", "audio", "vision")
    assert recordings.counts["audio (manifest): of bored, which is none of the seven, left out"] == 1
    assert recordings.counts["train happiness"] == "3 pairs of 2 vision (1 to 2 times each), 3 text, no audio"
    assert recordings.counts["train fear"] == "1 of audio alone, no vision, no text"
    angry = [u for u in recordings.utterances if u.split == "train" and u.label == "anger"]
    assert len(angry) == 5
    assert {u.group for u in angry} == {"audio:c0.wav"}  # the recording that both are cut from
    assert {u.segment.start for u in angry if u.segment} == {0.0, 2.0}
    assert all(recordings.sources[u.id].image and recordings.sources[u.id].text for u in angry)


def test_of_two_recordings_only_whole_ones_are_paired():
    cut = item("a", audio=Path("a.wav"), segment=Segment("a.wav", 1.0, 2.0))
    places = by_place({"audio": [cut], "text": [item("t", transcript=Path("t.srt"))]})
    with pytest.raises(DatasetError, match=r"audio:a\+text:t: a stretch of one recording"):
        pair_up(places, ("audio", "text"), seed=0)
    whole = by_place({"audio": [item("a", audio=Path("a.wav"))], "text": [item("t", transcript=Path("t.srt"))]})
    (utterance,) = pair_up(whole, ("audio", "text"), seed=0).utterances
    assert utterance.segment is None


def test_a_film_gives_its_sound_and_no_words_or_pictures(tmp_path):
    tables = {
        "audio": {"name": "ravdess", "root": str(write_ravdess(tmp_path / "a")), "fold": 1},
        "text": {"name": "meld", "root": str(write_meld(tmp_path / "m", films=True))},
    }
    recordings = paired(tables)
    assert recordings.signals == ("text", "audio")
    assert all(sources.video is None and sources.image is None for sources in recordings.sources.values())
    with pytest.raises(DatasetError, match=r"dataset.vision: ravdess has nothing of it .* expected photos \(a film"):
        paired({"vision": tables["audio"], "text": tables["text"]})


# Tables


def parse(tables: Mapping[str, object]) -> PairedSettings:
    recipe = parse_recipe({"dataset": {"name": "paired", **tables}}, source="r")
    assert isinstance(recipe.dataset, PairedSettings)
    return recipe.dataset


def test_a_parsed_table_is_complete_and_absolute(tmp_path, tables, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables["vision"]["root"] = "faces"
    recipe = parse_recipe({"dataset": {"name": "paired", **tables}}, source="r")
    read = recipe.tables()["dataset"]
    assert read["vision"] == {
        "name": "fer2013",
        "root": str(tmp_path / "faces"),
        "task": "seven",
        "duplicates": "keep",
    }
    assert read["text"]["task"] == "seven"
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    assert read_recipe(tmp_path / "again.toml").dataset == recipe.dataset


def test_a_name_alone_is_a_table(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path))
    settings = parse({"vision": "fer2013", "text": "goemotions"})
    assert settings.sides["vision"]["root"] == str(tmp_path / "fer2013")
    assert settings.sides["text"]["task"] == "seven"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vision": "fer2031"}, r"vision: unknown corpus of media 'fer2031'; did you mean 'fer2013'\?"),
        ({"vision": "mosi"}, r"vision: unknown corpus of media 'mosi'.*that one is no corpus of photos"),
        ({"vision": "paired"}, r"vision: unknown corpus of media 'paired'"),
        ({"vision": {"root": "x"}}, r"vision: expected the name of a corpus, or a table with name; one of cremad"),
        ({"vision": {"name": 3}}, r"vision: expected the name of a corpus"),
        ({"vision": 3}, r"vision: expected the name of a corpus, or a table with name"),
        ({"vision": ["fer2013"]}, r"vision: expected the name of a corpus, or a table with name"),
        ({"vision": {"name": "fer2013", "rot": "x"}}, r"vision: fer2013: unknown key 'rot'; did you mean 'root'\?"),
        ({"vision": {"name": "fer2013", "duplicates": 3}}, r"vision: fer2013: duplicates: "),
        ({"vision": {"name": "image_folder"}}, r"vision: image_folder: root: Field required"),
        ({"vision": {"name": "image_folder", "root": "x", "split_seed": "3"}}, r"image_folder: split_seed: "),
        ({"text": {"name": "goemotions", "task": "ekman"}}, r"text: goemotions: task 'ekman'; .*set it to \"seven\""),
        ({"text": None}, r"corpora of vision; expected two or three of vision, audio, text"),
        ({"seed": -1}, r"seed"),
        ({"unmatched": "drop"}, r"unmatched"),
        ({"txt": "dair_emotion"}, r"unknown key 'txt'; did you mean 'text'\?"),
    ],
)
def test_a_wrong_table_is_named(tables, wrong, message):
    given = {key: value for key, value in {**tables, **wrong}.items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        parse(given)


def test_labels_that_are_no_single_class_are_refused(tmp_path, tables):
    rows = [{"id": f"u{k}", "text": f"words {k}", "labels": "anger;fear", "split": "train"} for k in range(3)]
    tables["text"] = {
        "name": "manifest",
        "file": str(write_csv(tmp_path / "m.csv", rows)),
        "task": "multilabel",
        "labels": ["anger", "fear"],
    }
    with pytest.raises(
        DatasetError, match=r"text: manifest gives multilabel labels.*set dataset.text.task to another of"
    ):
        paired(tables)


def test_classes_of_which_none_is_shared_are_refused(tmp_path, tables):
    rows = [{"id": f"u{k}", "text": f"words {k}", "label": "xy"[k % 2], "split": "train"} for k in range(4)]
    tables["text"] = {"name": "manifest", "file": str(write_csv(tmp_path / "m.csv", rows))}
    with pytest.raises(DatasetError, match=r"dataset.text: manifest has the classes x, y; expected some of anger"):
        paired(tables)


def test_a_corpus_that_cannot_be_read_is_named_with_its_modality(tables, tmp_path):
    tables["text"]["root"] = str(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"paired: dataset.text: dair_emotion: .*nowhere is no folder"):
        paired(tables)


def test_every_corpus_of_media_is_taken_by_name_or_says_which_key_it_needs(tmp_path):
    for name, dataset in DATASETS.items():
        if isinstance(dataset, MediaDataset) and name != "paired":
            keys = {"manifest": {"file": "m.csv"}, "image_folder": {"root": "x"}}.get(name, {})
            settings = PairedSettings.model_validate({"vision": "fer2013", "text": {"name": name, **keys}})
            assert settings.sides["text"]["name"] == name


def test_a_corpus_without_media_has_its_words(tmp_path, tables):
    tables["text"] = {"name": "iemocap", "root": str(write_iemocap(tmp_path / "i")), "media": "none"}
    recordings = paired(tables)
    assert recordings.signals == ("text", "vision")


# The whole way


def prepared_recipe(tables: Mapping[str, object], tmp_path: Path, extractors: Mapping[str, str]):
    features = {"store": str(tmp_path / "store"), "cache": False, "extractors": dict(extractors)}
    return parse_recipe({"dataset": {"name": "paired", **tables}, "features": features}, source="r")


def test_it_is_prepared_and_a_missing_modality_is_missing(tables, tmp_path):
    recipe = prepared_recipe(tables, tmp_path, {"vision": "face", "text": "hashed"})
    assert recipe.features is not None
    done = prepare(recipe.load_recordings(), recipe.features, recipe.store, tables=recipe.prepared_tables())
    assert not done.errors
    corpus = open_store(done.folder)
    assert corpus.name == "label-paired fer2013+dair_emotion"
    for utterance in corpus.utterances:
        for modality in ("vision", "text"):
            assert (corpus.sequences[modality].n_frames(utterance.id) > 0) == (f"{modality}:" in utterance.id)


def test_cautions_say_what_no_number_shows_and_what_gives_classes_away(tables, tmp_path):
    recipe = prepared_recipe(tables, tmp_path, {"vision": "face", "text": "hashed"})
    assert recipe.features is not None
    prepare(recipe.load_recordings(), recipe.features, recipe.store, tables=recipe.prepared_tables())
    corpus = recipe.load_corpus()
    said = cautions(recipe, corpus)
    assert [sentence.split(":")[0] for sentence in said] == [
        "The data is label-paired",
        "No utterance of fear has vision",
        "No utterance of disgust and neutral has text",
    ]
    assert "No claim about fusion or calibration" in said[0]
    store = parse_recipe({"dataset": {"store": str(recipe.store)}}, source="r")
    assert cautions(store, store.load_corpus()) == said


def test_every_number_says_label_paired(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = dict.fromkeys(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), 2)
    faces = write_faces(tmp_path / "more", {"train": folders, "validation": folders, "test": folders})
    tables["vision"]["root"] = str(faces)
    recipe = parse_recipe(
        {
            "dataset": {"name": "paired", **tables},
            "features": {"cache": False, "extractors": {"vision": "face", "text": "hashed"}},
            "model": {"name": "late", "size": "small"},
            "training": {"epochs": 1, "patience": 0},
            "evaluation": {"bootstrap": 10},
        },
        source="r",
    )
    run = api.train(recipe, out=tmp_path / "run")
    assert run.dataset == "label-paired fer2013+dair_emotion"
    done = evaluate_with_notes(run)
    assert {score.dataset for score in done.scores} == {"label-paired fer2013+dair_emotion"}
    predicted = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(predicted["dataset"]) == {"label-paired fer2013+dair_emotion"}
    # two faces of each of seven classes; tweets of three of them
    assert done.notes[0].startswith("Of the 14 test utterances 8 lack text. They are scored all the same")
    assert done.notes[1].startswith("The data is label-paired: ")
    assert done.notes[1:] == json.loads((tmp_path / "run" / "environment.json").read_text())["cautions"]
    page = api.write_report(run).read_text()
    assert f"{LABEL_PAIRED} seven" in page
    assert "The data is label-paired" in page
    assert page.count("label-paired fer2013+dair_emotion") >= 3


def test_no_manifest_is_written_of_pairs(tables, tmp_path):
    """Read again, it would be a corpus like any other, and nothing would say how it was made."""
    recipe = prepared_recipe(tables, tmp_path, {"vision": "face", "text": "hashed"})
    with pytest.raises(ConfigError, match=r"^label-paired fer2013\+dair_emotion: a manifest could not say"):
        api.write_manifest(recipe, tmp_path / "pairs" / "pairs.csv")
    assert not (tmp_path / "pairs").exists()


def test_the_shipped_recipe_is_of_faces_and_tweets(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTIWAVE_DATA", str(tmp_path))
    recipe = read_recipe("image_text")
    assert isinstance(recipe.dataset, PairedSettings)
    assert [(name, table["name"]) for name, table in recipe.dataset.sides.items()] == [
        ("vision", "fer2013"),
        ("text", "dair_emotion"),
    ]
    small = read_recipe("image_text", ["model.encoders.vision.side=48", "dataset.text.name=goemotions"])
    assert isinstance(small.dataset, PairedSettings)
    assert small.dataset.sides["text"]["name"] == "goemotions"


# The published corpora


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA names no folder of corpora")
def test_of_the_published_corpora_every_face_and_tweet_is_there():
    """Counts of the classes as published: FER2013 (Goodfellow et al. 2013), emotion (Saravia et al. 2018)."""
    recordings = load(PairedSettings(vision="fer2013", text="dair_emotion"))
    found = met(recordings)
    splits = [utterance.split for utterance in recordings.utterances]
    n_faces = Counter(split for split, (image, _) in zip(splits, found, strict=True) if image)
    assert n_faces == {"train": 28_709, "validation": 3_589, "test": 3_589}
    assert len({image for image, _ in found}) == 35_887
    n_alone = Counter(split for split, (_, text) in zip(splits, found, strict=True) if text is None)
    assert n_alone == {"train": 4_965 + 436, "validation": 607 + 56, "test": 626 + 55}
    tweets = {(split, u.id.partition("+text:")[2]) for split, u in zip(splits, recordings.utterances, strict=True)}
    assert Counter(split for split, name in tweets if name) == {
        "train": 16_000 - 1_304,
        "validation": 2_000 - 178,
        "test": 2_000 - 159,
    }


def test_forty_thousand_pairs_are_made_in_a_second_or_two():
    items = {
        "vision": [item(f"v{k}", image=Path(f"{k}.png")) for k in range(40_000)],
        "text": [item(f"t{k}") for k in range(9_000)],
    }
    before = time.process_time()
    found = pair_up(by_place(items), ("vision", "text"), seed=0)
    assert time.process_time() - before < 10.0  # one or two where nothing else runs; minutes if it were quadratic
    assert len(found.utterances) == 40_000
