"""Image encoders: pictures brought to the size and range that the checkpoint says, and one vector for each.

Resizing is Pillow's, as in the preprocessing that such models were trained with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emotiwave.errors import CheckpointError, ConfigError
from emotiwave.pretrained.files import PREPROCESSING, read_json
from emotiwave.pretrained.loading import TIMM, Encoder

if TYPE_CHECKING:
    import torch

Pool = Literal["auto", "mean"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MAX_SIDE = 2048
SQUASH_FROM = 384
"""Pixels: where a share to crop is given, pictures of this size and more are squashed and not cropped."""
TENSOR_FILTERS = {
    Image.Resampling.NEAREST: "nearest-exact",
    Image.Resampling.BILINEAR: "bilinear",
    Image.Resampling.BICUBIC: "bicubic",
}
"""Filters of Pillow that torch has too."""
TIMM_RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
CLASS_TOKEN_TYPES = (
    "vit",
    "deit",
    "beit",
    "data2vec-vision",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "vit_mae",
    "vit_msn",
)
"""Transformers whose first state stands for the whole picture."""


@dataclass(frozen=True)
class ImagePreprocessing:
    """What pictures must be for an encoder.

    ``resize`` is ``(height, width)``, or one number for the shorter side; ``crop`` ``(height, width)`` from the middle,
    or None; ``resample`` Pillow's code of the filter. Then values are times ``scale``, less ``mean``, over ``std``.
    ``source`` says where all this was read.
    """

    resize: tuple[int, int] | int
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    @classmethod
    def of(cls, encoder: Encoder) -> "ImagePreprocessing":
        """Read it beside the weights; without such a file, it is what is usual on ImageNet.

        Raises:
            CheckpointError: If sizes, means or deviations make no sense.
        """
        folder = encoder.files.folder
        path = next((folder / name for name in PREPROCESSING if (folder / name).is_file()), None)
        if encoder.config.model_type == TIMM:
            path, raw = folder / "config.json", _of_timm(read_json(folder / "config.json"))
        elif path is None:
            side = getattr(encoder.config, "image_size", None) or 224
            height, width = side if isinstance(side, list | tuple) and len(side) == 2 else (side, side)
            raw = {"size": {"height": height, "width": width}, "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}
        else:
            raw = read_json(path)
            raw = raw.get("image_processor") or raw  # as a part of a whole processor
        source = path.name if path else "ImageNet defaults"
        try:
            return _read(raw, source)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"{path or folder}: no preprocessing of pictures that can be understood ({error!r}); expected size, "
                "image_mean and image_std, as save_pretrained writes them"
            ) from None

    @property
    def side(self) -> int:
        """Pixels along a side that square pictures best have: of this size, none is resized."""
        return self.resize if isinstance(self.resize, int) else max(self.resize)

    def prepare(self, pictures: NDArray[np.uint8]) -> "torch.Tensor":
        """Turn ``(frames, height, width, 3 or 1)`` uint8, RGB or grey, into ``(frames, 3, height, width)`` float32."""
        import torch

        if pictures.shape[-1] == 1:
            pictures = np.repeat(pictures, 3, axis=-1)
        sized = np.stack([self._fit(picture) for picture in pictures]).astype(np.float32)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        values = (sized * np.float32(self.scale) - mean) / std
        return torch.from_numpy(values).permute(0, 3, 1, 2)  # channels last in memory, as `place` wants them

    def prepare_tensor(self, pictures: "torch.Tensor") -> "torch.Tensor":
        """Turn ``(frames, 3 or 1, height, width)``, values 0 to 1, into ``(frames, 3, height, width)``, channels last.

        As `prepare` but for its rounding to whole grey levels, and its cutting off what bicubic overshoots between the
        two directions; on any device.

        Raises:
            ConfigError: If pictures are to be resized by a filter that torch lacks.
        """
        import torch

        pictures = self._resize_tensor(pictures)
        if self.crop is not None:
            height, width = pictures.shape[2:]
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            pictures = pictures[..., top : top + self.crop[0], left : left + self.crop[1]]
        # one factor and one shift; a grey picture becomes three channels here
        factor = 255 * self.scale / torch.tensor(self.std, device=pictures.device)
        shift = torch.tensor(self.mean, device=pictures.device) / torch.tensor(self.std, device=pictures.device)
        values = pictures * factor[:, None, None] - shift[:, None, None]
        return values.contiguous(memory_format=torch.channels_last)

    def _resize_tensor(self, pictures: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional

        size = self._target(pictures.shape[2], pictures.shape[3])
        if size == tuple(pictures.shape[2:]):
            return pictures
        mode = TENSOR_FILTERS.get(Image.Resampling(self.resample))
        if mode is None:
            raise ConfigError(
                f"{self.source}: pictures are to be resized by {Image.Resampling(self.resample).name.lower()}, which "
                "training through the encoder cannot do; use crops of the size it takes, set side, or extract features "
                "by image_encoder"
            )
        smooth = mode != "nearest-exact"
        # bicubic overshoots; Pillow cuts that off
        return functional.interpolate(pictures, size, mode=mode, antialias=smooth).clamp(0, 1)

    def _fit(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self._target(*picture.shape[:2])
        if (height, width) != picture.shape[:2]:
            image = Image.fromarray(np.ascontiguousarray(picture))
            picture = np.asarray(image.resize((width, height), Image.Resampling(self.resample)))
        if self.crop is None:
            return picture
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        return picture[top : top + self.crop[0], left : left + self.crop[1]]

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self.resize, int):
            return self.resize
        short, long = sorted((height, width))
        longer = self.resize * long // short
        return (longer, self.resize) if height >= width else (self.resize, longer)


def _of_timm(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Say a timm checkpoint's settings in the words of transformers; an odd crop may lie one pixel beside timm's."""
    trained = raw.get("pretrained_cfg") or {}
    _, height, width = trained.get("input_size", (3, 224, 224))
    share = trained.get("crop_pct", 0.875)
    return {
        "size": {"shortest_edge": int(min(height, width) / share)},
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "resample": TIMM_RESAMPLING[trained.get("interpolation", "bicubic")],
        "image_mean": trained.get("mean", IMAGENET_MEAN),
        "image_std": trained.get("std", IMAGENET_STD),
    }


