"""Media spoiled, and features extracted of them again: what a run would have been given, had the signals been worse."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.kept_features import find_features, keep_features
from emotiwave.conditions.registry import Condition, rebuilt
from emotiwave.conditions.signals import BABBLERS, Around
from emotiwave.conditions.spoiler import MediaSpoiler, read_given
from emotiwave.errors import ConfigError, DatasetError, DataWarning, MediaError
from emotiwave.features.extraction.reader import MediaReader, media_works, open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.features.settings import FeatureSettings
from emotiwave.features.workers import Work, read_here
from emotiwave.files import file_digest
from emotiwave.media.sound import sound_blocks
from emotiwave.media.transcripts import split_words
from emotiwave.recordings import MediaRecordings
from emotiwave.sequences import FeatureSequence
from emotiwave.types import Corpus

VOICES = 24
"""Of the train split, from which babble is made."""
LONGEST = 30.0
"""Seconds of each voice."""
VOCABULARY = 5000
"""Most frequent words of the train split, from which wrong words are drawn."""
VERSION = 1
"""Of how media are spoiled: raised when the same condition gives other signals."""


def check_media(
    condition: Condition, corpus: Corpus, recordings: MediaRecordings | None, settings: FeatureSettings | None
) -> None:
    """Refuse a condition of signals where there are none, or where another signal is meant.

    Raises:
        ConfigError: What can be asked for is named.
        DatasetError: If too few voices or words are there to make babble or errors of.
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
        read_given(condition.file)
    if condition.kind == "babble":
        _voices(recordings)
    if condition.kind == "word_errors":
        _vocabulary(corpus)


class SpoiledMedia:
    """The media of utterances, spoiled as conditions say, and described again; a context manager.

    What is of no use then, by the settings of usability, is unobserved, as it would be in real media; only the modality
    that a condition names changes. What reads and describes is opened once.

    Args:
        recordings: The media.
        settings: What is extracted of them, and how.
        corpus: What was extracted of them as they are.
        ids: Of the utterances that are wanted.
        kept_in: A folder where what was extracted is kept, and found again by any method and seed; nowhere by default.
    """

    def __init__(
        self,
        recordings: MediaRecordings,
        settings: MediaFeatureSettings,
        corpus: Corpus,
        ids: Sequence[str],
        *,
        kept_in: Path | None = None,
    ) -> None:
        self.recordings, self.settings, self.corpus, self.ids = recordings, settings, corpus, tuple(ids)
        self.kept_in = kept_in
        self._readers: dict[str, MediaReader] = {}
        self._arounds: dict[tuple[str, Path | None], Around] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.__exit__(None, None, None)

    def spoil(self, condition: Condition, severity: float, draw: int) -> Corpus:
        """Give the utterances alone, spoiled.

        Raises:
            ConfigError: If the condition does not suit the corpus.
            DatasetError: If too few voices or words are there to make babble or errors of.
        """
        (name,) = condition.modalities(self.corpus)
        spoiler = MediaSpoiler(condition, severity, draw, self._around(condition))
        place = None if self.kept_in is None else self.kept_in / self._file(spoiler)
        found = None if place is None else find_features(place)
        if found is None:
            found, n_failed = self._extract(name, spoiler)
            if place is not None and not n_failed:  # what failed may be there the next time
                keep_features(found, place)
        size = self.corpus.sequences[name].size
        nothing = FeatureSequence(np.full((1, size), np.nan, np.float32), np.array([[0.0, 0.0]]))
        observed = (one for one in self.ids if one in self.corpus.sequences[name])
        return rebuilt(self.corpus, self.ids, {name: {one: found.get(one, nothing) for one in observed} | found})

    def _extract(self, name: str, spoiler: MediaSpoiler) -> tuple[dict[str, FeatureSequence], int]:
        """Describe the spoiled media; and of how many utterances nothing could be had."""
        signal = str(spoiler.condition.of.signal)
        reader = self._reader(signal)
        made_by = self.corpus.sequences[name].metadata
        changed = {key for key, value in reader.metadata[name].items() if made_by.get(key, value) != value}
        if changed and name not in self._told:
            self._told.add(name)
            warnings.warn(
                f"{self.corpus.name}: {name} was made by another {', '.join(sorted(changed))} than is here now, which "
                "counts as a part of every condition; prepare the corpus again",
                DataWarning,
                stacklevel=4,
            )
        reader.spoiler = spoiler
        found: dict[str, FeatureSequence] = {}
        failed: list[str] = []
        for prepared in read_here(reader, self._works):
            of = prepared.modalities[name]
            starts = np.concatenate([[0], np.cumsum(of.lengths)])
            for one, begin, end in zip(prepared.ids, starts[:-1], starts[1:], strict=True):
                if end > begin:
                    found[one] = FeatureSequence(of.values[begin:end], of.intervals[begin:end])
            failed += [row["error"] for row in prepared.errors if row.get("modality") in (name, signal)]
        if failed:
            warnings.warn(
                f"{spoiler.condition} at {spoiler.severity:g}: {len(failed)} utterances lack {name}, as nothing could "
                f"be extracted; the first: {failed[0]}",
                DataWarning,
                stacklevel=4,
            )
        return found, len(failed)

    @cached_property
    def _works(self) -> list[Work]:
        wanted = set(self.ids)
        utterances = tuple(one for one in self.recordings.utterances if one.id in wanted)
        return [work for work in media_works(replace(self.recordings, utterances=utterances)) if work.wanted]

    def _reader(self, signal: str) -> MediaReader:
        """What describes one signal; all of them where frames follow the words."""
        if signal not in self._readers:
            opened = open_media(self.recordings, self.settings)
            follows = self.settings.align == "words"
            choices = {
                modality: choice
                for modality, choice in opened.choices.items()
                if follows or EXTRACTORS[choice.name].signal == signal
            }
            self._readers[signal] = MediaReader(self.settings, choices, finds_faces=opened.finds_faces)
        return self._readers[signal]

    def _around(self, condition: Condition) -> Around:
        key = (condition.kind, condition.file)
        if key not in self._arounds:
            self._arounds[key] = Around(
                _voices(self.recordings) if condition.kind == "babble" else (),
                None if condition.file is None else read_given(condition.file),
                _vocabulary(self.corpus) if condition.kind == "word_errors" else (),
            )
        return self._arounds[key]

    def _file(self, spoiler: MediaSpoiler) -> str:
        """Name what features hang on: the corpus, what was done to the media, and how they were described."""
        condition = spoiler.condition
        described = [
            VERSION,
            self.corpus.digest,
            list(self.ids),
            str(condition),
            spoiler.severity,
            spoiler.draw,
            None if condition.file is None else file_digest(condition.file),
            self.settings.model_dump(mode="json"),
            self._reader(str(condition.of.signal)).metadata,
        ]
        key = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
        return f"{condition.kind}-{condition.modality}.{spoiler.severity:g}.{spoiler.draw}.{key[:16]}.npz"


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
