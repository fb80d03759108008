"""What is promised for every dataset."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from emotiwave.config import parse_recipe
from emotiwave.datasets import DATASETS, RecordedDataset
from emotiwave.datasets.splits import check_leakage
from emotiwave.features.prepare import prepare
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.store import open_store, write_store
from emotiwave.recordings import Recordings
from emotiwave.settings import Settings
from emotiwave.types import Corpus, Utterance, all_configurations
from tests.tiny_csd import write_features, write_folds, write_labels, write_tiny_mosei


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


def small_mosi_csd(folder: Path) -> dict:
    videos = {f"v{k}": [(0, 4, (-1.5,)), (2, 6, (2.0,))] for k in range(4)}
    write_labels(folder / "CMU_MOSI_Opinion_Labels.csd", videos, None)
    for name in ("TimestampedWordVectors", "COVAREP", "Visual_Facet_42"):
        write_features(folder / f"CMU_MOSI_{name}.csd", dict.fromkeys(videos, 6))
    write_folds(folder / "standard_folds.json", ["v0", "v1"], ["v2"], ["v3"])
    return {"root": str(folder)}


# A new dataset is given a small form of itself here: keys of [dataset], and the files they need in a folder.
SMALL = {
    "mmsa": small_mmsa,
    "mosei": small_mosei,
    "mosi": small_mosi,
    "mosi_csd": small_mosi_csd,
    "synthetic": small_synthetic,
}


@pytest.fixture(params=list(DATASETS))
def name(request) -> str:
    return request.param


@pytest.fixture
def settings(name: str, tmp_path: Path):
    return DATASETS[name].settings.model_validate(SMALL[name](tmp_path))


def read(name: str, settings: Settings, store: Path) -> Corpus:
    """The corpus as a recipe gets it: recordings are prepared into a store, which is opened."""
    loaded = DATASETS[name].load(settings)
    if isinstance(loaded, Recordings):
        return open_store(prepare(loaded, FeatureSettings(), store, tables={}).folder)
    return loaded


@pytest.fixture
def corpus(name: str, settings, tmp_path: Path) -> Corpus:
    return read(name, settings, tmp_path / "prepared")


def test_every_dataset_has_a_small_form_to_be_tested_by():
    assert SMALL.keys() == DATASETS.keys()


def test_a_dataset_is_called_as_it_is_registered(name, corpus):
    assert corpus.name == name


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
    if isinstance(DATASETS[name], RecordedDataset):
        tables["features"] = {"store": str(tmp_path / "store")}
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
