"""The moving average of the weights, and steps in each precision."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel, ModelSettings
from emotiwave.training.averaging import MovingAverage
from emotiwave.training.fit import build, fit
from emotiwave.training.settings import TrainingSettings
from tests.made import made_model, small_corpus


def with_extras(n_steps: int = 0) -> FusionModel:
    """A model with a batch norm after so many batches, and a frozen layer."""
    model = made_model("late")
    model.add_module("norm", nn.BatchNorm1d(2))
    model.add_module("frozen", nn.Linear(2, 2).requires_grad_(False))
    return model


def test_the_memory_grows_with_the_steps_up_to_its_decay() -> None:
    model = with_extras()
    average = MovingAverage(model, decay=0.2)
    norm, kept = model.get_submodule("norm"), average.module.get_submodule("norm")
    expected, mean = 0.0, 0.0
    for step, memory in enumerate([0.0, 2 / 11, 0.2, 0.2]):  # (1 + 2) / (10 + 2) is beyond the decay
        with torch.no_grad():
            norm.weight.fill_(10.0 * (step + 1))
            norm.running_mean.fill_(step + 5.0)
            norm.num_batches_tracked.fill_(step)
        average.update(model)
        expected = memory * expected + (1 - memory) * 10 * (step + 1)
        mean = memory * mean + (1 - memory) * (step + 5)
        torch.testing.assert_close(kept.weight, torch.full((2,), expected))
        torch.testing.assert_close(kept.running_mean, torch.full((2,), mean))
        assert kept.num_batches_tracked == step


def test_weights_that_are_not_trained_are_shared_and_others_are_not() -> None:
    model = with_extras()
    average = MovingAverage(model, decay=0.9)
    assert average.module.get_submodule("frozen").weight is model.get_submodule("frozen").weight
    for parameter, own in zip(model.parameters(), average.module.parameters(), strict=True):
        assert (own is parameter) == (not parameter.requires_grad)
        assert own is parameter or not own.requires_grad
    frozen = model.get_submodule("frozen").weight.clone()
    average.update(model)
    assert torch.equal(frozen, model.get_submodule("frozen").weight)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_model_trains_in_each_precision_of_a_cpu(precision: str, tmp_path: Path) -> None:
    corpus = small_corpus()
    settings = TrainingSettings.model_validate({"epochs": 2, "patience": 0, "precision": precision})
    model = build(corpus, ModelSettings(name="misa"), settings)
    before = model.get_parameter("decoder.weight").clone()
    summary = fit(model, corpus, settings, tmp_path, console=Console(quiet=True))
    kept = load_model(tmp_path).get_parameter("decoder.weight")
    assert summary.n_epochs == 2
    assert kept.dtype == torch.float32
    assert not torch.equal(kept, before)
