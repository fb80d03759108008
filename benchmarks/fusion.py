"""What the fusion of experts takes from data: how much voice and face have in common, and what words are worth.

Overlap: on CREMA-D's votes, regressions from what raters heard, and others saw, to the emotion that was acted, each of
one modality; their evidence is added with a discount that is fitted on held-out actors, and scored on others.
Reliability: of the text expert's evidence on MELD's validation lines, scored on its test lines. And what the prior of
the fusion, the mean of the experts', costs each on the kind of data it was trained on.
Needs EMOTIWAVE_DATA and emotiwave-weights-research.

    python benchmarks/fusion.py --out results/fusion.json
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

sys.path.insert(0, str(Path(__file__).parents[1] / "weights" / "scripts"))
from measures import read_faces, read_texts

import emotiwave
from emotiwave.datasets.cremad_votes import CLASSES, CremadVotesSettings
from emotiwave.datasets.cremad_votes import load as load_votes
from emotiwave.experts import MODALITIES
from emotiwave.experts.answer import Answer
from emotiwave.experts.confidence import calibration_error
from emotiwave.recognizer import ExpertRecognizer
from emotiwave.recognizer.fusion import Fusion
from emotiwave.types import Corpus

Array = NDArray[np.float64]
N_FOLDS, N_BOOTSTRAPS = 5, 1000
PENALTY = 1.0
WORTH = {"audio": 1.0, "vision": 1.0}


def describe_votes(corpus: Corpus) -> dict[str, Array]:
    """Shares of the votes and their logarithms ``(clips, 12)``, by modality; of clips that both were voted on."""
    described = {}
    for name, sequence in corpus.sequences.items():
        shares = np.concatenate([sequence[u.id].values for u in corpus.utterances]).astype(np.float64)
        described[name] = np.hstack([shares, np.log(shares + 0.05)])
    return described


def regress(inputs: Array, truth: NDArray[np.int64], others: Array) -> Array:
    """Log-posteriors of other clips, by a regression of one modality."""
    return LogisticRegression(C=PENALTY, max_iter=2000).fit(inputs, truth).predict_log_proba(others)


def fuse(answers: Mapping[str, Array], prior: Array, overlap: float) -> Array:
    """Put log-posteriors together as the recogniser does."""
    evidence = {name: values - np.log(prior) for name, values in answers.items()}
    return Fusion(tuple(CLASSES.values()), prior, overlap).log_posterior(evidence, WORTH)


def fit_overlap(answers: Mapping[str, Array], truth: NDArray[np.int64], prior: Array) -> float:
    """The overlap of the highest likelihood."""
    rows = np.arange(len(truth))
    found = minimize_scalar(lambda overlap: -fuse(answers, prior, overlap)[rows, truth].mean(), bounds=(-0.5, 2))
    return float(found.x)


def out_of_fold(inputs: Mapping[str, Array], truth: NDArray[np.int64], fold: NDArray[np.int64]) -> dict[str, Array]:
    """Log-posteriors of every clip by regressions that did not see its fold, modality by modality."""
    found = {name: np.zeros((len(truth), len(CLASSES))) for name in inputs}
    for number in np.unique(fold):
        inside = fold == number
        for name, values in inputs.items():
            found[name][inside] = regress(values[~inside], truth[~inside], values[inside])
    return found


def measure_overlap() -> dict[str, Any]:
    """Fit the overlap on four folds of actors, score it on the fifth; and on all for what is shipped."""
    corpora = [load_votes(CremadVotesSettings(fold=number)) for number in range(N_FOLDS)]
    utterances = corpora[0].utterances
    truth = corpora[0].targets.argmax(axis=1)
    fold = np.array(
        [next(k for k, c in enumerate(corpora) if c.utterances[i].split == "test") for i in range(len(truth))]
    )
    actors = [utterance.speaker or "" for utterance in utterances]
    inputs = describe_votes(corpora[0])
    names = ("voice", "face", "product", "discounted", "mean", "one regression of both")
    answers = {name: np.zeros((len(truth), len(CLASSES))) for name in names}
    overlaps = []
    for number in range(N_FOLDS):
        inside = fold == number
        train = {name: values[~inside] for name, values in inputs.items()}
        known, prior = truth[~inside], np.bincount(truth[~inside]) / (~inside).sum()
        overlaps.append(fit_overlap(out_of_fold(train, known, fold[~inside]), known, prior))
        single = {name: regress(train[name], known, inputs[name][inside]) for name in inputs}
        answers["voice"][inside], answers["face"][inside] = single["audio"], single["vision"]
        answers["product"][inside] = fuse(single, prior, 0.0)
        answers["discounted"][inside] = fuse(single, prior, overlaps[-1])
        answers["mean"][inside] = np.log(np.mean([np.exp(values) for values in single.values()], axis=0))
        both = np.hstack(list(train.values())), np.hstack([values[inside] for values in inputs.values()])
        answers["one regression of both"][inside] = regress(both[0], known, both[1])
    everything = out_of_fold(inputs, truth, fold)
    targets = np.eye(len(CLASSES))[truth]
    rows = np.arange(len(truth))
    gain = answers["product"][rows, truth] - answers["discounted"][rows, truth]
    return {
        "data": corpora[0].digest,
        "n": len(truth),
        "actors": len(set(actors)),
        "overlap": fit_overlap(everything, truth, np.bincount(truth) / len(truth)),
        "overlap_by_fold": overlaps,
        "scores": {name: scores(values, targets) for name, values in answers.items()},
        "nll_discounted_less_product": {
            "value": float(gain.mean()),
            **interval(lambda some: gain[some].mean(), actors),
        },
    }


def scores(log_posterior: Array, targets: Array) -> dict[str, float]:
    """Accuracy, macro-F1, mean negative log-likelihood in nats, and expected calibration error."""
    truth, decided = targets.argmax(axis=1), log_posterior.argmax(axis=1)
    return {
        "accuracy": float((truth == decided).mean()),
        "macro_f1": float(f1_score(truth, decided, labels=np.unique(truth), average="macro", zero_division=0)),
        "nll": float(-(targets * log_posterior).sum(axis=1).mean()),
        "ece": calibration_error(np.exp(log_posterior), targets),
    }


def interval(measure: Callable[[NDArray[np.int64]], float], groups: Sequence[str]) -> dict[str, float]:
    """The 95 % interval of bootstraps over groups."""
    members = [np.flatnonzero(np.asarray(groups) == group) for group in dict.fromkeys(groups)]
    generator = np.random.default_rng(0)
    drawn = [generator.integers(len(members), size=len(members)) for _ in range(N_BOOTSTRAPS)]
    values = [measure(np.concatenate([members[k] for k in some])) for some in drawn]
    low, high = np.percentile(values, (2.5, 97.5))
    return {"low": float(low), "high": float(high)}


def worth_of(fusion: Fusion, answer: Answer, reliability: float) -> Array:
    """Log-posteriors of one modality by the fusion."""
    evidence = {"one": answer.log_posterior - np.log(answer.prior)}
    return fusion.log_posterior(evidence, {"one": reliability})


def measure_reliability(recognizer: ExpertRecognizer) -> dict[str, Any]:
    """Fit what the text expert's evidence is worth on lines of dialogue that are spoken."""
    validation, test = (read_texts("meld", split) for split in ("validation", "test"))
    answer = recognizer.text(validation.texts)
    found = minimize_scalar(
        lambda worth: -(validation.targets * worth_of(recognizer.fusion, answer, worth)).sum(axis=1).mean(),
        bounds=(0, 2),
    )
    worth = float(found.x)
    answer = recognizer.text(test.texts)
    plain, moved = (worth_of(recognizer.fusion, answer, value) for value in (1.0, worth))
    gain = (test.targets * (plain - moved)).sum(axis=1)
    return {
        "reliability": worth,
        "n_validation": len(validation.texts),
        "n_test": len(test.texts),
        "test": {"worth all": scores(plain, test.targets), "worth what was fitted": scores(moved, test.targets)},
        "nll_fitted_less_all": {"value": float(gain.mean()), **interval(lambda some: gain[some].mean(), test.groups)},
    }


