"""Writing a corpus as a feature file of MMSA, which `emotiwave.datasets.mmsa` reads back."""

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.datasets.mmsa import POLARITIES, SPLITS
from emotiwave.errors import DatasetError, FeatureError
from emotiwave.features.align import pool
from emotiwave.files import whole_file
from emotiwave.types import Corpus, Utterance

SPLIT_KEYS = {ours: theirs for theirs, ours in SPLITS.items()}
ALIGNED_FRAMES = 50
UNALIGNED_FRAMES = {"text": 50, "audio": 500, "vision": 500}
Counts = dict[str, dict[str, int]]


def write_mmsa(corpus: Corpus, path: Path, *, aligned: bool, frames: Mapping[str, int] | int | None = None) -> Counts:
    """Write a pickle of dicts, lists and numpy arrays, which appears whole or not at all.

    It is of protocol 4, and numpy 1 reads it as numpy 2 does. Sequences are padded with zeros at the end; ones longer
    than the budget are pooled to it, not cut. What the format cannot say is lost: times, speakers, languages, and which
    frames were unobserved, which become zeros. Beside MMSA's keys there are ``text_lengths`` and, where ids are not of
    the form ``video$_$clip``, ``utterance_id``.

    Args:
        corpus: Text, audio, vision or some of them; labels of sentiment, or of polarity beside ratings of sentiment.
        path: The file, replaced if it exists.
        aligned: Whether frame ``i`` is the same word in all modalities; they must then share the number of frames.
        frames: The budget of frames, the same or by modality; 50 by default, 500 for audio and vision if unaligned.

    Returns:
        Counts: ``utterances`` per split, and those without a rating, which are left out; per modality utterances
            ``missing`` and ``pooled``, and frames ``unobserved``.

    Raises:
        FeatureError: If modalities differ in frames though ``aligned``, the budget is no budget, or the file cannot
            be written.
        DatasetError: If the labels, splits or modalities are none that the format has.
    """
    _check_modalities(corpus)
    budgets = _budgets(corpus, aligned=aligned, frames=frames)
    if aligned:
        _check_aligned(corpus, budgets)
    _check_rated(corpus)
    names = _clip_names(corpus.utterances)
    counts: Counts = {"utterances": {}} | {
        what: dict.fromkeys(budgets, 0) for what in ("missing", "pooled", "unobserved")
    }
    data = {}
    for split, key in SPLIT_KEYS.items():
        if not corpus.has_split(split):
            continue
        rows = [row for row in corpus.indices(split).tolist() if _rating(corpus, corpus.utterances[row]) is not None]
        utterances = [corpus.utterances[row] for row in rows]
        counts["utterances"][split] = len(rows)
        if unrated := len(corpus.indices(split)) - len(rows):
            counts.setdefault("unrated, left out", {})[split] = unrated
        data[key] = _labels(corpus, utterances) | {"id": [names[row] for row in rows]}
        if names != [utterance.id for utterance in corpus.utterances]:
            data[key]["utterance_id"] = [utterance.id for utterance in utterances]
        for modality, budget in budgets.items():
            values, lengths = _padded(corpus, modality, utterances, budget, counts)
            data[key] |= {modality: values, f"{modality}_lengths": lengths}
    _write(data, path)
    return counts


def _check_modalities(corpus: Corpus) -> None:
    if strangers := set(corpus.modalities) - set(UNALIGNED_FRAMES):
        raise DatasetError(f"modality {min(strangers)!r}: MMSA files hold {', '.join(UNALIGNED_FRAMES)}; leave it out")
    if strangers := {utterance.split for utterance in corpus.utterances} - set(SPLIT_KEYS):
        raise DatasetError(f"split {min(strangers)!r}: MMSA files hold {', '.join(SPLIT_KEYS)}; rename or leave it out")


def _budgets(corpus: Corpus, *, aligned: bool, frames: Mapping[str, int] | int | None) -> dict[str, int]:
    """Frames per modality; never more than the longest utterance needs."""
    if frames is None:
        frames = ALIGNED_FRAMES if aligned else UNALIGNED_FRAMES
    budgets = {}
    for modality, sequence in corpus.sequences.items():
        budget = frames if isinstance(frames, int) else frames.get(modality, 0)
        if budget < 1:
            raise FeatureError(f"a budget of {budget} frames for {modality}; expected 1 or more for each modality")
        budgets[modality] = min(budget, int(np.diff(sequence.offsets).max(initial=1)))
    if aligned:
        if not isinstance(frames, int) and len({frames[modality] for modality in budgets}) > 1:
            raise FeatureError(f"aligned modalities share one budget of frames; got {dict(frames)}")
        budgets = dict.fromkeys(budgets, max(budgets.values()))
    return budgets


