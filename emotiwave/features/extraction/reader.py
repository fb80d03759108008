"""Media recordings read for the store: each signal decoded once, judged, extracted, kept, and brought to few frames."""

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import CsdFile
from emotiwave.errors import (
    CheckpointError,
    ConfigError,
    DataWarning,
    EmotiwaveError,
    FeatureError,
    MissingExtraError,
)
from emotiwave.faces.detectors import FaceDetector, load_detector
from emotiwave.features.extraction.cache import FeatureCache, cache_key
from emotiwave.features.extraction.collapsing import collapse_in_blocks, cut_count, cut_frames, useless
from emotiwave.features.extraction.extracted import Extracted, usability_rows
from emotiwave.features.extraction.frames import Frames
from emotiwave.features.extraction.pictures import PictureExtraction, longest_side
from emotiwave.features.extraction.settings import Choice, MediaFeatureSettings, build_extractors
from emotiwave.features.extraction.sound import BLOCK_SECONDS, extract_sound
from emotiwave.features.extraction.spoiler import Spoiler
from emotiwave.features.extraction.words import read_words, word_intervals
from emotiwave.features.extractor import AudioExtractor, TextExtractor, VisionExtractor
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.features.planning import plan_frames
from emotiwave.features.prepared import PreparedModality, PreparedRecording
from emotiwave.features.workers import Work
from emotiwave.files import file_digest
from emotiwave.media.ahead import ahead
from emotiwave.media.photos import read_photo
from emotiwave.media.pictures import read_frames
from emotiwave.media.sound import read_sound
from emotiwave.media.speech import SpeechDetector, SpeechRecogniser
from emotiwave.media.usability import summarise, summarise_counts, unusable_text
from emotiwave.recordings import MediaRecordings, Sources
from emotiwave.signals import Frame, Usability, Word, join_words
from emotiwave.types import Utterance

AHEAD = 8
"""Pictures that are decoded while others are looked at."""
TEXTS_AT_ONCE = 64
"""Utterances without sound and video that make one recording."""
Wanted = tuple[Utterance, Sources]


@dataclass(frozen=True, eq=False)
class _Brought:
    """One utterance as the store takes it: values and intervals by modality, its words, and what is to be told."""

    frames: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float64]]]
    transcript: str | None
    counts: Counter[str]
    errors: Sequence[dict[str, str]]
    usability: Sequence[dict[str, Any]]


Extract = Callable[[Sources, Utterance, Extracted], None]


