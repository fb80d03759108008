"""The moving average of a model's weights, which is what is validated and kept."""

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from emotiwave.models.fusion import FusionModel


class MovingAverage(nn.Module):
    """A copy of a model whose weights follow it slowly; weights that are not trained are shared and not copied.

    A constant learning rate leaves the last weights noisy; their exponential average over about the last tenth of the
    steps is not (Polyak and Juditsky, 1992; the memory grows with the steps taken, up to ``decay``, as in TensorFlow's
    ExponentialMovingAverage). Running statistics of batch norms are averaged with the weights that they belong to.
    """

    n_averaged: Tensor

    def __init__(self, model: FusionModel, decay: float) -> None:
        super().__init__()
        shared = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        self.module: FusionModel = deepcopy(model, shared).requires_grad_(False)
        self.decay = decay
        self.register_buffer("n_averaged", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, model: FusionModel) -> None:
        """Take in the weights after a step."""
        n_averaged = int(self.n_averaged)
        memory = min(self.decay, (1 + n_averaged) / (10 + n_averaged)) if n_averaged else 0.0
        averages = chain(self.module.parameters(), self.module.buffers())
        for averaged, current in zip(averages, chain(model.parameters(), model.buffers()), strict=True):
            if averaged is current:
                continue
            if averaged.is_floating_point():
                averaged.lerp_(current, 1 - memory)
            else:
                averaged.copy_(current)  # a count of batches
        self.n_averaged += 1
