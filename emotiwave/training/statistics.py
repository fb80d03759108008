"""What a model keeps of its training data: scale of each feature, frequency of each class, mean of each value."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotiwave.batch import collate
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.models.fusion import FusionModel
from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus, LabelSet

UTTERANCES_AT_ONCE = 64


def without_unlearnable(corpus: Corpus) -> Corpus:
    """Leave out the modalities of which no training utterance has a frame; where that is all of them, none.

    What they hold of other splits can tell a model nothing, for it never met the like.

    Raises:
        DatasetError: If an utterance has nothing else.
    """
    ids = [utterance.id for utterance in corpus.utterances if utterance.split == "train"]
    kept = {name: sequence for name, sequence in corpus.sequences.items() if _is_observed(sequence, ids)}
    if not kept or len(kept) == len(corpus.sequences):
        return corpus
    for utterance in corpus.utterances:
        if not any(sequence.n_frames(utterance.id) for sequence in kept.values()):
            lost = ", ".join(corpus.sequences.keys() - kept.keys())
            raise DatasetError(
                f"{corpus.name}: {utterance.split} utterance {utterance.id!r} has {lost} alone, and no training "
                f"utterance has {lost}; leave the utterance out of the corpus, or give training utterances {lost}"
            )
    return replace(corpus, sequences=kept)


def _is_observed(sequence: ComputationalSequence, ids: list[str]) -> bool:
    return any(np.isfinite(sequence[name].values).all(axis=1).any() for name in ids if name in sequence)


def fit_statistics(
    model: FusionModel, corpus: Corpus, indices: NDArray[np.int64], *, batch_size: int = UTTERANCES_AT_ONCE
) -> None:
    """Let the model and its encoders take what they need of the training utterances, and set its prior.

    The prior is the share of each class, as log-odds (multilabel) or log (one class holds), or the mean of each
    continuous label.

    Raises:
        DatasetError: If a class never occurs, or (multilabel) always does, or a continuous label never varies.
        FeatureError: If a modality has no finite frame in training, or not what its encoder takes.
    """
    ids = [corpus.utterances[index].id for index in indices]
    for name in model.modalities:
        try:
            model.encoder(name).fit(corpus.sequences[name], ids)
        except FeatureError as error:
            raise FeatureError(f"{corpus.name}: {name} {error}") from None
    by_length = indices[np.argsort(corpus.lengths(indices), kind="stable")]
    starts = range(0, len(by_length), batch_size)
    model.fit((collate(corpus, by_length[start : start + batch_size]) for start in starts), len(indices))
    model.prior_logits.copy_(torch.from_numpy(prior_logits(corpus, indices)))


def prior_logits(corpus: Corpus, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits ``(n_classes,)`` of the answer that looks at nothing: class shares, or means of continuous labels.

    Raises:
        DatasetError: As `fit_statistics`.
    """
    if corpus.label_set.kind == "continuous":
        targets = corpus.targets[indices].astype(np.float64)
        for name, same, value in zip(corpus.label_set.names, (targets == targets[0]).all(0), targets[0], strict=True):
            if same:
                raise DatasetError(
                    f"{corpus.name}: {name!r} is {value:g} in every training utterance, so nothing can be learned "
                    "about it; take it out of the label set or change the split"
                )
        return targets.mean(axis=0)
    share = class_shares(corpus, indices)
    return np.log(share) if corpus.label_set.is_exclusive else np.log(share / (1 - share))


def class_shares(corpus: Corpus, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the utterances in which each class holds, or its mean share of raters ``(n_classes,)``; all above 0."""
    counts = corpus.targets[indices].sum(axis=0)
    for name, count in zip(corpus.label_set.names, counts, strict=True):
        always = corpus.label_set.kind == "multilabel" and count == len(indices)
        if count == 0 or always:
            raise DatasetError(
                f"{corpus.name}: class {name!r} holds in {'every' if always else 'no'} training utterance, so nothing "
                "can be learned about it; choose another split or task, or add utterances"
            )
    return counts.astype(np.float64) / len(indices)


def class_weights(corpus: Corpus, indices: NDArray[np.int64], *, balanced: bool) -> Tensor:
    """Weights of the classes in the loss ``(n_classes,)``; ones where nothing is to be balanced."""
    if not balanced or corpus.label_set.kind == "continuous":
        return torch.ones(len(corpus.label_set.names))
    return balanced_weights(class_shares(corpus, indices), corpus.label_set)


def balanced_weights(shares: NDArray[np.float64], label_set: LabelSet) -> Tensor:
    """Weights that make classes count alike.

    One class holds: 1 / (n_classes x share), as scikit-learn's ``balanced``. Multilabel: absences per presence.
    """
    weights = 1 / (len(shares) * shares) if label_set.is_exclusive else (1 - shares) / shares
    return torch.from_numpy(weights.astype(np.float32))
