"""A model in a folder: weights, how to build it, and what else its encoders need.

``model.safetensors`` holds weights, statistics and prior; ``encoders/MODALITY/`` the files of an encoder, such as
configuration, tokenizer and vocabulary; ``model.json`` says how to build the model, and the SHA-256 of all the others.
No pickle is read or written. Loading is strict: of damaged, exchanged, missing or further files none is used, and
nothing is given memory that the weights do not fill.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt, StringConstraints, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from emotiwave.errors import CheckpointError, EmotiwaveError, MissingExtraError, printable
from emotiwave.files import replace_file, whole_file
from emotiwave.models import create_model
from emotiwave.models.fusion import FusionModel, ModelSettings, ModelSpec
from emotiwave.models.packed import Packing, pack, unpack
from emotiwave.settings import Settings
from emotiwave.types import LabelSet

FORMAT = 2
WEIGHTS, DESCRIPTION, ENCODERS = "model.safetensors", "model.json", "encoders"
MAX_DESCRIPTION = 8 * 2**20
"""Bytes of ``model.json``, above which it is refused unread."""
MAX_FILE = 128 * 2**20
"""Bytes of a file of an encoder; the largest tokenizers take about 30 MiB."""
MAX_MODALITIES = 32
COPY_AGAIN = "copy the whole folder again"

ModalityName = Annotated[str, StringConstraints(pattern=r"^[^./\\\x00]+$")]
"""Never a path: each names a folder."""


class Description(Settings):
    """The content of ``model.json``."""

    format: Literal[2] = FORMAT
    settings: ModelSettings
    sizes: dict[ModalityName, PositiveInt] = Field(max_length=MAX_MODALITIES)
    """Features per frame of each modality."""
    label_set: LabelSet
    parts: dict[str, list[dict[str, str]]]
    """The published parts inside the encoder of each modality, as `ModalityEncoder.parts` gives them."""
    packed: dict[str, Packing] = Field(default_factory=dict)
    """How weights are stored that take less room in the file than in the model."""
    sha256: dict[str, str]
    """Of the weights and of every file of an encoder, by its path in the folder."""

    def to_json(self) -> bytes:
        """Write it as it stands in the file."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def save_model(model: FusionModel, folder: Path, *, packed: bool = False) -> None:
    """Write a model; each file appears whole or not at all, and the description last.

    Packed, it takes about a third of the room, and its answers differ a little from those that it gave before.

    A process that dies in between leaves files that the description does not fit, which loading refuses. Files of
    encoders that are as they were are not touched, and those of an earlier model are removed.

    Raises:
        CheckpointError: If ``encoders`` is there and no folder of the model's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = _files_of_encoders(model)
    _place(files, folder)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _distinct(model).items()}
    weights, how = pack(weights) if packed else (weights, {})
    with whole_file(folder / WEIGHTS) as scratch:
        scratch.touch()
        mode = scratch.stat().st_mode  # safetensors puts another file in its place, which only its owner may read
        save_file(weights, scratch)
        scratch.chmod(mode)
        digest = _digest(scratch)
    spec = model.spec
    description = Description(
        settings=spec.settings,
        sizes=dict(spec.sizes),
        label_set=spec.label_set,
        parts={name: [dict(part) for part in model.encoder(name).parts] for name in model.modalities},
        packed=how,
        sha256={WEIGHTS: digest} | {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    replace_file(folder / DESCRIPTION, description.to_json())


def load_model(folder: Path, *, lean: bool = False) -> FusionModel:
    """Read a model and put it in evaluation mode.

    Args:
        folder: Where `save_model` wrote it.
        lean: Build encoders for answers alone, without the libraries that train them where that can be.

    Raises:
        CheckpointError: If files are missing, damaged, of another format, or of another model.
        MissingExtraError: If an encoder needs a package that is not installed.
    """
    description = read_description(folder)
    _check_files(folder, description.sha256)
    spec = ModelSpec(description.settings, description.sizes, description.label_set, folder, lean)
    weights = _read_weights(folder / WEIGHTS, description.packed)
    _check_weights(weights, _distinct(_build(spec, "meta")), folder / WEIGHTS, spec.settings.name)
    model = _build(spec, "cpu")
    model.load_state_dict({name: weights[first] for name, first in _first_names(model).items()}, strict=True)
    model.spec = replace(spec, folder=None)  # what it was built of is in it now, and the folder may go
    return model.eval()


def read_description(folder: Path) -> Description:
    """Read ``model.json``.

    Raises:
        CheckpointError: If it is missing, damaged, or of another format.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(f"{folder}: no trained model here ({DESCRIPTION} is missing)")
    try:
        if path.stat().st_size > MAX_DESCRIPTION:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected at most {MAX_DESCRIPTION:,}")
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); {COPY_AGAIN}") from None
    _check_format(path, raw.get("format") if isinstance(raw, dict) else None)
    try:
        return Description.model_validate_json(text, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = printable(".".join(map(str, problem["loc"])))
        raise CheckpointError(f"{path}: damaged model description ({where}: {problem['msg']}); {COPY_AGAIN}") from None
    except EmotiwaveError as error:
        raise CheckpointError(f"{path}: damaged model description ({error}); {COPY_AGAIN}") from None


def _check_format(path: Path, found: object) -> None:
    if type(found) is not int:
        raise CheckpointError(f"{path}: not a model description of format {FORMAT}; {COPY_AGAIN}")
    if found < FORMAT:
        raise CheckpointError(
            f"{path}: trained by an earlier version (format {found}; this one reads {FORMAT}); train again with this "
            "version"
        )
    if found > FORMAT:
        raise CheckpointError(
            f"{path}: trained by a later version (format {found}; this one reads {FORMAT}); update emotiwave"
        )


def _files_of_encoders(model: FusionModel) -> dict[str, bytes]:
    """What encoders need beside weights, by path in the folder of the model; small files."""
    files = {}
    with TemporaryDirectory() as scratch:
        for name in model.modalities:
            folder = Path(scratch, ENCODERS, name)
            folder.mkdir(parents=True)
            model.encoder(name).save_files(folder)
        for name in _lying(Path(scratch)):
            files[name] = Path(scratch, name).read_bytes()
    return files


def _place(files: Mapping[str, bytes], folder: Path) -> None:
    below = folder / ENCODERS
    if below.is_symlink() or (below.exists() and not below.is_dir()):
        raise CheckpointError(
            f"{below}: a link or a file; a model keeps files of its own in a folder of this name, and removes others: "
            "take it away, or save the model elsewhere"
        )
    lying = _lying(folder)
    for name in lying - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        path = folder / name
        if name not in lying or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)


