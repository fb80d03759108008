"""Encoders from disk: what is loaded, what is refused, and that preprocessing and batches are those of training."""

import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from emotiwave.errors import CheckpointError, ConfigError, MissingExtraError
from emotiwave.pretrained import files as encoder_files
from emotiwave.pretrained import load_encoder
from emotiwave.pretrained.image import ImagePreprocessing, encode_images
from emotiwave.pretrained.running import choose_device, choose_precision, inference, length_batches
from emotiwave.pretrained.speech import SpeechPreprocessing, encode_speech
from emotiwave.pretrained.text import TextPreprocessing, Window, encode_words
from tests import tiny_encoders as tiny

SAVE = {
    "bert": (tiny.save_bert, "text"),
    "roberta": (tiny.save_roberta, "text"),
    "hubert": (tiny.save_speech, "speech"),
    "resnet": (tiny.save_resnet, "image"),
    "vit": (tiny.save_vit, "image"),
}
SPEECH = [(kind, norm) for kind in ("hubert", "wav2vec2", "wavlm") for norm in ("group", "layer")]
SPEECH.append(("data2vec-audio", "layer"))


one_thread = pytest.fixture(scope="module", autouse=True)(tiny.one_thread)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints that no test changes."""
    root = tmp_path_factory.mktemp("encoders")
    return {name: save(root / name) for name, (save, _) in SAVE.items()}


@pytest.fixture
def copy(saved, tmp_path):
    """Give a checkpoint that a test may spoil."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(saved[name], tmp_path / name))

    return copied


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# finding


def test_importing_the_package_imports_no_torch():
    code = "import sys, emotiwave.pretrained; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SAVE)
def test_facts_are_known_without_weights(name, copy):
    folder, kind = copy(name), SAVE[name][1]
    (folder / "model.safetensors").unlink()
    encoder = load_encoder(str(folder), kind, weights=False)
    assert encoder.width == tiny.WIDTH
    assert encoder.depth == (0 if kind == "image" else tiny.DEPTH)


@pytest.mark.parametrize("name", SAVE)
def test_an_encoder_is_never_of_another_kind(name, saved):
    for kind in {"text", "speech", "image"} - {SAVE[name][1]}:
        with pytest.raises(ConfigError, match=f"of kind '{SAVE[name][1]}'; expected an encoder of kind '{kind}'"):
            load_encoder(str(saved[name]), kind)


def test_several_networks_in_one_are_refused(saved, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ConfigError, match="of type 'clip'; expected an encoder of kind 'image'"):
        load_encoder(str(tmp_path), "image")
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(ConfigError, match=r"of type 'whisper'.*types that can be used: hubert"):
        load_encoder(str(tmp_path), "speech")


def test_a_folder_that_is_not_there_names_the_nearest(saved):
    wrong = saved["hubert"].with_name("huber")
    with pytest.raises(ConfigError, match=r"no folder .*huber; .*did you mean 'hubert'"):
        load_encoder(str(wrong), "speech")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("facebook/hubert-base-ls96", r"HF_HUB_OFFLINE.*hf download.*did you mean 'facebook/hubert-base-ls960'"),
        ("hubert-base-ls960", r"did you mean 'facebook/hubert-base-ls960'"),
        ("no such name!", "neither a folder nor a name like OWNER/MODEL"),
        ("", "neither a folder nor a name"),
    ],
)
def test_a_name_out_of_reach(name, message):
    with pytest.raises(ConfigError, match=message):
        load_encoder(name, "speech")


def test_a_folder_has_no_revision(saved):
    with pytest.raises(ConfigError, match="leave the revision out"):
        load_encoder(str(saved["bert"]), "text", revision="main")


