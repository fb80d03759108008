"""What a recipe may say of the model ``evidence``."""

from typing import Annotated

from pydantic import Field, field_validator

from emotiwave.dialogues import Context
from emotiwave.settings import Settings


class EvidenceSettings(Settings):
    """Keys of ``[model.evidence]``; the defaults need no touch."""

    reliability: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """How far to trust the evidence of a modality, beside the others and before any is seen: 1, the default, as far as
    training finds right; less shrinks its weights more, keeps it out of the cross-modal path, and takes the length of
    an utterance for no evidence by itself; 0 never listens to it. For what is known of features and cannot be seen in
    training data, such as that they were themselves trained on these labels."""
    shrinkage: float = Field(default=150.0, ge=0)
    """How strongly the weights of evidence are drawn to zero: so many times their sum of squares stands against the
    loss summed over the training utterances (ridge regression's penalty)."""
    span: float = Field(default=0.5, gt=0, le=1)
    """The share of an utterance that an expression lasts, wherever in it; 1 takes the mean of all frames."""
    context: Context | None = None
    """Neighbours in the dialogue that are seen too, ``before`` and ``after``; none by default, and with 0 and 0."""

    @field_validator("context")
    @classmethod
    def _nothing_is_none(cls, given: Context | None) -> Context | None:
        return given if given is not None and given.before + given.after else None
