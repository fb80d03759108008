"""Encoders that begin without weights: what they make of frames, and what they never see."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata
from sklearn.preprocessing import StandardScaler

from emotiwave.api import list_names
from emotiwave.config import parse_recipe
from emotiwave.errors import CheckpointError, ConfigError, FeatureError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extractors.words import encode_words
from emotiwave.models import create_model
from emotiwave.models.encoders import ENCODERS, build_encoder, choose_encoder
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.features import Features
from emotiwave.models.encoders.gru import Gru
from emotiwave.models.encoders.vocabulary import Vocabulary, read_vocabulary, tokens
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from tests.made import LABEL_SETS
from tests.tiny_encoders import one_thread

SMALL = {
    "compact_resnet": {"widths": [8, 8], "side": 16},
    "conv": {"width": 6, "kernel": 3},
    "gru": {"width": 6, "width_embedding": 4, "n_words": 8, "output": "sequence"},
    "lstm": {"width": 6},
    "projection": {"width": 6},
}
TEXTS = {"a": ["So", "glad,", "so", "so", "sad"], "b": ["glad?"], "c": ["zzz", "zzz"]}

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)


def joined(frames: dict[str, np.ndarray]) -> ComputationalSequence:
    return ComputationalSequence.from_sequences(
        {name: FeatureSequence(values, np.zeros((len(values), 2))) for name, values in frames.items()}
    )


def words_of(texts: dict[str, list[str]]) -> ComputationalSequence:
    return joined({name: encode_words(words) for name, words in texts.items()})


def build(name: str, folder: Path | None = None, **keys: object) -> ModalityEncoder:
    torch.manual_seed(0)
    size = {"words": 32, "face": 64}.get(ENCODERS[name].build.takes, 3)
    encoder = build_encoder(choose_encoder("m", {"name": name, **SMALL[name], **keys}), Origin("m", size, folder))
    if isinstance(encoder, Gru) and folder is None:
        encoder.fit(words_of(TEXTS), ["a", "b"])
    return encoder.eval()


def batch_of(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Five utterances of up to six frames with holes; of the fourth nothing is observed."""
    mask = torch.tensor(
        [[1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0], [0] * 6, [0, 1, 1, 0, 0, 0]]
    ).bool()
    if ENCODERS[name].build.takes == "words":
        said = ["so", "glad", "unheard", "sad", "?", "so"]
        return torch.from_numpy(encode_words(said)).expand(5, -1, -1).clone(), mask
    generator = torch.Generator().manual_seed(1)
    if ENCODERS[name].build.takes == "face":
        return torch.rand(5, 6, 64, generator=generator), mask
    return torch.randn(5, 6, 3, generator=generator), mask


# --- what every one of them keeps


@pytest.mark.parametrize("name", SMALL)
class TestEach:
    def test_widths_and_masks(self, name: str) -> None:
        encoder = build(name)
        states, mask = encoder(*batch_of(name))
        width = 8 if name == "compact_resnet" else 6
        assert states.shape == (*mask.shape, width)
        assert encoder.width == width
        assert torch.isfinite(states).all()
        assert mask.sum(dim=1).tolist() == [4, 6, 1, 0, 2]

    @pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -1e30])
    def test_what_is_unobserved_never_reaches_the_answer(self, name: str, garbage: float) -> None:
        encoder, (values, mask) = build(name), batch_of(name)
        clean, seen = encoder(values, mask)
        spoilt, again = encoder(torch.where(mask[..., None], values, garbage), mask)
        torch.testing.assert_close(again, seen)
        torch.testing.assert_close(spoilt[seen], clean[seen], rtol=0, atol=0)
        assert torch.isfinite(spoilt).all()
        spoilt[seen].sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)

    def test_alone_is_as_in_a_batch(self, name: str) -> None:
        encoder, (values, mask) = build(name), batch_of(name)
        together, seen = encoder(values, mask)
        for row in range(5):
            last = max(1, 1 + int(mask[row].nonzero().max())) if mask[row].any() else 1
            alone, observed = encoder(values[row : row + 1, :last], mask[row : row + 1, :last])
            torch.testing.assert_close(alone[observed], together[row][seen[row]], rtol=1e-5, atol=1e-6)

    def test_nothing_observed_at_all(self, name: str) -> None:
        values, mask = batch_of(name)
        for n_frames in (1, 6):
            states, seen = build(name)(values[:, :n_frames] * np.nan, torch.zeros_like(mask[:, :n_frames]))
            assert states.shape[1] >= 1
            assert torch.isfinite(states).all()
            assert not seen.any()

    def test_one_copied_answers_the_same(self, name: str) -> None:
        encoder, batch = build(name), batch_of(name)
        torch.testing.assert_close(copy.deepcopy(encoder)(*batch)[0], encoder(*batch)[0], rtol=0, atol=0)

    def test_saved_files_and_weights_make_it_again(self, name: str, tmp_path: Path) -> None:
        encoder, batch = build(name), batch_of(name)
        encoder.save_files(tmp_path)
        again = build(name, folder=tmp_path)
        again.load_state_dict(encoder.state_dict(), strict=True)
        torch.testing.assert_close(again(*batch)[0], encoder(*batch)[0], rtol=0, atol=0)

    def test_it_is_listed(self, name: str) -> None:
        assert len(list_names("encoders")[name]) > 20


