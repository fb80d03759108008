"""Corpora: each gives raw sequences and labelled utterances; none aligns, scales or imports torch."""

from collections.abc import Callable
from typing import Any, NamedTuple

from emotiwave.datasets import mmsa, mosei, mosi, mosi_csd, synthetic
from emotiwave.recordings import MediaRecordings, Recordings
from emotiwave.settings import Settings
from emotiwave.types import Corpus


class Dataset(NamedTuple):
    """A corpus by name: the keys a recipe may set, and how it is read."""

    settings: type[Settings]
    load: Callable[[Any], Corpus]


class RecordedDataset(NamedTuple):
    """A corpus whose features lie in files of whole videos, and are prepared into a store before use."""

    settings: type[Settings]
    load: Callable[[Any], Recordings]


class MediaDataset(NamedTuple):
    """A corpus of media files, photos or texts, whose features are extracted into a store before use."""

    settings: type[Settings]
    load: Callable[[Any], MediaRecordings]


DATASETS: dict[str, Dataset | RecordedDataset | MediaDataset] = {
    "mmsa": Dataset(mmsa.MmsaSettings, mmsa.load),
    "mosei": RecordedDataset(mosei.MoseiSettings, mosei.load),
    "mosi": Dataset(mosi.MosiSettings, mosi.load),
    "mosi_csd": RecordedDataset(mosi_csd.MosiCsdSettings, mosi_csd.load),
    "synthetic": Dataset(synthetic.SyntheticSettings, synthetic.load),
}
