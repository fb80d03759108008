"""What is promised for every extractor."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from emotiwave.features.extractor import AudioExtractor, Extractor, TextExtractor, VisionExtractor
from emotiwave.features.extractors import EXTRACTORS
from tests import fake_opensmile, tiny_encoders

RATE = 16_000


def small_glove(folder: Path) -> dict:
    (folder / "vectors.txt").write_text("so 1 2\nglad -1 0.5\n", encoding="utf-8")
    return {"file": folder / "vectors.txt", "cache": folder / "cache"}


def other_glove(folder: Path) -> dict:
    (folder / "others.txt").write_text("so 1 2\nglad -1 0.25\n", encoding="utf-8")
    return {"file": folder / "others.txt", "cache": folder / "cache"}


def tiny_encoder(save: Callable[[Path], Path], **settings: Any) -> Callable[[Path], dict]:
    return lambda folder: {"model": str(save(folder / "model")), "precision": "float32", **settings}


SMALL: dict[str, Any] = {
    "egemaps": lambda folder: {},
    "face": lambda folder: {"side": 8},
    "glove": small_glove,
    "hashed": lambda folder: {"size": 16},
    "image_encoder": tiny_encoder(tiny_encoders.save_vit),
    "logmel": lambda folder: {"bands": 12},
    "prosody": lambda folder: {},
    "prosody_statistics": lambda folder: {},
    "speech_encoder": tiny_encoder(tiny_encoders.save_speech),
    "text_encoder": tiny_encoder(tiny_encoders.save_bert),
    "tokens": lambda folder: {"n_ids": 50},
    "waveform": lambda folder: {},
    "words": lambda folder: {},
}
"""Settings of a small extractor, made in a folder."""
OTHER: dict[str, Any] = {
    "egemaps": lambda folder: {"level": "frames"},
    "face": lambda folder: {"side": 8, "is_grey": False},
    "glove": other_glove,
    "hashed": lambda folder: {"size": 16, "longest": 4},
    "image_encoder": tiny_encoder(tiny_encoders.save_vit, pool="mean"),
    "logmel": lambda folder: {"bands": 12, "lowest": 50},
    "prosody": lambda folder: {"pooled": 5},
    "prosody_statistics": lambda folder: {"lowest_pitch": 75},
    "speech_encoder": tiny_encoder(tiny_encoders.save_speech, layer=1),
    "text_encoder": tiny_encoder(tiny_encoders.save_bert, layer=(0, -1)),
    "tokens": lambda folder: {"n_ids": 60},
    "waveform": lambda folder: {},
    "words": lambda folder: {},
}
"""Settings that give other values, of extractors that have any."""
IN_BLOCKS = {"logmel", "prosody", "waveform"}
"""Extractors of sound whose frames are those of the whole wherever a block is cut."""
LOUDNESS: dict[str, set[int]] = {"prosody": {4}}
"""Columns that change with loudness; all others of these extractors do not."""


one_thread = pytest.fixture(scope="module", autouse=True)(tiny_encoders.one_thread)


@pytest.fixture(autouse=True)
def _no_opensmile(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_opensmile.install(monkeypatch)


def build(name: str, folder: Path, form: dict[str, Any] = SMALL) -> Extractor:
    entry = EXTRACTORS[name]
    return entry.build(entry.settings(**form[name](folder)))


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Make buzzing syllables at 4 per second whose pitch glides up and down, over a little noise."""
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = 140 * 2 ** (0.4 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = np.sum([np.sin(k * phase + k * k) / k for k in range(1, 16)], axis=0)
    loudness = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.1 * loudness * buzz + 0.005 * noise).astype(np.float32)


def signals(extractor: Extractor) -> list[tuple[Any, Any]]:
    """A few signals of what the extractor reads, each with its timing."""
    if isinstance(extractor, AudioExtractor):
        return [(speech(1.234, seed=1), RATE), (speech(0.3, seed=2), RATE), (speech(1.234, seed=3)[::-1].copy(), RATE)]
    if isinstance(extractor, VisionExtractor):
        shape = (extractor.side, extractor.side, 1 if extractor.is_grey else 3)
        rng = np.random.default_rng(0)
        return [(rng.integers(0, 256, (n, *shape), np.uint8), spans(n)) for n in (3, 1)]
    return [(words, spans(len(words))) for words in (["I'm", "so", "Glad", "…"], ["SO"], ["naïve", "zzzz"])]


def spans(n: int) -> np.ndarray:
    starts = 0.2 * np.arange(n)
    return np.stack([starts, starts + 0.15], axis=1)


def empty(extractor: Extractor) -> tuple[Any, Any]:
    signal, timing = signals(extractor)[0]
    return signal[:0], timing if isinstance(extractor, AudioExtractor) else timing[:0]


def check(extractor: Extractor, values: np.ndarray, intervals: np.ndarray) -> None:
    assert values.dtype == np.float32
    assert values.shape == (len(intervals), extractor.size)
    assert intervals.shape == (len(values), 2)
    assert intervals.dtype == np.float64
    finite = np.isfinite(values)
    assert (finite.all(axis=1) | np.isnan(values).all(axis=1)).all()


def test_every_extractor_is_tried():
    assert set(SMALL) == set(OTHER) == set(EXTRACTORS)


