"""What a training step of every fusion model costs: time, parameters, memory.

A step (forward, losses, backward, clipping, AdamW, moving average) on one made batch of MOSEI's shape, 16 utterances of
50 frames of 300 / 74 / 713 features. The models take turns in one process for the time; each has a process of its own
for the memory, which is the most it held less what it held before the model was built. What they reach is in
results/comparison.md.

    python benchmarks/fusions.py --out results/fusions.json
"""

import argparse
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from peak_memory import peak_megabytes
from training_step import made_batch, median_seconds, step_of

from emotiwave.models import MODELS

NOT_HERE = ("image_text", "lstm_concat_zeros", "unimodal")
"""Of raw pictures and words; the flawed variant, kept for comparison; one modality only."""
NAMES = tuple(name for name in MODELS if name not in NOT_HERE)
FRAMES = 50
ROUNDS = 15


def memory(name: str) -> float:
    """Megabytes that three training steps take, beside what the libraries and the batch take."""
    batch = made_batch(FRAMES)
    before = peak_megabytes()
    step, _ = step_of(name, batch)
    for _ in range(3):
        step()
    return peak_megabytes() - before


def costs() -> dict[str, dict[str, float]]:
    """Parameters, median milliseconds of a step, and megabytes of each model on the made batch."""
    batch = made_batch(FRAMES)
    steps = {name: step_of(name, batch) for name in NAMES}
    seconds = median_seconds({name: step for name, (step, _) in steps.items()}, ROUNDS)
    found = {}
    for name, (_, n_parameters) in steps.items():
        command = [sys.executable, __file__, "--memory-of", name]
        megabytes = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        found[name] = {
            "parameters": n_parameters,
            "step_ms": 1e3 * seconds[name],
            "peak_mb": megabytes,
        }
    return found


def main() -> None:
    """Measure, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/fusions.json"))
    parser.add_argument("--memory-of", choices=NAMES, help="Print what one model takes, and nothing else.")
    options = parser.parse_args()
    if options.memory_of:
        print(memory(options.memory_of))
        return
    result = {
        "packages": {name: version(name) for name in ("emotiwave", "torch")},
        "threads": torch.get_num_threads(),
        "frames": FRAMES,
        "rounds": ROUNDS,
        "costs": costs(),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