def measure_prior(recognizer: ExpertRecognizer) -> dict[str, Any]:
    """What the common prior costs text and face on the kind of data that they were trained on."""
    texts, faces = read_texts("goemotions", "test"), read_faces("test")
    of_experts = np.mean([recognizer.experts[name].prior for name in MODALITIES], axis=0)
    found: dict[str, Any] = {"prior": dict(zip(recognizer.fusion.names, of_experts.tolist(), strict=True))}
    for name, answer, targets in (
        ("GoEmotions-Ekman test", recognizer.text(texts.texts), texts.targets),
        ("FER2013 private test", recognizer.vision(list(faces.pictures)), faces.targets),
    ):
        found[name] = {
            "n": len(targets),
            "its own": scores(answer.log_posterior, targets),
            "the common one": scores(worth_of(recognizer.fusion, answer, 1.0), targets),
        }
    return found


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    recognizer = emotiwave.load()
    if not isinstance(recognizer, ExpertRecognizer):
        raise TypeError(type(recognizer))
    weights = recognizer.experts.weights
    found = {
        "weights": None if weights is None else weights.version,
        "overlap": measure_overlap(),
        "reliability": measure_reliability(recognizer),
        "prior": measure_prior(recognizer),
    }
    given.out.write_text(json.dumps(_rounded(found), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
