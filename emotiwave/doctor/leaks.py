"""What stands in two splits: utterances that are the same, or nearly, in a modality, so that a model knows the answer.

Words are compared by transcript, everything else by frames. Same means equal word for word, without punctuation and
case, or frame for frame; near is a cosine similarity of letters in a row, or a correlation of standardised frames,
above a limit.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from emotiwave.sequences import ComputationalSequence
from emotiwave.types import Corpus

NEAR_TEXT, NEAR_FRAMES = 0.9, 0.95
"""Similarities from which two utterances are near; 0 for two that have nothing in common."""
FEWEST_WORDS = 4
"""Shorter texts, such as "thank you", are said again by anybody."""
LETTERS_WITHOUT_SPACES = 8
"""Of scripts that put no spaces between words."""
FEWEST_NUMBERS = 24
"""Vectors of fewer numbers are alike by chance, so only what is the same is found by them."""
PARTS = 4
"""An utterance is compared by the mean frames of so many parts, one after the other."""
LONGEST = 1.05
"""How many times as long one may be as the other."""
PROJECTED, SLACK = 256, 0.1
"""Numbers that frames are projected to at random, to find who may be near; and how far off that may be."""
BLOCK = 512
TEXT = "text"


_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class Leak:
    """An utterance of the scored split, and the most similar one of another split; similarity 1 where they are same."""

    utterance: str
    other: str
    other_split: str
    modality: str
    kind: Literal["same", "near"]
    similarity: float


def find_leaks(corpus: Corpus, split: str) -> list[Leak]:
    """Find what of a split is also in another one, modality by modality.

    Words are compared where text is a modality of the corpus and transcripts are known; in acted corpora, in which all
    say the same sentences, they are no input. Raw sound is compared frame for frame only.

    Raises:
        DatasetError: If the split is empty.
    """
    scored = set(corpus.indices(split).tolist())
    found = []
    for name, sequence in corpus.sequences.items():
        texts = {u.id: u.transcript for u in corpus.utterances if u.transcript} if name == TEXT else {}
        rows = [k for k, u in enumerate(corpus.utterances) if (u.id in texts if texts else _tells(sequence, u.id))]
        ours = [k for k in rows if k in scored]
        others = [k for k in rows if k not in scored]
        if not ours or not others:
            continue
        ids = [u.id for u in corpus.utterances]
        if texts:
            near = _similar_texts([texts[ids[k]] for k in ours], [texts[ids[k]] for k in others])
        else:
            near = _similar_frames(sequence, [ids[k] for k in ours], [ids[k] for k in others])
        for row, (column, similarity) in near.items():
            other = corpus.utterances[others[column]]
            kind = "same" if similarity == 1.0 else "near"
            found.append(Leak(ids[ours[row]], other.id, other.split, name, kind, similarity))
    return found


Nearest = dict[int, tuple[int, float]]
"""Row -> the most similar column, and how similar it is: exactly 1.0 only where they are the same."""


def _similar_texts(ours: Sequence[str], others: Sequence[str]) -> Nearest:
    plain = [[_plain(text) for text in texts] for texts in (ours, others)]
    long = [[k for k, text in enumerate(texts) if _is_long(text)] for texts in plain]
    if not long[0] or not long[1]:
        return {}
    first: dict[str, int] = {}
    for column in long[1]:
        first.setdefault(plain[1][column], column)
    found = {row: (first[plain[0][row]], 1.0) for row in long[0] if plain[0][row] in first}
    rest = [row for row in long[0] if row not in found]
    if not rest:
        return found
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    known = vectors.fit_transform([plain[1][column] for column in long[1]])
    asked = vectors.transform([plain[0][row] for row in rest])
    for start in range(0, len(rest), BLOCK):
        similar = (asked[start : start + BLOCK] @ known.T).tocsr()
        best = np.asarray(similar.argmax(axis=1)).ravel()
        for k, column in enumerate(best.tolist()):
            similarity = float(similar[k, column])
            if similarity >= NEAR_TEXT:
                found[rest[start + k]] = (long[1][column], min(similarity, float(np.nextafter(1, 0))))
    return found


def _is_long(text: str) -> bool:
    return text.count(" ") + 1 >= FEWEST_WORDS or len(_UNSPACED.findall(text)) >= LETTERS_WITHOUT_SPACES


def _tells(sequence: ComputationalSequence, one: str) -> bool:
    """Whether anything was observed of an utterance that is not the same number all over, such as padding."""
    values = sequence[one].values if one in sequence else np.empty((0, 1), np.float32)
    values = values[np.isfinite(values).all(axis=1)]
    return bool(values.size) and bool((values != values.flat[0]).any() or (values.size == 1 and values.any()))


def _plain(text: str) -> str:
    """Leave words alone.

    >>> _plain("Well -- I'm HERE, aren't I?")
    'well i m here aren t i'
    """
    return " ".join(re.findall(r"\w+", text.casefold()))


def _similar_frames(sequence: ComputationalSequence, ours: Sequence[str], others: Sequence[str]) -> Nearest:
    first: dict[bytes, int] = {}
    for column, one in enumerate(others):
        first.setdefault(_content(sequence, one), column)
    found: Nearest = {}
    for row, one in enumerate(ours):
        column = first.get(_content(sequence, one))
        if column is not None:
            found[row] = (column, 1.0)
    rest = [row for row in range(len(ours)) if row not in found]
    if not rest or sequence.metadata.get("raw") == "waveform":
        return found
    parts = min(PARTS, max(sequence.n_frames(one) for one in (*ours, *others)))
    if parts * sequence.size < FEWEST_NUMBERS:
        return found
    mean, spread = _moments(sequence, others)
    known = _vectors(sequence, others, parts, mean, spread)
    asked = _vectors(sequence, [ours[row] for row in rest], parts, mean, spread)
    projected = _project(known, asked)
    n_known = np.array([sequence.n_frames(one) for one in others])
    for start in range(0, len(rest), BLOCK):
        similar = projected[1][start : start + BLOCK] @ projected[0].T
        for k in range(len(similar)):
            n = sequence.n_frames(ours[rest[start + k]])
            may = (similar[k] >= NEAR_FRAMES - SLACK) & (n_known <= LONGEST * n) & (n <= LONGEST * n_known)
            columns = np.flatnonzero(may)
            if not len(columns):
                continue
            exact = known[columns] @ asked[start + k]
            if exact.max() >= NEAR_FRAMES:
                similarity = min(float(exact.max()), float(np.nextafter(1, 0)))
                found[rest[start + k]] = (int(columns[exact.argmax()]), similarity)
    return found


def _content(sequence: ComputationalSequence, one: str) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(sequence[one].values).tobytes()).digest()


def _moments(sequence: ComputationalSequence, ids: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of the observed frames, feature by feature."""
    n, total, squares = 0, np.zeros(sequence.size), np.zeros(sequence.size)
    for one in ids:
        values = _observed(sequence, one)
        n, total, squares = n + len(values), total + values.sum(axis=0), squares + np.square(values).sum(axis=0)
    mean = total / max(1, n)
    spread = np.sqrt(np.maximum(squares / max(1, n) - mean**2, 0))
    return mean.astype(np.float32), np.where(spread > 0, spread, 1).astype(np.float32)


