"""Made corpora for the methods to compare with."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from emotiwave.sequences import ComputationalSequence, FeatureSequence
from emotiwave.types import Corpus, LabelSet, Utterance, all_configurations
from tests.made import small_corpus

KINDS = ("categorical", "multilabel", "distribution", "continuous")


@cache
def corpus_of(kind: str) -> Corpus:
    """Utterances of which some lack modalities, with labels of any kind, and something to call posteriors."""
    corpus = small_corpus(task="multilabel" if kind == "multilabel" else "categorical", n_train=60, missing=0.3)
    rng = np.random.default_rng(0)
    n, names = len(corpus.utterances), corpus.label_set.names
    if kind == "continuous":
        values = rng.uniform([-3, 0], [3, 1], size=(n, 2))
        return relabelled(corpus, LabelSet("continuous", ("sentiment", "fear"), ((-3.0, 3.0), (0.0, 1.0))), values)
    if kind == "distribution":
        return relabelled(corpus, LabelSet("distribution", names), rng.dirichlet(np.ones(len(names)), size=n))
    return corpus


def relabelled(corpus: Corpus, label_set: LabelSet, values: np.ndarray) -> Corpus:
    """Give utterances rows of numbers as labels, which are also the posteriors."""
    utterances = tuple(
        replace(utterance, label=tuple(map(float, row)))
        for utterance, row in zip(corpus.utterances, values, strict=True)
    )
    posteriors = {str(c): values for c in all_configurations(corpus.modalities)}
    return replace(corpus, label_set=label_set, utterances=utterances, posteriors=posteriors)


def with_frames(corpus: Corpus, modality: str, change: Callable[[str, np.ndarray], np.ndarray | None]) -> Corpus:
    """Change the frames of each utterance in one modality; None takes them away."""
    old = corpus.sequences[modality]
    changed = {name: change(name, old[name].values.copy()) for name in old.ids}
    sequences = {
        name: FeatureSequence(values, np.full((len(values), 2), np.nan))
        for name, values in changed.items()
        if values is not None
    }
    new = ComputationalSequence.from_sequences(sequences, size=old.size)
    return replace(corpus, sequences={**corpus.sequences, modality: new})


def table_corpus(features: dict[str, np.ndarray], labels: list[str], splits: list[str], dialogues: list) -> Corpus:
    """One frame per utterance and modality; rows of NaN are not there."""
    ids = [f"u{i}" for i in range(len(labels))]
    sequences = {}
    for name, rows in features.items():
        found = {u: row[None].astype(np.float32) for u, row in zip(ids, rows, strict=True) if not np.isnan(row).all()}
        sequences[name] = ComputationalSequence.from_sequences(
            {u: FeatureSequence(frame, np.full((1, 2), np.nan)) for u, frame in found.items()}, size=rows.shape[1]
        )
    utterances = tuple(
        Utterance(id=name, label=label, split=split, dialogue=dialogue)
        for name, label, split, dialogue in zip(ids, labels, splits, dialogues, strict=True)
    )
    label_set = LabelSet("categorical", tuple(sorted(set(labels))))
    return Corpus("table", "made", "made", label_set, utterances, sequences)
