"""What is hidden together when asked what matters when: a word, or half a second of sound or pictures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from emotiwave.batch import Batch
from emotiwave.features.extractors.words import SIZE, decode_words
from emotiwave.models.fusion import FusionModel
from emotiwave.types import Corpus

SECONDS = 0.5
"""A window of frames; a longer frame stands for itself."""
EACH_FRAME = ("text",)
"""Modalities whose frames are words, each of which is a unit."""


@dataclass(frozen=True)
class Unit:
    """Frames ``first`` to before ``last`` of a modality of one utterance, from ``start`` to ``end`` in seconds."""

    modality: str
    first: int
    last: int
    start: float
    end: float


def units_of(
    corpus: Corpus,
    index: int,
    batch: Batch,
    row: int,
    *,
    names: Collection[str] | None = None,
    seconds: float = SECONDS,
) -> tuple[Unit, ...]:
    """Divide what is observed of one utterance into units, modality by modality, in order.

    Args:
        corpus: Where it is from; its intervals are the times.
        index: Which one of the corpus.
        batch: Where its frames are.
        row: Its row there.
        names: The modalities, all of the corpus by default.
        seconds: Length of a window.
    """
    name, found = corpus.utterances[index].id, []
    for modality in names or corpus.modalities:
        sequence = corpus.sequences[modality]
        if name not in sequence:
            continue
        observed = np.flatnonzero(batch.mask[modality][row].numpy())
        length = 0.0 if modality in EACH_FRAME else seconds
        found += _windows(modality, sequence[name].intervals, observed, length)
    return tuple(found)


def _windows(modality: str, intervals: NDArray[np.floating], observed: NDArray[np.int64], seconds: float) -> list[Unit]:
    found: list[list[int]] = []
    for frame in observed.tolist():
        fits = bool(found) and seconds > 0 and intervals[frame, 1] - intervals[found[-1][0], 0] <= seconds + 1e-6
        if fits:
            found[-1].append(frame)
        else:
            found.append([frame])
    return [
        Unit(modality, some[0], some[-1] + 1, float(intervals[some[0], 0]), float(intervals[some[-1], 1]))
        for some in found
    ]


def word_of(model: FusionModel, batch: Batch, unit: Unit) -> str | None:
    """What is said in a unit of one utterance, where its frames spell words; else None."""
    inputs = batch.inputs[unit.modality]
    if model.encoder(unit.modality).takes != "words" or inputs.shape[2] != SIZE:
        return None
    frames = inputs[0, unit.first : unit.last].clone().numpy()
    frames[0, 0] = 1.0  # what goes on with a long word begins one here
    return " ".join(decode_words(frames))


def hide(batch: Batch, units: Sequence[Unit], hidden: NDArray[np.bool_]) -> Batch:
    """Repeat an utterance ``(variants, units)`` times and hide in each what is True there.

    Args:
        batch: One utterance.
        units: What may be hidden of it.
        hidden: What is, in each variant.
    """
    n = len(hidden)
    mask: Mapping[str, torch.Tensor] = {name: of.expand(n, -1).clone() for name, of in batch.mask.items()}
    for column, unit in enumerate(units):
        mask[unit.modality][torch.from_numpy(hidden[:, column]), unit.first : unit.last] = False
    return replace(
        batch,
        ids=batch.ids * n,
        inputs={name: values.expand(n, -1, -1) for name, values in batch.inputs.items()},
        mask=dict(mask),
        targets=batch.targets.expand(n, -1),
        neighbours=None,
    )
