"""What is promised for every dataset."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from emotiwave.config import parse_recipe
from emotiwave.datasets import DATASETS
from emotiwave.datasets.splits import check_leakage
from emotiwave.features.store import open_store, write_store
from emotiwave.types import Corpus, Utterance, all_configurations


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


# A new dataset is given a small form of itself here: keys of [dataset], and the files they need in a folder.
SMALL = {"mosi": small_mosi, "synthetic": small_synthetic}


@pytest.fixture(params=list(DATASETS))
def name(request) -> str:
    return request.param


@pytest.fixture
def settings(name: str, tmp_path: Path):
    return DATASETS[name].settings.model_validate(SMALL[name](tmp_path))


@pytest.fixture
def corpus(name: str, settings) -> Corpus:
    return DATASETS[name].load(settings)


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
    recipe = parse_recipe({"dataset": {"name": name} | SMALL[name](tmp_path)}, source="made")
    assert recipe.dataset == settings
    assert recipe.load_corpus().digest == corpus.digest


def test_reading_twice_gives_the_same(name, settings, corpus):
    again = DATASETS[name].load(settings)
    assert again.digest == corpus.digest
    assert again.utterances == corpus.utterances


def test_reading_leaves_the_global_random_state_alone(name, settings):
    np.random.seed(3)  # noqa: NPY002 - what a user may have done
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    DATASETS[name].load(settings)
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
        assert utterance.intensity is None or type(utterance.intensity) is float


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
        assert (start[~unknown] >= 0).all()
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
