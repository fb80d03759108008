"""Speech encoders: what sound must be for them, their frames in seconds, and batches that do not change the features.

Models whose first convolution is normalised over time (``feat_extract_norm = "group"``: HuBERT base, wav2vec 2.0 base,
WavLM base) see the padding of a batch in that norm, mask or no mask. Only sounds of equal length share a batch there.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import CheckpointError
from emotiwave.pretrained.files import PREPROCESSING, read_json
from emotiwave.pretrained.loading import Encoder
from emotiwave.pretrained.running import length_batches

if TYPE_CHECKING:
    import torch

PADDED_TYPES = ("hubert", "wav2vec2", "wavlm", "unispeech", "unispeech-sat")
"""Architectures that hide padding from every layer; data2vec does not, whose positions are a stack of convolutions."""
BATCH_SECONDS = 60.0
"""Sound in one batch, padding included."""
MAX_HOP = 16_000


@dataclass(frozen=True)
class SpeechPreprocessing:
    """What sound must be for an encoder, and which of its samples each frame sees.

    ``rate`` is in Hz; ``normalise`` says whether each sound is brought to mean 0 and variance 1; ``kernels`` and
    ``strides`` are those of the convolutions, in steps of the one before; ``may_pad`` whether padding changes nothing.
    """

    rate: int
    normalise: bool
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    may_pad: bool

    @classmethod
    def of(cls, encoder: Encoder) -> "SpeechPreprocessing":
        """Read it beside the weights; without such a file, it is 16 kHz and normalised, as these models mostly are.

        Raises:
            CheckpointError: If the rate or the convolutions make no sense.
        """
        config, folder = encoder.config, encoder.files.folder
        path = next((folder / name for name in PREPROCESSING if (folder / name).is_file()), None)
        raw = read_json(path) if path else {}
        raw = raw.get("feature_extractor") or raw  # as a part of a whole processor
        rate, normalise = raw.get("sampling_rate", 16_000), raw.get("do_normalize", True)
        if not isinstance(rate, int) or not 1_000 <= rate <= 192_000 or not isinstance(normalise, bool):
            raise CheckpointError(
                f"{path}: sampling_rate {rate!r}, do_normalize {normalise!r}; expected Hz and true or false"
            )
        kernels, strides = tuple(config.conv_kernel), tuple(config.conv_stride)
        numbers = (*kernels, *strides)
        if len(kernels) != len(strides) or not all(isinstance(n, int) and n > 0 for n in numbers):
            raise CheckpointError(
                f"{folder / 'config.json'}: conv_kernel {kernels} and conv_stride {strides} do not pair"
            )
        if max(math.prod(strides), max(kernels, default=0)) > MAX_HOP:
            raise CheckpointError(
                f"{folder / 'config.json'}: conv_stride {strides}: a frame each {math.prod(strides)} samples"
            )
        is_layer = getattr(config, "feat_extract_norm", None) == "layer"
        return cls(rate, normalise, kernels, strides, is_layer and config.model_type in PADDED_TYPES)

    @property
    def hop(self) -> int:
        """Samples from frame to frame."""
        return math.prod(self.strides)

    @property
    def field(self) -> int:
        """Samples that the convolutions of one frame see.

        >>> SpeechPreprocessing(16_000, True, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), False).field
        400
        """
        seen, step = 1, 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            seen += (kernel - 1) * step
            step *= stride
        return seen

    def n_frames(self, n_samples: int) -> int:
        """How many frames come of so many samples; none if they are fewer than one frame sees."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            n_samples = (n_samples - kernel) // stride + 1 if n_samples >= kernel else 0
        return n_samples

    def intervals(self, n_frames: int) -> NDArray[np.float64]:
        """Seconds of each frame: one hop around the middle of the samples that it sees, so that none overlap."""
        starts = np.arange(n_frames) * self.hop + (self.field - self.hop) / 2
        return np.stack([starts, starts + self.hop], axis=1) / self.rate

    def prepare(self, samples: NDArray[np.float32]) -> "torch.Tensor":
        """Bring a sound of the right rate to mean 0 and variance 1, if the encoder was trained so."""
        import torch

        if self.normalise and len(samples):
            wide = samples.astype(np.float64)
            samples = ((wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)).astype(np.float32)
        return torch.tensor(samples, dtype=torch.float32)


def encode_speech(
    encoder: Encoder, preprocessing: SpeechPreprocessing, sounds: Sequence["torch.Tensor"], layer: int
) -> list["torch.Tensor"]:
    """Run an encoder over prepared sounds, each as if it were alone.

    Args:
        encoder: Its network lies where the sounds lie.
        preprocessing: Of the same encoder.
        sounds: What `SpeechPreprocessing.prepare` gave, of any lengths.
        layer: Which hidden state, 0 to the encoder's depth.

    Returns:
        ``(frames, width)`` for each sound, in their order; no frame where a sound is too short.
    """
    frames = [preprocessing.n_frames(len(sound)) for sound in sounds]
    states: dict[int, torch.Tensor] = {}
    long_enough = [index for index, n_frames in enumerate(frames) if n_frames]
    lengths = [len(sounds[index]) for index in long_enough]
    budget = int(BATCH_SECONDS * preprocessing.rate)
    for group in length_batches(lengths, budget, equal=not preprocessing.may_pad):
        members = [long_enough[position] for position in group]
        batch = _run(encoder, [sounds[index] for index in members], layer)
        states.update({index: batch[row, : frames[index]] for row, index in enumerate(members)})
    return [states.get(index, sound.new_zeros((0, encoder.width))) for index, sound in enumerate(sounds)]


def _run(encoder: Encoder, sounds: Sequence["torch.Tensor"], layer: int) -> "torch.Tensor":
    import torch

    batch = torch.nn.utils.rnn.pad_sequence(list(sounds), batch_first=True)
    lengths = torch.tensor([len(sound) for sound in sounds], device=batch.device)
    mask = None
    if lengths.min() != lengths.max():
        mask = (torch.arange(batch.shape[1], device=batch.device) < lengths[:, None]).long()
    with warnings.catch_warnings():
        # of WavLM, which hands torch's attention masks of two types
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask", category=UserWarning)
        output = encoder.module(batch, attention_mask=mask, output_hidden_states=layer != encoder.depth)
    # the last of hidden_states lacks the final norm in some architectures
    return output.last_hidden_state if layer == encoder.depth else output.hidden_states[layer]
