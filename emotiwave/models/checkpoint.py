"""A model in a folder: ``model.safetensors`` (weights, statistics, prior) and ``model.json`` (how to build it).

No pickle is read or written; loading is strict, and the weights are checked against their hash.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

from emotiwave.errors import CheckpointError, EmotiwaveError
from emotiwave.files import replace_file
from emotiwave.models import create_model
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.types import read_label_set

FORMAT = 1


def save_model(model: FusionModel, folder: Path) -> None:
    """Write weights and description; each file appears whole or not at all."""
    weights = save({name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()})
    spec = model.spec
    described = {
        "format": FORMAT,
        "settings": spec.settings.model_dump(),
        "sizes": dict(spec.sizes),
        "label_set": asdict(spec.label_set),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "model.safetensors", weights)
    replace_file(folder / "model.json", json.dumps(described, indent=1).encode())


def load_model(folder: Path) -> FusionModel:
    """Read a model and put it in evaluation mode.

    Raises:
        CheckpointError: If files are missing, damaged, of another format, or of another model.
    """
    try:
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        weights = (folder / "model.safetensors").read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: no trained model here ({Path(error.filename).name} is missing)") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / 'model.json'}: cannot be read ({error})") from None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise CheckpointError(f"{folder / 'model.json'}: not a model description of format {FORMAT}")
    if hashlib.sha256(weights).hexdigest() != described.get("sha256"):
        raise CheckpointError(
            f"{folder / 'model.safetensors'} is not the file that model.json describes: truncated, changed, or of "
            "another model; copy both files again"
        )
    try:
        label_set = read_label_set(described["label_set"])
        spec = ModelSpec(ModelSettings(**described["settings"]), dict(described["sizes"]), label_set)
        model = create_model(spec)
        tensors = load(weights)
    except (KeyError, TypeError, ValueError, SafetensorError, EmotiwaveError) as error:
        raise CheckpointError(f"{folder / 'model.json'}: damaged model description ({error})") from None
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder}: the weights are of another model than {spec.settings.name!r}, which model.json names: {error}"
        ) from None
    return model.eval()
