"""Whether explanations are true: against planted truth, against chance, against models that learned nothing.

Made corpora (three seeds) tell which modality and which span carries each class. On CMU-MOSI modalities are taken away
in the order of their contributions and in every constant order; on RAVDESS half seconds of voice, against chance.
Needs EMOTIWAVE_DATA.

    python benchmarks/explanations.py --out results/explanations.json
"""

import argparse
import itertools
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

import emotiwave
from emotiwave.batch import collate
from emotiwave.datasets.synthetic import PlantedModality, SyntheticSettings, generate
from emotiwave.explanation.explainers import EXPLAINERS, explainers_of
from emotiwave.explanation.faithfulness import check_utterance, modality_deletion, sum_up, with_randomised
from emotiwave.explanation.means import mean_over_groups
from emotiwave.explanation.modalities import ModalityExplanation, explain_modalities
from emotiwave.explanation.units import Unit, units_of
from emotiwave.inference import predict
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel
from emotiwave.run_folder import read_run
from emotiwave.training.statistics import without_unlearnable
from emotiwave.types import Configuration, Corpus

SEEDS = (0, 1, 2)
MODELS = (
    "evidence",
    "bottleneck",
    "cross_modal_transformer",
    "late",
    "low_rank",
    "lstm_concat",
    "lstm_concat_zeros",
    "mbt",
    "misa",
    "mult",
    "tensor",
)
"""The default on all seeds, the others on the first."""
MOST_EPOCHS = 40
"""Of the recipe, which stops early by validation."""
FEWER_EPOCHS = {"cross_modal_transformer": 12, "mult": 12}
"""Of those that take up to a minute for an epoch on small machines."""
N = 100
"""Test utterances, drawn at random, that are explained in time."""


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=Path, help="Where runs are kept; a temporary folder by default.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        runs = given.runs or Path(scratch)
        found = {
            "planted": [
                planted(runs, model, seed) for model in MODELS for seed in (SEEDS if model == MODELS[0] else SEEDS[:1])
            ],
            "mosi": mosi(runs),
            "ravdess": ravdess(runs),
        }
    given.out.write_text(json.dumps(found, indent=1) + "\n")


def trained(runs: Path, name: str, recipe: str, *overrides: str) -> Path:
    """Train a run, or go on with one that is there."""
    return emotiwave.train(recipe, out=runs / name, overrides=list(overrides), resume=(runs / name).exists()).folder


def explained(folder: Path, corpus: Corpus) -> tuple[FusionModel, ModalityExplanation]:
    """Explain the test split of a run by modality."""
    model = load_model(folder)
    predictions = predict(model, corpus, "test")
    return model, explain_modalities(predictions, model.prior_logits.double().numpy())


def planted(runs: Path, name: str, seed: int) -> dict[str, Any]:
    """Compare explanations of a made corpus with what was planted in it."""
    settings = [f"training.seed={seed}", f"dataset.seed={seed}", f"model.name={name}"]
    if name in FEWER_EPOCHS:
        settings.append(f"training.epochs={FEWER_EPOCHS[name]}")
    folder = trained(runs, f"synthetic-{name}-{seed}", "synthetic", *settings)
    dataset = read_run(folder).dataset
    assert isinstance(dataset, SyntheticSettings)
    corpus, truth = generate(dataset)
    model, who = explained(folder, corpus)
    rows = drawn(len(who.predictions.ids))
    return {
        "model": name,
        "seed": seed,
        "most_epochs": FEWER_EPOCHS.get(name, MOST_EPOCHS),
        "data": corpus.digest,
        "n": len(who.predictions.ids),
        "accuracy": float(who.right(frozenset(who.modalities)).mean()),
        "efficiency_gap": efficiency_gap(who),
        "modality": hits(who, corpus, truth),
        "time": {one: in_time(model, who, corpus, one, rows, truth) for one in explainers_of(model)},
    }


def drawn(n: int) -> list[int]:
    """Some rows of a split, the same ones each time."""
    return np.random.default_rng(0).permutation(n)[:N].tolist()


def efficiency_gap(who: ModalityExplanation) -> float:
    """By how much base and contributions miss the full probability, at most."""
    if who.on_probability is None:
        return float("nan")
    answers = who.predictions.answers(Configuration(who.modalities))
    return float(np.abs(who.on_probability.total - answers).max())


def hits(who: ModalityExplanation, corpus: Corpus, truth: dict[str, PlantedModality]) -> dict[str, Any]:
    """How often the modality with the largest contribution to the true class carries it, where another one does not."""
    names, found, by_chance = corpus.label_set.names, [], []
    for row, utterance in enumerate(who.predictions.ids):
        k = int(who.predictions.targets[row].argmax())
        there = [m for m in who.modalities if utterance in corpus.sequences[m]]
        carriers = [m for m in there if names[k] in truth[m].made.carries]
        if 0 < len(carriers) < len(there):
            best = max(there, key=lambda m: who.on_scale.values[m][row, k])
            found.append(best in carriers)
            by_chance.append(len(carriers) / len(there))
    return {"hit_rate": float(np.mean(found)), "by_chance": float(np.mean(by_chance)), "n": len(found)}


