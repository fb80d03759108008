"""Weights of a network that is written here, out of a file that holds exactly those."""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from emotiwave.errors import CheckpointError

Network = TypeVar("Network", bound=torch.nn.Module)


def load_networks(network: Network, path: Path) -> Network:
    """Map a safetensors file into a network, strictly, and put it in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another network.
    """
    try:
        held = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file ({error})") from None
    expected = {name: (values.shape, values.dtype) for name, values in network.state_dict().items()}
    wrong = [name for name in expected.keys() | held.keys() if _form(held, name) != expected.get(name)]
    if wrong:
        raise CheckpointError(f"{path}: the weights are of another network ({sorted(wrong)[0]!r} differs)")
    if not all(torch.isfinite(values).all() for values in held.values()):
        raise CheckpointError(f"{path}: some weights are not finite")
    network.load_state_dict(held, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _form(held: dict[str, torch.Tensor], name: str) -> tuple[torch.Size, torch.dtype] | None:
    return (held[name].shape, held[name].dtype) if name in held else None
