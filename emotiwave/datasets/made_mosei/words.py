"""The words of made CMU-MOSEI files: when each is spoken, and which it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.csd.reader import PAUSE
from emotiwave.datasets.made_mosei.frame_traps import StreamTraps, inside
from emotiwave.datasets.made_mosei.frames import MadeFrames, PlantedStream, make_frames
from emotiwave.datasets.made_mosei.videos import MadeVideo

PAUSES = 0.18
"""Share of pauses among the tokens, as in CMU-MOSEI."""
NEUTRAL = (
    "a", "about", "and", "are", "audience", "before", "book", "but", "for", "from", "he", "i", "in", "is", "it",
    "meeting", "movie", "of", "on", "part", "people", "place", "said", "see", "she", "so", "some", "story", "talk",
    "that", "the", "then", "they", "think", "this", "time", "to", "town", "very", "was", "we", "went", "when", "with",
    "work", "you",
)  # fmt: skip
SPOKEN = {
    "happiness": ["happy", "love", "wonderful", "smile", "great", "enjoyed", "delightful", "laugh"],
    "sadness": ["sad", "lonely", "cried", "sorry", "miss", "loss", "grief", "tears"],
    "anger": ["angry", "furious", "outrageous", "hate", "unfair", "mad", "shouting", "rage"],
    "surprise": ["wow", "suddenly", "unexpected", "amazing", "shocked", "unbelievable", "whoa", "twist"],
    "disgust": ["gross", "disgusting", "awful", "nasty", "sick", "rotten", "revolting", "filthy"],
    "fear": ["afraid", "scary", "terrified", "worried", "danger", "nervous", "panic", "threat"],
}
HINTS = 0.25
"""How often a word within a pattern is one of its emotion."""
STRAYS = 0.05
"""How often any other word is one of some emotion's."""


@dataclass(frozen=True, eq=False)
class MadeText:
    """The words of one video: ``tokens (tokens, 1)`` bytes, ``times (tokens, 2)`` in seconds, and the word vectors.

    Each word that is no pause has a vector, with the same times.
    """

    tokens: NDArray[np.bytes_]
    times: NDArray[np.float64]
    vectors: MadeFrames


def make_text(
    stream: PlantedStream, video: MadeVideo, traps: StreamTraps, rng: np.random.Generator, *, pauses: bool
) -> MadeText:
    """Make the words of one video and their vectors; the truth lies in the vectors, and words only hint at it."""
    times, is_pause = _times(video.duration, stream.made.rate, rng)
    if video.index in traps.emptied:
        kept = ~inside(times, video.segments[traps.emptied[video.index]])
        times, is_pause = times[kept], is_pause[kept]
    vectors = make_frames(stream, video, times[~is_pause], traps, rng)
    tokens = np.full(len(times), PAUSE.encode(), dtype="S32")
    tokens[~is_pause] = _choose_words(vectors, rng)
    if not pauses:
        tokens, times = tokens[~is_pause], times[~is_pause]
    return MadeText(tokens[:, None], times, vectors)


def _times(seconds: float, rate: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fill a video with words and pauses, ``rate`` words per second; say which tokens are pauses."""
    mean = (1 - PAUSES) / rate
    n = int(1.5 * seconds / mean) + 10
    edges = np.append(0.0, np.cumsum(rng.uniform(0.5 * mean, 1.5 * mean, n)))
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    times = times[times[:, 1] <= seconds]
    is_pause = rng.random(len(times)) < PAUSES
    is_pause[1:] &= ~is_pause[:-1]  # a pause follows a word
    return times, is_pause


def _choose_words(vectors: MadeFrames, rng: np.random.Generator) -> NDArray[np.bytes_]:
    n = len(vectors.intervals)
    words = rng.choice(NEUTRAL, n).astype("U32")  # room for longer words
    stray = rng.random(n) < STRAYS
    words[stray] = rng.choice([word for spoken in SPOKEN.values() for word in spoken], int(stray.sum()))
    for (_, emotion), span in vectors.spans.items():
        hinting = inside(vectors.intervals, np.array(span)) & (rng.random(n) < HINTS)
        words = np.where(hinting, rng.choice(SPOKEN[emotion], n), words)
    return words.astype("S32")
