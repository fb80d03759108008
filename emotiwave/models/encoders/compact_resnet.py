"""Small pictures of faces through a compact residual network that is trained from scratch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from emotiwave.errors import ConfigError
from emotiwave.models.encoders.encoder import ModalityEncoder, Origin
from emotiwave.models.encoders.pictures import check_pixels, shape_of_square
from emotiwave.models.encoders.pretrained_part import seen_frames
from emotiwave.pretrained.image import MAX_SIDE
from emotiwave.sequences import ComputationalSequence
from emotiwave.settings import Settings

LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601)."""
LEAST_CONTRAST = 0.02
"""Standard deviation of a picture below which it is not stretched further: what is left is noise of a camera."""
AT_ONCE = 256
TURN, ZOOM, SHIFT = 0.26, 0.15, 0.12
"""Augmented pictures are turned by at most so many radians (15 degrees), zoomed by at most this share, and moved by at
most this share of half a side."""
ERASED = 0.5
"""How often a rectangle of an augmented picture is hidden (Zhong et al., 2020, "Random erasing data augmentation")."""
ERASED_SIDES = (0.15, 0.45)
"""Shares of a side that the rectangle covers, least and most."""
GAMMA = 0.4
"""Augmented pictures are raised to a power between e to the minus this and e to this: darker or brighter."""


class CompactResnetSettings(Settings):
    """Keys of ``compact_resnet``."""

    widths: Annotated[tuple[Annotated[int, Field(ge=8, le=1024)], ...], Field(min_length=1, max_length=6)] = (
        32,
        64,
        128,
        256,
    )
    """Channels of each stage; every stage halves the sides of the picture."""
    side: int = Field(48, ge=16, le=MAX_SIDE)
    """Pictures become grey squares of so many pixels."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Of the vector that comes out."""
    augment: bool = True
    """In training, mirror, turn, zoom, shift, brighten and partly hide pictures at random, those of a clip alike."""
    mirror: bool = True
    """Otherwise, give the mean of the vectors of a picture and of its mirror image: twice the time."""


class CompactResnet(ModalityEncoder):
    """One vector per picture: grey, of one size, of mean 0 and standard deviation 1, then residual blocks.

    (He et al., 2016, "Deep residual learning for image recognition"; dense convolutions, a stage a block.) Only
    observed pictures go through it, so that no batch norm sees any other.
    """

    takes = "face"

    def __init__(self, settings: CompactResnetSettings, origin: Origin) -> None:
        super().__init__()
        self.settings, self.size = settings, origin.size
        if not shape_of_square(origin.size)[0]:
            raise ConfigError(
                f"model.encoders.{origin.modality}: compact_resnet takes pictures of s*s or 3*s*s pixels; the data has "
                f'{origin.size} features per frame: set features.extractors.{origin.modality} = "face"'
            )
        first, *_ = widths = settings.widths
        self.width = widths[-1]
        stages = [_Block(before, after) for before, after in pairwise((first, *widths))]
        self.network = nn.Sequential(_convolution(1, first), nn.BatchNorm2d(first), nn.ReLU(), *stages)
        self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack it)
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def resting_frame(self) -> Float[Tensor, " size"]:
        """Grey."""
        return torch.full((self.size,), 0.5)

    @property
    def described(self) -> str:
        return f"compact ResNet from scratch, stages of {'-'.join(map(str, self.settings.widths))} channels"

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Check that some training frames are pixels.

        Raises:
            FeatureError: If they are not.
        """
        check_pixels(seen_frames(sequence, ids), "compact_resnet")

    def forward(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch time width"], Bool[Tensor, "batch time"]]:
        pictures = prepare(values[mask], self.settings.side)
        if self.training and self.settings.augment and len(pictures):
            rows = mask.nonzero()[:, 0]
            pictures = spoil(pictures, rows, len(values))
        vectors = self._run(pictures)
        encoded = vectors.new_zeros(*mask.shape, self.width)
        encoded[mask] = self.dropout(vectors)
        return encoded.float(), mask

    def _run(self, pictures: Float[Tensor, "n 1 side side"]) -> Float[Tensor, "n width"]:
        if not len(pictures):
            return pictures.new_zeros(0, self.width)
        if self.training and len(pictures) > 1:
            return self._vectors(pictures)
        self.network.eval()  # a batch norm cannot take its statistics of one picture
        try:
            return torch.cat([self._answer(some) for some in pictures.split(AT_ONCE)])
        finally:
            self.network.train(self.training)

    def _answer(self, pictures: Float[Tensor, "n 1 side side"]) -> Float[Tensor, "n width"]:
        if self.training or not self.settings.mirror:
            return self._vectors(pictures)
        return (self._vectors(pictures) + self._vectors(pictures.flip(-1))) / 2

    def _vectors(self, pictures: Float[Tensor, "n 1 side side"]) -> Float[Tensor, "n width"]:
        pictures = standardise(pictures).contiguous(memory_format=torch.channels_last)
        return self.network(pictures).mean(dim=(2, 3)).float()


class _Block(nn.Module):
    """Two convolutions, the first of stride 2, beside a mean of the input."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution(before, after, stride=2),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            _convolution(after, after),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
        )

    def forward(self, pictures: Float[Tensor, "n before h w"]) -> Float[Tensor, "n after h2 w2"]:
        return F.relu(self.convolutions(pictures) + self.shortcut(pictures))


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)


