"""When: how much each frame moves an answer, by explainers that any model can be asked with, by name.

All move the same scale as the contributions of modalities: class log-odds where one class holds, logits where several
may, values of continuous labels. Neighbours in a dialogue are left out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from emotiwave.batch import Batch
from emotiwave.errors import ConfigError, unknown_name
from emotiwave.explanation.units import Unit, hide
from emotiwave.models.fusion import FusionModel
from emotiwave.models.layers import Attention, QueryPooling
from emotiwave.types import EXCLUSIVE_KINDS, LabelKind

STEPS = 16
"""Of the integral."""
ROWS_AT_ONCE = 64
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameAttribution:
    """How much each frame of one utterance moves the score of a class: ``values[m] (time,)``, 0 where unobserved.

    ``gap`` is by how much the values miss the change of score that they should add up to, None where they need not.
    """

    method: str
    baseline: str
    values: dict[str, Array]
    gap: float | None = None

    def of(self, units: Sequence[Unit]) -> Array:
        """Add up the frames of each unit."""
        return np.array([self.values[unit.modality][unit.first : unit.last].sum() for unit in units])


Explainer = Callable[[FusionModel, Batch, int, Sequence[Unit]], FrameAttribution]
"""Of a model, one utterance, a class and the units of the utterance."""


def class_score(logits: Float[Tensor, "rows classes"], target: int, kind: LabelKind) -> Float[Tensor, " rows"]:
    """Give what is attributed of one class, as `attributable_scores` does of all."""
    if kind not in EXCLUSIVE_KINDS:
        return logits[:, target]
    others = torch.arange(logits.shape[1], device=logits.device) != target
    return logits[:, target] - logits[:, others].logsumexp(dim=1)


def integrated_gradients(model: FusionModel, batch: Batch, target: int, units: Sequence[Unit]) -> FrameAttribution:
    """Integrate gradients along the line from resting frames to the frames (Sundararajan et al., 2017), by Captum.

    Raises:
        ConfigError: If the frames of a modality are codes, between which there is nothing.
    """
    from captum.attr import IntegratedGradients

    names = [name for name in model.modalities if bool(batch.mask[name].any())]
    nothing = {name: np.zeros(mask.shape[1]) for name, mask in batch.mask.items()}
    if not names:
        return FrameAttribution("integrated_gradients", "nothing is observed", nothing, 0.0)
    resting = {}
    for name in names:
        frame = model.encoder(name).resting_frame
        if frame is None:
            raise ConfigError(
                f"{name}: its frames are codes, and no gradient leads from one to another; explain by occlusion"
            )
        resting[name] = frame.expand_as(batch.inputs[name])
    kind = model.spec.label_set.kind

    def score(*given: Tensor) -> Tensor:
        n = len(given[0])
        inputs = {name: of.expand(n, -1, -1) for name, of in batch.inputs.items()}
        mask = {name: of.expand(n, -1) for name, of in batch.mask.items()}
        inputs |= dict(zip(names, given, strict=True))
        answer = model(
            replace(
                batch,
                ids=batch.ids * n,
                inputs=inputs,
                mask=mask,
                targets=batch.targets.expand(n, -1),
                neighbours=None,
            )
        )
        return class_score(answer, target, kind)

    with _answers_only(model):
        values, gap = IntegratedGradients(score).attribute(
            tuple(batch.inputs[name] for name in names),
            tuple(resting[name] for name in names),
            n_steps=STEPS,
            return_convergence_delta=True,
        )
    found = {name: torch.zeros(mask.shape[1]) for name, mask in batch.mask.items()}
    for name, of in zip(names, values, strict=True):
        if not torch.isfinite(of[batch.mask[name]]).all():
            raise ConfigError(f"{name}: its gradients are not finite; explain by occlusion")
        found[name] = torch.where(batch.mask[name][0], of[0].sum(dim=1).detach(), 0.0)
    return FrameAttribution(
        "integrated_gradients",
        "the resting frame of each encoder: the middle of the training frames, silence, or grey",
        {name: of.double().numpy() for name, of in found.items()},
        float(gap[0]),
    )


def occlusion(model: FusionModel, batch: Batch, target: int, units: Sequence[Unit]) -> FrameAttribution:
    """Hide one unit after the other, as if it had not been observed, and see by how much the score falls.

    The fall is shared evenly by the frames of the unit.
    """
    hidden = np.vstack([np.zeros(len(units), bool), np.eye(len(units), dtype=bool)])
    scores = scores_without(model, batch, target, units, hidden)
    values = {name: np.zeros(mask.shape[1]) for name, mask in batch.mask.items()}
    for unit, fall in zip(units, scores[0] - scores[1:], strict=True):
        observed = batch.mask[unit.modality][0, unit.first : unit.last].numpy()
        values[unit.modality][unit.first : unit.last] = np.where(observed, fall / max(1, observed.sum()), 0.0)
    return FrameAttribution("occlusion", "unobserved", values)


def attention(model: FusionModel, batch: Batch, target: int, units: Sequence[Unit]) -> FrameAttribution:
    """Read where the queries of a model look, on average; where it looks is not why it answers.

    Raises:
        ConfigError: If no queries of the model read frames.
    """
    pooled = _pooled(model)
    if not pooled:
        raise ConfigError(
            f"the model {model.spec.settings.name} reads frames without attention; explain by occlusion or "
            "integrated_gradients"
        )
    looked: dict[str, Tensor] = {}
    handles = [
        module.block.attention.register_forward_hook(_remember(name, looked), with_kwargs=True)
        for name, module in pooled.items()
    ]
    try:
        with _answers_only(model), torch.inference_mode():
            model(replace(batch, neighbours=None))
    finally:
        for handle in handles:
            handle.remove()
    values = {name: np.zeros(mask.shape[1]) for name, mask in batch.mask.items()}
    for name, weights in looked.items():
        if weights.shape[1] == batch.mask[name].shape[1] and bool(batch.mask[name].any()):
            values[name] = torch.where(batch.mask[name][0], weights[0], 0.0).double().numpy()
    return FrameAttribution("attention", "none: a read-out of where it looks, and no cause", values)


EXPLAINERS: dict[str, Explainer] = {
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "attention": attention,
}


def find_explainer(name: str) -> Explainer:
    """Look up an explainer.

    Raises:
        ConfigError: If there is none of that name.
    """
    if name not in EXPLAINERS:
        raise ConfigError(unknown_name("explainer", name, EXPLAINERS))
    return EXPLAINERS[name]


def explainers_of(model: FusionModel) -> tuple[str, ...]:
    """Name those that can be asked about a model."""
    has_gradient = all(model.encoder(name).resting_frame is not None for name in model.modalities)
    can = {"integrated_gradients": has_gradient, "occlusion": True, "attention": bool(_pooled(model))}
    return tuple(name for name in EXPLAINERS if can[name])


def scores_without(
    model: FusionModel, batch: Batch, target: int, units: Sequence[Unit], hidden: NDArray[np.bool_]
) -> Array:
    """Score a class ``(variants,)`` with what is True in ``hidden (variants, units)`` unobserved."""
    kind, found = model.spec.label_set.kind, []
    with _answers_only(model), torch.inference_mode():
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            answer = model(hide(batch, units, hidden[start : start + ROWS_AT_ONCE]))
            found.append(class_score(answer.double(), target, kind).numpy())
    return np.concatenate(found)


@contextmanager
def _answers_only(model: FusionModel) -> Iterator[None]:
    """Let a model answer as it does to users, and no gradient reach its weights."""
    was_training, wanted = model.training, [p for p in model.parameters() if p.requires_grad]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        model.train(was_training)


def _pooled(model: FusionModel) -> dict[str, QueryPooling]:
    """Find the queries that read the frames of one modality each."""
    found = {}
    for module in model.modules():
        if isinstance(module, nn.ModuleDict) and all(isinstance(one, QueryPooling) for one in module.values()):
            found |= dict(module.items())
    return found


def _remember(name: str, looked: dict[str, Tensor]) -> Callable[..., None]:
    def hook(module: Attention, given: tuple[Tensor, ...], named: dict[str, Tensor], _: Tensor) -> None:
        queries, keys, mask = (*given, *named.values())[:3]
        looked[name] = module.weights(queries, keys, mask).mean(dim=(1, 2))

    return hook