@pytest.mark.parametrize("name", EXTRACTORS)
class TestContract:
    def test_kind(self, name, tmp_path):
        extractor = build(name, tmp_path)
        kinds = {"audio": AudioExtractor, "vision": VisionExtractor, "text": TextExtractor}
        assert isinstance(extractor, kinds[EXTRACTORS[name].signal])
        assert extractor.signal == EXTRACTORS[name].signal
        assert sys.modules[EXTRACTORS[name].build.__module__].__doc__

    def test_shape(self, name, tmp_path):
        extractor = build(name, tmp_path)
        for signal, timing in signals(extractor):
            sequence = extractor(signal, timing)
            check(extractor, sequence.values, sequence.intervals)
            assert len(sequence.values) > 0
            assert np.isfinite(sequence.values).any() or name == "glove"

    def test_times(self, name, tmp_path):
        extractor = build(name, tmp_path)
        for signal, timing in signals(extractor):
            intervals = extractor(signal, timing).intervals
            assert (np.diff(intervals[:, 0]) >= 0).all()
            assert (intervals[:, 1] > intervals[:, 0]).all()
            if isinstance(extractor, AudioExtractor):
                assert intervals.min() >= 0
                assert intervals.max() <= len(signal) / timing + 1e-9
            else:
                assert {tuple(row) for row in intervals} <= {tuple(row) for row in timing}

    def test_same_again(self, name, tmp_path):
        extractor, again = build(name, tmp_path), build(name, tmp_path)
        for signal, timing in signals(extractor):
            first = extractor(signal, timing)
            for other in (extractor(signal, timing), again(signal, timing)):
                np.testing.assert_array_equal(first.values, other.values)
                np.testing.assert_array_equal(first.intervals, other.intervals)

    def test_many(self, name, tmp_path):
        extractor = build(name, tmp_path)
        together = extractor.many([*signals(extractor), empty(extractor)])
        alone = [extractor(*pair) for pair in [*signals(extractor), empty(extractor)]]
        assert len(together) == len(alone)
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(one.intervals, other.intervals)
        assert extractor.many([]) == []

    def test_nothing_gives_no_frames(self, name, tmp_path):
        extractor = build(name, tmp_path)
        sequence = extractor(*empty(extractor))
        check(extractor, sequence.values, sequence.intervals)
        assert len(sequence.values) == 0

    def test_very_little(self, name, tmp_path):
        extractor = build(name, tmp_path)
        signal, timing = signals(extractor)[0]
        for n in (1, 2, 100):
            of = timing if isinstance(extractor, AudioExtractor) else timing[:n]
            sequence = extractor(signal[:n], of)
            check(extractor, sequence.values, sequence.intervals)

    def test_input_stays(self, name, tmp_path):
        extractor = build(name, tmp_path)
        for signal, timing in signals(extractor):
            if isinstance(signal, np.ndarray):
                signal.setflags(write=False)
            before = list(signal)
            if isinstance(timing, np.ndarray):
                timing.setflags(write=False)
            extractor(signal, timing)
            assert all(np.array_equal(one, other) for one, other in zip(before, signal, strict=True))

    def test_identity(self, name, tmp_path):
        extractor, again, other = build(name, tmp_path), build(name, tmp_path), build(name, tmp_path, OTHER)
        identity = json.dumps(extractor.identity, sort_keys=True, allow_nan=False)
        assert identity == json.dumps(again.identity, sort_keys=True)
        assert (identity != json.dumps(other.identity, sort_keys=True)) == bool(EXTRACTORS[name].settings.model_fields)
        assert extractor.identity["name"] == name

    def test_settings_can_be_written_out(self, name, tmp_path):
        for form in (SMALL, OTHER):
            settings = EXTRACTORS[name].settings(**form[name](tmp_path))
            written = settings.model_dump_json()
            assert EXTRACTORS[name].settings.model_validate_json(written, strict=True) == settings

    def test_unknown_settings_are_refused(self, name, tmp_path):
        with pytest.raises(ValidationError, match="Extra inputs"):
            EXTRACTORS[name].settings(**SMALL[name](tmp_path), bandz=1)


@pytest.mark.parametrize("name", sorted(IN_BLOCKS))
@pytest.mark.parametrize("form", [SMALL, OTHER], ids=["small", "other"])
def test_blocks_are_as_the_whole(name, form, tmp_path):
    extractor = build(name, tmp_path, form)
    assert isinstance(extractor, AudioExtractor)
    # passages far quieter than the others, longer than loudness is compared over
    sound = speech(20) * np.where(np.arange(20 * RATE) / RATE % 9 < 4, 1, 0.01).astype(np.float32)
    whole = extractor(sound, RATE)
    joined = []
    for start in range(0, 20, 4):  # blocks of 4 s with context, of which what lies in the context is dropped
        first = max(0.0, start - extractor.context)
        last = min(20.0, start + 4 + extractor.context)
        block = extractor(sound[round(first * RATE) : round(last * RATE)], RATE)
        middles = block.intervals.mean(axis=1) + first
        joined.append(block.values[(middles >= start) & (middles < start + 4)])
    np.testing.assert_allclose(np.concatenate(joined), whole.values, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", sorted(LOUDNESS))
def test_loudness_changes_only_what_measures_it(name, tmp_path):
    extractor = build(name, tmp_path)
    sound = speech(3)
    quiet, loud = extractor(sound, RATE).values, extractor(10 * sound, RATE).values
    changed = np.flatnonzero(np.abs(loud - quiet).max(axis=0) > 0.02 * quiet.std(axis=0))
    assert set(changed.tolist()) == LOUDNESS[name]


def test_registry_is_cheap_to_import():
    code = (
        "import sys, emotiwave.features.extractors;"
        "print(*{'torch', 'transformers', 'opensmile', 'timm', 'cv2', 'av'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
