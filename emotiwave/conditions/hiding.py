"""Draws what is hidden: modalities of utterances, frames here and there, one stretch of frames each.

What is drawn depends on the seed, the severity, the utterances and how long they are, and on nothing else. What is
hidden at a severity is hidden at every higher one.
"""

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import Corpus

Hidden = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""Modality -> utterance -> which of its frames are hidden; utterances of which nothing is hidden are left out."""
_SLACK = 1e-9
"""So that 0.7 of 10 frames are 7, whatever binary numbers say."""


def hide_modalities(
    corpus: Corpus, ids: Sequence[str], modalities: Sequence[str], severity: float, seed: int
) -> Hidden:
    """Hide so large a share of the modalities that the utterances have, all frames of each; every utterance keeps one.

    Which one it keeps is drawn; the others are hidden in an order at random. So of M modalities (M - 1) / M at most.
    """
    entries = [(name, one) for one in ids for name in modalities if corpus.sequences[name].n_frames(one)]
    rng = np.random.default_rng(seed)
    kept: dict[str, int] = {}
    for place in rng.permutation(len(entries)).tolist():
        kept.setdefault(entries[place][1], place)
    others = [place for place in rng.permutation(len(entries)).tolist() if kept[entries[place][1]] != place]
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for place in others[: round(severity * len(entries))]:
        name, one = entries[place]
        found.setdefault(name, {})[one] = np.ones(corpus.sequences[name].n_frames(one), bool)
    return found


def hide_frames(corpus: Corpus, ids: Sequence[str], modalities: Sequence[str], severity: float, seed: int) -> Hidden:
    """Hide so large a share of the frames of each utterance, rounded down, here and there."""

    def frames(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        return rng.permutation(n) < int(severity * n + _SLACK)

    return _each(corpus, ids, modalities, seed, frames)


def hide_stretch(corpus: Corpus, ids: Sequence[str], modalities: Sequence[str], severity: float, seed: int) -> Hidden:
    """Hide one stretch of so large a share of the frames of each utterance, rounded down, somewhere."""

    def stretch(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        length = int(severity * n + _SLACK)
        first = int(rng.random() * (n - length + 1))
        place = np.arange(n)
        return (place >= first) & (place < first + length)

    return _each(corpus, ids, modalities, seed, stretch)


def _each(
    corpus: Corpus,
    ids: Sequence[str],
    modalities: Sequence[str],
    seed: int,
    draw: Callable[[int, np.random.Generator], NDArray[np.bool_]],
) -> Hidden:
    """Draw for every utterance and modality by itself: what is drawn of one does not hang on the others."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name in modalities:
        for one in ids:
            n = corpus.sequences[name].n_frames(one)
            hidden = draw(n, np.random.default_rng([seed, crc32(name.encode()), crc32(one.encode())]))
            if hidden.any():
                found.setdefault(name, {})[one] = hidden
    return found
