"""Draws what is hidden: modalities of utterances, frames here and there, one stretch of frames each.

What is drawn depends on the seed, on the severity and on what is observed of the utterances, and on nothing else. What
is hidden at a severity is hidden at every higher one. Only what is observed can be hidden.
"""

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emotiwave.types import Corpus

Frames = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""Modality -> utterance -> a truth value for each of its frames; utterances without any True are left out."""
Seed = Sequence[int]
_SLACK = 1e-9
"""So that 0.7 of 10 frames are 7, whatever binary numbers say."""


def observed_frames(corpus: Corpus, ids: Sequence[str], modalities: Sequence[str]) -> Frames:
    """Say which frames of utterances are observed: finite in all features."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name in modalities:
        sequence = corpus.sequences[name]
        for one in ids:
            if one in sequence:
                is_observed = np.asarray(np.isfinite(sequence[one].values).all(axis=1))
                if is_observed.any():
                    found.setdefault(name, {})[one] = is_observed
    return found


def hide_modalities(observed: Frames, severity: float, seed: Seed) -> Frames:
    """Hide so large a share of the modalities that the utterances have, all of each; every utterance keeps one.

    Which one it keeps is drawn; the others are hidden in an order at random. So of M modalities (M - 1) / M at most.
    """
    entries = sorted((one, name) for name, of in observed.items() for one in of)
    rng = np.random.default_rng(seed)
    kept: dict[str, int] = {}
    for place in rng.permutation(len(entries)).tolist():
        kept.setdefault(entries[place][0], place)
    others = [place for place in rng.permutation(len(entries)).tolist() if kept[entries[place][0]] != place]
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for place in others[: round(severity * len(entries))]:
        one, name = entries[place]
        found.setdefault(name, {})[one] = observed[name][one]
    return found


def hide_frames(observed: Frames, severity: float, seed: Seed) -> Frames:
    """Hide so large a share of the frames of each utterance, here and there; of few frames the share on average."""

    def frames(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        length = int(severity * n + rng.random() + _SLACK)
        return rng.permutation(n) < length

    return _each(observed, seed, frames)


def hide_stretch(observed: Frames, severity: float, seed: Seed) -> Frames:
    """Hide one stretch of so large a share of the frames of each utterance; of few frames the share on average."""

    def stretch(n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        length = min(n, int(severity * n + rng.random() + _SLACK))
        first = int(rng.random() * (n - length + 1))
        place = np.arange(n)
        return (place >= first) & (place < first + length)

    return _each(observed, seed, stretch)


def _each(observed: Frames, seed: Seed, draw: Callable[[int, np.random.Generator], NDArray[np.bool_]]) -> Frames:
    """Draw for every utterance and modality by itself: what is drawn of one does not hang on the others."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name, of in observed.items():
        for one, is_observed in of.items():
            drawn = draw(int(is_observed.sum()), np.random.default_rng([*seed, _number(name), _number(one)]))
            if drawn.any():
                hidden = np.zeros(len(is_observed), bool)
                hidden[np.flatnonzero(is_observed)[drawn]] = True
                found.setdefault(name, {})[one] = hidden
    return found


def _number(name: str) -> int:
    return crc32(name.encode())
