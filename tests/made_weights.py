"""A folder of weights as the distribution holds them, of tiny networks at random."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from emotiwave.experts import distribution
from emotiwave.experts.distribution import Distribution
from emotiwave.experts.voice import CLIPS
from emotiwave.experts.voice_vector import SIZES, VoiceNetworks
from emotiwave.features.extractors.words import SIZE
from emotiwave.labels import SEVEN
from emotiwave.models import create_model
from emotiwave.models.checkpoint import save_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.types import LabelSet
from tests.tiny_encoders import save_bert

PRIOR = (0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.2)
RAVDESS = ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def confidence(*measures: str) -> dict[str, Any]:
    """Logits are divided by ``exp(0.3 + 0.1 first + 0.2 second + ...)``, each measure less 1, over 2."""
    n = len(measures)
    bounds = {"lowest": [-1e3] * n, "highest": [1e3] * n}
    slopes = [0.1 * (k + 1) for k in range(n)]
    return {
        "measures": measures,
        "middle": [1.0] * n,
        "spread": [2.0] * n,
        **bounds,
        "intercept": 0.3,
        "slopes": slopes,
    }


def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the weights of a test module; a fixture once it is marked as one."""
    root = tmp_path_factory.mktemp("weights")
    return make_weights(root / "made", root)


def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for installed weights in a folder of the test's; a fixture once it is marked as one."""
    monkeypatch.setattr(distribution.platformdirs, "user_state_dir", lambda name: str(tmp_path / "state" / name))


def make_weights(folder: Path, scratch: Path) -> Path:
    """Write a whole folder; the scratch folder gets a tiny BERT."""
    torch.manual_seed(0)
    save_bert(scratch / "bert")
    for name, modality, size, encoder in (
        ("text", "text", SIZE, {"name": "text_transformer", "pretrained": str(scratch / "bert")}),
        ("face", "vision", 48 * 48, {"name": "compact_resnet", "widths": [8, 8]}),
    ):
        settings = {"name": "evidence", "encoders": {modality: encoder}, "evidence": {"span": 1.0, "shrinkage": 0.0}}
        spec = ModelSpec(ModelSettings.model_validate(settings), {modality: size}, LabelSet("categorical", SEVEN))
        model = create_model(spec)
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
        save_model(model.eval(), folder / name, packed=True)
    voice = folder / "voice"
    voice.mkdir()
    networks = VoiceNetworks()
    networks.speech.mel_filters.uniform_()
    save_file({name: value.numpy() for name, value in networks.state_dict().items()}, voice / "networks.safetensors")
    generator = np.random.default_rng(0)
    for blocks, names in CLIPS.items():
        n = sum(SIZES[name] for name in names)
        tensors = {
            "mean": generator.standard_normal(n),
            "scale": np.full(n, 10.0),
            "weights": generator.standard_normal((n, len(RAVDESS))),
            "bias": generator.standard_normal(len(RAVDESS)),
        }
        save_file({name: value.astype(np.float32) for name, value in tensors.items()}, voice / f"{blocks}.safetensors")
    of_voice = {
        "classes": RAVDESS,
        "kappa": 4.0,
        "strangest": 100.0,
        "prior": PRIOR,
        "confidence": confidence("level", "range", "seconds", "strangeness", "clips"),
    }
    experts = {
        "text": {"prior": PRIOR, "thresholds": [0.2] * 7, "confidence": confidence("words")},
        "vision": {"prior": PRIOR, "confidence": confidence("side", "sharpness", "contrast")},
        **{f"audio_{blocks}": of_voice for blocks in CLIPS},
    }
    (folder / "MODEL_CARD.md").write_text("# Made up\n")
    described = Distribution(version="9.9", licence="none", terms="made up", experts=experts, sha256=hashes(folder))
    (folder / "weights.json").write_text(described.model_dump_json())
    return folder


def hashes(folder: Path) -> dict[str, str]:
    """Of every file but the description."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "weights.json"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def trust(folder: Path) -> None:
    """Write the hashes of what lies there, as one who tampers would."""
    describe(folder, sha256=hashes(folder))


def describe(folder: Path, **changes: Any) -> None:
    """Change the description."""
    path = folder / "weights.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
