"""MISA of Hazarika et al. (ACM Multimedia 2020): what modalities share, and what is each one's own."""

from itertools import combinations
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from emotiwave.models.fusion import WIDTHS, Encoded, FusionModel, ModelSpec
from emotiwave.models.layers import AttentionBlock, final_states

N_MOMENTS = 5
N_HEADS = 2
DROPOUT = 0.1
SIMILARITY_WEIGHT = 1.0
DIFFERENCE_WEIGHT = 0.3
RECONSTRUCTION_WEIGHT = 1.0
SMALLEST_NORM = 1e-3
"""Vectors shorter than this are not brought to length 1: of rows that are all alike rounding is left, and the gradient
of its direction is wild."""


class Misa(FusionModel):
    """Each modality as a shared and a private vector; one transformer block over all, and two linear layers.

    Two bidirectional LSTM layers read each modality (the paper's reading without BERT, less a normalisation between
    them). Training adds three losses over what is present: shared vectors of modalities become alike in distribution,
    shared and private vectors orthogonal, and both together give the modality back. The vectors of an absent modality
    are hidden from attention and zero to the layers after it. The transformer normalises first, and its feed-forward
    net is twice as wide as a vector (128 at the size ``small``), far narrower than the 2048 of PyTorch's default, which
    the authors' code leaves. Dropout is 0.1 everywhere; the authors' configuration has 0.5. One decoder serves all
    modalities; the authors' code has one for each.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = WIDTHS[spec.settings.size]
        self.lstm = nn.ModuleDict(
            {
                n: nn.LSTM(self.sizes[n], width, num_layers=2, batch_first=True, bidirectional=True)
                for n in self.modalities
            }
        )
        self.project = nn.ModuleDict(
            {n: nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.LayerNorm(width)) for n in self.modalities}
        )
        self.shared = nn.Sequential(nn.Linear(width, width), nn.Sigmoid())
        self.private = nn.ModuleDict({n: nn.Sequential(nn.Linear(width, width), nn.Sigmoid()) for n in self.modalities})
        self.decoder = nn.Linear(width, width)
        self.transformer = AttentionBlock(width, N_HEADS, DROPOUT)
        n_vectors = 2 * len(self.modalities)
        self.head = nn.Sequential(
            nn.Linear(n_vectors * width, n_vectors * width // 2),
            nn.Dropout(DROPOUT),
            nn.ReLU(),
            self.answer_layer(n_vectors * width // 2),
        )

    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch 3 width"]:
        """Give the vector of the modality, its shared and its private part."""
        whole = self.project[name](final_states(cast(nn.LSTM, self.lstm[name]), frames, mask))
        return torch.stack([whole, self.shared(whole), self.private[name](whole)], dim=1)

    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        vectors = torch.cat([encoded.values[name][:, 1:] for name in self.modalities], dim=1)
        present = torch.stack([encoded.present[name] for name in self.modalities], dim=1).repeat_interleave(2, dim=1)
        vectors = self.transformer(vectors, present)
        return self.head(torch.where(present[..., None], vectors, 0.0).flatten(1))

    def auxiliary_losses(self, encoded: Encoded) -> dict[str, Float[Tensor, ""]]:
        """Losses of similarity, difference and reconstruction, weighted; zero where too little is present."""
        there = encoded.present
        whole, shared, private = (
            {name: encoded.values[name][:, part].float() for name in self.modalities} for part in range(3)
        )
        pairs = list(combinations(self.modalities, 2))
        zero = self.decoder.weight.new_zeros(())
        apart = [orthogonality(shared[name], private[name], there[name]) for name in self.modalities]
        apart += [orthogonality(private[a], private[b], there[a] & there[b]) for a, b in pairs]
        alike = [moment_discrepancy(shared[a], there[a], shared[b], there[b]) for a, b in pairs]
        n_alike = sum((there[a].any() & there[b].any() for a, b in pairs), zero).clamp(min=1)
        errors = [(self.decoder(shared[n] + private[n]) - whole[n]).square().mean(dim=1) for n in self.modalities]
        present = torch.stack([there[name] for name in self.modalities])
        reconstruction = torch.where(present, torch.stack(errors), 0.0).sum() / present.sum().clamp(min=1)
        return {
            "similarity": SIMILARITY_WEIGHT * sum(alike, zero) / n_alike,
            "difference": DIFFERENCE_WEIGHT * sum(apart, zero),
            "reconstruction": RECONSTRUCTION_WEIGHT * reconstruction,
        }


def moment_discrepancy(
    first: Float[Tensor, "batch width"],
    first_present: Bool[Tensor, " batch"],
    second: Float[Tensor, "batch width"],
    second_present: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Central moment discrepancy of two sets of vectors in [0, 1] (Zellinger et al., ICLR 2017).

    The distance of the means, and of the central moments 2 to `N_MOMENTS` of each feature, over the rows that are
    present on each side; zero where a side has none.
    """
    difference = _moments(first, first_present) - _moments(second, second_present)
    both = first_present.any() & second_present.any()
    return torch.where(both, torch.linalg.vector_norm(difference, dim=1).sum(), 0.0)


def orthogonality(
    first: Float[Tensor, "batch width"], second: Float[Tensor, "batch width"], present: Bool[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Mean square of the products of all features of ``first`` with all of ``second``, over the rows present.

    Rows are centred by the mean row and brought to length 1 before. The paper sums the squares; the mean, as in the
    authors' code, does not grow with the width.
    """
    products = _unit_rows(first, present).T @ _unit_rows(second, present)
    return products.square().mean()


def _moments(vectors: Float[Tensor, "batch width"], present: Bool[Tensor, " batch"]) -> Float[Tensor, "moment width"]:
    centred, mean = _centred(vectors, present)
    n_present = present.sum().clamp(min=1)
    central = [(centred**order).sum(dim=0) / n_present for order in range(2, N_MOMENTS + 1)]
    return torch.stack([mean, *central])


def _unit_rows(vectors: Float[Tensor, "batch width"], present: Bool[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
    return F.normalize(_centred(vectors, present)[0], dim=1, eps=SMALLEST_NORM)


def _centred(
    vectors: Float[Tensor, "batch width"], present: Bool[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch width"], Float[Tensor, " width"]]:
    """Give what is left of each row after the mean row, zeros where it is not present, and that mean."""
    mean = torch.where(present[:, None], vectors, 0.0).sum(dim=0) / present.sum().clamp(min=1)
    return torch.where(present[:, None], vectors - mean, 0.0), mean
