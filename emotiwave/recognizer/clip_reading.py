"""What the experts say of clips, modality by modality, nothing put together yet."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

from emotiwave.errors import ConfigError
from emotiwave.experts import CalibratedExpert, Experts, Speaker, VoiceExpert
from emotiwave.faces.detectors import load_detector
from emotiwave.media.ahead import ahead
from emotiwave.media.photos import read_photo, shrink_photo
from emotiwave.media.pictures import read_frames
from emotiwave.media.sound import read_sound
from emotiwave.media.speech import SpeechDetector, SpeechRecogniser
from emotiwave.media.subtitles import has_subtitles, read_subtitles
from emotiwave.media.transcripts import read_transcript, split_words
from emotiwave.recognizer.clip import Clip
from emotiwave.recognizer.face_reading import FaceReader, FacesSeen
from emotiwave.recognizer.failures import Attempt, attempt, noted_warnings
from emotiwave.recognizer.fusion import AT_HOME
from emotiwave.recognizer.reading import Ask, Reading
from emotiwave.recognizer.settings import RecognizerSettings
from emotiwave.recognizer.text_reading import read_texts
from emotiwave.recognizer.voice_reading import blocks_of, read_voice
from emotiwave.signals import Frame, Waveform, Word

AHEAD = 8
"""Pictures that are decoded while others are looked at."""
LONGEST_SIDE = 640
KEPT = 60.0
"""Seconds of sound that are kept to be explained; of longer sound whole windows are told of."""
FACES_KEPT = 24
ONE = "clip"
"""What every clip is called where noise is drawn, so that it does not hang on where its file lies."""


Watch = Callable[[str, float], None]
"""Is told how far a modality was read, in seconds; what it raises, other than an `Exception`, ends the reading."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What was found in a clip: readings, faces, and why a modality that was given could not be read."""

    readings: dict[str, Reading]
    faces: FacesSeen | None
    errors: dict[str, str]
    warnings: tuple[str, ...]


