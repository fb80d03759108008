"""`image_text`: its size, that it learns from either signal and from both, and the promises of every model."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emotiwave.batch import Batch, keep_only
from emotiwave.errors import ConfigError
from emotiwave.features.extractors.words import encode_words
from emotiwave.models import create_model
from emotiwave.models.checkpoint import load_model, save_model
from emotiwave.models.encoders.vocabulary import Vocabulary
from emotiwave.models.fusion import Encoded, FusionModel, ModelSettings, ModelSpec
from emotiwave.models.image_text import ImageText
from emotiwave.training.module import task_loss
from emotiwave.types import LabelSet, all_configurations
from tests import tiny_encoders
from tests.made import LABEL_SETS

SIDE = 12
SIZES = {"vision": SIDE * SIDE, "text": 32}
CONFIGURATIONS = all_configurations(SIZES)
SEVEN = LabelSet("categorical", ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"))
GRU = {"name": "gru", "n_words": 12, "width_embedding": 6, "width": 10}

one_thread = pytest.fixture(scope="module", autouse=True)(tiny_encoders.one_thread)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tiny_encoders.save_resnet(tmp_path_factory.mktemp("resnet"))
    return {"name": "resnet", "pretrained": str(folder), "pool": "mean", "side": 16}


def build(encoders: Mapping, kind: str = "categorical", sizes: Mapping[str, int] = SIZES) -> FusionModel:
    torch.manual_seed(0)
    settings = ModelSettings(name="image_text", encoders=dict(encoders))
    model = create_model(ModelSpec(settings, sizes, LABEL_SETS[kind])).eval()
    model.encoder("text").vocabulary = Vocabulary(("so", "glad", "sad", "!"))
    model.prior_logits.normal_()
    return model


@pytest.fixture
def model(resnet: dict) -> FusionModel:
    return build({"vision": resnet, "text": GRU})


def made_batch() -> Batch:
    """Six utterances; 1 and 4 lack the image, 2 and 4 the text, and 0 has several pictures with a hole."""
    said = ["so glad", "sad", "so", "so so sad !", "glad", "unheard of"]
    frames = [torch.from_numpy(encode_words(text.split())) for text in said]
    text = torch.zeros(6, max(map(len, frames)), 32)
    observed = torch.zeros(text.shape[:2], dtype=torch.bool)
    for row, words in enumerate(frames):
        text[row, : len(words)], observed[row, : len(words)] = words, True
    vision = torch.rand(6, 3, SIZES["vision"], generator=torch.Generator().manual_seed(1))
    seen = torch.tensor([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]]).bool()
    seen[[1, 4]], observed[[2, 4]] = False, False
    return Batch(
        tuple("abcdef"),
        {"vision": vision, "text": text},
        {"vision": seen, "text": observed},
        torch.eye(3).repeat(2, 1),
        {"vision": 0, "text": 0},
    )


def one(batch: Batch, row: int) -> Batch:
    """One utterance without what is unobserved at its end."""
    ends = {name: 1 + max([0, *mask[row].nonzero()[:, 0].tolist()]) for name, mask in batch.mask.items()}
    return replace(
        batch,
        ids=batch.ids[row : row + 1],
        inputs={name: values[row : row + 1, : ends[name]] for name, values in batch.inputs.items()},
        mask={name: mask[row : row + 1, : ends[name]] for name, mask in batch.mask.items()},
        targets=batch.targets[row : row + 1],
    )


def with_garbage(batch: Batch, garbage: float) -> Batch:
    inputs = {name: torch.where(batch.mask[name][..., None], values, garbage) for name, values in batch.inputs.items()}
    return replace(batch, inputs=inputs)


def statistics(model: FusionModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.named_buffers() if "running" in name}


# --- what it is


def test_the_published_model_is_as_large_as_it_must_be() -> None:
    settings = ModelSettings(
        name="image_text", encoders={"vision": {"name": "resnet", "pretrained": False, "pool": "mean"}}
    )
    with torch.device("meta"):
        model = create_model(ModelSpec(settings, {"vision": 48 * 48, "text": 32}, SEVEN))

    def count(part: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in part.parameters())

    assert count(model.encoders["vision"]) == 11_176_512  # He et al., 2016: 11,689,512 without 512 x 1000 + 1000
    assert count(model.encoders["text"]) == 5000 * 256 + 3 * 512 * (256 + 512 + 2)
    assert count(model.head) == 1024 * 1024 + 1024 + 1024 * 7 + 7
    assert count(model) == 11_176_512 + 2_462_720 + 1_049_600 + 7_175 + 2 * 512
    assert model.sizes == {"text": 512, "vision": 512}


def test_the_default_encoders_are_those_of_the_published_model() -> None:
    assert ImageText.default_encoders() == {"vision": {"name": "resnet", "pool": "mean"}, "text": "gru"}


@pytest.mark.parametrize("sizes", [{"text": 32}, {"vision": 144}, {"vision": 144, "text": 32, "audio": 4}])
def test_other_modalities_are_refused(sizes: dict) -> None:
    with pytest.raises(ConfigError, match=f"image_text reads vision and text; the data has {', '.join(sorted(sizes))}"):
        build({}, sizes=sizes)


def test_the_answer_by_hand(model: FusionModel) -> None:
    torch.nn.init.normal_(model.absent["text"])
    encoded, weights = model.encode(made_batch()), model.state_dict()

    def head(text: torch.Tensor, vision: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([text, vision])
        hidden = torch.relu(weights["head.0.weight"] @ joined + weights["head.0.bias"])
        return weights["head.3.weight"] @ hidden + weights["head.3.bias"]

    logits, states = model.fuse(encoded), encoded.values
    torch.testing.assert_close(logits[0], head(states["text"][0], states["vision"][0]))
    torch.testing.assert_close(logits[1], head(states["text"][1], torch.zeros(16)))  # not learned yet
    torch.testing.assert_close(logits[2], head(model.absent["text"], states["vision"][2]))
    torch.testing.assert_close(logits[4], model.prior_logits, rtol=0, atol=0)


def test_a_sequence_counts_by_the_mean_of_what_is_observed(resnet: dict) -> None:
    of_frames = build({"vision": resnet | {"pool": "frames"}, "text": GRU | {"output": "sequence"}})
    batch = made_batch()
    states, _ = of_frames.encoder("text")(batch.inputs["text"], batch.mask["text"])
    expected = torch.stack([states[3, word] for word in range(4)]).mean(dim=0)
    torch.testing.assert_close(of_frames.encode(batch).values["text"][3], expected)
    means = build({"vision": resnet, "text": GRU}).encode(batch)
    torch.testing.assert_close(of_frames.encode(batch).values["vision"], means.values["vision"])


# --- what every model keeps


@pytest.mark.parametrize("kind", list(LABEL_SETS))
def test_every_configuration_is_answered_as_if_the_rest_were_hidden(resnet: dict, kind: str) -> None:
    model, batch = build({"vision": resnet, "text": GRU}, kind), made_batch()
    answers = dict(model.each_configuration(batch, CONFIGURATIONS))
    assert len(answers) == 3
    for configuration, logits in answers.items():
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(logits, model(keep_only(batch, configuration.modalities)))
    torch.testing.assert_close(model(keep_only(batch, ())), model.prior_logits.expand(6, -1), rtol=0, atol=0)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -1e30])
@pytest.mark.parametrize("training", [False, True])
def test_garbage_in_unobserved_frames_changes_nothing(model: FusionModel, garbage: float, training: bool) -> None:
    batch, other = made_batch(), copy.deepcopy(model)
    torch.manual_seed(5)
    clean = model.train(training)(batch)
    torch.manual_seed(5)
    spoilt = other.train(training)(with_garbage(batch, garbage))
    torch.testing.assert_close(spoilt, clean, rtol=0, atol=0)
    for name, value in statistics(other).items():
        torch.testing.assert_close(value, statistics(model)[name], rtol=0, atol=0)
    task_loss(spoilt, batch.targets, LABEL_SETS["categorical"], torch.ones(3)).backward()
    assert all(torch.isfinite(p.grad).all() for p in other.parameters() if p.grad is not None)


def test_alone_is_as_in_a_batch(model: FusionModel) -> None:
    batch = made_batch()
    together = model(batch)
    for row in range(6):
        torch.testing.assert_close(model(one(batch, row))[0], together[row], rtol=1e-4, atol=1e-5)


def test_absent_images_are_in_no_batch_norm(model: FusionModel) -> None:
    batch, other = made_batch(), copy.deepcopy(model)
    there = torch.tensor([0, 2, 3, 5])
    few = replace(
        batch,
        targets=batch.targets[there],
        inputs={name: values[there] for name, values in batch.inputs.items()},
        mask={name: mask[there] for name, mask in batch.mask.items()},
    )
    before = statistics(model)
    model.train()(batch)
    other.train()(few)
    assert before.keys() == statistics(model).keys() != set()
    for name, value in statistics(model).items():
        torch.testing.assert_close(value, statistics(other)[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, before[name])
    settled = statistics(model)
    model(keep_only(batch, ["text"]))
    assert all(torch.equal(value, settled[name]) for name, value in statistics(model).items())


def test_every_parameter_is_trained(model: FusionModel) -> None:
    batch, reached = made_batch(), dict.fromkeys((name for name, _ in model.named_parameters()), False)
    model.train()
    for configuration in CONFIGURATIONS:
        model.zero_grad()
        logits = model(keep_only(batch, configuration.modalities))
        task_loss(logits, batch.targets, LABEL_SETS["categorical"], torch.ones(3)).backward()
        for name, value in model.named_parameters():
            reached[name] |= value.grad is not None and bool(value.grad.abs().sum() > 0)
    assert [name for name, was in reached.items() if not was] == []


def test_a_saved_model_gives_equal_bits(model: FusionModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    torch.testing.assert_close(loaded(made_batch()), model(made_batch()), rtol=0, atol=0)


# --- learning


def planted(n: int, seed: int) -> Batch:
    """Stripes tell the first class from the others, and a word tells the last: only both tell all three."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    stripes = (torch.arange(SIDE) // 2 % 2).float().expand(SIDE, SIDE)
    pictures = torch.where((labels == 0)[:, None, None], stripes, stripes.T)
    pictures = 0.8 * pictures + 0.2 * torch.rand(n, SIDE, SIDE, generator=generator)
    frames = torch.stack([torch.from_numpy(encode_words(["so", "sad" if label == 2 else "glad"])) for label in labels])
    mask = {"vision": torch.ones(n, 1, dtype=torch.bool), "text": torch.ones(n, 2, dtype=torch.bool)}
    inputs = {"vision": pictures.reshape(n, 1, -1), "text": frames}
    return Batch(tuple(map(str, range(n))), inputs, mask, torch.eye(3)[labels], {"vision": 0, "text": 0})


def hidden_at_random(encoded: Encoded) -> Encoded:
    gone = torch.randint(3, (len(encoded.present["text"]),))
    return encoded.keep({"vision": gone != 1, "text": gone != 2})


def test_it_learns_from_either_and_from_both(model: FusionModel) -> None:
    batch, test = planted(36, seed=0), planted(60, seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        logits = model.fuse(hidden_at_random(model.encode(batch)))
        task_loss(logits, batch.targets, LABEL_SETS["categorical"], torch.ones(3)).backward()
        optimizer.step()
    model.eval()
    truth = test.targets.argmax(dim=1)
    accuracy = {
        configuration.modalities: float((logits.argmax(dim=1) == truth).float().mean())
        for configuration, logits in model.each_configuration(test, CONFIGURATIONS)
    }
    assert accuracy.pop(("text",)) == pytest.approx(2 / 3)  # the most that a word tells
    assert accuracy.pop(("vision",)) == pytest.approx(2 / 3)
    assert list(accuracy.values()) == [1.0]
