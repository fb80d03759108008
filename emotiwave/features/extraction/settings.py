"""What a recipe may say of features that are extracted from media: extractors, faces, usability, the cache."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.faces.detectors import FaceSettings
from emotiwave.features.extraction.cache import default_folder
from emotiwave.features.extractor import Extractor
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.features.settings import FeatureSettings
from emotiwave.media.usability import UsabilitySettings
from emotiwave.settings import AbsolutePath, Settings

DEFAULTS = {"text": "hashed", "audio": "prosody", "vision": "face"}
"""Signal -> the extractor that is taken where none is named; none of them needs weights."""


class Choice(NamedTuple):
    """An extractor by name, and its settings."""

    name: str
    settings: Settings


class MediaFeatureSettings(FeatureSettings):
    """Keys of ``[features]`` for corpora of media: how signals become features, and those the frames of the store."""

    extractors: dict[str, str | dict[str, Any]] | None = None
    """Modality -> the name of its extractor, or a table of ``name`` and that extractor's own keys; by default
    ``hashed``, ``prosody`` and ``face`` for what the corpus has of text, sound and pictures."""
    for_encoders: dict[str, str] | None = None
    """Modality -> the extractor that gives the model's encoder what it takes, where ``extractors`` names none. A recipe
    sets it itself, by ``[model.encoders]``, and anything else is refused."""
    frame_rate: float = Field(default=5.0, gt=0, le=120)
    """Pictures per second that are taken of a video."""
    faces: FaceSettings = FaceSettings()
    """How faces are found and cut out."""
    usability: UsabilitySettings = UsabilitySettings()
    """What of the signals counts as unobserved."""
    subtitles: bool = True
    """Take words from the subtitles of a video where nothing else gives any."""
    speech_only: bool = False
    """Sound without speech counts as unobserved, by a voice activity detector (``emotiwave[vad]``)."""
    asr: str | None = None
    """A faster-whisper model, by name or folder, that hears words where nothing else gives any (``emotiwave[asr]``)."""
    language: str | None = None
    """What is spoken, as a code such as ``en``, for ``asr``; by default it finds out."""
    cache: bool = True
    """Keep what was extracted for the next time, whatever recipe asks for it."""
    cache_folder: AbsolutePath | None = None
    """Where; by default in the user's folder for caches."""

    @field_validator("extractors")
    @classmethod
    def _extractors_are_known(cls, given: Any) -> Any:
        if given is None:
            return None
        if not given:
            raise ValueError("expected at least one modality with its extractor, or no such key")
        chosen = {modality: choose(modality, of) for modality, of in given.items()}
        return {  # complete, with paths that mean the same file wherever the recipe is read
            modality: {"name": choice.name} | choice.settings.model_dump(mode="json", exclude_none=True)
            for modality, choice in chosen.items()
        }

    @field_validator("for_encoders")
    @classmethod
    def _needed_are_known(cls, given: Any) -> Any:
        for modality, name in (given or {}).items():
            choose(modality, name)
        return given

    @field_validator("asr")
    @classmethod
    def _folder_is_absolute(cls, given: Any) -> Any:
        return str(Path(given).absolute()) if given is not None and Path(given).is_dir() else given

    def choices(self, signals: Iterable[str]) -> dict[str, Choice]:
        """Modality -> its extractor, of those that can be had from a corpus with these signals.

        Raises:
            ConfigError: If a modality needs a signal that the corpus does not have.
        """
        signals, needed = tuple(signals), dict(self.for_encoders or {})
        if self.extractors is not None:
            return {modality: choose(modality, chosen) for modality, chosen in (needed | self.extractors).items()}
        heard = ("text",) if self.asr and "audio" in signals and "text" not in signals else ()
        found = {signal: DEFAULTS[signal] for signal in (*heard, *signals)}
        found |= {modality: name for modality, name in needed.items() if EXTRACTORS[name].signal in found}
        return {modality: choose(modality, name) for modality, name in found.items()}

    def shrunk_for(self, extractor: Extractor) -> str:
        """How several frames of an extractor become one."""
        return self.collapse if extractor.is_averageable else "middle"

    def most_frames(self, modality: str, extractor: Extractor) -> int:
        """The most frames of an utterance; pieces of a signal have a bound of their own, unless one is set by name."""
        if extractor.longest is None:
            return self.budget(modality)
        return extractor.longest if isinstance(self.frames, int) else self.frames.get(modality, extractor.longest)

    def check_poolable(self, extractors: Mapping[str, Extractor]) -> None:
        """Refuse to align or to pad pieces of a signal.

        Raises:
            ConfigError: The modality and the key are named.
        """
        for modality, extractor in extractors.items():
            for key, is_set in {'align = "words"': self.align == "words", "pad = true": self.pad}.items():
                if extractor.longest is not None and is_set:
                    raise ConfigError(
                        f"features.{key} is for frames that may be pooled; those of {extractor.identity['name']!r} "
                        f"({modality}) are pieces of the signal itself: take the key out, or choose another extractor"
                    )

    @property
    def kept_in(self) -> Path | None:
        """The folder of the cache."""
        return (self.cache_folder or default_folder()) if self.cache else None


def choose(modality: str, chosen: str | Mapping[str, Any]) -> Choice:
    """Check the name and the keys of an extractor.

    Raises:
        ValueError: The modality and the key are named.
    """
    keys = {"name": chosen} if isinstance(chosen, str) else dict(chosen)
    name = keys.pop("name", None)
    if name is None:
        shown = ", ".join(keys)
        raise ValueError(
            f"{modality}: {shown} of which extractor? Set {modality}.name to one of {', '.join(EXTRACTORS)}"
        )
    if name not in EXTRACTORS:
        raise ValueError(f"{modality}: {unknown_name('extractor', str(name), EXTRACTORS)}")
    if modality in DEFAULTS and EXTRACTORS[name].signal != modality:
        raise ValueError(f"{modality}: {name} is an extractor of {EXTRACTORS[name].signal}; name the modality so")
    settings = EXTRACTORS[name].settings
    try:
        return Choice(name, settings.model_validate_json(json.dumps(keys), strict=True))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise ValueError(f"{modality}: {name}: {unknown_name('key', key, settings.model_fields)}") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{modality}: {name}: {key}: {message}; got {problem['input']!r}") from None


def build_extractors(choices: Mapping[str, Choice]) -> dict[str, Extractor[Any, Any]]:
    """Build the extractor of each modality.

    Raises:
        EmotiwaveError: If one needs what is not installed, or weights that cannot be read; the modality is named.
    """
    built = {}
    for modality, choice in choices.items():
        extractor = EXTRACTORS[choice.name].build(choice.settings)
        if extractor.size < 1:
            raise ConfigError(f"{modality}: {choice.name} gives no features")
        built[modality] = extractor
    return built
