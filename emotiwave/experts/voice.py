"""The voice expert: sound of a few seconds to emotions, with or without other clips of the same speaker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from emotiwave.errors import CheckpointError, ConfigError, MediaError
from emotiwave.experts.answer import Answer, put_together
from emotiwave.experts.confidence import Confidence
from emotiwave.experts.distribution import INSTALL_AGAIN, WeightsFolder
from emotiwave.experts.shares import Shares
from emotiwave.experts.voice_classifier import VoiceClassifier
from emotiwave.experts.voice_vector import ALL, SIZES, VoiceNetworks, active_span, voice_vector, without_offset
from emotiwave.labels import SEVEN, to_seven
from emotiwave.pretrained.weights import load_networks
from emotiwave.settings import Settings
from emotiwave.signals import SAMPLE_RATE, Waveform

CLIPS = {"all": ALL, "prosody": ("prosody",)}
_NETWORKS = "voice/networks.safetensors"
_FRAME = 320
QUIETEST, LOUDEST = 10, 95
"""Percentiles of the level of 20-ms frames that stand for noise and voice."""
LONGEST = 60.0
"""Seconds of a clip that are listened to: the expert knows single sentences."""


class VoiceFacts(Settings):
    """What the weights' description says of the voice expert with one set of blocks."""

    classes: tuple[str, ...]
    kappa: float
    strangest: float
    """The largest strangeness of a clip of training, spoiled ones among them; what is stranger is not answered."""
    prior: Shares
    confidence: Confidence


@dataclass(frozen=True, eq=False)
class Speaker:
    """What clips of a speaker have in common, by the blocks that it was measured in; of ``n_clips`` clips."""

    blocks: str
    offset: NDArray[np.float32]
    n_clips: int

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        save_file({self.blocks: self.offset, "n_clips": np.array([self.n_clips])}, path)

    @classmethod
    def read(cls, path: Path) -> "Speaker":
        """Read such a file.

        Raises:
            CheckpointError: If it is none.
        """
        try:
            held = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path}: no file of a speaker ({error}); make it by emotiwave calibrate") from None
        names = [name for name in held if name in CLIPS]
        expected = {name: (sum(SIZES[block] for block in CLIPS[name]),) for name in names}
        if len(held) != 2 or len(names) != 1 or held[names[0]].shape != expected[names[0]] or "n_clips" not in held:
            raise CheckpointError(f"{path}: no file of a speaker; make it by emotiwave calibrate")
        offset = held[names[0]]
        if offset.dtype != np.float32 or not np.isfinite(offset).all() or held["n_clips"].shape != (1,):
            raise CheckpointError(f"{path}: a damaged file of a speaker; make it again by emotiwave calibrate")
        return cls(names[0], offset, int(held["n_clips"][0]))


