"""What is promised for every dataset."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from skimage.data import astronaut

from emotiwave.config import parse_recipe
from emotiwave.datasets import DATASETS, MediaDataset, RecordedDataset
from emotiwave.datasets.splits import check_leakage
from emotiwave.faces.detectors import FaceSettings
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.prepare import prepare
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import open_store, write_store
from emotiwave.recordings import MediaRecordings
from emotiwave.settings import Settings
from emotiwave.types import Corpus, Utterance, all_configurations
from tests.made_corpora import (
    write_cremad,
    write_csv,
    write_emodb,
    write_iemocap,
    write_media_manifest,
    write_meld,
    write_ravdess,
)
from tests.made_media import write_sound, write_video
from tests.tiny_csd import write_features, write_folds, write_labels, write_tiny_mosei

SHARES = {"validation_share": 0.25, "test_share": 0.25}


def small_mosi(folder: Path) -> dict:
    rows = [
        {
            "utt_id": f"{video}_{i}",
            "video_id": video,
            "utt_index": i,
            "split": split,
            "polarity": i % 2,
            "sentiment": i % 2 - 0.5,
            "text": "WORDS",
        }
        for video, split in (("va", "train"), ("vb", "train"), ("vc", "test"))
        for i in range(1, 4)
    ]
    pd.DataFrame(rows).to_csv(folder / "utterances.csv", index=False)
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((9, size)) for name, size in (("text", 4), ("audio", 3), ("video", 2))}
    np.savez(folder / "features.npz", **arrays)  # pyright: ignore[reportArgumentType]
    return {"root": str(folder)}


def small_synthetic(folder: Path) -> dict:
    return {"n_train": 20, "n_validation": 10, "n_test": 10, "longest": 2.5}


def small_mmsa(folder: Path) -> dict:
    rng = np.random.default_rng(0)
    splits = {}
    for split, videos in (("train", "ab"), ("valid", "c"), ("test", "de")):
        ids = [f"{video}$_${clip}" for video in videos for clip in (1, 2, 3)]
        arrays = {name: rng.standard_normal((len(ids), 6, size)) for name, size in (("text", 4), ("audio", 3))}
        values = np.tile([-1.5, 0.0, 0.6], len(videos))
        splits[split] = arrays | {
            "id": ids,
            "raw_text": ["words"] * len(ids),
            "regression_labels": values,
            "classification_labels": np.sign(values) + 1,
            "audio_lengths": [4] * len(ids),
        }
        splits[split]["audio"][:, 4:] = 0
    (folder / "small.pkl").write_bytes(pickle.dumps(splits))
    return {"file": str(folder / "small.pkl"), "task": "polarity"}


def small_mosei(folder: Path) -> dict:
    return {"root": str(write_tiny_mosei(folder))}


def small_made_mosei(folder: Path) -> dict:
    made = {"n_videos": 16, "segments_per_video": 2, "sizes": {"text": 12, "audio": 9, "vision": 11}}
    return {"root": str(folder / "made"), "rates": {"audio": 10.0, "vision": 5.0}, "traps": False} | made


def small_mosi_csd(folder: Path) -> dict:
    videos = {f"v{k}": [(0, 4, (-1.5,)), (2, 6, (2.0,))] for k in range(4)}
    write_labels(folder / "CMU_MOSI_Opinion_Labels.csd", videos, None)
    for name in ("TimestampedWordVectors", "COVAREP", "Visual_Facet_42"):
        write_features(folder / f"CMU_MOSI_{name}.csd", dict.fromkeys(videos, 6))
    write_folds(folder / "standard_folds.json", ["v0", "v1"], ["v2"], ["v3"])
    return {"root": str(folder)}


def small_pictures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for k, (split, name) in enumerate(
        (s, c) for s in ("train", "validation", "test") for c in ("happy", "sad", "fear")
    ):
        path = folder / split / name / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(20, 200, (48, 48), np.uint8)).save(path)
    return folder


def small_fer2013(folder: Path) -> dict:
    return {"root": str(small_pictures(folder / "pictures"))}


def small_image_folder(folder: Path) -> dict:
    return {"root": str(small_pictures(folder / "pictures")), "is_face": True}


def small_goemotions(folder: Path) -> dict:
    (folder / "ekman").mkdir(exist_ok=True)
    names = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    (folder / "ekman" / "labels.txt").write_text("\n".join(names))
    for split in ("train", "dev", "test"):
        lines = [f'he said "no {k}\t{k},{k + 1}\t{split}{k}\n' for k in range(3)]
        (folder / "ekman" / f"{split}.tsv").write_text("".join(lines))
    return {"root": str(folder)}


def small_dair_emotion(folder: Path) -> dict:
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_text(f"so {split};joy\noh; {split};love\nwell {split};anger\n")
    return {"root": str(folder)}


def small_cremad_votes(folder: Path) -> dict:
    names = ("anger", "disgust", "fear", "happy", "neutral", "sad")
    rows = [
        {"actor": 1001 + k // 3, "actor_fold": (k // 3) % 5, "intended": names[k % 6]}
        | {
            f"{by}_{name}": (k + i + j) % 7
            for i, by in enumerate(("voice", "face", "av"))
            for j, name in enumerate(names)
        }
        for k in range(30)
    ]
    pd.DataFrame(rows).to_csv(folder / "votes_wide.csv", index=False)
    return {"root": str(folder)}


def portrait() -> dict[str, Any]:
    face = np.ascontiguousarray(astronaut()[:240, 100:420])
    return {"size": (320, 240), "pictures": lambda index: np.roll(face, 3 * (index % 4), axis=1)}


def small_mosei_media(folder: Path) -> dict:
    write_tiny_mosei(folder)
    (folder / "Raw").mkdir(exist_ok=True)
    for video in ("-a", "-a_1", "b", "c"):
        write_video(folder / "Raw" / f"{video}.mp4", n_frames=20, fps=2, sound=tone(10), **portrait())
    return {"root": str(folder)}


def small_mosi_media(folder: Path) -> dict:
    keys = small_mosi_csd(folder)
    (folder / "Raw").mkdir(exist_ok=True)
    for k in range(4):
        write_video(folder / "Raw" / f"v{k}.mp4", n_frames=12, fps=2, sound=tone(6), **portrait())
    return keys


def tone(seconds: float) -> np.ndarray:
    return (0.1 * np.sin(np.arange(round(16_000 * seconds)) / 10)).astype(np.float32)


def with_sound(folder: Path) -> Path:
    """Fill empty files of sound, and drop those of pictures."""
    write_sound(folder / "sound.wav", tone(0.4))
    sound = (folder / "sound.wav").read_bytes()
    (folder / "sound.wav").unlink()
    for path in folder.rglob("*.*"):
        if path.suffix == ".wav":
            path.write_bytes(sound)
        elif path.suffix in (".flv", ".avi", ".mp4"):
            path.unlink()
    return folder


def small_ravdess(folder: Path) -> dict:
    return {"root": str(with_sound(write_ravdess(folder, actors=(1, 4, 8)))), "fold": "random"} | SHARES


def small_cremad(folder: Path) -> dict:
    return {"root": str(with_sound(write_cremad(folder, actors=range(1001, 1006)))), "fold": "random"} | SHARES


def small_emodb(folder: Path) -> dict:
    return {"root": str(with_sound(write_emodb(folder)))}


def small_iemocap(folder: Path) -> dict:
    return {"root": str(write_iemocap(folder)), "media": "none"}


def small_paired(folder: Path) -> dict:
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_text(f"so {split};joy\noh so {split};joy\nwell {split};anger\n")
    return {
        "vision": {"name": "fer2013"} | small_fer2013(folder),
        "text": {"name": "dair_emotion", "root": str(folder)},
    }


def small_meld(folder: Path) -> dict:
    return {"root": str(write_meld(folder, films=False))}


def small_manifest(folder: Path) -> dict:
    with_sound(write_media_manifest(folder).parent)
    return {"file": str(folder / "manifest.csv")} | SHARES


def small_table(folder: Path) -> dict:
    rows = []
    for k in range(12):
        np.save(folder / f"{k}.npy", np.full((2, 3), k, np.float32))
        rows.append({"audio": f"{k}.npy", "label": "xy"[k % 2], "speaker": f"s{k // 3}"})
    return {"file": str(write_csv(folder / "table.csv", rows))} | SHARES


# A new dataset is given a small form of itself here: keys of [dataset], and the files they need in a folder.
SMALL = {
    "cremad": small_cremad,
    "cremad_votes": small_cremad_votes,
    "dair_emotion": small_dair_emotion,
    "emodb": small_emodb,
    "fer2013": small_fer2013,
    "goemotions": small_goemotions,
    "iemocap": small_iemocap,
    "image_folder": small_image_folder,
    "made_mosei": small_made_mosei,
    "manifest": small_manifest,
    "meld": small_meld,
    "mmsa": small_mmsa,
    "mosei": small_mosei,
    "mosei_media": small_mosei_media,
    "mosi": small_mosi,
    "mosi_csd": small_mosi_csd,
    "mosi_media": small_mosi_media,
    "mosi_transcripts": small_mosi,
    "paired": small_paired,
    "ravdess": small_ravdess,
    "synthetic": small_synthetic,
    "table": small_table,
}


# Datasets that are made of others say so by their name.
NAMES = {"paired": "label-paired fer2013+dair_emotion"}
MEDIA: dict[str, Any] = {"cache": False, "frames": 8, "faces": FaceSettings(detector="haar")}


@pytest.fixture(params=list(DATASETS))
def name(request) -> str:
    return request.param


@pytest.fixture
def settings(name: str, tmp_path: Path):
    return DATASETS[name].settings.model_validate(SMALL[name](tmp_path))


def read(name: str, settings: Settings, store: Path) -> Corpus:
    """The corpus as a recipe gets it: recordings are prepared into a store, which is opened."""
    loaded = DATASETS[name].load(settings)
    if isinstance(loaded, Corpus):
        return loaded
    features = MediaFeatureSettings(**MEDIA) if isinstance(loaded, MediaRecordings) else FeatureSettings()
    return open_store(prepare(loaded, features, store, tables={}).folder)


_READ: dict[str, Corpus] = {}


@pytest.fixture
def corpus(name: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """What is read once and only looked at."""
    if name not in _READ:
        folder = tmp_path_factory.mktemp(name)
        _READ[name] = read(name, DATASETS[name].settings.model_validate(SMALL[name](folder)), folder / "prepared")
    return _READ[name]


def test_every_dataset_has_a_small_form_to_be_tested_by():
    assert SMALL.keys() == DATASETS.keys()


def test_a_dataset_is_called_as_it_is_registered(name, corpus):
    assert corpus.name == NAMES.get(name, name)


def test_a_dataset_says_its_licence_and_task(corpus, settings):
    assert corpus.licence.strip()
    assert corpus.task == settings.task


def test_unknown_keys_are_refused_and_settings_are_frozen(name, settings):
    with pytest.raises(ValidationError, match="colour"):
        DATASETS[name].settings.model_validate({"colour": "red"})
    with pytest.raises(ValidationError, match="frozen"):
        settings.task = "other"


def test_a_recipe_can_ask_for_it(name, settings, corpus, tmp_path):
    tables: dict = {"dataset": {"name": name} | SMALL[name](tmp_path)}
    if isinstance(DATASETS[name], RecordedDataset | MediaDataset):
        tables["features"] = {"store": str(tmp_path / "store")}
    if isinstance(DATASETS[name], MediaDataset):
        tables["features"] |= {"cache": False, "frames": 8, "faces": {"detector": "haar"}}
    recipe = parse_recipe(tables, source="made")
    assert recipe.dataset == settings
    if recipe.features is not None:
        prepare(recipe.load_recordings(), recipe.features, recipe.store, tables=recipe.prepared_tables())
    assert recipe.load_corpus().digest == corpus.digest


def test_reading_twice_gives_the_same(name, settings, corpus, tmp_path):
    again = read(name, settings, tmp_path / "again")
    assert again.digest == corpus.digest
    assert again.utterances == corpus.utterances


def test_reading_leaves_the_global_random_state_alone(name, settings, tmp_path):
    np.random.seed(3)  # noqa: NPY002 - what a user may have done
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    read(name, settings, tmp_path / "prepared")
    assert np.random.random() == expected  # noqa: NPY002


def test_it_has_train_and_test_utterances(corpus):
    assert len(corpus.indices("train"))
    assert len(corpus.indices("test"))


def test_no_video_and_no_speaker_is_in_two_splits(corpus):
    check_leakage(corpus.utterances, corpus=corpus.name)


def test_every_utterance_says_which_group_a_bootstrap_resamples_it_with(corpus):
    groups = [utterance.group for utterance in corpus.utterances]
    if all(utterance.dialogue is None and utterance.speaker is None for utterance in corpus.utterances):
        assert groups == [utterance.id for utterance in corpus.utterances]
    else:
        assert 1 < len(set(groups)) < len(groups)


def test_every_label_is_in_the_label_set(corpus):
    for utterance, target in zip(corpus.utterances, corpus.targets, strict=True):
        if corpus.label_set.kind == "continuous":
            assert [float(value) for value in target] == [np.float32(value) for value in utterance.label]
            continue
        names = {utterance.label} if isinstance(utterance.label, str) else set(utterance.label)
        assert {corpus.label_set.names[k] for k in np.flatnonzero(target)} == names
        assert isinstance(utterance.label, str) == (corpus.label_set.kind == "categorical")


def test_fields_have_the_types_they_declare(corpus):
    """Numpy scalars would not survive JSON; a number for a name would not survive a store."""
    for utterance in corpus.utterances:
        assert type(utterance) is Utterance
        for field in ("id", "split"):
            assert type(getattr(utterance, field)) is str
        for field in ("dialogue", "speaker", "language", "transcript"):
            assert getattr(utterance, field) is None or type(getattr(utterance, field)) is str
        assert utterance.ratings is None or all(type(value) is float for value in utterance.ratings.values())


def test_modalities_are_named_and_their_frames_are_finite_float32(corpus):
    assert set(corpus.modalities) <= {"text", "audio", "vision"}
    for sequence in corpus.sequences.values():
        assert sequence.values.dtype == np.float32
        assert np.isfinite(sequence.values).all()
        assert len(sequence.values) > 0


def test_intervals_run_forwards_or_are_unknown(corpus):
    for sequence in corpus.sequences.values():
        start, end = sequence.intervals.T
        unknown = np.isnan(start)
        assert (unknown == np.isnan(end)).all()
        assert ((start + end)[~unknown] >= 0).all()  # the middle of a frame is inside; its edge may not be
        assert (end[~unknown] > start[~unknown]).all()
        for utterance_id in sequence.ids:
            assert not (np.diff(sequence[utterance_id].intervals[:, 0]) < 0).any()


def test_posteriors_where_known_are_probabilities_of_every_configuration(corpus):
    if corpus.posteriors is None:
        return
    assert set(corpus.posteriors) == {str(c) for c in all_configurations(corpus.modalities)}
    for posterior in corpus.posteriors.values():
        assert posterior.shape == corpus.targets.shape
        assert ((posterior >= 0) & (posterior <= 1)).all()
        if corpus.label_set.kind == "categorical":
            np.testing.assert_allclose(posterior.sum(axis=1), 1)


def test_a_store_keeps_it_bit_equal(corpus, tmp_path):
    stored = open_store(write_store(corpus, tmp_path / "store"), verify=True)
    assert stored.digest == corpus.digest
    assert stored.utterances == corpus.utterances
    for modality, sequence in corpus.sequences.items():
        assert stored.sequences[modality].values.tobytes() == sequence.values.tobytes()


def test_corpora_and_stores_need_no_torch():
    code = "import sys, emotiwave.datasets, emotiwave.features.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
