"""The media behind a recipe, spoiled as conditions say, for runs that are evaluated under them."""

from collections.abc import Callable, Sequence
from functools import cache

from emotiwave.conditions.media import check_media, spoil_media
from emotiwave.conditions.registry import Condition
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.recordings import MediaRecordings
from emotiwave.types import Corpus


def check_signals(conditions: Sequence[Condition], recipe: Recipe, corpus: Corpus) -> None:
    """Refuse conditions of signals that the media of a recipe do not have.

    Raises:
        ConfigError: What can be asked for is named.
    """
    if any(condition.of.signal for condition in conditions):
        recordings = _media(recipe)
        for condition in conditions:
            check_media(condition, corpus, recordings, recipe.features)


def spoiling(recipe: Recipe, corpus: Corpus, ids: Sequence[str]) -> Callable[[Condition, float, int], Corpus]:
    """Give what spoils the media of a recipe; they are looked for when they are first needed."""
    media = cache(lambda: _media(recipe))

    def spoil(condition: Condition, severity: float, draw: int) -> Corpus:
        recordings = media()
        if recordings is None or not isinstance(recipe.features, MediaFeatureSettings):
            raise ConfigError(f"condition {condition}: {corpus.name} has no media")
        return spoil_media(recordings, recipe.features, corpus, ids, condition, severity, draw)

    return spoil


def _media(recipe: Recipe) -> MediaRecordings | None:
    """The media of a recipe; None where it has features alone."""
    if not isinstance(recipe.features, MediaFeatureSettings):
        return None
    recordings = recipe.load_recordings()
    return recordings if isinstance(recordings, MediaRecordings) else None
