"""The default model: each modality that is present adds its evidence for every class; what is absent adds nothing.

Evidence is a strongly shrunk linear map of frames, class by class, so that a modality may tell some classes apart and
be silent on others, and the sum over modalities is Bayes' rule where they are independent given the classes. An
expression may lie anywhere in an utterance: the evidence of a modality is that of a span of frames, averaged over where
the span may begin as a likelihood is (a log mean of exponentials). Neighbours in a dialogue add theirs through a map
from class to class. Sizes above ``small`` put a joint transformer over tokens of all that is present beside it, for
what modalities tell only together.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from emotiwave.batch import Batch
from emotiwave.errors import ConfigError
from emotiwave.models.evidence_settings import EvidenceSettings
from emotiwave.models.fusion import Encoded, FusionModel, ModelSpec, Size
from emotiwave.models.layers import AttentionBlock, FrameEncoder, QueryPooling

CROSS_MODAL_WIDTHS: dict[Size, int | None] = {"small": None, "base": 64, "large": 128}
"""Width of the cross-modal path; None: there is none."""
N_QUERIES = 4
HEAD_WIDTH = 16
DROPOUT = 0.3
START = 0.01
"""Standard deviation of the first weights: an untrained model answers close to even."""
LEAST_SPREAD = 1e-3
"""Standard deviations of a mean frame below which a feature is constant and says nothing."""
MOST_GAIN = 10.0
"""How far a feature whose mean frames differ little is magnified: what is rare in training may be common later."""
LONGEST_RATIO = 2.0
"""Longer utterances give more evidence, up to so many times the mean length; shorter ones less, likewise."""


class Evidence(FusionModel):
    """Additive evidence of frames, spans and neighbours; above size ``small`` a cross-modal path beside it."""

    n_utterances: Tensor
    from_neighbours: nn.ModuleDict | None

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.settings = spec.settings.evidence or EvidenceSettings()
        self.context = self.settings.context
        self.heard = tuple(name for name in self.modalities if self._reliability(name) > 0)
        if not self.heard:
            raise ConfigError(
                "model.evidence.reliability is 0 for every modality, so nothing is heard; raise one of them"
            )
        for name in set(self.modalities) - set(self.heard):
            self.encoder(name).requires_grad_(False)
        self.maps = nn.ParameterDict({n: self._small(self.n_classes, self.sizes[n]) for n in self.heard})
        self.offsets = nn.ParameterDict({n: nn.Parameter(torch.zeros(self.n_classes)) for n in self.heard})
        self.trusted = tuple(name for name in self.heard if self._reliability(name) == 1)
        framed = [n for n in self.trusted if self._is_measured(n)] if spec.label_set.kind != "continuous" else []
        self.frame_offsets = nn.ParameterDict({n: nn.Parameter(torch.zeros(self.n_classes)) for n in framed})
        self.bias = nn.Parameter(torch.zeros(self.n_classes))
        for name in self.heard:
            self.register_buffer(f"gain_{name}", torch.ones(self.sizes[name]))
            self.register_buffer(f"mean_length_{name}", torch.zeros(()))  # not measured
        self.register_buffer("n_utterances", torch.ones(()))
        self.from_neighbours = (
            nn.ModuleDict({n: nn.Linear(self.n_classes, self.n_classes, bias=False) for n in self.heard})
            if self.context
            else None
        )
        if self.from_neighbours is not None:
            for weight in self.from_neighbours.parameters():
                nn.init.normal_(weight, std=START)
        width = CROSS_MODAL_WIDTHS[spec.settings.size]
        self.cross_modal = None if width is None or not self.trusted else CrossModalPath(self, self.trusted, width)

    def _reliability(self, name: str) -> float:
        return self.settings.reliability.get(name, 1.0)

    def _is_measured(self, name: str) -> bool:
        """Whether what the encoder gives stays as it is, so that spread and length can be taken before training."""
        return not any(True for _ in self.encoder(name).parameters())

    @staticmethod
    def _small(*shape: int) -> nn.Parameter:
        return nn.Parameter(nn.init.normal_(torch.empty(*shape), std=START))

    def fit(self, batches: Iterable[Batch], n_utterances: int) -> None:
        """Take the spread of mean frames and the mean length, so that shrinkage treats all features alike.

        Of encoders without weights only: what the others give changes, or is on one scale already.
        """
        self.n_utterances.fill_(n_utterances)
        measured = [name for name in self.heard if self._is_measured(name)]
        if measured:
            with torch.no_grad():
                self._fit_spreads(batches, measured)

    def _fit_spreads(self, batches: Iterable[Batch], measured: Sequence[str]) -> None:
        total = {n: torch.zeros(self.sizes[n], dtype=torch.float64) for n in measured}
        squares = {n: torch.zeros(self.sizes[n], dtype=torch.float64) for n in measured}
        lengths = dict.fromkeys(measured, 0)
        counts = dict.fromkeys(measured, 0)
        for batch in batches:
            for name in measured:
                frames, mask = self.encoders[name](batch.inputs[name], batch.mask[name])
                there = mask.any(dim=1)
                means = _masked_mean(frames, mask)[there].double()
                total[name] += means.sum(dim=0)
                squares[name] += means.square().sum(dim=0)
                lengths[name] += int(mask.sum())
                counts[name] += int(there.sum())
        for name in measured:
            n = max(1, counts[name])
            spread = (squares[name] / n - (total[name] / n).square()).clamp(min=0).sqrt()
            gain = torch.where(spread > LEAST_SPREAD, 1 / spread.clamp(min=1 / MOST_GAIN), 0.0)
            self.get_buffer(f"gain_{name}").copy_(gain if n > 1 else torch.ones_like(gain))
            self.get_buffer(f"mean_length_{name}").fill_(max(1.0, lengths[name] / n))

    def encode_modality(
        self, name: str, frames: Float[Tensor, "rows time _"], mask: Bool[Tensor, "rows time"]
    ) -> Float[Tensor, "rows evidence_and_tokens"]:
        if name not in self.heard:
            return frames.new_zeros(len(frames), self.n_classes)
        evidence = self._evidence(name, frames, mask)
        if self.cross_modal is None or name not in self.cross_modal.names:
            return evidence
        return torch.cat([evidence, self.cross_modal.tokens(name, frames, mask).flatten(1)], dim=1)

    def _evidence(
        self, name: str, frames: Float[Tensor, "rows time _"], mask: Bool[Tensor, "rows time"]
    ) -> Float[Tensor, "rows classes"]:
        weights = self.maps[name] * (self.get_buffer(f"gain_{name}") * self._reliability(name))
        per_frame = frames @ weights.T
        if self.spec.label_set.kind == "continuous":  # a value is no likelihood: it is that of the mean frame
            return _masked_mean(per_frame, mask) + self.offsets[name]
        mean_length = self.get_buffer(f"mean_length_{name}")
        length = torch.where(mean_length > 0, mask.sum(dim=1) / mean_length, torch.ones_like(per_frame[:, 0, 0]))
        length = length.clamp(1 / LONGEST_RATIO, LONGEST_RATIO)
        evidence = span_evidence(per_frame.float(), mask, self.settings.span, length) + self.offsets[name]
        if name in self.frame_offsets:
            # what a frame says by being there, as in Bayes' rule of normal densities; beyond the mean length, for which
            # the offset above stands. No shrinkage reaches it, and so it is of modalities alone that are trusted fully
            evidence = evidence + (length - 1)[:, None] * self.frame_offsets[name]
        return evidence

    def combine(self, encoded: Encoded) -> Float[Tensor, "asked classes"]:
        n = encoded.n_asked
        answer = self.bias.expand(n, -1)
        for name in self.heard:
            evidence, present = encoded.values[name][:, : self.n_classes], encoded.present[name]
            if not encoded.context_alone:
                answer = answer + torch.where(present[:n, None], evidence[:n], 0.0)
            if self.from_neighbours is not None and encoded.neighbours is not None:
                heard = _mean_of_neighbours(encoded.neighbours, evidence, present)
                answer = answer + self.from_neighbours[name](self._reliability(name) * heard)
        if self.cross_modal is not None and not encoded.context_alone:
            answer = answer + self.cross_modal(encoded)
        return answer

    def answerable(self, encoded: Encoded) -> Bool[Tensor, " asked"]:
        there = torch.stack([encoded.present[name][: encoded.n_asked] for name in self.heard]).any(dim=0)
        if encoded.context_alone:
            there = torch.zeros_like(there)
        if self.from_neighbours is not None and encoded.neighbours is not None:
            for name in self.heard:
                there = there | _neighbours_there(encoded.neighbours, encoded.present[name]).any(dim=1)
        return there

    def auxiliary_losses(self, encoded: Encoded) -> Mapping[str, Float[Tensor, ""]]:
        if not self.answerable(encoded).any():
            return {}
        weights = list(self.maps.parameters())
        if self.from_neighbours is not None:
            weights += list(self.from_neighbours.parameters())
        size = sum((weight.square().sum() for weight in weights), torch.zeros_like(self.n_utterances))
        return {"shrinkage": self.settings.shrinkage / self.n_utterances * size}


class CrossModalPath(nn.Module):
    """Tokens that queries read from each modality, a joint transformer over those present, and a read-out token.

    Only of modalities that are trusted fully: what a transformer makes of others could not be bounded.
    """

    def __init__(self, model: Evidence, names: tuple[str, ...], width: int) -> None:
        super().__init__()
        n_heads = width // HEAD_WIDTH
        self.names, self.n_classes, self.width = names, model.n_classes, width
        self.frames = nn.ModuleDict({n: FrameEncoder(model.sizes[n], width) for n in self.names})
        self.queries = nn.ModuleDict({n: QueryPooling(width, N_QUERIES, n_heads, DROPOUT) for n in self.names})
        self.place = nn.ParameterDict({n: nn.Parameter(torch.randn(width) / math.sqrt(width)) for n in self.names})
        self.readout = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.joint = AttentionBlock(width, n_heads, DROPOUT)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.n_classes, bias=False)
        with torch.no_grad():
            self.head.weight.mul_(START)

    def tokens(
        self, name: str, frames: Float[Tensor, "rows time _"], mask: Bool[Tensor, "rows time"]
    ) -> Float[Tensor, "rows queries width"]:
        """Read the tokens of a modality."""
        return self.queries[name](self.frames[name](frames, mask), mask) + self.place[name]

    def forward(self, encoded: Encoded) -> Float[Tensor, "asked classes"]:
        n = encoded.n_asked
        read = [encoded.values[m][:n, self.n_classes :].unflatten(1, (N_QUERIES, self.width)) for m in self.names]
        tokens = torch.cat([self.readout.expand(n, 1, -1), *read], dim=1)
        present = torch.stack([encoded.present[m][:n] for m in self.names], dim=1)
        visible = torch.cat([torch.ones_like(present[:, :1]), present.repeat_interleave(N_QUERIES, dim=1)], dim=1)
        return self.head(self.norm(self.joint(tokens, visible)[:, 0]))


def span_evidence(
    per_frame: Float[Tensor, "rows time classes"],
    mask: Bool[Tensor, "rows time"],
    share: float,
    length: Float[Tensor, " rows"],
) -> Float[Tensor, "rows classes"]:
    """Log of the mean, over where a span may begin, of e to the mean of its frames times ``length``.

    A span is ``share`` of the observed frames of a row, in order; with one frame, or a share of 1, it is all of them.
    Where nothing is observed the answer is finite and means nothing.
    """
    n_observed = mask.sum(dim=1).clamp(min=1)
    order = torch.argsort(~mask, dim=1, stable=True)  # observed frames to the front, in order
    in_order = per_frame.gather(1, order[..., None].expand_as(per_frame))
    place = torch.arange(mask.shape[1], device=mask.device)
    in_order = torch.where((place < n_observed[:, None])[..., None], in_order, 0.0)
    before = nn.functional.pad(in_order.cumsum(dim=1), (0, 0, 1, 0))  # sums of the frames before each
    n_span = (share * n_observed).round().long().clamp(min=1)
    end = place + n_span[:, None]
    fits = end <= n_observed[:, None]
    end = end.clamp(max=mask.shape[1])[..., None].expand_as(per_frame)
    scale = (length / n_span)[:, None, None]
    per_span = (before.gather(1, end) - before[:, :-1]) * scale
    lowest = torch.finfo(per_span.dtype).min
    total = torch.logsumexp(torch.where(fits[..., None], per_span, lowest), dim=1)
    return total - fits.sum(dim=1, keepdim=True).clamp(min=1).to(total.dtype).log()


def _masked_mean(values: Float[Tensor, "rows time _"], mask: Bool[Tensor, "rows time"]) -> Float[Tensor, "rows _"]:
    return torch.where(mask[..., None], values, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def _neighbours_there(
    rows: Int[Tensor, "asked neighbours"], present: Bool[Tensor, " rows"]
) -> Bool[Tensor, "asked neighbours"]:
    return (rows >= 0) & present[rows.clamp(min=0)]


def _mean_of_neighbours(
    rows: Int[Tensor, "asked neighbours"], evidence: Float[Tensor, "rows classes"], present: Bool[Tensor, " rows"]
) -> Float[Tensor, "asked classes"]:
    """Mean evidence of the neighbours that have the modality; zeros where none has."""
    there = _neighbours_there(rows, present)
    values = torch.where(there[..., None], evidence[rows.clamp(min=0)], 0.0)
    return values.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
