"""Transformers of text and speech as parts of models: their vectors, masks, what is trained and what is saved."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emotiwave.batch import Batch
from emotiwave.errors import CheckpointError, ConfigError, FeatureError
from emotiwave.features.extractors.words import encode_words as write_words
from emotiwave.models import create_model
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.pretrained_part import PretrainedPart, pad_rows
from emotiwave.models.encoders.speech_transformer import SpeechTransformer, SpeechTransformerSettings
from emotiwave.models.encoders.text_transformer import TextTransformer, TextTransformerSettings
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.pretrained import files as encoder_files
from emotiwave.pretrained import load_encoder
from emotiwave.pretrained.speech import SpeechPreprocessing, encode_speech
from emotiwave.pretrained.text import TextPreprocessing, encode_words
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from tests import tiny_encoders as tiny
from tests.made import LABEL_SETS

TEXTS = ["i am so unhappy today !", "", "happy", "you are not very sad " * 6, "\x01 happy"]
SPEECH = [(kind, norm) for kind in ("hubert", "wav2vec2", "wavlm") for norm in ("group", "layer")]
SPEECH.append(("data2vec-audio", "layer"))

one_thread = pytest.fixture(scope="module", autouse=True)(tiny.one_thread)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    speech = {f"{kind}-{norm}": tiny.save_speech(root / kind / norm, kind, norm) for kind, norm in SPEECH}
    text = {"bert": tiny.save_bert(root / "bert"), "roberta": tiny.save_roberta(root / "roberta")}
    # the first frame sees 1 + 9 + 5 * 3 + 20 * 39 = 805 samples
    wide = tiny.save_speech(root / "wide", conv_kernel=(10, 4, 40))
    return speech | text | {"wide": wide, "resnet": tiny.save_resnet(root / "resnet")}


@pytest.fixture(scope="module")
def build(saved):
    def built(name: str, folder: Path | None = None, **settings: Any) -> PretrainedPart:
        keys = {"pretrained": str(saved[name])} | settings
        if name in ("bert", "roberta"):
            return TextTransformer(TextTransformerSettings.model_validate(keys), Origin("text", 32, folder))
        return SpeechTransformer(SpeechTransformerSettings.model_validate(keys), Origin("audio", 320, folder))

    return built


def written(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of words, padded; what is unobserved is NaN."""
    return pad([write_words(text.split(" ") if text else []) for text in texts])


