"""Signals spoiled before features are extracted again: as badly as asked for, and nothing else changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import wavfile

import emotiwave
from emotiwave.conditions import signals
from emotiwave.conditions.media import SpoiledMedia, check_media
from emotiwave.conditions.registry import KINDS, Condition, read_condition
from emotiwave.conditions.signals import Around
from emotiwave.conditions.spoiler import MediaSpoiler, read_given
from emotiwave.config import Recipe, read_recipe
from emotiwave.errors import ConfigError, DatasetError, DataWarning
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.evaluation.under_conditions import read_conditions
from emotiwave.features.extraction.settings import Choice, MediaFeatureSettings, build_extractors
from emotiwave.features.extraction.sound import extract_sound
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.media.sound import cut_blocks, read_sound, sound_blocks
from emotiwave.media.usability import UsabilitySettings
from emotiwave.recordings import MediaRecordings
from emotiwave.sequences import ComputationalSequence
from emotiwave.signals import Frame, Word
from emotiwave.types import Corpus
from tests.made_media import write_sound
from tests.test_cli import run
from tests.test_conditions import made
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)
RATE = 16_000
TIMES = np.arange(2 * RATE) / RATE
VOICE = (0.2 * np.sin(2 * np.pi * 180 * TIMES) * (1 + np.sin(2 * np.pi * 3 * TIMES))).astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("severity", [0.1, 1.0, 1.778])
@pytest.mark.parametrize("spoil", [signals.pink_noise, signals.babble, signals.background])
def test_noise_is_as_loud_as_asked_for(spoil: Callable, severity: float) -> None:
    generator = np.random.default_rng(0)
    voices = [generator.standard_normal(n).astype(np.float32) * k for k, n in enumerate((8000, 40000, 900, 16000), 1)]
    around = Around(voices, given=generator.standard_normal(5000).astype(np.float32))
    noisy = spoil(VOICE, RATE, severity, rng(), around)
    assert rms(noisy - VOICE) == pytest.approx(severity * rms(VOICE), rel=1e-3)
    assert signals.decibels(severity) == pytest.approx({0.1: 20, 1.0: 0, 1.778: -5}[severity], abs=0.01)
    other = spoil(VOICE, RATE, severity / 2, rng(), around)
    np.testing.assert_allclose(noisy - VOICE, 2 * (other - VOICE), atol=1e-4)  # the same noise, louder


def test_sound_is_spoiled_as_said() -> None:
    high = (VOICE + 0.2 * np.sin(2 * np.pi * 5000 * TIMES)).astype(np.float32)
    narrow = signals.narrow_band(high, RATE, 2.0, rng(), Around())  # up to 2 kHz
    assert rms(narrow - VOICE) < 0.02 * rms(VOICE)
    np.testing.assert_array_equal(signals.narrow_band(high, RATE, 0.0, rng(), Around()), high)
    clipped = signals.clipping(VOICE, RATE, 0.1, rng(), Around())
    assert np.mean(np.abs(clipped) >= np.abs(clipped).max() * 0.999) == pytest.approx(0.1, abs=0.005)
    assert np.abs(clipped).max() == pytest.approx(np.abs(VOICE).max(), rel=1e-3)
    errors = []
    for severity in (1.0, 2.0, 4.0):
        heard = signals.codec(VOICE, RATE, severity, rng(), Around())
        assert len(heard) == len(VOICE)
        errors.append(rms(heard - VOICE) / rms(VOICE))
    assert errors[0] < errors[-1] < 0.5
    response = np.zeros(4000, np.float32)
    response[[0, 3000]] = (1.0, 0.8)
    echo = signals.room(VOICE, RATE, 1.0, rng(), Around(given=response))
    by_hand = VOICE + 0.8 * np.concatenate([np.zeros(3000, np.float32), VOICE[:-3000]])
    np.testing.assert_allclose(echo, by_hand * rms(VOICE) / rms(by_hand), atol=1e-4)
    np.testing.assert_array_equal(signals.room(VOICE, RATE, 0.0, rng(), Around(given=response)), VOICE)
    wet = [signals.reverberation(VOICE, RATE, severity, rng(), Around()) for severity in (0.2, 1.6)]
    assert all(rms(one) == pytest.approx(rms(VOICE), rel=1e-3) for one in wet)
    assert np.abs(signals.squeezed(3 * VOICE)).max() == pytest.approx(1.0)


def pictures(n: int = 40, seconds: float = 0.25) -> list[Frame]:
    generator = np.random.default_rng(1)
    return [
        Frame(generator.integers(0, 256, (48, 64, 3)).astype(np.uint8), k * seconds, (k + 1) * seconds)
        for k in range(n)
    ]


def test_pictures_are_spoiled_as_said() -> None:
    before = pictures()
    spoilt = {
        name: [frame.image for frame in KINDS[name].pictures(before, severity, rng)]
        for name, severity in (("blur", 4.0), ("darkness", 0.9), ("occlusion", 0.25), ("low_resolution", 2.0))
    }
    by_hand = cv2.GaussianBlur(before[3].image, (0, 0), 0.04 * 48)
    np.testing.assert_array_equal(spoilt["blur"][3], by_hand)
    assert np.mean(spoilt["darkness"]) == pytest.approx(0.1 * np.mean([frame.image for frame in before]), rel=0.05)
    hidden = [(image != frame.image).any(axis=2) for image, frame in zip(spoilt["occlusion"], before, strict=True)]
    assert hidden[0].mean() == pytest.approx(0.25, abs=0.01)
    assert all((mask == hidden[0]).mean() > 0.99 for mask in hidden)  # the same place all along
    coarse = spoilt["low_resolution"][0].astype(float)
    assert np.abs(np.diff(coarse, axis=1)).mean() < 0.3 * np.abs(np.diff(before[0].image.astype(float), axis=1)).mean()
    still: dict[float, set[int]] = {}
    for severity in (0.0, 0.3, 0.7, 1.0):
        shown = list(signals.frozen(before, severity, rng))
        assert [frame.start for frame in shown] == [frame.start for frame in before]
        changed = {
            int(of.start) for of, was in zip(shown, before, strict=True) if not np.array_equal(of.image, was.image)
        }
        still[severity] = changed
    assert still[0.0] < still[0.3] < still[0.7] < still[1.0] == set(range(10))
    photo = [replace(before[0], start=float("nan"), end=float("nan"))]
    assert next(signals.frozen(photo, 1.0, rng)).image is before[0].image


def test_words_are_spoiled_as_said() -> None:
    words = tuple(Word(f"w{k}") for k in range(3000))
    around = Around(vocabulary=("x", "y", "z"))
    wrong_before: set[str] = set()
    for severity in (0.1, 0.3, 1.0):
        spoilt = signals.word_errors(words, severity, rng(), around)
        kept = [word.text for word in spoilt if word.text.startswith("w")]
        n_lost = len(words) - len(kept)  # substituted or deleted: two thirds of the errors
        assert n_lost / len(words) == pytest.approx(severity * 2 / 3, abs=0.03)
        assert len(spoilt) == pytest.approx(len(words), abs=120)  # as many are added as are lost
        wrong = {word.text for word in words} - set(kept)
        assert wrong_before <= wrong
        wrong_before = wrong
    assert signals.word_errors(words, 0.0, rng(), around) == words
    assert signals.truncated(words[:10], 0.25, rng(), around) == words[:8]
    assert signals.truncated(words, 1.0, rng(), around) == ()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, MediaRecordings, Corpus]:
    """Thirty utterances with a sound, a picture of a face that was cut out, and words."""
    folder = tmp_path_factory.mktemp("media")
    generator = np.random.default_rng(0)
    with (folder / "lines.csv").open("w") as file:
        file.write("id,audio,image,face,text,label,split\n")
        for k in range(30):
            split = "train" if k < 16 else "validation" if k < 22 else "test"
            tone = 0.3 * np.sin(2 * np.pi * (150 + 20 * k) * TIMES[:RATE]) + 0.02 * generator.standard_normal(RATE)
            write_sound(folder / f"u{k}.wav", tone.astype(np.float32))
            face = cv2.resize(generator.integers(40, 220, (6, 6)).astype(np.uint8), (48, 48))
            cv2.imwrite(str(folder / f"u{k}.png"), face)
            words = " ".join(generator.choice(["joy", "rain", "tea", "grief", "sun", "road", "cat"], 6))
            file.write(f"u{k},u{k}.wav,u{k}.png,true,{words},{'ab'[k % 2]},{split}\n")
    recipe = read_recipe(
        "manifest",
        [
            f"dataset.file={folder / 'lines.csv'}",
            f"features.store={folder / 'store'}",
            f"features.cache_folder={folder / 'cache'}",  # which must never give what was not spoiled
            'features.extractors={text="hashed",audio="prosody",vision="face"}',
            "training.epochs=1",
            "training.patience=0",
            "evaluation.bootstrap=0",
        ],
    )
    emotiwave.prepare(recipe)
    recordings = recipe.load_recordings()
    assert isinstance(recordings, MediaRecordings)
    return recipe, recordings, recipe.load_corpus()


def spoiled(media: tuple[Recipe, MediaRecordings, Corpus], text: str, severity: float | None = None) -> Corpus:
    recipe, recordings, corpus = media
    condition = read_condition(text)
    assert isinstance(recipe.features, MediaFeatureSettings)
    ids = [u.id for u in corpus.utterances if u.split == "test"]
    at = condition.severities[-1] if severity is None else severity
    with SpoiledMedia(recordings, recipe.features, corpus, ids) as of:
        return of.spoil(condition, at, 0)


def differing(media: tuple[Recipe, MediaRecordings, Corpus], changed: Corpus) -> set[str]:
    found = set()
    for name, sequence in changed.sequences.items():
        for one in (u.id for u in changed.utterances):
            before = media[2].sequences[name][one].values
            if not np.array_equal(sequence[one].values, before, equal_nan=True):
                found.add(name)
    return found


def test_only_what_is_named_changes(media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path) -> None:
    write_sound(tmp_path / "dog.wav", np.random.default_rng(3).standard_normal(9000).astype(np.float32) * 0.3)
    for name, kind in KINDS.items():
        if kind.signal is None:
            continue
        text = f"{name}:{kind.signal}" + (f"@{tmp_path / 'dog.wav'}" if kind.needs_file else "")
        changed = spoiled(media, text)
        assert [u.id for u in changed.utterances] == [f"u{k}" for k in range(22, 30)]
        expected = set() if name == "freeze" else {kind.signal}  # photos stand still anyway
        assert differing(media, changed) == expected, name
        again = spoiled(media, text)
        for one in changed.sequences[kind.signal].ids:
            np.testing.assert_array_equal(
                changed.sequences[kind.signal][one].values, again.sequences[kind.signal][one].values
            )


def test_at_severity_0_features_are_those_of_the_store(
    media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path
) -> None:
    write_sound(tmp_path / "hall.wav", np.array([1.0, 0.5, 0.25], np.float32))
    for text in (f"room:audio@{tmp_path / 'hall.wav'}", "freeze:vision", "truncation:text"):
        assert differing(media, spoiled(media, text, severity=0.0)) == set(), text


def test_what_is_of_no_use_then_is_not_observed(media: tuple[Recipe, MediaRecordings, Corpus]) -> None:
    black = spoiled(media, "darkness:vision=1")
    assert all(np.isnan(black.sequences["vision"][one].values).all() for one in black.sequences["vision"].ids)
    silent = spoiled(media, "truncation:text=1")
    assert all(np.isnan(silent.sequences["text"][one].values).all() for one in silent.sequences["text"].ids)
    assert differing(media, silent) == {"text"}


def test_what_does_not_suit_is_refused(media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path) -> None:
    recipe, recordings, corpus = media
    for text, message in (
        ("noise:text", "text is made of text, and noise spoils audio"),
        ("noise:smell", "has no smell"),
        (f"room:audio@{tmp_path / 'gone.wav'}", "the sound of a condition cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_media(read_condition(text), corpus, recordings, recipe.features)
    write_sound(tmp_path / "silent.wav", np.zeros(2000, np.float32))
    with pytest.raises(ConfigError, match=r"silent.wav: is silent"):
        check_media(read_condition(f"background:audio@{tmp_path / 'silent.wav'}"), corpus, recordings, recipe.features)
    with pytest.raises(ConfigError, match="has no media of audio, only features; ask for feature_noise:audio"):
        check_media(read_condition("noise:audio"), made(), None, None)
    for text, message in (
        ("noise", "is of one modality"),
        ("room:audio", "needs a sound; write room:audio@FILE"),
        ("noise:audio@dog.wav", "takes no file"),
        ("darkness:vision=1.5", "outside 0 to 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_condition(text)
    few = replace(recordings, utterances=tuple(u for u in recordings.utterances if u.split != "train" or u.id == "u0"))
    with pytest.raises(DatasetError, match="1 voices in train; babble needs 3"):
        SpoiledMedia(few, recipe.features, corpus, ["u25"]).spoil(Condition("babble", "audio", (1.0,)), 1.0, 0)


def test_a_run_is_scored_on_spoiled_media(
    media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = emotiwave.train(media[0], out=tmp_path / "run").folder
    store = {path: path.read_bytes() for path in sorted((media[0].store).rglob("*")) if path.is_file()}
    code, out, _ = run(
        capsys, "evaluate", str(folder), "--condition", "noise:audio=0.1,10", "--condition", "truncation:text=1"
    )
    assert code == 0
    assert "noise:audio 10" in out
    # without any word left, the answer is that of sound and picture
    rows = emotiwave.evaluate(folder, conditions=["truncation:text=1"])
    by_place = {(row.condition, row.severity, row.available): row for row in rows if row.metric == "accuracy"}
    without = next(row for key, row in by_place.items() if key[2] == ("audio", "vision"))
    assert by_place["truncation:text", 1.0, ("text", "audio", "vision")].value == without.value
    assert {path: path.read_bytes() for path in store} == store
    code, _, told = run(capsys, "evaluate", str(folder), "--condition", "blur:audio")
    assert (code, "audio is made of audio, and blur spoils vision" in told.replace("\n", " ")) == (1, True)
    made_run = emotiwave.train(
        "synthetic", out=tmp_path / "made", overrides=["training.epochs=1", "dataset.n_train=40", "dataset.n_test=20"]
    ).folder
    code, _, told = run(capsys, "evaluate", str(made_run), "--condition", "noise:audio")
    assert (code, "has no media of audio, only features" in told.replace("\n", " ")) == (1, True)


class Adds:
    """Adds a quarter of the loudest sample, so that what it was given as a whole can be told."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        self.heard.append(len(samples))
        return samples + np.float32(0.25) * np.abs(samples).max()


