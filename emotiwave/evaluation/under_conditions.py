"""What is answered under conditions: the same utterances, the input hidden or spoiled ever more."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotiwave.conditions.hiding import Frames
from emotiwave.conditions.masks import Masks, find_masks
from emotiwave.conditions.registry import Condition, read_condition, spoilt, with_hidden
from emotiwave.errors import ConfigError, DataWarning
from emotiwave.evaluation.settings import EvaluationSettings
from emotiwave.files import file_digest
from emotiwave.types import Configuration, Corpus, Predictions

CLOSE = 0.02
"""How far what is hidden may be from the severity without a word."""
ROUNDING = 1e-6
Answer = Callable[[Corpus], Predictions]
"""Answers the scored split of a corpus in its complete configuration."""


@dataclass(frozen=True)
class Met:
    """What one draw of a condition was: its severities, and of masks their file, hash and how much they hide.

    Of a given sound it is the name and the hash of that.
    """

    condition: str
    split: str
    seed: int
    severities: tuple[float, ...]
    file: str | None = None
    sha256: dict[float, str] | None = None
    realised: dict[float, float] | None = None


@dataclass(frozen=True, eq=False)
class UnderCondition:
    """What was said of a split with the input spoiled.

    ``predictions`` are of the complete configuration alone; ``left`` is the configuration that is left of each
    utterance, whose thresholds decide: the complete one, less what ``missing`` takes away.
    """

    condition: str
    severity: float
    draw: int
    predictions: Predictions
    left: tuple[Configuration, ...]

    def thresholds(self, tuned: Mapping[Configuration, NDArray[np.float64]]) -> NDArray[np.float64] | None:
        """What decides each utterance ``(utterances, n_classes)``; None where nothing was tuned."""
        return np.stack([tuned[one] for one in self.left]) if tuned else None


def read_conditions(texts: Sequence[str], corpus: Corpus) -> list[Condition]:
    """Read conditions as settings name them.

    Raises:
        ConfigError: If one is unknown, does not suit the corpus, or is named as another one.
    """
    found = [read_condition(text) for text in texts]
    for condition in found:
        condition.modalities(corpus)
    files: dict[str, Path | None] = {}
    for condition in found:
        name = str(condition)
        if name in files and files[name] != condition.file:
            raise ConfigError(f"{files[name]} and {condition.file} would both be called {name}; rename one of them")
        if name in files:
            raise ConfigError(f"condition {name} is named twice; give all its severities at once")
        files[name] = condition.file
    return [_hideable(condition, corpus) if condition.of.of_several else condition for condition in found]


def _hideable(condition: Condition, corpus: Corpus) -> Condition:
    """Leave out the severities that hide nothing more than a lower one, as one modality is kept.

    Raises:
        ConfigError: If there is but one modality, which is kept.
    """
    n_modalities = len(corpus.modalities)
    if n_modalities == 1:
        raise ConfigError(
            f"condition {condition}: {corpus.name} has {corpus.modalities[0]} alone, which would be kept; ask for "
            "frame_drop"
        )
    most = 1 - 1 / n_modalities
    below = [severity for severity in condition.severities if severity < most - ROUNDING]
    beyond = condition.severities[len(below) :]
    if len(beyond) > 1:
        told = ", ".join(f"{severity:g}" for severity in beyond[1:])
        warnings.warn(
            f"{condition}: of {n_modalities} modalities {most:.2f} can be hidden, so {told} would be "
            f"{beyond[0]:g} once more; left out",
            DataWarning,
            stacklevel=3,
        )
    return replace(condition, severities=(*below, *beyond[:1]))


def answer_under_conditions(
    conditions: Sequence[Condition],
    corpus: Corpus,
    unspoiled: Predictions,
    answer: Answer,
    settings: EvaluationSettings,
    *,
    folder: Path,
    sees_neighbours: bool,
    spoil_signals: Callable[[Condition, float, int], Corpus],
) -> tuple[list[UnderCondition], list[Met]]:
    """Ask for answers under each condition, at each of its severities, for each draw.

    Where a modality is ``missing``, the answer is that of the configuration that is left, so that nothing is computed
    anew, unless what answers also looks at the neighbours of an utterance, from which other modalities are missing.

    Args:
        conditions: As `read_conditions` gives them.
        corpus: Where the utterances are from.
        unspoiled: What is said of them as they are, in every configuration.
        answer: What answers.
        settings: How often each condition is drawn.
        folder: Where masks are kept, unless the settings name another folder: read if there, else drawn and written.
        sees_neighbours: Whether what answers looks at other utterances than the one it is about.
        spoil_signals: Gives the scored utterances with features of media that a condition spoiled, at a severity, for a
            draw.

    Raises:
        ConfigError: If a condition does not suit the corpus.
        DatasetError: If a file of masks is of something else, or damaged.
    """
    found, met = [], []
    complete = max(unspoiled.logits, key=lambda c: len(c.modalities))
    for condition in conditions:
        for draw in range(settings.draws if condition.of.is_drawn else 1):
            masks, noted = _find(condition, corpus, unspoiled.split, draw, settings.masks or folder)
            met.append(noted)
            for severity in condition.severities:  # of what is changed one copy only is kept
                left = [complete] * len(unspoiled.ids)
                if masks is not None and condition.of.of_several:
                    left = [_left(complete, one, masks.hidden[severity]) for one in unspoiled.ids]
                if masks is not None and condition.of.of_several and not sees_neighbours:
                    predictions = _compose(unspoiled, complete, left)
                elif masks is not None:
                    predictions = answer(with_hidden(corpus, unspoiled.ids, masks.hidden[severity]))
                elif condition.of.signal is not None:
                    predictions = answer(spoil_signals(condition, severity, draw))
                else:
                    predictions = answer(spoilt(corpus, unspoiled.ids, condition, severity, draw))
                found.append(UnderCondition(str(condition), severity, draw, predictions, tuple(left)))
        _warn_of_realised(met[-1])
    return found, met


def _left(complete: Configuration, one: str, hidden: Frames) -> Configuration:
    return Configuration(tuple(name for name in complete.modalities if one not in hidden.get(name, {})))


def _compose(unspoiled: Predictions, complete: Configuration, left: Sequence[Configuration]) -> Predictions:
    rows = [unspoiled.logits[configuration][row] for row, configuration in enumerate(left)]
    return replace(unspoiled, logits={complete: np.stack(rows)})


def _find(condition: Condition, corpus: Corpus, split: str, seed: int, folder: Path) -> tuple[Masks | None, Met]:
    """The masks of a draw, and what to note of it."""
    if condition.of.hide is None:
        given = None if condition.file is None else dict.fromkeys(condition.severities, file_digest(condition.file))
        name = None if condition.file is None else condition.file.name
        return None, Met(str(condition), split, seed, condition.severities, name, given)
    path = folder / f"{str(condition).replace(':', '-')}.{split}.{seed}.json"
    masks = find_masks(corpus, split, condition, seed, path)
    digests = masks.digests
    sha256 = {severity: digests[severity] for severity in condition.severities}
    realised = {severity: masks.realised[severity] for severity in condition.severities}
    return masks, Met(str(condition), split, seed, condition.severities, path.name, sha256, realised)


def _warn_of_realised(met: Met) -> None:
    """Say so where less is hidden than the severity says, as one modality is kept."""
    less = {s: share for s, share in (met.realised or {}).items() if share < s - CLOSE}
    if less:
        told = ", ".join(f"{share:.2f} at {severity:g}" for severity, share in less.items())
        warnings.warn(f"{met.condition}: no more is hidden than {told}", DataWarning, stacklevel=5)
