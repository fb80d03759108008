"""One training step that fuses all seven configurations, beside one of `mult` that sees the complete one alone.

Batch 16, 300 frames of 300 / 74 / 713 features; the models take turns in one process. A step is what training does:
forward, losses, backward, clipping, AdamW and the moving average of the weights. Hidden layers are 64 wide; `evidence`
of size small has none, and no neighbours here.

    python benchmarks/configurations_step.py --out results/configurations_step.json
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from training_step import BATCH, FRAMES, SIX, SIZES, made_batch, median_seconds

from emotiwave.models import create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.training.averaging import MovingAverage
from emotiwave.training.module import task_loss
from emotiwave.types import all_configurations

STEPS = {
    "evidence": ("evidence", "small", True),
    "evidence, complete only": ("evidence", "small", False),
    "evidence, with cross-modal path": ("evidence", "base", True),
    "bottleneck": ("bottleneck", "small", True),
    "bottleneck, complete only": ("bottleneck", "small", False),
    "mult": ("mult", "small", False),
}
"""What is timed: the model, its size, and whether all seven configurations are fused."""


def step_of(name: str, size: str, *, every: bool) -> Callable[[], None]:
    """Make one training step of a model."""
    batch = made_batch(FRAMES)
    settings = ModelSettings.model_validate({"name": name, "size": size})
    model = create_model(ModelSpec(settings, SIZES, SIX)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-2, fused=True)
    averaged = MovingAverage(model, 0.999)
    weights = torch.ones(len(SIX.names))
    configurations = all_configurations(SIZES) if every else all_configurations(SIZES)[-1:]

    def step() -> None:
        optimizer.zero_grad()
        encoded = model.encode(batch)
        losses: list[Tensor] = [
            task_loss(model.fuse(encoded.keep_only(c)), batch.targets, SIX, weights) for c in configurations
        ]
        (torch.stack(losses).mean() + sum(model.auxiliary_losses(encoded).values())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update(model)

    return step


def main() -> None:
    """Time the steps in turn and write medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/configurations_step.json"))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    steps = {label: step_of(name, size, every=every) for label, (name, size, every) in STEPS.items()}
    median = median_seconds(steps, options.rounds)
    result = {
        "batch": BATCH,
        "frames": FRAMES,
        "sizes": SIZES,
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "median_ms": {label: 1e3 * value for label, value in median.items()},
        "over_mult": {label: value / median["mult"] for label, value in median.items()},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