def in_time(
    model: FusionModel,
    who: ModalityExplanation,
    corpus: Corpus,
    explainer: str,
    rows: list[int],
    truth: dict[str, PlantedModality] | None,
) -> dict[str, Any]:
    """Check an explainer; with planted truth, also whether it finds the span of the true class in each carrier."""
    indices, names = corpus.indices("test"), corpus.label_set.names
    decided = who.on_scale.total.argmax(axis=1)
    checks, areas, groups, seconds = [], [], [], 0.0
    for row, other in with_randomised(model, rows):
        started = time.perf_counter()
        batch = collate(corpus, indices[[row]])
        units = units_of(corpus, int(indices[row]), batch, 0, names=model.modalities)
        if len(units) > 1:
            target = int(decided[row])
            checks.append(check_utterance(EXPLAINERS[explainer], model, other, batch, target, units, row))
            groups.append(who.predictions.groups[row])
        if truth is not None:
            k = int(who.predictions.targets[row].argmax())
            values = EXPLAINERS[explainer](model, batch, k, units).of(units)
            spans = {m: of.spans.get(who.predictions.ids[row], {}).get(names[k]) for m, of in truth.items()}
            areas += [
                area for m, span in spans.items() if span and (area := span_area(units, values, m, span)) is not None
            ]
        seconds += time.perf_counter() - started
    found = {name: asdict(mean) for name, mean in sum_up(checks, groups).items()}
    found["seconds_per_utterance"] = seconds / len(rows)
    if truth is not None:
        known = [area for area in areas if area is not None]
        found |= {"span_auc": float(np.mean(known)), "n_spans": len(known)}
    return found


def span_area(units: tuple[Unit, ...], values: np.ndarray, modality: str, span: tuple[float, float]) -> float | None:
    """How well values tell the words, or half seconds, that lie in a span by half or more; None if all or none do."""
    of = [(unit, value) for unit, value in zip(units, values, strict=True) if unit.modality == modality]
    inside = [min(u.end, span[1]) - max(u.start, span[0]) >= (u.end - u.start) / 2 for u, _ in of]
    return float(roc_auc_score(inside, [value for _, value in of])) if 0 < sum(inside) < len(inside) else None


def mosi(runs: Path) -> dict[str, Any]:
    """Take modalities away in the order of their contributions, and in each constant order."""
    gains, groups, constants = [], [], {}
    for seed in SEEDS:
        folder = trained(runs, f"mosi-{seed}", "mosi", f"training.seed={seed}")
        corpus = without_unlearnable(read_run(folder).load_corpus())
        _, who = explained(folder, corpus)
        n, decided = len(who.predictions.ids), who.on_scale.total.argmax(axis=1)
        shares = {m: values[np.arange(n), decided] for m, values in who.on_scale.values.items()}
        each = who.each_answer
        scores = {some: values[np.arange(n), decided] for some, values in each.items()}
        stacked = np.stack([shares[m] for m in who.modalities], axis=1)
        orders = [[who.modalities[k] for k in row] for row in np.argsort(-stacked, axis=1, kind="stable")]
        own = modality_deletion(scores, who.modalities, orders.__getitem__)
        constants[seed] = {
            "+".join(order): modality_deletion(scores, who.modalities, lambda _, order=order: order)
            for order in itertools.permutations(who.modalities)
        }
        gains.append(own)
        groups = list(who.predictions.groups)
    mean_of = {order: np.mean([constants[seed][order] for seed in SEEDS], axis=0) for order in constants[SEEDS[0]]}
    best = min(mean_of, key=lambda order: mean_of[order].mean())
    own = np.mean(gains, axis=0)
    return {
        "data": corpus.digest,
        "n": len(own),
        "deletion": float(own.mean()),
        "constant": {order: float(values.mean()) for order, values in mean_of.items()},
        "best_constant": best,
        "gain_over_best_constant": asdict(mean_over_groups(mean_of[best] - own, groups)),
        "gain_over_chance": asdict(mean_over_groups(np.mean(list(mean_of.values()), axis=0) - own, groups)),
    }


def ravdess(runs: Path) -> dict[str, Any]:
    """Explain voices in time, by half seconds."""
    settings = ["features.extractors.audio=prosody", "features.frames=100", "model.name=evidence"]
    folder = trained(runs, "ravdess", "ravdess", *settings, f"features.store={runs / 'ravdess-store'}")
    corpus = without_unlearnable(read_run(folder).load_corpus())
    model, who = explained(folder, corpus)
    rows = drawn(len(who.predictions.ids))
    return {
        "data": corpus.digest,
        "n": len(who.predictions.ids),
        "accuracy": float(who.right(frozenset(who.modalities)).mean()),
        "time": {one: in_time(model, who, corpus, one, rows, None) for one in explainers_of(model)},
    }


if __name__ == "__main__":
    main()
