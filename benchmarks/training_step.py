"""One training step of every model on one configuration: batch 16, 300 frames, 300 / 74 / 713 features.

The models take turns in one process; the ratios are of medians within this one run. A step is forward, loss, backward,
gradient clipping, AdamW and the moving average of the weights, with all three modalities present.

    python benchmarks/training_step.py --out results/training_step.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from emotiwave.batch import Batch
from emotiwave.models import create_model
from emotiwave.models.fusion import ModelSettings, ModelSpec
from emotiwave.training.averaging import MovingAverage
from emotiwave.training.module import task_loss
from emotiwave.types import LabelSet

SIZES = {"text": 300, "audio": 74, "vision": 713}
BATCH, FRAMES = 16, 300
NAMES = ("lstm_concat", "bottleneck", "late")
SIX = LabelSet("multilabel", ("happy", "sad", "anger", "surprise", "disgust", "fear"))


def made_batch(n_frames: int = FRAMES) -> Batch:
    """Make a full batch without padding."""
    torch.manual_seed(0)
    return Batch(
        ids=tuple(str(i) for i in range(BATCH)),
        inputs={name: torch.randn(BATCH, n_frames, size) for name, size in SIZES.items()},
        mask={name: torch.ones(BATCH, n_frames, dtype=torch.bool) for name in SIZES},
        targets=(torch.rand(BATCH, len(SIX.names)) > 0.7).float(),
        n_non_finite=dict.fromkeys(SIZES, 0),
    )


def step_of(name: str, batch: Batch) -> tuple[Callable[[], None], int]:
    """Make one training step of a model, and count its parameters."""
    model = create_model(ModelSpec(ModelSettings(name=name), SIZES, SIX)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-2, fused=True)
    weights = torch.ones(len(SIX.names))
    averaged = MovingAverage(model, 0.999)

    def step() -> None:
        optimizer.zero_grad()
        encoded = model.encode(batch)
        loss = task_loss(model.fuse(encoded), batch.targets, SIX, weights)
        (loss + sum(model.auxiliary_losses(encoded).values())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update(model)

    return step, sum(parameter.numel() for parameter in model.parameters())


def median_seconds(steps: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each step; they take turns, and the first two rounds do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_ >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Time the models in turn and write medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/training_step.json"))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    batch = made_batch()
    steps = {name: step_of(name, batch) for name in NAMES}
    median = median_seconds({name: step for name, (step, _) in steps.items()}, options.rounds)
    result = {
        "batch": BATCH,
        "frames": FRAMES,
        "sizes": SIZES,
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": {name: n for name, (_, n) in steps.items()},
        "median_ms": {name: 1e3 * value for name, value in median.items()},
        "over_lstm_concat": {name: value / median["lstm_concat"] for name, value in median.items()},
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
