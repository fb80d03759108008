"""Image networks as parts of models: what pictures become, what batch norms see, what is trained and what is saved."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emotiwave.errors import CheckpointError, ConfigError, FeatureError
from emotiwave.models.encoders import choose_encoder
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.resnet import Resnet, ResnetSettings, move_clips
from emotiwave.pretrained import load_encoder
from emotiwave.pretrained.image import ImagePreprocessing, encode_images
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from tests import tiny_encoders as tiny

SIDE = 20

one_thread = pytest.fixture(scope="module", autouse=True)(tiny.one_thread)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {
        "resnet": tiny.save_resnet(root / "resnet"),
        "vit": tiny.save_vit(root / "vit"),
        "mae": tiny.save_vit(root / "mae", "ViTMAE"),
        "bert": tiny.save_bert(root / "bert"),
    }


@pytest.fixture(scope="module")
def build(saved):
    def built(name: str = "resnet", size: int = SIDE * SIDE, **settings: Any) -> Resnet:
        chosen = ResnetSettings.model_validate({"pretrained": str(saved[name])} | settings)
        return Resnet(chosen, Origin("vision", size))

    return built


def clips(n: int = 4, n_frames: int = 5, size: int = SIDE * SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of which some are unobserved; the last clip has none."""
    generator = torch.Generator().manual_seed(3)
    values = torch.rand(n, n_frames, size, generator=generator)
    mask = torch.rand(n, n_frames, generator=generator) > 0.3
    mask[:, 0], mask[-1] = True, False
    return values, mask


def statistics(encoder: Resnet) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in encoder.named_buffers()}


def gradients(encoder: Resnet) -> dict[str, torch.Tensor | None]:
    return {name: parameter.grad for name, parameter in encoder.named_parameters()}


def of_frames(values: np.ndarray) -> ComputationalSequence:
    intervals = np.stack([np.arange(len(values)), np.arange(len(values)) + 1.0], axis=1)
    return ComputationalSequence.from_sequences({"a": FeatureSequence(values.astype(np.float32), intervals)})


# preprocessing


@pytest.mark.parametrize("resample", [0, 2, 3])
@pytest.mark.parametrize("side", [20, 90])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("resize", "crop"), [((32, 24), None), (32, (28, 26))])
def test_tensors_are_prepared_as_pillow_does(resample, side, channels, resize, crop):
    # within this range bicubic does not overshoot, which Pillow would cut off between its two passes
    pictures = np.random.default_rng(0).integers(80, 176, (2, side, side + 4, channels)).astype(np.uint8)
    how = ImagePreprocessing(resize, crop, resample, 1 / 255, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "test")
    by_pillow = how.prepare(pictures)
    by_torch = how.prepare_tensor(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    assert by_torch.is_contiguous(memory_format=torch.channels_last)
    levels = (by_torch - by_pillow).abs().amax(dim=(0, 2, 3)) * torch.tensor([0.2, 0.3, 0.4]) * 255
    assert levels.max() < 1.51  # Pillow rounds after each of two passes


def test_a_picture_of_the_right_size_is_only_normalised():
    how = ImagePreprocessing((2, 2), None, 1, 1 / 255, (0.5, 0.5, 0.0), (0.5, 0.25, 1.0), "test")
    prepared = how.prepare_tensor(torch.tensor([[[[0.0, 1.0], [0.5, 0.25]]]]))
    expected = torch.tensor([[[-1, 1], [0, -0.5]], [[-2, 2], [0, -1]], [[0, 1], [0.5, 0.25]]])
    torch.testing.assert_close(prepared[0], expected)


def test_a_filter_that_torch_lacks_is_refused(saved, tmp_path, build):
    folder = tiny.save_resnet(tmp_path / "lanczos")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 1}))
    with pytest.raises(ConfigError, match=r"vision: preprocessor_config.json: pictures .* lanczos.*set side"):
        build(pretrained=str(folder))


