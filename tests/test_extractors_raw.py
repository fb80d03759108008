"""Words and sound as they are: what frames hold, that they come back, and that no budget pools them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotiwave.cautions import cautions
from emotiwave.config import parse_recipe
from emotiwave.errors import ConfigError, FeatureError
from emotiwave.features.extraction import collapsing
from emotiwave.features.extraction.reader import media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extractors.waveform import Waveform, WaveformSettings
from emotiwave.features.extractors.words import Words, WordsSettings, decode_words, encode_words
from emotiwave.features.foretell import foretell
from emotiwave.features.prepare import prepare
from emotiwave.features.prepared import PreparedRecording
from emotiwave.features.store import open_store
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.types import LabelSet, Utterance
from tests.made_media import write_sound

RATE = 16_000
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=100)


BLANK = ["", " ", "\0", "\u200b", "\u200b \u2060", "\u00ad", "\x07", "\u202e\ufeff"]


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def media(sources: Mapping[str, Sources]) -> MediaRecordings:
    labels = LabelSet("categorical", ("anger", "neutral"))
    utterances = tuple(Utterance(name, "train", labels.names[k % 2]) for k, name in enumerate(sources))
    return MediaRecordings("made", "corpus", "made", labels, utterances, sources)


def read_one(recordings: MediaRecordings, **keys) -> PreparedRecording:
    with open_media(recordings, MediaFeatureSettings.model_validate({"cache": False, **keys}))() as reader:
        (work,) = media_works(recordings)
        return reader.read(work.recording, work.wanted)


# --- words


def test_a_frame_holds_a_word() -> None:
    frames = encode_words(["hé", "", "x" * 32])
    assert frames.shape == (4, 32)
    assert frames.dtype == np.float32
    assert frames[0].tolist() == [1, 104, 233] + [0] * 29
    assert frames[1].tolist() == [1] + [0] * 31
    assert frames[2].tolist() == [1] + [120] * 31
    assert frames[3].tolist() == [0, 120] + [0] * 30


@given(st.lists(TEXT, max_size=8))
@settings(max_examples=100, deadline=None)
def test_words_come_back(words: list[str]) -> None:
    frames = encode_words(words)
    assert len(frames) == sum(max(1, -(-len(word) // 31)) for word in words)
    assert decode_words(frames) == words


def test_what_no_text_holds_is_left_out_or_replaced() -> None:
    assert decode_words(encode_words(["a\0b", "\ud83d!", "\U0010ffff"])) == ["ab", "?!", "\U0010ffff"]


def test_a_word_without_its_beginning_begins_one() -> None:
    frames = encode_words(["a" * 31 + "b" * 5, "so"])
    assert decode_words(frames[1:]) == ["bbbbb", "so"]
    assert decode_words(frames[[0, 2]]) == ["a" * 31, "so"]
    assert decode_words(frames[:0]) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 97.5, 1_114_112.0, 55_296.0, 57_343.0, 1e30])
def test_what_is_no_code_point_is_refused(value: float) -> None:
    frames = encode_words(["so", "glad"])
    frames[1, 2] = value
    with pytest.raises(FeatureError, match=r"no words \(frame 1: .*extractor 'words'"):
        decode_words(frames)


@pytest.mark.parametrize(("place", "value"), [(0, 2.0), (0, np.nan), (0, 0.5), (5, 97.0)])
def test_what_is_no_frame_of_a_word_is_refused(place: int, value: float) -> None:
    frames = encode_words(["so"])
    frames[0, place] = value  # letters after the end, at 5
    with pytest.raises(FeatureError, match="no words"):
        decode_words(frames)


def test_features_of_another_size_are_no_words() -> None:
    with pytest.raises(FeatureError, match="32 values"):
        decode_words(np.zeros((3, 31), np.float32))


@pytest.mark.filterwarnings("error")
def test_any_bits_are_words_or_refused() -> None:
    rng = np.random.default_rng(0)
    good = encode_words(["so", "y" * 40, "naïve", "😀"])
    for _ in range(300):
        frames = good.copy()
        rows, columns = rng.integers(len(good), size=3), rng.integers(32, size=3)
        frames[rows, columns] = rng.integers(0, 2**32, size=3, dtype=np.uint32).view(np.float32)
        try:
            words = decode_words(frames)
        except FeatureError:
            continue
        assert all(isinstance(word, str) for word in words)


def test_words_have_the_times_of_words_and_blank_ones_are_unobserved() -> None:
    intervals = np.array([[0.0, 0.5], [0.5, 0.9], [np.nan, np.nan]])
    found = Words(WordsSettings())(["so", " \0", "z" * 63], intervals)
    np.testing.assert_array_equal(found.intervals, intervals[[0, 1, 2, 2, 2]])
    assert np.isnan(found.values).all(axis=1).tolist() == [False, True, False, False, False]
    assert decode_words(found.values[[0, 2, 3, 4]]) == ["so", "z" * 63]


@pytest.mark.parametrize("word", BLANK)
def test_a_word_that_is_not_seen_is_unobserved(word: str) -> None:
    values = Words(WordsSettings())(["so", word, f"{word}a", "\U0001f469\u200d\U0001f52c"], np.zeros((4, 2))).values
    assert np.isnan(values).all(axis=1).tolist() == [False, True, False, False]


# --- sound


@pytest.mark.parametrize(("n_samples", "n_frames"), [(160, 0), (319, 0), (320, 1), (16_319, 50)])
def test_frames_are_the_samples(n_samples: int, n_frames: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, n_samples).astype(np.float32)
    found = Waveform(WaveformSettings())(sound, RATE)
    assert found.values.shape == (n_frames, 320)
    np.testing.assert_array_equal(found.values.reshape(-1), sound[: n_frames * 320])
    np.testing.assert_allclose(found.intervals[:, 0], np.arange(n_frames) / 50)
    np.testing.assert_allclose(found.intervals[:, 1], (1 + np.arange(n_frames)) / 50)


def test_sound_of_another_rate_is_brought_to_16_khz() -> None:
    found = Waveform(WaveformSettings())(tone(1.0, rate=8000), 8000)
    assert found.values.shape == (50, 320)
    np.testing.assert_allclose(found.values[5:45].reshape(-1), tone(1.0)[1600:14400], atol=2e-3)


# --- on the way to the store


def test_sound_is_neither_pooled_nor_shifted_and_silence_is_left_out(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1.0), np.zeros(2 * RATE, np.float32), tone(32.01)])
    path = write_sound(tmp_path / "a.wav", samples)
    read = read_one(media({"a": Sources(audio=path)}), extractors={"audio": "waveform"}, frames=32)
    audio = read.modalities["audio"]
    heard = [k for k in range(35 * 50) if not 56 <= k < 145]  # 1.12 to 2.9 s is silent; the last 10 ms are no frame
    assert audio.lengths == (len(heard),)
    np.testing.assert_allclose(audio.values, samples[: 35 * RATE].reshape(-1, 320)[heard], atol=1e-4)
    np.testing.assert_allclose(audio.intervals[:, 0], np.array(heard) / 50, atol=1e-9)  # across blocks, at 30 s
    np.testing.assert_allclose(np.diff(audio.intervals), 0.02)
    assert {name: count for name, count in read.counts.items() if count} == {
        "audio frames": 35 * 50,
        "audio frames unobserved": 89,
    }
    assert read.usability[0]["observed"] == pytest.approx(1 - 1.8 / 35.01, abs=2e-3)


def test_a_silence_at_the_start_costs_nothing_of_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.concatenate([np.zeros(16 * RATE, np.float32), tone(6.0)])
    recordings = media({"a": Sources(audio=write_sound(tmp_path / "a.wav", samples))})
    settings = {"extractors": {"audio": "waveform"}, "frames": {"audio": 750}}
    read = read_one(recordings, **settings)
    audio = read.modalities["audio"]
    assert audio.lengths == (305,)  # 0.1 s before the tone counts as sound
    np.testing.assert_allclose(audio.values[5:].reshape(-1), tone(6.0), atol=1e-4)
    np.testing.assert_allclose(audio.intervals[[0, -1]], [[15.9, 15.92], [21.98, 22.0]], atol=1e-9)
    assert {name: count for name, count in read.counts.items() if count} == {
        "audio frames": 1100,
        "audio frames unobserved": 795,
    }
    assert read.usability[0]["observed"] == pytest.approx(6.1 / 22, abs=1e-3)
    monkeypatch.setattr(collapsing, "ROWS_AT_ONCE", 7 * 320)
    again = read_one(recordings, **settings)
    np.testing.assert_array_equal(again.modalities["audio"].values, audio.values)
    np.testing.assert_array_equal(again.modalities["audio"].intervals, audio.intervals)
    assert again.counts == read.counts
    cut = read_one(recordings, extractors={"audio": "waveform"}, frames={"audio": 304})  # the last is a block alone
    assert cut.modalities["audio"].lengths == (304,)
    assert cut.counts["utterances whose audio is cut after 304 frames (6.08 s)"] == 1
    as_data = read_one(recordings, **settings, unobserved="zero").modalities["audio"]
    assert as_data.lengths == (750,)  # zeros that were asked for keep their place
    assert not as_data.values.any()


def test_frames_between_silences_are_counted_up_to_the_cut(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1.0), np.zeros(2 * RATE, np.float32), tone(2.0)])
    recordings = media({"a": Sources(audio=write_sound(tmp_path / "a.wav", samples))})
    read = read_one(recordings, extractors={"audio": "waveform"}, frames={"audio": 60})
    intervals = read.modalities["audio"].intervals
    np.testing.assert_allclose(intervals[:, 0], [*np.arange(56) / 50, 2.9, 2.92, 2.94, 2.96], atol=1e-9)
    assert {name: count for name, count in read.counts.items() if count} == {
        "audio frames": 149,
        "audio frames unobserved": 89,
        "utterances whose audio is cut after 60 frames (1.2 s)": 1,
    }


def test_what_is_too_long_is_cut_and_counted(tmp_path: Path) -> None:
    recordings = media({"a": Sources(audio=write_sound(tmp_path / "a.wav", tone(61.0)))})
    read = read_one(recordings, extractors={"audio": "waveform"})
    np.testing.assert_allclose(read.modalities["audio"].values.reshape(-1), tone(60.0), atol=1e-4)
    assert read.counts["utterances whose audio is cut after 3000 frames (60 s)"] == 1
    read = read_one(recordings, extractors={"audio": "waveform"}, frames={"audio": 20})
    np.testing.assert_allclose(read.modalities["audio"].values.reshape(-1), tone(0.4), atol=1e-4)
    np.testing.assert_allclose(read.modalities["audio"].intervals[:, 0], np.arange(20) / 50)
    assert read.counts["utterances whose audio is cut after 20 frames (0.4 s)"] == 1
    both = read_one(recordings, extractors={"audio": "waveform", "voice": "logmel"}, frames=8)
    assert (both.modalities["audio"].lengths, both.modalities["voice"].lengths) == ((3000,), (8,))
    assert both.counts["utterances of more voice frames than 8"] == 1  # these are pooled


def test_what_just_fits_is_not_cut(tmp_path: Path) -> None:
    sound = np.concatenate(
        [tone(1.0), np.zeros(RATE, np.float32)]
    )  # 56 frames (1.02 s of levels, and 0.1 s around), then silence
    recordings = media({"a": Sources(audio=write_sound(tmp_path / "a.wav", sound), text="a b c")})
    for n_audio, n_words, is_cut in ((56, 3, 0), (55, 2, 1)):
        read = read_one(
            recordings,
            extractors={"audio": "waveform", "text": "words"},
            frames={"audio": n_audio, "text": n_words},
        )
        assert read.modalities["audio"].lengths == (n_audio,)
        assert read.modalities["text"].lengths == (n_words,)
        assert read.counts[f"utterances whose audio is cut after {n_audio} frames ({n_audio / 50:g} s)"] == is_cut
        assert read.counts[f"utterances whose text is cut after {n_words} frames"] == is_cut


def test_words_that_are_blank_take_no_frame(tmp_path: Path) -> None:
    recordings = media({"a": Sources(text="so \u200b\u200d glad \ufeff today"), "b": Sources(text="\u200b")})
    with open_media(recordings, MediaFeatureSettings(extractors={"text": "words"}, frames={"text": 2}))() as reader:
        (work,) = media_works(recordings)
        read = reader.read(work.recording, work.wanted)
    assert decode_words(read.modalities["text"].values) == ["so", "glad"]
    assert read.kept == (True, False)
    assert read.counts["text frames unobserved"] == 1  # of the first; the second is ignored, or without a frame
    assert read.counts["utterances whose text is cut after 2 frames"] == 1


def test_a_cut_is_a_caution(tmp_path: Path) -> None:
    recordings = media({name: Sources(text="so glad today"[: 7 if name == "c" else None]) for name in "abc"})
    features = MediaFeatureSettings(extractors={"text": "words"}, frames={"text": 2})
    prepare(recordings, features, tmp_path / "store", tables={})
    corpus = open_store(tmp_path / "store")
    recipe = parse_recipe({"dataset": {"store": str(tmp_path / "store")}}, source="made")
    assert cautions(recipe, corpus) == [
        "In 2 of 3 utterances, text is cut after 2 frames that are observed: the model never sees the rest."
    ]
    assert cautions(recipe, replace(corpus, counts={"utterances of more text frames than 2": 2})) == []


def test_words_reach_the_store_as_they_are(tmp_path: Path) -> None:
    said = " ".join(f"word{k}" for k in range(1100))
    recordings = media({"a": Sources(text=said), "b": Sources(text="I'm so Glad!")})
    prepare(
        recordings,
        MediaFeatureSettings(extractors={"text": "words"}, frames=4, collapse="max"),
        tmp_path / "store",
        tables={},
    )
    sequence = open_store(tmp_path / "store").sequences["text"]
    assert decode_words(sequence["b"].values) == ["I'm", "so", "Glad!"]
    assert decode_words(sequence["a"].values) == said.split()[:1024]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"align": "words"}, r'features\.align = "words" is for frames that may be pooled; .*\'waveform\' \(audio\)'),
        ({"pad": True, "unobserved": "zero"}, r"features\.pad = true"),
    ],
)
def test_pieces_of_a_signal_are_neither_aligned_nor_padded(keys: dict, message: str, tmp_path: Path) -> None:
    recordings = media({"a": Sources(audio=tmp_path / "a.wav")})
    with pytest.raises(ConfigError, match=message):
        read_one(recordings, extractors={"audio": "waveform"}, **keys)


def test_what_the_store_takes_is_foretold(tmp_path: Path) -> None:
    sounds = [write_sound(tmp_path / f"{k}.wav", tone(2.0)) for k in range(3)]
    texts = {f"t{k}": Sources(text="so " * 30) for k in range(2)}
    recordings = media({f"s{k}": Sources(audio=path) for k, path in enumerate(sounds)} | texts)

    def told(**keys: object) -> int:
        settings = MediaFeatureSettings.model_validate({"cache": False, **keys})
        found = foretell(recordings, settings, tmp_path / "store")
        assert found is not None
        return found.store_bytes

    of_sound = {"extractors": {"audio": "waveform"}}
    assert told(**of_sound) == (5 + 3 * 2 * 50) * (320 * 4 + 16)
    assert told(**of_sound, frames=7) == told(**of_sound)
    assert told(**of_sound, frames={"audio": 10}) == 5 * 10 * (320 * 4 + 16)
    assert told(extractors={"text": "words"}) == (3 * 1024 + 2 * 46) * (32 * 4 + 16)
    settings = MediaFeatureSettings.model_validate(
        {"cache": False, "extractors": {"audio": "waveform", "text": "words"}}
    )
    prepare(recordings, settings, tmp_path / "store", tables={})
    kept = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*.npy"))
    assert kept < told(extractors={"audio": "waveform", "text": "words"})
