"""One vector per picture of a pretrained image encoder: ResNet, ViT and their kind, of face crops or whole frames."""

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from emotiwave.features.extractor import VisionExtractor
from emotiwave.pretrained.files import ModelName
from emotiwave.pretrained.image import ImagePreprocessing, Pool, encode_images
from emotiwave.pretrained.loading import Encoder, load_encoder
from emotiwave.pretrained.running import Device, Precision, Resolved, choose_device, choose_precision, inference, place
from emotiwave.sequences import FeatureSequence
from emotiwave.settings import Settings

BATCH = 16
"""Pictures that are encoded together."""


class ImageEncoderSettings(Settings):
    """Keys of ``image_encoder``."""

    model: ModelName = "microsoft/resnet-50"
    """A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub; ``timm/…`` needs ``[timm]``."""
    revision: str | None = None
    """A branch, tag or commit of the Hub."""
    of: Literal["faces", "frames"] = "faces"
    """Crops of the face that is followed, or whole frames."""
    pool: Pool = "auto"
    """``auto``: the class token of a transformer that has one, else its pooled output. ``mean``: over all places."""
    precision: Precision = "auto"
    """``auto`` takes bfloat16 where the hardware multiplies in it; values then differ by at most 3 %."""
    device: Device = "auto"
    """``auto`` takes a GPU where there is one."""


class ImageEncoder(VisionExtractor):
    """Pictures sized, cropped and scaled as the checkpoint says, then one vector each."""

    VERSION: ClassVar[int] = 2

    def __init__(self, settings: ImageEncoderSettings) -> None:
        self.settings = settings
        self.pictures = settings.of
        self.encoder = load_encoder(settings.model, "image", revision=settings.revision, weights=False)
        self.preprocessing = ImagePreprocessing.of(self.encoder)
        self.side = self.preprocessing.side
        self.size = self.encoder.width
        self.device = choose_device(settings.device)
        self.precision: Resolved = choose_precision(settings.precision, self.device)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version, the model's files, what it is shown, pooling, precision and preprocessing."""
        return {
            "name": "image_encoder",
            "version": self.VERSION,
            "model": dict(self.encoder.identity),
            "of": self.settings.of,
            "pool": self.settings.pool,
            "precision": self.precision,
            "preprocessing": str(self.preprocessing),
        }

    @cached_property
    def _ready(self) -> Encoder:
        return place(self.encoder, self.device)

    def __call__(self, signal: NDArray[np.uint8], timing: NDArray[np.float64]) -> FeatureSequence:
        """Encode pictures, a batch at a time.

        Raises:
            CheckpointError: At the first call, if the weights are missing or damaged.
        """
        batches = [self._encode(signal[start : start + BATCH]) for start in range(0, len(signal), BATCH)]
        return FeatureSequence(np.concatenate([np.empty((0, self.size), np.float32), *batches]), timing)

    def _encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        prepared = self.preprocessing.prepare(pictures).to(self.device)
        with inference(self.encoder, self.device, self.precision):
            return encode_images(self._ready, prepared, self.settings.pool).float().cpu().numpy()