# --- features


@pytest.mark.parametrize("name", ["conv", "lstm", "projection"])
def test_features_are_standardised_first(name: str) -> None:
    values, mask = batch_of(name)
    plain, moved = build(name), build(name)
    frames = values[mask].numpy()
    plain.fit(joined({"a": frames}), ["a"])
    moved.fit(joined({"a": 1000 * frames + 50}), ["a"])
    torch.testing.assert_close(moved(1000 * values + 50, mask)[0], plain(values, mask)[0], rtol=1e-3, atol=1e-4)


def test_projection_by_hand() -> None:
    encoder = build("projection")
    values, mask = batch_of("projection")
    linear = encoder.state_dict()
    frame = values[1, 2] @ linear["project.0.weight"].T + linear["project.0.bias"]
    expected = (frame - frame.mean()) / torch.sqrt(frame.var(unbiased=False) + 1e-5)
    torch.testing.assert_close(encoder(values, mask)[0][1, 2], expected)


def test_a_convolution_sees_its_neighbours_and_no_further() -> None:
    encoder = build("conv", width=32, kernel=3)
    values, mask = batch_of("conv")
    moved = values.clone()
    moved[1, 2] += 1
    changed = (encoder(moved, mask)[0][1] - encoder(values, mask)[0][1]).abs().amax(dim=1) > 1e-6
    assert changed.tolist() == [False, True, True, True, False, False]


def test_an_lstm_reads_on_where_frames_are_missing() -> None:
    encoder = build("lstm")
    values, mask = batch_of("lstm")
    states, _ = encoder(values, mask)
    dense, _ = encoder(values[:1, [0, 1, 3, 4]], torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(states[0, :4], dense[0])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"name": "conv", "kernel": 4}, "m: conv: kernel: expected an odd number"),
        ({"name": "lstm", "width": 5}, "m: lstm: width: expected an even number"),
        ({"name": "projection", "widht": 5}, "did you mean 'width'"),
        ({"name": "resnet", "pretrained": 5}, r"^m: resnet: pretrained: [^.]*boolean; or: [^.]*string; got 5$"),
        ({"name": "resnet", "side": "x"}, r"^m: resnet: side: [^.]*integer; got 'x'$"),
    ],
)
def test_settings_that_cannot_be_are_refused(chosen: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_encoder("m", chosen)


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("conv", "features, standardised, convolved over 3 frames to width 6"),
        ("gru", "gru of 5 words"),
        ("lstm", "features, standardised, bidirectional LSTM of width 6"),
        ("projection", "features, standardised, projected to width 6"),
    ],
)
def test_each_is_described_also_when_built_again(name: str, described: str, tmp_path: Path) -> None:
    encoder = build(name)
    assert encoder.described == described
    encoder.save_files(tmp_path)
    assert build(name, tmp_path).described == described


def test_every_encoder_says_what_it_is() -> None:
    without = [name for name, entry in ENCODERS.items() if entry.build.described is ModalityEncoder.described]
    assert without == []
    assert build_encoder(choose_encoder("m", "features"), Origin("m", 3)).described == "features, standardised"
    assert build_encoder(choose_encoder("m", "gru"), Origin("m", 32)).described == "gru of at most 5,000 words"


# --- words


def test_the_vocabulary_is_of_the_training_texts_by_frequency_then_alphabet(tmp_path: Path) -> None:
    encoder = build("gru")
    assert isinstance(encoder, Gru)
    assert encoder.vocabulary.words == ("so", "glad", ",", "?", "sad")  # zzz is no training text
    encoder.fit(words_of({"b": TEXTS["b"], "a": TEXTS["a"]}), ["b", "a", "elsewhere"])
    assert encoder.vocabulary.words == ("so", "glad", ",", "?", "sad")
    assert Vocabulary.of(TEXTS.values(), n_words=5).words == ("so", "glad", "zzz")
    encoder.save_files(tmp_path)
    assert read_vocabulary(tmp_path, 8) == encoder.vocabulary


