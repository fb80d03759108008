"""Hand on the published network inside a trained model, as others read it."""

import os
import tempfile
import warnings
from pathlib import Path

from safetensors import SafetensorError

from emotiwave.api.hub import PLACES, shorten_places
from emotiwave.errors import ConfigError, DataWarning, unknown_name
from emotiwave.models.checkpoint import ENCODERS, load_model
from emotiwave.models.encoders.pretrained_part import PretrainedPart
from emotiwave.report.card import Part
from emotiwave.report.encoder_card import draw_encoder_card
from emotiwave.run_folder import is_finished, read_checked_environment
from emotiwave.settings import PathLike


def save_encoder(run: PathLike, modality: str, folder: PathLike) -> Path:
    """Write the network that encodes a modality of a trained model, as transformers writes one.

    What extracts features by a network takes the folder as its ``model``; ``AutoModel.from_pretrained`` gives the same
    hidden states, but has a pooler at random where the architecture has one.

    Args:
        run: A run folder.
        modality: One whose encoder is a published network.
        folder: A new or empty folder; it appears whole or not at all.

    Raises:
        CheckpointError: If there is no whole model in the run, or what it ran on is damaged.
        ConfigError: If the encoder is none of a network, or the folder holds something or cannot be written.
    """
    source, target = Path(run), Path(os.path.realpath(folder))
    model = load_model(source)
    if modality not in model.modalities:
        raise ConfigError(unknown_name("modality", modality, model.modalities))
    encoder = model.encoder(modality)
    if not isinstance(encoder, PretrainedPart):
        raise ConfigError(
            f"{run}: the encoder of {modality} is {encoder.described}; expected a published network, as of "
            "text_transformer, speech_transformer or resnet: others are no models of transformers"
        )
    corpus, finished = read_checked_environment(source).corpus, is_finished(source)
    if not finished:
        warnings.warn(f"{run}: training is not finished, as the card of the encoder says", DataWarning, stacklevel=2)
    card = draw_encoder_card(
        modality, encoder, Part("corpus", corpus.name, corpus.licence or None), is_finished=finished
    )
    try:
        _check_free(target, Path(os.path.realpath(source)), folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".encoder.", suffix=".partial", dir=target.parent) as scratch:
            written = Path(scratch) / "encoder"
            encoder.save_checkpoint(written)
            for name, keys in PLACES.items():
                if (written / name).exists():
                    (written / name).write_bytes(shorten_places((written / name).read_bytes(), keys))
            (written / "README.md").write_text(card, encoding="utf-8")
            written.replace(target)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{folder}: cannot be written ({error}); make room, or choose another folder") from None
    return target


def _check_free(target: Path, run: Path, named: PathLike) -> None:
    """Refuse a place that holds something, or where a model keeps its own files and takes no others."""
    if target.is_relative_to(run / ENCODERS):
        raise ConfigError(f"{named}: lies among the files of the model of {run.name}; choose another folder by --out")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{named}: is a file; choose a new folder by --out")
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{named}: is not empty; choose another folder by --out")
