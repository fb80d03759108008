"""From the vector of a voice to emotions: a linear model that uses other clips of the speaker where there are any.

What a voice is like whatever it expresses is the larger part of every measure of it. A few clips of the speaker,
without labels, tell some of that: their mean, shrunk towards the mean of all speakers, is taken away. In training every
clip is centred so on a random number of random clips of its speaker, from none to all, so that one model serves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.experts.voice_vector import SIZES, Block
from emotiwave.probabilities import log_softmax

FARTHEST = 5.0
"""Standard deviations that a feature counts as at most."""
NUMBERS = (0, 1, 3, 5, 10, 30)
"""How many clips of its speaker a clip is centred on in training; as many as there are at most."""
Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VoiceClassifier:
    """Weights ``(features, classes)`` over vectors standardised by ``mean`` and ``scale (features,)``."""

    blocks: tuple[Block, ...]
    classes: tuple[str, ...]
    mean: Vectors
    scale: Vectors
    weights: Vectors
    bias: Vectors
    kappa: float
    """Clips after which the mean of a speaker is believed by half: variance within speakers over that between them."""

    def standardise(self, vectors: Vectors) -> Vectors:
        """Bring vectors ``(n, features)`` to like size, so that every block counts as much."""
        return np.clip((vectors - self.mean) / self.scale, -FARTHEST, FARTHEST) / _widths(self.blocks)

    def strangeness(self, vectors: Vectors) -> NDArray[np.float64]:
        """How far vectors ``(n, features)`` are from those of training ``(n,)``: about 1 for one of them.

        The root of the mean square of standardised features.
        """
        standardised = self.standardise(vectors) * _widths(self.blocks)
        return np.sqrt(np.mean(np.square(standardised, dtype=np.float64), axis=1))

    def speaker(self, vectors: Vectors) -> Vectors:
        """Tell what to take away ``(features,)``, of clips of the speaker ``(n, features)``."""
        return shrunk_mean(self.standardise(vectors), self.kappa)

    def log_posterior(self, vectors: Vectors, speaker: Vectors | float = 0.0) -> NDArray[np.float64]:
        """Logarithms of the probabilities of the classes ``(n, classes)``, not yet calibrated."""
        return log_softmax((self.standardise(vectors) - speaker) @ self.weights + self.bias, axis=1)


def fit(
    vectors: Vectors,
    labels: Sequence[str],
    speakers: Sequence[str],
    blocks: tuple[Block, ...],
    *,
    inverse_penalty: float,
    repeats: int,
    seed: int,
) -> VoiceClassifier:
    """Fit multinomial logistic regression.

    Args:
        vectors: ``(clips, copies, features)``, the first copy as recorded and others spoiled.
        labels: Of each clip.
        speakers: Of each clip.
        blocks: What the features are.
        inverse_penalty: Scikit-learn's ``C``.
        repeats: How often the clips as recorded take part, each time centred on other clips; spoiled ones once.
        seed: Of the drawing of clips.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import; answers need none of it

    recorded = vectors[:, 0]
    mean = recorded.mean(axis=0)
    scale = recorded.std(axis=0)
    scale = np.where(scale > 1e-6 * np.maximum(np.abs(mean), 1e-3), scale, np.inf).astype(np.float32)
    empty = np.zeros((0, 0), np.float32)
    classes = tuple(sorted(set(labels)))
    model = VoiceClassifier(blocks, classes, mean, scale, empty, empty, 0.0)
    copies = np.stack([model.standardise(vectors[:, k]) for k in range(vectors.shape[1])], axis=1)
    who = np.unique(np.asarray(speakers), return_inverse=True)[1]
    kappa = spread_ratio(copies[:, 0], who)
    truth = np.array([classes.index(label) for label in labels])
    generator = np.random.default_rng(seed)
    turns = [0] * repeats + list(range(1, vectors.shape[1]))
    rows = np.concatenate([_centred(copies[:, turn], who, kappa, generator) for turn in turns])
    solver = LogisticRegression(C=inverse_penalty, max_iter=2000).fit(rows, np.tile(truth, len(turns)))
    weights, bias = solver.coef_.T.astype(np.float32), solver.intercept_.astype(np.float32)
    return VoiceClassifier(blocks, classes, mean, scale, weights, bias, kappa)


def shrunk_mean(vectors: Vectors, kappa: float) -> Vectors:
    """Give the mean of the rows, shrunk towards zero: by half where there are ``kappa`` of them.

    >>> shrunk_mean(np.array([[2.0], [4.0], [6.0]]), 3.0)
    array([2.])
    """
    return vectors.sum(axis=0) / (len(vectors) + kappa)


def spread_ratio(vectors: Vectors, speakers: NDArray[np.int64]) -> float:
    """Variance within speakers over that between them, the median over features (by the method of moments)."""
    groups = [vectors[speakers == speaker] for speaker in np.unique(speakers)]
    within = np.mean([group.var(axis=0) for group in groups], axis=0)
    means = np.array([group.mean(axis=0) for group in groups])
    between = means.var(axis=0) - np.mean([group.var(axis=0) / len(group) for group in groups], axis=0)
    vary = within > 0
    return float(np.median(within[vary] / between[vary].clip(min=1e-3 * within[vary])))


def _centred(vectors: Vectors, speakers: NDArray[np.int64], kappa: float, generator: np.random.Generator) -> Vectors:
    """Centre the clips of every speaker on some of them, drawn anew for each speaker."""
    centred = vectors.copy()
    for speaker in np.unique(speakers):
        clips = np.flatnonzero(speakers == speaker)
        number = min(int(generator.choice(NUMBERS)), len(clips))
        centred[clips] -= shrunk_mean(vectors[generator.choice(clips, number, replace=False)], kappa)
    return centred


def _widths(blocks: tuple[Block, ...]) -> Vectors:
    """Square root of the number of features of the block of each feature."""
    return np.concatenate([np.full(SIZES[block], np.sqrt(SIZES[block]), np.float32) for block in blocks])