def test_what_the_hub_answers_becomes_one_line(monkeypatch):
    import huggingface_hub
    from huggingface_hub import errors

    response: Any = SimpleNamespace(headers={}, request=None)
    for error, message in [
        (errors.GatedRepoError("gated", response=response), "consent to terms"),
        (errors.RevisionNotFoundError("none", response=response), "knows no revision 'v9'"),
        (errors.RepositoryNotFoundError("none", response=response), "knows no such model"),
        (RuntimeError("the line broke"), r"cannot be fetched \(the line broke\)"),
    ]:

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(ConfigError, match=message):
            load_encoder("someone/something", "text", revision="v9")


def test_a_name_is_found_in_the_cache_and_known_by_its_commit(saved, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--bert"
    shutil.copytree(saved["bert"], repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder = load_encoder("someone/bert", "text")
    assert encoder.identity == {"hub": "someone/bert", "commit": commit}
    assert load_encoder("someone/bert", "text", revision=commit, weights=False).identity == encoder.identity


def test_a_repository_of_pickles_names_the_converted_copy(saved, tmp_path, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = Path(shutil.copytree(saved["bert"], tmp_path / commit))
    (folder / "model.safetensors").unlink()
    offer = type("Offer", (), {"git_reference": "refs/pr/5"})
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    monkeypatch.setattr(huggingface_hub, "get_repo_discussions", lambda *_, **__: iter([offer]))
    with pytest.raises(CheckpointError, match=r'set revision = "refs/pr/5"'):
        load_encoder("someone/bert", "text")


def test_identity_is_of_content_and_not_of_place(saved, copy):
    folder = copy("resnet")
    first = load_encoder(str(folder), "image", weights=False).identity
    assert first == load_encoder(str(saved["resnet"]), "image", weights=False).identity
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        assert encoder_files.find_files(str(folder), "image").identity != first
        (folder / name).write_bytes(content)
    (folder / "README.md").write_text("no part of it")
    assert load_encoder(str(folder), "image", weights=False).identity == first


# what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[]", "expected a JSON object; got list"),
        (b"{}", "not the settings of a network"),
        (b'{"model_type": "nonsense"}', "not the settings of a network"),
        (b'{"model_type": ["bert"]}', "not the settings of a network"),
        (b'{"model_type": "bert", "hidden_size": "wide"}', "not the settings|size of a hidden state"),
        (b'{"model_type": "bert", "hidden_size": -4}', "size of a hidden state -4|not the settings"),
        (b'{"model_type": "bert", "num_hidden_layers": 1000000000}', "number of layers 1000000000; expected 0 to 512"),
        (b'{"model_type": "bert", "quantization_config": {"load_in_4bit": true}}', "quantised weights"),
        (b'{"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"}', "without running code"),
        (b" " * (8 * 2**20 + 1), "expected settings of at most"),
    ],
)
def test_damaged_settings(content, message, copy):
    folder = copy("bert")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(str(folder), "text")


def test_settings_that_ask_for_more_than_the_weights_hold(copy):
    folder = copy("bert")
    edit(folder / "config.json", vocab_size=1_000_000_000)
    with pytest.raises(CheckpointError, match=r"declares 16,\d{3},\d{3},\d{3} parameters, and the weights hold"):
        load_encoder(str(folder), "text")


def test_stages_of_a_picture_network_are_bounded(copy):
    folder = copy("resnet")
    edit(folder / "config.json", depths=[1, 10**9])
    with pytest.raises(CheckpointError, match="number of layers 1000000000"):
        load_encoder(str(folder), "image")


def test_settings_of_another_size(copy):
    folder = copy("bert")
    edit(folder / "config.json", intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"cannot be loaded|missing or of another shape"):
        load_encoder(str(folder), "text")


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"PK\x03\x04", b"\xff" * 8, b"<cut>"])
def test_damaged_weights(content, copy):
    weights = copy("bert") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100] if content == b"<cut>" else content)
    with pytest.raises(CheckpointError, match="damaged or no safetensors file"):
        load_encoder(str(weights.parent), "text")


