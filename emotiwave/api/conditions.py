"""A run under conditions: the same model, the same utterances, input hidden or spoiled ever more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from emotiwave.conditions.masks import draw_masks, read_masks, write_masks
from emotiwave.conditions.registry import Condition, read_condition, spoilt, with_hidden
from emotiwave.errors import ConfigError
from emotiwave.evaluation.curves import score_curve
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.inference import predict
from emotiwave.models.fusion import FusionModel
from emotiwave.types import Configuration, Corpus, Predictions, Score


@dataclass(frozen=True)
class MasksUsed:
    """Which masks a curve met: their file, their hash, and how much they hide at each severity."""

    condition: str
    seed: int
    file: str
    sha256: str
    realised: dict[float, float]


def under_conditions(
    model: FusionModel,
    corpus: Corpus,
    unspoiled: Predictions,
    settings: EvaluationSettings,
    *,
    folder: Path,
    name: str,
    seed: int | None,
    thresholds: NDArray | None,
) -> tuple[list[Score], list[MasksUsed]]:
    """Score a model under the conditions of its settings.

    Args:
        model: What answers.
        corpus: Where the utterances are from.
        unspoiled: What it says of them as they are.
        settings: The conditions, and how often each is drawn.
        folder: Where masks are kept, unless the settings name another folder: read if there, else drawn and written.
        name: Of the model, for the rows.
        seed: Of its training.
        thresholds: Of the complete configuration; the fixed ones by default.

    Raises:
        ConfigError: If there is no such condition, or it does not suit the corpus or the model.
        DatasetError: If a file of masks is of something else, or damaged.
    """
    rows, used = [], []
    complete = Configuration(corpus.modalities)
    for condition in read_conditions(settings.conditions, corpus):
        _check_frames(condition, model, corpus)
        by_severity: dict[float, list[Predictions]] = {severity: [] for severity in condition.severities}
        for draw in range(settings.draws if condition.of.is_drawn else 1):
            for severity, changed in _changed(condition, corpus, unspoiled, settings, draw, folder, used):
                by_severity[severity].append(predict(model, changed, unspoiled.split, (complete,)))
        rows += score_curve(
            unspoiled,
            by_severity,
            settings,
            condition=str(condition),
            model=name,
            dataset=corpus.name,
            seed=seed,
            thresholds=thresholds,
        )
    return rows, used


def read_conditions(texts: Sequence[str], corpus: Corpus) -> list[Condition]:
    """Read conditions as settings name them.

    Raises:
        ConfigError: If one is unknown, does not suit the corpus, or is named twice.
    """
    found = [read_condition(text) for text in texts]
    for condition in found:
        condition.modalities(corpus)
    names = [str(condition) for condition in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"condition {min(twice)} is named twice; give all its severities at once")
    return found


def _changed(
    condition: Condition,
    corpus: Corpus,
    unspoiled: Predictions,
    settings: EvaluationSettings,
    seed: int,
    folder: Path,
    used: list[MasksUsed],
) -> Iterator[tuple[float, Corpus]]:
    """The utterances at each severity; notes the masks that they met."""
    ids = unspoiled.ids
    if condition.of.hide is None:
        for severity in condition.severities:
            yield severity, spoilt(corpus, ids, condition, severity, seed)
        return
    place = settings.masks or folder
    path = place / f"{str(condition).replace(':', '-')}.{unspoiled.split}.{seed}.parquet"
    if path.exists():
        masks = read_masks(path, corpus, unspoiled.split, condition, seed)
    else:
        masks = draw_masks(corpus, unspoiled.split, condition, seed)
        write_masks(masks, path)
    used.append(MasksUsed(str(condition), seed, path.name, masks.digest, dict(masks.realised)))
    for severity in condition.severities:
        yield severity, with_hidden(corpus, ids, masks.hidden[severity])


def _check_frames(condition: Condition, model: FusionModel, corpus: Corpus) -> None:
    """Refuse noise on frames that are codes, such as letters: there is no little of another letter."""
    if condition.kind != "feature_noise":
        return
    for name in condition.modalities(corpus):
        if name in model.modalities and model.encoder(name).resting_frame is None:
            others = [other for other in model.modalities if model.encoder(other).resting_frame is not None]
            raise ConfigError(
                f"condition {condition}: the frames of {name} are codes, which noise would turn into others; "
                + (f"ask for feature_noise:{others[0]}" if others else "there is no other modality to ask for")
            )
