"""Train a model on a corpus into a run folder: the one place where a Trainer is built."""

import logging
import signal
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from emotiwave.errors import CheckpointError, ConfigError, DataWarning
from emotiwave.models import create_model
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.training.callbacks import SCORE, ProgressBar, RunFiles, StopAtDivergence, ValidationScore
from emotiwave.training.module import TrainingModule
from emotiwave.training.randomness import derived_seed
from emotiwave.training.settings import TrainingSettings
from emotiwave.training.statistics import fit_statistics, without_unlearnable
from emotiwave.types import Corpus


@dataclass(frozen=True)
class TrainingSummary:
    """How a training went. Epochs count from 1; ``best_score`` is None without a validation split."""

    n_epochs: int
    best_epoch: int
    best_score: float | None
    n_parameters: int
    n_trained: int
    n_non_finite: Mapping[str, int]


def build(corpus: Corpus, model_settings: ModelSettings, settings: TrainingSettings) -> FusionModel:
    """Check that the corpus can be trained on, and build the untrained model with its statistics.

    The model goes without modalities that no training utterance has, which is warned of.

    Raises:
        ConfigError: If there is nothing to choose weights by, or the model's settings do not fit.
        DatasetError: If a split is empty, or a class cannot be learned.
        FeatureError: If a modality has no finite frame.
    """
    if settings.patience and not corpus.has_split(settings.selection_split):
        raise ConfigError(
            f"training.patience = {settings.patience} needs the split {settings.selection_split!r}, which "
            f"{corpus.name} does not have; set patience = 0 for a fixed number of epochs, or hold out some"
        )
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(settings.seed))
        model = _create(model_settings, corpus)
    fit_statistics(model, corpus, corpus.indices("train"), batch_size=settings.batch_size)
    return model


def _create(settings: ModelSettings, corpus: Corpus) -> FusionModel:
    """Build the model of the modalities that can be learned from."""
    learnable = without_unlearnable(corpus)
    left_out = [name for name in corpus.sizes if name not in learnable.sizes]
    lacking = f"{corpus.name}: no training utterance has {' or '.join(left_out)}"
    if settings.modality in left_out:
        raise ConfigError(f"{lacking}; set model.modality to one of {', '.join(learnable.sizes)}")
    try:
        model = create_model(ModelSpec(settings, learnable.sizes, corpus.label_set), left_out=left_out)
    except ConfigError as error:
        if not left_out:
            raise
        raise ConfigError(f"{lacking}, and {error}") from None
    for name in left_out if settings.name != "unimodal" else ():
        message = f"{corpus.name}: {name}: no training utterance has it; the model is trained without it"
        warnings.warn(message, DataWarning, stacklevel=3)
    return model


def fit(
    model: FusionModel,
    corpus: Corpus,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
) -> TrainingSummary:
    """Train, and leave model, history and resumable state in a folder.

    Args:
        model: What `build` made of the same corpus and settings.
        corpus: With a split ``train``, and the selection split if ``patience`` is above 0.
        settings: How to train.
        folder: The run folder.
        resume: Go on after the last finished epoch that the folder holds, if it holds one.
        console: Where progress is shown; standard error by default.

    Raises:
        CheckpointError: If the state to resume from is damaged or of another model.
        KeyboardInterrupt: If the user stops it; the state of the last finished epoch is kept.
    """
    files = RunFiles(folder, selects=bool(settings.patience))
    state = _read_state(folder / "last.ckpt", model.state_dict()) if resume else None
    if state is not None:
        files.load_state_dict(state)
    for scratch in folder.glob(".*.tmp") if is_main_process() else ():  # what a killed process left
        scratch.unlink()
    if not files.finished:
        callbacks: list[Callback] = [StopAtDivergence(folder)]
        if corpus.has_split(settings.selection_split):
            callbacks.append(ValidationScore(settings.selection_split))
        callbacks += [ProgressBar(model.spec.settings.name, console), files]
        if settings.patience:
            callbacks.append(
                EarlyStopping(SCORE, mode="max", patience=settings.patience, check_on_train_epoch_end=True)
            )
        with torch.random.fork_rng():
            _run(TrainingModule(model, corpus, settings), settings, folder, callbacks, resume=state is not None)
    return TrainingSummary(
        n_epochs=len(files.history),
        best_epoch=files.best_epoch,
        best_score=files.best_score if files.best_score >= 0 else None,
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        n_trained=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        n_non_finite=files.n_non_finite,
    )


def is_main_process() -> bool:
    """Whether this is the process that a user started, and not one that Lightning started for another device."""
    return not getattr(rank_zero_only, "rank", 0)


def _run(
    module: TrainingModule, settings: TrainingSettings, folder: Path, callbacks: list[Callback], *, resume: bool
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    on_interrupt = signal.getsignal(signal.SIGINT)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning|torch\.utils\.data")  # advice on workers and loggers
        try:
            trainer = Trainer(
                accelerator=settings.accelerator,
                devices=settings.devices,
                num_nodes=settings.nodes,
                precision=settings.precision,  # pyright: ignore[reportArgumentType]
                max_epochs=settings.epochs,
                gradient_clip_val=settings.gradient_clip,
                callbacks=callbacks,
                default_root_dir=folder,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            asked = f"accelerator {settings.accelerator!r}, devices {settings.devices!r}, nodes {settings.nodes}"
            raise ConfigError(f"training cannot run with {asked}: {error}") from None
        try:
            trainer.fit(module, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
        except SystemExit:
            raise KeyboardInterrupt from None  # Lightning turns Ctrl-C into an exit and ignores further ones
        finally:
            signal.signal(signal.SIGINT, on_interrupt)


def _read_state(path: Path, expected: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """Read what `RunFiles` kept, None if no epoch was finished; tensors and primitives only, no code is run."""
    if not path.exists():
        return None
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        saved = checkpoint["state_dict"].items()
        weights = {name.removeprefix("model."): tensor for name, tensor in saved if name.startswith("model.")}
        state = checkpoint["callbacks"]["RunFiles"]
    except Exception as error:  # a damaged archive raises anything from KeyError to UnpicklingError
        raise CheckpointError(f"{path}: cannot resume from this file ({error}); train into a new folder") from None
    if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in expected.items()}:
        raise CheckpointError(f"{path}: holds another model than the recipe; train into a new folder")
    return state
