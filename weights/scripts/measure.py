"""Measure the experts, as they are installed, on test data; the voice expert's method by leaving actors out.

    make install            # installs weights/
    python weights/scripts/measure.py --voice runs/weights/voice --out results

Writes ``experts.json``; ``weights/scripts/pages.py`` makes pages and figure of it. Intervals are of
1,000 bootstraps over comments, pictures, dialogues or actors. The shipped voice expert has heard all actors of RAVDESS,
so its method is measured instead: of every fold the actors are left out, and inverse penalty and confidence are chosen
on the others.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import SPOILED_FACES, Faces, Texts, read_faces, read_texts, spoil_face
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, recall_score
from voice_corpus import (
    VoiceCorpus,
    answer_enrolled,
    choose_penalty,
    corpus_quality,
    held_out_confidence,
    is_made_by,
    key_of,
    read_corpus,
    strangest,
    to_seven_shares,
)

from emotiwave.corruption.sound import add_noise, clip, over_telephone, reverberate
from emotiwave.datasets.roots import data_folder
from emotiwave.experts import Experts, FaceExpert, load_experts
from emotiwave.experts.answer import Answer
from emotiwave.experts.confidence import calibration_error
from emotiwave.experts.distribution import Distribution
from emotiwave.experts.voice import CLIPS, clips_measure, merge_to_seven, voice_quality
from emotiwave.experts.voice_vector import VoiceNetworks, voice_vector
from emotiwave.files import replace_file, whole_file
from emotiwave.labels import SEVEN
from emotiwave.media.sound import read_sound
from emotiwave.pretrained.weights import load_networks
from emotiwave.signals import SAMPLE_RATE, Waveform

N_BOOTSTRAPS = 1000
DRAWS = 5
"""Drawings of the clips that a speaker is enrolled with."""
NUMBERS = (1, 3, 5, 10)
NOISES = ("dog", "glass", "thunder", "beep")
ROOMS = ("room", "hall", "afir")
DECIBELS = (20, 10, 0)
N_THREADS = 2
TIMES = 30
"""Calls that are timed; the median counts."""
Rows = list[dict[str, Any]]
Measure = Callable[[NDArray[np.intp]], float]


def row(expert: str, data: str, what: str, value: float, n: int, **more: object) -> dict[str, Any]:
    """One line of the results."""
    return {"expert": expert, "data": data, "what": what, "value": round(value, 4), "n": n, **more}


def interval(measure: Measure, groups: Sequence[str]) -> dict[str, float]:
    """The 95 % interval of a measure of rows, of bootstraps over groups of rows."""
    generator = np.random.default_rng(0)
    members = [np.flatnonzero(np.asarray(groups) == group) for group in dict.fromkeys(groups)]
    alone = np.concatenate(members) if all(len(rows) == 1 for rows in members) else None
    values = []
    for _ in range(N_BOOTSTRAPS):
        drawn = generator.integers(len(members), size=len(members))
        values.append(measure(alone[drawn] if alone is not None else np.concatenate([members[k] for k in drawn])))
    low, high = np.percentile(values, (2.5, 97.5))
    return {"low": round(float(low), 4), "high": round(float(high), 4)}


def macro_f1(truth: NDArray[np.intp], decided: NDArray[np.intp]) -> float:
    """Of the classes that the truth has."""
    return float(f1_score(truth, decided, labels=np.unique(truth), average="macro", zero_division=0))


# text


def measure_text(experts: Experts) -> Rows:
    """GoEmotions, and two corpora that were never trained on."""
    rows: Rows = []
    test = read_texts("goemotions", "test")
    answer = experts.text(test.texts)
    truth = test.targets > 0
    chosen = np.array([[name in labels for name in SEVEN] for labels in experts.text.labels(answer)])

    def several(rows_: NDArray[np.intp]) -> float:
        return float(f1_score(truth[rows_], chosen[rows_], average="macro", zero_division=0))

    everything = np.arange(len(truth))
    name = "GoEmotions-Ekman test"
    found = interval(several, test.groups)
    rows.append(row("text", name, "multi-label macro-F1", several(everything), len(truth), **found))
    for place, per_class in enumerate(f1_score(truth, chosen, average=None, zero_division=0)):
        rows.append(row("text", name, f"F1 of {SEVEN[place]}", float(per_class), len(truth)))
    ece = calibration_error(answer.probabilities, test.targets)
    rows.append(row("text", name, "ECE", ece, len(truth)))
    n_words = np.array([len(text.split()) for text in test.texts])
    for low, high in ((1, 5), (6, 10), (11, 20), (21, 100)):
        some = (n_words >= low) & (n_words <= high)
        right = float(test.targets[some, answer.probabilities[some].argmax(axis=1)].mean())
        rows.append(row("text", f"{name}, {low} to {high} words", "accuracy", right, int(some.sum())))
        rows.append(
            row(
                "text",
                f"{name}, {low} to {high} words",
                "mean confidence",
                mean_confidence(answer, some),
                int(some.sum()),
            )
        )
    single = truth.sum(axis=1) == 1
    alone = Texts(
        tuple(text for text, is_one in zip(test.texts, single, strict=True) if is_one),
        test.targets[single],
        tuple(group for group, is_one in zip(test.groups, single, strict=True) if is_one),
    )
    rows += measure_single(experts, alone, "GoEmotions-Ekman test, comments of one class", (0.0, 0.5, 1.0))
    rows += measure_single(experts, read_texts("meld", "test"), "MELD test, never trained on", (0.0, 0.5, 1.0))
    rows += measure_single(
        experts, read_texts("dair_emotion", "test"), "dair-ai emotion test, never trained on", (0.0, 1.0)
    )
    return rows


def mean_confidence(answer: Answer, some: NDArray[np.bool_]) -> float:
    """How sure the expert is of what it decides, on average."""
    return float(answer.probabilities[some].max(axis=1).mean())


def measure_single(experts: Experts, data: Texts, name: str, weights: Sequence[float]) -> Rows:
    """Decisions of one class each, by how much of the prior is taken back."""
    rows: Rows = []
    truth = data.targets.argmax(axis=1)
    plain = experts.text(data.texts)
    for weight in weights:
        answer = plain.with_prior(weight)
        where = name if not weight else f"{name}; prior weight {weight:g}"
        rows += decisions("text", where, truth, answer.probabilities.argmax(axis=1), data.groups)
        if not weight:
            rows.append(row("text", where, "ECE", calibration_error(answer.probabilities, data.targets), len(truth)))
    return rows


def decisions(
    expert: str, data: str, truth: NDArray[np.intp], decided: NDArray[np.intp], groups: Sequence[str]
) -> Rows:
    """Macro-F1 with its interval, weighted F1, mean recall and accuracy."""
    n = len(truth)
    found = interval(lambda rows: macro_f1(truth[rows], decided[rows]), groups)
    weighted = float(f1_score(truth, decided, average="weighted", zero_division=0))
    found_accuracy = interval(lambda rows: accuracy_score(truth[rows], decided[rows]), groups)
    return [
        row(expert, data, "macro-F1", macro_f1(truth, decided), n, **found),
        row(expert, data, "weighted F1", weighted, n),
        row(expert, data, "UAR", float(recall_score(truth, decided, labels=np.unique(truth), average="macro")), n),
        row(expert, data, "accuracy", float(accuracy_score(truth, decided)), n, **found_accuracy),
    ]


# face


def measure_faces(experts: Experts) -> Rows:
    """FER2013's private test, with and without pictures that are also elsewhere, and spoiled."""
    test = read_faces("test")
    rows = measure_pictures(experts.vision, test, "FER2013 private test", "none", 0)
    rows += measure_pictures(
        experts.vision, test.without_copies(), "FER2013 private test without copies of other splits", "none", 0
    )
    for kind, amounts in SPOILED_FACES.items():
        for amount in amounts:
            rows += measure_pictures(experts.vision, test, f"FER2013 private test, {kind} {amount:g}", kind, amount)
    return rows


