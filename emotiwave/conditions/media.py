"""Media spoiled, and features extracted of them again: what a run would have been given, had the signals been worse."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.registry import Condition, rebuilt
from emotiwave.conditions.signals import BABBLERS, Around, squeezed
from emotiwave.errors import ConfigError, DatasetError, DataWarning, MediaError
from emotiwave.features.extraction.reader import MediaReader, media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.workers import read_here
from emotiwave.media.sound import read_sound, sound_blocks
from emotiwave.media.transcripts import split_words
from emotiwave.recordings import MediaRecordings
from emotiwave.sequences import FeatureSequence
from emotiwave.signals import SAMPLE_RATE, Frame, Word
from emotiwave.types import Corpus

VOICES = 24
"""Of the train split, from which babble is made."""
LONGEST = 30.0
"""Seconds of each voice."""
VOCABULARY = 5000
"""Most frequent words of the train split, from which wrong words are drawn."""


@dataclass(frozen=True, eq=False)
class MediaSpoiler:
    """Spoils one kind of signal, and leaves the others as they are."""

    condition: Condition
    severity: float
    draw: int
    around: Around

    def sound(self, utterance: str, samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Spoil sound; what goes over full scale then is played softer."""
        spoil = self.condition.of.sound
        if spoil is None or not samples.any():
            return samples
        return squeezed(spoil(samples, rate, self.severity, self._generator(utterance), self.around))

    def pictures(self, utterance: str, pictures: Iterable[Frame]) -> Iterator[Frame]:
        """Spoil pictures."""
        spoil = self.condition.of.pictures
        return iter(pictures) if spoil is None else spoil(pictures, self.severity, lambda: self._generator(utterance))

    def words(self, utterance: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Spoil words."""
        spoil = self.condition.of.words
        return words if spoil is None else spoil(words, self.severity, self._generator(utterance), self.around)

    def _generator(self, utterance: str) -> np.random.Generator:
        return np.random.default_rng([*self.condition.seed(self.draw), crc32(utterance.encode())])


def check_media(
    condition: Condition, corpus: Corpus, recordings: MediaRecordings | None, settings: FeatureSettings | None
) -> None:
    """Refuse a condition of signals where there are none, or where another signal is meant.

    Raises:
        ConfigError: What can be asked for is named.
    """
    if condition.of.signal is None:
        return
    (name,) = condition.modalities(corpus)
    if recordings is None or not isinstance(settings, MediaFeatureSettings) or name in recordings.given:
        raise ConfigError(
            f"condition {condition}: {corpus.name} has no media of {name}, only features; ask for feature_noise:{name} "
            "or frame_drop"
        )
    signal = EXTRACTORS[settings.choices(recordings.signals)[name].name].signal
    if signal != condition.of.signal:
        raise ConfigError(
            f"condition {condition}: {name} is made of {signal}, and {condition.kind} spoils {condition.of.signal}"
        )
    if condition.file is not None:
        _read_given(condition.file)


def spoil_media(
    recordings: MediaRecordings,
    settings: MediaFeatureSettings,
    corpus: Corpus,
    ids: Sequence[str],
    condition: Condition,
    severity: float,
    draw: int,
) -> Corpus:
    """Spoil the signals of utterances, extract their features again, and give these utterances alone.

    What is of no use then, by the settings of usability, is unobserved, as it would be in real media; only the
    modality that the condition names changes. Nothing is cached.

    Raises:
        ConfigError: If the condition does not suit the corpus.
        DatasetError: If too few voices or words are there to make babble or errors of.
    """
    (name,) = condition.modalities(corpus)
    opened = open_media(recordings, settings)
    signal = condition.of.signal
    choices = {
        m: of for m, of in opened.choices.items() if settings.align == "words" or EXTRACTORS[of.name].signal == signal
    }
    spoiler = MediaSpoiler(condition, severity, draw, _around(recordings, condition, corpus))
    wanted = set(ids)
    works = [
        work
        for work in media_works(
            MediaRecordings(
                recordings.name,
                recordings.task,
                recordings.licence,
                recordings.label_set,
                tuple(u for u in recordings.utterances if u.id in wanted),
                recordings.sources,
                given=recordings.given,
            )
        )
        if work.wanted
    ]
    nothing = FeatureSequence(np.full((1, corpus.sequences[name].size), np.nan, np.float32), np.array([[0.0, 0.0]]))
    changed = dict.fromkeys((one for one in ids if one in corpus.sequences[name]), nothing)
    failed: list[str] = []
    with MediaReader(settings, choices, finds_faces=opened.finds_faces, spoiler=spoiler) as reader:
        for prepared in read_here(reader, works):
            of = prepared.modalities[name]
            starts = np.concatenate([[0], np.cumsum(of.lengths)])
            for one, begin, end in zip(prepared.ids, starts[:-1], starts[1:], strict=True):
                if end > begin and one in wanted:
                    changed[one] = FeatureSequence(of.values[begin:end], of.intervals[begin:end])
            failed += [row["error"] for row in prepared.errors if row.get("modality") in (name, signal)]
    if failed:
        warnings.warn(
            f"{condition} at {severity:g}: {len(failed)} utterances lack {name}, as nothing could be extracted; the "
            f"first: {failed[0]}",
            DataWarning,
            stacklevel=3,
        )
    return rebuilt(corpus, ids, {name: changed})


def _around(recordings: MediaRecordings, condition: Condition, corpus: Corpus) -> Around:
    given = None if condition.file is None else _read_given(condition.file)
    voices: list[NDArray[np.float32]] = []
    words: list[str] = []
    if condition.kind == "babble":
        voices = _voices(recordings)
    if condition.kind == "word_errors":
        words = _vocabulary(corpus)
    return Around(voices, given, words)


def _voices(recordings: MediaRecordings) -> list[NDArray[np.float32]]:
    """Voices of the train split, the same ones each time."""
    train = [u for u in recordings.utterances if u.split == "train"]
    found: list[NDArray[np.float32]] = []
    for row in np.random.default_rng(0).permutation(len(train)).tolist():
        sources, segment = recordings.sources[train[row].id], train[row].segment
        path = sources.audio or sources.video
        if path is None:
            continue
        try:
            start, end = (None, None) if segment is None else (segment.start, segment.end)
            samples = next(sound_blocks(path, start, end, seconds=LONGEST)).waveform.samples
        except MediaError:
            continue  # told of when features were prepared; others are there
        if samples.any():
            found.append(samples)
        if len(found) == VOICES:
            break
    if len(found) < BABBLERS:
        raise DatasetError(f"{recordings.name}: {len(found)} voices in train; babble needs {BABBLERS}")
    return found


def _vocabulary(corpus: Corpus) -> list[str]:
    """Words of the train split, wherever they were read, the most frequent first."""
    counts: dict[str, int] = {}
    for utterance in corpus.utterances:
        if utterance.split == "train" and utterance.transcript:
            for word in split_words(utterance.transcript):
                counts[word] = counts.get(word, 0) + 1
    if len(counts) < 2:
        raise DatasetError(f"{corpus.name}: no words in train that errors could be made of")
    return sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY]


@lru_cache(maxsize=8)
def _read_given(path: Path) -> NDArray[np.float32]:
    """Read a given sound.

    Raises:
        ConfigError: If it cannot be read, or is silent.
    """
    try:
        sound = read_sound(path)
    except (MediaError, OSError) as error:
        raise ConfigError(f"the sound of a condition cannot be read: {error}") from None
    if sound.rate != SAMPLE_RATE or not sound.samples.any():
        raise ConfigError(f"{path}: is silent; a condition needs a sound")
    return sound.samples