def test_the_last_state_is_one_frame() -> None:
    values, mask = batch_of("gru")
    states, seen = build("gru")(values, mask)
    last, observed = build("gru", output="last")(values, mask)
    assert last.shape == (5, 1, 6)
    assert observed[:, 0].tolist() == [True, True, True, False, True]
    for row, n_words in enumerate(seen.sum(dim=1).tolist()):
        if n_words:
            torch.testing.assert_close(last[row, 0], states[row, n_words - 1])


def test_a_gru_by_hand() -> None:
    encoder = build("gru", output="last")
    weights = {name.removesuffix("_l0"): value for name, value in encoder.state_dict().items()}
    state = torch.zeros(6)
    for word in (2, 1):  # so, and one that is not in the vocabulary
        of_word = weights["gru.weight_ih"] @ weights["embedding.weight"][word] + weights["gru.bias_ih"]
        of_state = weights["gru.weight_hh"] @ state + weights["gru.bias_hh"]
        reset, update = torch.sigmoid(of_word[:6] + of_state[:6]), torch.sigmoid(of_word[6:12] + of_state[6:12])
        state = (1 - update) * torch.tanh(of_word[12:] + reset * of_state[12:]) + update * state
    frames = torch.from_numpy(encode_words(["SO", "unheard"]))[None]
    torch.testing.assert_close(encoder(frames, torch.ones(1, 2, dtype=torch.bool))[0][0, 0], state)


def test_unknown_words_are_words_and_an_empty_text_is_none() -> None:
    frames = torch.from_numpy(encode_words(["unheard", "", "\u200b"]))[:, None]
    mask = torch.ones(3, 1, dtype=torch.bool)
    for output in ("last", "sequence"):
        _, seen = build("gru", output=output)(frames, mask)
        assert seen.any(dim=1).tolist() == [True, False, True]
        assert not build("gru", output=output)(frames[1:2], mask[:1])[1].any()


def test_dropout_is_of_training_only() -> None:
    encoder, batch = build("gru", dropout=0.5), batch_of("gru")
    torch.testing.assert_close(encoder(*batch)[0], encoder(*batch)[0], rtol=0, atol=0)
    encoder.train()
    assert not torch.equal(encoder(*batch)[0], encoder(*batch)[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda encoder, frames: encoder(torch.from_numpy(frames)[None], torch.ones(1, len(frames), dtype=torch.bool)),
        lambda encoder, frames: encoder.fit(joined({"a": frames}), ["a"]),
    ],
)
def test_frames_that_are_no_words_are_refused(call: Callable) -> None:
    with pytest.raises(FeatureError, match="holds frames that are no words"):
        call(build("gru"), np.full((2, 32), 0.25, np.float32))


def test_a_corpus_without_words_is_refused() -> None:
    with pytest.raises(FeatureError, match="has no word in training"):
        build("gru").fit(words_of({"a": [""], "b": ["so"]}), ["a"])
    unobserved = np.full((1, 32), np.nan, np.float32)
    with pytest.raises(FeatureError, match="has no word in training"):
        build("gru").fit(joined({"a": unobserved}), ["a"])


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'encoders\.m: gru reads words.*has 5.*features\.extractors\.m = "words"'):
        build_encoder(choose_encoder("m", "gru"), Origin("m", 5))


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_token_is_one_token(text: str) -> None:
    for token in tokens([text]):
        assert list(tokens([token])) == [token]


@given(texts=st.lists(st.text(max_size=40), max_size=20))
@settings(max_examples=50, deadline=None)
def test_any_vocabulary_that_is_saved_can_be_read(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("saved")
    vocabulary = Vocabulary.of([texts], n_words=10)
    vocabulary.save(folder)
    assert read_vocabulary(folder, 10) == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "vocabulary.json: is missing"),
        (b"", "cannot be read"),
        (b"\xff{", "cannot be read"),
        (b"[" * 300, "cannot be read"),
        (b"[]", "not a vocabulary of format 1"),
        (b'{"format": 2, "words": []}', "not a vocabulary of format 1"),
        (b'{"format": 1, "words": {"so": 2}}', "not a vocabulary of format 1"),
        (b'{"format": 1, "words": ["so", 3]}', "3 is no lower-cased word"),
        (b'{"format": 1, "words": ["so", "so"]}', "'so' stands there twice"),
        (b'{"format": 1, "words": ["So"]}', "'So' is no lower-cased word"),
        (b'{"format": 1, "words": ["so glad"]}', "'so glad' is no lower-cased word"),
        (b'{"format": 1, "words": ["\\ud800"]}', "is no lower-cased word"),
        (json.dumps({"format": 1, "words": list("abcdefg")}).encode(), "7 words; the embedding has 8 rows"),
        (b" " * 3000, "3,000 bytes; expected at most"),
    ],
)
def test_a_damaged_vocabulary_is_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "vocabulary.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        build("gru", folder=tmp_path)


