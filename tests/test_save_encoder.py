"""The network inside a trained model, handed on as a checkpoint of transformers."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError

from emotiwave import api
from emotiwave.errors import CheckpointError, ConfigError, DataWarning
from emotiwave.features.extractors.text_encoder import TextEncoder, TextEncoderSettings
from emotiwave.models.checkpoint import load_model
from emotiwave.models.encoders.pretrained_part import PretrainedPart
from emotiwave.models.encoders.text_transformer import TextTransformer
from emotiwave.pretrained.files import EncoderFiles
from emotiwave.report.card import Part
from emotiwave.report.encoder_card import draw_encoder_card
from tests.test_cli import run as command
from tests.tiny_encoders import WIDTH, one_thread, save_bert

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    rows = [
        {"id": f"u{k}", "text": ("i am so happy", "you are very sad")[k % 2], "label": "ab"[k % 2], "split": split}
        for k, split in enumerate(["train"] * 8 + ["test"] * 4)
    ]
    pd.DataFrame(rows).to_csv(root / "rows.csv", index=False)
    (root / "recipe.toml").write_text(
        f"""
        dataset = {{ name = "manifest", file = "{root / "rows.csv"}" }}
        [features]
        extractors = {{ text = "words" }}
        cache_folder = "{root / "cache"}"
        [model]
        encoders = {{ text = {{ name = "text_transformer", pretrained = "{save_bert(root / "bert")}" }} }}
        [training]
        epochs = 1
        patience = 0
        learning_rate = 1e-2
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return api.train(root / "recipe.toml", out=root / "run").folder


def test_it_extracts_the_vectors_of_the_trained_model(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = command(capsys, "save-encoder", str(trained), "text", "--out", str(tmp_path / "deep" / "encoder"))
    assert code == 0, err
    words = ["you", "are", "very", "sad"]
    extract = TextEncoder(TextEncoderSettings(model=str(tmp_path / "deep" / "encoder"), precision="float32"))
    found = extract(words, np.zeros((4, 2))).values
    encoder = load_model(trained).encoder("text")
    from emotiwave.features.extractors.words import encode_words

    with torch.no_grad():
        expected, _ = encoder(torch.from_numpy(encode_words(words))[None], torch.ones(1, 4, dtype=torch.bool))
    assert found.shape == (4, WIDTH)
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-5, atol=1e-6)
    before = TextEncoder(TextEncoderSettings(model=str(trained.parent / "bert"), precision="float32"))
    assert np.abs(before(words, np.zeros((4, 2))).values - found).max() > 1e-3  # training has changed it
    card = (tmp_path / "deep" / "encoder" / "README.md").read_text()
    assert "Began from bert, licence unknown" in card
    assert "Trained on manifest, licence" in card
    assert "base_model" not in card  # a folder is no name of the Hub
    for path in (tmp_path / "deep" / "encoder").iterdir():
        assert str(trained.parent).encode() not in path.read_bytes(), path.name
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask(), path.name


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_licences_go_from_card_to_card(trained: Path, tmp_path: Path) -> None:
    first = api.save_encoder(trained, "text", tmp_path / "first")
    licence = EncoderFiles("first", first, None).licence
    assert licence is not None
    assert re.fullmatch(r"unknown \(bert\); .* \(manifest\)", licence)
    corpus = Part("corpus", 'more "data"\nlicense: mit', "CC BY 4.0")
    encoder = load_model(trained).encoder("text")
    assert isinstance(encoder, TextTransformer)
    encoder.source = {"name": "first", "licence": licence}
    (first / "README.md").write_text(draw_encoder_card("text", encoder, corpus, is_finished=False))
    again = EncoderFiles("first", first, None).licence
    assert again == f"{licence} (first); CC BY 4.0 (more 'data'/nlicense: mit)"
    assert "not finished" in (first / "README.md").read_text()


def test_an_unfinished_run_is_warned_of(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    told = json.loads((run / "environment.json").read_text())
    told.pop("training")
    (run / "environment.json").write_text(json.dumps(told))
    with pytest.warns(DataWarning, match="training is not finished"):
        folder = api.save_encoder(run, "text", tmp_path / "encoder")
    assert "Training was not finished" in (folder / "README.md").read_text()
    (run / "environment.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"environment\.json"):
        api.save_encoder(run, "text", tmp_path / "other")


def test_the_files_of_a_model_are_left_alone(trained: Path) -> None:
    with pytest.raises(ConfigError, match="lies among the files of the model"):
        api.save_encoder(trained, "text", trained / "encoders" / "mine")
    load_model(trained)


def test_what_cannot_be_written_leaves_nothing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(PretrainedPart, "save_checkpoint", full)
    with pytest.raises(ConfigError, match="No space left"):
        api.save_encoder(trained, "text", tmp_path / "encoder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; choose a new folder"):
        api.save_encoder(trained, "text", tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be written"):
        api.save_encoder(trained, "text", tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("modality", "says"),
    [("audio", "unknown modality 'audio'"), ("text", "not empty; choose another folder by --out")],
)
def test_what_cannot_be_written_is_said(modality: str, says: str, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(ConfigError, match=says):
        api.save_encoder(trained, modality, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_an_encoder_that_is_no_network_is_named(tmp_path: Path) -> None:
    sizes = [f"dataset.n_{split}={n}" for split, n in (("train", 40), ("validation", 20), ("test", 20))]
    run = api.train("synthetic", out=tmp_path / "run", overrides=[*sizes, "training.epochs=1"]).folder
    with pytest.raises(ConfigError, match="expected a published network, as of text_transformer"):
        api.save_encoder(run, "text", tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
