"""Extractors that run a pretrained encoder: what they give, what their identity says, what they refuse."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import resample_poly

from emotiwave.errors import CheckpointError, ConfigError, FeatureError
from emotiwave.features.extractors import text_encoder
from emotiwave.features.extractors.image_encoder import ImageEncoder, ImageEncoderSettings
from emotiwave.features.extractors.speech_encoder import SpeechEncoder, SpeechEncoderSettings
from emotiwave.features.extractors.text_encoder import TextEncoder, TextEncoderSettings
from tests import tiny_encoders as tiny

EXTRACTORS = {
    "speech": (SpeechEncoder, SpeechEncoderSettings, tiny.save_speech),
    "image": (ImageEncoder, ImageEncoderSettings, tiny.save_resnet),
    "text": (TextEncoder, TextEncoderSettings, tiny.save_bert),
}


one_thread = pytest.fixture(scope="module", autouse=True)(tiny.one_thread)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    return {name: save(root / name) for name, (_, _, save) in EXTRACTORS.items()}


@pytest.fixture
def build(folders):
    def built(name: str, **settings):
        extractor, table, _ = EXTRACTORS[name]
        return extractor(table(model=str(folders[name]), **{"precision": "float32", **settings}))

    return built


def signal_of(name: str, seed: int = 0):
    generator = np.random.default_rng(seed)
    if name == "speech":
        return generator.normal(size=1600).astype(np.float32), 16_000
    if name == "image":
        shown = np.arange(20.0)[:, None] / 5
        return generator.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), np.hstack([shown, shown + 0.2])
    words = generator.choice(["i", "am", "so", "happy", "sad"], 7).tolist()
    return words, np.stack([np.arange(7.0), np.arange(7.0) + 0.5], axis=1)


def test_the_vectors_of_several_models_are_put_one_after_the_other(build, tmp_path):
    other = tiny.save_roberta(tmp_path / "roberta")
    one = build("text", layer=(0, -1))
    settings = TextEncoderSettings(model=(one.settings.model, str(other)), layer=(0, -1), precision="float32")
    both = TextEncoder(settings)
    alone = TextEncoder(TextEncoderSettings(model=str(other), layer=(0, -1), precision="float32"))
    words, timing = signal_of("text")
    values = both(words, timing).values
    assert values.shape == (7, both.size)
    np.testing.assert_array_equal(values, np.hstack([one(words, timing).values, alone(words, timing).values]))
    assert both.identity["model"] == [one.identity["model"], alone.identity["model"]]
    assert one.identity == TextEncoder(settings.model_copy(update={"model": (one.settings.model,)})).identity


def test_a_word_that_one_of_several_models_does_not_know_is_unobserved(build, tmp_path, monkeypatch):
    one = build("text")
    both = TextEncoder(TextEncoderSettings(model=(one.settings.model, one.settings.model), precision="float32"))
    encode = text_encoder.encode_words
    made = []

    def knows_less(*args):
        states = encode(*args)
        made.append(states)
        if len(made) == 2:
            states[0][3] = float("nan")
        return states

    monkeypatch.setattr(text_encoder, "encode_words", knows_less)
    values = both(*signal_of("text")).values
    assert np.isnan(values).all(axis=1).tolist() == [False, False, False, True, False, False, False]
    assert np.isfinite(np.delete(values, 3, axis=0)).all()


@pytest.mark.parametrize("model", [3, [], ["a/b", 3], None])
def test_models_are_names(model):
    with pytest.raises(ValidationError, match="expected a folder or a name of the Hub, or a list of them") as error:
        TextEncoderSettings(model=model)
    assert error.value.error_count() == 1


def test_a_revision_is_of_one_model():
    with pytest.raises(ValidationError, match="revision is of one model; got 2"):
        TextEncoderSettings(model=("a/b", "c/d"), revision="main")


@pytest.mark.parametrize("name", EXTRACTORS)
def test_shapes_types_and_times(name, build):
    extractor = build(name)
    signal, timing = signal_of(name)
    sequence = extractor(signal, timing)
    assert sequence.values.dtype == np.float32
    assert sequence.values.shape == (len(sequence.intervals), extractor.size)
    assert np.isfinite(sequence.values).all()
    if name == "speech":
        starts, ends = sequence.intervals.T
        np.testing.assert_allclose(ends - starts, 40 / 16_000)
        np.testing.assert_allclose(starts[1:], ends[:-1])
    else:
        np.testing.assert_array_equal(sequence.intervals, timing)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_many_are_as_one_by_one(name, build):
    extractor = build(name)
    signals = [signal_of(name, seed) for seed in range(3)]
    for together, (signal, timing) in zip(extractor.many(signals), signals, strict=True):
        alone = extractor(signal, timing)
        np.testing.assert_allclose(together.values, alone.values, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(together.intervals, alone.intervals)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_nothing_gives_no_frame(name, build):
    signal, timing = signal_of(name)
    sequence = build(name)(signal[:0], timing if name == "speech" else timing[:0])
    assert sequence.values.shape == (0, sequence.values.shape[1])
    assert sequence.intervals.shape == (0, 2)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_weights_are_read_at_the_first_call(name, build):
    extractor = build(name)
    (encoder,) = extractor.encoders if name == "text" else (extractor.encoder,)
    assert "module" not in encoder.__dict__
    assert pickle.loads(pickle.dumps(extractor.settings)) == extractor.settings
    values = extractor(*signal_of(name)).values
    assert "module" in encoder.__dict__
    np.testing.assert_array_equal(values, build(name)(*signal_of(name)).values)


CHANGES = {
    "speech": [{"layer": 1}, {"precision": "bfloat16"}],
    "image": [{"of": "frames"}, {"pool": "mean"}, {"precision": "bfloat16"}],
    "text": [{"layer": 1}, {"layer": (2, 1)}, {"pieces": "first"}, {"precision": "bfloat16"}],
}


@pytest.mark.parametrize("name", EXTRACTORS)
def test_identity_says_all_that_values_depend_on(name, build, folders):
    plain = build(name).identity
    assert json.loads(json.dumps(plain)) == plain
    assert str(folders[name]) not in json.dumps(plain)
    others = [build(name, **change).identity for change in CHANGES[name]]
    texts = {json.dumps(identity, sort_keys=True) for identity in [plain, *others]}
    assert len(texts) == 1 + len(others)
    if name != "image":  # -1 is the last of two
        assert build(name, layer=2).identity == plain


@pytest.mark.parametrize("name", EXTRACTORS)
def test_bfloat16_is_near(name, build):
    signal = signal_of(name)
    exact, near = (build(name, precision=precision)(*signal).values for precision in ("float32", "bfloat16"))
    bound = 0.2 if name == "speech" else 0.03  # .08 where oneDNN uses bfloat16 instructions
    assert 0 < np.linalg.norm(exact - near) < bound * np.linalg.norm(exact)


def test_layers_that_are_not_there(build):
    for name, layer in (("speech", 3), ("text", -4), ("text", (1, 7))):
        with pytest.raises(ConfigError, match="has no layer"):
            build(name, layer=layer)
    with pytest.raises(ValidationError):
        TextEncoderSettings(layer=())


def test_layers_stand_side_by_side(build):
    words = signal_of("text")
    one, two, both = (build("text", layer=layer)(*words).values for layer in (1, -1, (1, -1)))
    np.testing.assert_allclose(both, np.hstack([one, two]), rtol=1e-6)


def test_words_that_say_nothing_are_unobserved(build):
    words = ["happy", "\u200b", "", "sad"]
    values = build("text")(words, np.full((4, 2), np.nan)).values
    np.testing.assert_array_equal(np.isnan(values).all(axis=1), [False, True, True, False])


def test_sound_of_another_rate_is_resampled(build):
    time = np.arange(4800) / 48_000
    sound = (np.sin(2 * np.pi * 440 * time) * np.hanning(4800)).astype(np.float32)
    extractor = build("speech", layer=0)
    mine = extractor(sound, 48_000).values
    theirs = extractor(resample_poly(sound, 1, 3).astype(np.float32), 16_000).values
    assert mine.shape == theirs.shape
    assert np.linalg.norm(mine - theirs) < 0.02 * np.linalg.norm(theirs)


def test_sound_that_is_not_finite(build):
    with pytest.raises(FeatureError, match="not finite"):
        build("speech")(np.array([0, np.nan] * 500, np.float32), 16_000)


def test_a_block_on_a_hop_has_the_frames_of_the_whole_below_attention(build):
    (sound, rate), extractor = signal_of("speech"), build("speech")
    hop = extractor.preprocessing.hop
    whole, part = extractor(sound, rate), extractor(sound[10 * hop :], rate)
    np.testing.assert_allclose(part.intervals + 10 * hop / rate, whole.intervals[10:])


def test_quiet_and_constant_signals_are_finite(build):
    for sound in (np.zeros(1600, np.float32), np.full(1600, 1e-30, np.float32), np.ones(1600, np.float32)):
        assert np.isfinite(build("speech")(sound, 16_000).values).all()
    black = np.zeros((1, 32, 32, 3), np.uint8)
    assert np.isfinite(build("image")(black, np.zeros((1, 2))).values).all()


def test_missing_weights_are_an_error_at_the_first_call(tmp_path):
    folder = tiny.save_vit(tmp_path / "vit")
    extractor = ImageEncoder(ImageEncoderSettings(model=str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        extractor(*signal_of("image"))


def test_a_folder_in_a_recipe_means_the_same_from_anywhere(tmp_path, monkeypatch):
    tiny.save_vit(tmp_path / "my vit")
    monkeypatch.chdir(tmp_path)
    assert ImageEncoderSettings(model="my vit").model == str(tmp_path / "my vit")
    assert ImageEncoderSettings(model="./other").model == str(tmp_path / "other")
    assert ImageEncoderSettings(model="microsoft/resnet-18").model == "microsoft/resnet-18"
    assert Path(ImageEncoderSettings(model="~/vit").model).is_absolute()