def test_a_pickle_is_never_opened(copy):
    folder = copy("bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="give the folder that save_pretrained"):
        load_encoder(str(folder), "text")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin could run code and are not opened: convert"):
        load_encoder(str(folder), "text")


def test_a_missing_layer_is_not_left_at_random(copy):
    weights = copy("hubert") / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.layers.1.attention.k_proj.weight"]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights .* missing.*layers\.1\.attention\.k_proj\.weight"):
        load_encoder(str(weights.parent), "speech")


def test_weights_that_are_not_finite(copy):
    weights = copy("vit") / "model.safetensors"
    tensors = load_file(weights)
    tensors["layernorm.weight"][3] = torch.nan
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'layernorm\.weight' is not finite"):
        load_encoder(str(weights.parent), "image")


def test_a_missing_pooler_is_left_out(copy):
    weights = copy("bert") / "model.safetensors"
    tensors = {key: value for key, value in load_file(weights).items() if "pooler" not in key}
    save_file(tensors, weights, {"format": "pt"})
    assert load_encoder(str(weights.parent), "text").module.pooler is None


def test_a_checkpoint_of_a_whole_classifier_gives_its_encoder(saved, copy):
    weights = copy("hubert") / "model.safetensors"
    tensors = {f"hubert.{key}": value for key, value in load_file(weights).items()}
    # names of weight norm as older checkpoints have them
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, name in old.items():
        key = f"hubert.encoder.pos_conv_embed.conv.{new}"
        tensors[key.replace(new, name)] = tensors.pop(key)
    tensors["lm_head.weight"] = torch.zeros(8, tiny.WIDTH)
    save_file(tensors, weights, {"format": "pt"})
    mine = load_encoder(str(weights.parent), "speech").module.state_dict()
    for key, value in load_encoder(str(saved["hubert"]), "speech").module.state_dict().items():
        torch.testing.assert_close(mine[key], value)


def test_half_precision_checkpoints_are_read_as_float32(copy):
    weights = copy("bert") / "model.safetensors"
    save_file({key: value.half() for key, value in load_file(weights).items()}, weights, {"format": "pt"})
    edit(weights.parent / "config.json", dtype="float16")
    module = load_encoder(str(weights.parent), "text").module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert not module.training


def test_weights_in_shards(saved, copy):
    folder = copy("bert")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(tensors)
    names = {key: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, key in enumerate(keys)}
    for name in set(names.values()):
        part = {key: tensors[key] for key in keys if names[key] == name}
        save_file(part, folder / name, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    whole = load_encoder(str(saved["bert"]), "text").module.state_dict()
    for key, value in load_encoder(str(folder), "text").module.state_dict().items():
        assert torch.equal(value, whole[key])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors: missing"):
        load_encoder(str(folder), "text")
    for wrong in ({"weight_map": {"a": "../model-1.safetensors"}}, {"weight_map": {"a": 3}}, {}):
        index.write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError, match=r"own folder|weight_map"):
            load_encoder(str(folder), "text")


def test_timm_asks_for_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    (tmp_path / "config.json").write_text('{"architecture": "resnet18", "num_features": 512}')
    with pytest.raises(MissingExtraError, match=r"emotiwave\[timm\]"):
        load_encoder(str(tmp_path), "image")
    monkeypatch.setitem(sys.modules, "timm", sys)  # anything that can be imported
    for changes in ({"architecture": "hf-hub:someone/evil"}, {"model_args": {"checkpoint_path": "evil.bin"}}):
        edit(tmp_path / "config.json", **changes)
        with pytest.raises(CheckpointError, match="expected the name of a timm architecture"):
            load_encoder(str(tmp_path), "image")


