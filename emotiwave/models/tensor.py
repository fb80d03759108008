"""TFN, the Tensor Fusion Network of Zadeh et al. (EMNLP 2017): the outer product of one vector per modality."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from emotiwave.errors import ConfigError
from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import final_states

MAX_CELLS = 2**16
"""The tensor has no more cells than this; each has a weight per unit of the first layer, 8 million at size ``base``."""
DROPOUT = 0.2


class SummaryVector(nn.Module):
    """A sequence -> one vector: the final state of an LSTM over the observed frames, then a layer of ReLU units."""

    def __init__(self, size: int, hidden: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, hidden, batch_first=True)
        self.project = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(hidden, width), nn.ReLU())

    def forward(
        self, frames: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch width"]:
        return self.project(final_states(self.lstm, frames, mask))


class TensorFusion(FusionModel):
    """An LSTM per modality, then the outer product of all vectors with a 1 appended, and three linear layers.

    An absent modality is the vector of zeros with its 1, so exactly the products without it are left. The paper reads
    text by an LSTM and averages the frames of audio and video before small networks; here every modality has an LSTM.
    Vectors have half the width of the dial, and less where the tensor would grow beyond reason (`vector_width`).
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        of_vector = vector_width(width // 2, len(self.modalities))
        self.summary = nn.ModuleDict({n: SummaryVector(self.sizes[n], width, of_vector) for n in self.modalities})
        on_tensor = nn.Linear((of_vector + 1) ** len(self.modalities), width)
        # as for one vector: with one modality present the others' cells are zero, and weights for the whole are tiny
        nn.init.uniform_(on_tensor.weight, -1 / math.sqrt(of_vector + 1), 1 / math.sqrt(of_vector + 1))
        self.head = nn.Sequential(
            nn.Dropout(DROPOUT),
            on_tensor,
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            self.answer_layer(width),
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch vector"]:
        return self.summary[name](frames, mask)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        return self.head(outer_product([with_one(encoded, name) for name in self.modalities]))


def vector_width(wanted: int, n_modalities: int) -> int:
    """Give the width of a modality's vector: as wanted, or the widest whose tensor has no more than `MAX_CELLS` cells.

    Raises:
        ConfigError: If there are so many modalities that none is left.

    >>> [vector_width(32, n) for n in (1, 2, 3, 4, 5)]
    [32, 32, 32, 15, 8]
    """
    width = wanted
    while width and (width + 1) ** n_modalities > MAX_CELLS:
        width -= 1
    if not width:
        raise ConfigError(
            f"model 'tensor': the outer product of {n_modalities} modalities has more than {MAX_CELLS:,} cells; choose "
            "'low_rank', which never builds it, or fewer modalities"
        )
    return width


def with_one(encoded: Encoded, name: str) -> Float[Tensor, "batch vector_and_one"]:
    """Append a 1 to a modality's vector; where the modality is absent, nothing but the 1 is left."""
    vector = torch.where(encoded.present[name][:, None], encoded.values[name], 0.0)
    return F.pad(vector, (0, 1), value=1.0)


def outer_product(vectors: Sequence[Float[Tensor, "batch _width"]]) -> Float[Tensor, "batch cells"]:
    """Multiply each value of a vector with each of all others; the last vector's index runs fastest.

    >>> outer_product([torch.tensor([[2.0, 1.0]]), torch.tensor([[3.0, 5.0, 1.0]])]).tolist()
    [[6.0, 10.0, 2.0, 3.0, 5.0, 1.0]]
    """
    return reduce(lambda cells, vector: (cells[:, :, None] * vector[:, None, :]).flatten(1), vectors)
