"""What training through a published network asks of it: no noise but dropout, its layers, their activations anew."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from emotiwave.pretrained.image import CLASS_TOKEN_TYPES
from emotiwave.pretrained.loading import Encoder

NOISE = (
    "attention_dropout",  # turns the fast kernels off
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "layerdrop",
    "mask_time_prob",  # SpecAugment draws from numpy, beside the seed
    "mask_feature_prob",
)
"""Keys of configurations that are set to 0; all other dropout is as the checkpoint says."""
UNUSED = re.compile(r"(^|\.)(masked_spec_embed|mask_token|mask_emb)$")
"""Parameters that stand for what is hidden in pretraining; nothing is hidden here."""
LAST_NORM = re.compile(r"encoder\.layer_norm\.")
"""The norm behind the last layer of speech transformers of stable norms, which is registered before the layers."""


def silence(config: Any) -> None:
    """Turn off what draws at random in training, but for dropout of hidden states."""
    for key in NOISE:
        if hasattr(config, key):
            setattr(config, key, 0.0)


def drop_unused(encoder: Encoder) -> None:
    """Take away the pooler that no answer depends on, and freeze other parameters that no gradient reaches."""
    network = encoder.module
    if encoder.kind == "text" or encoder.config.model_type in CLASS_TOKEN_TYPES:
        network.pooler = None  # pyright: ignore[reportArgumentType] (as transformers has it for no pooler)
    for name, parameter in network.named_parameters():
        if UNUSED.search(name):
            parameter.requires_grad_(False)


def find_layers(encoder: Encoder) -> list[nn.Module]:
    """Find the layers of a transformer or the stages of a convolutional network, from the input on.

    They are the list of as many modules as the configuration says that holds the most parameters; empty where there is
    none, as where layers share their weights.
    """
    depths = getattr(encoder.config, "depths", None)
    expected = len(depths) if depths else getattr(encoder.config, "num_hidden_layers", None)
    lists = [
        list(module.children())
        for module in encoder.module.modules()
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) == expected
    ]
    return max(lists, key=lambda layers: sum(map(_n_parameters, layers)), default=[])


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norms_last(encoder: Encoder) -> bool:
    """Whether a speech transformer has its norm behind the last layer, and not before the first."""
    return type(getattr(encoder.module, "encoder", None)).__name__.endswith("StableLayerNorm")


def heights(encoder: Encoder, layers: Sequence[nn.Module]) -> dict[nn.Parameter, int]:
    """Say how high each parameter stands: 0 below the layers, then 1 and so on; behind the last is as high as it."""
    height = {parameter: index for index, layer in enumerate(layers, start=1) for parameter in layer.parameters()}
    found_layers = False
    for name, parameter in encoder.module.named_parameters():
        found_layers = found_layers or parameter in height
        is_above = found_layers or (LAST_NORM.match(name) is not None and norms_last(encoder))
        height.setdefault(parameter, len(layers) if is_above else 0)
    return height


def recompute(layers: Sequence[nn.Module]) -> None:
    """Let layers, or the blocks of stages, keep only their input in training and make the rest anew going backward.

    (Chen et al., 2016, "Training deep nets with sublinear memory cost".) The names of the weights stay as they are.
    """
    for layer in layers:
        blocks = getattr(layer, "layers", None)
        for block in blocks if isinstance(blocks, nn.ModuleList | nn.Sequential) and len(blocks) else [layer]:
            block.forward = partial(_forward, block)


def _forward(block: nn.Module, *inputs: Any, **named: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs, **named)
    contexts = partial(_contexts, block)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **named)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _keeping_buffers(block)


@contextmanager
def _keeping_buffers(block: nn.Module) -> Iterator[None]:
    """Let the second run of the same input leave the running statistics of batch norms alone."""
    kept = [
        (module, name, buffer) for module in block.modules() for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in kept:
        setattr(module, name, buffer.clone())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever there is to say was said in the first run
            yield
    finally:
        for module, name, buffer in kept:
            setattr(module, name, buffer)
