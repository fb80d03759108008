"""What single models and layers promise beyond the contract."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import emotiwave
from emotiwave.config import parse_recipe
from emotiwave.errors import CheckpointError, ConfigError, DatasetError, DataWarning
from emotiwave.models import MODELS, create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.models.layers import CLIP, Attention, Standardize, sinusoids
from emotiwave.models.lstm_concat import LstmConcatZeros
from emotiwave.models.resolve import resolve_encoders
from emotiwave.run_folder import read_run
from emotiwave.sequences import ComputationalSequence
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import LabelSet
from tests.made import SIZES, made_batch, made_model, small_corpus
from tests.made_corpora import write_csv
from tests.made_media import write_sound
from tests.tiny_encoders import save_bert

FIELD_SIZES = {"text": 300, "audio": 74, "vision": 713}
SMALL = ["dataset.n_train=40", "dataset.n_validation=20", "dataset.n_test=20", "training.epochs=1"]
UNIMODAL = ["model.name=unimodal", "model.modality=text"]
SIX = LabelSet("multilabel", tuple("abcdef"))


def n_parameters(name: str, size: str = "small") -> int:
    model = create_model(ModelSpec(ModelSettings.model_validate({"name": name, "size": size}), FIELD_SIZES, SIX))
    return sum(parameter.numel() for parameter in model.parameters())


def test_lstm_concat_is_the_baseline_that_people_know() -> None:
    lstm = sum(
        2 * 4 * 128 * (size + 128 + 2) for size in FIELD_SIZES.values()
    )  # two directions, four gates, two biases
    head = 768 * 128 + 128 + 128 * 6 + 6
    absent = 768
    assert n_parameters("lstm_concat") == lstm + head + absent == 1_612_422


def test_lstm_concat_zeros_is_the_same_without_learned_states_of_absence() -> None:
    assert n_parameters("lstm_concat") - n_parameters("lstm_concat_zeros") == 768


def test_lstm_concat_zeros_hears_300_zeros_where_a_modality_is_absent() -> None:
    model, batch = made_model("lstm_concat_zeros"), made_batch(missing=False)
    assert isinstance(model, LstmConcatZeros)
    encoded = model.encode(batch)
    without = encoded.keep_only(["audio", "vision"])
    _, (state, _) = cast(torch.nn.LSTM, model.lstm["text"])(torch.zeros(1, 300, SIZES["text"]))
    of_zeros = torch.cat([state[0], state[1]], dim=1).expand(len(batch.ids), -1)
    heard = [encoded.values["audio"][:, 0], of_zeros, encoded.values["vision"][:, 0]]  # audio, text, vision
    torch.testing.assert_close(model.fuse(without), model.head(torch.cat(heard, dim=1)))
    assert not torch.allclose(model.fuse(without), model.fuse(encoded))


def test_lstm_concat_zeros_answers_nothing_at_all_by_zeros_in_training_and_by_the_prior_else() -> None:
    model, batch = made_model("lstm_concat_zeros"), made_batch(missing=False)
    nothing = model.encode(batch).keep_only([])
    torch.testing.assert_close(model.fuse(nothing), model.prior_logits.expand(len(batch.ids), -1), rtol=0, atol=0)
    torch.manual_seed(0)
    learned = model.train().fuse(nothing)
    assert not torch.allclose(learned, model.prior_logits.expand_as(learned))
    learned.sum().backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.lstm.parameters())


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"image_text", "unimodal"}))
def test_the_dial_makes_models_larger(name: str) -> None:
    assert n_parameters(name, "small") < n_parameters(name, "base") < n_parameters(name, "large")


def test_late_averages_probabilities_not_logits() -> None:
    model, batch = made_model("late"), made_batch(missing=False)
    encoded = model.encode(batch)
    probabilities = torch.stack([logits.softmax(dim=1) for logits in encoded.values.values()]).mean(dim=0)
    torch.testing.assert_close(model.fuse(encoded).softmax(dim=1), probabilities)


def test_late_averages_probabilities_of_each_label() -> None:
    model, batch = made_model("late", "multilabel"), made_batch(kind="multilabel", missing=False)
    encoded = model.encode(batch)
    probabilities = torch.stack([logits.sigmoid() for logits in encoded.values.values()]).mean(dim=0)
    torch.testing.assert_close(model.fuse(encoded).sigmoid(), probabilities)


def test_late_averages_the_values_of_what_is_present() -> None:
    model, batch = made_model("late", "continuous"), made_batch(kind="continuous", missing=False)
    encoded = model.encode(batch)
    alone = {name: model.fuse(encoded.keep_only([name])) for name in model.modalities}
    assert not torch.allclose(alone["text"], alone["audio"])
    for names in (["text", "audio"], ["text", "audio", "vision"]):
        expected = torch.stack([alone[name] for name in names]).mean(dim=0)
        torch.testing.assert_close(model.fuse(encoded.keep_only(names)), expected)


def test_unimodal_hears_one_modality() -> None:
    model, batch = made_model("unimodal"), made_batch(missing=False)
    louder = {name: values + (name != "text") for name, values in batch.inputs.items()}
    torch.testing.assert_close(model(type(batch)(**{**vars(batch), "inputs": louder})), model(batch), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "botleneck"}, "unknown model 'botleneck'; did you mean 'bottleneck'?"),
        ({"name": "unimodal"}, "needs model.modality; choose one of text, audio, vision"),
        ({"name": "unimodal", "modality": "txt"}, "unknown modality 'txt'; did you mean 'text'?"),
        ({"name": "late", "modality": "text"}, "model.modality is for 'unimodal' only"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        create_model(ModelSpec(ModelSettings(**settings), SIZES, SIX))
    assert message in str(error.value)


# --- encoders that the settings name and the model does without


def test_a_new_model_refuses_an_encoder_of_what_the_data_lacks() -> None:
    for name, modality in (("late", None), ("unimodal", "text")):
        settings = ModelSettings(name=name, modality=modality, encoders={"vison": "conv"})
        with pytest.raises(ConfigError, match=r"model\.encoders: unknown modality 'vison'; did you mean 'vision'\?"):
            create_model(ModelSpec(settings, SIZES, SIX))
        create_model(ModelSpec(settings, SIZES, SIX), left_out=["vison"])


def test_a_unimodal_run_with_encoders_of_others_is_loaded_scored_and_told(tmp_path: Path) -> None:
    encoders = "model.encoders={text={name='conv', width=8}, audio={name='lstm', width=6}}"
    run = emotiwave.train("synthetic", out=tmp_path, overrides=[*SMALL, *UNIMODAL, encoders])
    model = emotiwave.load_model(run)
    assert model.modalities == ("text",)
    assert set(model.spec.settings.encoders) == {"text", "audio"}
    assert model.spec.settings == read_run(tmp_path).model
    assert {row.available for row in emotiwave.evaluate(run)} >= {("text",), ("text", "audio")}
    assert "| audio | as in the corpus" not in (tmp_path / "README.md").read_text()


# --- modalities that no training utterance has


def made_manifest(folder: Path, n_with_text: int = 0) -> Path:
    rows = []
    for k in range(12):
        low = k % 2 == 0
        sound = 0.3 * np.sin(2 * np.pi * (150 if low else 900) * np.arange(3200) / 16_000)
        write_sound(folder / f"c{k}.wav", sound.astype(np.float32))
        split = "train" if k < 6 else "validation" if k < 9 else "test"
        row = {"id": f"c{k}", "audio": f"c{k}.wav", "label": "sadness" if low else "joy", "split": split}
        rows.append(row | ({"text": "so good" if k >= 12 - n_with_text else ""} if n_with_text else {}))
    return write_csv(folder / "clips.csv", rows)


def end_to_end(folder: Path, **changed: str) -> list[str]:
    keys = {
        "dataset.file": str(folder / "clips.csv"),
        "features.store": str(folder / "store"),
        "features.cache": "false",
        "features.frames": "{audio = 8, text = 9, vision = 4}",
        "features.extractors": "{audio = 'logmel', text = 'words', vision = 'face'}",
        "model.name": "cross_modal_transformer",
        "model.encoders": "{text = 'gru', vision = {name = 'resnet', pretrained = false}}",
        "training.epochs": "1",
        "training.patience": "1",
    }
    return [f"{key}={value}" for key, value in (keys | changed).items()]


@pytest.mark.parametrize("n_with_text", [0, 3])
def test_a_model_goes_without_what_no_training_utterance_has(tmp_path: Path, n_with_text: int) -> None:
    made_manifest(tmp_path, n_with_text)
    overrides = end_to_end(tmp_path)
    with pytest.warns(DataWarning) as warned:
        run = emotiwave.train("manifest", out=tmp_path / "run", overrides=overrides)
    for name in ("text", "vision"):
        told = f"manifest: {name}: no training utterance has it; the model is trained without it"
        assert [str(one.message) for one in warned].count(told) == 1
    scores = emotiwave.evaluate(run)
    assert {row.available for row in scores if row.condition == "configuration"} == {("audio",)}
    model = emotiwave.load_model(run)
    assert model.modalities == ("audio",)
    assert model.spec.settings == read_run(run.folder).model
    card = (run.folder / "README.md").read_text()
    assert "| audio | logmel |" in card
    assert "| text |" not in card
    with pytest.warns(DataWarning):
        again = emotiwave.train("manifest", out=tmp_path / "run", overrides=overrides, resume=True)
    assert again.summary == run.summary
    assert emotiwave.evaluate(run) == scores
    emotiwave.write_report(run)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"model.name": "image_text"},
            r"no training utterance has text or vision, and image_text reads vision and text",
        ),
        (
            {"model.name": "unimodal", "model.modality": "text"},
            r"no training utterance has text or vision; set model\.modality to one of audio",
        ),
    ],
)
def test_a_model_that_cannot_go_without_says_so(tmp_path: Path, changed: dict, message: str) -> None:
    made_manifest(tmp_path)
    with pytest.raises(ConfigError, match=f"manifest: {message}"):
        emotiwave.train("manifest", out=tmp_path / "run", overrides=end_to_end(tmp_path, **changed))


def test_what_is_learnable_has_an_observed_frame_in_training() -> None:
    corpus = small_corpus(missing=0.0)
    assert without_unlearnable(corpus) is corpus
    ids = [utterance.id for utterance in corpus.utterances if utterance.split == "train"]
    rows = corpus.sequences["audio"].row
    spoilt = corpus.sequences["audio"].values.copy()
    for name in ids:
        spoilt[slice(*corpus.sequences["audio"].offsets[[rows[name], rows[name] + 1]])] = np.nan
    audio = replace(corpus.sequences["audio"], values=spoilt)
    without = without_unlearnable(replace(corpus, sequences={**corpus.sequences, "audio": audio}))
    assert without.modalities == tuple(name for name in corpus.modalities if name != "audio")
    alone = replace(corpus, sequences={"audio": audio})
    assert without_unlearnable(alone) is alone  # nothing would be left
    text = ComputationalSequence.from_sequences({name: corpus.sequences["text"][name] for name in ids})
    with pytest.raises(DatasetError, match=r"utterance '.*' has audio alone, and no training utterance has audio"):
        without_unlearnable(replace(corpus, sequences={"audio": audio, "text": text}))


# --- checkpoints that are looked at before anything is extracted


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ({"text": "text_transformer"}, r"model\.encoders\.text: google-bert/bert-base-uncased: .*out of reach"),
        ({"audio": "speech_transformer"}, r"model\.encoders\.audio: facebook/hubert-base-ls960: .*out of reach"),
        ({"vision": "resnet"}, r"model\.encoders\.vision: microsoft/resnet-18: .*out of reach"),
        ({"vision": {"name": "resnet", "depth": 50}}, r"microsoft/resnet-50: .*out of reach"),
        ({"text": {"name": "text_transformer", "pretrained": "{bert}", "train": "last-3"}}, r"has 2 layers.*'last-3'"),
        ({"vision": {"name": "resnet", "pretrained": "{bert}"}}, r"encoders\.vision: .*of kind 'text'.*kind 'image'"),
        ({"text": {"name": "text_transformer", "pretrained": "{bert}x"}}, r"encoders\.text: no folder .*bertx"),
        ({"text": {"name": "text_transformer", "pretrained": "{light}"}}, r"encoders\.text: .*no model\.safetensors"),
    ],
)
@pytest.mark.parametrize("command", ["train", "prepare"])
def test_encoders_are_found_before_media_are_read(tmp_path: Path, encoders: dict, message: str, command: str) -> None:
    (tmp_path / "clips.csv").write_text("id,text,label,split\na,so good,joy,train\nb,so bad,anger,test\n")
    bert = save_bert(tmp_path / "bert")
    shutil.copytree(bert, tmp_path / "light", ignore=lambda *_: ["model.safetensors"])
    named = json.loads(json.dumps(encoders).replace("{bert}", str(bert)).replace("{light}", str(tmp_path / "light")))
    tables = {
        "dataset": {"name": "manifest", "file": str(tmp_path / "clips.csv")},
        "features": {"store": str(tmp_path / "store"), "cache": False},
        "model": {"name": "late", "encoders": named},
    }
    recipe = parse_recipe(tables, source="r")
    with pytest.raises((ConfigError, CheckpointError), match=message):
        emotiwave.train(recipe, out=tmp_path / "run") if command == "train" else emotiwave.prepare(recipe)
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "run").exists()


def test_encoders_are_found_before_a_store_is_read(tmp_path: Path) -> None:
    tables = {"dataset": {"store": str(tmp_path / "none")}, "model": {"encoders": {"text": "text_transformer"}}}
    with pytest.raises(ConfigError, match=r"model\.encoders\.text: google-bert"):
        emotiwave.train(parse_recipe(tables, source="r"), out=tmp_path / "run")


def test_encoders_that_can_be_had_are_found_without_reading_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = save_bert(tmp_path / "bert")
    (bert / "model.safetensors").write_bytes(b"not looked at")
    text = {"name": "text_transformer", "pretrained": str(bert), "train": "last-2"}
    audio = "speech_transformer"  # which nobody can reach
    for vision in ({"name": "resnet", "pretrained": False}, "conv"):
        resolve_encoders(ModelSettings(name="late", encoders={"text": text, "vision": vision}))
    resolve_encoders(ModelSettings(name="unimodal", modality="text", encoders={"text": text, "audio": audio}))
    with pytest.raises(ConfigError, match="resnet-18"):
        resolve_encoders(ModelSettings(name="image_text"))  # its default


def test_standardize_scales_clips_and_blanks() -> None:
    layer = Standardize(2)
    layer.center, layer.scale = torch.tensor([1.0, 10.0]), torch.tensor([2.0, 5.0])
    values = torch.tensor([[[3.0, 0.0], [1e9, -1e9], [float("nan"), 7.0]]])
    out = layer(values, torch.tensor([[True, True, False]]))
    assert out.tolist() == [[[1.0, -2.0], [CLIP, -CLIP], [0.0, 0.0]]]
    assert values[0, 0, 0] == 3.0  # the caller's tensor is untouched


def test_attention_equals_softmax_by_hand() -> None:
    torch.manual_seed(0)
    layer = Attention(width=4, n_heads=2)
    queries, keys = torch.randn(1, 3, 4), torch.randn(1, 5, 4)
    mask = torch.tensor([[True, False, True, True, False]])
    q = layer.query(queries)[0].detach().numpy()
    k, v = np.split(layer.key_value(keys)[0].detach().numpy(), 2, axis=1)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        scores = q[:, head] @ k[[0, 2, 3]][:, head].T / math.sqrt(2)
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        heads.append(weights @ v[[0, 2, 3]][:, head])
    expected = layer.out(torch.from_numpy(np.concatenate(heads, axis=1)))
    torch.testing.assert_close(layer(queries, keys, mask)[0], expected)


def test_sinusoids_follow_the_paper() -> None:
    table = sinusoids(4, 6)
    assert table.shape == (4, 6)
    torch.testing.assert_close(table[3, 2], torch.tensor(math.sin(3 / 10_000 ** (2 / 6))))
    torch.testing.assert_close(table[3, 3], torch.tensor(math.cos(3 / 10_000 ** (2 / 6))))
