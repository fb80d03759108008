"""Extractors: each gives features of sound, pictures or words, and knows none of the others."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from emotiwave.features.extractor import Extractor
from emotiwave.features.extractors import egemaps, face, glove, hashed, logmel, prosody, prosody_statistics, tokens
from emotiwave.settings import Settings


class ExtractorEntry(NamedTuple):
    """An extractor by name: what it reads, the keys a recipe may set, and how it is built.

    Building may raise `MissingExtraError` or `FeatureError`; only then are large libraries imported.
    """

    signal: Literal["audio", "vision", "text"]
    settings: type[Settings]
    build: Callable[[Any], Extractor[Any, Any]]


EXTRACTORS: dict[str, ExtractorEntry] = {
    "egemaps": ExtractorEntry("audio", egemaps.EgemapsSettings, egemaps.Egemaps),
    "face": ExtractorEntry("vision", face.FaceSettings, face.Face),
    "glove": ExtractorEntry("text", glove.GloveSettings, glove.Glove),
    "hashed": ExtractorEntry("text", hashed.HashedSettings, hashed.Hashed),
    "logmel": ExtractorEntry("audio", logmel.LogMelSettings, logmel.LogMel),
    "prosody": ExtractorEntry("audio", prosody.ProsodySettings, prosody.Prosody),
    "prosody_statistics": ExtractorEntry(
        "audio", prosody_statistics.ProsodyStatisticsSettings, prosody_statistics.ProsodyStatistics
    ),
    "tokens": ExtractorEntry("text", tokens.TokensSettings, tokens.Tokens),
}