class MediaReader:
    """Extractors that are ready, and what is wanted of media; a context manager.

    With a ``spoiler``, which may change from one reading to the next, nothing is cached.

    Raises:
        EmotiwaveError: If an extractor or the face detector cannot be had.
    """

    def __init__(
        self,
        settings: MediaFeatureSettings,
        choices: Mapping[str, Choice],
        *,
        finds_faces: bool,
        spoiler: Spoiler | None = None,
    ) -> None:
        self.settings, self.spoiler = settings, spoiler
        self.extractors = build_extractors(choices)
        settings.check_poolable(self.extractors)
        of: dict[str, dict[str, Any]] = {"audio": {}, "vision": {}, "text": {}}
        for modality, extractor in self.extractors.items():
            of[extractor.signal][modality] = extractor
        self.audio: dict[str, AudioExtractor] = of["audio"]
        self.vision: dict[str, VisionExtractor] = of["vision"]
        self.text: dict[str, TextExtractor] = of["text"]
        self.sizes = {modality: extractor.size for modality, extractor in self.extractors.items()}
        self.cache = FeatureCache(settings.kept_in)
        wants_faces = any(extractor.pictures == "faces" for extractor in self.vision.values())
        self.detector = load_detector(settings.faces, may_download=False) if wants_faces and finds_faces else None
        self.speech = SpeechDetector() if settings.speech_only and self.audio else None
        self.notes = {} if self.detector is None else {"faces found by": self._name_detector(self.detector)}
        self.metadata = {
            modality: {"extractor": extractor.identity}
            | ({"faces": self.detector.identity} if modality in self.vision and self.detector is not None else {})
            for modality, extractor in self.extractors.items()
        }
        self._words_files: dict[str, CsdFile] = {}
        self._recogniser: SpeechRecogniser | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._words_files.values():
            file.__exit__(None, None, None)

    def read(self, recording: str, wanted: Sequence[Wanted]) -> PreparedRecording:
        """Extract the utterances of a recording and bring them to the frames of the store.

        What cannot be read is an error row and a missing modality.
        """
        brought = [
            self._bring_all(utterance, of)
            for (utterance, _), of in zip(wanted, self.extract(recording, wanted), strict=True)
        ]
        return self._join(recording, wanted, brought)

    def extract(self, recording: str, wanted: Sequence[Wanted]) -> Iterator[Extracted]:
        """Extract the utterances of a recording, all frames of them; only one is held at a time, but for its words."""
        texts = self._read_texts(recording, wanted)
        for pair in wanted:
            into = texts.popleft()
            self._look(recording, pair, "audio", self._sound, into)
            self._look(recording, pair, "vision", self._pictures, into)
            yield into

    def _read_texts(self, recording: str, wanted: Sequence[Wanted]) -> deque[Extracted]:
        """Read and describe the words of all utterances together, which encoders do faster."""
        extracted = deque(Extracted() for _ in wanted)
        for pair, into in zip(wanted, extracted, strict=True):
            self._look(recording, pair, "text", self._read_text, into)
        self._describe_texts(recording, wanted, extracted)
        return extracted

    def _look(self, recording: str, wanted: Wanted, signal: str, extract: Extract, into: Extracted) -> None:
        """Extract one signal; why that failed, or what was warned of, is noted."""
        utterance, sources = wanted
        if not getattr(self, signal):
            return
        error, into.warnings[signal] = _attempt(partial(extract, sources, utterance, into))
        if error:
            into.errors.append(_error_row(recording, wanted, signal, error))

    @staticmethod
    def _name_detector(detector: FaceDetector) -> str:
        return f"{detector.name} ({detector.why_not_yunet})" if detector.why_not_yunet else detector.name

    # --- signals

    def _sound(self, sources: Sources, utterance: Utterance, into: Extracted) -> None:
        path = sources.audio or sources.video
        if path is None:
            return
        start, end = _bounds(utterance)
        spoil = None if self.spoiler is None else partial(self.spoiler.sound, utterance.id)
        stage = {
            "signal": "audio",
            "of": [self._digest(path), start, end],
            "block": BLOCK_SECONDS,
            "usability": self.settings.usability.model_dump(mode="json"),
            "speech_only": self.settings.speech_only,
        }

        def make(missing: Mapping[str, AudioExtractor]) -> dict[str, Frames]:
            find = None if self.speech is None else self.speech.non_speech_spans
            frames, _, seconds = extract_sound(path, start, end, missing, self.settings.usability, find, spoil)
            for found in frames.values():
                found.facts = {"seconds": seconds}
            return frames

        for modality, frames in self._kept_or_made(self.audio, stage, make).items():
            into.frames[modality] = frames
            seconds = float(frames.facts["seconds"])
            into.usability[modality] = replace(
                summarise("audio", frames.spans, 0.0, seconds, self.settings.usability), modality=modality
            )

    def _pictures(self, sources: Sources, utterance: Utterance, into: Extracted) -> None:
        path = sources.image or sources.video
        if path is None:
            return
        start, end = _bounds(utterance)
        longest = longest_side(self.vision.values())
        stage = {
            "signal": "vision",
            "of": [self._digest(path), *((None, None) if sources.image else (start, end))],
            "rate": self.settings.frame_rate,
            "longest": longest,
            "usability": self.settings.usability.model_dump(mode="json"),
            "faces": None if sources.is_face else self.settings.faces.model_dump(mode="json"),
            "detector": None if sources.is_face or self.detector is None else self.detector.identity,
        }

        def make(missing: Mapping[str, VisionExtractor]) -> dict[str, Frames]:
            extraction = PictureExtraction(
                missing,
                self.settings.faces,
                self.settings.usability,
                self.detector,
                origin=0.0 if sources.image is not None else start or 0.0,
                is_face=sources.is_face,
            )

            def take(pictures: Iterable[Frame]) -> dict[str, Frames]:
                spoiler = self.spoiler
                return extraction.take(pictures if spoiler is None else spoiler.pictures(utterance.id, pictures))

            if sources.image is not None:
                return take([read_photo(path, longest=longest)])
            with ahead(
                read_frames(path, start, end, rate=self.settings.frame_rate, longest=longest), AHEAD
            ) as pictures:
                return take(pictures)

        for modality, frames in self._kept_or_made(self.vision, stage, make).items():
            into.frames[modality] = frames
            times = frames.intervals
            if np.isnan(times).any():
                reasons = Counter(span.reason for span in frames.spans)
                into.usability[modality] = summarise_counts(modality, reasons, len(frames), self.settings.usability)
            else:
                into.usability[modality] = summarise(
                    modality, frames.spans, float(times.min()), float(times.max()), self.settings.usability
                )

    def _read_text(self, sources: Sources, utterance: Utterance, into: Extracted) -> None:
        found = read_words(sources, utterance.segment, self.settings, self._words_files)
        if found is None and self.settings.asr and (heard := sources.audio or sources.video):
            start, end = _bounds(utterance)
            if self._recogniser is None:
                self._recogniser = SpeechRecogniser(self.settings.asr, language=self.settings.language)
            found = self._recogniser.transcribe(read_sound(heard, start, end)), f"recogniser {self.settings.asr}"
        if found is not None:
            into.words, into.words_from = found
            if self.spoiler is not None:
                into.words = self.spoiler.words(utterance.id, found[0])

    def _describe_texts(
        self,
        recording: str,
        wanted: Sequence[Wanted],
        extracted: Sequence[Extracted],
    ) -> None:
        for modality, extractor in self.text.items():
            rows, signals = [], []
            for row, ((utterance, _), of) in enumerate(zip(wanted, extracted, strict=True)):
                if of.words is None:
                    continue
                texts = [word.text for word in of.words]
                reason = unusable_text(texts, self.settings.usability)
                shares = {reason: 1.0} if reason else {}
                of.usability[modality] = Usability(modality, 1.0 - len(shares), shares, ignored=bool(reason))
                if reason is None:
                    rows.append(row)
                    signals.append((texts, word_intervals(of.words, _origin(utterance))))
            try:
                sequences = extractor.many(signals)
            except FeatureError as error:
                for row in rows:
                    extracted[row].errors.append(_error_row(recording, wanted[row], modality, str(error)))
                continue
            for row, sequence in zip(rows, sequences, strict=True):
                frames = Frames(extractor.size, facts={"from": extracted[row].words_from})
                frames.append(sequence.values, sequence.intervals)
                extracted[row].frames[modality] = frames

    def _kept_or_made(
        self,
        extractors: Mapping[str, Any],
        stage: Mapping[str, Any],
        make: Callable[[Mapping[str, Any]], dict[str, Frames]],
    ) -> dict[str, Frames]:
        """Take frames from the cache, and extract in one go what is not there."""
        keys = {
            name: cache_key({**stage, "extractor": extractor.identity, "context": getattr(extractor, "context", 0.0)})
            for name, extractor in extractors.items()
            if extractor.is_costly and self.spoiler is None
        }
        found = {name: frames for name, key in keys.items() if (frames := self.cache.find(key)) is not None}
        missing = {name: extractor for name, extractor in extractors.items() if name not in found}
        if missing:
            made = make(missing)
            for name in keys.keys() & made.keys():
                self._keep(keys[name], made[name])
            found |= made
        return {name: found[name] for name in extractors}

    def _keep(self, key: str, frames: Frames) -> None:
        """Put frames into the cache; one that cannot be written to costs time, and never what was extracted."""
        try:
            self.cache.keep(key, frames)
        except OSError as error:
            self.cache = FeatureCache(None)
            warnings.warn(f"the cache cannot be written to, and is not used ({error})", DataWarning, stacklevel=2)

    def _digest(self, path: Path) -> str:
        """The bytes of a file, where a cache asks for them."""
        return "" if self.cache.folder is None else file_digest(path)

    # --- to the store

    def _bring_all(self, utterance: Utterance, of: Extracted) -> _Brought:
        """Bring all modalities of an utterance to the frames of the store, and let go of what was extracted."""
        counts: Counter[str] = Counter()
        frames = {modality: self._bring(modality, of, _origin(utterance), counts) for modality in self.sizes}
        transcript = join_words(of.words) if of.words is not None else utterance.transcript
        for signal, noted in of.warnings.items():
            counts[f"warnings about {signal} (usability.jsonl tells them)"] += len(noted)
        return _Brought(frames, transcript, counts, of.errors, usability_rows(utterance, of))

    def _join(self, recording: str, wanted: Sequence[Wanted], brought: Sequence[_Brought]) -> PreparedRecording:
        modalities = {}
        for modality, size in self.sizes.items():
            parts = [of.frames[modality] for of in brought]
            modalities[modality] = PreparedModality(
                values=np.concatenate([np.empty((0, size), np.float32), *(values for values, _ in parts)]),
                intervals=np.concatenate([np.empty((0, 2)), *(intervals for _, intervals in parts)]),
                lengths=tuple(len(values) for values, _ in parts),
                observed=tuple(len(values) > 0 for values, _ in parts),
            )
        return PreparedRecording(
            recording=recording,
            ids=tuple(utterance.id for utterance, _ in wanted),
            kept=tuple(any(of) for of in zip(*(m.observed for m in modalities.values()), strict=True)),
            modalities=modalities,
            transcripts=tuple(of.transcript for of in brought),
            counts=sum((of.counts for of in brought), Counter()),
            errors=tuple(row for of in brought for row in of.errors),
            usability=tuple(row for of in brought for row in of.usability),
        )

    def _bring(
        self, modality: str, of: Extracted, origin: float, counts: Counter[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Bring the frames of an utterance to those of the store; none where the modality is missing or ignored."""
        size, nothing = self.sizes[modality], np.empty((0, 2))
        judged, frames = of.usability.get(modality), of.frames.get(modality)
        if judged is not None:
            counts[f"{modality} ignored: {next(iter(judged.reasons), 'too short')}"] += int(judged.ignored)
        if judged is None or judged.ignored or frames is None or not len(frames):
            counts[f"utterances without {modality}"] += 1
            return np.empty((0, size), np.float32), nothing
        extractor = self.extractors[modality]
        is_useless, budget = useless(frames, extractor), self.settings.most_frames(modality, extractor)
        n_left_out = 0
        if extractor.longest is not None:
            with_unobserved = self.settings.unobserved == "zero"
            cut = cut_frames(frames, is_useless, budget, with_unobserved=with_unobserved)
            values, intervals, n_left_out = cut.values, cut.intervals, cut.n_left_out
            counts[cut_count(modality, budget, extractor.frames_per_second)] += cut.is_cut
        else:
            words = _timed(of.words or (), origin)
            plan, is_longer = plan_frames(frames.intervals, words, self.settings, budget)
            values = collapse_in_blocks(frames, is_useless, plan, self.settings.shrunk_for(extractor))
            intervals = plan.intervals
            counts[f"utterances of more {modality} frames than {budget}"] += is_longer
        n_observed = int(np.isfinite(values).all(axis=1).sum())
        counts[f"{modality} frames"] += n_left_out + len(values)
        counts[f"{modality} frames unobserved"] += n_left_out + len(values) - n_observed
        if self.settings.unobserved == "zero":
            values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        elif not n_observed:
            counts[f"utterances without {modality}"] += 1
            return np.empty((0, size), np.float32), nothing
        return values, intervals


def _bounds(utterance: Utterance) -> tuple[float | None, float | None]:
    return (None, None) if utterance.segment is None else (utterance.segment.start, utterance.segment.end)


def _error_row(recording: str, wanted: Wanted, modality: str, error: str) -> dict[str, str]:
    utterance, sources = wanted
    file = next((str(path) for path in sources.files), recording)
    return {"recording": file, "utterance": utterance.id, "modality": modality, "error": error}


def _attempt(extract: Callable[[], None]) -> tuple[str | None, list[str]]:
    """Extract; why that failed, and what was warned of: whatever is wrong with one file must not end the others."""
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        try:
            extract()
        except (MissingExtraError, ConfigError, CheckpointError):
            raise  # that is not the file's fault
        except (EmotiwaveError, OSError) as known:
            error = str(known)
        except Exception as unknown:  # a decoder may raise anything over a damaged file
            error = f"{type(unknown).__name__}: {unknown}"
    return error, list(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, DataWarning)))


def _timed(words: Sequence[Word], origin: float) -> NDArray[np.float64]:
    """Intervals of the words that have times, in order of their starts."""
    intervals = word_intervals(tuple(words), origin)
    intervals = intervals[np.isfinite(intervals).all(axis=1)]
    return intervals[np.argsort(intervals[:, 0], kind="stable")]


def _origin(utterance: Utterance) -> float:
    return 0.0 if utterance.segment is None else utterance.segment.start


@dataclass(frozen=True)
class OpenMedia:
    """Opens a `MediaReader`; made once, and handed to every process."""

    settings: MediaFeatureSettings
    choices: Mapping[str, Choice]
    finds_faces: bool
    """Whether any picture is more than a face that was cut out already."""

    def __call__(self) -> MediaReader:
        """Open it."""
        return MediaReader(self.settings, self.choices, finds_faces=self.finds_faces)

    def fetch(self) -> None:
        """Fetch the file of the face detector, if one is needed and not there."""
        signals = {EXTRACTORS[choice.name].signal for choice in self.choices.values()}
        if self.finds_faces and "vision" in signals:
            load_detector(self.settings.faces)


def media_works(recordings: MediaRecordings) -> list[Work]:
    """Divide utterances into recordings: those of one file of sound or video together, texts and photos by many."""
    groups: dict[str, list[Wanted]] = {}
    n_light = 0
    for utterance in recordings.utterances:
        sources = recordings.sources[utterance.id]
        heavy = sources.video or sources.audio
        name = str(heavy) if heavy else f"texts and photos {n_light // TEXTS_AT_ONCE}"
        n_light += heavy is None
        groups.setdefault(name, []).append((utterance, sources))
    return [Work(name, tuple(u.id for u, _ in wanted), wanted) for name, wanted in groups.items()]


def open_media(recordings: MediaRecordings, settings: MediaFeatureSettings) -> OpenMedia:
    """What opens a reader of these recordings in any process."""
    finds_faces = any((of.video or of.image) and not of.is_face for of in recordings.sources.values())
    return OpenMedia(settings, settings.choices(recordings.signals), finds_faces)
