"""LMF, the low-rank fusion of Liu et al. (ACL 2018): tensor fusion whose first layer never builds the tensor."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.tensor import DROPOUT, SummaryVector, with_one

RANK = 4


class LowRankLayer(nn.Module):
    """A linear layer on the outer product of vectors, as the sum of ``RANK`` products of one factor per modality.

    The weights of the full layer would be the sum over ranks of the outer products of the factors (Liu et al.,
    section 3). Factors of the appended 1 start at one and the bias at minus the rank: an absent modality is then
    neutral, and where all are absent the layer starts at zero.
    """

    def __init__(self, modalities: tuple[str, ...], of_vector: int, width: int) -> None:
        super().__init__()
        self.factors = nn.ParameterDict({name: nn.Parameter(_factor(of_vector, width)) for name in modalities})
        self.bias = nn.Parameter(torch.full((width,), -float(RANK)))

    def forward(self, vectors: dict[str, Float[Tensor, "batch vector_and_one"]]) -> Float[Tensor, "batch width"]:
        product = torch.ones((), device=self.bias.device)
        for name, factor in self.factors.items():
            product = product * torch.einsum("bv,rvw->brw", vectors[name], factor)
        return product.sum(dim=1) + self.bias


class LowRank(FusionModel):
    """An LSTM per modality, the low-rank form of the layer on their outer product, and two linear layers.

    What follows the fusion, and how modalities are read and may be absent, is as in `emotiwave.models.tensor`, so
    that the two differ in the fusion alone. In the paper only text is read by an LSTM, audio and vision are averaged
    over time before small networks, and what the fusion gives is the answer itself; here every modality has an LSTM,
    and a head of two layers follows. The authors' code learns a weight per rank in addition, which the factors hold
    already.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        of_vector = width // 2
        self.summary = nn.ModuleDict({n: SummaryVector(self.sizes[n], width, of_vector) for n in self.modalities})
        self.fusion = LowRankLayer(self.modalities, of_vector, width)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(width, width), nn.ReLU(), self.answer_layer(width)
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch vector"]:
        return self.summary[name](frames, mask)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        return self.head(self.fusion({name: with_one(encoded, name) for name in self.modalities}))


def _factor(of_vector: int, width: int) -> Float[Tensor, "rank vector_and_one width"]:
    factor = torch.randn(RANK, of_vector + 1, width) / math.sqrt(of_vector)
    factor[:, -1] = 1.0
    return factor