def _check_aligned(corpus: Corpus, budgets: Mapping[str, int]) -> None:
    for utterance in corpus.utterances:
        lengths = {modality: corpus.sequences[modality].n_frames(utterance.id) for modality in budgets}
        if len(set(lengths.values()) - {0}) > 1:
            shown = ", ".join(f"{count} of {modality}" for modality, count in lengths.items())
            raise FeatureError(
                f"utterance {utterance.id!r} has {shown} frames; an aligned file needs equal numbers: prepare the "
                "corpus with `align`, or write it unaligned"
            )


def _clip_names(utterances: Sequence[Utterance]) -> list[str]:
    """``video$_$clip`` for each utterance: the number in its id, or where one has none, counted in each video."""
    names = []
    for utterance in utterances:
        found = re.fullmatch(re.escape(utterance.group) + r"(?:\$_\$(.+)|\[(\d+)\]|_(\d+))", utterance.id, re.DOTALL)
        names.append(f"{utterance.group}$_${found[found.lastindex or 0]}" if found else "")
    if "" not in names and len(set(names)) == len(names):
        return names
    clips: dict[str, int] = {}
    for row, utterance in enumerate(utterances):
        clips[utterance.group] = clips.get(utterance.group, -1) + 1
        names[row] = f"{utterance.group}$_${clips[utterance.group]}"
    return names


def _labels(corpus: Corpus, utterances: Sequence[Utterance]) -> dict[str, Any]:
    values = [_rating(corpus, utterance) or 0.0 for utterance in utterances]
    classes = [1 + int(np.sign(value)) for value in values]
    if corpus.label_set.kind == "categorical" and set(corpus.label_set.names) == set(POLARITIES):
        classes = [POLARITIES.index(str(utterance.label)) for utterance in utterances]
    return {
        "raw_text": [utterance.transcript or "" for utterance in utterances],
        "regression_labels": np.array(values, dtype=np.float64),
        "classification_labels": np.array(classes, dtype=np.int64),
        "annotations": [POLARITIES[k].capitalize() for k in classes],
    }


def _rating(corpus: Corpus, utterance: Utterance) -> float | None:
    """The sentiment of an utterance, where it was rated."""
    rating = (utterance.ratings or {}).get("sentiment")
    if rating is None and corpus.label_set.names == ("sentiment",) and corpus.label_set.kind == "continuous":
        return float(utterance.label[0])
    return None if rating is None else float(rating)


def _check_rated(corpus: Corpus) -> None:
    if corpus.label_set.kind == "distribution":
        raise DatasetError(
            f"{corpus.name}: the labels are shares of raters, and MMSA files hold one value each; choose another task"
        )
    if all(_rating(corpus, utterance) is None for utterance in corpus.utterances):
        task = f"{corpus.label_set.kind} {', '.join(corpus.label_set.names)}"
        raise DatasetError(
            f"{corpus.name}: no utterance has a rating of sentiment, and the labels are of {task}; MMSA files hold "
            "sentiment from -3 to 3"
        )


def _padded(
    corpus: Corpus, modality: str, utterances: Sequence[Utterance], budget: int, counts: Counts
) -> tuple[NDArray[np.float32], list[int]]:
    """Frames ``(utterances, budget, features)``, zero at the end, and how many are none of padding."""
    sequence = corpus.sequences[modality]
    values = np.zeros((len(utterances), budget, sequence.size), dtype=np.float32)
    lengths = []
    for row, utterance in enumerate(utterances):
        frames = corpus.sequences[modality].n_frames(utterance.id)
        lengths.append(min(frames, budget))
        if not frames:
            counts["missing"][modality] += 1
            continue
        counts["pooled"][modality] += frames > budget
        pooled = pool(sequence[utterance.id], budget).values
        unobserved = np.flatnonzero(~np.isfinite(pooled).all(axis=1))
        counts["unobserved"][modality] += len(unobserved)
        values[row, : len(pooled)] = pooled
        values[row, unobserved] = 0.0
    return values, lengths


class _Pickler(pickle.Pickler):
    """Arrays by the two names that every numpy has; those that numpy 2 writes are unknown to numpy 1."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray:
            return np.ndarray, ((0,), "b"), (1, obj.shape, obj.dtype, False, obj.tobytes())
        return NotImplemented


def _write(data: dict[str, Any], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as scratch, scratch.open("wb") as file:
            _Pickler(file, protocol=4).dump(data)
    except OSError as error:
        raise FeatureError(f"{path}: cannot be written ({error.strerror or error})") from None
