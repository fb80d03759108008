"""The one loader of encoders: checked before memory is given, never a pickle, never a layer left at random."""

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from emotiwave.errors import CheckpointError, ConfigError, MissingExtraError
from emotiwave.pretrained.files import EncoderFiles, Kind, find_files, read_json

if TYPE_CHECKING:
    import torch

SPEECH_TYPES = ("hubert", "wav2vec2", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
"""Architectures that take a waveform: a stack of convolutions, then a transformer."""
TIMM = "timm_wrapper"
MAX_LAYERS = 512
MAX_WIDTH = 65_536
SPARE = 2**20
"""Parameters that a network may have beyond twice those of the file: poolers that a checkpoint leaves out."""
NOT_NEEDED = re.compile(r"(^|\.)pooler\.|masked_spec_embed$|num_batches_tracked$")
"""Parameters that no hidden state depends on when the encoder is not trained."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """A pretrained network; its weights are read when `module` is first asked for.

    ``config`` is that of transformers. ``width`` is the size of a hidden state, ``depth`` the number of layers (0 where
    only the last can be had).
    """

    kind: Kind
    files: EncoderFiles
    config: Any
    width: int
    depth: int

    @property
    def name(self) -> str:
        """The folder or the name that was given."""
        return self.files.name

    @property
    def identity(self) -> Mapping[str, str]:
        """What the values of its layers depend on: the commit of the Hub, or the hash of all files of a folder."""
        return self.files.identity

    def layer_index(self, layer: int) -> int:
        """Turn a layer that may be counted from the end into its index; 0 is what the first layer is given.

        Raises:
            ConfigError: If there is no such layer.
        """
        if not -self.depth - 1 <= layer <= self.depth:
            raise ConfigError(
                f"{self.name} has no layer {layer}; expected 0 (below the first) to {self.depth} (the last), "
                f"or -{self.depth + 1} to -1 from the end"
            )
        return layer % (self.depth + 1)

    @cached_property
    def module(self) -> "torch.nn.Module":
        """The network itself, float32, in evaluation mode, on the CPU.

        Raises:
            CheckpointError: If the weights are missing, damaged, of another network, or not finite.
            ConfigError: If they must be downloaded and cannot be.
        """
        from transformers import AutoModel

        return read_network(self, AutoModel, NOT_NEEDED)

    def with_module(self, module: "torch.nn.Module") -> "Encoder":
        """Give the same encoder with a network that was made of its settings elsewhere."""
        other = replace(self)
        other.__dict__["module"] = module  # where the cached property looks first
        return other


def load_encoder(name: str, kind: Kind, *, revision: str | None = None, weights: bool = True) -> Encoder:
    """Load a text, speech or image encoder of transformers, or of timm.

    Args:
        name: A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub.
        kind: What it must encode.
        revision: A branch, tag or commit of the Hub.
        weights: Whether to read the weights now; else they are read when `Encoder.module` is first asked for.

    Raises:
        ConfigError: If it cannot be found, or is an encoder of something else.
        CheckpointError: If its files are damaged, or hold no safetensors weights that fit.
        MissingExtraError: If it needs timm, which is not installed.
    """
    files = find_files(name, kind, revision)
    encoder = _describe(files, kind)
    if weights:
        _ = encoder.module
    return encoder


def untrained_module(encoder: Encoder, architecture: Any = None) -> "torch.nn.Module":
    """Build an encoder's network from its settings alone, with weights at random, float32, in evaluation mode.

    ``architecture`` is another of transformers' classes than ``AutoModel``, such as one with a head.

    Raises:
        CheckpointError: If the settings contradict each other.
    """
    import torch
    from transformers import AutoModel

    try:
        with quiet_transformers():
            return (
                (architecture or AutoModel)
                .from_config(encoder.config, trust_remote_code=False, dtype=torch.float32)
                .eval()
            )
    except Exception as error:  # settings that contradict each other
        raise CheckpointError(
            f"{encoder.files.folder / 'config.json'}: no network can be built of it ({error}); fetch it again"
        ) from None


def _describe(files: EncoderFiles, kind: Kind) -> Encoder:
    config = _read_config(files)
    found = _kind_of(config)
    if found != kind:
        what = f"a network of type {config.model_type!r}" if found is None else f"of kind {found!r}"
        hint = f"; types that can be used: {', '.join(SPEECH_TYPES)}" if kind == "speech" else ""
        raise ConfigError(f"{files.name} is {what}; expected an encoder of kind {kind!r}{hint}")
    depth = getattr(config, "num_hidden_layers", 0) if kind != "image" else 0
    stages = _listed(config, "depths")
    for loops in (depth, getattr(config, "num_hidden_layers", 0), *stages):
        _check_number(files, "number of layers", loops, MAX_LAYERS, least=0)
    # each is a number by now; stages without layers would be built too
    _check_number(files, "number of stages", len(stages), MAX_LAYERS, least=0)
    _check_number(files, "number of layers of all stages", sum(cast(list[int], stages)), MAX_LAYERS, least=0)
    width = _check_number(files, "size of a hidden state", _width(config), MAX_WIDTH, least=1)
    return Encoder(kind, files, config, width, depth)


def _check_number(files: EncoderFiles, what: str, number: object, most: int, *, least: int) -> int:
    if not isinstance(number, int) or not least <= number <= most:
        raise CheckpointError(f"{files.folder / 'config.json'}: {what} {number!r}; expected {least} to {most:,}")
    return number


def _listed(config: Any, key: str) -> list[object]:
    values = getattr(config, key, None)
    return list(values) if isinstance(values, list | tuple) else []


def _width(config: Any) -> object:
    if config.model_type == TIMM:
        return getattr(config, "num_features", None)
    sizes = _listed(config, "hidden_sizes")
    return sizes[-1] if sizes else getattr(config, "hidden_size", None)


def _read_config(files: EncoderFiles) -> Any:
    raw = read_json(files.folder / "config.json")
    if "quantization_config" in raw or (files.folder / "adapter_config.json").exists():
        raise CheckpointError(f"{files.name}: quantised weights and adapters are not read; give the plain checkpoint")
    if raw.get("model_type") == TIMM or ("model_type" not in raw and "architecture" in raw):
        _check_timm(files, raw)
    from transformers import AutoConfig

    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # transformers lets a damaged file raise anything
        why = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{files.folder / 'config.json'}: not the settings of a network that transformers knows without running "
            f"code of the checkpoint ({why})"
        ) from None
    config._attn_implementation = None  # a checkpoint does not choose what code runs
    config.fusion_config = None
    if config.model_type == "vit_mae":
        config.mask_ratio = 0.0  # it would hide three quarters of each picture, at random
    if config.model_type in SPEECH_TYPES:
        config.add_adapter = False  # it would thin out the frames of the last layer
    return config


def _check_timm(files: EncoderFiles, raw: Mapping[str, Any]) -> None:
    """Ask for timm, and refuse settings by which a checkpoint could name other files or models to load."""
    try:
        importlib.import_module("timm")
    except Exception as error:  # an installed torchvision that is broken raises RuntimeError
        raise MissingExtraError(
            f"{files.name} is a timm model, and timm cannot be imported ({error}); pip install 'emotiwave[timm]'"
        ) from None
    if not re.fullmatch(r"[A-Za-z0-9_.]+", str(raw.get("architecture"))) or raw.get("model_args"):
        raise CheckpointError(
            f"{files.folder / 'config.json'}: architecture {raw.get('architecture')!r} with model_args "
            f"{raw.get('model_args')!r}; expected the name of a timm architecture and no arguments"
        )


def _kind_of(config: Any) -> Kind | None:
    if any(hasattr(config, part) for part in ("text_config", "vision_config", "audio_config", "encoder")):
        return None  # several networks in one
    if config.model_type in SPEECH_TYPES:
        return "speech"
    if config.model_type == TIMM or hasattr(config, "num_channels"):
        return "image"
    if any(hasattr(config, key) for key in ("conv_stride", "num_mel_bins", "feature_projection_input_dim")):
        return None  # sound, but not as a waveform
    is_text = hasattr(config, "vocab_size") and hasattr(config, "hidden_size") and not config.is_encoder_decoder
    return "text" if is_text else None


def _check_declared(encoder: Encoder, weights: list[Path], architecture: Any) -> None:
    """Refuse settings that ask for far more memory than the file has weights, before any is given."""
    import torch
    from safetensors import safe_open

    held = 0
    for path in weights:
        try:
            with safe_open(path, framework="pt") as file:
                shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 (no mapping)
        except Exception as error:  # safetensors has an exception of its own for whatever is damaged
            raise CheckpointError(f"{path}: damaged or no safetensors file ({error}); fetch it again") from None
        held += sum(torch.Size(shape).numel() for shape in shapes)
    with torch.device("meta"):
        skeleton = untrained_module(encoder, architecture)
    declared = sum(parameter.numel() for parameter in skeleton.parameters())
    if declared > 2 * held + SPARE:
        raise CheckpointError(
            f"{encoder.name}: config.json declares {declared:,} parameters, and the weights hold {held:,}; "
            "they do not belong together: fetch the checkpoint again"
        )


def read_network(encoder: Encoder, architecture: Any, not_needed: re.Pattern[str]) -> "torch.nn.Module":
    """Read the weights of an encoder, or of a network on top of it, into one of transformers' ``AutoModel`` classes.

    Args:
        encoder: Whose files and settings they are.
        architecture: The class.
        not_needed: Names of parameters that may be missing.

    Raises:
        CheckpointError: If weights are damaged, missing, of another network, or not finite.
        ConfigError: If they must be downloaded and cannot be.
    """
    import torch

    _check_declared(encoder, encoder.files.weights(), architecture)
    try:
        with quiet_transformers():
            module, info = architecture.from_pretrained(
                encoder.files.folder,
                config=encoder.config,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # shapes that do not fit raise RuntimeError, and damage anything
        why = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{encoder.name}: the weights cannot be loaded into its network ({why})") from None
    _check_complete(encoder, info, not_needed)
    if any("pooler." in key for key in info["missing_keys"]):
        module.pooler = None  # it would be at random
    broken = [name for name, weight in module.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        raise CheckpointError(f"{encoder.name}: weight {broken[0]!r} is not finite; fetch the checkpoint again")
    return module.eval()


def _check_complete(encoder: Encoder, info: Mapping[str, Any], not_needed: re.Pattern[str]) -> None:
    missing = sorted(key for key in info["missing_keys"] if not not_needed.search(key))
    mismatched = sorted(str(key) for key in info["mismatched_keys"])
    wrong = missing or mismatched or sorted(str(error) for error in info["error_msgs"])
    if wrong:
        raise CheckpointError(
            f"{encoder.name}: {len(wrong)} weights of a {encoder.config.model_type} network are missing or of another "
            f"shape, {wrong[0]!r} first; such layers would be random: give a whole checkpoint"
        )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the progress bars and reports of transformers; what matters of them becomes an error here."""
    from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()