def test_a_long_segment_is_spoiled_as_one(tmp_path: Path) -> None:
    """What is loud at its end is heard at its beginning: level and noise do not begin anew in each block."""
    seconds = 70
    samples = 0.1 * np.sin(2 * np.pi * 200 * np.arange(seconds * RATE) / RATE).astype(np.float32)
    samples[-RATE:] *= 8
    path = tmp_path / "long.wav"
    write_sound(path, samples)
    extractor = build_extractors({"audio": Choice("prosody", EXTRACTORS["prosody"].settings())})["audio"]
    spoil = Adds()
    frames, _, length = extract_sound(path, 2.0, 69.5, {"audio": extractor}, UsabilitySettings(), None, spoil)
    assert spoil.heard == [round(67.5 * RATE)]
    assert length == pytest.approx(67.5)
    whole = read_sound(path, 2.0, 69.5).samples
    wavfile.write(tmp_path / "by-hand.wav", RATE, whole + np.float32(0.25) * np.abs(whole).max())
    by_hand, _, _ = extract_sound(tmp_path / "by-hand.wav", None, None, {"audio": extractor}, UsabilitySettings())
    n_frames = len(by_hand["audio"])
    assert len(frames["audio"]) == n_frames
    ours, theirs = (of["audio"].rows(0, n_frames) for of in (frames, by_hand))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    np.testing.assert_allclose(frames["audio"].intervals, by_hand["audio"].intervals, atol=1e-6)