def prepare(values: Float[Tensor, "n size"], side: int) -> Float[Tensor, "n 1 side side"]:
    """Make grey pictures of one size of pixels, row by row, the colours of a pixel next to each other."""
    height, width, channels = shape_of_square(values.shape[1])
    pictures = values.unflatten(1, (height, width, channels)).permute(0, 3, 1, 2)
    if channels == 3:
        pictures = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    if height != side and len(pictures):
        pictures = F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
    return pictures


def standardise(pictures: Float[Tensor, "n 1 side side"]) -> Float[Tensor, "n 1 side side"]:
    """Bring each picture to mean 0 and standard deviation 1, so that light and contrast of a room do not count."""
    centred = pictures - pictures.mean(dim=(1, 2, 3), keepdim=True)
    return centred / centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=LEAST_CONTRAST)


def spoil(
    pictures: Float[Tensor, "n 1 side side"], rows: Int[Tensor, " n"], n_rows: int
) -> Float[Tensor, "n 1 side side"]:
    """Mirror, turn, zoom, shift, brighten and partly hide pictures at random, those of one row alike."""
    draw = (torch.rand(n_rows, 6) * 2 - 1).to(pictures)[rows]  # of all rows: what is hidden in one changes no other
    hidden = _hidden(n_rows, pictures.shape[-1]).to(pictures.device)[rows]
    mirror, zoom, turn = torch.where(draw[:, 0] < 0, -1.0, 1.0), 1 + ZOOM * draw[:, 1], TURN * draw[:, 2]
    cos, sin = zoom * turn.cos(), zoom * turn.sin()
    across = torch.stack([mirror * cos, -sin, SHIFT * draw[:, 3]], dim=1)
    down = torch.stack([mirror * sin, cos, SHIFT * draw[:, 4]], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(pictures.shape), align_corners=False)
    pictures = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    pictures = pictures.clamp(1e-3, 1) ** (GAMMA * draw[:, 5]).exp()[:, None, None, None]
    return torch.where(hidden, pictures.mean(dim=(2, 3), keepdim=True), pictures)


def _hidden(n: int, side: int) -> Bool[Tensor, "n 1 side side"]:
    """Draw a rectangle for about half the pictures."""
    least, most = ERASED_SIDES
    extents = side * (least + (most - least) * torch.rand(n, 2))
    begins = torch.rand(n, 2) * (side - extents)
    place = torch.arange(side) + 0.5
    inside = [(place > begins[:, k, None]) & (place < (begins + extents)[:, k, None]) for k in (0, 1)]
    return (inside[0][:, :, None] & inside[1][:, None, :] & (torch.rand(n, 1, 1) < ERASED))[:, None]
