"""A model over a split, in every configuration: encode once, fuse many. The same utterances in each."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from emotiwave.batch import collate
from emotiwave.dialogues import find_neighbours
from emotiwave.errors import CheckpointError, DatasetError
from emotiwave.models.fusion import FusionModel
from emotiwave.types import Configuration, Corpus, LabelSet, Predictions, all_configurations

BATCH_SIZE = 64


def check_fit(model: FusionModel, corpus: Corpus) -> None:
    """Refuse data that the model was not built for.

    Raises:
        DatasetError: If classes, ranges of values or modalities differ.
    """
    if model.spec.label_set != corpus.label_set:
        raise DatasetError(
            f"the model answers {_describe(model.spec.label_set)}; {corpus.name} has {_describe(corpus.label_set)}"
        )
    for name in model.modalities:
        if corpus.sizes.get(name) != model.spec.sizes[name]:
            raise DatasetError(
                f"the model needs {name} with {model.spec.sizes[name]} features; {corpus.name} has "
                + ", ".join(f"{m} ({size})" for m, size in corpus.sizes.items())
            )


def _describe(labels: LabelSet) -> str:
    if labels.ranges is None:
        return f"{', '.join(labels.names)} ({labels.kind})"
    ranges = (f"{name} from {low:g} to {high:g}" for name, (low, high) in zip(labels.names, labels.ranges, strict=True))
    return f"{', '.join(ranges)} ({labels.kind})"


@torch.inference_mode()
def predict(
    model: FusionModel,
    corpus: Corpus,
    split: str,
    configurations: Collection[Configuration] | None = None,
    *,
    device: torch.device | str = "cpu",
) -> Predictions:
    """Logits of every utterance of a split in each configuration (by default all of the corpus's modalities).

    Raises:
        DatasetError: If the split is empty or the model does not fit the corpus.
        CheckpointError: If an answer is not finite.
    """
    check_fit(model, corpus)
    indices = corpus.indices(split)
    wanted = tuple(configurations or all_configurations(corpus.modalities))
    logits = {c: np.empty((len(indices), model.n_classes), dtype=np.float32) for c in wanted}
    n_non_finite = dict.fromkeys(corpus.modalities, 0)
    by_length = np.argsort(corpus.lengths(indices), kind="stable")
    neighbours = None if model.context is None else find_neighbours(corpus, model.context)
    was_training = model.training
    model.eval()
    for start in range(0, len(indices), BATCH_SIZE):
        rows = by_length[start : start + BATCH_SIZE]
        batch = collate(corpus, indices[rows], neighbours)
        for configuration, answer in model.each_configuration(batch.to(device), wanted):
            if not torch.isfinite(answer).all():
                raise CheckpointError(
                    "the model gives answers that are not finite: its training diverged; train again with a lower "
                    "learning rate"
                )
            logits[configuration][rows] = answer.float().cpu().numpy()
        for name, count in batch.n_non_finite.items():
            n_non_finite[name] += count
    model.train(was_training)
    return as_predictions(corpus, split, logits, n_non_finite)


def as_predictions(
    corpus: Corpus,
    split: str,
    logits: Mapping[Configuration, NDArray[np.float32]],
    n_non_finite: Mapping[str, int],
) -> Predictions:
    """Put logits ``(utterances, n_classes)`` beside the utterances of a split that they are for."""
    indices = corpus.indices(split)
    return Predictions(
        ids=tuple(corpus.utterances[i].id for i in indices),
        groups=tuple(corpus.utterances[i].group for i in indices),
        split=split,
        label_set=corpus.label_set,
        targets=corpus.targets[indices],
        logits=logits,
        n_non_finite=n_non_finite,
    )
