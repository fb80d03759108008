"""When, by a run: what moves its answer for each stretch of a clip, by the first explainer that its model can."""

from collections.abc import Collection, Sequence

import numpy as np

from emotiwave.analysis import AttributedSpan, Attribution
from emotiwave.batch import collate, keep_only
from emotiwave.explanation.explainers import EXPLAINERS, explainers_of
from emotiwave.explanation.units import units_of, word_of
from emotiwave.models.fusion import FusionModel
from emotiwave.types import Corpus

MOST_STRETCHES = 8
"""Stretches of a clip up to which they are explained in time."""


def attribute(
    model: FusionModel,
    corpus: Corpus,
    starts: Sequence[float],
    shares: Sequence[float],
    heard: Collection[str],
    target: int,
) -> tuple[Attribution, ...]:
    """Say when each modality speaks for a class.

    Args:
        model: Of the run.
        corpus: The stretches, each an utterance.
        starts: When each begins, in seconds of the clip; NaN where there are no times.
        shares: Of the whole clip, which the score of each has in that of the clip.
        heard: The modalities to listen to.
        target: The class.
    """
    name = explainers_of(model)[0]
    spans: dict[str, list[AttributedSpan]] = {}
    baseline = ""
    for index, (start, share) in enumerate(zip(starts, shares, strict=True)):
        batch = keep_only(collate(corpus, [index]), heard)
        units = units_of(corpus, index, batch, 0, names=[one for one in corpus.modalities if one in heard])
        if not units:
            continue
        found = EXPLAINERS[name](model, batch, target, units)
        baseline = found.baseline
        for unit, value in zip(units, found.of(units).tolist(), strict=True):
            times = (start + unit.start, start + unit.end)
            is_timed = bool(np.isfinite(times).all())
            spans.setdefault(unit.modality, []).append(
                AttributedSpan(
                    start=max(0.0, times[0]) if is_timed else None,
                    end=max(0.0, times[1]) if is_timed else None,
                    text=word_of(model, batch, unit),
                    value=share * value,
                )
            )
    label = model.spec.label_set.names[target]
    return tuple(
        Attribution(modality=modality, target=label, method=name, baseline=baseline, spans=tuple(of))  # pyright: ignore[reportArgumentType]
        for modality, of in spans.items()
    )