def test_layers_are_counted_from_both_ends(saved):
    encoder = load_encoder(str(saved["bert"]), "text", weights=False)
    assert [encoder.layer_index(layer) for layer in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for layer in (3, -4):
        with pytest.raises(ConfigError, match=r"no layer -?\d; expected 0 .* to 2 \(the last\), or -3 to -1"):
            encoder.layer_index(layer)


# speech


def sounds(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=length).astype(np.float32) for length in lengths]


@pytest.mark.parametrize(("kind", "norm"), SPEECH)
def test_a_sound_alone_is_as_in_a_batch(kind, norm, tmp_path):
    encoder = load_encoder(str(tiny.save_speech(tmp_path / kind, kind, norm)), "speech")
    preprocessing = SpeechPreprocessing.of(encoder)
    assert preprocessing.may_pad == (norm == "layer" and kind != "data2vec-audio")
    prepared = [preprocessing.prepare(sound) for sound in sounds(900, 500, 900, 84, 85, 0)]
    for layer in range(tiny.DEPTH + 1):
        with torch.inference_mode():
            together = encode_speech(encoder, preprocessing, prepared, layer)
            for one, sound in zip(together, prepared, strict=True):
                (alone,) = encode_speech(encoder, preprocessing, [sound], layer)
                torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-5)
    assert [len(states) for states in together] == [21, 11, 21, 0, 1, 0]
    with torch.inference_mode():  # the last layer is what the network itself calls its output
        last = encoder.module(prepared[0][None]).last_hidden_state[0]
    torch.testing.assert_close(together[0], last, rtol=1e-5, atol=1e-5)


def test_padding_would_change_what_a_group_norm_sees(saved):
    encoder = load_encoder(str(saved["hubert"]), "speech")
    preprocessing = SpeechPreprocessing.of(encoder)
    careless = SpeechPreprocessing(
        *(getattr(preprocessing, key) for key in ("rate", "normalise", "kernels", "strides")), True
    )
    prepared = [preprocessing.prepare(sound) for sound in sounds(900, 500)]
    with torch.inference_mode():
        padded = encode_speech(encoder, careless, prepared, 2)
        right = encode_speech(encoder, preprocessing, prepared, 2)
    assert (padded[1] - right[1]).abs().max() > 0.01


def test_frames_of_the_usual_convolutions_in_seconds():
    usual = SpeechPreprocessing(16_000, True, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), False)
    assert (usual.hop, usual.field) == (320, 400)
    assert [usual.n_frames(n) for n in (0, 399, 400, 719, 720, 16_000)] == [0, 0, 1, 1, 2, 49]
    # frame 0 sees samples 0 to 400: 200 is their middle, and 160 lie on either side of it
    np.testing.assert_allclose(usual.intervals(2), [[40 / 16_000, 360 / 16_000], [360 / 16_000, 680 / 16_000]])


def test_a_frame_sees_what_is_said(saved, tmp_path):
    encoder = load_encoder(str(tiny.save_speech(tmp_path / "layer", norm="layer")), "speech")
    preprocessing = SpeechPreprocessing.of(encoder)
    assert (preprocessing.hop, preprocessing.field) == (40, 85)
    (sound,) = sounds(1000)
    with torch.inference_mode():
        convolve = encoder.module.feature_extractor
        before = convolve(torch.tensor(sound)[None])[0]
        for sample, first, last in ((400, 8, 10), (84, 0, 2), (85, 1, 2)):  # frame k sees samples 40 k to 40 k + 85
            changed = sound.copy()
            changed[sample] += 1
            moved = (convolve(torch.tensor(changed)[None])[0] - before).abs().amax(dim=0) > 1e-7
            assert moved.nonzero().flatten().tolist() == list(range(first, last + 1))
    assert before.shape[1] == preprocessing.n_frames(1000)


