"""Words of a clip, a sentence or a few at a time, as the text expert reads them."""

import re
from collections.abc import Sequence

import numpy as np

from emotiwave.media.usability import UsabilitySettings, unusable_text
from emotiwave.recognizer.reading import Ask, Reading
from emotiwave.signals import Usability, Word, join_words

MOST_WORDS = 40
"""Words that are read at once; the comments that the expert knows are seldom longer."""
PAUSE = 1.0
"""Seconds without a word that end a sentence."""
_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]\u300d]*$")


def read_texts(
    texts: Sequence[Sequence[Word]],
    expert: Ask,
    usability: UsabilitySettings,
    *,
    window: float,
    reliability: Sequence[float],
) -> list[Reading]:
    """Read the words of several clips, all of them together, which is faster.

    Args:
        texts: The words of each clip.
        expert: Of text.
        usability: What counts as no text.
        window: Seconds of timed words that are read at once.
        reliability: What the evidence is worth, of each clip.
    """
    useless = [unusable_text([word.text for word in words], usability) for words in texts]
    parts = [[] if why else cut_sentences(words, window) for words, why in zip(texts, useless, strict=True)]
    answer = expert([join_words(words) for of_clip in parts for words in of_clip])
    evidence = answer.log_posterior - np.log(answer.prior)
    readings, first = [], 0
    for of_clip, why, worth in zip(parts, useless, reliability, strict=True):
        rows = np.arange(first, first + len(of_clip))
        first += len(of_clip)
        seen = rows[answer.observed[rows]]
        counts = np.array([len(words) for words in of_clip], np.float64)
        observed = float(counts[answer.observed[rows]].sum() / counts.sum()) if len(rows) else 0.0
        reasons = {why: 1.0} if why else {"no words": 1 - observed} if observed < 1 else {}
        doubts = dict.fromkeys(reason for row in seen if (reason := answer.reasons[row]) is not None)
        readings.append(
            Reading(
                "text",
                evidence[seen],
                np.array([_interval(of_clip[row - rows[0]]) for row in seen]).reshape(-1, 2),
                counts[answer.observed[rows]],
                Usability("text", observed, reasons, ignored=observed == 0),
                max((word.end for words in of_clip for word in words if word.end > 0), default=0.0),
                worth,
                tuple(doubts),
                tuple(of_clip[row - rows[0]] for row in seen),
            )
        )
    return readings


def cut_sentences(words: Sequence[Word], window: float) -> list[Sequence[Word]]:
    """Cut words where sentences end, and put short sentences together again, up to 40 words or a window of seconds.

    >>> [len(part) for part in cut_sentences([Word(text) for text in "So. It is. " .split()], 4.0)]
    [3]
    >>> timed = [Word("No.", 0.0, 1.0), Word("But", 3.5, 4.0), Word("yes", 4.0, 4.5)]
    >>> [len(part) for part in cut_sentences(timed, 4.0)]
    [1, 2]
    """
    parts: list[Sequence[Word]] = []
    for sentence in _sentences(words):
        if parts and len(parts[-1]) + len(sentence) <= MOST_WORDS and not _is_far(parts[-1][0], sentence[-1], window):
            parts[-1] = (*parts[-1], *sentence)
        else:
            parts.append(sentence)
    return parts


def _sentences(words: Sequence[Word]) -> list[Sequence[Word]]:
    found, first = [], 0
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else None
        is_end = after is None or _END.search(word.text) or after.start - word.end > PAUSE
        if is_end or index + 1 - first == MOST_WORDS:
            found.append(words[first : index + 1])
            first = index + 1
    return found


def _is_far(first: Word, last: Word, window: float) -> bool:
    return last.end - first.start > window  # False of words without times


def _interval(words: Sequence[Word]) -> tuple[float, float]:
    start, end = words[0].start, words[-1].end
    return start, max(end, start + 0.01)
