"""What a recipe may say of training."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from emotiwave.settings import Settings


class TrainingSettings(Settings):
    """Keys of ``[training]``."""

    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=50, gt=0)
    patience: int = Field(default=5, ge=0)
    """Epochs without a better validation score before stopping; 0 trains a fixed number and keeps the last weights."""
    selection_split: str = "validation"
    """The split whose score chooses the weights; never ``test``."""
    modality_dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Probability that an utterance loses a modality in a step; one that is present always stays."""
    modality_dropout_per: Literal["utterance", "batch"] = "utterance"
    """``batch`` takes the same modalities from all utterances of a step, perhaps all of them; for comparison only."""
    configurations: Literal["drawn", "all"] = "drawn"
    """``drawn``: a step sees each utterance in one configuration, which modality dropout draws. ``all``: it is encoded
    once and fused in every configuration that its modalities allow, so that none is seen more of one class than of
    another where a modality lacks a class; modality dropout then plays no part."""
    distillation: float = Field(default=0.0, ge=0)
    """Weight of a further loss that draws the answer of every incomplete configuration to that of the complete one,
    where an utterance has all modalities; needs ``configurations = "all"``."""
    batch_size: int = Field(default=16, gt=0)
    batch_by_length: bool = True
    """Utterances of like length share a batch, so that little is padded. ``false`` draws batches at random: needed
    where the length tells the class, as where a class lacks a modality; batches of one class mislead batch norms."""
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How learning rates go from their full value towards 0 at the last of ``epochs``: not at all, in a straight line,
    or as half a cosine (Loshchilov and Hutter, 2017). The moving average of the weights does much of the same."""
    warmup: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of all steps over which learning rates first rise to their full value."""
    weight_decay: float = Field(default=1e-2, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    weight_average: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Decay of the moving average of the weights, which is what is validated and kept; 0 keeps the raw weights."""
    class_weights: bool = True
    """Weigh classes so that rare ones count as much as frequent ones."""
    accelerator: str = "auto"
    devices: int | str = "auto"
    nodes: int = Field(default=1, gt=0)
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"

    @model_validator(mode="after")
    def _distils_what_it_fuses(self) -> "TrainingSettings":
        if self.distillation and self.configurations != "all":
            raise ValueError('distillation needs configurations = "all"')
        return self

    @field_validator("selection_split")
    @classmethod
    def _not_test(cls, value: Any) -> Any:
        if value == "test":
            raise ValueError("models are never chosen on 'test'; use a validation split, or patience = 0")
        return value