def _observed(sequence: ComputationalSequence, one: str) -> NDArray[np.float64]:
    values = sequence[one].values.astype(np.float64)
    return values[np.isfinite(values).all(axis=1)]


def _vectors(
    sequence: ComputationalSequence,
    ids: Sequence[str],
    parts: int,
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Standardised mean frames of the parts of each utterance, as a vector of mean 0 and length 1: products correlate.

    Returns:
        ``(utterances, numbers)``.
    """
    vectors = np.zeros((len(ids), parts * sequence.size), np.float32)
    for row, one in enumerate(ids):
        values = ((_observed(sequence, one) - mean) / spread).astype(np.float32)
        if len(values):
            edges = np.linspace(0, len(values), parts + 1)
            starts = np.minimum(edges[:-1].astype(int), len(values) - 1)
            ends = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
            vector = np.concatenate([values[a:b].mean(axis=0) for a, b in zip(starts, ends, strict=True)])
            vectors[row] = vector - vector.mean()  # two dark pictures are not alike for being dark
    return _of_length_1(vectors)


def _project(known: NDArray[np.float32], asked: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """Shorten long vectors at random, which keeps who is near to whom (Johnson & Lindenstrauss, 1984)."""
    if known.shape[1] <= PROJECTED:
        return known, asked
    directions = np.random.default_rng(0).standard_normal((known.shape[1], PROJECTED), dtype=np.float32)
    return _of_length_1(known @ directions), _of_length_1(asked @ directions)


def _of_length_1(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=vectors, where=length > 0)
