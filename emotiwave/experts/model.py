"""A trained model as an expert: of one modality and of the seven classes."""

from pathlib import Path

from emotiwave.errors import CheckpointError
from emotiwave.labels import SEVEN
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel


def load_expert(folder: Path, modality: str) -> FusionModel:
    """Read a model.

    Raises:
        CheckpointError: If it is damaged, or of another modality or other classes.
    """
    model = load_model(folder, lean=True)
    labels = model.spec.label_set
    if model.modalities != (modality,) or labels.names != SEVEN or not labels.is_exclusive:
        raise CheckpointError(
            f"{folder}: answers {', '.join(labels.names)} of {', '.join(model.modalities)}; expected "
            f"{', '.join(SEVEN)} of {modality}"
        )
    return model
