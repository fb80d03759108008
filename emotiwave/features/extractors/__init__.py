"""Extractors: each gives features of sound, pictures or words, and knows none of the others."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from emotiwave.features.extractor import Extractor
from emotiwave.features.extractors import (
    egemaps,
    face,
    glove,
    hashed,
    image_encoder,
    logmel,
    prosody,
    prosody_statistics,
    speech_encoder,
    text_encoder,
    tokens,
    waveform,
    words,
)
from emotiwave.settings import Settings


class ExtractorEntry(NamedTuple):
    """An extractor by name: what it reads, the keys a recipe may set, and how it is built.

    Building may raise `MissingExtraError`, `FeatureError`, `ConfigError` or `CheckpointError`; only then are large
    libraries imported.
    """

    signal: Literal["audio", "vision", "text"]
    settings: type[Settings]
    build: Callable[[Any], Extractor[Any, Any]]


EXTRACTORS: dict[str, ExtractorEntry] = {
    "egemaps": ExtractorEntry("audio", egemaps.EgemapsSettings, egemaps.Egemaps),
    "face": ExtractorEntry("vision", face.FaceCropSettings, face.Face),
    "glove": ExtractorEntry("text", glove.GloveSettings, glove.Glove),
    "hashed": ExtractorEntry("text", hashed.HashedSettings, hashed.Hashed),
    "image_encoder": ExtractorEntry("vision", image_encoder.ImageEncoderSettings, image_encoder.ImageEncoder),
    "logmel": ExtractorEntry("audio", logmel.LogMelSettings, logmel.LogMel),
    "prosody": ExtractorEntry("audio", prosody.ProsodySettings, prosody.Prosody),
    "prosody_statistics": ExtractorEntry(
        "audio", prosody_statistics.ProsodyStatisticsSettings, prosody_statistics.ProsodyStatistics
    ),
    "speech_encoder": ExtractorEntry("audio", speech_encoder.SpeechEncoderSettings, speech_encoder.SpeechEncoder),
    "text_encoder": ExtractorEntry("text", text_encoder.TextEncoderSettings, text_encoder.TextEncoder),
    "tokens": ExtractorEntry("text", tokens.TokensSettings, tokens.Tokens),
    "waveform": ExtractorEntry("audio", waveform.WaveformSettings, waveform.Waveform),
    "words": ExtractorEntry("text", words.WordsSettings, words.Words),
}
