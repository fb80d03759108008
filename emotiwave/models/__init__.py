"""The models, by name."""

from collections.abc import Collection

from emotiwave.errors import ConfigError, unknown_name
from emotiwave.models.bottleneck import Bottleneck
from emotiwave.models.cross_modal_transformer import CrossModalTransformer
from emotiwave.models.evidence import Evidence
from emotiwave.models.fusion import FusionModel, ModelSpec
from emotiwave.models.image_text import ImageText
from emotiwave.models.late import Late, Unimodal
from emotiwave.models.low_rank import LowRank
from emotiwave.models.lstm_concat import LstmConcat, LstmConcatZeros
from emotiwave.models.mbt import Mbt
from emotiwave.models.misa import Misa
from emotiwave.models.mult import Mult
from emotiwave.models.tensor import TensorFusion

MODELS: dict[str, type[FusionModel]] = {
    "bottleneck": Bottleneck,
    "cross_modal_transformer": CrossModalTransformer,
    "evidence": Evidence,
    "image_text": ImageText,
    "late": Late,
    "low_rank": LowRank,
    "lstm_concat": LstmConcat,
    "lstm_concat_zeros": LstmConcatZeros,
    "mbt": Mbt,
    "misa": Misa,
    "mult": Mult,
    "tensor": TensorFusion,
    "unimodal": Unimodal,
}


def create_model(spec: ModelSpec, *, left_out: Collection[str] = ()) -> FusionModel:
    """Build an untrained model.

    Args:
        spec: Of a new or a saved model; the settings of a saved one may name encoders that it has no use for.
        left_out: Modalities of the data that the model goes without; encoders for them have no use.

    Raises:
        ConfigError: If the name is unknown, or a setting does not fit the model.
    """
    name = spec.settings.name
    if name not in MODELS:
        raise ConfigError(unknown_name("model", name, MODELS))
    if spec.settings.modality is not None and name != "unimodal":
        raise ConfigError(f"model.modality is for 'unimodal' only; got {spec.settings.modality!r} with {name!r}")
    known = {*spec.sizes, *left_out}
    stated = () if spec.settings.evidence is None else spec.settings.evidence.reliability
    for modality in stated if spec.folder is None else ():
        if modality not in known:
            raise ConfigError(f"model.evidence.reliability: {unknown_name('modality', modality, sorted(known))}")
    for modality in spec.settings.encoders if spec.folder is None else ():
        if modality not in known:
            raise ConfigError(f"model.encoders: {unknown_name('modality', modality, sorted(known))}")
    return MODELS[name](spec)
