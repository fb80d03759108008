"""How far `evidence` is to trust MOSI's video vectors, fixed without MOSI: on made corpora of its shape, leak included.

The corpora are those of `mosi_settings.py`: text and video separate the train classes far better than the test classes,
so nothing cut from train shows how far to trust them. How far apart train and test are in these corpora takes after
accuracies that the data's own README states, of linear classifiers on test among them.

    python benchmarks/reliability_settings.py --out results/reliability_settings.json
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from mosi_settings import made_corpus
from rich.console import Console

from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import ModelSettings
from emotiwave.training.callbacks import mean_macro_f1
from emotiwave.training.fit import build, fit
from emotiwave.training.settings import TrainingSettings

RELIABILITIES = (1.0, 0.5, 0.25, 0.1)
TRAINING = {"epochs": 20, "configurations": "all", "batch_size": 32, "learning_rate": 1e-3}
RANKED = {"audio": {"name": "features", "scale": "ranks"}}


def mean_of(reliability: float, seed: int) -> float:
    """Mean macro-F1 over the configurations of one made corpus's test utterances."""
    corpus = made_corpus(seed)
    settings = TrainingSettings.model_validate(TRAINING | {"seed": seed, "patience": 0})
    chosen = {"encoders": RANKED, "evidence": {"reliability": {"vision": reliability}}}
    with tempfile.TemporaryDirectory() as folder:
        fit(
            build(corpus, ModelSettings.model_validate(chosen), settings),
            corpus,
            settings,
            Path(folder),
            console=Console(quiet=True),
        )
        return mean_macro_f1(predict(load_model(Path(folder)), corpus, "test"))


def main() -> None:
    """Try each reliability on some corpora and write every result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/reliability_settings.json"))
    parser.add_argument("--corpora", type=int, default=4)
    options = parser.parse_args()
    rows = []
    for reliability in RELIABILITIES:
        scores = [mean_of(reliability, seed) for seed in range(options.corpora)]
        rows.append({"vision": reliability, "mean_macro_f1": float(np.mean(scores)), "scores": scores})
        print(json.dumps(rows[-1]), flush=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