def measure_pictures(expert: FaceExpert, faces: Faces, data: str, kind: str, amount: float) -> Rows:
    """Decisions and calibration of pictures, spoiled or not."""
    generator = np.random.default_rng(0)
    answer = expert([spoil_face(picture, kind, amount, generator) for picture in faces.pictures])
    truth, decided = faces.targets.argmax(axis=1), answer.probabilities.argmax(axis=1)
    rows = decisions("vision", data, truth, decided, [str(number) for number in range(len(truth))])
    rows.append(row("vision", data, "ECE", calibration_error(answer.probabilities, faces.targets), len(truth)))
    if kind == "none":
        for name, value in zip(SEVEN, f1_score(truth, decided, average=None), strict=True):
            rows.append(row("vision", data, f"F1 of {name}", float(value), len(truth)))
    return rows


# voice


def measure_fold(folder: Path, blocks: str, fold: int) -> dict[str, Any]:
    """Leave the actors of a fold out, and answer their clips: as recorded, spoiled, and after some of their clips."""
    torch.set_num_threads(1)
    corpus = read_corpus(folder)
    chosen = CLIPS[blocks]
    train, test = corpus.of(corpus.folds != fold), corpus.of(corpus.folds == fold)
    penalty = choose_penalty(train, chosen)
    model, confidence = train.fit(chosen, penalty), held_out_confidence(train, chosen, penalty)
    vectors = test.select(chosen)
    limit, prior = strangest(train, model), to_seven_shares(train.labels).mean(axis=0)
    found: dict[str, Any] = {"fold": fold, "penalty": penalty, "conditions": {}}

    def note(condition: str, clips: NDArray[np.intp], raw: NDArray[np.float64], quality: dict[str, Any]) -> None:
        """As the expert answers; a clip that is too strange gets the prior, and of eight classes none."""
        answered = quality["strangeness"] <= limit
        calibrated = np.exp(confidence.apply(merge_to_seven(raw, model.classes), quality))
        calibrated[~answered] = prior
        eight = np.where(answered, np.array(model.classes)[raw.argmax(axis=1)], "none")
        found["conditions"].setdefault(condition, []).append((clips, eight, calibrated))

    everything = np.arange(len(test.ids))
    for copy in range(vectors.shape[1]):
        condition = "spoiled as in training" if copy else "as recorded"
        note(
            condition,
            everything,
            model.log_posterior(vectors[:, copy]),
            corpus_quality(test, vectors[:, copy], model, everything, copy, 0),
        )
    for number in NUMBERS:
        for draw in range(DRAWS):
            for clips, raw in answer_enrolled(model, vectors[:, 0], test.actors, number, seed=100 + draw):
                quality = corpus_quality(test, vectors[:, 0], model, clips, 0, number)
                note(f"after {number} clips of the speaker, drawing {draw}", clips, raw, quality)
    if blocks == "all":
        for condition, (spoiled, quality) in spoil_test(folder, test).items():
            strangeness, clips = model.strangeness(spoiled), np.full(len(spoiled), clips_measure(0))
            measures = quality | {"strangeness": strangeness, "clips": clips}
            note(condition, everything, model.log_posterior(spoiled), measures)
    found["test"] = test
    return found


