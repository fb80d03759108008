"""What of a recording is of no use: silence, clipping, dark or frozen pictures, garbled text; and the sum of it.

What is found here becomes unobserved, with the reason and the share; nothing is replaced by zeros.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.settings import Settings
from emotiwave.signals import Frame, Span, Usability, Waveform

_FRAME = 0.03
"""Seconds of sound whose level is measured at once."""
_NOTHING = 1e-20
"""Power that stands for digital silence."""
_KEPT_AROUND_SOUND = 0.1
"""Seconds of silence next to sound that stay observed: breaths, and word ends that fade."""
_LOUD = 95
"""Percentile of the levels of a recording that stands for its loud parts."""
_CLIPPING_WINDOW = 0.1
"""Seconds."""
_CEILING = 0.97
"""Of full scale: clipped samples that were resampled or compressed since lie around 1, not at it."""
_SLACK = 1e-6
"""Seconds by which sums of times may be wrong."""
_WIDTH = 160
"""Pixels that pictures are scaled down to, so that single bright or dark pixels do not count."""
_DARKEST, _BRIGHTEST = 1, 99
"""Percentiles of brightness that stand for the darkest and the brightest part of a picture."""
_TILES = 16
"""Across and down a picture; a mouth or an eye that moves fills one."""
_LONGEST_LOOP = 4
"""Words of the longest phrase that is looked for over and over."""
_EMOTICON = re.compile(r"[:;=8][-'^o]?[()\[\]/\\|*<>]|<3|\^[_.]?\^")
"""Faces without a letter or digit; those with one (``:D``) are text by that."""


class UsabilitySettings(Settings):
    """Keys of ``[usability]``: what of a signal is left out as unobserved. A bound of 0 turns its check off."""

    silence_level: float = Field(default=-70.0, le=0.0)
    """dB of full scale; sound below it is silence. A steady offset (DC) does not count as sound."""
    silence_range: float = Field(default=45.0, ge=0.0)
    """dB; sound that far below the loud parts (95th percentile) of the same stretch is silence."""
    shortest_silence: float = Field(default=0.5, ge=0.0)
    """Seconds; shorter silences, such as pauses between words, stay observed, unless there is nothing else."""
    clipped_share: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Share of samples at full scale, in 0.1 s, from which on sound is clipped. A loud pure tone has 0.16."""
    dark_level: float = Field(default=30.0, ge=0.0, le=255.0)
    """Brightness from 0 to 255 that nothing (99th percentile) of a dark picture reaches."""
    bright_level: float = Field(default=230.0, ge=0.0, le=255.0)
    """Brightness from 0 to 255 that everything (1st percentile) of an overexposed picture exceeds."""
    least_contrast: float = Field(default=10.0, ge=0.0, le=255.0)
    """Difference in brightness, from 1st to 99th percentile, below which a picture is flat: it shows nothing."""
    freeze_change: float = Field(default=2.0, ge=0.0)
    """Mean change in brightness, from 0 to 255, that no part of a frozen picture exceeds; compression makes some."""
    shortest_freeze: float = Field(default=2.0, ge=0.0)
    """Seconds without a change from which on a video is frozen."""
    smallest_face: int = Field(default=32, ge=0)
    """Pixels of the file, along the shorter side of a face; smaller ones are too small to be read."""
    most_repeats: int = Field(default=20, ge=0)
    """Times that a word or phrase may be said over and over; speech recognisers that hang repeat more."""
    garbage_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of characters that are none (U+FFFD, controls) from which on text is garbage."""
    least_observed: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of an utterance; a modality of which less can be used is ignored."""
    least_seconds: float = Field(default=0.2, ge=0.0)
    """Seconds; sound of which less can be used is ignored."""


def unusable_sound(waveform: Waveform, settings: UsabilitySettings) -> tuple[Span, ...]:
    """Find the gaps, silences and clipped stretches of sound, in this order; they may overlap."""
    start = waveform.start
    return (
        *(Span(begin, end, "no sound") for begin, end in waveform.gaps),
        *(Span(start + begin, start + end, "silent") for begin, end in _silences(waveform, settings)),
        *(Span(start + begin, start + end, "clipped") for begin, end in _clipped(waveform, settings)),
    )


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index, and index after the last, of each run of True.

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return [(first, last) for first, last in np.flatnonzero(edges).reshape(-1, 2).tolist()]


