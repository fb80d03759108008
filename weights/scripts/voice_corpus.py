"""The clips of RAVDESS as vectors, as recorded and spoiled; made once, a fold of actors at a time, on all cores."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from emotiwave.corruption import sound
from emotiwave.datasets.ravdess import FOLDS, RavdessSettings, load
from emotiwave.experts import voice_spoiling
from emotiwave.experts import voice_vector as voice_vector_module
from emotiwave.experts.confidence import Confidence, fit_confidence
from emotiwave.experts.voice import clips_measure, merge_to_seven, voice_quality
from emotiwave.experts.voice_classifier import Vectors, VoiceClassifier, fit
from emotiwave.experts.voice_spoiling import BABBLERS, spoil_voice
from emotiwave.experts.voice_vector import ALL, SIZES, Block, VoiceNetworks, voice_vector
from emotiwave.features.extractors import prosody_statistics
from emotiwave.files import whole_file
from emotiwave.labels import SEVEN, to_seven
from emotiwave.media.sound import read_sound
from emotiwave.pretrained import speaker_encoder, speech_embedding
from emotiwave.pretrained.weights import load_networks
from emotiwave.signals import Waveform

QUALITY = ("level", "range", "seconds")
COPIES = 5
"""Vectors of each clip: as recorded, and spoiled in four ways."""
REPEATS = 3
"""How often clips as recorded take part in training, each time centred on other clips of the actor."""

PENALTIES = (1.0, 3.0)
"""Inverse penalties that are chosen from."""
NUMBERS = (0, 1, 5, 10)
"""How many clips of a speaker an expert's confidence is fitted for."""


@dataclass(frozen=True, eq=False)
class VoiceCorpus:
    """``vectors`` are ``(clips, copies, features)``, ``quality (clips, copies)`` by name, all else ``(clips,)``."""

    vectors: Vectors
    quality: dict[str, NDArray[np.float64]]
    ids: NDArray[np.str_]
    labels: NDArray[np.str_]
    actors: NDArray[np.str_]
    folds: NDArray[np.int64]
    sha256: str
    """Of the files of all clips, in the order of their ids."""

    def of(self, clips: NDArray[np.bool_]) -> "VoiceCorpus":
        """Some of the clips."""
        quality = {name: values[clips] for name, values in self.quality.items()}
        return VoiceCorpus(
            self.vectors[clips],
            quality,
            self.ids[clips],
            self.labels[clips],
            self.actors[clips],
            self.folds[clips],
            self.sha256,
        )

    def select(self, blocks: tuple[Block, ...]) -> Vectors:
        """The vectors with some blocks only."""
        return self.vectors[..., np.concatenate([np.full(SIZES[block], block in blocks) for block in ALL])]

    def fit(self, blocks: tuple[Block, ...], inverse_penalty: float, seed: int = 0) -> VoiceClassifier:
        """Train on all clips."""
        labels, actors = self.labels.tolist(), self.actors.tolist()
        vectors = self.select(blocks)
        return fit(vectors, labels, actors, blocks, inverse_penalty=inverse_penalty, repeats=REPEATS, seed=seed)