def spoil_test(folder: Path, test: VoiceCorpus) -> dict[str, tuple[NDArray[np.float32], dict[str, Any]]]:
    """Measure clips in real noise and rooms, which no training has heard; each condition once, and then kept."""
    networks = load_networks(VoiceNetworks(), folder / "networks.safetensors")
    root = data_folder("RAVDESS", "ravdess", "ravdess_speech_16k")
    if root is None:
        raise SystemExit("EMOTIWAVE_DATA holds no RAVDESS")
    paths = {path.stem[3:]: path for path in sorted(root.rglob("03-01-*.*"))}
    sounds = [read_sound(paths[str(name)]).samples for name in test.ids]
    made_by = key_of(folder, test.sha256, *(path.name for path in sorted(assets_folder().iterdir())))
    found = {}
    for condition, spoil in spoiling().items():
        kept = folder / "spoiled" / f"{condition.replace(' ', '_').replace('%', 'percent')}_{test.folds[0]}.npz"
        spoiled = [spoil(number, samples) for number, samples in enumerate(sounds)]
        if not is_made_by(kept, made_by):
            kept.parent.mkdir(exist_ok=True)
            with whole_file(kept) as scratch, scratch.open("wb") as file:
                np.savez(
                    file, made_by=made_by, vectors=np.stack([voice_vector(samples, networks) for samples in spoiled])
                )
        with np.load(kept) as held:
            found[condition] = held["vectors"], voice_quality(spoiled)
    return found


def assets_folder() -> Path:
    """Where real noises and rooms lie."""
    assets = data_folder("noise_assets")
    if assets is None:
        raise SystemExit("EMOTIWAVE_DATA holds no noise_assets")
    return assets