def test_a_vocabulary_damaged_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    Vocabulary(("so", "glad", "naïve", "?")).save(tmp_path)
    whole, rng = (tmp_path / "vocabulary.json").read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        (tmp_path / "vocabulary.json").write_bytes(damaged)
        try:
            assert len(read_vocabulary(tmp_path, 8).words) <= 6
        except CheckpointError as error:
            assert "vocabulary.json" in str(error)  # noqa: PT017


# --- which extractors encoders need


def recipe_of(encoders: dict, model: str = "bottleneck", **features: object) -> MediaFeatureSettings:
    tables = {
        "dataset": {"name": "manifest", "file": "clips.csv"},
        "features": features,
        "model": {"name": model, "encoders": encoders},
    }
    found = parse_recipe(tables, source="made").features
    assert isinstance(found, MediaFeatureSettings)
    return found


def chosen_by(features: MediaFeatureSettings, *signals: str) -> dict[str, str]:
    return {modality: choice.name for modality, choice in features.choices(signals).items()}


def test_an_encoder_brings_its_extractor() -> None:
    features = recipe_of({"text": "gru"})
    assert chosen_by(features, "text", "audio") == {"text": "words", "audio": "prosody"}
    assert chosen_by(features, "audio") == {"audio": "prosody"}
    features = recipe_of({"text": "gru"}, extractors={"audio": "logmel"})
    assert chosen_by(features, "text", "audio", "vision") == {"text": "words", "audio": "logmel"}
    features = recipe_of({"text": "gru", "audio": "lstm"}, extractors={"text": "words", "audio": "logmel"})
    assert features.for_encoders is None
    assert chosen_by(recipe_of({}), "text") == {"text": "hashed"}


def test_default_encoders_count_and_a_recipe_written_out_is_the_same() -> None:
    tables = {"dataset": {"name": "manifest", "file": "clips.csv"}, "model": {"name": "image_text"}}
    recipe = parse_recipe(tables, source="made")
    assert isinstance(recipe.features, MediaFeatureSettings)
    assert chosen_by(recipe.features, "text", "vision") == {"text": "words", "vision": "face"}
    again = parse_recipe(recipe.tables(), source="again")
    assert again.tables() == recipe.tables()
    assert again.prepared_tables() == recipe.prepared_tables()
    with pytest.raises(ConfigError, match=r"again: features\.for_encoders is .*need nothing: take the key out"):
        parse_recipe(recipe.tables() | {"model": {"name": "late"}}, source="again")


@pytest.mark.parametrize("given", [{}, {"text": "hashed"}, {"text": "words"}, {"audio": "waveform"}])
def test_needed_extractors_follow_from_the_model_alone(given: dict[str, str]) -> None:
    for encoders, needed in (({"text": "gru"}, {"text": "words"}), ({}, {})):
        if given == needed:
            assert recipe_of(encoders, for_encoders=given).for_encoders == (needed or None)
        else:
            with pytest.raises(ConfigError, match=r"made: features\.for_encoders is .* take the key out"):
                recipe_of(encoders, for_encoders=given)


@pytest.mark.parametrize(
    ("encoders", "features", "message"),
    [
        (
            {"text": "gru"},
            {"extractors": {"text": "hashed"}},
            r"model\.encoders\.text is 'gru'.*'words'.*features\.extractors\.text is 'hashed': name 'words' there",
        ),
        (
            {"vision": "resnet"},
            {"extractors": {"vision": {"name": "image_encoder"}}},
            r"model\.encoders\.vision is 'resnet'.*'face'.*features\.extractors\.vision is 'image_encoder'",
        ),
        (
            {"vision": "gru"},
            {},
            r"model\.encoders\.vision is 'gru', but vision: words is an extractor of text; name the modality so",
        ),
    ],
)
def test_an_encoder_and_an_extractor_that_do_not_fit_are_named(encoders: dict, features: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_of(encoders, **features)


def test_needed_extractors_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"for_encoders.*unknown extractor"):
        parse_recipe(
            {"dataset": {"name": "manifest", "file": "clips.csv"}, "features": {"for_encoders": {"text": "no"}}},
            source="made",
        )


