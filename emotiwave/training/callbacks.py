"""What happens at the end of an epoch: the validation score, the files of the run, the progress bar."""

import csv
import io
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from emotiwave.errors import TrainingError
from emotiwave.files import replace_file
from emotiwave.inference import predict
from emotiwave.metrics import HEADLINE, averages, statistics
from emotiwave.models.checkpoint import save_model
from emotiwave.training.module import TrainingModule
from emotiwave.types import Predictions

SCORE = "validation_score"
HISTORY: tuple[str, ...] = ("epoch", "train_loss", SCORE, "seconds")


def mean_macro_f1(predictions: Predictions) -> float:
    """Macro-F1 averaged over all configurations: the one number that models are chosen by."""
    labels, one_group = predictions.label_set, np.zeros(len(predictions.ids), dtype=np.int64)
    macro_f1 = averages(labels)[HEADLINE]
    scores = [
        macro_f1(statistics(predictions.targets, predictions.answers(c), one_group, labels)[0], labels)
        for c in predictions.logits
    ]
    return float(sum(scores) / len(scores))


class StopAtDivergence(Callback):
    """Ends a run whose loss is no longer a number, before anything of that epoch is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = _training_module(pl_module)
        loss = float(torch.stack(module.losses).mean())
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.folder}: the loss became {loss} in epoch {trainer.current_epoch + 1}; what finished before is "
                f"kept; train into a new folder with a lower learning rate than {module.settings.learning_rate:g}"
            )


class ValidationScore(Callback):
    """Scores the selection split in every configuration after each epoch."""

    def __init__(self, split: str) -> None:
        self.split = split

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = _training_module(pl_module)
        predictions = predict(module.kept_model, module.corpus, self.split, device=pl_module.device)
        pl_module.log(SCORE, mean_macro_f1(predictions))


class RunFiles(Checkpoint):
    """Keeps the best model, the history and what a resume needs; each file is replaced in one step.

    The best model is written before ``last.ckpt``: if the process dies in between, the resumed epoch writes it again.
    A `Checkpoint`, because Lightning runs those after early stopping has decided, and that decision is kept.
    """

    def __init__(self, folder: Path, *, selects: bool) -> None:
        self.folder, self.selects = folder, selects
        self.history: list[dict[str, float | int | None]] = []
        self.best_epoch, self.best_score = 0, -1.0
        self.n_non_finite: dict[str, int] = {}
        self.finished = False
        self.started_at = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "n_non_finite": self.n_non_finite,
            "finished": self.finished,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started_at = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = _training_module(pl_module)
        epoch = trainer.current_epoch + 1
        score = float(trainer.callback_metrics[SCORE]) if SCORE in trainer.callback_metrics else None
        seconds = round(time.perf_counter() - self.started_at, 3)
        loss = float(torch.stack(module.losses).mean())
        self.history.append(dict(zip(HISTORY, (epoch, loss, score, seconds), strict=True)))
        if not self.selects or (score is not None and score > self.best_score):
            self.best_epoch, self.best_score = epoch, -1.0 if score is None else score
            if trainer.is_global_zero:
                save_model(module.kept_model, self.folder)
        if epoch == 1:
            counts = {name: self._over_processes(trainer, n) for name, n in sorted(module.n_non_finite.items())}
            self.n_non_finite = {name: n for name, n in counts.items() if n}
        self.finished = trainer.should_stop or epoch == trainer.max_epochs
        if trainer.is_global_zero:
            self._write_history()
        scratch = self.folder / f".last.ckpt.{os.getpid()}.tmp"
        try:
            trainer.save_checkpoint(scratch)
            if trainer.is_global_zero:
                os.replace(scratch, self.folder / "last.ckpt")
        finally:
            scratch.unlink(missing_ok=True)

    @staticmethod
    def _over_processes(trainer: Trainer, count: int) -> int:
        counted = torch.tensor(float(count), device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(counted, reduce_op="sum"))

    def _write_history(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, HISTORY, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        replace_file(self.folder / "history.csv", text.getvalue().encode())


class ProgressBar(Callback):
    """One bar for the whole run: loss, validation score, time left. Without a terminal, a line per epoch."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            TextColumn(f"{name} epoch {{task.fields[epoch]}}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  validation {task.fields[score]}  left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.name, self.task = name, None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.num_training_batches
        self.task = self.progress.add_task(
            "",
            total=(trainer.max_epochs or 1) * steps,
            completed=int(trainer.current_epoch * steps),
            epoch=0,
            loss="-",
            score="-",
        )
        if trainer.is_global_zero:
            self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.task is not None:
            loss = f"{float(_training_module(pl_module).losses[-1]):.3f}"
            self.progress.update(
                self.task, advance=1, epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}", loss=loss
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score = f"{float(trainer.callback_metrics[SCORE]):.3f}" if SCORE in trainer.callback_metrics else "-"
        if self.task is not None:
            self.progress.update(self.task, score=score)
        if not self.console.is_terminal and trainer.is_global_zero:
            loss = float(torch.stack(_training_module(pl_module).losses).mean())
            epoch = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.console.print(f"{self.name} epoch {epoch}  loss {loss:.3f}  validation {score}", highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.progress.stop()


def _training_module(module: LightningModule) -> TrainingModule:
    if not isinstance(module, TrainingModule):
        raise TypeError(f"expected a TrainingModule; got {type(module).__name__}")
    return module
