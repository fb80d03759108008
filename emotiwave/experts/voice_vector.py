"""A voice as one vector: statistics of prosody and spectrum, and of two published networks, in named blocks."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from emotiwave.errors import ConfigError, MediaError
from emotiwave.features.extractors.prosody_statistics import ProsodyStatistics, ProsodyStatisticsSettings
from emotiwave.pretrained.speaker_encoder import SpeakerEncoder
from emotiwave.pretrained.speech_embedding import SpeechEmbedding
from emotiwave.signals import SAMPLE_RATE

Block = Literal["prosody", "speech_3", "speech_4", "speech_last", "speaker"]
SIZES: Mapping[Block, int] = {"prosody": 966, "speech_3": 864, "speech_4": 576, "speech_last": 480, "speaker": 1280}
"""Features of each block: statistics of our own; of the third and fourth pooled layer and the last of the speech
embedding; of the hidden states of the speaker encoder."""
ALL: tuple[Block, ...] = tuple(SIZES)
ACTIVE = 40.0
"""dB below the loudest 25 ms; what comes before and after the sound that is louder is cut off."""
SHORTEST = 0.1
"""Seconds of sound below which there is nothing to measure."""
LARGE_OFFSET = 0.1
_WINDOW, _HOP = 400, 160


class VoiceNetworks(torch.nn.Module):
    """The two networks, without their weights until a state dict is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.speech, self.speaker = SpeechEmbedding(), SpeakerEncoder()


def active_span(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Find where sound begins and ends, in samples; ``(0, 0)`` where there is none."""
    if not samples.any():
        return 0, 0
    n_frames = max(0, len(samples) - _WINDOW) // _HOP + 1
    power = np.array([np.mean(np.square(samples[k * _HOP : k * _HOP + _WINDOW])) for k in range(n_frames)])
    active = np.flatnonzero(power >= power.max() * 10 ** (-ACTIVE / 10))
    return int(active[0] * _HOP), min(len(samples), int(active[-1] * _HOP + _WINDOW))


def without_offset(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take a steady offset (DC) away where it is large: more than a tenth of the sound's standard deviation."""
    if not len(samples):
        return samples
    middle = samples.mean(dtype=np.float64)
    is_large = abs(middle) > LARGE_OFFSET * samples.std(dtype=np.float64)
    return (samples - middle).astype(np.float32) if is_large else samples


def voice_vector(
    samples: NDArray[np.float32], networks: VoiceNetworks | None, blocks: tuple[Block, ...] = ALL
) -> NDArray[np.float32]:
    """Measure a voice.

    Args:
        samples: One channel at 16 kHz, full scale at 1.
        networks: Needed for every block but ``prosody``.
        blocks: Which, in the order of the answer.

    Returns:
        ``(features,)``, the blocks one after the other, `SIZES` of each.

    Raises:
        ConfigError: If there are no networks for a block that needs them.
        MediaError: If less than a tenth of a second of it is sound, or it is not finite.
    """
    if networks is None and set(blocks) - {"prosody"}:
        raise ConfigError(f"the blocks {', '.join(blocks)} need the networks; prosody alone needs none")
    if not np.isfinite(samples).all():
        raise MediaError("the sound is not finite: NaN or infinity among the samples")
    samples = without_offset(samples)
    first, last = active_span(samples)
    sound = np.ascontiguousarray(samples[first:last])
    if len(sound) < SHORTEST * SAMPLE_RATE:
        raise MediaError(
            f"{len(sound) / SAMPLE_RATE:.2f} s of sound in {len(samples) / SAMPLE_RATE:.2f} s; expected at least "
            f"{SHORTEST:g} s of a voice"
        )
    measured: dict[Block, NDArray[np.float32]] = {}
    if "prosody" in blocks:
        measured["prosody"] = _PROSODY(sound, SAMPLE_RATE).values[0]
    if networks is not None and set(blocks) - {"prosody"}:
        measured |= _networked(torch.from_numpy(sound), networks, blocks)
    return np.concatenate([measured[block] for block in blocks])


_PROSODY = ProsodyStatistics(ProsodyStatisticsSettings.model_validate({}))


@torch.inference_mode()
def _networked(
    sound: torch.Tensor, networks: VoiceNetworks, blocks: tuple[Block, ...]
) -> dict[Block, NDArray[np.float32]]:
    measured: dict[Block, NDArray[np.float32]] = {}
    if any(block.startswith("speech") for block in blocks):
        layers = networks.speech(sound)
        measured["speech_3"] = _over_time(layers[2].numpy(), np.max)
        measured["speech_4"] = _over_time(layers[3].numpy(), np.max)
        measured["speech_last"] = _over_time(layers[5].numpy(), _lower, _upper, np.max)
    if "speaker" in blocks:
        outputs, hidden = networks.speaker(sound)
        measured["speaker"] = np.concatenate([hidden.mean(dim=0).numpy(), _over_time(outputs.flatten(0, 1).numpy())])
    return measured


def _over_time(values: NDArray[np.float32], *others: Callable[..., NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean and standard deviation ``(frames, features) -> (features of all,)``, and further statistics."""
    summary = [values.mean(axis=0), values.std(axis=0), *(other(values, axis=0) for other in others)]
    return np.concatenate(summary).astype(np.float32, copy=False)


def _lower(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.percentile(values, 25, axis=axis).astype(np.float32)


def _upper(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.percentile(values, 75, axis=axis).astype(np.float32)
