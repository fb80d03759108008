"""Who speaks before and after whom: the dialogues of a corpus, and the neighbours of each utterance in them."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.settings import Settings
from emotiwave.types import Corpus


class Context(Settings):
    """How many utterances of the same dialogue, or video, are seen beside the one that is answered.

    Neighbours are encoded with it: a step on utterances drawn at random encodes up to 1 + before + after times as many.
    """

    before: int = Field(default=0, ge=0, le=50)
    after: int = Field(default=0, ge=0, le=50)
    """0 is causal: nothing that is said later is needed."""

    def __str__(self) -> str:
        """Say it in words.

        >>> print(Context(before=3), Context(before=1, after=2), sep="; ")
        up to 3 before; up to 1 before and 2 after
        """
        sides = [f"{n} {where}" for n, where in ((self.before, "before"), (self.after, "after")) if n]
        return f"up to {' and '.join(sides) or 'no utterance'}"


def find_dialogues(corpus: Corpus, split: str) -> list[NDArray[np.int64]]:
    """List the dialogues of a split as rows of the split; without one, an utterance is alone.

    The utterances of a dialogue come by time where all are segments of one file, for the rows of a file of labels need
    not; else in the corpus's order.
    """
    indices = corpus.indices(split)
    dialogues: dict[tuple[bool, str], list[int]] = {}
    for row, index in enumerate(indices):
        utterance = corpus.utterances[index]
        key = (True, utterance.id) if utterance.dialogue is None else (False, utterance.dialogue)
        dialogues.setdefault(key, []).append(row)
    return [_by_time(np.array(rows, dtype=np.int64), corpus, indices) for rows in dialogues.values()]


def find_neighbours(corpus: Corpus, context: Context) -> NDArray[np.int64]:
    """Indices of the neighbours of every utterance ``(utterances, before + after)``, the nearest first on either side.

    -1 where the dialogue has no further one. Neighbours are of the same split: no answer sees another split.
    """
    neighbours = np.full((len(corpus.utterances), context.before + context.after), -1, dtype=np.int64)
    for split in dict.fromkeys(utterance.split for utterance in corpus.utterances):
        indices = corpus.indices(split)
        for rows in find_dialogues(corpus, split):
            members = indices[rows]
            for lag in range(1, min(context.before, len(members) - 1) + 1):
                neighbours[members[lag:], lag - 1] = members[:-lag]
            for lag in range(1, min(context.after, len(members) - 1) + 1):
                neighbours[members[:-lag], context.before + lag - 1] = members[lag:]
    return neighbours


def _by_time(rows: NDArray[np.int64], corpus: Corpus, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    segments = [corpus.utterances[index].segment for index in indices[rows]]
    known = [segment for segment in segments if segment is not None]
    if len(known) < len(segments) or len({segment.file for segment in known}) > 1:
        return rows
    return rows[np.argsort([segment.start for segment in known], kind="stable")]