def spoiling() -> dict[str, Callable[[int, NDArray[np.float32]], NDArray[np.float32]]]:
    """Ways of spoiling, each of a clip's number and samples; noises take turns."""
    assets = assets_folder()
    ways: dict[str, Callable[[int, NDArray[np.float32]], NDArray[np.float32]]] = {
        "telephone": lambda _, samples: over_telephone(samples, SAMPLE_RATE),
        "5 % of samples clipped": lambda _, samples: clip(samples, 0.05),
        "20 dB quieter": lambda _, samples: samples / 10,
    }
    for name in ROOMS:
        ways[f"reverberation of {name}"] = partial(_reverberated, read_sound(assets / f"{name}.wav").samples)
    noises = [read_sound(assets / f"{name}.wav").samples for name in NOISES]
    for decibels in DECIBELS:
        ways[f"noise at {decibels} dB"] = partial(_noisy, noises, decibels)
    return ways


def _reverberated(response: NDArray[np.float32], _: int, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return reverberate(samples, response)


def _noisy(
    noises: list[NDArray[np.float32]], decibels: float, number: int, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    return add_noise(samples, noises[number % len(noises)], decibels)


def measure_voice(folder: Path) -> Rows:
    """All folds, with all blocks and with our own statistics alone."""
    rows: Rows = []
    for blocks in CLIPS:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            folds = list(pool.map(partial(measure_fold, folder, blocks), range(1, 7)))
        name = "RAVDESS, six EmoBox folds" if blocks == "all" else "RAVDESS by prosody alone, six EmoBox folds"
        penalties = [fold["penalty"] for fold in folds]
        conditions: dict[str, list[str]] = {}
        for condition in folds[0]["conditions"]:
            conditions.setdefault(condition.split(", drawing")[0], []).append(condition)
        for condition, drawings in conditions.items():
            rows += fold_means(folds, name, condition, drawings, penalties)
        if blocks == "all":
            rows += by_speaker(folds, name)
    return rows


def fold_means(folds: list[dict[str, Any]], name: str, condition: str, drawings: list[str], penalties: Any) -> Rows:
    """Means over folds, as EmoBox has them; the interval is that of the pooled measure, over actors."""
    eights, sevens, uars, errors, n, n_refused = [], [], [], [], 0, 0
    actors: list[NDArray[np.str_]] = []
    truths, answers, names_of, eighths = [], [], [], []
    for fold in folds:
        test = fold["test"]
        for drawing in drawings:
            parts = fold["conditions"][drawing]
            clips = np.concatenate([clips for clips, _, _ in parts])
            eight = np.concatenate([decided for _, decided, _ in parts])
            posterior = np.concatenate([found for _, _, found in parts])
            targets = to_seven_shares(test.labels[clips])
            truth, decided = targets.argmax(axis=1), posterior.argmax(axis=1)
            names = np.unique(test.labels[clips])
            eights.append(f1_score(test.labels[clips], eight, labels=names, average="macro", zero_division=0))
            n_refused += int((eight == "none").sum())
            sevens.append(macro_f1(truth, decided))
            uars.append(recall_score(truth, decided, average="macro"))
            errors.append((targets, posterior))
            n += len(clips)
            truths.append(truth)
            answers.append(decided)
            names_of.append(test.labels[clips])
            eighths.append(eight)
            actors.append(test.actors[clips])
    truth, decided = np.concatenate(truths), np.concatenate(answers)
    _, codes = np.unique([np.concatenate(names_of), np.concatenate(eighths)], return_inverse=True)
    labels, eight = codes.reshape(2, -1)
    who = np.concatenate(actors).tolist()
    of_seven = interval(lambda rows: macro_f1(truth[rows], decided[rows]), who)
    of_eight = interval(lambda rows: macro_f1(labels[rows], eight[rows]), who)
    n //= len(drawings)
    ece = calibration_error(np.concatenate([p for _, p in errors]), np.concatenate([t for t, _ in errors]))
    more = {"inverse_penalties": penalties} if condition == "as recorded" else {}
    data = f"{name}, {condition}"
    return [
        row("audio", data, "macro-F1 of eight", float(np.mean(eights)), n, **of_eight, **more),
        row("audio", data, "macro-F1 of seven", float(np.mean(sevens)), n, **of_seven),
        row("audio", data, "UAR of seven", float(np.mean(uars)), n),
        row("audio", data, "ECE of seven", ece, n),
        row("audio", data, "share not answered", n_refused / (n * len(drawings)), n),
    ]


def by_speaker(folds: list[dict[str, Any]], name: str) -> Rows:
    """Accuracy of seven by sex and by actor, of clips as recorded."""
    right: dict[str, list[bool]] = {}
    for fold in folds:
        (clips, _, posterior), *_ = fold["conditions"]["as recorded"]
        test = fold["test"]
        truth = to_seven_shares(test.labels[clips]).argmax(axis=1)
        for actor, is_right in zip(test.actors[clips], truth == posterior.argmax(axis=1), strict=True):
            sex = "women" if int(actor[-2:]) % 2 == 0 else "men"
            right.setdefault(sex, []).append(bool(is_right))
            right.setdefault(str(actor), []).append(bool(is_right))
    groups = sorted(right, key=lambda group: (group.startswith("Actor"), group))
    return [
        row("audio", f"{name}: {group}", "accuracy of seven", float(np.mean(right[group])), len(right[group]))
        for group in groups
    ]


# time


def measure_time(experts: Experts) -> Rows:
    """Medians of single calls, with two threads."""
    torch.set_num_threads(N_THREADS)
    sentence = "I really thought this would be fine, but now I am not so sure any more."
    generator = np.random.default_rng(0)
    sound = Waveform(generator.standard_normal(4 * SAMPLE_RATE).astype(np.float32) * 0.1, SAMPLE_RATE)
    face = generator.integers(0, 255, (120, 120, 3), dtype=np.uint8)
    lean = load_experts(voice="prosody")
    calls: dict[str, Callable[[], object]] = {
        "text: a sentence of 16 words": lambda: experts.text([sentence]),
        "audio: 4 s of sound": lambda: experts.audio([sound]),
        "audio: 4 s of sound, statistics of prosody alone": lambda: lean.audio([sound]),
        "vision: a face": lambda: experts.vision([face]),
    }
    rows: Rows = []
    for name, call in calls.items():
        call()
        times = []
        for _ in range(TIMES):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        expert, _, data = name.partition(": ")
        rows.append(row(expert, data, "milliseconds", 1000 * float(np.median(times)), TIMES, threads=N_THREADS))
    return rows


FOLDERS = {"text": "text/", "vision": "face/", "audio": "voice/"}
"""Where the files of an expert lie."""
PARTS: dict[str, Callable[[Experts, Path], Rows]] = {
    "text": lambda experts, _: measure_text(experts),
    "vision": lambda experts, _: measure_faces(experts),
    "audio": lambda _, folder: measure_voice(folder),
    "time": lambda experts, _: measure_time(experts),
}


def digest_of(part: str, weights: Distribution) -> str:
    """Name what the numbers of a part depend on: the facts of its experts and the hashes of their files."""
    facts = {name: known for name, known in weights.experts.items() if part in ("time", name.split("_")[0])}
    folder = FOLDERS.get(part, "")
    files = {name: sha256 for name, sha256 in weights.sha256.items() if name.startswith(folder) and "/" in name}
    return hashlib.sha256(json.dumps([facts, files], sort_keys=True).encode()).hexdigest()


def main() -> None:
    """Measure, keeping what other parts were measured for the same weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voice", type=Path, required=True, help="The folder of weights/scripts/voice.py.")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="By default those not yet measured.")
    options = parser.parse_args()
    experts = load_experts()
    path = options.out / "experts.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": {}, "measured_of": {}}
    current = {part: digest_of(part, experts.weights) for part in PARTS}
    kept = [part for part in PARTS if before["measured_of"].get(part) == current[part]]
    rows = {part: before["rows"][part] for part in kept}
    for part in options.parts or [part for part in PARTS if part not in kept]:
        rows[part] = PARTS[part](experts, options.voice)
        found = {
            "command": "python weights/scripts/measure.py --voice runs/weights/voice --out results",
            "seed": 0,
            "weights": experts.weights.version,
            "measured_of": {name: current[name] for name in PARTS if name in rows},
            "rows": {name: rows[name] for name in PARTS if name in rows},
        }
        replace_file(path, (json.dumps(found, indent=1) + "\n").encode())
        print(part, len(rows[part]), "rows", flush=True)


if __name__ == "__main__":
    main()