@pytest.mark.parametrize("name", ["resnet", "vit", "mae"])
@pytest.mark.parametrize("channels", [1, 3])
def test_vectors_are_those_of_the_extractor(name, channels, saved, build):
    size = SIDE * SIDE * channels
    pictures = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, channels)).astype(np.uint8)
    encoder = load_encoder(str(saved[name]), "image")
    expected = encode_images(encoder, ImagePreprocessing.of(encoder).prepare(pictures)).detach()
    values = torch.from_numpy(pictures.reshape(1, 3, size) / np.float32(255))
    vectors, mask = build(name, size).eval()(values, torch.ones(1, 3, dtype=torch.bool))
    assert mask.all()
    assert vectors.shape == (1, 3, tiny.WIDTH)
    # Pillow's rounding to whole grey levels is all that differs
    assert (vectors[0] - expected).norm() < 0.03 * expected.norm()


# masks


@pytest.mark.parametrize("pool", ["frames", "mean"])
@pytest.mark.parametrize("training", [False, True])
def test_unobserved_pictures_change_nothing(pool, training, build):
    values, mask = clips()
    spoilt = torch.where(mask[..., None], values, torch.nan)
    one, other = build(pool=pool).train(training), build(pool=pool).train(training)
    clean, observed = one(values, mask)
    vectors, _ = other(spoilt, mask)
    torch.testing.assert_close(vectors, clean, rtol=0, atol=0)
    torch.testing.assert_close(statistics(other), statistics(one), rtol=0, atol=0)
    assert observed.any(dim=1).tolist() == [True, True, True, False]
    assert torch.isfinite(vectors).all()


