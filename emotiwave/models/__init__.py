"""The models, by name."""

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.models.bottleneck import Bottleneck
from emotiwave.models.fusion import FusionModel, ModelSpec
from emotiwave.models.late import Late, Unimodal
from emotiwave.models.lstm_concat import LstmConcat, LstmConcatZeros

MODELS: dict[str, type[FusionModel]] = {
    "bottleneck": Bottleneck,
    "late": Late,
    "lstm_concat": LstmConcat,
    "lstm_concat_zeros": LstmConcatZeros,
    "unimodal": Unimodal,
}


def create_model(spec: ModelSpec) -> FusionModel:
    """Build an untrained model.

    Raises:
        ConfigError: If the name is unknown, or a setting does not fit the model.
    """
    name = spec.settings.name
    if name not in MODELS:
        raise ConfigError(unknown_name("model", name, MODELS))
    if spec.settings.modality is not None and name != "unimodal":
        raise ConfigError(f"model.modality is for 'unimodal' only; got {spec.settings.modality!r} with {name!r}")
    for modality in spec.settings.encoders:
        if modality not in spec.sizes:
            raise ConfigError(f"model.encoders: {unknown_name('modality', modality, spec.sizes)}")
    return MODELS[name](spec)
