"""Features as they were extracted, standardised: the encoder of a modality that is given no other."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from emotiwave.errors import FeatureError
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.layers import CLIP, FARTHEST, RankScores, Standardize
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings

MAX_FRAMES = 200_000
"""Quantiles are taken over at most about this many frames, evenly spaced."""
IQR_OF_NORMAL = 1.3489795
"""Interquartile range of a normal distribution with standard deviation 1."""


class FeaturesSettings(Settings):
    """Keys of ``features``."""

    scale: Literal["robust", "standard", "ranks"] = "robust"
    """``robust``: centred and scaled by quantiles, and cut at five standard deviations, for features with outliers.
    ``standard``: by mean and standard deviation, and not cut, for features without any, such as shares of votes, most
    of which are zero and the others all of use. ``ranks``: the normal score of a value's rank among the training
    values, for features with wild tails; it undoes their size."""


class Features(ModalityEncoder):
    """Brings each feature to one scale, by observed training frames."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        super().__init__()
        self.width = origin.size
        self.scaled = settings.scale if isinstance(settings, FeaturesSettings) else "robust"
        clip = FARTHEST if self.scaled == "standard" else CLIP
        self.standardize = RankScores(origin.size) if self.scaled == "ranks" else Standardize(origin.size, clip)

    @property
    def described(self) -> str:
        return "features, ranked" if self.scaled == "ranks" else "features, standardised"

    @property
    def resting_frame(self) -> Float[Tensor, " size"]:
        """The middle of the training frames, feature by feature."""
        of = self.standardize
        return of.center if isinstance(of, Standardize) else of.quantiles[:, of.quantiles.shape[1] // 2]

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Take the scale of each feature from the training frames."""
        frames = observed_frames(sequence, ids)
        if isinstance(self.standardize, RankScores):
            levels = np.linspace(0, 1, self.standardize.quantiles.shape[1])
            quantiles = np.quantile(frames, levels, axis=0).T.astype(np.float32)
            self.standardize.load_state_dict({"quantiles": torch.from_numpy(quantiles)})
            return
        center, scale = robust_scale(frames) if self.scaled == "robust" else standard_scale(frames)
        self.standardize.load_state_dict({"center": torch.from_numpy(center), "scale": torch.from_numpy(scale)})

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time size"], Bool[Tensor, "batch time"]]:
        return self.standardize(values, mask), mask


def robust_scale(frames: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and interquartile range (in standard deviations) per feature of ``frames (n, features)``.

    Where half of the values are equal, the standard deviation stands in; a constant feature gets scale 1.
    """
    low, center, high = np.quantile(frames, [0.25, 0.5, 0.75], axis=0)
    scale = (high - low) / IQR_OF_NORMAL
    scale = np.where(scale > 1e-6 * np.abs(center), scale, frames.std(axis=0, dtype=np.float64))
    scale = np.where(scale > 1e-6 * np.abs(center), scale, 1.0)
    return center.astype(np.float32), scale.astype(np.float32)


def standard_scale(frames: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation per feature of ``frames (n, features)``; a constant feature gets scale 1."""
    center, scale = frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-6 * np.abs(center), scale, 1.0)
    return center.astype(np.float32), scale.astype(np.float32)


def observed_frames(sequence: ComputationalSequence, ids: Sequence[str]) -> NDArray[np.float32]:
    """Join finite frames ``(n, features)`` of utterances, evenly thinned where there are very many.

    Raises:
        FeatureError: If there is none.
    """
    there = [name for name in ids if name in sequence]
    stride = max(1, sum(sequence.n_frames(name) for name in there) // MAX_FRAMES)
    frames = [sequence[name].values[::stride] for name in there]
    joined = np.concatenate(frames) if frames else np.empty((0, sequence.size), dtype=np.float32)
    joined = joined[np.isfinite(joined).all(axis=1)]
    if not len(joined):
        raise FeatureError("has no finite frame in training; leave it out of the corpus")
    return joined
