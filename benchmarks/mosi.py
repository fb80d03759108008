"""The main table: three models x seven configurations x five seeds on the real MOSI features, beside the baselines.

Runs that are there already are used again if their recipe is the same, so an interrupted benchmark goes on where it
stopped; after a change of the code, give a new folder. Logistic regression is
one model per configuration on standardised features, as in domain practice; it needs to know at training time what will
be missing, which the others do not.

    EMOTIWAVE_DATA=... python benchmarks/mosi.py --runs runs/mosi --out results/mosi.json
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from emotiwave import api
from emotiwave.config import read_recipe
from emotiwave.evaluation.scoring import score
from emotiwave.references import REFERENCES

RECIPE = "recipes/mosi.toml"
MODELS = ("bottleneck", "late", "lstm_concat")
SETTINGS = (
    "model.encoders={}",
    "training.configurations=drawn",
    "training.modality_dropout=0.5",
    "training.batch_size=16",
    "training.learning_rate=1e-4",
)
"""Chosen for `bottleneck` (benchmarks/mosi_settings.py), in place of those of the recipe, which are for `evidence`."""
SEEDS = range(5)
LOGISTIC = "logistic_regression"


def main() -> None:
    """Train what is missing, evaluate everything, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/mosi"))
    parser.add_argument("--out", type=Path, default=Path("results/mosi.json"))
    options = parser.parse_args()
    folders, seconds = [], {}
    for name in MODELS:
        for seed in SEEDS:
            folder = options.runs / f"{name}-{seed}"
            overrides = (f"model.name={name}", *SETTINGS, f"training.seed={seed}")
            api.train(RECIPE, out=folder, overrides=overrides, resume=(folder / "config.toml").exists())
            seconds[folder.name] = float(pd.read_csv(folder / "history.csv")["seconds"].sum())
            folders.append(folder)
    start = time.perf_counter()
    scores = api.evaluate(folders)
    seconds["evaluate all"] = time.perf_counter() - start
    recipe = read_recipe(RECIPE, (f"model.name={MODELS[0]}", *SETTINGS))
    corpus = recipe.load_corpus()
    method = REFERENCES[LOGISTIC]
    answers = method.fit(corpus, method.settings(), 0).predict(corpus, recipe.evaluation.split)
    scores += score(answers, recipe.evaluation, model=LOGISTIC, dataset=corpus.name)
    environment = json.loads((folders[0] / "environment.json").read_text())
    result = {
        "recipe": recipe.tables(),
        "corpus": environment["corpus"],
        "packages": environment["packages"],
        "threads": environment["threads"],
        "seconds": seconds,
        "scores": [asdict(row) for row in scores if row.label is None],
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