def test_sound_is_brought_to_mean_0_and_variance_1(copy):
    folder = copy("hubert")
    encoder = load_encoder(str(folder), "speech", weights=False)
    prepared = SpeechPreprocessing.of(encoder).prepare(np.array([1, 3, 5, 7], np.float32) / 10).numpy()
    np.testing.assert_allclose(prepared, np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-4)
    np.testing.assert_array_equal(SpeechPreprocessing.of(encoder).prepare(np.full(9, 0.5, np.float32)), np.zeros(9))
    edit(folder / "preprocessor_config.json", do_normalize=False)
    np.testing.assert_array_equal(SpeechPreprocessing.of(encoder).prepare(np.ones(3, np.float32)), [1, 1, 1])


@pytest.mark.parametrize("changes", [{"sampling_rate": 0}, {"sampling_rate": "16k"}, {"do_normalize": 3}])
def test_sound_preprocessing_that_makes_no_sense(changes, copy):
    folder = copy("hubert")
    edit(folder / "preprocessor_config.json", **changes)
    with pytest.raises(CheckpointError, match="expected Hz and true or false"):
        SpeechPreprocessing.of(load_encoder(str(folder), "speech", weights=False))


# pictures


def save_preprocessing(folder: Path, settings: dict) -> ImagePreprocessing:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return ImagePreprocessing.of(load_encoder(str(folder), "image", weights=False))


MEANS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}


PROCESSORS = {"convnext": "ConvNextImageProcessor", "vit": "ViTImageProcessor", "clip": "CLIPImageProcessor"}
CROPPED = {"do_center_crop": True, "crop_size": {"height": 20, "width": 22}}


