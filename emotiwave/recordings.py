"""A corpus before its features are prepared: labelled segments, and the files of whole videos that features lie in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import DatasetError
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import LabelSet, Utterance

Count = int | float | str
"""A number that was counted on the way, or a word about how."""


@dataclass(frozen=True, eq=False)
class Recordings:
    """Utterances that are segments of videos, and one file of computational sequences per modality.

    ``utterances[i].segment`` names the video and the seconds. ``words`` is the file of timed words, for transcripts and
    as what other modalities can be aligned to. ``require`` says which utterances are kept: those with a frame in any
    modality, or in all. ``posteriors`` holds Bayes-optimal class probabilities ``(utterances, n_classes)`` per
    configuration, for made files that know them.
    """

    name: str
    task: str
    licence: str
    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    files: Mapping[str, Path]
    words: Path | None
    require: Literal["any", "all"]
    sources: tuple[Path, ...] = ()
    """The files that labels and folds were read from."""
    preferred: tuple[Path, ...] = ()
    """Files that are not there, and that would be read if they were; the words come first."""
    label_columns: tuple[str, ...] = ()
    """What the columns of the label file were taken for."""
    counts: Mapping[str, Count] = field(default_factory=dict)
    posteriors: Mapping[str, NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        for utterance in self.utterances:
            if utterance.segment is None:
                raise DatasetError(f"{self.name}: utterance {utterance.id!r} is no segment of a recording")

    def by_video(self) -> dict[str, list[Utterance]]:
        """Group the utterances by video, both in the order of the corpus."""
        videos: dict[str, list[Utterance]] = {}
        for utterance in self.utterances:
            if utterance.segment is not None:
                videos.setdefault(utterance.segment.file, []).append(utterance)
        return videos

    @property
    def given(self) -> Mapping[str, ComputationalSequence]:
        """Nothing: all features lie in the files."""
        return {}

    def described(self) -> list[Any]:
        """What the features depend on beside utterances and the content of files, as JSON values."""
        return [{name: str(path) for name, path in self.files.items()}, str(self.words), self.require]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that the corpus is read from, or would be."""
        return (*self.sources, *self.files.values(), *((self.words,) if self.words else ()), *self.preferred)


KINDS = {
    "image": (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm"),
    "audio": (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".wma", ".amr"),
    "transcript": (".txt", ".srt", ".vtt", ".json"),
}
"""What a file is by its suffix; every other is taken for a video."""


@dataclass(frozen=True)
class Sources:
    """Where the signals of one utterance lie; what is None, it does not have.

    A ``video`` file also gives sound and subtitles where ``audio``, ``transcript`` and ``text`` are None. ``words`` is
    a ``.csd`` file of timed words and ``words_id`` the id in it. ``image`` is a photo, or a face that was cut out
    already (``is_face``).
    """

    video: Path | None = None
    audio: Path | None = None
    image: Path | None = None
    transcript: Path | None = None
    text: str | None = None
    words: Path | None = None
    words_id: str | None = None
    is_face: bool = False

    @classmethod
    def of_file(cls, path: Path) -> "Sources":
        """Take a file for what its suffix says; the path becomes absolute."""
        path = path.absolute()
        match next((kind for kind, suffixes in KINDS.items() if path.suffix.lower() in suffixes), "video"):
            case "image":
                return cls(image=path)
            case "audio":
                return cls(audio=path)
            case "transcript":
                return cls(transcript=path)
        return cls(video=path)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of it."""
        found = (self.video, self.audio, self.image, self.transcript, self.words)
        return tuple(path for path in found if path is not None)

    @property
    def signals(self) -> frozenset[str]:
        """What these sources surely give of ``audio``, ``vision`` and ``text``; a video may also bring subtitles."""
        has = {
            "audio": self.audio or self.video,
            "vision": self.video or self.image,
            "text": self.text is not None or self.transcript or self.words,
        }
        return frozenset(name for name, there in has.items() if there)


@dataclass(frozen=True, eq=False)
class MediaRecordings:
    """Utterances whose features are yet to be extracted: media files, photos and texts, one `Sources` each by id.

    ``utterances[i].segment`` is the stretch of the files that is meant, in seconds, or None for all of them; its
    ``file`` is a path relative to the corpus, so that the same corpus elsewhere is the same.
    """

    name: str
    task: str
    licence: str
    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    sources: Mapping[str, Sources]
    tables: tuple[Path, ...] = ()
    """The files that labels and folds were read from."""
    counts: Mapping[str, Count] = field(default_factory=dict)
    given: Mapping[str, ComputationalSequence] = field(default_factory=dict)
    """Modalities that come as features already, by utterance id; an utterance may lack any. Their files are among
    ``tables``."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for utterance in self.utterances:
            if utterance.id in seen:
                raise DatasetError(f"{self.name}: two utterances are called {utterance.id!r}; ids must be unique")
            seen.add(utterance.id)
            sources = self.sources.get(utterance.id)
            is_given = any(utterance.id in of for of in self.given.values())
            if sources is None or not (sources.signals or is_given):
                raise DatasetError(f"{self.name}: utterance {utterance.id!r} has no file and no text")
        for modality, of in self.given.items():
            strangers = set(of.ids) - seen
            if strangers:
                raise DatasetError(f"{self.name}: {modality} features for {min(strangers)!r}, which is no utterance")

    @property
    def signals(self) -> tuple[str, ...]:
        """The modalities that any utterance can give, in the order text, audio, vision."""
        found = {name for sources in self.sources.values() for name in sources.signals}
        return tuple(name for name in ("text", "audio", "vision") if name in found)

    @property
    def require(self) -> Literal["any"]:
        """Utterances are kept that have a frame in any modality."""
        return "any"

    def described(self) -> list[Any]:
        """What the features depend on beside utterances and the content of files, as JSON values."""
        sources = [[str(value) for value in vars(self.sources[u.id]).values()] for u in self.utterances]
        return [sources, {modality: of.digest for modality, of in self.given.items()}]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that the corpus is read from."""
        files = (path for sources in self.sources.values() for path in sources.files)
        return tuple(dict.fromkeys((*self.tables, *files)))
