"""Over a data set: which modality drives which class, where modalities disagree and who is right, the worst errors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotiwave.explanation.modalities import ModalityExplanation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Disagreement:
    """What one modality alone decides, of utterances where those that are there do not all decide the same.

    ``n`` of them have the modality; ``right`` is the share that it alone decides right, ``fused_right`` the share that
    all of them together do.
    """

    n: int
    right: float
    fused_right: float


@dataclass(frozen=True)
class Overview:
    """What contributions of a split come to.

    ``drives[class][modality]`` is the mean contribution to a class where it is decided, over ``n_decided[class]``
    utterances, in the scale of the contributions. ``lost`` are utterances that are decided wrong though a modality
    alone decides right, ``won`` those that are right though each alone is wrong, the most sure ones first; ``worst``
    the wrong ones that are most sure. ``n_flips`` counts how many modalities must go for the decision to change, 0 of
    those that not even nothing at all changes.
    """

    n: int
    n_right: int
    drives: Mapping[str, Mapping[str, float]]
    n_decided: Mapping[str, int]
    pairs: Mapping[str, float]
    n_disagree: int
    disagreement: Mapping[str, Disagreement]
    lost: tuple[str, ...]
    won: tuple[str, ...]
    worst: tuple[str, ...]
    n_flips: Mapping[int, int]


def overview(explanation: ModalityExplanation, present: NDArray[np.bool_], n_worst: int = 10) -> Overview:
    """Sum up a split.

    Args:
        explanation: Of its utterances.
        present: Whether each has a modality ``(utterances, modalities)``, in the order of the explanation.
        n_worst: How many errors to name.
    """
    modalities, names = explanation.modalities, explanation.predictions.label_set.names
    everything = frozenset(modalities)
    decided, fused_right = explanation.decisions[everything], explanation.right(everything)
    alone = np.stack([explanation.decisions[frozenset([m])] for m in modalities], axis=1)
    alone_right = np.stack([explanation.right(frozenset([m])) for m in modalities], axis=1) & present
    some_differ = _differ(alone, present)
    drives = {
        name: {m: _mean(explanation.on_scale.values[m][decided[:, k], k]) for m in modalities}
        for k, name in enumerate(names)
        if decided[:, k].any()
    }
    sureness = explanation.sureness
    by_sureness = np.argsort(-sureness, kind="stable")

    def ids(which: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(explanation.predictions.ids[row] for row in by_sureness if which[row])[:n_worst]

    several = present.sum(axis=1) > 1
    sizes = [0 if flip is None else len(flip) for flip in explanation.flips]
    return Overview(
        n=len(decided),
        n_right=int(fused_right.sum()),
        drives=drives,
        n_decided={name: int(decided[:, k].sum()) for k, name in enumerate(names)},
        pairs={"+".join(pair): _mean(of[decided]) for pair, of in explanation.on_scale.pairs.items() if decided.any()},
        n_disagree=int(some_differ.sum()),
        disagreement={
            m: Disagreement(
                int((some_differ & present[:, k]).sum()),
                _mean(alone_right[some_differ & present[:, k], k]),
                _mean(fused_right[some_differ & present[:, k]]),
            )
            for k, m in enumerate(modalities)
            if (some_differ & present[:, k]).any()
        },
        lost=ids(~fused_right & alone_right.any(axis=1)),
        won=ids(fused_right & ~alone_right.any(axis=1) & several),
        worst=ids(~fused_right),
        n_flips={size: sizes.count(size) for size in sorted(set(sizes))},
    )


def _differ(alone: NDArray[np.bool_], present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether decisions ``(utterances, modalities, classes)`` of those present differ."""
    any_yes = (alone & present[..., None]).any(axis=1)
    any_no = (~alone & present[..., None]).any(axis=1)
    return (any_yes & any_no).sum(axis=1) > 0


def _mean(values: NDArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
