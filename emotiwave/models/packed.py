"""Weights in less room: half precision, and large tables of rows in one byte per number."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from emotiwave.errors import CheckpointError, printable

Packing = Literal["float16", "int8"]
SCALE = ":scale"
"""What the name of the scales ``(rows, 1)`` of a table of bytes ends with."""
FEWEST = 4096
"""Numbers of a tensor below which it stays as it is."""
MANY_ROWS = 8192
"""Rows from which on a matrix is a table, as of a vocabulary; each row then has a scale of its own."""
LARGEST_BYTE = 127
LARGEST_HALF = 65504.0
"""Tensors with larger numbers stay as they are."""
_TYPES: Mapping[Packing, torch.dtype] = {"float16": torch.float16, "int8": torch.int8}


def pack(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Packing]]:
    """Pack what is large, and say how each of those tensors was packed."""
    packed: dict[str, Tensor] = {}
    how: dict[str, Packing] = {}
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tensor.numel() < FEWEST or not tensor.abs().max() <= LARGEST_HALF:
            packed[name] = tensor
        elif tensor.ndim == 2 and len(tensor) >= MANY_ROWS:
            how[name] = "int8"
            scale = tensor.abs().amax(dim=1, keepdim=True) / LARGEST_BYTE
            packed[name + SCALE] = scale
            packed[name] = (tensor / scale.clamp(min=torch.finfo(torch.float32).tiny)).round().to(torch.int8)
        else:
            how[name] = "float16"
            packed[name] = tensor.half()
    return packed, how


def unpack(tensors: Mapping[str, Tensor], how: Mapping[str, Packing]) -> dict[str, Tensor]:
    """Give float32 of all that is packed.

    Raises:
        CheckpointError: If something said to be packed is not there, or not as it must be.
    """
    unpacked = dict(tensors)
    for name, packing in how.items():
        tensor, scale = unpacked.get(name), unpacked.pop(name + SCALE, None)
        if tensor is None or tensor.dtype != _TYPES[packing] or (scale is None) == (packing == "int8"):
            raise CheckpointError(f"{printable(name)!r} is not packed as {packing}, as the description says")
        is_table = tensor.ndim == 2 and scale is not None and scale.shape == (len(tensor), 1)
        if scale is not None and (scale.dtype != torch.float32 or not is_table):  # others would fill memory
            raise CheckpointError(f"the scales of {printable(name)!r} are not one float32 per row")
        unpacked[name] = tensor.float() if scale is None else tensor * scale
    return unpacked