def _silences(waveform: Waveform, settings: UsabilitySettings) -> Iterator[tuple[float, float]]:
    """Give start and end in seconds of the waveform, less what is kept around sound."""
    size = round(_FRAME * waveform.rate)
    levels = _levels(waveform.samples, size)
    if not len(levels) or not settings.shortest_silence:
        return
    bound = settings.silence_level or -math.inf
    seconds = size / waveform.rate
    heard = levels[~_in_gaps(waveform, len(levels), seconds)]
    if settings.silence_range and len(heard):
        bound = max(bound, np.percentile(heard, _LOUD) - settings.silence_range)
    for first, last in runs(levels < bound):
        begins, ends = first == 0, last == len(levels)
        begin, end = first * seconds, waveform.duration if ends else last * seconds
        if end - begin >= settings.shortest_silence - _SLACK or (begins and ends):
            begin += 0.0 if begins else _KEPT_AROUND_SOUND
            end -= 0.0 if ends else _KEPT_AROUND_SOUND
            if begin < end:
                yield begin, end


def _levels(samples: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """Level ``(frames,)`` in dB of full scale of each frame of ``size`` samples, without DC."""
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    means = frames.mean(axis=1, dtype=np.float64)
    powers = np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / size - means**2
    return 10 * np.log10(np.maximum(powers, _NOTHING))


def _in_gaps(waveform: Waveform, n_frames: int, seconds: float) -> NDArray[np.bool_]:
    middles = waveform.start + (np.arange(n_frames) + 0.5) * seconds
    is_inside = np.zeros(n_frames, dtype=bool)
    for begin, end in waveform.gaps:
        is_inside |= (middles >= begin) & (middles < end)
    return is_inside


def _clipped(waveform: Waveform, settings: UsabilitySettings) -> Iterator[tuple[float, float]]:
    size = round(_CLIPPING_WINDOW * waveform.rate)
    if not settings.clipped_share:
        return
    windows = waveform.samples[: len(waveform.samples) // size * size].reshape(-1, size)
    for first, last in runs((np.abs(windows) >= _CEILING).mean(axis=1) > settings.clipped_share):
        yield first * size / waveform.rate, last * size / waveform.rate


def unusable_picture(image: NDArray[np.uint8], settings: UsabilitySettings) -> str | None:
    """Say why a picture ``(height, width, 3)`` RGB shows nothing: dark, overexposed or flat; else None."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _WIDTH / max(grey.shape)
    if scale < 1:
        size = [max(1, round(scale * side)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    darkest, brightest = np.percentile(grey, [_DARKEST, _BRIGHTEST])
    if brightest < settings.dark_level:
        return "dark"
    if settings.bright_level and darkest > settings.bright_level:
        return "overexposed"
    return "flat" if brightest - darkest < settings.least_contrast else None


class FreezeDetector:
    """Finds the stretches in which a video stands still, of frames that come in order of time.

    A frame is compared with the first one of the stretch, tile by tile: a person who sits still breathes and blinks,
    and so changes some tile by several times what compression does. An encoder that makes a still picture pulse hides
    that it is one. Only the first picture of the stretch is held.
    """

    def __init__(self, settings: UsabilitySettings) -> None:
        self._settings = settings
        self._first: NDArray[np.uint8] | None = None
        self._start = self._end = math.nan
        self._found: list[Span] = []

    def see(self, frame: Frame) -> None:
        """Take the next frame."""
        if not self._settings.shortest_freeze:
            return
        grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._first is None or self._has_changed(self._first, grey):
            self._found.extend(self._stretch())
            self._first, self._start = grey, frame.start
        self._end = frame.end

    @property
    def spans(self) -> tuple[Span, ...]:
        """What was frozen so far."""
        return (*self._found, *self._stretch())

    def _has_changed(self, first: NDArray[np.uint8], grey: NDArray[np.uint8]) -> bool:
        if first.shape != grey.shape:
            return True
        change = cv2.absdiff(first, grey).astype(np.float32)
        tiles = cv2.resize(change, (_TILES, _TILES), interpolation=cv2.INTER_AREA)
        return float(tiles.max()) > self._settings.freeze_change

    def _stretch(self) -> tuple[Span, ...]:
        """Give the stretch under way, if it is long enough; a photo has no times and is never frozen."""
        is_long = self._end - self._start >= self._settings.shortest_freeze - _SLACK
        return (Span(self._start, self._end, "frozen"),) if is_long else ()


def unusable_text(words: Sequence[str], settings: UsabilitySettings) -> str | None:
    """Say why text says nothing: empty, garbage or repeated; else None.

    Text of numbers, of emoji or of an emoticon is text.

    >>> unusable_text(["...", "--"], UsabilitySettings())
    'garbage'
    >>> unusable_text(["🙂"], UsabilitySettings())
    """
    text = "".join(words)
    if not text.strip():
        return "empty"
    kinds = [unicodedata.category(char) for char in text]
    n_none = sum(kind in {"Cc", "Cn", "Co", "Cs"} or char == "\ufffd" for kind, char in zip(kinds, text, strict=True))
    if settings.garbage_share and n_none >= settings.garbage_share * len(text):
        return "garbage"
    if not _EMOTICON.search(text) and not any(
        kind[0] in "LN" or (kind == "So" and char != "\ufffd") for kind, char in zip(kinds, text, strict=True)
    ):
        return "garbage"
    if settings.most_repeats and _is_loop([word.casefold() for word in words], settings.most_repeats):
        return "repeated"
    return None


def _is_loop(words: Sequence[str], most_repeats: int) -> bool:
    """Whether one word or phrase, said over and over without a break, makes up most of the words."""
    for length in range(1, _LONGEST_LOOP + 1):
        # each word with the one so many later; the last have none
        same = np.array([word == before for before, word in zip(words, words[length:], strict=False)], dtype=bool)
        for first, last in runs(same):
            n_words = last - first + length
            if n_words > most_repeats * length and 2 * n_words > len(words):
                return True
    return False


def summarise(modality: str, spans: Sequence[Span], start: float, end: float, settings: UsabilitySettings) -> Usability:
    """Sum up the spans of no use within a stretch from ``start`` to ``end``, in seconds of the file.

    Where spans overlap, the first one of the sequence has the time. NaN times stand for the whole stretch.

    >>> str(summarise("audio", [Span(0.0, 2.5, "silent")], 0.0, 10.0, UsabilitySettings()))
    'audio silent 25 %'
    >>> str(summarise("audio", [Span(0.5, 20.0, "silent")], 0.0, 10.0, UsabilitySettings()))
    'audio silent 95 %, ignored'
    """
    if not end > start:
        return Usability(modality, 0.0, {"empty": 1.0}, ignored=True)
    seconds = _seconds_by_reason(spans, start, end)
    duration = end - start
    left = duration - sum(seconds.values())
    usability = _usability(modality, {reason: lost / duration for reason, lost in seconds.items()}, settings)
    if modality == "audio" and left < settings.least_seconds and not usability.ignored:
        reasons = {**usability.reasons, "too short": usability.observed}
        return Usability(modality, 0.0, _largest_first(reasons), ignored=True)
    return usability


def summarise_counts(
    modality: str, n_unusable: Mapping[str, int], n_total: int, settings: UsabilitySettings
) -> Usability:
    """Sum up frames or words that have no times: how many are of no use for each reason, of how many.

    >>> str(summarise_counts("vision", {"dark": 1, "no face": 2}, 4, UsabilitySettings()))
    'vision no face 50 %, dark 25 %'
    """
    if n_total <= 0:
        return Usability(modality, 0.0, {"empty": 1.0}, ignored=True)
    return _usability(modality, {reason: count / n_total for reason, count in n_unusable.items() if count}, settings)


def _usability(modality: str, shares: Mapping[str, float], settings: UsabilitySettings) -> Usability:
    observed = max(0.0, 1.0 - sum(shares.values()))
    if observed < 1e-9:  # what is left of adding shares that make up the whole
        observed = 0.0
    is_ignored = observed == 0.0 or observed < settings.least_observed
    return Usability(modality, observed, _largest_first(shares), is_ignored)


def _largest_first(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _seconds_by_reason(spans: Sequence[Span], start: float, end: float) -> dict[str, float]:
    """Reason -> seconds; cut at every start and end, each piece belongs to the first span that covers it."""
    whole = [math.isnan(span.start) or math.isnan(span.end) for span in spans]
    bounds = np.array(
        [(start, end) if all_of_it else (span.start, span.end) for span, all_of_it in zip(spans, whole, strict=True)]
    ).reshape(-1, 2)
    bounds = np.clip(bounds, start, end)
    cuts = np.unique(np.concatenate([bounds.ravel(), [start, end]]))
    owners = np.full(len(cuts) - 1, -1)
    for index in reversed(range(len(spans))):
        first, last = np.searchsorted(cuts, bounds[index])
        owners[first:last] = index
    seconds: dict[str, float] = {}
    for index, length in zip(owners, np.diff(cuts), strict=True):
        if index >= 0:
            seconds[spans[index].reason] = seconds.get(spans[index].reason, 0.0) + float(length)
    return seconds
