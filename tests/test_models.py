"""What single models and layers promise beyond the contract."""

import math
from typing import cast

import numpy as np
import pytest
import torch

from emotiwave.errors import ConfigError
from emotiwave.models import MODELS, create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.models.layers import CLIP, Attention, Standardize, sinusoids
from emotiwave.models.lstm_concat import LstmConcatZeros
from emotiwave.types import LabelSet
from tests.made import SIZES, made_batch, made_model

FIELD_SIZES = {"text": 300, "audio": 74, "vision": 713}
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
