"""What every model is: encode each modality once, then fuse any set of modalities that are present."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from emotiwave.batch import Batch
from emotiwave.dialogues import Context
from emotiwave.errors import ConfigError, FeatureError
from emotiwave.models.encoders import build_encoder, choose_encoder
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.evidence_settings import EvidenceSettings
from emotiwave.settings import Settings
from emotiwave.types import Configuration, LabelSet

Size = Literal["small", "base", "large"]
WIDTHS: dict[Size, int] = {"small": 64, "base": 128, "large": 256}
TAKEN_NAMES = {*dir(nn.ModuleDict()), *dir(nn.ParameterDict())}
"""What holds the parts of a model by modality has these names for itself."""
SMALL_START = 0.1
"""Shrinks the first weights of continuous answers, to about a twentieth of the range."""


class ModelSettings(Settings):
    """Keys of ``[model]``."""

    name: str = "evidence"
    size: Size = "small"
    """The one dial; every width and depth follows from it."""
    evidence: EvidenceSettings | None = None
    """Keys of the model ``evidence``; of no use to another, which goes without them."""
    modality: str | None = None
    """The only modality that ``unimodal`` uses."""
    encoders: dict[str, str | dict[str, Any]] = Field(default_factory=dict)
    """Modality -> the name of its encoder, or a table of ``name`` and that encoder's own keys; by default
    ``features``, which takes what was extracted as it is."""

    @model_validator(mode="before")
    @classmethod
    def _evidence_is_complete(cls, given: Any) -> Any:
        return given | {"evidence": {}} if isinstance(given, dict) and given.get("evidence") is None else given

    @model_validator(mode="after")
    def _others_go_without(self) -> "ModelSettings":
        if self.name != "evidence":
            object.__setattr__(self, "evidence", None)  # checked, and of no use
        return self

    @field_validator("encoders")
    @classmethod
    def _encoders_are_known(cls, given: Any) -> Any:
        chosen = {modality: choose_encoder(modality, of) for modality, of in given.items()}
        return {  # complete, with paths that mean the same folder wherever the recipe is read
            modality: {"name": choice.name} | choice.settings.model_dump(mode="json", exclude_none=True)
            for modality, choice in chosen.items()
        }


@dataclass(frozen=True)
class ModelSpec:
    """All it takes to build a model anew: settings, feature sizes per modality, and the classes.

    ``folder`` is that of a saved model, from which encoders read their files; None for a new model.
    """

    settings: ModelSettings
    sizes: Mapping[str, int]
    label_set: LabelSet
    folder: Path | None = None
    lean: bool = False
    """Build encoders for answers alone, of what is quickest to import."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded modalities: ``values[m] (rows, …)`` and ``present[m] (rows,)``, the rows those of the batch.

    ``mask[m] (rows, time)`` is that of the sequence that ``encode_modality`` was given: True = observed.
    """

    values: dict[str, Float[Tensor, "rows *_"]]
    present: dict[str, Bool[Tensor, " rows"]]
    mask: dict[str, Bool[Tensor, "rows _time"]]
    neighbours: Int[Tensor, "asked neighbours"] | None = None
    """As in the batch: the rows of the neighbours, -1 for none."""
    context_alone: bool = False
    """Whether each utterance itself is hidden, and its neighbours are not."""

    @property
    def n_asked(self) -> int:
        """How many utterances are to be answered: the first rows."""
        rows = self.present if self.neighbours is None else {"": self.neighbours}
        return len(next(iter(rows.values())))

    def keep(self, kept: Mapping[str, Bool[Tensor, " rows"]]) -> "Encoded":
        """Hide a modality in the utterances where ``kept`` is False."""
        return replace(self, present={name: present & kept[name] for name, present in self.present.items()})

    def keep_only(self, modalities: Collection[str] | Configuration) -> "Encoded":
        """Hide every modality but these."""
        return replace(self, present={name: present & (name in modalities) for name, present in self.present.items()})


class FusionModel(nn.Module, ABC):
    """Base of all models.

    ``encode`` runs each modality's encoder and what the model puts on it, ``fuse`` turns what is present into logits,
    and ``forward`` does both. ``sizes[m]`` are the features per frame that the encoder of a modality gives.
    Where nothing at all is present the answer is the class prior of the training data, ``prior_logits``. Logits of
    continuous labels are the values themselves: ``combine`` then gives how far they are from the training mean, in
    half ranges, so that an untrained model answers close to the mean.
    """

    prior_logits: Tensor
    half_ranges: Tensor
    context: Context | None = None
    """The neighbours that the model sees beside an utterance; None: none."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        for name in spec.sizes:
            if name in TAKEN_NAMES or set(name) & set("./\\\0") or not name:  # parts and folders are called so
                raise ConfigError(f"a modality cannot be named {name!r}; choose another name, such as {name!r} + '_'")
        self.spec = spec
        self.modalities = tuple(sorted(spec.sizes))
        self.heard = self.modalities  # a model may leave some out
        self.encoders = nn.ModuleDict({name: self._build_encoder(name) for name in self.modalities})
        self.sizes = {name: self.encoder(name).width for name in self.modalities}
        self.register_buffer("prior_logits", torch.zeros(len(spec.label_set.names)))
        half_ranges = torch.ones(self.n_classes)
        if spec.label_set.kind == "continuous":
            low, high = torch.from_numpy(spec.label_set.bounds)
            half_ranges = ((high - low) / 2).float()
        self.register_buffer("half_ranges", half_ranges, persistent=False)

    @property
    def n_classes(self) -> int:
        """The number of logits."""
        return len(self.spec.label_set.names)

    def fit(self, batches: Iterable[Batch], n_utterances: int) -> None:
        """Take from the training utterances what no gradient gives, beyond what encoders take; nothing, by default."""

    @classmethod
    def default_encoders(cls) -> Mapping[str, str | dict[str, Any]]:
        """The encoder of each modality for which the settings name none; ``features`` for any other."""
        return {}

    def encoder(self, name: str) -> ModalityEncoder:
        """Look up the encoder of a modality."""
        return cast(ModalityEncoder, self.encoders[name])

    def _build_encoder(self, name: str) -> ModalityEncoder:
        chosen = self.spec.settings.encoders.get(name, self.default_encoders().get(name, "features"))
        folder = None if self.spec.folder is None else self.spec.folder / "encoders" / name
        return build_encoder(choose_encoder(name, chosen), Origin(name, self.spec.sizes[name], folder, self.spec.lean))

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Give the trained parameters in groups of one learning rate each; encoders may ask for lower ones."""
        of_encoders = [
            group for name in self.modalities for group in self.encoder(name).parameter_groups(learning_rate)
        ]
        taken = {id(parameter) for parameter in self.encoders.parameters()}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in taken]
        return [group for group in ({"params": others, "lr": learning_rate}, *of_encoders) if group["params"]]

    def answer_layer(self, width: int) -> nn.Linear:
        """Build the last layer of a head; for continuous labels it starts near zero, which is the training mean."""
        layer = nn.Linear(width, self.n_classes)
        if self.spec.label_set.kind == "continuous":
            with torch.no_grad():
                layer.weight.mul_(SMALL_START)
                layer.bias.zero_()
        return layer

    def encode(self, batch: Batch) -> Encoded:
        """Encode every modality once.

        Raises:
            FeatureError: If a modality is not in the batch or has another feature size.
        """
        values, masks = {}, {}
        for name in self.modalities:
            if name not in batch.inputs:
                raise FeatureError(f"the model needs modality {name!r}; the data has {', '.join(batch.inputs)}")
            got, expected = batch.inputs[name].shape[-1], self.spec.sizes[name]
            if got != expected:
                raise FeatureError(f"{name}: the model was built for {expected} features per frame; the data has {got}")
            try:
                frames, masks[name] = self.encoders[name](batch.inputs[name], batch.mask[name])
            except FeatureError as error:
                raise FeatureError(f"{name} {error}") from None
            values[name] = self.encode_modality(name, frames, masks[name])
        return Encoded(values, {name: mask.any(dim=1) for name, mask in masks.items()}, masks, batch.neighbours)

    @abstractmethod
    def encode_modality(
        self, name: str, frames: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch *_"]:
        """Encode what an encoder gave ``(batch, time, sizes[name])``.

        Unobserved frames hold anything finite, and rows with nothing observed may be encoded as anything finite.
        """

    @abstractmethod
    def combine(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        """Turn what is present into logits; rows where nothing is present may hold anything finite."""

    def auxiliary_losses(self, encoded: Encoded) -> Mapping[str, Float[Tensor, ""]]:
        """Losses that the model adds to that of the task in training, by name, weighted; of what is present only."""
        return {}

    def answerable(self, encoded: Encoded) -> Bool[Tensor, " batch"]:
        """Which utterances have a modality that is present; the others are answered by the prior."""
        return torch.stack(list(encoded.present.values())).any(dim=0)

    def fuse(self, encoded: Encoded) -> Float[Tensor, "batch classes"]:
        """Logits of what is present, or of the prior where nothing is."""
        answer = self.combine(encoded)
        if self.spec.label_set.kind == "continuous":
            answer = self.prior_logits + self.half_ranges * answer
        return torch.where(self.answerable(encoded)[:, None], answer, self.prior_logits)

    def forward(self, batch: Batch) -> Float[Tensor, "batch classes"]:
        return self.fuse(self.encode(batch))

    def each_configuration(
        self, batch: Batch, configurations: Iterable[Configuration]
    ) -> Iterator[tuple[Configuration, Float[Tensor, "batch classes"]]]:
        """Encode once and fuse once per configuration."""
        encoded = self.encode(batch)
        for configuration in configurations:
            yield configuration, self.fuse(encoded.keep_only(configuration))
