"""The encoders that a recipe names, and whether they can be had: looked at before anything is extracted for them."""

import torch

from emotiwave.errors import EmotiwaveError
from emotiwave.models import MODELS
from emotiwave.models.encoders import ENCODERS, EncoderChoice, build_encoder, choose_encoder
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.pretrained_part import PretrainedPart, PretrainedSettings
from emotiwave.models.encoders.resnet import PUBLISHED, ResnetSettings
from emotiwave.models.encoders.speech_transformer import DEFAULT as SPEECH
from emotiwave.models.encoders.speech_transformer import SpeechTransformerSettings
from emotiwave.models.encoders.text_transformer import DEFAULT as TEXT
from emotiwave.models.encoders.text_transformer import TextTransformerSettings
from emotiwave.models.fusion import ModelSettings
from emotiwave.pretrained.loading import load_encoder

MAX_SIZE = 1000
"""Every encoder of raw signals takes frames of fewer values than this."""


def chosen_encoders(settings: ModelSettings) -> dict[str, EncoderChoice]:
    """Modality -> the encoder that the model has for it, where that is named by the settings or by the model."""
    chosen = {**MODELS[settings.name].default_encoders(), **settings.encoders}
    return {
        modality: choose_encoder(modality, of)
        for modality, of in chosen.items()
        if settings.name != "unimodal" or modality == settings.modality
    }


def resolve_encoders(settings: ModelSettings) -> None:
    """Find the checkpoint of every encoder, and build its network of the settings beside it, without weights.

    Raises:
        ConfigError: If one cannot be found, is of another kind, or has fewer layers than are to be trained.
        CheckpointError: If its files are damaged, or a folder holds no weights.
        MissingExtraError: If it needs a package that is not installed.
    """
    for modality, choice in chosen_encoders(settings).items():
        part = ENCODERS[choice.name].build
        if not issubclass(part, PretrainedPart) or not isinstance(choice.settings, PretrainedSettings):
            continue
        folder = None
        if (name := _checkpoint(choice)) is not None:
            try:
                files = load_encoder(name, part.kind, revision=choice.settings.revision, weights=False).files
                if files.commit is None:
                    files.weights()
            except EmotiwaveError as error:
                raise type(error)(f"model.encoders.{modality}: {error}") from None
            folder = files.folder
        size = next(size for size in range(1, MAX_SIZE) if part.fits(size))  # that of the data is not known yet
        with torch.device("meta"):
            build_encoder(choice, Origin(modality, size, folder))


def _checkpoint(choice: EncoderChoice) -> str | None:
    """Name the checkpoint that an encoder begins with; None where it begins at random."""
    match choice.settings:
        case ResnetSettings(pretrained=bool(wanted), depth=depth):
            return PUBLISHED[depth] if wanted else None
        case TextTransformerSettings(pretrained=True):
            return TEXT
        case SpeechTransformerSettings(pretrained=True):
            return SPEECH
    return getattr(choice.settings, "pretrained")  # noqa: B009 - a name or a folder
