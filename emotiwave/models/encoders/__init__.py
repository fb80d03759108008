"""Encoders, by name: each turns what the store holds of one modality into a sequence that models fuse."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from emotiwave.errors import unknown_name
from emotiwave.models.encoders.compact_resnet import CompactResnet, CompactResnetSettings
from emotiwave.models.encoders.conv import Conv, ConvSettings
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.features import Features, FeaturesSettings
from emotiwave.models.encoders.gru import Gru, GruSettings
from emotiwave.models.encoders.lean_text_transformer import LeanTextTransformer
from emotiwave.models.encoders.lstm import Lstm, LstmSettings
from emotiwave.models.encoders.projection import Projection, ProjectionSettings
from emotiwave.models.encoders.resnet import Resnet, ResnetSettings
from emotiwave.models.encoders.speech_transformer import SpeechTransformer, SpeechTransformerSettings
from emotiwave.models.encoders.text_transformer import TextTransformer, TextTransformerSettings
from emotiwave.pretrained.bert import can_read
from emotiwave.settings import Settings


class EncoderEntry(NamedTuple):
    """An encoder by name: the keys a recipe may set, and how it is built."""

    settings: type[Settings]
    build: type[ModalityEncoder]


class EncoderChoice(NamedTuple):
    """An encoder by name, and its settings."""

    name: str
    settings: Settings


ENCODERS: dict[str, EncoderEntry] = {
    "compact_resnet": EncoderEntry(CompactResnetSettings, CompactResnet),
    "conv": EncoderEntry(ConvSettings, Conv),
    "features": EncoderEntry(FeaturesSettings, Features),
    "gru": EncoderEntry(GruSettings, Gru),
    "lstm": EncoderEntry(LstmSettings, Lstm),
    "projection": EncoderEntry(ProjectionSettings, Projection),
    "resnet": EncoderEntry(ResnetSettings, Resnet),
    "speech_transformer": EncoderEntry(SpeechTransformerSettings, SpeechTransformer),
    "text_transformer": EncoderEntry(TextTransformerSettings, TextTransformer),
}


def build_encoder(choice: EncoderChoice, origin: Origin) -> ModalityEncoder:
    """Build an encoder.

    Raises:
        ConfigError: If it does not fit what the store holds, or its checkpoint cannot be found.
        CheckpointError: If its files are damaged.
    """
    settings = choice.settings
    is_text = isinstance(settings, TextTransformerSettings)
    if origin.lean and origin.folder is not None and is_text and can_read(origin.folder):
        return LeanTextTransformer(settings, origin)
    return ENCODERS[choice.name].build(settings, origin)


def choose_encoder(modality: str, chosen: str | Mapping[str, Any]) -> EncoderChoice:
    """Check the name and the keys of an encoder.

    Raises:
        ValueError: The modality and the key are named.
    """
    keys = {"name": chosen} if isinstance(chosen, str) else dict(chosen)
    name = keys.pop("name", None)
    if name is None:
        raise ValueError(
            f"{modality}: {', '.join(keys) or 'nothing'} of which encoder? Set {modality}.name to one of "
            f"{', '.join(ENCODERS)}"
        )
    if name not in ENCODERS:
        raise ValueError(f"{modality}: {unknown_name('encoder', str(name), ENCODERS)}")
    settings = ENCODERS[name].settings
    try:
        return EncoderChoice(name, settings.model_validate_json(json.dumps(keys), strict=True))
    except ValidationError as error:
        raise ValueError(f"{modality}: {name}: {_explain(error, settings)}") from None


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    problems = error.errors()
    first = problems[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # keys that contradict each other; the message names them
        return message
    key = str(first["loc"][0])  # what follows are the types of a union, each with a problem of its own
    if first["type"] == "extra_forbidden":
        return unknown_name("key", key, settings.model_fields)
    others = [problem["msg"] for problem in problems[1:] if problem["loc"][:1] == first["loc"][:1]]
    return f"{key}: {'; or: '.join([message, *others])}; got {first['input']!r}"
