"""Modalities that come as features already: brought to the frames of the store, and put beside extracted ones."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from emotiwave.errors import ConfigError
from emotiwave.features.align import collapse, observed_frames
from emotiwave.features.planning import plan_frames
from emotiwave.features.prepared import PreparedModality, PreparedRecording
from emotiwave.features.settings import FeatureSettings
from emotiwave.sequences import ComputationalSequence, FeatureSequence

Given = Mapping[str, ComputationalSequence]
"""Modality -> its features, by utterance id."""


def check_given(given: Given, extracted: Collection[str], settings: FeatureSettings, *, corpus: str) -> None:
    """Refuse an extractor for what is there already, and to align what no word can be found for.

    Raises:
        ConfigError: The modality and the key are named.
    """
    for modality in given:
        if modality in extracted:
            raise ConfigError(
                f"features.extractors: {modality} is to be extracted, but {corpus} gives {modality} as features "
                "already; leave its extractor, or the encoder that asks for it, out, or rename the modality"
            )
        if settings.align == "words":
            raise ConfigError(
                f'features.align = "words": {corpus} gives {modality} as features, which cannot be aligned any more; '
                "take the key out"
            )


def add_given(prepared: PreparedRecording, given: Given, settings: FeatureSettings) -> PreparedRecording:
    """Put the given features of the utterances of a recording beside what was extracted of them.

    Frames are pooled or cut to the budget of their modality, and are unobserved where they are not finite or all zero,
    as extracted ones are. An utterance is kept if any modality of either kind has a frame.
    """
    if not given:
        return prepared
    modalities, counts = dict(prepared.modalities), Counter(prepared.counts)
    for modality, sequence in given.items():
        parts = [_bring(modality, sequence, name, settings, counts) for name in prepared.ids]
        modalities[modality] = PreparedModality(
            values=np.concatenate([np.empty((0, sequence.size), np.float32), *(part.values for part in parts)]),
            intervals=np.concatenate([np.empty((0, 2)), *(part.intervals for part in parts)]),
            lengths=tuple(len(part.values) for part in parts),
            observed=tuple(len(part.values) > 0 for part in parts),
        )
    observed = zip(*(of.observed for of in modalities.values()), strict=True)
    return replace(prepared, modalities=modalities, counts=counts, kept=tuple(any(of) for of in observed))


def _bring(
    modality: str, sequence: ComputationalSequence, name: str, settings: FeatureSettings, counts: Counter[str]
) -> FeatureSequence:
    """Bring the frames of an utterance to those of the store; none where it lacks the modality."""
    nothing = FeatureSequence(np.empty((0, sequence.size), np.float32), np.empty((0, 2)))
    without = f"utterances without {modality}"
    if not sequence.n_frames(name):
        counts[without] += 1
        return nothing
    found, budget = sequence[name], settings.budget(modality)
    plan, is_longer = plan_frames(found.intervals, np.empty((0, 2)), settings, budget)
    values = collapse(found.values, observed_frames(found.values), [plan], settings.collapse)
    n_observed = int(np.isfinite(values).all(axis=1).sum())
    counts[f"utterances of more {modality} frames than {budget}"] += is_longer
    counts[f"{modality} frames"] += len(values)
    counts[f"{modality} frames unobserved"] += len(values) - n_observed
    if settings.unobserved == "zero":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    elif not n_observed:
        counts[without] += 1
        return nothing
    counts[f"utterances with {modality} as features already"] += 1
    return FeatureSequence(values, plan.intervals)


def stored_frames(sequence: ComputationalSequence, modality: str, settings: FeatureSettings) -> int:
    """How many frames of a given modality a store takes at most."""
    budget, lengths = settings.budget(modality), np.diff(sequence.offsets)
    return len(lengths) * budget if settings.pad else int(np.minimum(lengths, budget).sum())
