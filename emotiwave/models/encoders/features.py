"""Features as they were extracted, standardised: the encoder of a modality that is given no other."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from emotiwave.errors import FeatureError
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.layers import Standardize
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings

MAX_FRAMES = 200_000
"""Quantiles are taken over at most about this many frames, evenly spaced."""
IQR_OF_NORMAL = 1.3489795
"""Interquartile range of a normal distribution with standard deviation 1."""


class FeaturesSettings(Settings):
    """``features`` has no keys."""


class Features(ModalityEncoder):
    """Centres and scales each feature by observed training frames."""

    def __init__(self, settings: Settings, origin: Origin) -> None:
        super().__init__()
        self.width = origin.size
        self.standardize = Standardize(origin.size)

    @property
    def described(self) -> str:
        return "features, standardised"

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Take centre and scale of each feature from the training frames."""
        center, scale = robust_scale(observed_frames(sequence, ids))
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
