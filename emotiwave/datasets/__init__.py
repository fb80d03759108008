"""Corpora: each gives raw sequences and labelled utterances; none aligns, scales or imports torch."""

from collections.abc import Callable
from typing import Any, NamedTuple

from emotiwave.datasets import mosi, synthetic
from emotiwave.settings import Settings
from emotiwave.types import Corpus


class Dataset(NamedTuple):
    """A corpus by name: the keys a recipe may set, and how it is read."""

    settings: type[Settings]
    load: Callable[[Any], Corpus]


DATASETS: dict[str, Dataset] = {
    "mosi": Dataset(mosi.MosiSettings, mosi.load),
    "synthetic": Dataset(synthetic.SyntheticSettings, synthetic.load),
}
