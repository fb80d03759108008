"""Sound through a published transformer, a vector each 20 ms: HuBERT, wav2vec 2.0, WavLM and their kind."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from emotiwave.errors import ConfigError, FeatureError
from emotiwave.features.extractors.waveform import RATE, SAMPLES
from emotiwave.models.encoders.encoder import Origin
from emotiwave.models.encoders.pretrained_part import PretrainedPart, PretrainedSettings, pad_rows, seen_frames
from emotiwave.models.encoders.tuning import norms_last
from emotiwave.pretrained.files import Kind, ModelName
from emotiwave.pretrained.loading import Encoder
from emotiwave.pretrained.speech import SpeechPreprocessing, encode_speech
from emotiwave.sequences import ComputationalSequence

DEFAULT = "facebook/hubert-base-ls960"
LOUDEST = 2.0
"""Full scale is 1; what lossy codecs decode may lie a little above."""


def _named(pretrained: bool | str) -> bool | str:
    if pretrained is False:
        raise ValueError('one from scratch would learn nothing of so little sound; try "conv" on features as logmel')
    return pretrained


class SpeechTransformerSettings(PretrainedSettings):
    """Keys of ``speech_transformer``."""

    pretrained: Annotated[bool | ModelName, AfterValidator(_named)] = DEFAULT
    """A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub."""
    layer: int = -1
    """Which hidden state: 1 is that of the first layer, -1 the last; layers above are left out of the model. Emotion is
    often plainest in the middle."""
    stride: int = Field(1, ge=1, le=1000)
    """Each so many neighbouring frames (20 ms) become their mean, so that sequences are shorter."""


class SpeechTransformer(PretrainedPart):
    """Normalises the sound of each utterance as the checkpoint was trained, and gives its hidden states.

    Observed frames are joined; a sound shorter than the network's first frame sees (25 ms) is unobserved.
    """

    takes = "waveform"
    kind: ClassVar[Kind] = "speech"
    form = f"speech_transformer takes sound in frames of {SAMPLES} samples"
    settings: SpeechTransformerSettings

    def __init__(self, settings: SpeechTransformerSettings, origin: Origin) -> None:
        super().__init__(settings, origin, DEFAULT if isinstance(settings.pretrained, bool) else settings.pretrained)
        if self.is_cut and norms_last(self.encoder):
            # the norm belongs behind the layers that are left out
            self.network.get_submodule("encoder").register_module("layer_norm", nn.Identity())

    @classmethod
    def fits(cls, size: int) -> bool:
        return size == SAMPLES

    def _read(self, encoder: Encoder) -> Encoder:
        self.preprocessing = SpeechPreprocessing.of(encoder)
        if self.preprocessing.rate != RATE:
            raise ConfigError(
                f"{encoder.name} takes sound of {self.preprocessing.rate:,} Hz, and the extractor waveform gives "
                f"{RATE:,}; take another checkpoint, or extract features by speech_encoder"
            )
        layer = encoder.layer_index(self.settings.layer)
        if not layer:
            raise ConfigError(f"layer = {self.settings.layer} is below the first layer; expected 1 to {encoder.depth}")
        self.is_cut = layer < encoder.depth
        encoder.config.num_hidden_layers = layer
        return replace(encoder, depth=layer)

    def _example(self) -> Float[Tensor, "1 time size"]:
        return torch.rand(1, -(-self.preprocessing.field // SAMPLES), SAMPLES)

    def _particulars(self) -> Iterator[str]:
        if self.is_cut:
            yield f"up to layer {self.encoder.depth}"

    def fit(self, sequence: ComputationalSequence, ids: Sequence[str]) -> None:
        """Check that some training frames are sound.

        Raises:
            FeatureError: If they are not.
        """
        loudest = float(abs(seen_frames(sequence, ids)).max())
        if loudest > LOUDEST:
            raise FeatureError(
                f"holds values up to {loudest:.4g}; speech_transformer takes sound of full scale 1, as the extractor "
                "waveform gives it"
            )

    def _encode(
        self, values: Float[Tensor, "batch time size"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch out width"], Bool[Tensor, "batch out"]]:
        sounds = [row[observed].flatten().cpu().numpy() for row, observed in zip(values, mask, strict=True)]
        prepared = [self.preprocessing.prepare(sound).to(values.device) for sound in sounds]
        states = encode_speech(self.encoder, self.preprocessing, prepared, self.encoder.depth)
        return pad_rows([thin(state, self.settings.stride) for state in states], values)


def thin(frames: Float[Tensor, "time width"], stride: int) -> Float[Tensor, "less width"]:
    """Give the mean of each ``stride`` frames; the last is of those that are left.

    >>> thin(torch.tensor([[1.0], [2.0], [5.0]]), 2).tolist()
    [[1.5], [5.0]]
    """
    if stride == 1 or not len(frames):
        return frames
    return F.avg_pool1d(frames.mT[None], stride, ceil_mode=True)[0].mT