class ClipReader:
    """Lets the three experts read clips; detectors and recognisers are made when first needed."""

    def __init__(self, experts: Experts, settings: RecognizerSettings, speaker: Speaker | None = None) -> None:
        self.experts, self.settings, self.speaker = experts, settings, speaker
        self.watch: Watch | None = None

    def read(
        self, clips: Sequence[Clip], asked: Collection[str], *, to_explain: bool = False, faces_kept: int = 0
    ) -> list[Heard]:
        """Let the experts of the modalities asked for read clips.

        ``to_explain`` keeps the sound of a short clip; ``faces_kept`` so many pictures of each face.
        """
        words, of_reading = [], []
        for clip in clips:
            with noted_warnings() as told:
                words.append(attempt(partial(self._words, clip)) if "text" in asked else Attempt(None))
            of_reading.append(told)
        with_words = [row for row, one in enumerate(words) if one.found is not None]
        texts = read_texts(
            [words[row].found or () for row in with_words],
            self.experts.text,
            self.settings.usability,
            window=self.settings.window,
            reliability=[self._worth("text", clips[row]) for row in with_words],
        )
        of_words = dict(zip(with_words, texts, strict=True))
        heard = []
        for row, clip in enumerate(clips):
            with noted_warnings() as told:
                voice, faces = self._hear_and_see(clip, asked, KEPT if to_explain else 0.0, faces_kept)
            found = {"text": of_words.get(row), "audio": voice.found}
            found["vision"] = None if faces.found is None else faces.found.reading
            attempts = {"text": words[row], "audio": voice, "vision": faces}
            heard.append(
                Heard(
                    {name: reading for name, reading in found.items() if reading is not None},
                    faces.found,
                    {name: one.error for name, one in attempts.items() if one.error is not None},
                    (*of_reading[row], *told),
                )
            )
        return heard

    def _words(self, clip: Clip) -> tuple[Word, ...] | None:
        words = self._read_words(clip)
        return words if words is None or clip.spoiler is None else clip.spoiler.words(ONE, words)

    def _read_words(self, clip: Clip) -> tuple[Word, ...] | None:
        sources, (start, end) = clip.sources, _bounds(clip)
        if sources.text is not None:
            return tuple(Word(word) for word in split_words(sources.text))
        if sources.transcript is not None:
            return _from(start, read_transcript(sources.transcript, start, end))
        if sources.words is not None:
            raise ConfigError(
                f"{clip.name}: words of a .csd file are for runs; give the experts a text or a transcript"
            )
        if sources.video is not None and self.settings.subtitles and has_subtitles(sources.video):
            return _from(start, read_subtitles(sources.video, start, end))
        heard = clip.sources.audio or clip.sources.video
        if self.settings.asr is None or (heard is None and clip.sound is None):
            return None
        if clip.heard is not None:
            return self._recogniser.transcribe(_spoiled(clip, clip.heard))
        return None if heard is None else _from(start, self._recogniser.transcribe(_spoiled(clip, heard)))

    def ask(self, modality: str) -> Ask:
        """The expert of a modality, as it is asked: the voice expert knows the speaker, if one is given."""
        expert = self.experts[modality]
        if modality == "audio" and self.speaker is not None:
            return partial(_with_speaker, expert, self.speaker)
        return expert

    def _hear_and_see(
        self, clip: Clip, asked: Collection[str], kept: float, faces_kept: int
    ) -> tuple[Attempt[Reading | None], Attempt[FacesSeen | None]]:
        """Hear the sound in a thread while pictures are looked at."""
        stop = Event()
        hear: Callable[[], Reading | None] = partial(self._voice, clip, stop, kept) if "audio" in asked else _nothing
        see: Callable[[], FacesSeen | None] = partial(self._faces, clip, faces_kept) if "vision" in asked else _nothing
        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(attempt, hear)
            try:
                seen = attempt(see)
                return heard.result(), seen
            except BaseException:  # the pool waits for its thread
                stop.set()
                raise

    def _voice(self, clip: Clip, stop: Event, kept: float) -> Reading | None:
        sound = clip.heard or clip.sources.audio or clip.sources.video
        if sound is None:
            return None
        start, end = _bounds(clip)
        if clip.spoiler is not None:  # all of it at once, as how loud noise is hangs on all of it
            sound = _spoiled(clip, sound)
        blocks = blocks_of(sound, start, end, self.settings.window)
        origin = 0.0 if clip.sound is not None else start or 0.0
        return read_voice(
            takewhile(lambda block: not stop.is_set() and self._tell("audio", block.core[0] - origin), blocks),
            self.ask("audio"),
            self.settings.usability,
            window=self.settings.window,
            reliability=self._worth("audio", clip),
            find_non_speech=self._speech.non_speech_spans if self.settings.speech_only else None,
            kept=kept,
        )

    def _faces(self, clip: Clip, n_kept: int) -> FacesSeen | None:
        sources, start = clip.sources, _bounds(clip)[0]
        is_photo = clip.picture is not None or sources.image is not None
        if not is_photo and sources.video is None:
            return None
        detector = None if sources.is_face and is_photo else self._detector
        reader = FaceReader(
            self.experts.vision,
            self.experts.vision.crop,
            detector,
            self.settings.faces,
            self.settings.usability,
            0.0 if is_photo else start or 0.0,
            self._worth("vision", clip),
            n_kept,
        )

        def take(pictures: Iterable[Frame]) -> FacesSeen:
            return reader.take(pictures if clip.spoiler is None else clip.spoiler.pictures(ONE, pictures))

        if clip.picture is not None:
            return take([shrink_photo(clip.picture, longest=LONGEST_SIDE)])
        if sources.image is not None:
            return take([read_photo(sources.image, longest=LONGEST_SIDE)])
        if sources.video is None:
            return None
        frames = read_frames(sources.video, *_bounds(clip), rate=self.settings.frame_rate, longest=LONGEST_SIDE)
        with ahead(frames, AHEAD) as pictures:
            return take(takewhile(lambda frame: self._tell("vision", frame.start - (start or 0.0)), pictures))

    def _tell(self, modality: str, seconds: float) -> bool:
        """Tell how far a modality was read; True, always."""
        if self.watch is not None:
            self.watch(modality, seconds)
        return True

    def _worth(self, modality: str, clip: Clip) -> float:
        """What evidence is worth: all of it where the expert is at home, or was calibrated on data of the user's."""
        expert = self.experts[modality]
        is_photo = clip.picture is not None or clip.sources.image is not None
        is_at_home = is_photo if modality == "vision" else modality == "text" and not clip.is_recording
        return (
            AT_HOME
            if is_at_home or isinstance(expert, CalibratedExpert)
            else self.settings.reliability.get(modality, AT_HOME)
        )

    @cached_property
    def _detector(self) -> Any:
        return load_detector(self.settings.faces)

    @cached_property
    def _speech(self) -> SpeechDetector:
        return SpeechDetector()

    @cached_property
    def _recogniser(self) -> SpeechRecogniser:
        return SpeechRecogniser(str(self.settings.asr), language=self.settings.language)


def _spoiled(clip: Clip, sound: Path | Waveform) -> Waveform:
    """Read the stretch of a sound that is meant, all of it at once, and spoil it if that is wished."""
    start, end = _bounds(clip)
    whole = read_sound(sound, start, end) if isinstance(sound, Path) else sound
    if clip.spoiler is None:
        return whole
    return replace(whole, samples=clip.spoiler.sound(ONE, whole.samples, whole.rate))


def _nothing() -> None:
    """Read nothing: the modality was not asked for."""


def _with_speaker(expert: Any, speaker: Speaker, clips: Sequence[Any]) -> Any:
    """Ask a voice expert that knows of speakers.

    Raises:
        ConfigError: If another one is in its place.
    """
    inner = getattr(expert, "expert", expert)
    if not isinstance(inner, VoiceExpert):
        raise ConfigError(f"{expert.name} knows nothing of speakers; leave the speaker out, or its expert in place")
    return expert(clips, speaker=speaker)


def _bounds(clip: Clip) -> tuple[float | None, float | None]:
    if clip.segment is None:
        return None, None
    return clip.segment.start, None if math.isinf(clip.segment.end) else clip.segment.end


def _from(start: float | None, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Bring times of the file to the clock of the clip."""
    return tuple(replace(word, start=word.start - start, end=word.end - start) for word in words) if start else words
