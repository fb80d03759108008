"""A contextual LSTM in the style of bc-LSTM: each utterance is answered with its neighbours in the dialogue in view."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from emotiwave.dialogues import find_dialogues
from emotiwave.errors import TrainingError
from emotiwave.inference import as_predictions
from emotiwave.models.layers import CLIP
from emotiwave.references.context_network import (
    ContextNetwork,
    Dialogues,
    gather_dialogues,
    in_batches,
)
from emotiwave.references.reference import Reference
from emotiwave.references.utterance_vectors import UtteranceReader, UtteranceVectors, fit_reader
from emotiwave.settings import Settings
from emotiwave.training.module import task_loss
from emotiwave.training.randomness import derived_seed, draw_kept
from emotiwave.training.statistics import class_weights
from emotiwave.types import Configuration, Corpus, LabelSet, Predictions, all_configurations


class ContextLstmSettings(Settings):
    """How many models there are, how wide they are, and how they are trained."""

    models: Literal["per_configuration", "one"] = "per_configuration"
    """``per_configuration``: a model for each, trained on its modalities alone, as published. ``one``: a single model
    for all, trained with ``modality_dropout``."""
    modality_dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Probability that an utterance loses a modality in a step of the one model; one that is present always stays."""
    hidden: int = Field(default=64, gt=0)
    """Width of each LSTM, per direction."""
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    epochs: int = Field(default=10, gt=0)
    """A fixed number; the last weights are kept."""
    batch_size: int = Field(default=64, gt=0)
    """Utterances in a step, at least: dialogues stay whole."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1e30)
    weight_decay: float = Field(default=1e-2, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    class_weights: bool = True
    """Weigh classes so that rare ones count as much as frequent ones."""


@dataclass(frozen=True, eq=False)
class FittedContextLstm:
    """The networks, which go by the set of modalities of the configurations that they answer."""

    reader: UtteranceReader
    networks: Mapping[frozenset[str], ContextNetwork]
    settings: ContextLstmSettings
    n_steps: int

    @property
    def n_parameters(self) -> int:
        """Trained numbers of all networks."""
        different = {id(network): network for network in self.networks.values()}
        return sum(parameter.numel() for network in different.values() for parameter in network.parameters())

    @torch.inference_mode()
    def predict(self, corpus: Corpus, split: str) -> Predictions:
        """Logits of every utterance of a split in each configuration, its neighbours in the split in view.

        Raises:
            DatasetError: If the split is empty, or the corpus is of another form than that of training.
            TrainingError: If an answer is not finite.
        """
        vectors = _read(self.reader, corpus, split)
        batches = list(in_batches(find_dialogues(corpus, split), self.settings.batch_size))
        logits = {}
        for configuration in all_configurations(corpus.modalities):
            answers = np.tile(self.reader.prior, (len(corpus.indices(split)), 1)).astype(np.float32)
            network = self.networks.get(frozenset(self.reader.usable(configuration)))
            if network is not None:
                for batch in batches:
                    dialogues = _keep_only(gather_dialogues(vectors, network.names, batch), configuration)
                    rows = dialogues.rows[dialogues.is_utterance].numpy()
                    answers[rows] = _answer(network, dialogues, self.reader).numpy()
            if not np.isfinite(answers).all():
                raise _diverged(corpus, configuration, self.settings, "answers are not finite")
            logits[configuration] = answers
        return as_predictions(corpus, split, logits, vectors.n_non_finite)


def fit(corpus: Corpus, settings: ContextLstmSettings, seed: int) -> FittedContextLstm:
    """Train the networks on the training utterances for a fixed number of epochs.

    In the style of bc-LSTM (Poria et al., 2017, Context-Dependent Sentiment Analysis in User-Generated Videos, ACL,
    section 3): a bidirectional LSTM over the utterances of a dialogue per modality, and another over their states. What
    differs: utterance vectors are mean frames, all levels are trained together, and modalities may be missing.

    An utterance is answered from its neighbours too, those after it among them. So answers are transductive: of the
    scored dialogues it sees all utterances, without their labels. Models that see one utterance at a time do not.

    Raises:
        DatasetError: If there are no training utterances, or a class cannot be learned from them.
        TrainingError: If the loss is no longer a number.
    """
    reader = fit_reader(corpus)
    everything = Configuration(corpus.modalities)
    wanted = all_configurations(corpus.modalities) if settings.models == "per_configuration" else (everything,)
    groups = dict.fromkeys(names for names in map(reader.usable, wanted) if names)
    networks: dict[frozenset[str], ContextNetwork] = {}
    n_steps = 0
    with torch.random.fork_rng():
        for number, names in enumerate(groups):
            run = _Training(corpus, reader, names, settings, derived_seed(seed, number))
            networks[frozenset(names)], n_taken = run.train()
            n_steps += n_taken
    if settings.models == "one":
        (network,) = networks.values()
        networks = {frozenset(reader.usable(c)): network for c in all_configurations(corpus.modalities)}
    return FittedContextLstm(reader, networks, settings, n_steps)


class _Training:
    """The training of one network on some modalities."""

    def __init__(
        self, corpus: Corpus, reader: UtteranceReader, names: tuple[str, ...], settings: ContextLstmSettings, seed: int
    ) -> None:
        self.corpus, self.reader, self.names, self.settings, self.seed = corpus, reader, names, settings, seed
        train = corpus.indices("train")
        self.vectors = _read(reader, corpus, "train")
        self.dialogues = find_dialogues(corpus, "train")
        self.targets = torch.from_numpy(corpus.targets[train])
        self.weights = class_weights(corpus, train, balanced=settings.class_weights)

    def train(self) -> tuple[ContextNetwork, int]:
        """Train, and say how many steps it took."""
        settings = self.settings
        torch.manual_seed(self.seed)
        sizes = {name: self.reader.sizes[name] for name in self.names}
        network = ContextNetwork(sizes, len(self.reader.prior), hidden=settings.hidden, dropout=settings.dropout)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        n_steps = 0
        for epoch in range(settings.epochs):
            losses = []
            order = np.random.default_rng(derived_seed(self.seed, epoch)).permutation(len(self.dialogues))
            for batch in in_batches([self.dialogues[i] for i in order], settings.batch_size):
                loss = self._loss(network, gather_dialogues(self.vectors, self.names, batch))
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
                optimiser.step()
                losses.append(float(loss.detach()))
            n_steps += len(losses)
            mean = sum(losses) / len(losses)
            if not math.isfinite(mean):
                what = f"the loss became {mean} in epoch {epoch + 1}"
                raise _diverged(self.corpus, Configuration(self.names), settings, what)
        return network.eval(), n_steps

    def _loss(self, network: ContextNetwork, dialogues: Dialogues) -> Tensor:
        if self.settings.models == "one" and self.settings.modality_dropout:
            flat = {name: present.flatten() for name, present in dialogues.present.items()}
            dialogues = dialogues.keep(draw_kept(flat, self.settings.modality_dropout, torch.default_generator))
        logits = _answer(network, dialogues, self.reader)
        targets = self.targets[dialogues.rows[dialogues.is_utterance]]
        return task_loss(logits, targets, self.corpus.label_set, self.weights)


def _answer(network: ContextNetwork, dialogues: Dialogues, reader: UtteranceReader) -> Tensor:
    """Logits ``(utterances, n_classes)``, dialogue after dialogue; the prior where nothing is present."""
    is_utterance = dialogues.is_utterance
    answers = network(dialogues)[is_utterance]
    prior = torch.from_numpy(reader.prior).to(answers)
    if reader.label_set.kind == "continuous":
        answers = prior + _half_ranges(reader.label_set).to(answers) * answers
    has_any = torch.stack(list(dialogues.present.values())).any(dim=0)[is_utterance]
    return torch.where(has_any[:, None], answers, prior)


def _half_ranges(label_set: LabelSet) -> Tensor:
    low, high = label_set.bounds
    return torch.from_numpy((high - low) / 2)


def _keep_only(dialogues: Dialogues, configuration: Configuration) -> Dialogues:
    return dialogues.keep(
        {name: torch.full_like(here, name in configuration) for name, here in dialogues.present.items()}
    )


def _read(reader: UtteranceReader, corpus: Corpus, split: str) -> UtteranceVectors:
    """Read vectors with wild outliers cut, as networks here do."""
    vectors = reader.read(corpus, split)
    clipped: dict[str, NDArray[np.float32]] = {
        name: np.clip(values, -CLIP, CLIP) for name, values in vectors.values.items()
    }
    return UtteranceVectors(clipped, vectors.present, vectors.n_non_finite)


def _diverged(corpus: Corpus, configuration: Configuration, settings: ContextLstmSettings, what: str) -> TrainingError:
    return TrainingError(
        f"{corpus.name}: context LSTM of {configuration}: {what}; train with a lower learning rate than "
        f"{settings.learning_rate:g}"
    )


REFERENCE = Reference(
    fit=fit,
    settings=ContextLstmSettings,
    about="bidirectional LSTMs over the utterances of a dialogue, in the style of bc-LSTM",
    mode=(
        "fixed epochs over whole dialogues; sees the unlabelled neighbours in the scored dialogue; told what will be "
        'missing unless models = "one"'
    ),
    seeded=True,
    sees_neighbours=True,
)
