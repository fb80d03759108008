"""Explain a clip: who speaks for the answer and when, as a page with its sound and its face."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotiwave.analysis import Analysis
from emotiwave.api.analysis import load
from emotiwave.errors import ConfigError
from emotiwave.files import replace_file
from emotiwave.recognizer import Clip, ExpertRecognizer
from emotiwave.recognizer.voice_reading import blocks_of
from emotiwave.report.clip_page import Loudness, SeenFace, draw_clip_page
from emotiwave.settings import PathLike

if TYPE_CHECKING:
    from emotiwave.recognizer.run_recognizer import RunRecognizer

BLOCK = 4.0
MOST_PEAKS = 600
"""Of the sound that is drawn."""
PEAK_SECONDS = 0.05


def explain_clip(
    clip: Clip,
    *,
    out: PathLike,
    recognizer: "ExpertRecognizer | RunRecognizer | None" = None,
    modalities: Iterable[str] | None = None,
) -> Analysis:
    """Say what is expressed in a clip, why and when, and write a page about it.

    Args:
        clip: As `make_clip` makes it.
        out: The page, an ``.html`` file.
        recognizer: What answers, `load()` by default.
        modalities: The only ones to listen to.

    Raises:
        EmotiwaveError: If nothing of the clip can be read, or the page cannot be written.
    """
    recognizer = load() if recognizer is None else recognizer
    faces: list[SeenFace] = []
    if isinstance(recognizer, ExpertRecognizer):
        analysis, heard = recognizer.explain(clip, modalities)
        seen = heard.faces.strip if heard.faces is not None else ()
        faces = [SeenFace(time, picture) for time, picture in seen if math.isfinite(time)]
    else:
        analysis = recognizer.analyze(clip, explain=True, modalities=modalities)
    use = analysis.modalities.get("audio")
    loudness = _loudness(clip) if use is not None and use.used else None
    path = Path(out)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, draw_clip_page(analysis, loudness, faces).encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error})") from None
    return analysis


def _loudness(clip: Clip) -> Loudness | None:
    """How loud the sound is, every 50 ms or less often; in constant memory but for that."""
    sound = clip.heard or clip.sources.audio or clip.sources.video
    if sound is None:
        return None
    start = end = None
    if clip.heard is None and clip.segment is not None:
        start, end = clip.segment.start, None if math.isinf(clip.segment.end) else clip.segment.end
    peaks, seconds = [], 0.0
    for block in blocks_of(sound, start, end, BLOCK):
        rate, first = block.waveform.rate, block.core[0] - block.waveform.start
        samples = block.waveform.samples[round(first * rate) :][: round((block.core[1] - block.core[0]) * rate)]
        pieces = np.array_split(np.abs(samples), max(1, round(len(samples) / rate / PEAK_SECONDS)))
        peaks += [float(piece.max(initial=0.0)) for piece in pieces]
        seconds += len(samples) / rate
    shown = np.array([part.max() for part in np.array_split(peaks, min(len(peaks), MOST_PEAKS))])
    return Loudness(0.0, seconds, shown / max(float(shown.max()), 1e-9))