def read_corpus(folder: Path, root: Path | None = None) -> VoiceCorpus:
    """Measure the clips, or read what was measured before; what is done of it is kept.

    Args:
        folder: Holds ``networks.safetensors``, and gets the vectors of each fold of actors.
        root: Of RAVDESS.
    """
    recordings = load(RavdessSettings(root=root) if root else RavdessSettings())
    utterances = sorted(recordings.utterances, key=lambda utterance: utterance.id)
    paths = {utterance.id: recordings.sources[utterance.id].audio for utterance in utterances}
    fold_of = {actor: fold for fold, actors in FOLDS.items() for actor in actors}
    folds = np.array([fold_of[int(str(utterance.speaker)[-2:])] for utterance in utterances])
    digest = hashlib.sha256()
    for path in paths.values():
        digest.update(Path(path).read_bytes())
    parts = []
    made_by = key_of(folder, digest.hexdigest())
    for fold in FOLDS:
        members = [utterance for utterance, of in zip(utterances, folds, strict=True) if of == fold]
        kept = folder / f"vectors_{fold}.npz"
        if not is_made_by(kept, made_by):
            sounds = {utterance.id: read_sound(Path(paths[utterance.id])) for utterance in members}
            actors = {utterance.id: str(utterance.speaker) for utterance in members}
            with ProcessPoolExecutor(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
                measured = list(pool.map(partial(_measure, folder, sounds, actors), list(sounds), chunksize=20))
            with whole_file(kept) as scratch, scratch.open("wb") as file:
                np.savez(
                    file,
                    made_by=made_by,
                    vectors=np.stack([vectors for vectors, _ in measured]),
                    **{name: np.stack([quality[name] for _, quality in measured]) for name in QUALITY},
                )
        parts.append((np.flatnonzero(folds == fold), np.load(kept)))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    joined = {name: np.concatenate([part[name] for _, part in parts])[order] for name in ("vectors", *QUALITY)}
    return VoiceCorpus(
        joined["vectors"],
        {name: joined[name] for name in QUALITY},
        np.array([utterance.id for utterance in utterances]),
        np.array([utterance.label for utterance in utterances]),
        np.array([utterance.speaker for utterance in utterances]),
        folds,
        digest.hexdigest(),
    )


def key_of(folder: Path, *others: str) -> str:
    """Name what vectors depend on: the networks, the code that measures and spoils, and whatever else."""
    parts = [(folder / "networks.safetensors").read_bytes(), *(other.encode() for other in others)]
    for module in (voice_vector_module, voice_spoiling, sound, speech_embedding, speaker_encoder, prosody_statistics):
        parts.append(Path(str(module.__file__)).read_bytes())
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def is_made_by(kept: Path, key: str) -> bool:
    """Whether vectors that were kept are those of a key."""
    if not kept.exists():
        return False
    with np.load(kept) as held:
        return "made_by" in held and str(held["made_by"]) == key


def _measure(
    folder: Path, sounds: dict[str, Waveform], actors: dict[str, str], clip: str
) -> tuple[Vectors, dict[str, NDArray[np.float64]]]:
    """Measure one clip and its spoiled copies; voices that babble behind it are of other actors of the same fold."""
    networks = load_networks(VoiceNetworks(), folder / "networks.safetensors")
    generator = np.random.default_rng(list(clip.encode()))
    others = [name for name in sounds if actors[name] != actors[clip]]
    copies = [sounds[clip].samples]
    for _ in range(COPIES - 1):
        babble = [sounds[str(name)].samples for name in generator.choice(others, BABBLERS, replace=False)]
        copies.append(spoil_voice(sounds[clip].samples, babble, generator))
    return np.stack([voice_vector(copy, networks) for copy in copies]), voice_quality(copies)


def choose_penalty(corpus: VoiceCorpus, blocks: tuple[Block, ...]) -> float:
    """Choose the inverse penalty with the best macro-F1 of clips as recorded, of actors who were left out."""
    scores = {penalty: _held_out_f1(corpus, blocks, penalty) for penalty in PENALTIES}
    return max(scores, key=lambda penalty: scores[penalty])


def _held_out_f1(corpus: VoiceCorpus, blocks: tuple[Block, ...], penalty: float) -> float:
    scores = []
    for fold in np.unique(corpus.folds):
        inside = corpus.folds != fold
        model, rest = corpus.of(inside).fit(blocks, penalty), corpus.of(~inside)
        decided = np.array(model.classes)[model.log_posterior(rest.select(blocks)[:, 0]).argmax(axis=1)]
        scores.append(f1_score(rest.labels, decided, average="macro"))
    return float(np.mean(scores))


def held_out_confidence(corpus: VoiceCorpus, blocks: tuple[Block, ...], penalty: float) -> Confidence:
    """Fit the confidence on answers for actors who were left out: all copies, with and without clips of the speaker."""
    answers, targets, quality = [], [], {name: [] for name in (*corpus.quality, "strangeness", "clips")}
    for fold in np.unique(corpus.folds):
        inside = corpus.folds != fold
        model, rest = corpus.of(inside).fit(blocks, penalty), corpus.of(~inside)
        vectors, seven = rest.select(blocks), to_seven_shares(rest.labels)
        for copy in range(vectors.shape[1]):
            for number in NUMBERS:
                found = answer_enrolled(model, vectors[:, copy], rest.actors, number, seed=copy)
                for clips, log_posterior in found:
                    answers.append(merge_to_seven(log_posterior, model.classes))
                    targets.append(seven[clips])
                    measures = corpus_quality(rest, vectors[:, copy], model, clips, copy, number)
                    for name, values in measures.items():
                        quality[name].append(values)
    joined = {name: np.concatenate(values) for name, values in quality.items()}
    return fit_confidence(np.concatenate(answers), np.concatenate(targets), joined)


def corpus_quality(
    corpus: VoiceCorpus,
    vectors: Vectors,
    model: VoiceClassifier,
    clips: NDArray[np.int64],
    copy: int,
    number: int,
) -> dict[str, NDArray[np.float64]]:
    """The measures that the expert's confidence depends on, of one copy of some clips with ``vectors`` of all."""
    measures = {name: values[clips, copy] for name, values in corpus.quality.items()}
    measures["strangeness"] = model.strangeness(vectors[clips])
    return measures | {"clips": np.full(len(clips), clips_measure(number))}


def strangest(corpus: VoiceCorpus, model: VoiceClassifier) -> float:
    """The largest strangeness of the clips, spoiled copies among them."""
    vectors = corpus.select(model.blocks)
    return float(max(model.strangeness(vectors[:, copy]).max() for copy in range(vectors.shape[1])))


def answer_enrolled(
    model: VoiceClassifier, vectors: Vectors, actors: NDArray[np.str_], number: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Answer the clips of each actor, after some clips of the actor, which are left out: places and log-posteriors."""
    for actor in np.unique(actors):
        clips = np.flatnonzero(actors == actor)
        generator = np.random.default_rng([seed, *actor.encode()])
        enrolled = generator.choice(clips, min(number, len(clips) - 1), replace=False)
        rest = np.setdiff1d(clips, enrolled)
        offset = model.speaker(vectors[enrolled]) if number else 0.0
        yield rest, model.log_posterior(vectors[rest], offset)


def to_seven_shares(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """One-hot rows of `SEVEN` of the corpus's classes."""
    return np.array([[to_seven("ravdess", str(label)) == name for name in SEVEN] for label in labels], np.float64)
