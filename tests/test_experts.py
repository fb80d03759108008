"""The experts on made weights: what they answer, what they will not, and which weights they refuse."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save
from scipy.special import log_softmax

import emotiwave
from emotiwave.errors import CheckpointError, ConfigError, MediaError, MissingExtraError
from emotiwave.experts import Experts, Speaker, VoiceExpert, distribution, load_experts
from emotiwave.experts.face import face_quality, to_pixels
from emotiwave.experts.voice import merge_to_seven, voice_quality
from emotiwave.experts.voice_classifier import fit, spread_ratio
from emotiwave.experts.voice_spoiling import spoil_voice
from emotiwave.experts.voice_vector import ALL, SIZES, VoiceNetworks, active_span, voice_vector, without_offset
from emotiwave.faces.crops import fit_face
from emotiwave.labels import SEVEN
from emotiwave.signals import Waveform
from tests.made_media import write_sound
from tests.made_weights import PRIOR, RAVDESS, away_from_home, describe, made_folder, trust
from tests.test_cli import run
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
folder = pytest.fixture(scope="module")(made_folder)
away_from_home = pytest.fixture(autouse=True)(away_from_home)
RATE = 16_000


@pytest.fixture
def experts(folder: Path) -> Experts:
    return load_experts(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def voice(seconds: float = 1.0, pitch: float = 150.0, seed: int = 0, level: float = 0.2) -> Waveform:
    times = np.arange(round(seconds * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * pitch * k * times) / k for k in range(1, 12)) * (1.2 + np.sin(2 * np.pi * 3 * times))
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(times))
    return Waveform((level * (hum / 4 + noise)).astype(np.float32), RATE)


def expected_of(raw: np.ndarray, measures: list[np.ndarray]) -> np.ndarray:
    """What the confidence of the made weights makes of log-posteriors, by its formula."""
    temperature = np.exp(0.3 + sum(0.1 * (k + 1) * (values - 1) / 2 for k, values in enumerate(measures)))
    return log_softmax(raw / temperature[:, None], axis=1)


def test_every_expert_is_calibrated_and_gives_back_the_prior(experts: Experts) -> None:
    texts, clips, faces = ["i am happy", "you"], [voice(), voice(0.7, 300)], [face(), face(20)]
    raw, _ = experts.text.logits([text.split() for text in texts])
    answers = {experts.text(texts): expected_of(raw, [np.log2(np.array([4.0, 2.0]))])}
    vectors = np.stack([voice_vector(clip.samples, experts.audio.networks) for clip in clips])
    model = experts.audio.classifier
    quality = voice_quality([clip.samples for clip in clips])
    measures = [quality["level"], quality["range"], quality["seconds"], model.strangeness(vectors), np.zeros(2)]
    answers[experts.audio(clips)] = expected_of(merge_to_seven(model.log_posterior(vectors), RAVDESS), measures)
    pixels = np.stack([fit_face(picture, 48, is_grey=True).reshape(-1) / 255 for picture in faces]).astype(np.float32)
    of_faces = face_quality(faces, pixels)
    measures = [of_faces["side"], of_faces["sharpness"], of_faces["contrast"]]
    answers[experts.vision(faces)] = expected_of(experts.vision.logits(pixels), measures)
    for answer, expected in answers.items():
        np.testing.assert_allclose(answer.log_posterior, expected, atol=1e-4)
    weighed = (
        experts.text(texts, prior_weight=0.5),
        experts.audio(clips, prior_weight=0.5),
        experts.vision(faces, prior_weight=0.5),
    )
    for answer, expected in zip(weighed, answers.values(), strict=True):
        found = log_softmax(expected - 0.5 * np.log(PRIOR), axis=1)
        np.testing.assert_allclose(answer.log_posterior, found, atol=1e-4)
    for weight in (float("nan"), -0.1, 1.1):
        with pytest.raises(ConfigError, match="prior weight"):
            experts.text(texts, prior_weight=weight)


# --- words


def test_texts_are_answered_alone_as_together(experts: Experts) -> None:
    texts = ["i am so happy", "you are very sad and so am i", "", "happy 😂", "\0"]
    together = experts.text(texts)
    assert together.names == SEVEN
    np.testing.assert_allclose(together.probabilities.sum(axis=1), 1)
    for place, text in enumerate(texts):
        alone = experts.text([text])
        np.testing.assert_allclose(alone.log_posterior[0], together.log_posterior[place], atol=1e-5)
    assert together.observed.tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(together.probabilities[2], PRIOR)
    assert together.reasons[2] == "no words"
    assert together.decisions[2] is None
    assert experts.text([]).probabilities.shape == (0, 7)


def test_several_classes_are_those_beyond_their_thresholds(experts: Experts) -> None:
    answer = experts.text(["i am so happy", ""])
    expected = tuple(name for name, p in zip(SEVEN, answer.probabilities[0], strict=True) if p > 0.2)
    assert experts.text.labels(answer) == [expected, ()]


def test_doubtful_texts_are_told_of(experts: Experts) -> None:
    german = "Heute war ein furchtbarer Tag und niemand wollte mir glauben oder helfen"
    english = "This was an awful day and nobody would believe me or even help"
    long = "happy " * 3000
    doubts = experts.text([german, english, long]).reasons
    assert "English" in str(doubts[0])
    assert "Latin" in str(experts.text(["私はとても悲しいです"]).reasons[0])
    assert doubts[1] is None
    assert "3,000 words; the first 1,024" in str(doubts[2])
    words = ["sad"] * 1024 + ["happy"] * 500
    raw = [experts.text.logits([part])[0] for part in (words[:1024], words)]
    assert np.abs(raw[0] - raw[1]).max() > 0.002  # ten times what is tolerated below, after calibration
    found, expected = experts.text([" ".join(words)]), expected_of(raw[0], [np.log2([1.0 + len(words)])])
    np.testing.assert_allclose(found.log_posterior, expected, atol=1e-4)
    wide = experts.text(["怒" * 7000]).reasons[0]
    assert wide == "7,000 letters; the first 6,000 were read"


def test_what_says_nothing_is_not_observed(experts: Experts) -> None:
    texts = ["...", "12345", "\u200b", "!!!", ":-(", "<3", "\u2b50", "a"]
    assert experts.text(texts).observed.tolist() == [False] * 4 + [True] * 4
    odd = experts.text([None, b"bytes", "happy"])  # pyright: ignore[reportArgumentType]
    assert odd.observed.tolist() == [False, False, True]
    assert odd.reasons[:2] == ("NoneType is no text", "bytes is no text")
    with pytest.raises(ConfigError, match="put it into a list"):
        experts.text("happy")


# --- voice


def test_the_vector_of_a_voice(experts: Experts) -> None:
    networks = experts.audio.networks
    vector = voice_vector(voice().samples, networks)
    assert vector.shape == (sum(SIZES.values()),)
    assert np.isfinite(vector).all()
    start = 0
    for block in ALL:
        np.testing.assert_array_equal(
            voice_vector(voice().samples, networks, (block,)), vector[start : start + SIZES[block]]
        )
        start += SIZES[block]


def test_silence_around_a_voice_does_not_count(experts: Experts) -> None:
    samples = voice().samples
    quiet = np.concatenate([np.zeros(4800, np.float32), samples, np.zeros(8000, np.float32)])
    first, last = active_span(quiet)
    assert first <= 4800 < 4800 + len(samples) <= last <= 4800 + len(samples) + 400
    assert active_span(np.zeros(1000, np.float32)) == active_span(np.zeros(0, np.float32)) == (0, 0)


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_hardly_any_sound_is_not_observed(experts: Experts, seconds: float) -> None:
    silent = Waveform(np.zeros(RATE, np.float32), RATE)
    answer = experts.audio([voice(seconds), silent, voice()])
    assert answer.observed.tolist() == [False, False, True]
    np.testing.assert_allclose(answer.probabilities[:2], [PRIOR, PRIOR])
    assert "expected at least 0.1 s" in str(answer.reasons[0])
    assert "0.00 s of sound in 1.00 s" in str(answer.reasons[1])


def test_long_sound_is_heard_from_its_beginning_and_odd_rates_are_refused(experts: Experts) -> None:
    long = voice(61)
    answer = experts.audio([long, Waveform(long.samples[: 60 * RATE], RATE)])
    np.testing.assert_array_equal(answer.log_posterior[0], answer.log_posterior[1])
    assert answer.reasons == ("longer than 60 s; the first 60 s were heard", None)
    with pytest.raises(ConfigError, match="8000 Hz; expected 16000"):
        experts.audio([Waveform(np.zeros(8000, np.float32), 8000)])


def test_sound_of_another_form_is_not_observed_and_harms_no_other(experts: Experts) -> None:
    samples = voice().samples
    forms = [samples.astype(np.float64), np.stack([samples, samples]), (samples * 3e4).astype(np.int16), samples * 1e30]
    answer = experts.audio([Waveform(form, RATE) for form in forms] + [voice()])
    assert answer.observed.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(answer.log_posterior[0], answer.log_posterior[4])
    assert "expected one channel of floats" in str(answer.reasons[1])


def test_sound_that_is_not_finite_is_not_observed(experts: Experts) -> None:
    spoilt = [voice().samples.copy() for _ in range(2)]
    spoilt[0][500], spoilt[1][0] = np.nan, np.inf
    answer = experts.audio([Waveform(samples, RATE) for samples in spoilt])
    assert not answer.observed.any()
    assert all("not finite" in str(reason) for reason in answer.reasons)


def test_a_steady_offset_does_not_count(experts: Experts) -> None:
    samples = voice().samples
    shifted = experts.audio([Waveform(samples + np.float32(0.5), RATE)])
    centred = experts.audio([Waveform(samples - samples.mean(), RATE)])
    np.testing.assert_allclose(shifted.log_posterior, centred.log_posterior, atol=0.05)
    np.testing.assert_allclose(shifted.quality["range"], centred.quality["range"], atol=0.1)
    slight = (samples + np.float32(1e-3)).astype(np.float32)
    assert without_offset(slight) is slight


def test_what_is_stranger_than_training_is_not_answered(experts: Experts) -> None:
    model = experts.audio.classifier
    vector = voice_vector(voice().samples, experts.audio.networks)
    standard = np.clip((vector - model.mean) / model.scale, -5, 5)
    strangeness = float(np.sqrt((standard.astype(float) ** 2).mean()))
    assert model.strangeness(vector[None])[0] == pytest.approx(strangeness, rel=1e-5)
    for limit, is_answered in ((1.001 * strangeness, True), (0.999 * strangeness, False)):
        facts = experts.audio.facts.model_copy(update={"strangest": limit})
        answer = VoiceExpert("all", experts.audio.networks, model, facts)([voice()])
        assert answer.observed.tolist() == [is_answered]
        assert (answer.reasons[0] is None) == is_answered
    assert "like no voice of training" in str(answer.reasons[0])


def test_a_speaker_changes_the_answer_as_the_formula_says(experts: Experts, tmp_path: Path) -> None:
    clips = [voice(seed=k, pitch=200 + 20 * k) for k in range(3)]
    speaker, reasons = experts.audio.enroll([*clips, Waveform(np.zeros(RATE, np.float32), RATE)])
    assert speaker.n_clips == 3
    assert [reason is None for reason in reasons] == [True, True, True, False]
    model = experts.audio.classifier
    vectors = np.stack([voice_vector(clip.samples, experts.audio.networks) for clip in clips])
    widths = np.concatenate([np.full(SIZES[block], SIZES[block] ** 0.5) for block in ALL])
    standard = np.clip((vectors - model.mean) / model.scale, -5, 5) / widths
    np.testing.assert_allclose(speaker.offset, standard.sum(axis=0) / (3 + 4.0), rtol=1e-4, atol=1e-6)
    logits = (standard[:1] - speaker.offset) @ model.weights + model.bias
    expected = merge_to_seven(log_softmax(logits, axis=1), RAVDESS)
    quality = voice_quality([clips[0].samples])
    measures = [quality["level"], quality["range"], quality["seconds"], model.strangeness(vectors[:1]), np.log2([4.0])]
    found = experts.audio(clips[:1], speaker=speaker).log_posterior
    np.testing.assert_allclose(found, expected_of(expected, measures), atol=1e-4)
    assert not np.allclose(experts.audio(clips[:1]).log_posterior, found, atol=1e-3)
    speaker.save(tmp_path / "speaker.safetensors")
    again = Speaker.read(tmp_path / "speaker.safetensors")
    assert (again.n_clips, again.blocks) == (3, "all")
    np.testing.assert_array_equal(again.offset, speaker.offset)


def test_a_speaker_of_other_blocks_or_of_no_sound_is_refused(experts: Experts, folder: Path, tmp_path: Path) -> None:
    lean = load_experts(folder, voice="prosody")
    speaker, _ = lean.audio.enroll([voice()])
    with pytest.raises(ConfigError, match="'prosody'"):
        experts.audio([voice()], speaker=speaker)
    with pytest.raises(MediaError, match="no clip of the speaker can be used"):
        experts.audio.enroll([Waveform(np.zeros(RATE, np.float32), RATE)])
    with pytest.raises(ConfigError, match="no blocks 'both'"):
        load_experts(folder, voice="both")
    other, _ = experts.audio.enroll([voice()])
    with pytest.raises(ConfigError, match="other weights"):
        experts.audio([voice()], speaker=replace(other, made_with="0" * 64))
    good = {"all": other.offset, "n_clips": np.array([1])}
    changed = [
        {"n_clips": np.array([-1])},
        {"n_clips": np.array([0])},
        {"n_clips": np.array([2**62])},
        {"n_clips": np.array([np.nan])},
        {"n_clips": np.array([1, 1])},
        {"all": np.full_like(other.offset, np.nan)},
        {"all": np.full_like(other.offset, 3e38)},
        {"all": other.offset[:-1]},
        {"all": other.offset.astype(np.float64)},
        {"more": other.offset},
    ]
    contents = [b"", b"not safetensors at all", (folder / "voice" / "networks.safetensors").read_bytes()]
    contents += [save(good | change) for change in changed] + [save(good) + b"\0" * 2**21]
    for content in contents:
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(CheckpointError, match="no file of a speaker"):
            Speaker.read(tmp_path / "bad")
    with pytest.raises(CheckpointError, match="no file of a speaker"):
        Speaker.read(tmp_path)


def test_calm_counts_as_neutral() -> None:
    posterior = np.log(np.array([[0.05, 0.2, 0.1, 0.1, 0.1, 0.15, 0.1, 0.2]]))
    merged = np.exp(merge_to_seven(posterior, RAVDESS))[0]
    np.testing.assert_allclose(dict(zip(SEVEN, merged, strict=True))["neutral"], 0.35)
    assert merged.sum() == pytest.approx(1)


def test_the_classifier_learns_through_voices_that_differ() -> None:
    generator = np.random.default_rng(0)
    speakers, labels = np.repeat(np.arange(12), 20), np.tile(np.arange(4), 60)
    n = SIZES["prosody"]
    emotion, person = 0.15 * generator.standard_normal((4, n)), 1.5 * generator.standard_normal((12, n))
    vectors = (emotion[labels] + person[speakers] + generator.standard_normal((240, n))).astype(np.float32)
    heard = speakers < 8
    model = fit(
        vectors[heard, None],
        [RAVDESS[k] for k in labels[heard]],
        [str(k) for k in speakers[heard]],
        ("prosody",),
        inverse_penalty=1.0,
        repeats=2,
        seed=0,
    )
    assert model.classes == tuple(sorted(RAVDESS[:4]))
    truth = np.array([model.classes.index(RAVDESS[k]) for k in labels])
    right = {0: [], 12: []}
    for who in range(8, 12):
        clips = np.flatnonzero(speakers == who)
        for number, hits in right.items():
            offset = model.speaker(vectors[clips[:number]]) if number else 0.0
            answers = model.log_posterior(vectors[clips[12:]], offset).argmax(axis=1)
            hits.append((answers == truth[clips[12:]]).mean())
    assert np.mean(right[12]) > 0.9 > np.mean(right[0]) + 0.1
    # within: 1 of noise and 0.02 of emotions; between: 2.25, of 8 speakers seven eighths of it
    assert spread_ratio(vectors[heard], speakers[heard]) == pytest.approx(1.02 / (2.25 * 7 / 8), rel=0.12)


def test_spoiled_voices_stay_sound() -> None:
    generator = np.random.default_rng(0)
    others = [voice(0.4, 100 + 30 * k).samples for k in range(4)]
    given = voice(0.6).samples
    before = given.copy()
    lengths = set()
    for _ in range(40):
        made = spoil_voice(given, others, generator)
        assert np.isfinite(made).all()
        assert made.dtype == np.float32
        lengths.add(len(made))
    loudness = [20 * np.log10(np.std(spoil_voice(given, others, generator)) / np.std(given)) for _ in range(60)]
    assert min(loudness) < -22
    assert max(loudness) > -3
    assert len(given) in lengths
    assert min(lengths) < 0.95 * len(given) < 1.05 * len(given) < max(lengths)
    np.testing.assert_array_equal(given, before)


def test_noise_is_seen_in_the_quality_of_a_clip() -> None:
    times = np.arange(2 * RATE) / RATE
    spoken = np.where(times % 0.5 < 0.3, 0.2, 0.0) * np.sin(2 * np.pi * 200 * times)  # pauses of 0.2 s
    noisy = [spoken + level * np.random.default_rng(0).standard_normal(len(times)) for level in (0.001, 0.01, 0.1)]
    quality = voice_quality([clip.astype(np.float32) for clip in noisy])
    expected = [10 * np.log10((0.02 + level**2) / level**2) for level in (0.001, 0.01, 0.1)]
    np.testing.assert_allclose(quality["range"], expected, atol=1.5)
    np.testing.assert_allclose(quality["level"][:2], 10 * np.log10(0.02), atol=0.3)
    # the last pause is cut off where it is 40 dB below the voice
    np.testing.assert_allclose(quality["seconds"], np.log2([1.8, 2, 2]), atol=0.02)


# --- faces


def face(side: int = 60, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, channels), dtype=np.uint8)


def test_faces_of_any_size_are_answered_alone_as_together(experts: Experts) -> None:
    faces = [face(), face(48, 1), face(12), face(300)]
    together = experts.vision(faces)
    assert together.observed.all()
    for place, one in enumerate(faces):
        np.testing.assert_allclose(experts.vision([one]).log_posterior[0], together.log_posterior[place], atol=1e-5)
    assert experts.vision([]).probabilities.shape == (0, 7)


def test_what_shows_nothing_is_not_observed(experts: Experts) -> None:
    black, tiny = np.zeros((48, 48, 1), np.uint8), face(7)
    answer = experts.vision([black, tiny, face()])
    assert answer.observed.tolist() == [False, False, True]
    assert "shows nothing" in str(answer.reasons[0])
    assert "7 x 7 pixels; expected at least 8" in str(answer.reasons[1])
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 255  # one colour, three values
    odd = experts.vision([np.zeros((48, 48), np.uint8), np.zeros((48, 48, 3)), face(48, 4), red, face()])
    assert odd.observed.tolist() == [False] * 4 + [True]
    assert "shape (48, 48) uint8" in str(odd.reasons[0])
    assert "float64" in str(odd.reasons[1])
    assert "shows nothing" in str(odd.reasons[3])


def test_quality_of_pictures() -> None:
    smooth = np.tile(np.linspace(60, 200, 48).astype(np.uint8)[:, None, None], (1, 48, 1))
    pictures = [face(48, 1), smooth, (face(48, 1) // 4).astype(np.uint8), face(24, 1)]
    quality = face_quality(pictures, to_pixels(pictures))
    np.testing.assert_allclose(quality["side"], [np.log2(48)] * 3 + [np.log2(24)])
    assert quality["sharpness"][0] > quality["sharpness"][1] + 3
    assert quality["sharpness"][2] == pytest.approx(quality["sharpness"][0], abs=0.01)  # light does not count
    assert quality["contrast"][2] == pytest.approx(quality["contrast"][0] - np.log(4), abs=0.02)


# --- the distribution


def test_the_terms_are_told_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_experts(folder)
    assert "emotiwave-weights-research 9.9: made up" in capsys.readouterr().err
    load_experts(folder)
    assert capsys.readouterr().err == ""


def test_terms_that_cannot_be_noted_are_told_again(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(distribution.platformdirs, "user_state_dir", lambda _: str(tmp_path / "file" / "x"))
    for _ in range(2):
        load_experts(folder)
        assert "made up" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["text/model.safetensors", "face/model.json", "voice/all.safetensors", "voice/networks.safetensors"]
)
def test_changed_weights_are_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: its SHA-256 is not the one in weights.json"):
        load_experts(copy)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing"):
        load_experts(copy)


def test_files_that_nobody_knows_are_refused(copy: Path) -> None:
    (copy / "face" / "more.py").write_text("print('no')")
    with pytest.raises(CheckpointError, match=r"more.py: weights.json knows no such file"):
        load_experts(copy)
    (copy / "face" / "more.py").unlink()
    (copy / "MODEL_CARD.md").write_text("# Another\n")
    with pytest.raises(CheckpointError, match=r"MODEL_CARD.md: its SHA-256"):
        load_experts(copy)


@pytest.mark.parametrize("what", ["mean", "scale", "weights", "bias"])
def test_voices_of_weights_that_are_not_finite_are_refused(copy: Path, what: str) -> None:
    path = copy / "voice" / "all.safetensors"
    held = load_file(path)
    held[what] = np.zeros_like(held[what]) if what == "scale" else np.full_like(held[what], np.nan)
    path.write_bytes(save(held))
    trust(copy)
    with pytest.raises(CheckpointError, match="weights that are not finite"):
        load_experts(copy)


def test_networks_that_are_not_finite_are_refused(copy: Path) -> None:
    path = copy / "voice" / "networks.safetensors"
    held = load_file(path)
    held["speaker.linear.bias"] = np.full_like(held["speaker.linear.bias"], np.inf)
    path.write_bytes(save(held))
    trust(copy)
    with pytest.raises(CheckpointError, match="some weights are not finite"):
        load_experts(copy)


@pytest.mark.parametrize(
    ("expert", "key", "value"),
    [
        ("audio_all", "classes", ["bogus", *RAVDESS[1:]]),
        ("audio_all", "classes", ["calm"] * 8),
        ("audio_all", "kappa", -1.0),
        ("audio_all", "strangest", 0.0),
        ("text", "prior", [0.5] * 7),
        ("text", "thresholds", [0.5] * 6),
        ("vision", "confidence", {}),
    ],
)
def test_facts_that_cannot_be_are_refused(copy: Path, expert: str, key: str, value: object) -> None:
    experts = json.loads((copy / "weights.json").read_text())["experts"]
    experts[expert][key] = value
    describe(copy, experts=experts)
    with pytest.raises(CheckpointError, match=f"damaged facts of the {expert} expert"):
        load_experts(copy)


def test_a_confidence_by_measures_that_nobody_takes_is_refused(copy: Path) -> None:
    experts = json.loads((copy / "weights.json").read_text())["experts"]
    experts["vision"]["confidence"]["measures"] = ["side", "sharpness", "age"]
    describe(copy, experts=experts)
    with pytest.raises(CheckpointError, match="'age', which the expert does not measure"):
        load_experts(copy)


def test_a_model_of_other_classes_is_refused(copy: Path) -> None:
    path = copy / "face" / "model.json"
    described = json.loads(path.read_text())
    described["label_set"]["names"] = described["label_set"]["names"][::-1]
    path.write_text(json.dumps(described))
    trust(copy)
    with pytest.raises(CheckpointError, match=r"answers neutral, surprise.* of vision; expected anger"):
        load_experts(copy)


def test_terms_cannot_steer_a_terminal(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    describe(copy, terms="\x1b[2J gone")
    load_experts(copy)
    assert capsys.readouterr().err == "emotiwave-weights-research 9.9: \\x1b[2J gone\n"


def test_weights_of_another_version_are_refused(copy: Path) -> None:
    describe(copy, format=2)
    with pytest.raises(CheckpointError, match="weights of format 2; this emotiwave reads format 1"):
        load_experts(copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sha256": {"../../secret": "0" * 64}}, "damaged"),
        ({"sha256": {"/etc/passwd": "0" * 64}}, "damaged"),
        ({"sha256": {}}, "damaged"),
        ({"more": 1}, "damaged"),
        ({"experts": {}}, "damaged facts of the text expert"),
    ],
)
def test_a_damaged_description_is_refused(copy: Path, change: dict, told: str) -> None:
    describe(copy, **change)
    with pytest.raises(CheckpointError, match=told):
        load_experts(copy)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights of experts here \(weights.json is missing\)"):
        load_experts(tmp_path)
    (copy / "weights.json").write_bytes(b"\xff\xfe nonsense")
    with pytest.raises(CheckpointError, match=r"weights.json: cannot be read"):
        load_experts(copy)


def test_facts_that_do_not_fit_the_weights_are_refused(copy: Path) -> None:
    experts = json.loads((copy / "weights.json").read_text())["experts"]
    experts["audio_all"]["classes"] = experts["audio_all"]["classes"]
    experts["audio_all"]["classes"].remove("calm")
    describe(copy, experts=experts)
    with pytest.raises(CheckpointError, match="not the weights of a voice expert of 7 classes"):
        load_experts(copy)
    experts["text"]["prior"] = [0.5] * 7
    describe(copy, experts=experts)
    with pytest.raises(CheckpointError, match=r"facts of the text expert .prior: .*sum to 3.5"):
        load_experts(copy)


def test_networks_of_another_kind_are_refused(copy: Path) -> None:
    from safetensors.torch import save_file

    from emotiwave.pretrained.weights import load_networks

    tensors = VoiceNetworks().state_dict()
    path = copy / "other.safetensors"
    save_file({name: value for name, value in tensors.items() if name != "speaker.linear.bias"}, path)
    with pytest.raises(CheckpointError, match=r"'speaker.linear.bias' differs"):
        load_networks(VoiceNetworks(), path)
    save_file(tensors | {"speaker.linear.bias": torch.zeros(256, dtype=torch.float64)}, path)
    with pytest.raises(CheckpointError, match=r"'speaker.linear.bias' differs"):
        load_networks(VoiceNetworks(), path)


def test_without_the_distribution_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(distribution, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install ./weights"):
        emotiwave.load()
    code, _, told = run(capsys, "info")
    assert code == 1
    assert "emotiwave-weights-research" in told


# --- the command line


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: folder)


def test_info_prints_the_card(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys) -> None:
    use(monkeypatch, folder)
    assert run(capsys, "info")[:2] == (0, "# Made up\n")


def test_calibrate_makes_a_speaker_of_the_clips_that_can_be_used(monkeypatch, folder: Path, tmp_path, capsys) -> None:
    use(monkeypatch, folder)
    for name, clip in (("one.wav", voice()), ("two.wav", voice(pitch=300.0))):
        write_sound(tmp_path / name, clip.samples)
    write_sound(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    (tmp_path / "bad.wav").write_text("no sound at all " * 50)
    words = [str(tmp_path / name) for name in ("one.wav", "bad.wav", "two.wav", "silent.wav", "one.wav")]
    out = tmp_path / "new" / "speaker.safetensors"
    code, told, warned = run(capsys, "calibrate", *words, "--out", str(out))
    assert code == 0
    assert "a speaker, of 2 clips" in told
    assert "bad.wav" in warned
    assert "silent.wav: 0.00 s of sound" in warned
    assert warned.count("warning:") == 2
    assert Speaker.read(out).n_clips == 2
    code, _, warned = run(capsys, "calibrate", words[1], "--out", str(out))
    assert code == 1
    assert "no clip of the speaker can be read" in warned
    assert run(capsys, "calibrate", words[0], "--out", str(out))[0] == 0  # a speaker's file may be made anew
    assert Speaker.read(out).n_clips == 1
    before = (tmp_path / "one.wav").read_bytes()
    for place in (tmp_path / "one.wav", tmp_path):
        code, _, warned = run(capsys, "calibrate", words[0], "--out", str(place))
        assert (code, "is there and no file of a speaker" in warned) == (1, True)
    assert (tmp_path / "one.wav").read_bytes() == before
    code, _, warned = run(capsys, "calibrate", words[0], "--out", str(tmp_path / "one.wav" / "x.safetensors"))
    assert (code, "cannot be written" in warned) == (1, True)
    code, _, warned = run(capsys, "calibrate", words[0], "--out", str(tmp_path / "anna.json"))
    assert (code, "let --out end in .safetensors" in warned) == (1, True)