class VoiceExpert:
    """A linear model over statistics of the voice, trained on the actors of RAVDESS."""

    modality = "audio"

    def __init__(
        self, blocks: str, networks: VoiceNetworks | None, classifier: VoiceClassifier, facts: VoiceFacts
    ) -> None:
        self.blocks, self.networks, self.classifier, self.facts = blocks, networks, classifier, facts

    @classmethod
    def load(cls, weights: WeightsFolder, blocks: str = "all") -> "VoiceExpert":
        """Read the expert: with ``all`` blocks, or with our own statistics of ``prosody`` alone, three times as fast.

        Raises:
            CheckpointError: If the weights are not as they must be.
            ConfigError: If there are no such blocks.
        """
        if blocks not in CLIPS:
            raise ConfigError(f"no blocks {blocks!r} of the voice expert; expected one of {', '.join(CLIPS)}")
        facts = weights.facts(f"audio_{blocks}", VoiceFacts)
        networks = load_networks(VoiceNetworks(), weights.path / _NETWORKS) if blocks == "all" else None
        path = weights.path / "voice" / f"{blocks}.safetensors"
        held = load_file(path)
        n_features, n_classes = sum(SIZES[block] for block in CLIPS[blocks]), len(facts.classes)
        expected = {
            "mean": (n_features,),
            "scale": (n_features,),
            "weights": (n_features, n_classes),
            "bias": (n_classes,),
        }
        if {name: values.shape for name, values in held.items()} != expected:
            raise CheckpointError(f"{path}: not the weights of a voice expert of {n_classes} classes; {INSTALL_AGAIN}")
        classifier = VoiceClassifier(CLIPS[blocks], facts.classes, **held, kappa=facts.kappa)
        return cls(blocks, networks, classifier, facts)

    def __call__(
        self, clips: Sequence[Waveform], *, speaker: Speaker | None = None, prior_weight: float = 0.0
    ) -> Answer:
        """Answer each clip; one with hardly any sound is not observed.

        Args:
            clips: Sound at 16 kHz, best one sentence each.
            speaker: Whose voice all of them are, from `enroll`.
            prior_weight: How much of the commonness of classes in training to take back (`Answer.with_prior`).

        Raises:
            ConfigError: If the speaker was enrolled with other blocks.
        """
        if speaker is not None and speaker.blocks != self.blocks:
            raise ConfigError(
                f"the speaker was enrolled with the blocks {speaker.blocks!r} of the voice expert, which has "
                f"{self.blocks!r} here; enroll again"
            )
        vectors, reasons = self._measure(clips)
        observed = np.array([vector is not None for vector in vectors], dtype=bool)
        heard = [clip for clip, vector in zip(clips, vectors, strict=True) if vector is not None]
        found = np.array([vector for vector in vectors if vector is not None], np.float32)
        found = found.reshape(len(heard), len(self.classifier.mean))
        quality = voice_quality([clip.samples for clip in heard])
        quality["strangeness"] = self.classifier.strangeness(found)
        quality["clips"] = np.full(len(heard), clips_measure(0 if speaker is None else speaker.n_clips))
        offset = 0.0 if speaker is None else speaker.offset
        raw = merge_to_seven(self.classifier.log_posterior(found, offset), self.classifier.classes)
        answers = self.facts.confidence.apply(raw, quality)
        answer = put_together(answers, quality, np.array(self.facts.prior), reasons, observed)
        return answer.with_prior(prior_weight)

    def enroll(self, clips: Sequence[Waveform]) -> tuple[Speaker, tuple[str | None, ...]]:
        """Learn what a speaker sounds like, of clips in whatever mood, without labels; the more moods the better.

        Returns:
            The speaker, and of each clip why it was left out or cut; None where there is nothing to say.

        Raises:
            MediaError: If no clip has sound.
        """
        vectors, reasons = self._measure(clips)
        found = [vector for vector in vectors if vector is not None]
        if not found:
            raise MediaError(f"no clip of the speaker has sound ({'; '.join(map(str, reasons)) or 'none given'})")
        return Speaker(self.blocks, self.classifier.speaker(np.stack(found)), len(found)), tuple(reasons)

    def _measure(self, clips: Sequence[Waveform]) -> tuple[list[NDArray[np.float32] | None], list[str | None]]:
        """Give the vector of each clip, None where there is none, and what is to say of it."""
        vectors: list[NDArray[np.float32] | None] = []
        reasons: list[str | None] = []
        for clip in clips:
            if clip.rate != SAMPLE_RATE:
                raise ConfigError(f"sound of {clip.rate} Hz; expected {SAMPLE_RATE}: read it by media.sound.read_sound")
            most = round(LONGEST * SAMPLE_RATE)
            try:
                vector = voice_vector(clip.samples[:most], self.networks, CLIPS[self.blocks])
            except MediaError as error:
                vectors.append(None)
                reasons.append(str(error))
                continue
            strangeness = self.classifier.strangeness(vector[None])[0]
            if strangeness > self.facts.strangest:
                vectors.append(None)
                reasons.append(
                    f"like no voice of training (strangeness {strangeness:.1f}; at most {self.facts.strangest:.1f} "
                    "there): is it speech, and long enough?"
                )
                continue
            vectors.append(vector)
            is_long = len(clip.samples) > most
            reasons.append(f"{clip.duration:.0f} s; the first {LONGEST:g} s were heard" if is_long else None)
        return vectors, reasons


def voice_quality(clips: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Measure clips: ``snr``, dB of the louder parts over the quietest; ``seconds``, log2 of those with sound."""
    levels, lengths = [], []
    for samples in clips:
        samples = without_offset(samples[: round(LONGEST * SAMPLE_RATE)])
        first, last = active_span(samples)
        frames = np.resize(samples, (max(1, len(samples) // _FRAME), _FRAME)).astype(np.float64)
        decibels = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
        low, high = np.percentile(decibels, (QUIETEST, LOUDEST))
        levels.append(high - low)
        lengths.append(np.log2(max(last - first, 1) / SAMPLE_RATE))
    return {"snr": np.array(levels), "seconds": np.array(lengths)}


def clips_measure(n_clips: int) -> float:
    """How much is known of a speaker, for the confidence: log2 of one more than the clips."""
    return float(np.log2(1 + n_clips))


def merge_to_seven(log_posterior: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64]:
    """Add the probabilities of the corpus's classes ``(clips, classes)`` that are the same of the seven."""
    seven = np.array([SEVEN.index(str(to_seven("ravdess", name))) for name in classes])
    merged = [np.logaddexp.reduce(log_posterior[:, seven == k], axis=1) for k in range(len(SEVEN))]
    return np.stack(merged, axis=1)