def test_blocks_of_a_waveform_are_those_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    write_sound(path, np.random.default_rng(0).standard_normal(int(7.3 * RATE)).astype(np.float32) * 0.1)
    for start, end in ((None, None), (1.25, 6.9)):
        of_file = list(sound_blocks(path, start, end, seconds=2.0, context=0.5))
        of_sound = list(cut_blocks(read_sound(path, start, end), seconds=2.0, context=0.5))
        assert [one.core for one in of_sound] == [one.core for one in of_file]
        for one, other in zip(of_sound, of_file, strict=True):
            assert one.waveform.start == other.waveform.start
            np.testing.assert_array_equal(one.waveform.samples, other.waveform.samples)


def test_silence_stays_silent(media: tuple[Recipe, MediaRecordings, Corpus]) -> None:
    condition = read_condition("noise:audio=1")
    spoiler = MediaSpoiler(condition, 1.0, 0, Around())
    np.testing.assert_array_equal(spoiler.sound("u1", np.zeros(800, np.float32), RATE), np.zeros(800, np.float32))


def test_features_of_spoiled_media_are_extracted_once_for_all_methods(
    media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, recordings, corpus = media
    assert isinstance(recipe.features, MediaFeatureSettings)
    condition = read_condition("noise:audio=1,10")

    def of(severity: float, draw: int = 0) -> Corpus:
        with SpoiledMedia(recordings, recipe.features, corpus, ["u25", "u27"], kept_in=tmp_path / "kept") as spoiled:
            return spoiled.spoil(condition, severity, draw)

    before = of(1.0)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(SpoiledMedia, "_extract", lambda *_: pytest.fail("extracted again"))
        again = of(1.0)
    assert again.digest == before.digest != corpus.digest
    assert of(10.0).digest != before.digest != of(1.0, draw=1).digest
    assert len(list((tmp_path / "kept").iterdir())) == 3
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(DataWarning, match="it is written anew"):
        assert of(1.0).digest == before.digest
    assert of(1.0).digest == before.digest


def test_several_utterances_of_one_file_are_spoiled_each_by_itself(tmp_path: Path) -> None:
    """Two segments of a file, with words in a file too, aligned to words: the modality that is named changes alone."""
    generator = np.random.default_rng(0)
    splits = ("train", "validation", "test")
    for split in splits:
        tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(4 * RATE) / RATE) + 0.02 * generator.standard_normal(4 * RATE)
        write_sound(tmp_path / f"{split}.wav", tone.astype(np.float32))
        cues = [f"{n + 1}\n00:00:0{n},000 --> 00:00:0{n},900\n{split}{n} again\n\n" for n in range(4)]
        (tmp_path / f"{split}.srt").write_text("".join(cues))
    with (tmp_path / "lines.csv").open("w") as file:
        file.write("id,audio,transcript,start,end,label,split\n")
        for k in range(6):
            split = splits[k // 2]
            start = 2 * (k % 2)
            file.write(f"u{k},{split}.wav,{split}.srt,{start},{start + 2},{'ab'[k % 2]},{split}\n")
    recipe = read_recipe(
        "manifest",
        [
            f"dataset.file={tmp_path / 'lines.csv'}",
            f"features.store={tmp_path / 'store'}",
            "features.cache=false",
            'features.align="words"',
            'features.extractors={text="hashed",audio="prosody"}',
        ],
    )
    emotiwave.prepare(recipe)
    recordings, corpus = recipe.load_recordings(), recipe.load_corpus()
    assert isinstance(recordings, MediaRecordings)
    assert isinstance(recipe.features, MediaFeatureSettings)
    with SpoiledMedia(recordings, recipe.features, corpus, ["u4", "u5"]) as spoiled:
        noisy = spoiled.spoil(read_condition("noise:audio=1"), 1.0, 0)
        wrong = spoiled.spoil(read_condition("word_errors:text=1"), 1.0, 0)
        alone = spoiled.spoil(read_condition("noise:audio=1"), 1.0, 0)
    for one in ("u4", "u5"):
        was = {name: corpus.sequences[name][one] for name in ("text", "audio")}
        np.testing.assert_array_equal(noisy.sequences["text"][one].values, was["text"].values)
        np.testing.assert_array_equal(noisy.sequences["audio"][one].intervals, was["audio"].intervals)
        assert not np.array_equal(noisy.sequences["audio"][one].values, was["audio"].values)
        np.testing.assert_array_equal(noisy.sequences["audio"][one].values, alone.sequences["audio"][one].values)
        np.testing.assert_array_equal(wrong.sequences["audio"][one].values, was["audio"].values)
        assert not np.array_equal(wrong.sequences["text"][one].values, was["text"].values)


def test_files_of_conditions_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = EvaluationSettings(conditions=("background:audio@a=b.wav=0.1,1", "missing=0.5"))
    assert settings.conditions == (f"background:audio@{tmp_path}/a=b.wav=0.1,1", "missing=0.5")
    condition = read_condition(settings.conditions[0])
    assert (condition.file, condition.severities) == (tmp_path / "a=b.wav", (0.1, 1.0))
    assert read_condition("background:audio@a=b.wav").file == tmp_path / "a=b.wav"
    two = [f"background:audio@{tmp_path}/{folder}/dog.wav" for folder in ("one", "two")]
    with pytest.raises(ConfigError, match=r"would both be called background:audio@dog.wav; rename one"):
        read_conditions(two, made())


def test_what_failed_is_not_kept(
    media: tuple[Recipe, MediaRecordings, Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, recordings, corpus = media
    assert isinstance(recipe.features, MediaFeatureSettings)
    condition = read_condition("noise:audio=1")
    path = recordings.sources["u25"].audio
    assert path is not None
    away = path.rename(path.with_suffix(".away"))
    try:
        with (
            SpoiledMedia(recordings, recipe.features, corpus, ["u25", "u27"], kept_in=tmp_path) as spoiled,
            pytest.warns(DataWarning, match="1 utterances lack audio"),
        ):
            lacking = spoiled.spoil(condition, 1.0, 0)
    finally:
        away.rename(path)
    assert np.isnan(lacking.sequences["audio"]["u25"].values).all()
    assert not list(tmp_path.iterdir())
    with SpoiledMedia(recordings, recipe.features, corpus, ["u25", "u27"], kept_in=tmp_path) as spoiled:
        assert np.isfinite(spoiled.spoil(condition, 1.0, 0).sequences["audio"]["u25"].values).any()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_given_sound_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "dog.wav"
    write_sound(path, VOICE[:3000])
    before = read_given(path)
    write_sound(path, VOICE[:4000])
    assert (len(before), len(read_given(path))) == (3000, 4000)


def test_other_makers_of_features_are_told(media: tuple[Recipe, MediaRecordings, Corpus]) -> None:
    recipe, recordings, corpus = media
    assert isinstance(recipe.features, MediaFeatureSettings)
    old = corpus.sequences["audio"]
    other = ComputationalSequence.from_sequences(
        {one: old[one] for one in old.ids}, {**old.metadata, "extractor": "another"}, size=old.size
    )
    changed = replace(corpus, sequences={**corpus.sequences, "audio": other})
    with (
        SpoiledMedia(recordings, recipe.features, changed, ["u25"]) as spoiled,
        pytest.warns(DataWarning, match="audio was made by another extractor than is here now"),
    ):
        spoiled.spoil(read_condition("noise:audio=1"), 1.0, 0)
