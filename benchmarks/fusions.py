"""Every fusion model on the MOSI features, one seed, in the seven configurations, with what each costs.

Scores: `recipes/mosi.toml` as it is but for ``model.name``; its settings were fixed for `bottleneck`. Costs: a training
step (forward, losses, backward, clipping, AdamW, moving average) on one made batch of MOSEI's shape, 16 utterances of
50 frames of 300 / 74 / 713 features. The models take turns in one process for the time; each has a process of its own
for the memory, which is the most it held less what it held before the model was built. A model has fewer parameters
on the MOSI features, which are narrower; both counts are given.

    EMOTIWAVE_DATA=... python benchmarks/fusions.py --runs runs/fusions --out results/fusions.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from peak_memory import peak_megabytes
from training_step import made_batch, step_of

from emotiwave import api
from emotiwave.config import read_recipe
from emotiwave.models import MODELS

RECIPE = "recipes/mosi.toml"
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
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for round_ in range(ROUNDS + 2):
        for name, (step, _) in steps.items():
            start = time.perf_counter()
            step()
            if round_ >= 2:
                seconds[name].append(time.perf_counter() - start)
    found = {}
    for name, (_, n_parameters) in steps.items():
        command = [sys.executable, __file__, "--memory-of", name]
        megabytes = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        found[name] = {
            "parameters": n_parameters,
            "step_ms": 1e3 * statistics.median(seconds[name]),
            "peak_mb": megabytes,
        }
    return found


def main() -> None:
    """Train what is missing, evaluate everything, measure, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/fusions"))
    parser.add_argument("--out", type=Path, default=Path("results/fusions.json"))
    parser.add_argument("--memory-of", choices=NAMES, help="Print what one model takes, and nothing else.")
    parser.add_argument("--costs", action="store_true", help="Measure costs anew, and keep the scores in --out.")
    options = parser.parse_args()
    if options.memory_of:
        print(memory(options.memory_of))
        return
    if options.costs:
        options.out.write_text(json.dumps(json.loads(options.out.read_text()) | {"costs": costs()}, indent=1) + "\n")
        return
    folders = []
    for name in NAMES:
        folder = options.runs / name
        api.train(RECIPE, out=folder, overrides=[f"model.name={name}"], resume=(folder / "config.toml").exists())
        folders.append(folder)
    scores = api.evaluate(folders)
    environments = [json.loads((folder / "environment.json").read_text()) for folder in folders]
    result = {
        "recipe": read_recipe(RECIPE).tables(),
        "corpus": environments[0]["corpus"],
        "packages": environments[0]["packages"],
        "parameters": {name: e["training"]["n_parameters"] for name, e in zip(NAMES, environments, strict=True)},
        "threads": torch.get_num_threads(),
        "frames": FRAMES,
        "rounds": ROUNDS,
        "costs": costs(),
        "scores": [asdict(row) for row in scores if row.label is None],
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
