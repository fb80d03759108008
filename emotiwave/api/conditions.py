"""A run under conditions: the same model, the same utterances, input hidden or spoiled ever more."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from emotiwave.conditions.masks import Masks, find_masks
from emotiwave.conditions.registry import Condition, read_condition, spoilt, with_hidden
from emotiwave.errors import ConfigError, DataWarning
from emotiwave.evaluation.curves import score_curve
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.inference import predict
from emotiwave.models.fusion import FusionModel
from emotiwave.types import Configuration, Corpus, Predictions, Score

CLOSE = 0.02
"""How far what is hidden may be from the severity without a word."""


@dataclass(frozen=True)
class Met:
    """What one draw of a condition was: its severities, and of masks their file, hash and how much they hide."""

    condition: str
    split: str
    seed: int
    severities: tuple[float, ...]
    file: str | None = None
    sha256: dict[float, str] | None = None
    realised: dict[float, float] | None = None


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
) -> tuple[list[Score], list[Met]]:
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
    rows, met = [], []
    complete = Configuration(corpus.modalities)
    conditions = read_conditions(settings.conditions, corpus)
    for condition in conditions:
        _check_frames(condition, model, corpus)
    for condition in conditions:
        by_severity: dict[float, list[Predictions]] = {severity: [] for severity in condition.severities}
        for draw in range(settings.draws if condition.of.is_drawn else 1):
            masks, noted = _find(condition, corpus, unspoiled.split, draw, settings.masks or folder)
            met.append(noted)
            for severity in condition.severities:  # of what is changed one copy only is kept
                by_severity[severity].append(
                    predict(
                        model,
                        _changed(condition, corpus, unspoiled, severity, draw, masks),
                        unspoiled.split,
                        (complete,),
                    )
                )
        _warn_of_realised(met[-1])
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
    return rows, met


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


def _find(condition: Condition, corpus: Corpus, split: str, seed: int, folder: Path) -> tuple[Masks | None, Met]:
    """The masks of a draw, and what to note of it."""
    if condition.of.hide is None:
        return None, Met(str(condition), split, seed, condition.severities)
    path = folder / f"{str(condition).replace(':', '-')}.{split}.{seed}.json"
    masks = find_masks(corpus, split, condition, seed, path)
    digests = masks.digests
    sha256 = {severity: digests[severity] for severity in condition.severities}
    realised = {severity: masks.realised[severity] for severity in condition.severities}
    return masks, Met(str(condition), split, seed, condition.severities, path.name, sha256, realised)


def _changed(
    condition: Condition, corpus: Corpus, unspoiled: Predictions, severity: float, draw: int, masks: Masks | None
) -> Corpus:
    if masks is None:
        return spoilt(corpus, unspoiled.ids, condition, severity, draw)
    return with_hidden(corpus, unspoiled.ids, masks.hidden[severity])


def _warn_of_realised(met: Met) -> None:
    """Say so where less is hidden than the severity says, as one modality is kept."""
    less = {s: share for s, share in (met.realised or {}).items() if share < s - CLOSE}
    if less:
        told = ", ".join(f"{share:.2f} at {severity:g}" for severity, share in less.items())
        warnings.warn(f"{met.condition}: no more is hidden than {told}", DataWarning, stacklevel=5)


def _check_frames(condition: Condition, model: FusionModel, corpus: Corpus) -> None:
    """Refuse noise on frames that are no measurements, such as letters: there is no little of another letter."""
    if condition.kind != "feature_noise":
        return
    for name in condition.modalities(corpus):
        if name in model.modalities and model.encoder(name).resting_frame is None:
            others = [other for other in model.modalities if model.encoder(other).resting_frame is not None]
            raise ConfigError(
                f"condition {condition}: the frames of {name} are no measurements that noise could be a share of; "
                + (f"ask for feature_noise:{others[0]}" if others else "there is no other modality to ask for")
            )