def pad(rows: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    values = np.full((len(rows), max(map(len, rows)), rows[0].shape[1]), np.nan, np.float32)
    for row, frames in enumerate(rows):
        values[row, : len(frames)] = frames
    return torch.from_numpy(values), torch.from_numpy(np.isfinite(values).all(axis=2))


def sounds(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return pad([rng.normal(0, 0.1, (length, 320)).astype(np.float32) for length in lengths])


def example(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return written(TEXTS) if name in ("bert", "roberta") else sounds(4, 0, 7, 1)


def sequence_of(frames: np.ndarray) -> ComputationalSequence:
    intervals = np.stack([np.arange(len(frames)), np.arange(len(frames)) + 1.0], axis=1)
    return ComputationalSequence.from_sequences({"a": FeatureSequence(frames.astype(np.float32), intervals)})


def gradients(encoder: PretrainedPart) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in encoder.named_parameters()}


EVERY = ["bert", "roberta", *(f"{kind}-{norm}" for kind, norm in SPEECH)]
SOME = ["bert", "hubert-group", "wavlm-layer"]


# what comes out


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("pieces", ["mean", "first"])
def test_words_are_those_of_the_extractor(name, pieces, saved, build):
    encoder = load_encoder(str(saved[name]), "text")
    texts = [text.split(" ") if text else [] for text in TEXTS]
    expected = encode_words(encoder, TextPreprocessing.of(encoder), texts, [tiny.DEPTH], pieces)
    vectors, mask = build(name, pieces=pieces).eval()(*written(TEXTS))
    assert vectors.shape == (5, 31, tiny.WIDTH)  # the long text ends with an empty word
    for row, words in enumerate(expected):
        seen = ~words.isnan().any(dim=1)
        assert mask[row, : len(words)].tolist() == seen.tolist()
        assert not mask[row, len(words) :].any()
        torch.testing.assert_close(vectors[row, : len(words)][seen], words[seen])
    assert mask.any(dim=1).tolist() == [True, False, True, True, True]


def test_a_word_that_nothing_is_made_of_is_unobserved(build):
    _, mask = build("bert").eval()(*written(["\x01 happy"]))
    assert mask.tolist() == [[False, True]]


@pytest.mark.parametrize(("kind", "norm"), SPEECH)
@pytest.mark.parametrize("layer", [-1, 1])
def test_sound_is_that_of_the_extractor(kind, norm, layer, saved, build):
    encoder = load_encoder(str(saved[f"{kind}-{norm}"]), "speech")
    preprocessing = SpeechPreprocessing.of(encoder)
    values, mask = sounds(4, 7)
    waves = [preprocessing.prepare(row[seen].flatten().numpy()) for row, seen in zip(values, mask, strict=True)]
    expected = encode_speech(encoder, preprocessing, waves, encoder.layer_index(layer))
    part = build(f"{kind}-{norm}", layer=layer).eval()
    vectors, observed = part(values, mask)
    # 85 samples a frame, one each 40
    assert observed.sum(dim=1).tolist() == [(4 * 320 - 85) // 40 + 1, (7 * 320 - 85) // 40 + 1]
    for row, states in enumerate(expected):
        torch.testing.assert_close(vectors[row, : len(states)], states, rtol=1e-4, atol=1e-5)
    assert len(part.layers) == (2 if layer == -1 else 1)


def test_neighbouring_frames_become_their_mean(build):
    values, mask = sounds(2, 1, 0)
    every, seen = build("hubert-group").eval()(values, mask)
    thin, observed = build("hubert-group", stride=4).eval()(values, mask)
    assert seen.sum(dim=1).tolist() == [14, 6, 0]
    assert observed.sum(dim=1).tolist() == [4, 2, 0]
    torch.testing.assert_close(thin[0, 0], every[0, :4].mean(dim=0))
    torch.testing.assert_close(thin[0, 3], every[0, 12:14].mean(dim=0))
    torch.testing.assert_close(thin[1, 1], every[1, 4:6].mean(dim=0))


def test_sound_shorter_than_a_frame_is_unobserved(build):
    values, mask = sounds(2, 3, 0)
    vectors, observed = build("wide").eval()(values, mask)  # 40 ms, 60 ms, none; a frame sees 50
    assert observed.any(dim=1).tolist() == [False, True, False]
    assert torch.isfinite(vectors).all()
    _, observed = build("wide").train()(values[:1], mask[:1])
    assert observed.shape[1] >= 1
    assert not observed.any()


# masks


@pytest.mark.parametrize("name", EVERY)
def test_alone_is_as_in_a_batch(name, build):
    encoder = build(name).eval()
    values, mask = example(name)
    together, observed = encoder(values, mask)
    for row in range(len(values)):
        vectors, seen = encoder(values[row : row + 1], mask[row : row + 1])
        assert seen.sum() == observed[row].sum()
        torch.testing.assert_close(vectors[0][seen[0]], together[row][observed[row]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("training", [False, True])
def test_unobserved_frames_are_cut_out(name, training, build):
    encoder = build(name).train(training)
    values, mask = example(name)
    wider = torch.full((len(values), 2 * values.shape[1], values.shape[2]), -1e30)
    wider[:, ::2] = values
    holes = torch.zeros(wider.shape[:2], dtype=torch.bool)
    holes[:, ::2] = mask
    torch.manual_seed(0)
    clean, observed = encoder(values, mask)
    torch.manual_seed(0)
    vectors, seen = encoder(wider, holes)
    torch.testing.assert_close(vectors, clean, rtol=0, atol=0)
    assert torch.equal(seen, observed)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("training", [False, True])
def test_nothing_observed_at_all(name, training, build):
    values, mask = example(name)
    vectors, observed = build(name).train(training)(torch.full_like(values, torch.nan), torch.zeros_like(mask))
    assert vectors.shape[0] == len(values)
    assert vectors.shape[1] >= 1
    assert torch.isfinite(vectors).all()
    assert not observed.any()


@pytest.mark.parametrize("name", SOME)
def test_a_network_that_diverged_is_seen_and_not_missing(name, build):
    encoder, (values, mask) = build(name).eval(), example(name)
    _, expected = encoder(values, mask)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(torch.nan)
    vectors, observed = encoder(values, mask)
    assert torch.equal(observed, expected)
    assert vectors[observed].isnan().all()
    assert (vectors[~observed] == 0).all()


def test_answers_of_a_model_whose_encoder_diverged_are_not_finite(saved):
    settings = ModelSettings(
        name="late", encoders={"text": {"name": "text_transformer", "pretrained": str(saved["bert"])}}
    )
    model = create_model(ModelSpec(settings, {"text": 32}, LABEL_SETS["categorical"])).eval()
    torch.nn.init.constant_(next(model.encoder("text").parameters()), torch.nan)
    values, mask = written(["happy", ""])
    batch = Batch(("a", "b"), {"text": values}, {"text": mask}, torch.eye(3)[:2], {"text": 0})
    assert model(batch).isfinite().all(dim=1).tolist() == [False, True]


def test_rows_of_any_lengths_come_together():
    nothing = torch.zeros(0, 2)
    values, mask = pad_rows([nothing, nothing], like=torch.zeros(1))
    assert values.tolist() == [[[0.0, 0.0]], [[0.0, 0.0]]]
    assert mask.tolist() == [[False], [False]]


# training


@pytest.mark.parametrize("name", EVERY)
def test_every_trained_parameter_gets_a_gradient(name, build):
    encoder = build(name).train()
    vectors, observed = encoder(*example(name))
    (vectors * torch.rand_like(vectors) * observed[..., None]).sum().backward()
    assert [key for key, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SOME)
def test_in_training_only_hidden_states_are_dropped(name, build):
    """No SpecAugment, which draws from numpy, no dropped layer and no dropout of attention."""
    encoder = build(name).train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        assert getattr(module, "dropout_prob", 0.0) == 0.0
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch.manual_seed(0)
    trained, _ = encoder(*example(name))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    torch.testing.assert_close(trained, encoder.eval()(*example(name))[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SOME)
def test_frozen_it_has_no_dropout_and_no_gradient(name, build):
    encoder = build(name, train="frozen").train()
    vectors, _ = encoder(*example(name))
    assert not vectors.requires_grad
    torch.testing.assert_close(vectors, encoder.eval()(*example(name))[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", SOME)
def test_of_the_last_layer_only_that_is_trained(name, build):
    encoder = build(name, train="last-1").train()
    training = {key for key, module in encoder.named_modules() if module.training and list(module.parameters())}
    encoder(*example(name))[0].sum().backward()
    trained = {key for key, grad in gradients(encoder).items() if grad is not None}
    assert trained
    last_norm = {f"network.encoder.layer_norm.{key}" for key in ("weight", "bias")} if name == "wavlm-layer" else set()
    assert trained - last_norm == {
        key for key, _ in encoder.named_parameters() if "encoder.layer" in key and ".1." in key
    }
    assert last_norm <= trained
    assert all(key == "" or "encoder.layer" in key for key in training)


def test_more_layers_than_there_are(build):
    with pytest.raises(
        ConfigError,
        match=r"encoders.text: .*bert has 2 layers; got train = 'last-12': write \"last-1\", \"last-2\" or \"full\"",
    ):
        build("bert", train="last-12")


@pytest.mark.parametrize("name", SOME)
def test_rates_fall_from_layer_to_layer(name, build):
    encoder = build(name, layer_decay=0.5)
    groups = list(encoder.parameter_groups(8.0))
    assert [group["lr"] for group in groups] == [2.0, 4.0, 8.0]
    names = {id(parameter): key for key, parameter in encoder.named_parameters()}
    keys = [{names[id(parameter)] for parameter in group["params"]} for group in groups]
    assert all(".0." in key for key in keys[1])
    assert all(".1." in key or "encoder.layer_norm" in key for key in keys[2])
    assert len(set.union(*keys)) == sum(map(len, keys)) == len(list(encoder.parameters()))
    stem = {"bert": "embeddings", "hubert-group": "feature_projection", "wavlm-layer": "feature_projection"}[name]
    assert any(stem in key for key in keys[0])


@pytest.mark.parametrize("name", SOME)
def test_activations_made_again_change_nothing(name, build):
    plain, again = build(name).train(), build(name, gradient_checkpointing=True).train()
    assert list(plain.state_dict()) == list(again.state_dict())
    calls, answers = [], []
    for encoder in (plain, again):
        counted: list[int] = []
        first = next(m for m in encoder.layers[0].modules() if isinstance(m, torch.nn.Linear))
        first.register_forward_hook(lambda *_, counted=counted: counted.append(1))
        torch.manual_seed(1)
        vectors, _ = encoder(*example(name))
        vectors.square().sum().backward()
        answers.append(vectors)
        calls.append(len(counted))
    torch.testing.assert_close(answers[1], answers[0], rtol=0, atol=0)
    torch.testing.assert_close(gradients(again), gradients(plain), rtol=1e-6, atol=1e-6)
    assert calls[1] == 2 * calls[0]
    again.eval()(*example(name))


@pytest.mark.parametrize("name", SOME)
def test_copies_are_apart(name, build):
    encoder = build(name, gradient_checkpointing=True).train()
    encoder(*example(name))
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    other(*example(name))[0].sum().backward()
    torch.testing.assert_close(encoder.state_dict(), build(name).state_dict(), rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("name", SOME)
def test_bfloat16_is_near(name, build):
    expected, _ = build(name).eval()(*example(name))
    vectors, _ = build(name, precision="bfloat16").eval()(*example(name))
    assert vectors.dtype == torch.float32
    assert not torch.equal(vectors, expected)
    bound = 0.2 if name.startswith(("hubert", "wavlm")) else 0.05  # .12 where oneDNN uses bfloat16 instructions
    assert (vectors - expected).norm() < bound * expected.norm()


# files


@pytest.mark.parametrize("name", [*EVERY, "hubert-layer:1"])
def test_saved_it_is_built_again_without_the_checkpoint(name, saved, build, tmp_path):
    name, _, layer = name.partition(":")
    settings = {"layer": int(layer)} if layer else {}
    source = Path(shutil.copytree(saved[name], tmp_path / "source"))
    encoder = build(name, pretrained=str(source), **settings).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.01)
    shutil.rmtree(source)
    folder = tmp_path / "saved"
    folder.mkdir()
    encoder.save_files(folder)
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".txt"}
    again = build(name, folder, pretrained=str(source), **settings).eval()
    again.load_state_dict(encoder.state_dict())
    expected, mask = encoder(*example(name))
    vectors, observed = again(*example(name))
    torch.testing.assert_close(vectors, expected, rtol=0, atol=0)
    assert torch.equal(observed, mask)
    assert list(again.parts) == list(encoder.parts) == [{"name": "source"}]


@pytest.mark.parametrize("name", [*EVERY, "hubert-group:1"])
def test_what_is_saved_as_a_checkpoint_is_loaded_as_one(name, build, tmp_path):
    name, _, layer = name.partition(":")
    encoder = build(name, **({"layer": int(layer)} if layer else {})).eval()
    with torch.no_grad():
        for value in encoder.state_dict().values():
            if value.is_floating_point():
                value.add_(0.01)
    encoder.save_checkpoint(tmp_path / "saved")
    again = build(name, pretrained=str(tmp_path / "saved")).eval()  # by the strict loader of checkpoints
    expected, _ = encoder(*example(name))
    vectors, _ = again(*example(name))
    torch.testing.assert_close(vectors, expected, rtol=0, atol=0)
    assert again.encoder.depth == (int(layer) if layer else encoder.encoder.depth)


def test_of_a_network_that_was_cut_below_its_last_norm_no_checkpoint_is_made(build, tmp_path):
    with pytest.raises(ConfigError, match=r"layer, up to layer 1.*: is no whole network any more"):
        build("hubert-layer", layer=1).save_checkpoint(tmp_path / "saved")


def test_a_saved_checkpoint_has_the_dropout_of_that_which_training_began_from(saved, build, tmp_path):
    source = Path(shutil.copytree(saved["bert"], tmp_path / "source"))
    config = json.loads((source / "config.json").read_text())
    for k, stated in enumerate(({"attention_probs_dropout_prob": 0.25}, {})):
        config.pop("attention_probs_dropout_prob", None)
        (source / "config.json").write_text(json.dumps(config | stated))
        encoder = build("bert", pretrained=str(source))
        assert encoder.network.config.attention_probs_dropout_prob == 0.0
        encoder.save_checkpoint(tmp_path / f"saved{k}")
        again = json.loads((tmp_path / f"saved{k}" / "config.json").read_text())
        assert again.get("attention_probs_dropout_prob") == stated.get("attention_probs_dropout_prob")


def test_commit_and_licence_of_the_hub_are_kept(saved, build, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = Path(shutil.copytree(saved["bert"], tmp_path / commit))
    (folder / "README.md").write_text('---\nlanguage: en\nlicense: "mit"\n---\n')
    asked = []
    monkeypatch.setattr(
        encoder_files, "_snapshot", lambda name, revision, patterns: asked.append((name, revision)) or folder
    )
    encoder = build("bert", pretrained="someone/some-bert", revision="main")
    expected = [{"name": "someone/some-bert", "revision": commit, "licence": "mit"}]
    assert list(encoder.parts) == expected
    assert asked[0] == ("someone/some-bert", "main")
    (tmp_path / "saved").mkdir()
    encoder.save_files(tmp_path / "saved")
    assert list(build("bert", tmp_path / "saved", pretrained="someone/some-bert").parts) == expected


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: cc-by-nc-4.0\n---\n", "cc-by-nc-4.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\ntags: []\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense:\n---\n", None),
        ("\xff\xfe", None),
    ],
)
def test_the_licence_is_that_of_the_card(card, licence, tmp_path):
    (tmp_path / "README.md").write_bytes(card.encode("latin-1"))
    assert encoder_files.EncoderFiles("x", tmp_path, None).licence == licence


def test_a_card_changes_no_identity(saved, tmp_path):
    folder = Path(shutil.copytree(saved["bert"], tmp_path / "bert"))
    before = encoder_files.EncoderFiles("x", folder, None).identity
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert encoder_files.EncoderFiles("x", folder, None).identity == before


@pytest.mark.parametrize("content", ["[]", '{"licence": "mit"}', '{"name": 3}', "{"])
def test_a_damaged_source_is_named(content, build, tmp_path):
    build("bert").save_files(tmp_path)
    (tmp_path / "source.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"encoders.text: .*source\.json"):
        build("bert", tmp_path)


@pytest.mark.parametrize(
    ("name", "settings", "described"),
    [
        ("bert", {}, "bert, trained in full"),
        ("hubert-group", {"layer": 1, "train": "frozen"}, "group, up to layer 1, frozen"),
        ("hubert-layer", {"train": "last-2"}, "layer, last 2 layers trained"),
    ],
)
def test_it_is_described_without_paths_also_when_built_again(name, settings, described, build, tmp_path):
    encoder = build(name, **settings)
    assert encoder.described == described
    encoder.save_files(tmp_path)
    assert build(name, tmp_path, **settings).described == described


# what does not fit


def test_more_stages_in_all_than_anyone_has(tmp_path):
    folder = tiny.save_resnet(tmp_path / "resnet")
    config = json.loads((folder / "config.json").read_text())
    for depths, message in (([2] * 300, "layers of all stages 600"), ([0] * 600, "stages 600")):
        changed = {"depths": depths, "hidden_sizes": [8] * len(depths), "stage_names": None, "out_features": None}
        (folder / "config.json").write_text(json.dumps(config | changed | {"out_indices": None}))
        with pytest.raises(CheckpointError, match=rf"config\.json: number of {message}; expected 0 to 512"):
            load_encoder(str(folder), "image", weights=False)


@pytest.mark.parametrize("settings", [{"train": "last-1"}, {"layer_decay": 0.9}, {"gradient_checkpointing": True}])
def test_layers_that_cannot_be_told_apart(settings, saved, build, monkeypatch):
    monkeypatch.setattr("emotiwave.models.encoders.pretrained_part.find_layers", lambda _: [])
    with pytest.raises(ConfigError, match=rf"encoders.text: {next(iter(settings))}: no layers .* type 'bert'"):
        build("bert", **settings)


@pytest.mark.parametrize(
    ("encoder", "settings", "needed"),
    [
        (TextTransformer, TextTransformerSettings(), "words"),
        (SpeechTransformer, SpeechTransformerSettings(), "waveform"),
    ],
)
def test_frames_of_another_extractor(encoder, settings, needed):
    message = rf'encoders.m: .*300 features per frame: set features.extractors.m = "{needed}"'
    with pytest.raises(ConfigError, match=message):
        encoder(settings, Origin("m", 300))


@pytest.mark.parametrize(("name", "other"), [("bert", "hubert-group"), ("hubert-group", "resnet"), ("bert", "resnet")])
def test_a_network_of_another_kind(name, other, saved, build):
    with pytest.raises(ConfigError, match=r"expected an encoder of kind '(text|speech)'"):
        build(name, pretrained=str(saved[other]))


@pytest.mark.parametrize("name", ["bert", "hubert-group"])
def test_a_network_out_of_reach(name, build):
    with pytest.raises(
        ConfigError, match=r"encoders\.\w+: (google-bert/bert-base-uncased|facebook/hubert-base-ls960): "
    ):
        build(name, pretrained=True)


@pytest.mark.parametrize("settings", [TextTransformerSettings, SpeechTransformerSettings])
def test_from_scratch_is_refused(settings):
    with pytest.raises(ValueError, match=r'"(gru|conv)"'):
        settings.model_validate({"pretrained": False})


def test_a_tokenizer_of_another_network(saved, build, tmp_path):
    folder = tiny.save_bert(tmp_path / "bert")
    for path in saved["roberta"].glob("*token*"):
        shutil.copy(path, folder)
    with pytest.raises(CheckpointError, match=r"encoders.text: .*they do not belong together"):
        build("bert", pretrained=str(folder))


def test_a_tokenizer_that_is_not_there(build, tmp_path):
    folder = tiny.save_bert(tmp_path / "bert")
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"encoders.text: .*no tokenizer"):
        build("bert", pretrained=str(folder))


def test_sound_of_another_rate(build, tmp_path):
    folder = tiny.save_speech(tmp_path / "slow")
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    with pytest.raises(ConfigError, match=r"encoders.audio: .*takes sound of 8,000 Hz"):
        build("hubert-group", pretrained=str(folder))


@pytest.mark.parametrize(
    ("layer", "message"), [(0, "below the first layer"), (3, "no layer 3"), (-3, "below the first")]
)
def test_a_layer_that_is_not_there(layer, message, build):
    with pytest.raises(ConfigError, match=message):
        build("hubert-group", layer=layer)


def test_frames_are_looked_at_before_training(build):
    noise = np.random.default_rng(0).normal(0, 0.1, (50, 320))
    words = write_words(["happy"] * 50)
    text, speech = build("bert"), build("hubert-group")
    text.fit(sequence_of(words), ["a"])
    speech.fit(sequence_of(noise), ["a"])
    with pytest.raises(FeatureError, match="no words"):
        text.fit(sequence_of(noise[:, :32]), ["a"])
    with pytest.raises(FeatureError, match=r"holds values up to 1\.\d+e\+04.*full scale 1"):
        speech.fit(sequence_of(noise * 32768), ["a"])
    for encoder, frames in ((text, words), (speech, noise)):
        with pytest.raises(FeatureError, match="no finite frame"):
            encoder.fit(sequence_of(frames * np.nan), ["a"])
