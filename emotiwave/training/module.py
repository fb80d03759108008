"""The one training step, for every model."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from emotiwave.batch import Batch, collate
from emotiwave.dialogues import Context, find_neighbours
from emotiwave.models.fusion import Encoded, FusionModel
from emotiwave.training.averaging import MovingAverage
from emotiwave.training.randomness import EpochBatches, derived_seed, draw_kept, draw_kept_by_batch
from emotiwave.training.settings import TrainingSettings
from emotiwave.training.statistics import class_weights
from emotiwave.types import Corpus, LabelSet, all_configurations

CONTEXT_ALONE = 0.3
"""Weight of the loss of answers that neighbours give alone, where a model sees neighbours."""


class BatchesOf(Dataset[Batch]):
    """Makes a batch of the indices that the sampler gives."""

    def __init__(self, corpus: Corpus, context: Context | None) -> None:
        self.corpus = corpus
        self.neighbours = None if context is None else find_neighbours(corpus, context)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return collate(self.corpus, indices, self.neighbours)


class TrainingModule(LightningModule):
    """A model with its data, loss and optimiser."""

    class_weights: Tensor

    def __init__(self, model: FusionModel, corpus: Corpus, settings: TrainingSettings) -> None:
        super().__init__()
        self.model, self.corpus, self.settings = model, corpus, settings
        self.indices = corpus.indices("train")
        weights = class_weights(corpus, self.indices, balanced=settings.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        self.averaged = MovingAverage(model, settings.weight_average)
        self.losses: list[Tensor] = []
        self.n_non_finite: Counter[str] = Counter()

    def train_dataloader(self) -> DataLoader[Batch]:
        batches = EpochBatches(
            self.indices,
            self.corpus.lengths(self.indices) if self.settings.batch_by_length else np.zeros_like(self.indices),
            self.settings.batch_size,
            seed=self.settings.seed,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return DataLoader(BatchesOf(self.corpus, self.model.context), batch_size=None, sampler=batches)

    def on_train_epoch_start(self) -> None:
        self.losses = []

    def training_step(self, batch: Batch, step: int) -> Tensor:
        seed = derived_seed(self.settings.seed, self.current_epoch, step, self.global_rank)
        torch.manual_seed(seed)  # dropout inside the model; `fit` restores the caller's state
        encoded = self.model.encode(batch)
        if self.settings.configurations == "drawn" and self.settings.modality_dropout:
            generator = torch.Generator().manual_seed(seed)
            draw = draw_kept if self.settings.modality_dropout_per == "utterance" else draw_kept_by_batch
            encoded = encoded.keep(draw(encoded.present, self.settings.modality_dropout, generator))
        loss = self._loss(encoded, batch.targets)
        added = sum(self.model.auxiliary_losses(encoded).values(), torch.zeros_like(loss))
        if encoded.neighbours is not None:
            # beside what an utterance says itself little is left for its neighbours to explain; so they also try alone
            alone = self._loss(replace(encoded, context_alone=True), batch.targets)
            added = added + CONTEXT_ALONE * alone
        # what is added is no loss of the task, and models are compared by that; but what is not finite shows
        self.losses.append(loss.detach() + 0 * added.detach())
        if self.current_epoch == 0:
            self.n_non_finite.update(batch.n_non_finite)
        return loss + added

    def _loss(self, encoded: Encoded, targets: Tensor) -> Tensor:
        if self.settings.configurations == "drawn":
            return self._task_loss(self.model.fuse(encoded), targets)
        return self._loss_of_all_configurations(encoded, targets)

    def _loss_of_all_configurations(self, encoded: Encoded, targets: Tensor) -> Tensor:
        """Mean over the configurations, each of the utterances that have all its modalities."""
        present = {name: there[: encoded.n_asked] for name, there in encoded.present.items()}
        losses, answers = [], []
        for configuration in all_configurations(self.model.modalities):
            has_all = torch.stack([present[name] for name in configuration.modalities]).all(dim=0)
            if has_all.any():
                logits = self.model.fuse(encoded.keep_only(configuration))
                losses.append(self._task_loss(logits[has_all], targets[has_all]))
                answers.append(logits)
        if not losses:  # where nothing at all is present, the prior answers and nothing is learned
            return self._task_loss(self.model.fuse(encoded), targets)
        loss = torch.stack(losses).mean()
        complete = torch.stack(list(present.values())).all(dim=0)
        if not self.settings.distillation or not complete.any() or len(answers) < 2:
            return loss
        teacher = answers.pop()[complete].detach()  # configurations come with the complete one last
        distances = [distance_of_answers(answer[complete], teacher, self.corpus.label_set) for answer in answers]
        return loss + self.settings.distillation * torch.stack(distances).mean()

    def _task_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return task_loss(logits, targets, self.corpus.label_set, self.class_weights)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.averaged.update(self.model)

    @property
    def kept_model(self) -> FusionModel:
        """The model with averaged weights: what is validated and saved."""
        return self.averaged.module

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups = self.model.parameter_groups(self.settings.learning_rate)
        # fused takes a third of the time; in mixed precision Lightning refuses to clip gradients for it
        fused = self.settings.precision == "32-true"
        optimizer = torch.optim.AdamW(groups, weight_decay=self.settings.weight_decay, fused=fused)
        n_steps, schedule, warmup = (
            self.trainer.estimated_stepping_batches,
            self.settings.schedule,
            self.settings.warmup,
        )
        scheduler = LambdaLR(optimizer, lambda step: share_of_rate(step, int(n_steps), schedule, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def share_of_rate(step: int, n_steps: int, schedule: str, warmup: float) -> float:
    """The part of the learning rate that a step is taken at; steps count from 0.

    >>> [share_of_rate(step, 8, "linear", 0.25) for step in (0, 1, 2, 5, 8)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    >>> [round(share_of_rate(step, 4, "cosine", 0.0), 4) for step in (0, 1, 2, 4)]
    [1.0, 0.8536, 0.5, 0.0]
    """
    n_rising = round(warmup * n_steps)
    if step < n_rising:
        return (step + 1) / n_rising
    done = min(1.0, (step - n_rising) / max(1, n_steps - n_rising))
    if schedule == "linear":
        return 1 - done
    return (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1.0


def distance_of_answers(logits: Tensor, wanted: Tensor, label_set: LabelSet) -> Tensor:
    """How far answers are from those wanted: Kullback-Leibler divergence, or smooth L1 of continuous values."""
    if label_set.kind == "continuous":
        return task_loss(logits, wanted, label_set, torch.ones_like(wanted[0]))
    if label_set.kind == "multilabel":
        held = torch.sigmoid(wanted)
        cross, own = (F.binary_cross_entropy_with_logits(given, held) for given in (logits, wanted))
        return cross - own
    logs = F.log_softmax(logits, dim=1), F.log_softmax(wanted, dim=1)
    return F.kl_div(*logs, log_target=True, reduction="batchmean")


def task_loss(logits: Tensor, targets: Tensor, label_set: LabelSet, class_weights: Tensor) -> Tensor:
    """The loss of each kind of label.

    Categorical: cross-entropy weighted by class. Distribution: the same of every rater's vote, an utterance counting as
    one vote in all; class weights other than one then draw the answer away from the raters' shares. Multilabel: binary
    cross-entropy with the weight on presence. Continuous: smooth L1 (Huber, 1964; Girshick, 2015) of values in half
    ranges, so that every label counts alike; there are no classes to weigh.
    """
    if label_set.kind == "continuous":
        low, high = torch.from_numpy(label_set.bounds).to(logits)
        return F.smooth_l1_loss(logits * 2 / (high - low), targets * 2 / (high - low))
    if label_set.kind == "multilabel":
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=class_weights)
    votes = targets * class_weights
    per_utterance = -(votes * F.log_softmax(logits, dim=1)).sum(dim=1)
    return per_utterance.sum() / votes.sum()
