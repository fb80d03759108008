"""The media behind a recipe, spoiled as conditions say, for runs that are evaluated under them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache

from emotiwave.conditions.media import SpoiledMedia, check_media
from emotiwave.conditions.registry import Condition
from emotiwave.config import Recipe
from emotiwave.errors import ConfigError
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.evaluation.under_conditions import read_conditions
from emotiwave.features.extraction.settings import MediaFeatureSettings
from emotiwave.recordings import MediaRecordings
from emotiwave.types import Corpus


def checked_conditions(settings: EvaluationSettings, recipe: Recipe, corpus: Corpus) -> list[Condition]:
    """Read the conditions of settings, and refuse those that the corpus, or the media of the recipe, cannot meet.

    Raises:
        ConfigError: What can be asked for is named.
    """
    conditions = read_conditions(settings.conditions, corpus)
    if not conditions and settings.masks is not None:
        raise ConfigError("masks are of conditions; name one, such as --condition missing, or leave the masks out")
    if any(condition.of.signal for condition in conditions):
        recordings = _media(recipe)
        for condition in conditions:
            check_media(condition, corpus, recordings, recipe.features)
    return conditions


@contextmanager
def spoiling(
    recipe: Recipe, corpus: Corpus, ids: Sequence[str], settings: EvaluationSettings
) -> Iterator[Callable[[Condition, float, int], Corpus]]:
    """Give what spoils the media of a recipe; they are looked for when they are first needed.

    Where the settings name a folder for masks, the features are kept beside them.
    """
    with ExitStack() as stack:

        @cache
        def media() -> SpoiledMedia | None:
            recordings = _media(recipe)
            if recordings is None or not isinstance(recipe.features, MediaFeatureSettings):
                return None
            return stack.enter_context(SpoiledMedia(recordings, recipe.features, corpus, ids, kept_in=settings.masks))

        def spoil(condition: Condition, severity: float, draw: int) -> Corpus:
            found = media()
            if found is None:
                raise ConfigError(f"condition {condition}: {corpus.name} has no media")
            return found.spoil(condition, severity, draw)

        yield spoil


def _media(recipe: Recipe) -> MediaRecordings | None:
    """The media of a recipe; None where it has features alone."""
    if not isinstance(recipe.features, MediaFeatureSettings):
        return None
    recordings = recipe.load_recordings()
    return recordings if isinstance(recordings, MediaRecordings) else None
