"""From the labels of a published classifier to the seven classes: known words, and what the user says of others."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.labels import SEVEN

LabelMap = Mapping[str, str | None]
"""Label -> class, or None for one that is none of the seven."""

_WORDS = {
    "anger": "anger angry ang annoyance annoyed disapproval",
    "disgust": "disgust disgusted dis",
    "fear": "fear fearful fea scared afraid nervousness",
    "happiness": (
        "happiness happy hap joy joyful love amusement admiration approval caring desire excitement excited gratitude "
        "optimism pride relief"
    ),
    "sadness": "sadness sad disappointment embarrassment grief remorse",
    "surprise": "surprise surprised sur confusion curiosity realization",
    "neutral": "neutral neu calm",
}
KNOWN = {word: name for name, words in _WORDS.items() for word in words.split()}
"""Words of the field, and the 28 of GoEmotions with the class of Ekman's that its authors put them under
(Demszky et al., 2020)."""
NONE_OF_THEM = ("other", "others", "unknown", "contempt")


def map_labels(labels: Sequence[str], given: LabelMap | None, *, source: str) -> dict[str, str | None]:
    """Find the class of every label: what is given first, then known words whatever their case.

    Raises:
        ConfigError: If a label is not known and not given, one is given that the classifier lacks, a class is none of
            the seven, or fewer than two classes are reached.
    """
    given = dict(given or {})
    for label, name in given.items():
        if label not in labels:
            raise ConfigError(f"{source}: {unknown_name('label', label, labels)}")
        if name is not None and name not in SEVEN:
            raise ConfigError(f"{source}: label {label!r}: {unknown_name('class', str(name), SEVEN)}")
    found: dict[str, str | None] = {}
    unknown = []
    for label in labels:
        word = label.strip().lower()
        if label in given:
            found[label] = given[label]
        elif word in KNOWN:
            found[label] = KNOWN[word]
        elif word in NONE_OF_THEM:
            found[label] = None
        else:
            unknown.append(label)
    if unknown:
        raise ConfigError(
            f"{source}: it is not known what {', '.join(map(repr, unknown))} means; say which of "
            f"{', '.join(SEVEN)}, or null, each is, "
            'by a label map such as {"LABEL_0": "anger", "LABEL_1": null}'
        )
    if len({name for name in found.values() if name is not None}) < 2:
        raise ConfigError(f"{source}: its labels reach {found}; expected at least two of the seven classes")
    return found


def say_map(labels: LabelMap) -> str:
    """Say a label map in a line.

    >>> say_map({"joy": "happiness", "other": None})
    'joy: happiness, other: none'
    """
    return ", ".join(f"{label}: {name or 'none'}" for label, name in labels.items())


def to_seven_classes(log_probabilities: NDArray[np.float64], labels: LabelMap) -> NDArray[np.float64]:
    """Turn log-probabilities ``(inputs, labels)`` into log-posteriors ``(inputs, 7)``.

    What a classifier has no label for it says nothing about: such classes keep their share of one in seven, and the
    others share the rest. What it gives to labels of none of the seven is divided as if nothing was said. A class with
    several labels gets the mean of them, so that it is not the likelier for having many names.
    """
    probabilities = np.exp(log_probabilities)
    names = list(labels.values())
    seven = np.zeros((len(probabilities), len(SEVEN)))
    for column, name in enumerate(names):
        if name is not None:
            seven[:, SEVEN.index(name)] += probabilities[:, column] / names.count(name)
    none_of_them = sum((probabilities[:, [k]] for k, name in enumerate(names) if name is None), np.zeros((1, 1)))
    covered = np.array([name in names for name in SEVEN])
    said = np.maximum(seven.sum(axis=1, keepdims=True), 1e-300)
    seven = seven / said * (1 - none_of_them)
    seven[:, covered] += none_of_them / covered.sum()
    seven = seven * covered.sum() / len(SEVEN)
    seven[:, ~covered] = 1 / len(SEVEN)
    return np.log(np.maximum(seven, 1e-9))