@pytest.mark.parametrize(
    ("kind", "settings", "side"),
    [
        ("convnext", {"size": {"shortest_edge": 28}, "crop_pct": 0.875}, 32),
        ("convnext", {"size": {"shortest_edge": 384}, "crop_pct": 0.9}, 384),
        ("vit", {"size": {"height": 24, "width": 20}, "resample": 2}, 24),
        ("vit", {"size": {"height": 24, "width": 24}, "resample": 0, "rescale_factor": 0.01}, 24),
        ("clip", {"size": {"shortest_edge": 25}, "resample": 3, **CROPPED}, 25),
    ],
)
def test_pictures_are_prepared_as_transformers_does(kind, settings, side, copy):
    settings = {**settings, **MEANS, "image_processor_type": PROCESSORS[kind]}
    mine = save_preprocessing(copy("resnet"), {"resample": 3, **settings})
    module = import_module(f"transformers.models.{kind}.image_processing_pil_{kind}")
    theirs = getattr(module, f"{PROCESSORS[kind]}Pil")(**settings)
    picture = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    expected = theirs(picture, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(mine.prepare(picture[None]).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert mine.side == side


def test_older_files_write_sizes_as_one_number(copy):
    folder = copy("vit")
    crop = {"size": 32, "do_center_crop": True, "crop_size": 28}
    assert save_preprocessing(folder, {**crop, **MEANS}).resize == 32
    assert save_preprocessing(folder, {**crop, **MEANS}).crop == (28, 28)
    assert save_preprocessing(folder, {"size": 32, **MEANS}).resize == (32, 32)
    assert save_preprocessing(folder, {"size": [30, 20], **MEANS}).resize == (30, 20)


def test_pictures_without_settings_are_as_on_imagenet(copy):
    folder = copy("vit")
    (folder / "preprocessor_config.json").unlink()
    preprocessing = ImagePreprocessing.of(load_encoder(str(folder), "image", weights=False))
    assert (preprocessing.resize, preprocessing.source) == ((32, 32), "ImageNet defaults")
    grey = np.full((1, 32, 32, 1), 51, np.uint8)  # 0.2 of full scale
    expected = (0.2 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(preprocessing.prepare(grey)[0, :, 5, 7], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": True},
        {"size": -3},
        {"size": "224"},
        {"size": None},
        {"size": {"longest_edge": 3}},
        {"size": 10**9},
        {"size": [1, 2, 3]},
        {"crop_pct": 1e-9},
        {"crop_pct": "most"},
        {"image_mean": None},
        {"image_mean": [0.5]},
        {"image_std": [1, 1, 0]},
        {"image_std": ["a", "b", "c"]},
        {"rescale_factor": float("nan")},
        {"resample": 77},
        {"size": 16, "do_center_crop": True, "crop_size": 32},
    ],
)
def test_image_preprocessing_that_makes_no_sense(wrong, copy):
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: no preprocessing of pictures"):
        save_preprocessing(copy("vit"), {"size": 32, **MEANS, **wrong})


def test_one_vector_per_picture(saved):
    generator = torch.Generator().manual_seed(0)
    resnet, vit = (load_encoder(str(saved[name]), "image") for name in ("resnet", "vit"))
    with torch.inference_mode():
        pictures = torch.randn(3, 3, 28, 28, generator=generator)
        maps = resnet.module(pictures).last_hidden_state
        torch.testing.assert_close(encode_images(resnet, pictures), maps.mean(dim=(2, 3)))
        torch.testing.assert_close(encode_images(resnet, pictures, "mean"), maps.mean(dim=(2, 3)))
        pictures = torch.randn(3, 3, 32, 32, generator=generator)
        tokens = vit.module(pictures).last_hidden_state
        assert tokens.shape == (3, 17, tiny.WIDTH)  # a class token and 4 × 4 patches
        torch.testing.assert_close(encode_images(vit, pictures), tokens[:, 0])
        torch.testing.assert_close(encode_images(vit, pictures, "mean"), tokens[:, 1:].mean(dim=1))


# text


def test_words_are_the_mean_or_the_first_of_their_pieces(saved):
    encoder = load_encoder(str(saved["bert"]), "text")
    preprocessing = TextPreprocessing.of(encoder)
    words = ["Unhappyly", "", "you", "happys!"]
    # [CLS] un ##happy ##ly you happy ##s ! [SEP]
    ids = [2, *(4 + tiny.WORDS.index(piece) for piece in ("un", "##happy", "##ly", "you", "happy", "##s", "!")), 3]
    assert preprocessing.pieces(words)[0] == ids[1:-1]
    with torch.inference_mode():
        output = encoder.module(torch.tensor([ids]), output_hidden_states=True)
        states = torch.cat([output.last_hidden_state[0], output.hidden_states[1][0]], dim=-1)
        (mean,) = encode_words(encoder, preprocessing, [words], [2, 1])
        (first,) = encode_words(encoder, preprocessing, [words], [2, 1], "first")
    expected = torch.stack([states[1:4].mean(0), torch.full((32,), torch.nan), states[4], states[5:8].mean(0)])
    torch.testing.assert_close(mean, expected, equal_nan=True)
    expected = torch.stack([states[1], torch.full((32,), torch.nan), states[4], states[5]])
    torch.testing.assert_close(first, expected, equal_nan=True)


def test_spaces_before_words_belong_to_them(saved):
    preprocessing = TextPreprocessing.of(load_encoder(str(saved["roberta"]), "text", weights=False))
    words = ["happy", "", " ", "so", "naïve", "hap py"]
    ids, owners = preprocessing.pieces(words)
    pieces = preprocessing.tokenizer.convert_ids_to_tokens(ids)
    text = ["".join(piece for piece, owner in zip(pieces, owners, strict=True) if owner == word) for word in range(6)]
    assert text == ["Ġhappy", "", "", "Ġso", "ĠnaÃ¯ve", "ĠhapĠpy"]
    # positions count from behind the padding's index, 1: of 24, 22 hold tokens, two of them special
    assert preprocessing.room == 20


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_text_alone_is_as_in_a_batch(name, saved):
    encoder = load_encoder(str(saved[name]), "text")
    preprocessing = TextPreprocessing.of(encoder)
    texts = [["I", "am", "so", "happy", "!"], [], ["sad"], ("you are not happy " * 20).split(), ["", "sad"], [""]]
    with torch.inference_mode():
        together = encode_words(encoder, preprocessing, texts, [2])
        for one, words in zip(together, texts, strict=True):
            (alone,) = encode_words(encoder, preprocessing, [words], [2])
            assert one.shape == (len(words), tiny.WIDTH)
            torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-5, equal_nan=True)
            assert [bool(row.isnan().all()) for row in one] == [word == "" for word in words]


def test_windows_of_a_long_text(saved):
    preprocessing = TextPreprocessing.of(load_encoder(str(saved["bert"]), "text", weights=False))
    assert preprocessing.room == 22
    assert preprocessing.windows(22) == [Window(0, 22, 0, 22)]
    # windows of 22 that overlap by 22 // 4 = 5, each kept to the middle of the overlap
    assert preprocessing.windows(40) == [Window(0, 22, 0, 20), Window(17, 39, 20, 37), Window(34, 40, 37, 40)]
    for room, n_pieces in itertools.product((1, 2, 3, 4, 7, 22), range(1, 100)):
        windows = replace(preprocessing, room=room).windows(n_pieces)
        kept = [piece for window in windows for piece in range(window.keep_start, window.keep_stop)]
        assert kept == list(range(n_pieces))
        assert all(window.start <= window.keep_start < window.keep_stop <= window.stop for window in windows)
        assert all(window.stop - window.start <= room for window in windows)


def test_a_long_text_is_not_cut(saved):
    encoder = load_encoder(str(saved["bert"]), "text")
    preprocessing = TextPreprocessing.of(encoder)
    words = ("i am so very happy today you are not sad " * 4).split()
    with torch.inference_mode():
        (all_words,) = encode_words(encoder, preprocessing, [words], [2])
        (second,) = encode_words(encoder, preprocessing, [words[17:39]], [2])
    torch.testing.assert_close(all_words[20:37], second[3:20], rtol=1e-5, atol=1e-5)
    assert all_words.isfinite().all()


def test_a_tokenizer_of_another_model(saved, copy):
    folder = copy("bert")
    shutil.copy(saved["roberta"] / "tokenizer.json", folder / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"tokenizer knows \d+ pieces and its network 19"):
        TextPreprocessing.of(load_encoder(str(folder), "text", weights=False))


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"model": {"type": "BPE"}}', b"\x00"])
def test_a_damaged_tokenizer(content, copy):
    folder = copy("bert")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    if content is not None:
        (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer is missing or damaged|no tokenizer"):
        TextPreprocessing.of(load_encoder(str(folder), "text", weights=False))


# running


def test_batches_hold_every_signal_once():
    lengths = np.random.default_rng(0).integers(1, 50, 200).tolist()
    for equal in (False, True):
        groups = list(length_batches(lengths, 120, equal=equal))
        assert sorted(index for group in groups for index in group) == list(range(200))
        assert all(len(group) * max(lengths[index] for index in group) <= 120 for group in groups)
        assert not equal or all(len({lengths[index] for index in group}) == 1 for group in groups)
    assert list(length_batches([500], 120)) == [[0]]


def test_a_gpu_that_is_not_there():
    with pytest.raises(ConfigError, match=r'device = "cuda", and torch finds no GPU'):
        choose_device("cuda")


def test_precision_follows_the_hardware(monkeypatch):
    for has, expected in (({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        assert choose_precision("auto", torch.device("cpu")) == expected
        assert choose_precision("float32", torch.device("cpu")) == "float32"


def test_inference_keeps_no_graph_and_training_does(saved):
    encoder = load_encoder(str(saved["vit"]), "image")
    pictures = torch.zeros(1, 3, 32, 32)
    with inference(encoder, torch.device("cpu"), "float32"):
        assert not encode_images(encoder, pictures).requires_grad
    encode_images(encoder, pictures).sum().backward()
    assert encoder.module.layernorm.weight.grad is not None
