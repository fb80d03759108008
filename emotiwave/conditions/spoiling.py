"""Spoils features: noise on them, or one modality out of step with the others."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.hiding import Seed
from emotiwave.errors import ConfigError
from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus


def add_noise(
    corpus: Corpus, ids: Sequence[str], modalities: Sequence[str], severity: float, seed: Seed
) -> dict[str, dict[str, FeatureSequence]]:
    """Add normal noise of so many standard deviations of each feature, measured over the frames of these utterances.

    The noise is the same at every severity, but for its strength.
    """
    found: dict[str, dict[str, FeatureSequence]] = {}
    for name in modalities:
        sequence = corpus.sequences[name]
        spread = np.float32(severity) * _spread(sequence, ids)
        for one in ids:
            if one in sequence:
                of = sequence[one]
                rng = np.random.default_rng([*seed, crc32(name.encode()), crc32(one.encode())])
                noise = rng.standard_normal(of.values.shape, dtype=np.float32)
                noisy = (of.values + spread * noise).astype(np.float32)
                found.setdefault(name, {})[one] = FeatureSequence(noisy, of.intervals)
    return found


def _spread(sequence: ComputationalSequence, ids: Sequence[str]) -> NDArray[np.float32]:
    """Standard deviation ``(features,)`` over the frames that are finite."""
    n, total, squares = 0, np.zeros(sequence.size), np.zeros(sequence.size)
    for one in ids:
        if one in sequence:
            values = sequence[one].values.astype(np.float64)
            values = values[np.isfinite(values).all(axis=1)]
            n, total, squares = n + len(values), total + values.sum(axis=0), squares + np.square(values).sum(axis=0)
    mean = total / max(1, n)
    return np.sqrt(np.maximum(0.0, squares / max(1, n) - mean**2)).astype(np.float32)


def shift(
    corpus: Corpus, ids: Sequence[str], modalities: Sequence[str], severity: float, seed: Seed
) -> dict[str, dict[str, FeatureSequence]]:
    """Let modalities lag by so many seconds: each frame shows what was so long ago, or nothing if that was before.

    ``seed`` changes nothing.

    Raises:
        ConfigError: If a modality has no times.
    """
    del seed
    found: dict[str, dict[str, FeatureSequence]] = {}
    for name in modalities:
        sequence = corpus.sequences[name]
        for one in ids:
            if one in sequence and len(sequence[one].values):
                of = sequence[one]
                if not np.isfinite(of.intervals).all():
                    raise ConfigError(
                        f"condition time_shift:{name}: the frames of {one!r} have no times in {corpus.name}, so that "
                        "nothing can be late; take frame_drop or span_drop"
                    )
                found.setdefault(name, {})[one] = _late(of, severity)
    return found


def _late(of: FeatureSequence, seconds: float) -> FeatureSequence:
    """Of the frames that hold the moment take the one whose middle is nearest to it, so that 0 s change nothing."""
    middles = of.intervals.mean(axis=1)
    values = np.full_like(of.values, np.nan)
    for row, then in enumerate((middles - seconds).tolist()):
        holds = np.flatnonzero((of.intervals[:, 0] <= then) & (then <= of.intervals[:, 1]))
        if len(holds):
            values[row] = of.values[holds[np.abs(middles[holds] - then).argmin()]]
    return FeatureSequence(values, of.intervals)
