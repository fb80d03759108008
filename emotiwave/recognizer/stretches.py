"""A clip as the utterances that a run is asked about: files of what it is, stretches of a few seconds, their words."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile

from emotiwave.errors import MediaError
from emotiwave.media.tracks import measure_duration
from emotiwave.media.transcripts import read_transcript
from emotiwave.recognizer.clip import Clip
from emotiwave.recognizer.voice_reading import windows
from emotiwave.recordings import Sources
from emotiwave.signals import join_words
from emotiwave.types import Segment

UTTERANCE = 8.0
"""Seconds of a stretch of a long clip, each an utterance: about as long as those of CMU-MOSI and CMU-MOSEI."""
LONGEST_UTTERANCE = 12.0
"""Seconds of a clip that is looked at as one utterance."""
A_DAY = 86_400.0


def as_files(clip: Clip, scratch: Path) -> Sources:
    """Write arrays to files, which is what extractors are given."""
    sources = clip.sources
    if clip.sound is not None:
        wavfile.write(scratch / "sound.wav", clip.sound.rate, clip.sound.samples)
        sources = replace(sources, audio=scratch / "sound.wav")
    if clip.picture is not None:
        Image.fromarray(clip.picture).save(scratch / "picture.png")
        sources = replace(sources, image=scratch / "picture.png")
    return sources


def stretches_of(clip: Clip, sources: Sources) -> list[Segment | None]:
    """Divide a clip into utterances; a short one, or one without a length, is one."""
    recording = sources.video or sources.audio
    start, end = (0.0, math.inf) if clip.segment is None else (clip.segment.start, clip.segment.end)
    duration = _duration(sources)
    end = min(end, math.inf if duration is None else duration)
    if recording is None or math.isinf(end) or end <= start:  # words, photos; or the readers will say what is wrong
        last = end if end > start and not math.isinf(end) else start + A_DAY
        return [None if clip.segment is None else replace(clip.segment, end=min(clip.segment.end, last))]
    if end - start <= LONGEST_UTTERANCE:
        return [None if clip.segment is None else replace(clip.segment, end=end)]
    return [Segment(str(recording), first, last) for first, last in windows(start, end, UTTERANCE)]


def _duration(sources: Sources) -> float | None:
    """Seconds until sound and video end, or words where there are no others; None if that is not known."""
    found = []
    for path in (sources.audio, sources.video):
        with suppress(MediaError):  # which is told of when its signal is read
            found.append(None if path is None else measure_duration(path))
    if sources.transcript is not None and sources.audio is None and sources.video is None:
        with suppress(MediaError):
            found += [word.end for word in read_transcript(sources.transcript) if math.isfinite(word.end)]
    return max((seconds for seconds in found if seconds is not None), default=None)


def readable_words(sources: Sources, stretches: Sequence[Segment | None]) -> tuple[Sources, list[str]]:
    """Give words without times to every stretch, and say so."""
    if sources.transcript is None or stretches[0] is None:
        return sources, []
    try:
        words = read_transcript(sources.transcript)
    except MediaError:  # which is told of when it is read as a signal
        return sources, []
    if all(np.isfinite(word.start) for word in words):
        return sources, []
    told = "text: its words have no times; all of them are taken for every stretch"
    return replace(sources, transcript=None, text=join_words(words)), [told] if len(stretches) > 1 else []


def seconds_of(segment: Segment | None) -> float:
    """How long a stretch is; one of something without times counts as one second."""
    return 1.0 if segment is None else segment.end - segment.start
