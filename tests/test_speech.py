"""The two optional packages are not needed: what stands in for them has the signatures of silero-vad 6 and
faster-whisper 1.2."""

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emotiwave.errors import MediaError, MissingExtraError
from emotiwave.media.speech import SpeechDetector, SpeechRecogniser
from emotiwave.signals import Span, Waveform, Word
from tests.made_media import write_sound

WINDOW = 512 / 16_000


class FakeSession:
    """Calls windows speech whose first sample is loud, and checks what it is given."""

    names = ("input", "state", "sr")

    def __init__(self, path_or_bytes: bytes, sess_options: Any = None, providers: Any = None) -> None:
        if path_or_bytes != b"onnx":
            raise RuntimeError("protobuf parsing failed")
        self.last = np.zeros(64, np.float32)

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.names]

    def run(self, output_names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert inputs["input"].shape == (1, 576)
        assert inputs["input"].dtype == np.float32
        assert inputs["state"].shape == (2, 1, 128)
        assert inputs["sr"] == 16_000
        if inputs["state"].any():  # not the first window
            np.testing.assert_array_equal(inputs["input"][0, :64], self.last)
        self.last = inputs["input"][0, -64:]
        return [inputs["input"][:, 64:65], np.ones((2, 1, 128), np.float32)]


@pytest.fixture
def silero(tmp_path, monkeypatch):
    """A package with a model file, and a module that runs it; the package must not be imported."""
    (tmp_path / "silero_vad" / "data").mkdir(parents=True)
    (tmp_path / "silero_vad" / "__init__.py").write_text("raise RuntimeError('it sets PyTorch to one thread')")
    model = tmp_path / "silero_vad" / "data" / "silero_vad.onnx"
    model.write_bytes(b"onnx")
    monkeypatch.syspath_prepend(tmp_path)
    runtime = ModuleType("onnxruntime")
    runtime.SessionOptions = SimpleNamespace
    runtime.InferenceSession = FakeSession
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return model


def windows(*probabilities: float) -> np.ndarray:
    return np.repeat(np.array(probabilities, np.float32), 512)


def test_what_is_no_speech_is_found_in_seconds_of_the_file(silero):
    # 20 windows nothing, 10 speech, 5 pause (too short to count), 10 speech, 20 nothing
    samples = windows(*[0.1] * 20, *[0.9] * 10, *[0.1] * 5, *[0.9] * 10, *[0.1] * 20)
    spans = SpeechDetector().non_speech_spans(Waveform(samples, 16_000, start=3.0))
    assert [span.reason for span in spans] == ["no speech", "no speech"]
    found = [(span.start, span.end) for span in spans]
    assert found == [
        pytest.approx((3.0, 3.0 + 20 * WINDOW - 0.1)),
        pytest.approx((3.0 + 45 * WINDOW + 0.1, 3.0 + 65 * WINDOW)),
    ]


def test_short_noises_are_no_speech_and_long_pauses_are_pauses(silero):
    detector = SpeechDetector()
    noise = windows(*[0.1] * 20, *[0.9] * 7, *[0.1] * 20)
    assert detector.non_speech_spans(Waveform(noise, 16_000)) == (Span(0.0, pytest.approx(47 * WINDOW), "no speech"),)
    pause = windows(*[0.9] * 10, *[0.1] * 20, *[0.9] * 10)
    (span,) = detector.non_speech_spans(Waveform(pause, 16_000))
    assert (span.start, span.end) == pytest.approx((10 * WINDOW + 0.1, 30 * WINDOW - 0.1))


def test_speech_goes_on_until_it_is_clearly_over(silero):
    unsure = windows(*[0.4] * 20, *[0.9] * 10, *[0.4] * 20, *[0.3] * 20)
    spans = SpeechDetector().non_speech_spans(Waveform(unsure, 16_000))
    assert [(span.start, span.end) for span in spans] == [
        pytest.approx((0.0, 20 * WINDOW - 0.1)),
        pytest.approx((50 * WINDOW + 0.1, 70 * WINDOW)),
    ]
    assert SpeechDetector(threshold=0.35).non_speech_spans(Waveform(unsure, 16_000)) == ()


def test_sound_that_ends_within_a_window(silero):
    ramp = np.linspace(0.0, 0.1, 1300, dtype=np.float32)
    assert SpeechDetector().non_speech_spans(Waveform(ramp, 16_000)) == (Span(0.0, 1300 / 16_000, "no speech"),)
    assert SpeechDetector().non_speech_spans(Waveform(np.zeros(0, np.float32), 16_000)) == ()


def test_other_rates_are_refused(silero):
    with pytest.raises(MediaError, match="8000 Hz; speech models take 16000 Hz"):
        SpeechDetector().non_speech_spans(Waveform(np.zeros(700, np.float32), 8_000))


def test_missing_or_strange_detectors_are_named(silero, monkeypatch):
    monkeypatch.setattr(FakeSession, "names", ("input", "h", "c", "sr"))
    with pytest.raises(MissingExtraError, match=r"takes c, h, input, sr; expected .*emotiwave\[vad\]"):
        SpeechDetector()
    silero.write_bytes(b"damaged")
    with pytest.raises(MissingExtraError, match=r"silero_vad\.onnx: cannot be loaded"):
        SpeechDetector()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"needs onnxruntime .*pip install .*'emotiwave\[vad\]'"):
        SpeechDetector()
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs silero-vad; pip install .*'emotiwave\[vad\]'"):
        SpeechDetector()


