"""Image and text, seed 1 of the project: a ResNet-18 on FER2013 faces and a GRU on tweets, label-paired, on test.

Trains `recipes/image_text.toml`; without ``--full`` in the cut that two cores can train (see CUT). Three readings of
test: every test face once, alone; every test tweet once, alone; and the label pairs, by face, by tweet, by both.
Macro-F1 is over the classes that the utterances in question have. The pairs are also read with the answer chosen among
the classes that pairs have: that there is a tweet at all rules the others out, which faces alone cannot know. A run
that is there already is gone on with.

    EMOTIWAVE_DATA=... python benchmarks/image_text.py --run runs/image_text --out results/image_text.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import accuracy_score, f1_score

from emotiwave import api
from emotiwave.config import read_recipe

RECIPE = "recipes/image_text.toml"
CUT = (
    "model.encoders.vision.side=64",
    "model.encoders.vision.precision=bfloat16",
    "training.batch_size=64",
    "training.epochs=12",
    "training.patience=12",
)
"""For two cores: faces of 64 pixels and not 224, mixed precision for them, few epochs, small batches for more steps."""
CONFIGURATIONS = ("vision", "text", "text+vision")
PROBABILITY = "probability_"


def scores(rows: pd.DataFrame, *, among: list[str] | None = None) -> dict[str, Any]:
    """Accuracy and macro-F1 over the classes that occur; of decisions among all classes, or among some."""
    classes = sorted(rows["truth"].unique())
    decision = rows["decision"]
    if among is not None:
        likeliest = rows[[f"{PROBABILITY}{name}" for name in among]].idxmax(axis=1)
        decision = likeliest.str.removeprefix(PROBABILITY)
    return {
        "n": len(rows),
        "classes": classes,
        "among": len(among) if among else int(rows.columns.str.startswith(PROBABILITY).sum()),
        "accuracy": accuracy_score(rows["truth"], decision),
        "macro_f1": f1_score(rows["truth"], decision, labels=classes, average="macro"),
    }


def read_test(run: Path) -> dict[str, dict[str, Any]]:
    """Score what `evaluate` predicted: each corpus alone, each of its items once, and the pairs."""
    rows = pd.read_parquet(run / "predictions.parquet")
    items = rows["id"].str.extract(r"^(?:vision:(?P<vision>.+?))?\+?(?:text:(?P<text>.+))?$")
    rows = rows.join(items)
    rows["configuration"] = rows["configuration"].map(lambda name: "+".join(sorted(name.split("+"))))
    found = {}
    for name in ("vision", "text"):
        alone = rows[(rows["configuration"] == name) & rows[name].notna()]
        found[f"{name} alone, every item once"] = scores(alone.drop_duplicates(name))
    pairs = rows[rows["vision"].notna() & rows["text"].notna()]
    shared = sorted(pairs["truth"].unique())
    for among in (None, shared):
        for configuration in CONFIGURATIONS:
            of_configuration = pairs[pairs["configuration"] == configuration]
            chosen = "all classes" if among is None else "the shared classes"
            found[f"label-paired, {configuration}, among {chosen}"] = scores(of_configuration, among=among)
    return found


def main() -> None:
    """Train, evaluate, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/image_text"))
    parser.add_argument("--out", type=Path, default=Path("results/image_text.json"))
    parser.add_argument("--full", action="store_true", help="Train the recipe as it is; needs a GPU.")
    options = parser.parse_args()
    overrides = () if options.full else CUT
    done = api.train(RECIPE, out=options.run, overrides=overrides, resume=(options.run / "config.toml").exists())
    api.evaluate(options.run)
    recipe = read_recipe(options.run / "config.toml")
    history = pd.read_csv(options.run / "history.csv")
    environment = json.loads((options.run / "environment.json").read_text())
    corpus = recipe.load_corpus()
    n_images = sum(corpus.sequences["vision"].n_frames(u.id) for u in corpus.utterances if u.split == "train")
    epoch = float(history["seconds"].median())
    result = {
        "overrides": overrides,
        "recipe": {name: recipe.tables()[name] for name in ("model", "training")},  # the others hold folders
        "corpus": environment["corpus"],
        "packages": environment["packages"],
        "threads": environment["threads"],
        "parameters": done.summary.n_parameters,
        "epochs": done.summary.n_epochs,
        "best_epoch": done.summary.best_epoch,
        "best_score": done.summary.best_score,
        "fastest_epoch_seconds": float(history["seconds"].min()),
        "median_epoch_seconds": epoch,
        "images_per_epoch": n_images,
        "images_per_second": n_images / epoch,
        "test": read_test(options.run),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, default=str) + "\n")
    print(json.dumps(result["test"], indent=1))


if __name__ == "__main__":
    main()