def _read(raw: Mapping[str, Any], source: str) -> ImagePreprocessing:
    kind = str(raw.get("image_processor_type") or raw.get("feature_extractor_type") or "")
    resize, crop = _sizes(raw, kind)
    largest = max(*(resize if isinstance(resize, tuple) else (resize,)), *(crop or ()), 1)
    if largest > MAX_SIDE or (crop and min(crop) > (resize if isinstance(resize, int) else min(resize))):
        raise ValueError(f"size {resize}, crop {crop}; at most {MAX_SIDE} pixels, and no crop larger than the picture")
    scale = float(raw.get("rescale_factor", 1 / 255)) if raw.get("do_rescale", True) else 1.0
    plain = not raw.get("do_normalize", True)
    mean = (0.0, 0.0, 0.0) if plain else tuple(float(value) for value in raw["image_mean"])
    std = (1.0, 1.0, 1.0) if plain else tuple(float(value) for value in raw["image_std"])
    numbers = np.array([scale, *mean, *std])
    if len(mean) != 3 or len(std) != 3 or not np.isfinite(numbers).all() or min(std) <= 0 or scale <= 0:
        raise ValueError(f"mean {mean}, std {std}, scale {scale}; expected three finite numbers each, std above 0")
    resample = raw.get("resample", Image.Resampling.BILINEAR)
    return ImagePreprocessing(resize, crop, int(Image.Resampling(resample)), scale, mean, std, source)


def _sizes(raw: Mapping[str, Any], kind: str) -> tuple[tuple[int, int] | int, tuple[int, int] | None]:
    """Read the size to resize to, and the part of it to keep, in the ways that they are written."""
    size, crop_size = raw["size"], raw.get("crop_size")
    if "crop_pct" in raw or kind.startswith("ConvNext"):
        edge = _pixels(size["shortest_edge"] if isinstance(size, dict) else size)
        share = float(raw.get("crop_pct") or 224 / 256)
        return ((edge, edge), None) if edge >= SQUASH_FROM else (_pixels(int(edge / share)), (edge, edge))
    crop = _pair(crop_size) if raw.get("do_center_crop") and crop_size is not None else None
    if isinstance(size, dict) and "shortest_edge" in size:
        edge = _pixels(size["shortest_edge"])
        return edge, crop or (edge, edge)
    if not isinstance(size, dict) and crop is not None:
        return _pixels(size), crop  # in older files, one number before a crop is the shorter side
    return _pair(size), crop


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return _pixels(size["height"]), _pixels(size["width"])
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return _pixels(height), _pixels(width)


def _pixels(value: Any) -> int:
    if type(value) is not int or value < 1:  # True is an int too
        raise ValueError(f"size {value!r}; expected pixels")
    return value


def encode_images(encoder: Encoder, pictures: "torch.Tensor", pool: Pool = "auto") -> "torch.Tensor":
    """Run an encoder over prepared pictures ``(frames, 3, height, width)`` and give ``(frames, width)``.

    ``auto`` is the checkpoint's own summary: the class token of a transformer that has one, else its pooled output.
    ``mean`` is the mean over all places of the picture.

    Raises:
        CheckpointError: If the vectors are of another size than the settings say.
    """
    output = encoder.module(pixel_values=pictures)
    states, pooled = output.last_hidden_state, getattr(output, "pooler_output", None)
    if pool == "auto" and encoder.config.model_type in CLASS_TOKEN_TYPES:
        vectors = states[:, 0]
    elif pool == "auto" and pooled is not None:
        vectors = pooled.flatten(1)
    elif states.ndim == 4:  # some timm networks have their channels last
        vectors = states.mean(dim=(2, 3) if states.shape[1] == encoder.width else (1, 2))
    else:
        vectors = states[:, _n_extra_tokens(encoder) :].mean(dim=1)
    if vectors.shape[1] != encoder.width:
        raise CheckpointError(
            f"{encoder.name}: {vectors.shape[1]} numbers come of a picture, and config.json says {encoder.width}; "
            'try pool = "mean"'
        )
    return vectors


def _n_extra_tokens(encoder: Encoder) -> int:
    """Count the tokens before those of places: class and register tokens."""
    if encoder.config.model_type == TIMM:
        return getattr(encoder.module.timm_model, "num_prefix_tokens", 0)
    if encoder.config.model_type not in CLASS_TOKEN_TYPES:
        return 0
    return 1 + (getattr(encoder.config, "num_register_tokens", 0) or 0)
