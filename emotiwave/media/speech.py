"""Speech by optional models: where there is any (``[vad]``, Silero), and what is said (``[asr]``, faster-whisper)."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import MediaError, MissingExtraError
from emotiwave.media.cues import Phrase
from emotiwave.media.sound import read_sound
from emotiwave.media.transcripts import to_words
from emotiwave.media.usability import runs
from emotiwave.settings import PathLike
from emotiwave.signals import SAMPLE_RATE, Span, Waveform, Word

_WINDOW = 512
"""Samples that Silero judges at once."""
_CONTEXT = 64
"""Samples before them that it sees too."""
_STATE = (2, 1, 128)
_HYSTERESIS = 0.15
"""Speech that has begun goes on until its probability is that much below the threshold."""

_VAD_EXTRA = "pip install --upgrade 'emotiwave[vad]'"
_ASR_EXTRA = "pip install 'emotiwave[asr]'"


class SpeechDetector:
    """Silero's voice activity detector (``pip install 'emotiwave[vad]'``), by its ONNX file.

    The package's own functions are not used: they import PyTorch, and set it to one thread for the whole process.
    ``threshold`` is the probability from which on there is speech.

    Raises:
        MissingExtraError: If silero-vad or onnxruntime is not installed, or of a version with other inputs.
    """

    shortest_speech = 0.25
    """Seconds; what is shorter is a noise."""
    shortest_pause = 0.5
    """Seconds; shorter pauses belong to the speech."""
    kept_around_speech = 0.1
    """Seconds before and after speech that stay observed."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._session = _load_silero()

    def non_speech_spans(self, waveform: Waveform) -> tuple[Span, ...]:
        """Find where nobody speaks, in seconds of the file.

        Raises:
            MediaError: If the sound is not at 16 kHz.
        """
        _check_rate(waveform)
        is_speech = _smooth(self._judge(waveform.samples), self)
        window = _WINDOW / SAMPLE_RATE
        found = []
        for first, last in runs(~is_speech):
            begin = first * window + (self.kept_around_speech if first > 0 else 0.0)
            end = last * window - self.kept_around_speech if last < len(is_speech) else waveform.duration
            found.append(Span(waveform.start + begin, waveform.start + end, "no speech"))
        return tuple(span for span in found if span.start < span.end)

    def _judge(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether there is speech in each window ``(windows,)``."""
        is_speech, bound = [], self.threshold
        for probability in self.probabilities(samples):
            is_speech.append(probability >= bound)
            bound = self.threshold - _HYSTERESIS if is_speech[-1] else self.threshold
        return np.array(is_speech, dtype=bool)

    def probabilities(self, samples: NDArray[np.float32]) -> Iterator[float]:
        """Give the probability of speech in each 32 ms of ``samples (samples,)`` at 16 kHz."""
        state, context = np.zeros(_STATE, np.float32), np.zeros(_CONTEXT, np.float32)
        rate = np.array(SAMPLE_RATE, dtype=np.int64)
        for first in range(0, len(samples), _WINDOW):
            window = samples[first : first + _WINDOW]
            window = np.pad(window, (0, _WINDOW - len(window)))
            inputs = {"input": np.concatenate([context, window])[None], "state": state, "sr": rate}
            probability, state = self._session.run(None, inputs)
            context = window[-_CONTEXT:]
            yield float(probability[0, 0])


def _smooth(is_speech: NDArray[np.bool_], detector: SpeechDetector) -> NDArray[np.bool_]:
    """Fill short pauses between speech, then drop short speech."""
    is_speech = is_speech.copy()
    window = _WINDOW / SAMPLE_RATE
    for first, last in runs(~is_speech):
        if first > 0 and last < len(is_speech) and (last - first) * window < detector.shortest_pause:
            is_speech[first:last] = True
    for first, last in runs(is_speech):
        if (last - first) * window < detector.shortest_speech:
            is_speech[first:last] = False
    return is_speech


def _load_silero() -> Any:
    """Load the ONNX model that the package holds, without importing the package."""
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise MissingExtraError(f"finding speech needs silero-vad; {_VAD_EXTRA}")
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(f"finding speech needs onnxruntime ({error}); {_VAD_EXTRA}") from None
    model = Path(package.origin).parent / "data" / "silero_vad.onnx"
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1  # windows are judged one after another
    try:
        session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
        inputs = sorted(value.name for value in session.get_inputs())
    except Exception as error:  # onnxruntime has errors of its own, which derive from nothing else
        raise MissingExtraError(f"{model}: cannot be loaded ({error}); {_VAD_EXTRA}") from None
    if inputs != ["input", "sr", "state"]:
        raise MissingExtraError(f"{model}: takes {', '.join(inputs)}; expected input, sr, state; {_VAD_EXTRA}")
    return session


class SpeechRecogniser:
    """Whisper, by faster-whisper (``pip install 'emotiwave[asr]'``), loaded once for many recordings.

    ``model`` is a size (``tiny``, ``base``, ``small``, ``medium``, ``large-v3``, ``turbo``), the id of a converted
    model on the Hugging Face Hub, or a local folder of one; all but a folder are downloaded on first use. ``device`` is
    ``cpu`` or ``cuda``. ``language`` is a code such as ``en``; by default it is recognised.

    Raises:
        MissingExtraError: If faster-whisper is not installed.
        MediaError: If the model cannot be loaded.
    """

    def __init__(self, model: str = "base", device: str = "cpu", language: str | None = None) -> None:
        self.language = language
        self._model = _load_whisper(model, device)

    def transcribe(self, sound: Waveform | PathLike) -> tuple[Word, ...]:
        """Write down what is said in a waveform at 16 kHz, or in a media file; times count from the start of the file.

        Raises:
            MediaError: If the file cannot be read, the sound is not at 16 kHz, or the model fails on it.
        """
        waveform = sound if isinstance(sound, Waveform) else read_sound(Path(sound))
        _check_rate(waveform)
        if not len(waveform.samples):
            return ()
        try:
            segments, _ = self._model.transcribe(waveform.samples, language=self.language, word_timestamps=True)
            words = [word for segment in segments for word in segment.words or ()]  # recognised while it is iterated
        except (RuntimeError, ValueError) as error:  # of the device or its memory; of the language
            raise MediaError(f"speech recognition failed ({error}); language {self.language!r}") from None
        return to_words(
            Phrase(word.word, waveform.start + word.start, waveform.start + max(word.start, word.end)) for word in words
        )


def _load_whisper(model: str, device: str) -> Any:
    try:
        faster_whisper = import_module("faster_whisper")
    except ImportError as error:
        raise MissingExtraError(f"recognising speech needs faster-whisper ({error}); {_ASR_EXTRA}") from None
    try:
        return faster_whisper.WhisperModel(model, device=device)
    except Exception as error:  # the Hub's, CTranslate2's, and bare ones of its tokenizer
        raise MediaError(
            f"speech recognition model {model!r} cannot be loaded on {device} ({error}); give a known size, or the "
            "folder of a converted model that lies on this computer"
        ) from None


def _check_rate(waveform: Waveform) -> None:
    if waveform.rate != SAMPLE_RATE:
        raise MediaError(f"sound is at {waveform.rate} Hz; speech models take {SAMPLE_RATE} Hz: read it at that rate")
