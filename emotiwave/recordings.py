"""A corpus before its features are prepared: labelled segments, and the files of whole videos that features lie in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import DatasetError
from emotiwave.types import LabelSet, Utterance

Count = int | float | str
"""A number that was counted on the way, or a word about how."""


@dataclass(frozen=True, eq=False)
class Recordings:
    """Utterances that are segments of videos, and one file of computational sequences per modality.

    ``utterances[i].segment`` names the video and the seconds. ``words`` is the file of timed words, for transcripts and
    as what other modalities can be aligned to. ``require`` says which utterances are kept: those with a frame in any
    modality, or in all. ``posteriors`` holds Bayes-optimal class probabilities ``(utterances, n_classes)`` per
    configuration, for made files that know them.
    """

    name: str
    task: str
    licence: str
    label_set: LabelSet
    utterances: tuple[Utterance, ...]
    files: Mapping[str, Path]
    words: Path | None
    require: Literal["any", "all"]
    sources: tuple[Path, ...] = ()
    """The files that labels and folds were read from."""
    preferred: tuple[Path, ...] = ()
    """Files that are not there, and that would be read if they were; the words come first."""
    label_columns: tuple[str, ...] = ()
    """What the columns of the label file were taken for."""
    counts: Mapping[str, Count] = field(default_factory=dict)
    posteriors: Mapping[str, NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        for utterance in self.utterances:
            if utterance.segment is None:
                raise DatasetError(f"{self.name}: utterance {utterance.id!r} is no segment of a recording")

    def by_video(self) -> dict[str, list[Utterance]]:
        """Group the utterances by video, both in the order of the corpus."""
        videos: dict[str, list[Utterance]] = {}
        for utterance in self.utterances:
            if utterance.segment is not None:
                videos.setdefault(utterance.segment.file, []).append(utterance)
        return videos

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that the corpus is read from, or would be."""
        return (*self.sources, *self.files.values(), *((self.words,) if self.words else ()), *self.preferred)
