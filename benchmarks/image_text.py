"""Image and text, seed 1 of the project: a ResNet-18 on FER2013 faces and a GRU on tweets, label-paired, on test.

Trains `recipes/image_text.toml`; without ``--full`` in the cut that two cores can train (see CUT). Three readings of
test: every test face once, alone; every test tweet once, alone; and the label pairs, by face, by tweet, by both.
Macro-F1 is over the classes that the utterances in question have. A run that is there already is gone on with.

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
    "training.epochs=14",
    "training.patience=14",
)
"""What two cores do in about half an hour: faces of 64 pixels and not 224, few epochs, and smaller batches for more
steps in them."""
CONFIGURATIONS = ("vision", "text", "text+vision")


def scores(rows: pd.DataFrame) -> dict[str, Any]:
    """Accuracy and macro-F1 of decisions, over the classes that occur."""
    classes = sorted(rows["truth"].unique())
    return {
        "n": len(rows),
        "classes": classes,
        "accuracy": accuracy_score(rows["truth"], rows["decision"]),
        "macro_f1": f1_score(rows["truth"], rows["decision"], labels=classes, average="macro"),
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
    for configuration in CONFIGURATIONS:
        of_configuration = pairs[pairs["configuration"] == configuration]
        found[f"label-paired, {configuration}"] = scores(of_configuration)
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
    n_train = environment["corpus"]["splits"]["train"]["utterances"]
    result = {
        "overrides": overrides,
        "recipe": recipe.tables(),
        "corpus": environment["corpus"],
        "packages": environment["packages"],
        "threads": environment["threads"],
        "parameters": done.summary.n_parameters,
        "epochs": done.summary.n_epochs,
        "best_epoch": done.summary.best_epoch,
        "best_score": done.summary.best_score,
        "fastest_epoch_seconds": float(history["seconds"].min()),
        "median_epoch_seconds": float(history["seconds"].median()),
        "images_per_second": n_train / float(history["seconds"].min()),
        "test": read_test(options.run),
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, default=str) + "\n")
    print(json.dumps(result["test"], indent=1))


if __name__ == "__main__":
    main()
