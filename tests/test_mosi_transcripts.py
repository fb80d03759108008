"""MOSI with text re-derived: transcripts to be encoded, beside the sound and video features of the same files."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotiwave import api
from emotiwave.config import read_recipe
from emotiwave.datasets import mosi
from emotiwave.datasets.mosi_transcripts import MosiTranscriptsSettings, load
from emotiwave.errors import DatasetError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.prepare import is_up_to_date, prepare
from emotiwave.features.store import open_store
from emotiwave.recordings import MediaRecordings
from emotiwave.types import Corpus
from tests import tiny_encoders

TEXTS = ("SO HAPPY", "NOT HAPPY", "", "VERY SAD TODAY", "I AM", "  ", "YOU ARE SO SAD", "HAPPY")
VIDEOS = ("va", "va", "va", "vb", "vb", "vc", "vc", "vc")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "mosi_trimodal"
    folder.mkdir()
    rows = [
        {
            "utt_id": f"{video}_{k}",
            "video_id": video,
            "utt_index": 10 - k,  # so that the order of the file is not that of the corpus
            "split": "test" if video == "vc" else "train",
            "polarity": k % 2,
            "sentiment": k % 2 - 0.5,
            "text": text,
        }
        for k, (video, text) in enumerate(zip(VIDEOS, TEXTS, strict=True))
    ]
    pd.DataFrame(rows).to_csv(folder / "utterances.csv", index=False)
    write_arrays(folder, text=4, audio=3, video=2)
    return folder


def write_arrays(root: Path, shift: float = 0.0, **sizes: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((len(TEXTS), size)) + shift for name, size in sizes.items()}
    np.savez(root / "features.npz", **arrays)  # pyright: ignore[reportArgumentType]


def read(root: Path, **keys) -> MediaRecordings:
    return load(MosiTranscriptsSettings(root=root, **keys))


def as_published(root: Path, **keys) -> Corpus:
    return mosi.load(mosi.MosiSettings(root=root, **keys))


@pytest.mark.parametrize("keys", [{}, {"task": "sentiment"}, {"validation_share": 0.5, "split_seed": 3}])
def test_all_but_the_text_is_as_in_mosi(root, keys):
    found, published = read(root, **keys), as_published(root, **keys)
    assert found.utterances == published.utterances
    assert (found.task, found.label_set, found.licence) == (published.task, published.label_set, published.licence)
    assert list(found.given) == ["audio", "vision"]
    for modality, sequence in found.given.items():
        assert sequence.digest == published.sequences[modality].digest


def test_the_text_is_the_transcript_and_an_empty_one_is_missing_and_counted(root, tmp_path):
    found = read(root)
    assert {u.id: found.sources[u.id].text for u in found.utterances} == {
        f"{video}_{k}": text for k, (video, text) in enumerate(zip(VIDEOS, TEXTS, strict=True))
    }
    prepared = prepare(found, MediaFeatureSettings(cache=False), tmp_path / "store", tables={})
    corpus = open_store(prepared.folder, verify=True)
    assert corpus.modalities == ("text", "audio", "vision")
    assert set(corpus.sequences["text"].ids) == {f"{VIDEOS[k]}_{k}" for k in (0, 1, 3, 4, 6, 7)}
    assert len(corpus.utterances) == 8
    assert prepared.counts["utterances without text"] == 2
    assert prepared.counts["utterances with vision as features already"] == 8


def test_the_published_text_vectors_are_not_even_looked_at(root):
    write_arrays(root, audio=3, video=2)
    assert list(read(root).given) == ["audio", "vision"]
    with pytest.raises(DatasetError, match=r"^mosi: .*features\.npz lacks the array 'text'"):
        as_published(root)


def test_errors_name_the_corpus_and_the_file(root):
    write_arrays(root, text=4, audio=3)
    with pytest.raises(DatasetError, match=r"^mosi_transcripts: .*lacks the array 'video'; expected audio, video"):
        read(root)
    (root / "features.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DatasetError, match=r"^mosi_transcripts: .*features\.npz"):
        read(root)
    (root / "utterances.csv").unlink()
    with pytest.raises(DatasetError, match=r"^mosi_transcripts: .*utterances\.csv does not exist"):
        read(root)


@pytest.mark.parametrize("value", [99.0, float("inf")])
def test_a_rating_outside_the_scale_is_told_before_anything_is_encoded(root, value):
    table = pd.read_csv(root / "utterances.csv", keep_default_na=False)
    table.loc[3, "sentiment"] = value
    table.to_csv(root / "utterances.csv", index=False)
    with pytest.raises(DatasetError, match=r"utterances\.csv: vb_3: sentiment is .*; expected a value from -3 to 3"):
        read(root, task="sentiment")
    assert len(read(root, task="polarity").utterances) == 8


@pytest.mark.parametrize("dtype", ["U3", "complex64", "datetime64[s]"])
def test_an_array_of_no_numbers_is_refused(root, dtype):
    arrays = {"audio": np.zeros((len(TEXTS), 3)).astype(dtype), "video": np.zeros((len(TEXTS), 2))}
    np.savez(root / "features.npz", **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DatasetError, match=r"features\.npz: array 'audio' holds .*; expected numbers"):
        read(root)


def test_a_store_is_outdated_when_the_given_features_change(root, tmp_path):
    prepare(read(root), MediaFeatureSettings(cache=False), tmp_path / "store", tables={})
    assert is_up_to_date(tmp_path / "store", {})
    write_arrays(root, shift=1.0, text=4, audio=3, video=2)
    assert not is_up_to_date(tmp_path / "store", {})


def test_the_shipped_recipe_prepares_and_trains(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = tiny_encoders.save_bert(tmp_path / "encoder")
    overrides = [
        f"dataset.root={root}",
        f"features.extractors.text.model={encoder}",
        "features.extractors.text.layer=[1, -1]",
        "features.cache=false",
        "training.epochs=1",
    ]
    run = api.train("mosi_transcripts", out=tmp_path / "run", overrides=overrides)
    corpus = read_recipe("mosi_transcripts", overrides).load_corpus()
    assert corpus.sizes == {"text": 2 * tiny_encoders.WIDTH, "audio": 3, "vision": 2}
    assert all(corpus.sequences["text"].n_frames(name) == 1 for name in corpus.sequences["text"].ids)
    assert api.prepare(read_recipe("mosi_transcripts", overrides)).was_ready
    conditions = {row.available for row in api.evaluate([run.folder]) if row.condition == "configuration"}
    assert len(conditions) == 7


# --- the published files


def test_the_published_transcripts_are_all_there():
    if "EMOTIWAVE_DATA" not in os.environ:
        pytest.skip("EMOTIWAVE_DATA is not set: the published MOSI features are not here")
    if not (Path(os.environ["EMOTIWAVE_DATA"]) / "mosi_trimodal").is_dir():
        pytest.skip("mosi_trimodal is not in the folder that EMOTIWAVE_DATA names")
    found = load(MosiTranscriptsSettings())
    assert len(found.utterances) == 2199
    assert all((found.sources[utterance.id].text or "").strip() for utterance in found.utterances)
    assert {modality: of.size for modality, of in found.given.items()} == {"audio": 73, "vision": 100}
