"""A published network as part of a model: where it comes from, how much of it is trained, and at which rates."""

import json
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from emotiwave.errors import CheckpointError, ConfigError, EmotiwaveError
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.features import observed_frames
from emotiwave.models.encoders.tuning import NOISE, drop_unused, find_layers, heights, recompute, silence
from emotiwave.pretrained.files import Kind, read_json
from emotiwave.pretrained.loading import Encoder, load_encoder, quiet_transformers, untrained_module
from emotiwave.pretrained.running import explained
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings

CONFIG = "config.json"
NOT_OF_A_CHECKPOINT = ("auto_map", "fusion_config")
"""Keys of configurations that name code, which is not here, or are of our own making."""
SOURCE = "source.json"
"""In a saved model: name, commit and licence of the checkpoint that training began from."""
MAX_SEEN = 64
"""Training frames that are looked at before training, evenly spaced."""


def _how_much(train: str) -> str:
    if not re.fullmatch(r"frozen|full|last-[1-9][0-9]{0,2}", train):
        raise ValueError('expected "full", "frozen", or "last-N" for the last N layers, as in "last-2"')
    return train


class PretrainedSettings(Settings):
    """Keys that all encoders made of published networks have."""

    revision: str | None = None
    """A branch, tag or commit of the Hub."""
    train: Annotated[str, AfterValidator(_how_much)] = "full"
    """``full``, ``frozen``, or ``last-N``: the last N layers of a transformer, or stages of a ResNet. What is not
    trained has no dropout, and keeps its batch statistics. One word freezes an encoder: the keys of its training then
    have no effect."""
    learning_rate: float | None = Field(None, gt=0)
    """Of the last layer; by default ``training.learning_rate``. Published transformers want 1e-5 to 5e-5."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Times this is the learning rate from layer to layer, downward; embeddings and first convolutions have the
    lowest."""
    gradient_checkpointing: bool = False
    """Keep only the input of each layer, and run it again on the way back: less memory, about a third slower."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` is that of ``training.precision``; ``bfloat16`` runs this encoder in mixed precision, and ``float32``
    never does, whatever that says."""


