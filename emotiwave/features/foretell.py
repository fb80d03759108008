"""How much disk a preparation of media will take, told before it begins."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotiwave.errors import MediaError
from emotiwave.features.extraction.reader import open_media
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.features.extraction.sound import BLOCK_SECONDS
from emotiwave.features.given import stored_frames
from emotiwave.features.prepare import AnyRecordings
from emotiwave.features.settings import FeatureSettings
from emotiwave.media.containers import describe_media
from emotiwave.recordings import MediaRecordings

SAMPLE = 24
"""Files that are opened to learn how long they are; the others are taken to be like them."""
INTERVAL_BYTES = 16


@dataclass(frozen=True)
class Foretold:
    """Bytes that a preparation writes at most: the store, and what is kept in the cache; and how many are free."""

    n_utterances: int
    store_bytes: int
    cache_bytes: int
    free_bytes: int

    @property
    def exceeds_disk(self) -> bool:
        """Whether it will not fit."""
        return self.store_bytes + self.cache_bytes > self.free_bytes

    def __str__(self) -> str:
        """Say it in a line."""
        told = f"{self.n_utterances:,} utterances: the store takes at most {_readable(self.store_bytes)}"
        if self.cache_bytes:
            told += f", the cache about {_readable(self.cache_bytes)}"
        return told + (f"; only {_readable(self.free_bytes)} are free" if self.exceeds_disk else "")


def foretell(recordings: AnyRecordings, settings: FeatureSettings, folder: Path) -> Foretold | None:
    """Estimate what a preparation of media writes; None for files of features, which are larger than their store.

    Raises:
        EmotiwaveError: If an extractor cannot be had.
    """
    if not isinstance(recordings, MediaRecordings) or not isinstance(settings, MediaFeatureSettings):
        return None
    n_utterances, seconds = len(recordings.utterances), _seconds(recordings)
    n_photos = sum(of.image is not None for of in recordings.sources.values())
    given = recordings.given.items()
    store = sum(stored_frames(of, name, settings) * (4 * of.size + INTERVAL_BYTES) for name, of in given)
    cache = 0
    with open_media(recordings, settings)() as reader:
        for name, extractor in reader.extractors.items():
            frame_bytes = 4 * extractor.size + INTERVAL_BYTES
            n_single = n_photos if extractor.signal == "vision" else 0  # a photo is one frame
            n_frames = seconds * settings.frame_rate
            if extractor.signal == "audio":  # at least a row for each utterance, and for each block
                n_frames = n_utterances + seconds * (extractor.frames_per_second or 1 / BLOCK_SECONDS)
            budget = settings.most_frames(name, extractor)
            n_stored = n_single + (n_utterances - n_single) * budget
            if extractor.longest is not None:  # far more than most utterances have
                n_stored = _n_cut(recordings, budget) if extractor.signal == "text" else min(n_stored, round(n_frames))
            store += n_stored * frame_bytes
            if extractor.is_costly and extractor.signal != "text":
                cache += round(n_single + n_frames) * frame_bytes
    return Foretold(n_utterances, store, cache if settings.kept_in else 0, _free_bytes(folder))


def _n_cut(recordings: MediaRecordings, budget: int) -> int:
    """The most frames of words that are cut: one for each two letters of a text, and all of what is not read yet."""
    texts = (recordings.sources[utterance.id].text for utterance in recordings.utterances)
    return sum(budget if text is None else min(budget, len(text) // 2 + 1) for text in texts)


def _seconds(recordings: MediaRecordings) -> float:
    """The length of all media: of segments as told, of whole files as a sample of them suggests."""
    told = [u.segment.end - u.segment.start for u in recordings.utterances if u.segment is not None]
    whole = [recordings.sources[u.id] for u in recordings.utterances if u.segment is None]
    files = [path for sources in whole if (path := sources.video or sources.audio) is not None]
    return sum(told) + len(files) * _mean_seconds(files)


def _mean_seconds(files: list[Path]) -> float:
    found = []
    for path in files[:: max(1, len(files) // SAMPLE)]:
        try:
            found.append(describe_media(path).duration or 0.0)
        except (MediaError, OSError):
            continue  # it will be an error row
    return float(np.mean(found)) if found else 0.0


def _free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _readable(n_bytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
