"""Hand on the published network inside a trained model, as others read it."""

import os
import tempfile
from pathlib import Path

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.models.checkpoint import load_model
from emotiwave.models.encoders.pretrained_part import PretrainedPart
from emotiwave.run_folder import read_environment
from emotiwave.settings import PathLike

CARD = """---
license: other
base_model: {base}
---

The encoder of {modality} of a model that Emotiwave trained on {corpus}.

- Began from: {base}, licence {base_licence}
- Trained on: {corpus}, licence {licence}
"""


def save_encoder(run: PathLike, modality: str, folder: PathLike) -> Path:
    """Write the network that encodes a modality of a trained model, as transformers writes one.

    What extracts features by a network takes the folder as its ``model``; so does ``AutoModel.from_pretrained``.

    Args:
        run: A run folder.
        modality: One whose encoder is a published network.
        folder: A new or empty folder; it appears whole or not at all.

    Raises:
        CheckpointError: If there is no whole model in the run.
        ConfigError: If the encoder is none of a network, or the folder holds something.
    """
    model, target = load_model(Path(run)), Path(os.path.realpath(folder))
    if modality not in model.modalities:
        raise ConfigError(unknown_name("modality", modality, model.modalities))
    encoder = model.encoder(modality)
    if not isinstance(encoder, PretrainedPart):
        raise ConfigError(
            f"{run}: the encoder of {modality} is {encoder.described}; expected a published network, as of "
            "text_transformer, speech_transformer or resnet: others are no models of transformers"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{folder}: is not empty; choose another folder by --out")
    corpus = read_environment(Path(run))["corpus"]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".partial", dir=target.parent) as scratch:
            written = Path(scratch) / "encoder"
            encoder.save_checkpoint(written)
            card = CARD.format(
                modality=modality,
                base=encoder.source.get("name", "nothing, at random"),
                base_licence=encoder.source.get("licence", "unknown"),
                corpus=corpus["name"],
                licence=corpus["licence"],
            )
            (written / "README.md").write_text(card, encoding="utf-8")
            written.replace(target)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error})") from None
    return target
