"""What made CMU-MOSEI files are like: their names and sizes, and what each modality shows of the emotions."""

import math
from typing import Literal

from pydantic import Field, model_validator

from emotiwave.settings import AbsolutePath, Settings

PREVALENCE = {"happiness": 0.45, "sadness": 0.30, "anger": 0.25, "surprise": 0.20, "disgust": 0.20, "fear": 0.08}
"""How often each emotion is present in a segment, whatever the others: fear is as rare as in CMU-MOSEI."""
FILES = {
    "labels": ("CMU_MOSEI_Labels.csd", "All Labels"),
    "words": ("CMU_MOSEI_TimestampedWords.csd", "words"),
    "text": ("CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors"),
    "audio": ("CMU_MOSEI_COVAREP.csd", "COVAREP"),
    "vision": ("CMU_MOSEI_VisualOpenFace2.csd", "OpenFace_2"),
    "facet": ("CMU_MOSEI_VisualFacet42.csd", "FACET 4.2"),
}
"""File name and root group, as published."""
TRACKING = ("face_id", "timestamp", "confidence", "success")
"""The first columns of OpenFace 2: they describe the tracker, not the face."""
N_CONSTANT = 3
"""The last columns of COVAREP, which never change."""
LEAST_VIDEOS_FOR_TRAPS = 16
"""Each of the traps that hide a video, or a part of it, gets one of its own."""
TYPICAL_SECONDS = 5.0
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Which share of the videos is in each fold."""
Spoilt = Literal["label_columns", "label_order", "label_width", "unreadable"]


class MadeModality(Settings):
    """How the frames of one modality are made.

    Frames are noise with the covariance of a few shared factors plus a little of each feature's own, as real features
    go together; the emotions that a modality carries each own a factor.
    """

    rate: float = Field(gt=0)
    """Frames per second; for text, words per second."""
    size: int = Field(gt=0)
    """Features per frame."""
    factors: int = Field(gt=0)
    """Directions that share nearly all of the noise."""
    strength: float = Field(gt=0)
    """Length of a pattern over the standard deviation of the noise, what a matched filter sees, where there are
    `TYPICAL_SECONDS` to see; it grows with their root."""
    share: float = Field(gt=0, le=1)
    """Share of the seconds that a segment has for itself that a pattern lasts."""
    carries: tuple[str, ...]
    """The emotions this modality shows; the others leave no trace in it."""

    def n_span(self, n_frames: int) -> int:
        """Frames that a pattern lasts among so many that a segment has for itself."""
        return max(1, round(self.share * n_frames))

    @property
    def noise(self) -> float:
        """Standard deviation of the noise along each factor; a pattern adds 1 per frame."""
        return math.sqrt(self.share * TYPICAL_SECONDS * self.rate) / self.strength


MODALITIES = {
    "text": MadeModality(
        rate=2.8,
        size=300,
        factors=24,
        strength=2.7,
        share=0.6,
        carries=("happiness", "sadness", "anger", "surprise", "disgust"),
    ),
    "audio": MadeModality(
        rate=100.0, size=74, factors=16, strength=3.0, share=0.6, carries=("sadness", "anger", "fear")
    ),
    "vision": MadeModality(
        rate=30.0, size=713, factors=32, strength=3.0, share=0.6, carries=("happiness", "surprise", "disgust", "fear")
    ),
    "facet": MadeModality(
        rate=30.0, size=35, factors=16, strength=3.0, share=0.6, carries=("happiness", "surprise", "disgust", "fear")
    ),
}
RESERVED = {"audio": N_CONSTANT, "vision": len(TRACKING)}
"""Columns that carry nothing."""


class MadeMoseiSettings(Settings):
    """What to write."""

    n_videos: int = Field(default=120, gt=0)
    """Labelled videos."""
    seed: int = Field(default=0, ge=0)
    segments_per_video: int = Field(default=5, gt=0)
    shortest: float = Field(default=3.0, gt=0)
    """Seconds of the shortest segment."""
    longest: float = Field(default=8.0, gt=0)
    """Seconds of the longest segment."""
    segments: AbsolutePath | None = None
    """Real segment times: a CSV with the columns video_id, segment, start, end. They replace
    ``segments_per_video``, ``shortest`` and ``longest``."""
    folds: AbsolutePath | None = None
    """The folds that go with ``segments``; they replace ``shares``."""
    shares: dict[str, float] = SHARES
    """Which share of the videos goes to ``train``, ``validation`` and ``test``; together 1."""
    prevalence: dict[str, float] = PREVALENCE
    facet: bool = False
    """Whether FACET is written too: a second look at the face, with patterns of its own."""
    compression: int | None = Field(default=None, ge=1, le=9)
    traps: bool = True
    """Whether what is wrong with the real files is wrong with these."""
    spoil: tuple[Spoilt, ...] = ()
    """What makes a file unusable without a decision, and so is not among the traps.

    ``label_columns`` names no column, ``label_order`` exchanges the names of disgust and fear but not their columns,
    ``label_width`` cuts off fear (the other counts are of the rows before), ``unreadable`` truncates COVAREP."""
    modalities: dict[str, MadeModality] = MODALITIES
    sizes: dict[str, int] = Field(default_factory=dict)
    """Features by modality, in place of the official number."""
    rates: dict[str, float] = Field(default_factory=dict)
    """Frames per second by modality, in place of the official number; the evidence stays as strong."""

    @property
    def made(self) -> dict[str, MadeModality]:
        """The modalities that are written, with the sizes and rates that are wished."""
        chosen = {}
        for name, modality in self.modalities.items():
            if name == "facet" and not self.facet:
                continue
            size, rate = self.sizes.get(name, modality.size), self.rates.get(name, modality.rate)
            factors = min(modality.factors, size - RESERVED.get(name, 0))
            chosen[name] = modality.model_copy(update={"size": size, "rate": rate, "factors": factors})
        return chosen

    @property
    def videos_by_fold(self) -> dict[str, int]:
        """How many videos are in each fold, where they are not real; at least one in all but ``train``."""
        counts = {name: max(1, round(share * self.n_videos)) for name, share in self.shares.items()}
        return counts | {"train": self.n_videos - counts["validation"] - counts["test"]}

    @model_validator(mode="after")
    def _is_possible(self) -> "MadeMoseiSettings":
        if self.longest < self.shortest:
            raise ValueError(f"longest ({self.longest} s) is below shortest ({self.shortest} s)")
        if (self.segments is None) != (self.folds is None):
            raise ValueError("segments and folds go together: give both or neither")
        if set(self.prevalence) != set(PREVALENCE) or not all(0 < p < 1 for p in self.prevalence.values()):
            raise ValueError(f"prevalence needs a number between 0 and 1 for each of {', '.join(PREVALENCE)}")
        if set(self.shares) != set(SHARES) or not all(share > 0 for share in self.shares.values()):
            raise ValueError(f"shares needs a number above 0 for each of {', '.join(SHARES)}")
        if not math.isclose(sum(self.shares.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"shares must add up to 1; got {sum(self.shares.values()):g}")
        if set(self.modalities) != set(MODALITIES):
            raise ValueError(f"modalities must be {', '.join(MODALITIES)}; got {', '.join(self.modalities)}")
        strangers = (set(self.sizes) | set(self.rates)) - set(MODALITIES)
        if strangers:
            raise ValueError(f"unknown modality {min(strangers)!r}; choose from {', '.join(MODALITIES)}")
        if self.traps and self.n_videos < LEAST_VIDEOS_FOR_TRAPS:
            raise ValueError(f"all traps need at least {LEAST_VIDEOS_FOR_TRAPS} videos; got n_videos = {self.n_videos}")
        if self.n_videos < 3:
            raise ValueError(f"three folds need at least 3 videos; got n_videos = {self.n_videos}")
        if self.videos_by_fold["train"] < 1:
            raise ValueError(f"shares leaves none of {self.n_videos} videos to train; got {self.shares}")
        for name, made in self.made.items():
            _check_modality(name, made)
        return self


def _check_modality(name: str, made: MadeModality) -> None:
    if made.rate <= 0:
        raise ValueError(f"modality {name} needs a rate above 0; got {made.rate}")
    if made.factors < max(1, len(made.carries)):
        needed = RESERVED.get(name, 0) + max(1, len(made.carries))
        raise ValueError(f"modality {name} carries {len(made.carries)} emotions and needs at least {needed} features")
    strangers = [emotion for emotion in made.carries if emotion not in PREVALENCE]
    if strangers or len(set(made.carries)) < len(made.carries):
        raise ValueError(
            f"modality {name} carries {', '.join(made.carries)}; each of {', '.join(PREVALENCE)} at most once"
        )