@dataclass
class FakeWord:
    start: float
    end: float
    word: str
    probability: float = 1.0


class FakeWhisper:
    """Hears two words, the first of which ends where the sound does."""

    def __init__(self, model_size_or_path: str, device: str = "auto") -> None:
        if model_size_or_path == "offline":
            raise FileNotFoundError("cannot find an appropriate cached snapshot folder")
        self.device = device

    def transcribe(self, audio: np.ndarray, language: str | None = None, *, word_timestamps: bool = False):
        assert audio.dtype == np.float32
        if language == "xx":
            raise ValueError("'xx' is not a valid language code")
        end = len(audio) / 16_000
        words = [FakeWord(0.0, end, " Hello"), FakeWord(end, end, " you.")] if word_timestamps else None
        return iter([SimpleNamespace(words=words), SimpleNamespace(words=None)]), SimpleNamespace(language="en")


@pytest.fixture
def whisper(monkeypatch):
    module = ModuleType("faster_whisper")
    module.WhisperModel = FakeWhisper
    monkeypatch.setitem(sys.modules, "faster_whisper", module)


def test_words_are_recognised_in_seconds_of_the_file(whisper, tmp_path):
    recogniser = SpeechRecogniser("tiny", language="en")
    heard = recogniser.transcribe(Waveform(np.zeros(32_000, np.float32), 16_000, start=10.0))
    assert heard == (Word("Hello", 10.0, 12.0), Word("you.", 12.0, 12.0))
    path = write_sound(tmp_path / "a.wav", np.zeros(8_000, np.float32), rate=8_000)
    assert recogniser.transcribe(path)[0].end == pytest.approx(1.0, abs=0.01)
    assert recogniser.transcribe(Waveform(np.zeros(0, np.float32), 16_000)) == ()


def test_what_the_recogniser_cannot_do_is_said(whisper):
    with pytest.raises(MediaError, match=r"model 'offline' cannot be loaded on cpu .*folder of a converted model"):
        SpeechRecogniser("offline")
    with pytest.raises(MediaError, match="not a valid language code"):
        SpeechRecogniser(language="xx").transcribe(Waveform(np.zeros(100, np.float32), 16_000))
    with pytest.raises(MediaError, match="48000 Hz"):
        SpeechRecogniser().transcribe(Waveform(np.zeros(100, np.float32), 48_000))


def test_a_missing_recogniser_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'emotiwave\[asr\]'"):
        SpeechRecogniser()