class PretrainedPart(ModalityEncoder):
    """Holds the network of a checkpoint, with all the small files that it needs.

    A new one begins with the weights of the checkpoint ``name``, or at random where ``scratch`` is a folder of settings
    without weights; ``name`` is then only what it is called. That of a saved model is built of the files in its folder,
    and its weights come with those of the model.
    """

    kind: ClassVar[Kind]
    form: ClassVar[str]
    """Says what the frames of the input must be."""

    def __init__(self, settings: PretrainedSettings, origin: Origin, name: str, scratch: Path | None = None) -> None:
        super().__init__()
        self.settings, self.size = settings, origin.size
        folder = origin.folder or scratch
        with _naming(origin):
            self._check_size(origin)
            if folder is None:
                encoder = load_encoder(name, self.kind, revision=settings.revision, weights=False)
            else:
                encoder = load_encoder(str(folder), self.kind, weights=False)
                if origin.folder is None:  # nobody knows the folder of one from scratch
                    encoder = replace(encoder, files=replace(encoder.files, name=name))
            self.source = _source(encoder) if folder is None else _read_source(folder / SOURCE)
            self.known_as = self.source.get("name", Path(name).name)
            self.files = encoder.files.settings()
            silence(encoder.config)
            encoder = self._read(encoder)
            self.network = encoder.module if folder is None else untrained_module(encoder)
            self.encoder, self.width = encoder.with_module(self.network), encoder.width
            drop_unused(self.encoder)
            self.layers = find_layers(self.encoder)
            self._freeze()
            if settings.layer_decay != 1:
                self._found_layers("layer_decay")
            if settings.gradient_checkpointing:
                recompute(self._found_layers("gradient_checkpointing"))
            if origin.folder is None:
                self._try()
        self.train()

    @classmethod
    @abstractmethod
    def fits(cls, size: int) -> bool:
        """Whether frames of so many features can be what it takes."""

    @abstractmethod
    def _read(self, encoder: Encoder) -> Encoder:
        """Read the preprocessing, and change the configuration if that is needed before the network is built."""

    @abstractmethod
    def _example(self) -> Float[Tensor, "1 time size"]:
        """Give the shortest input that something comes of."""

    @abstractmethod
    def _encode(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        """Encode, in whatever precision. The mask never depends on what the network gives: its NaN must be seen."""

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.is_trained), self._in_precision(values.device):
            encoded, observed = self._encode(values, mask)
        return encoded.float(), observed

    @property
    def is_trained(self) -> bool:
        """Whether any of the network is."""
        return self.settings.train != "frozen"

    def _in_precision(self, device: torch.device) -> AbstractContextManager[Any]:
        if self.settings.precision == "auto":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")

    def _check_size(self, origin: Origin) -> None:
        if not self.fits(origin.size):
            raise ConfigError(
                f"{self.form}; the data has {origin.size} features per frame: set "
                f'features.extractors.{origin.modality} = "{self.takes}", or model.encoders.{origin.modality} = '
                '"features"'
            )

    def _try(self) -> None:
        """Run the network once: settings that no check foresees come out now, and not in training."""
        if next(self.network.parameters()).is_meta:  # as where parameters are only counted
            return
        example = self._example()
        with explained(self.encoder), torch.no_grad():
            self.eval()(example, torch.ones(example.shape[:2], dtype=torch.bool))

    # what is trained

    def _freeze(self) -> None:
        """Leave only what is to be trained with gradients."""
        if self.settings.train == "frozen":
            self.network.requires_grad_(False)
        if self._n_last is None:
            return
        n_layers = len(self._found_layers("train"))
        if self._n_last > n_layers:
            raise ConfigError(
                f"{self.encoder.name} has {n_layers} layers; got train = {self.settings.train!r}: write "
                f"{_choices_of_last(n_layers)}"
            )
        for parameter, height in heights(self.encoder, self.layers).items():
            if height <= n_layers - self._n_last:
                parameter.requires_grad_(False)

    @property
    def _n_last(self) -> int | None:
        _, _, number = self.settings.train.partition("last-")
        return int(number) if number else None

    def _found_layers(self, key: str) -> list[torch.nn.Module]:
        if not self.layers:
            raise ConfigError(
                f"{key}: no layers can be told apart in a network of type {self.encoder.config.model_type!r}; set "
                'train = "full" or "frozen", and leave layer_decay and gradient_checkpointing out'
            )
        return self.layers

    def train(self, mode: bool = True) -> "PretrainedPart":
        """Switch dropout and batch statistics, of what is trained only."""
        super().train(mode)
        if self.settings.train != "full":
            self.network.eval()
            for layer in self.layers[-self._n_last :] if self._n_last else ():
                layer.train(mode)
        return self

    def parameter_groups(self, learning_rate: float) -> Iterator[dict[str, Any]]:
        """Give one group per layer, or a single one where all have the same rate.

        (Rates by layer: Howard and Ruder, 2018, "Universal language model fine-tuning", section 3.2.)
        """
        highest = self.settings.learning_rate or learning_rate
        if self.settings.layer_decay == 1:
            yield {"params": [p for p in self.parameters() if p.requires_grad], "lr": highest}
            return
        groups: dict[int, list[Tensor]] = defaultdict(list)
        for parameter, height in heights(self.encoder, self.layers).items():
            if parameter.requires_grad:
                groups[height].append(parameter)
        for height, parameters in sorted(groups.items()):
            yield {"params": parameters, "lr": highest * self.settings.layer_decay ** (len(self.layers) - height)}

    # files

    def save_files(self, folder: Path) -> None:
        """Write configuration, preprocessing and tokenizer as they were read, and where they came from."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        if self.source:
            (folder / SOURCE).write_text(json.dumps(self.source, indent=1), encoding="utf-8")

    def save_checkpoint(self, folder: Path) -> None:
        """Write the network into a new folder as transformers does, with its other files as they were read.

        Its configuration is that of the network as it is here, perhaps of fewer layers, with the noise of training as
        the checkpoint has it.

        Raises:
            ConfigError: If the network is no whole one any more, as a speech transformer cut below its last norm.
        """
        with quiet_transformers():
            self.network.save_pretrained(folder)  # pyright: ignore[reportCallIssue] (every network is of transformers)
        config = read_json(folder / CONFIG)
        before = json.loads(self.files[CONFIG])
        kept = {key: value for key, value in config.items() if key not in (*NOISE, *NOT_OF_A_CHECKPOINT)}
        kept |= {key: before[key] for key in NOISE if key in before}  # the others have the default of the architecture
        (folder / CONFIG).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        for name in self.files.keys() - {CONFIG}:
            (folder / name).write_bytes(self.files[name])
        for weights in folder.glob("*.safetensors"):  # safetensors lets their owner alone read them
            weights.chmod((folder / CONFIG).stat().st_mode)
        try:
            load_encoder(str(folder), self.kind)
        except CheckpointError:
            raise ConfigError(
                f"{self.described}: is no whole network any more, so no checkpoint can be made of it; train with the "
                "last layer (layer = -1)"
            ) from None

    @property
    def described(self) -> str:
        return ", ".join([self.known_as, *self._particulars(), self._trained()])

    def _particulars(self) -> Iterator[str]:
        """Say what settings make of the network."""
        yield from ()

    def _trained(self) -> str:
        if self._n_last is not None:
            return "last layer trained" if self._n_last == 1 else f"last {self._n_last} layers trained"
        return "trained in full" if self.is_trained else "frozen"

    @property
    def parts(self) -> Collection[dict[str, str]]:
        """The checkpoint that training began from, if it did not begin at random."""
        return [self.source] if self.source else []


def _choices_of_last(n_layers: int) -> str:
    """Say what ``train`` may be, but frozen.

    >>> [_choices_of_last(n) for n in (1, 2, 12)]
    ['"last-1" or "full"', '"last-1", "last-2" or "full"', '"last-1" to "last-12", or "full"']
    """
    if n_layers > 4:
        return f'"last-1" to "last-{n_layers}", or "full"'
    return ", ".join(f'"last-{n}"' for n in range(1, n_layers + 1)) + ' or "full"'


@contextmanager
def _naming(origin: Origin) -> Iterator[None]:
    try:
        yield
    except EmotiwaveError as error:
        raise type(error)(f"model.encoders.{origin.modality}: {error}") from None


def _source(encoder: Encoder) -> dict[str, str]:
    """Say where a checkpoint comes from; of a folder its name alone, for paths are nobody's business."""
    files = encoder.files
    name = files.name if files.commit else Path(files.name).name
    facts = {"name": name, "revision": files.commit, "licence": files.licence}
    return {key: value for key, value in facts.items() if value}


