"""Pictures of faces through a published network, or one from scratch: ResNet, ViT and their kind."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from emotiwave.errors import CheckpointError, ConfigError
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.pictures import check_pixels, shape_of_square
from emotiwave.models.encoders.pretrained_part import PretrainedPart, PretrainedSettings, seen_frames
from emotiwave.pretrained.files import Kind, ModelName
from emotiwave.pretrained.image import IMAGENET_MEAN, IMAGENET_STD, MAX_SIDE, ImagePreprocessing, encode_images
from emotiwave.pretrained.loading import Encoder
from emotiwave.sequences import ComputationalSequence

DEPTH = 18
PUBLISHED = {18: "microsoft/resnet-18", 50: "microsoft/resnet-50"}
SCRATCH: dict[int, dict[str, Any]] = {
    18: {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    50: {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
}
"""He et al., 2016, "Deep residual learning for image recognition", table 1."""
SCRATCH_PREPROCESSING = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "image_mean": IMAGENET_MEAN,
    "image_std": IMAGENET_STD,
}
AT_ONCE = 64
"""Pictures that go through together where no gradient is wanted."""
SHIFT, ZOOM = 0.1, 0.1
"""Augmented clips are moved by at most this share of half a side, and zoomed by at most this share."""


class ResnetSettings(PretrainedSettings):
    """Keys of ``resnet``."""

    pretrained: bool | ModelName = True
    """``true``: the published ResNet of this depth. ``false``: the same from scratch. Or a folder that
    ``save_pretrained`` has written, or a name of the Hugging Face Hub: any image encoder."""
    depth: Literal[18, 50] = DEPTH
    """18 gives 512 features, 50 gives 2048; a checkpoint that is named has its own."""
    pool: Literal["frames", "mean"] = "frames"
    """``frames``: one vector per picture. ``mean``: one per utterance, over its observed pictures."""
    side: int | None = Field(None, ge=8, le=MAX_SIDE)
    """Pictures become squares of so many pixels, uncropped; by default, what the checkpoint was trained with."""
    augment: bool = False
    """In training, flip, shift and zoom each clip at random, all its pictures alike."""

    @model_validator(mode="after")
    def _keys_fit_where_it_begins(self) -> "ResnetSettings":
        if self.pretrained is False and self.revision is not None:
            raise ValueError("revision: is of a checkpoint, and pretrained = false has none; leave revision out")
        if self.pretrained is False and self.train != "full":
            raise ValueError(
                f"train: what begins at random must learn in full, and {self.train!r} leaves layers at random; set "
                'train = "full", or pretrained = true'
            )
        if isinstance(self.pretrained, str) and self.depth != DEPTH:
            raise ValueError(
                f"depth: a checkpoint that is named has its own; leave depth = {self.depth} out, or set pretrained = "
                "true for the published ResNet of that depth"
            )
        return self


class Resnet(PretrainedPart):
    """Sizes and normalises pictures as the checkpoint was trained, and gives one vector each.

    Only observed pictures go through the network, so that no batch norm sees any other.
    """

    takes = "face"
    kind: ClassVar[Kind] = "image"
    form = "resnet takes pictures of s*s or 3*s*s pixels"
    settings: ResnetSettings

    def __init__(self, settings: ResnetSettings, origin: Origin) -> None:
        if settings.pretrained is False:
            with TemporaryDirectory() as folder:  # a new one is built as a saved one is, of files without weights
                _write_scratch(Path(folder), settings.depth)
                super().__init__(settings, origin, f"ResNet-{settings.depth} from scratch", Path(folder))
        else:
            name = PUBLISHED[settings.depth] if settings.pretrained is True else settings.pretrained
            super().__init__(settings, origin, name)
        # convolutions are fastest so
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack it)

    @classmethod
    def fits(cls, size: int) -> bool:
        return shape_of_square(size)[0] > 0

    @property
    def resting_frame(self) -> Float[Tensor, " size"]:
        """Grey."""
        return torch.full((self.size,), 0.5)

    def _read(self, encoder: Encoder) -> Encoder:
        self.preprocessing = ImagePreprocessing.of(encoder)
        if self.settings.side is not None:
            side = (self.settings.side, self.settings.side)
            self.preprocessing = replace(self.preprocessing, resize=side, crop=None)
        return encoder

    def _example(self) -> Float[Tensor, "1 time size"]:
        return torch.full((1, 1, self.size), 0.5)  # draws nothing, so that weights depend on the seed alone

    def _particulars(self) -> Iterator[str]:
        if self.settings.side is not None:
            yield f"side {self.settings.side}"

    def _try(self) -> None:
        try:
            super()._try()
        except CheckpointError as error:
            if self.settings.side is None:
                raise
            raise ConfigError(f"side = {self.settings.side} cannot be had: {error}") from None

    def save_checkpoint(self, folder: Path) -> None:
        if self.settings.side is not None:
            raise ConfigError(
                f"resnet with side = {self.settings.side}: a checkpoint would be given pictures of the size that it "
                "says itself; train without side"
            )
        super().save_checkpoint(folder)

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Check that some training frames are pixels.

        Raises:
            FeatureError: If they are not.
        """
        check_pixels(seen_frames(sequence, ids), "resnet")

    def _encode(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        rows = mask.nonzero()[:, 0]
        pictures = values[mask].unflatten(1, shape_of_square(self.size)).permute(0, 3, 1, 2)
        if self.settings.augment and self.training and len(pictures):
            pictures = move_clips(pictures, rows, len(values))
        vectors = self._run(pictures)
        if self.settings.pool == "mean":
            counts = mask.sum(dim=1, keepdim=True)
            sums = vectors.new_zeros(len(values), self.width).index_add(0, rows, vectors)
            return (sums / counts.clamp(min=1))[:, None], counts > 0
        encoded = vectors.new_zeros(*mask.shape, self.width)
        encoded[mask] = vectors
        return encoded, mask

    def _run(self, pictures: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n features"]:
        if not len(pictures):
            return pictures.new_zeros(0, self.width)
        if not (self.training and self.is_trained):
            return torch.cat([self._vectors(some) for some in pictures.split(AT_ONCE)])
        if len(pictures) > 1:
            return self._vectors(pictures)
        self.network.eval()  # a batch norm cannot take its statistics of one picture
        try:
            return self._vectors(pictures)
        finally:
            self.train()

    def _vectors(self, pictures: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n features"]:
        return encode_images(self.encoder, self.preprocessing.prepare_tensor(pictures)).float()


def _write_scratch(folder: Path, depth: int) -> None:
    config = {"model_type": "resnet", "embedding_size": 64, "num_channels": 3, "hidden_act": "relu"} | SCRATCH[depth]
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "preprocessor_config.json").write_text(json.dumps(SCRATCH_PREPROCESSING, indent=1))


def move_clips(
    pictures: Float[Tensor, "n channels height width"], rows: Int[Tensor, " n"], n_rows: int
) -> Float[Tensor, "n channels height width"]:
    """Flip, shift and zoom pictures at random, those of one row alike."""
    draw = torch.rand(n_rows, 4) * 2 - 1  # of all rows: what is hidden in one changes no other
    flip, zoom = torch.where(draw[:, 0] < 0, -1.0, 1.0), 1 + ZOOM * draw[:, 1]
    none = torch.zeros(n_rows)
    across = torch.stack([flip * zoom, none, SHIFT * draw[:, 2]], dim=1)
    down = torch.stack([none, zoom, SHIFT * draw[:, 3]], dim=1)
    moves = torch.stack([across, down], dim=1).to(pictures)[rows]
    grid = F.affine_grid(moves, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
