"""What a recipe may say of evaluation."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from emotiwave.conditions.text import with_absolute_file
from emotiwave.settings import AbsolutePath, Settings


class EvaluationSettings(Settings):
    """Keys of ``[evaluation]``."""

    split: str = "test"
    thresholds: Literal["fixed", "validation"] = "fixed"
    """What an answer must exceed to count as present. ``fixed``: a probability of 0.5, or half a step of an intensity.
    ``validation``: per configuration and class, what gives the highest F1 on ``training.selection_split``. Neither
    concerns categorical labels, decided by the largest probability, nor continuous ones across zero, by their sign."""
    bootstrap: int = Field(default=1000, ge=0)
    """Resamples of the groups (videos, speakers) for the intervals; 0 gives none."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    """Of the bootstrap, so that every model meets the same resamples."""
    calibrate: bool = False
    """Fit a temperature per configuration, and sets of labels, on ``training.selection_split``, and measure how true
    probabilities are before and after; nothing that is scored changes."""
    coverage: float = Field(default=0.9, gt=0, lt=1)
    """How often sets of labels should hold the true one."""
    abstain_above: float | None = Field(default=None, gt=0, lt=1)
    """Say "not sure" where more than this share of answers would be wrong; the confidence for that is fitted too."""
    by: tuple[str, ...] = ()
    """Facts by which scores are told apart: speaker, dialogue, language, or what the corpus tells beside, such as sex.
    """
    conditions: tuple[Annotated[str, AfterValidator(with_absolute_file)], ...] = ()
    """What is hidden or spoiled ever more, to see how scores fall: ``missing``, ``frame_drop:audio=0.1,0.5``, ..."""
    draws: int = Field(default=1, ge=1, le=100)
    """How often each is drawn, from seed 0 up; curves are means over the draws."""
    masks: AbsolutePath | None = None
    """Where the masks of conditions are kept, so that all methods meet the same; ``masks`` in the run by default. In a
    folder that is named the features of spoiled media are kept too, so that they are extracted once for all methods."""