def _lying(folder: Path) -> set[str]:
    """Paths of what lies below ``encoders``; a link to a folder is not followed, and stands for itself."""
    found = (folder / ENCODERS).rglob("*")
    return {path.relative_to(folder).as_posix() for path in found if path.is_symlink() or not path.is_dir()}


def _check_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Refuse files that are not those of the description; what it names is only compared and never opened."""
    found = _lying(folder) | {WEIGHTS}
    missing = [name for name in (WEIGHTS, *sorted(expected)) if name not in found or not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder}: no whole model here ({printable(missing[0])} is missing or no file); {COPY_AGAIN}"
        )
    for name in sorted(found):
        path = folder / name
        if name not in expected:
            raise CheckpointError(f"{path}: {DESCRIPTION} knows no such file; take it away, or {COPY_AGAIN}")
        if name != WEIGHTS and path.stat().st_size > MAX_FILE:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes; expected at most {MAX_FILE:,}")
        if _digest(path) != expected[name]:
            raise CheckpointError(
                f"{path} is not the file that {DESCRIPTION} describes: truncated, changed, or of another model; "
                f"{COPY_AGAIN}"
            )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None


class _WithoutStart(TorchFunctionMode):
    """Leaves new weights as they lie in memory: all of them are read. On ``meta`` torch would import its compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def _build(spec: ModelSpec, device: str) -> FusionModel:
    """Build the model without weights; on ``meta`` it takes no memory."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device), _WithoutStart():
            return create_model(spec)
    except MissingExtraError:
        raise
    except Exception as error:  # settings that contradict each other raise anything
        raise CheckpointError(
            f"{spec.folder}: no model can be built of {DESCRIPTION} and the files of its encoders "
            f"({' '.join(str(error).split())[:300]}); {COPY_AGAIN}"
        ) from None


def _first_names(model: FusionModel) -> dict[str, str]:
    """Name every weight and statistic, and the first name of the same tensor: another one where weights are tied."""
    first: dict[int, str] = {}
    # as they are, so that tied ones are one object, also on ``meta`` where they have no address
    named = model.state_dict(keep_vars=True).items()
    return {name: first.setdefault(id(tensor), name) for name, tensor in named}


def _distinct(model: FusionModel) -> dict[str, Tensor]:
    """Weights and statistics, each once."""
    tensors = model.state_dict(keep_vars=True)
    return {name: tensors[name] for name, first in _first_names(model).items() if name == first}


def _read_weights(path: Path, packed: Mapping[str, Packing]) -> dict[str, Tensor]:
    """Map the file into memory; nothing is read yet but what is packed."""
    try:
        return unpack(load_file(path), packed)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; {COPY_AGAIN}") from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged or no safetensors file ({error}); {COPY_AGAIN}") from None


def _check_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Refuse weights that are not exactly those of the model, or not finite."""
    of_another = f"{path}: the weights are of another model than {model!r}, which {DESCRIPTION} names"
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or unknown:
        more = [f"{what} {names[0]!r}" for what, names in (("without", missing), ("with", unknown)) if names]
        raise CheckpointError(
            f"{of_another}: {', '.join(more)}; {COPY_AGAIN}, or train again if another version has trained it"
        )
    for name, tensor in found.items():
        if (tensor.shape, tensor.dtype) != (expected[name].shape, expected[name].dtype):
            raise CheckpointError(
                f"{of_another}: {name!r} is {tuple(tensor.shape)} {tensor.dtype}; expected "
                f"{tuple(expected[name].shape)} {expected[name].dtype}; {COPY_AGAIN}"
            )
        if tensor.is_floating_point() and tensor.numel() and not _is_finite(tensor):
            raise CheckpointError(f"{path}: weight {name!r} is not finite; train again, or {COPY_AGAIN}")


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are; the range tells, in a fifth of the time of a mask as large as the tensor."""
    return all(torch.isfinite(value) for value in torch.aminmax(tensor))