def test_a_model_is_built_of_any_of_them() -> None:
    encoders = {"text": {"name": "gru", **SMALL["gru"]}, "audio": {"name": "lstm", **SMALL["lstm"]}}
    spec = ModelSpec(ModelSettings(name="late", encoders=encoders), {"text": 32, "audio": 3}, LABEL_SETS["categorical"])
    assert create_model(spec).sizes == {"audio": 6, "text": 6}


# features by rank


def ranked(values: np.ndarray) -> Features:
    """The encoder fitted on frames ``(n, features)``, an utterance each."""
    ids = tuple(f"u{i}" for i in range(len(values)))
    sequence = ComputationalSequence(
        ids, values.astype(np.float32), np.full((len(values), 2), np.nan), np.arange(len(values) + 1)
    )
    encoder = build_encoder(choose_encoder("audio", {"name": "features", "scale": "ranks"}), Origin("audio", 3))
    encoder.fit(sequence, ids)
    return encoder


def test_ranks_become_normal_scores_whatever_the_scale() -> None:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((4000, 3))
    wild = np.stack([normal[:, 0], np.exp(5 * normal[:, 1]), -(normal[:, 2] ** 3)], axis=1)
    found, mask = ranked(wild)(torch.from_numpy(wild.astype(np.float32))[None], torch.ones(1, 4000, dtype=torch.bool))
    assert mask.all()
    expected = norm.ppf((rankdata(wild, axis=0) - 0.5) / 4000)
    middle = np.abs(expected) < 2
    np.testing.assert_allclose(found[0].numpy()[middle], expected[middle], atol=0.03)
    assert found.abs().max() == pytest.approx(norm.ppf(1 - 0.005), abs=1e-3)  # farther out nothing is known


def test_a_value_that_many_share_gets_the_middle_of_their_scores() -> None:
    values = np.array([[0.0, 7.0, -1.0]] * 60 + [[x, 7.0, x] for x in np.linspace(0.1, 1, 40)])
    asked = torch.tensor([[[0.0, 7.0, -1.0], [-5.0, 9.0, -1.0], [5.0, 5.0, 0.55]]])
    found, _ = ranked(values)(asked, torch.ones(1, 3, dtype=torch.bool))
    low, high = norm.ppf(0.005), norm.ppf(0.995)
    shared = (low + norm.ppf(0.59)) / 2  # of 101 quantiles 0 to 59 are equal
    np.testing.assert_allclose(found[0, :, 0], [shared, low, high], atol=0.02)
    np.testing.assert_allclose(found[0, :, 1], [0.0, high, low], atol=1e-5)  # constant in training
    assert found[0, 2, 2] == pytest.approx(norm.ppf(0.8), abs=0.05)


def test_ranks_of_unobserved_frames_are_zeros() -> None:
    values = np.random.default_rng(0).standard_normal((50, 3))
    asked = torch.full((1, 2, 3), torch.nan)
    asked[0, 0] = 1.0
    found, _ = ranked(values)(asked, torch.tensor([[True, False]]))
    assert torch.equal(found[0, 1], torch.zeros(3))
    assert torch.isfinite(found).all()


def test_a_ranked_encoder_is_saved_with_its_quantiles() -> None:
    values = np.random.default_rng(0).standard_normal((50, 3))
    encoder = ranked(values)
    again = build_encoder(choose_encoder("audio", {"name": "features", "scale": "ranks"}), Origin("audio", 3))
    again.load_state_dict(encoder.state_dict())
    asked, mask = torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    assert torch.equal(again(asked, mask)[0], encoder(asked, mask)[0])
    assert encoder.described == "features, ranked"


def test_features_without_outliers_are_not_cut() -> None:
    """Most shares of votes are zero, so that by quantiles the others would lie far out."""
    rng = np.random.default_rng(0)
    shares = np.where(rng.random((400, 3)) < 0.7, rng.random((400, 3)) * 0.02, rng.random((400, 3))).astype(np.float32)
    shares[:, 2] = 1.0
    sequence = ComputationalSequence(tuple(map(str, range(400))), shares, np.full((400, 2), np.nan), np.arange(401))
    encoder = build_encoder(choose_encoder("audio", {"name": "features", "scale": "standard"}), Origin("audio", 3))
    encoder.fit(sequence, [str(i) for i in range(300)])
    asked, mask = torch.from_numpy(shares[None] * 20), torch.ones(1, 400, dtype=torch.bool)
    expected = StandardScaler().fit(shares[:300].astype(np.float64)).transform(shares * 20)
    found = encoder(asked, mask)[0][0].numpy()
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=1e-3, atol=1e-3)
    assert found[:, :2].max() > 30
    np.testing.assert_allclose(found[:, 2], 19.0)
    assert encoder.described == "features, standardised"
