"""What a recipe may say of evaluation."""

from pydantic import Field

from emotiwave.settings import Settings


class EvaluationSettings(Settings):
    """Keys of ``[evaluation]``."""

    split: str = "test"
    bootstrap: int = Field(default=1000, ge=0)
    """Resamples of the groups (videos, speakers) for the intervals; 0 gives none."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    """Of the bootstrap, so that every model meets the same resamples."""
