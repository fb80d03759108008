"""Words of an utterance as they are written somewhere: its text, a transcript, timed words, or subtitles."""

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import PAUSE, CsdFile
from emotiwave.errors import DatasetError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.media.subtitles import has_subtitles, read_subtitles
from emotiwave.media.transcripts import read_transcript, split_words
from emotiwave.recordings import Sources
from emotiwave.signals import Word
from emotiwave.types import Segment


def read_words(
    sources: Sources, segment: Segment | None, settings: MediaFeatureSettings, files: dict[str, CsdFile]
) -> tuple[tuple[Word, ...], str] | None:
    """Read the words of an utterance, times in seconds from the start of the file, and where they are from.

    Args:
        sources: What the utterance has; the first of text, transcript, words and subtitles counts.
        segment: The stretch that is meant.
        settings: Whether subtitles may be asked.
        files: Files of timed words that are open already; further ones are added.

    Returns:
        None if nothing gives words.

    Raises:
        EmotiwaveError: If a file cannot be read.
    """
    start, end = (None, None) if segment is None else (segment.start, segment.end)
    if sources.text is not None:
        return tuple(Word(word) for word in split_words(sources.text)), "text"
    if sources.transcript is not None:
        return read_transcript(sources.transcript, start, end), "transcript"
    if sources.words is not None and sources.words_id is not None:
        found = _timed_words(sources, start, end, files)
        return None if found is None else (found, "timed words")
    if sources.video is not None and settings.subtitles and has_subtitles(sources.video):
        return read_subtitles(sources.video, start, end), "subtitles"
    return None


def _timed_words(
    sources: Sources, start: float | None, end: float | None, files: dict[str, CsdFile]
) -> tuple[Word, ...] | None:
    path, name = sources.words, sources.words_id
    if path is None or name is None:
        return None
    if str(path) not in files:
        files[str(path)] = CsdFile(path)
    file = files[str(path)]
    if name not in file:
        return None
    entry = file[name]
    if not entry.is_text or entry.size != 1:
        raise DatasetError(f"{path}: {name!r}: expected one word per row; got numbers")
    spoken = [row.decode("utf-8", "replace") for row in entry.values()[:, 0]]
    inside = range(len(spoken)) if start is None or end is None else entry.frames_between(start, end)
    words = [
        Word(spoken[i], float(entry.intervals[i, 0]), float(entry.intervals[i, 1]))
        for i in inside
        if spoken[i] not in (PAUSE, "")
    ]
    return tuple(sorted(words, key=lambda word: word.start))


def word_intervals(words: tuple[Word, ...], origin: float) -> NDArray[np.float64]:
    """Times ``(words, 2)`` in seconds from the start of the utterance; NaN where unknown."""
    return np.array([[word.start, word.end] for word in words], dtype=np.float64).reshape(-1, 2) - origin