def _read_source(path: Path) -> dict[str, str]:
    if not path.exists():  # as of a network that began at random
        return {}
    source = read_json(path)
    if "name" not in source or not all(isinstance(value, str) for value in source.values()):
        raise CheckpointError(f'{path}: expected "name" and other texts; copy the saved model again')
    return source


def pad_rows(
    rows: Sequence[Float[Tensor, "_ width"]],
    like: Float[Tensor, "*_"],
    observed: Sequence[Bool[Tensor, " _"]] | None = None,
) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
    """Bring sequences of any lengths together, with the mask, on the device of another tensor.

    ``observed`` are the masks of the sequences; by default all their frames are observed, whatever they hold.

    >>> values, mask = pad_rows([torch.ones(2, 3), torch.ones(0, 3)], like=torch.zeros(1))
    >>> values.shape, mask.tolist()
    (torch.Size([2, 2, 3]), [[True, True], [False, False]])
    """
    masks = [row.new_ones(len(row), dtype=torch.bool) for row in rows] if observed is None else observed
    values = pad_sequence([row.to(like.device) for row in rows], batch_first=True)
    mask = pad_sequence([of_row.to(like.device) for of_row in masks], batch_first=True)
    missing = max(0, 1 - values.shape[1])
    return F.pad(values, (0, 0, 0, missing)), F.pad(mask, (0, missing))


def seen_frames(sequence: ComputationalSequence, ids: Sequence[str]) -> NDArray[np.float32]:
    """Take some observed training frames ``(n, size)``, at most `MAX_SEEN`.

    Raises:
        FeatureError: If there is none.
    """
    places = [np.arange(*sequence.offsets[[row, row + 1]]) for row in map(sequence.row.get, ids) if row is not None]
    places = np.concatenate([np.empty(0, np.int64), *places])
    frames = sequence.values[places[:: -(-len(places) // MAX_SEEN) or 1]]
    frames = frames[np.isfinite(frames).all(axis=1)]
    return frames if len(frames) else observed_frames(sequence, ids)[:MAX_SEEN]