@pytest.mark.parametrize("pool", ["frames", "mean"])
def test_alone_is_as_in_a_batch(pool, build):
    encoder = build(pool=pool).eval()
    values, mask = clips()
    together, observed = encoder(values, mask)
    for row in range(len(values)):
        alone, seen = encoder(values[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(alone[0][seen[0]], together[row][observed[row]], rtol=1e-4, atol=1e-5)


def test_the_mean_is_that_of_observed_pictures(build):
    values, mask = clips()
    frames, _ = build().eval()(values, mask)
    mean, observed = build(pool="mean").eval()(values, mask)
    assert mean.shape == (4, 1, tiny.WIDTH)
    assert observed.tolist() == [[True], [True], [True], [False]]
    for row in range(3):
        torch.testing.assert_close(mean[row, 0], frames[row][mask[row]].mean(dim=0))


def test_many_pictures_go_in_parts(build, monkeypatch):
    encoder = build().eval()
    values, mask = clips()
    whole, _ = encoder(values, mask)
    monkeypatch.setattr("emotiwave.models.encoders.resnet.AT_ONCE", 3)
    torch.testing.assert_close(encoder(values, mask)[0], whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", ["frames", "mean"])
def test_a_batch_without_any_picture(pool, build):
    encoder = build(pool=pool).train()
    before = statistics(encoder)
    vectors, mask = encoder(torch.full((2, 3, SIDE * SIDE), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert not mask.any()
    assert vectors.shape[1] >= 1
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)


def test_a_batch_without_any_picture_is_augmented_too(build):
    encoder = build(augment=True).train()
    vectors, mask = encoder(torch.full((2, 3, SIDE * SIDE), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert not mask.any()
    assert torch.isfinite(vectors).all()


def test_a_network_that_fails_stays_in_training(build, monkeypatch):
    encoder = build().train()

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(encoder, "_vectors", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        encoder(torch.rand(1, 1, SIDE * SIDE), torch.ones(1, 1, dtype=torch.bool))
    assert all(module.training for module in encoder.modules())


@pytest.mark.parametrize("pool", ["frames", "mean"])
def test_a_network_that_diverged_is_seen_and_not_missing(pool, build):
    encoder = build(pool=pool).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(torch.nan)
    values, mask = clips()
    vectors, observed = encoder(values, mask)
    assert torch.equal(observed, mask if pool == "frames" else mask.any(dim=1, keepdim=True))
    assert vectors[observed].isnan().all()


def test_a_picture_alone_has_no_batch_statistics(build):
    encoder = build(side=16).train()  # one place is left of it in the last stage
    before = statistics(encoder)
    vectors, _ = encoder(torch.rand(1, 1, SIDE * SIDE), torch.ones(1, 1, dtype=torch.bool))
    vectors.sum().backward()
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)
    assert vectors.abs().sum() > 0
    assert all(module.training for module in encoder.modules())


@pytest.mark.parametrize("training", [False, True])
def test_pictures_of_one_colour(training, build):
    values = torch.stack([torch.zeros(2, SIDE * SIDE), torch.ones(2, SIDE * SIDE)])
    encoder = build().train(training)
    vectors, _ = encoder(values, torch.ones(2, 2, dtype=torch.bool))
    vectors.square().sum().backward()
    assert torch.isfinite(vectors).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


# from scratch


# He et al., table 1: 3x3 (or 1x1, 3x3, 1x1) convolutions without bias, two numbers per channel in each norm
def count_of_18() -> int:
    total, width_in = 7 * 7 * 3 * 64 + 2 * 64, 64
    for width in (64, 128, 256, 512):
        total += 9 * width_in * width + 9 * width * width + 4 * width
        total += (width_in * width + 2 * width) * (width_in != width)
        total += 2 * 9 * width * width + 4 * width
        width_in = width
    return total


def count_of_50() -> int:
    total, width_in = 7 * 7 * 3 * 64 + 2 * 64, 64
    for width, n_blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(n_blocks):
            total += width_in * width + 9 * width * width + 4 * width * width + 2 * 6 * width
            total += (width_in * 4 * width + 2 * 4 * width) * (block == 0)
            width_in = 4 * width
    return total


@pytest.mark.parametrize(
    ("depth", "width", "counted", "published"),
    [(18, 512, count_of_18, 11_176_512), (50, 2048, count_of_50, 23_508_032)],
)
def test_from_scratch_it_is_the_published_network(depth, width, counted, published):
    with torch.device("meta"):
        encoder = Resnet(ResnetSettings(pretrained=False, depth=depth), Origin("vision", 48 * 48))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == counted() == published
    assert encoder.width == width
    assert encoder.preprocessing.resize == (224, 224)
    assert encoder.preprocessing.crop is None
    assert list(encoder.parts) == []


def test_from_scratch_it_is_seeded_saved_and_built_again(tmp_path):
    settings = ResnetSettings(pretrained=False, side=32)
    built = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        built.append(Resnet(settings, Origin("vision", 12)).eval())
    values = torch.rand(1, 2, 12), torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(built[1](*values), built[0](*values), rtol=0, atol=0)
    assert not torch.equal(built[2](*values)[0], built[0](*values)[0])
    built[0].save_files(tmp_path)
    again = Resnet(settings, Origin("vision", 12, tmp_path)).eval()
    again.load_state_dict(built[0].state_dict())
    torch.testing.assert_close(again(*values), built[0](*values), rtol=0, atol=0)


def test_from_scratch_it_is_run_once_and_draws_nothing(monkeypatch):
    seen = []
    run = Resnet._run
    monkeypatch.setattr(Resnet, "_run", lambda self, pictures: seen.append(pictures.shape) or run(self, pictures))
    torch.manual_seed(0)
    encoder = Resnet(ResnetSettings(pretrained=False, side=32), Origin("vision", 12))
    drawn = torch.get_rng_state()
    assert seen == [(1, 3, 2, 2)]
    with torch.no_grad():
        assert all((buffer == 0).all() for name, buffer in encoder.named_buffers() if "running_mean" in name)
    monkeypatch.setattr(Resnet, "_try", lambda self: None)
    torch.manual_seed(0)
    Resnet(ResnetSettings(pretrained=False, side=32), Origin("vision", 12))
    assert torch.equal(drawn, torch.get_rng_state())


def test_errors_of_one_from_scratch_name_it_and_no_folder(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("too large")

    monkeypatch.setattr("emotiwave.models.encoders.resnet.encode_images", fail)
    with pytest.raises(ConfigError) as caught:
        Resnet(ResnetSettings(pretrained=False, side=32), Origin("vision", 12))
    assert str(caught.value).startswith(
        "model.encoders.vision: side = 32 cannot be had: ResNet-18 from scratch: the network cannot be run (too large)"
    )
    with pytest.raises(CheckpointError, match=r"^model.encoders.vision: ResNet-50 from scratch: the network"):
        Resnet(ResnetSettings(pretrained=False, depth=50), Origin("vision", 12))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pretrained": False, "revision": "main"}, "revision: is of a checkpoint"),
        ({"pretrained": False, "train": "frozen"}, "train: what begins at random must learn in full, and 'frozen'"),
        ({"pretrained": False, "train": "last-2"}, "train: what begins at random must learn in full, and 'last-2'"),
        ({"pretrained": "microsoft/resnet-50", "depth": 50}, "depth: a checkpoint that is named has its own"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^vision: resnet: {message}"):
        choose_encoder("vision", {"name": "resnet", **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"depth": 50, "revision": "main"},
        {"pretrained": "a/b", "revision": "main"},
        {"pretrained": False, "depth": 50, "layer_decay": 0.9, "learning_rate": 0.1, "gradient_checkpointing": True},
        {"train": "frozen"},
        {"train": "frozen", "layer_decay": 0.9, "learning_rate": 0.1, "gradient_checkpointing": True},
        {"train": "last-1", "layer_decay": 0.9, "learning_rate": 0.1},
    ],
)
def test_settings_written_out_in_full_are_the_same(settings):
    chosen = ResnetSettings.model_validate(settings)
    assert ResnetSettings.model_validate(chosen.model_dump(mode="json", exclude_none=True)) == chosen


# training


@pytest.mark.parametrize("name", ["resnet", "vit", "mae"])
def test_every_trained_parameter_gets_a_gradient(name, build):
    encoder = build(name).train()
    vectors, _ = encoder(*clips())
    (vectors * torch.rand_like(vectors)).sum().backward()
    assert [key for key, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


def test_frozen_nothing_changes(build):
    encoder = build(train="frozen").train()
    before = statistics(encoder)
    vectors, _ = encoder(*clips())
    assert encoder.training
    assert not encoder.network.training
    assert not vectors.requires_grad
    assert list(encoder.parameter_groups(0.1)) == [{"params": [], "lr": 0.1}]
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)


def test_of_the_last_stage_only_that_changes(build):
    encoder = build(train="last-1").train()
    before = statistics(encoder)
    encoder(*clips())[0].sum().backward()
    trained = {name for name, grad in gradients(encoder).items() if grad is not None}
    assert trained == {name for name, _ in encoder.named_parameters() if ".stages.1." in name}
    moved = {name for name, value in statistics(encoder).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if ".stages.1." in name}


def test_more_layers_than_there_are(build):
    with pytest.raises(
        ConfigError, match=r"vision: .*resnet has 2 layers; got .*'last-3': write \"last-1\", \"last-2\" or"
    ):
        build(train="last-3")


@pytest.mark.parametrize("train", ["last-0", "last-", "half", "last-02", "full "])
def test_what_is_trained_is_said_in_one_of_three_ways(train):
    with pytest.raises(ValueError, match=r'expected "full", "frozen", or "last-N"'):
        ResnetSettings.model_validate({"train": train})


def test_rates_fall_from_layer_to_layer(build):
    groups = list(build(layer_decay=0.5, learning_rate=0.4).parameter_groups(9.0))
    encoder = build()
    n_parameters = [
        sum(p.numel() for name, p in encoder.named_parameters() if part in name)
        for part in (".embedder.", ".stages.0.", ".stages.1.")
    ]
    assert [group["lr"] for group in groups] == [0.1, 0.2, 0.4]
    assert [sum(p.numel() for p in group["params"]) for group in groups] == n_parameters
    (single,) = encoder.parameter_groups(9.0)
    assert single["lr"] == 9.0
    assert len(single["params"]) == len(list(encoder.parameters()))


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_activations_made_again_change_nothing(name, build):
    plain, again = build(name).train(), build(name, gradient_checkpointing=True).train()
    assert list(plain.state_dict()) == list(again.state_dict())
    weigh = torch.rand(4, 5, tiny.WIDTH)
    kinds = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
    counts = []
    for encoder in (plain, again):
        calls = []
        for module in encoder.layers[0].modules():
            if isinstance(module, kinds):
                module.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        (encoder(*clips())[0] * weigh).sum().backward()
        counts.append(len(calls))
    torch.testing.assert_close(gradients(again), gradients(plain), rtol=0, atol=0)
    torch.testing.assert_close(statistics(again), statistics(plain), rtol=0, atol=0)
    assert counts[1] == 2 * counts[0] > 0


def test_copies_are_apart(build):
    encoder = build(gradient_checkpointing=True).train()
    other = copy.deepcopy(encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    other(*clips())[0].sum().backward()
    torch.testing.assert_close(encoder.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert other.encoder.module is other.network


def test_bfloat16_is_near(build):
    expected, _ = build().eval()(*clips())
    vectors, _ = build(precision="bfloat16").eval()(*clips())
    assert vectors.dtype == torch.float32
    assert not torch.equal(vectors, expected)
    assert (vectors - expected).norm() < 0.03 * expected.norm()


def test_precision_of_all_is_followed_or_not(build):
    expected, _ = build().eval()(*clips())
    with torch.autocast("cpu", torch.bfloat16):
        mixed, kept = (build(**chosen).eval()(*clips())[0] for chosen in ({}, {"precision": "float32"}))
    assert mixed.dtype == kept.dtype == torch.float32
    torch.testing.assert_close(kept, expected, rtol=0, atol=0)
    torch.testing.assert_close(mixed, build(precision="bfloat16").eval()(*clips())[0], rtol=0, atol=0)
    assert not torch.equal(mixed, expected)


# augmentation


def test_clips_are_moved_as_a_whole(build):
    values, mask = clips()
    values = values[:, :1].expand_as(values)  # each clip one picture
    mask = torch.ones_like(mask)
    encoder = build(augment=True, train="frozen", side=SIDE)
    torch.testing.assert_close(encoder.eval()(values, mask), build(side=SIDE).eval()(values, mask), rtol=0, atol=0)
    torch.manual_seed(0)
    vectors, _ = encoder.train()(values, mask)
    torch.testing.assert_close(vectors, vectors[:, :1].expand_as(vectors), rtol=1e-4, atol=1e-5)
    plain, _ = encoder.eval()(values, mask)
    assert (vectors - plain).abs().amax(dim=(1, 2)).min() > 1e-3


def test_moves_by_hand(monkeypatch):
    pictures = torch.rand(3, 1, 10, 10)
    # of row 0 a flip, of row 1 a shift by 0.1 of half a side to the right: half a pixel
    draw = torch.tensor([[-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    monkeypatch.setattr(torch, "rand", lambda *_: (draw + 1) / 2)
    moved = move_clips(pictures, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(moved[:2], pictures[:2].flip(3), atol=1e-5, rtol=0)
    between = (pictures[2, ..., :-1] + pictures[2, ..., 1:]) / 2
    torch.testing.assert_close(moved[2, ..., :-1], between, atol=1e-5, rtol=0)


# files


def test_saved_it_is_built_again_without_the_checkpoint(saved, tmp_path):
    source = tiny.save_resnet(tmp_path / "mine")
    (source / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\n# A card\nlicense: none\n")
    settings = ResnetSettings(pretrained=str(source), train="last-1")
    encoder = Resnet(settings, Origin("vision", 300)).train()
    encoder(torch.rand(2, 3, 300), torch.ones(2, 3, dtype=torch.bool))  # moves the batch statistics
    folder = tmp_path / "saved"
    folder.mkdir()
    for path in source.iterdir():
        path.unlink()
    encoder.save_files(folder)
    assert {path.name for path in folder.iterdir()} == {"config.json", "preprocessor_config.json", "source.json"}
    assert str(tmp_path) not in "".join(path.read_text() for path in folder.iterdir())
    again = Resnet(settings, Origin("vision", 300, folder))
    again.load_state_dict(encoder.state_dict())
    values = torch.rand(2, 3, 300), torch.ones(2, 3, dtype=torch.bool)
    torch.testing.assert_close(again.eval()(*values), encoder.eval()(*values), rtol=0, atol=0)
    assert list(again.parts) == list(encoder.parts) == [{"name": "mine", "licence": "apache-2.0"}]
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in encoder.parameters()]


@pytest.mark.parametrize(
    ("settings", "described"),
    [
        ({"pretrained": False, "side": 32}, "ResNet-18 from scratch, side 32, trained in full"),
        ({"pretrained": "mine", "train": "last-1"}, "mine, last layer trained"),
        ({"pretrained": "mine", "train": "last-2", "side": 16}, "mine, side 16, last 2 layers trained"),
        ({"pretrained": "mine", "train": "frozen"}, "mine, frozen"),
    ],
)
def test_it_is_described_without_paths_also_when_built_again(settings, described, tmp_path):
    mine = tiny.save_resnet(tmp_path / "mine")
    named = {"pretrained": str(mine)} if settings["pretrained"] else {}
    chosen = ResnetSettings.model_validate(settings | named)
    encoder = Resnet(chosen, Origin("vision", 12))
    assert encoder.described == described
    (tmp_path / "saved").mkdir()
    encoder.save_files(tmp_path / "saved")
    assert Resnet(chosen, Origin("vision", 12, tmp_path / "saved")).described == described


# what does not fit


@pytest.mark.parametrize("size", [320, 2 * SIDE * SIDE, 32, 2])
def test_frames_that_are_no_pictures(size, build):
    message = (
        rf"encoders.vision: resnet takes pictures.*{size} features per frame: set features.extractors.vision = \"face\""
    )
    with pytest.raises(ConfigError, match=message):
        build(size=size)


@pytest.mark.parametrize(("name", "kind"), [("bert", "text")])
def test_a_network_of_another_kind(name, kind, build):
    with pytest.raises(ConfigError, match=f"encoders.vision: .* is of kind '{kind}'; expected .* 'image'"):
        build(name)


def test_a_network_out_of_reach():
    with pytest.raises(ConfigError, match=r"encoders.vision: microsoft/resnet-50: .*hf download"):
        Resnet(ResnetSettings(depth=50), Origin("vision", 48 * 48))


def test_a_side_that_the_network_cannot_take(build):
    assert build("vit", side=32).preprocessing.resize == (32, 32)
    with pytest.raises(ConfigError, match=r"side = 64 cannot be had: .*vit: the network cannot be run"):
        build("vit", side=64)


def test_frames_are_looked_at_before_training(build):
    encoder = build()
    pixels = np.random.default_rng(0).random((200, SIDE * SIDE))
    encoder.fit(of_frames(pixels), ["a", "missing"])
    pixels[3] = np.nan
    encoder.fit(of_frames(pixels), ["a"])
    with pytest.raises(FeatureError, match=r"from -?\d.* to 2\d\d.*pixels from 0 to 1"):
        encoder.fit(of_frames(pixels * 255), ["a"])
    with pytest.raises(FeatureError, match="no finite frame"):
        encoder.fit(of_frames(pixels * np.nan), ["a"])
    with pytest.raises(FeatureError, match="no finite frame"):
        encoder.fit(of_frames(pixels), ["missing"])
