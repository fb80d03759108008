"""The voice expert: sound of a few seconds to emotions, with or without other clips of the same speaker."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from emotiwave.errors import CheckpointError, ConfigError, FeatureError, MediaError
from emotiwave.experts.answer import Answer, Prior, put_together
from emotiwave.experts.confidence import Confidence
from emotiwave.experts.distribution import INSTALL_AGAIN, WeightsFolder
from emotiwave.experts.expert import Crop
from emotiwave.experts.shares import Shares
from emotiwave.experts.voice_classifier import FARTHEST, VoiceClassifier
from emotiwave.experts.voice_vector import ALL, SIZES, VoiceNetworks, active_span, voice_vector, without_offset
from emotiwave.files import replace_file
from emotiwave.labels import SEVEN, TO_SEVEN, to_seven
from emotiwave.pretrained.weights import load_networks
from emotiwave.settings import Settings
from emotiwave.signals import SAMPLE_RATE, Waveform

CLIPS = {"all": ALL, "prosody": ("prosody",)}
_NETWORKS = "voice/networks.safetensors"
MAX_SPEAKER = 2**20
"""Bytes of a speaker's file, above which it is refused unread."""
MOST_CLIPS = 1_000_000
LOUDEST_SAMPLE = 1e4
"""Times full scale."""
_FRAME = 320
QUIETEST, LOUDEST = 10, 95
"""Percentiles of the level of 20-ms frames that stand for pauses and voice."""
LONGEST = 60.0
"""Seconds of a clip that are listened to: the expert knows single sentences."""


def _cover_seven(classes: tuple[str, ...]) -> tuple[str, ...]:
    strange = [name for name in classes if name not in TO_SEVEN["ravdess"]]
    if strange or len(set(classes)) < len(classes) or {to_seven("ravdess", name) for name in classes} != set(SEVEN):
        raise ValueError("expected classes of RAVDESS, each once, that cover the seven")
    return classes


class VoiceFacts(Settings):
    """What the weights' description says of the voice expert with one set of blocks."""

    classes: Annotated[tuple[str, ...], AfterValidator(_cover_seven)]
    kappa: float = Field(gt=0)
    strangest: float = Field(gt=0)
    """The largest strangeness of a clip of training, spoiled ones among them; what is stranger is not answered."""
    prior: Shares
    confidence: Confidence


@dataclass(frozen=True, eq=False)
class Speaker:
    """What clips of a speaker have in common, by the blocks that it was measured in; of ``n_clips`` clips."""

    blocks: str
    offset: NDArray[np.float32]
    n_clips: int
    made_with: str
    """SHA-256 of the weights that measured it; others have another idea of what is common."""

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        tensors = {self.blocks: self.offset, "n_clips": np.array([self.n_clips])}
        replace_file(path, save(tensors, {"made_with": self.made_with}))

    @classmethod
    def read(cls, path: Path) -> "Speaker":
        """Read such a file.

        Raises:
            CheckpointError: If it is none.
        """
        refused = CheckpointError(f"{path}: no file of a speaker; make it by emotiwave calibrate")
        try:
            if path.stat().st_size > MAX_SPEAKER:
                raise refused
            with safe_open(path, "np") as file:
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
                made_with = (file.metadata() or {}).get("made_with", "")
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError):
            raise refused from None
        names = [name for name in held if name in CLIPS]
        if len(names) != 1 or held.keys() != {names[0], "n_clips"}:
            raise refused
        offset, number = held[names[0]], held["n_clips"]
        if offset.shape != (sum(SIZES[block] for block in CLIPS[names[0]]),) or offset.dtype != np.float32:
            raise refused
        if number.shape != (1,) or number.dtype != np.int64 or not 1 <= number[0] <= MOST_CLIPS:
            raise refused
        if not np.abs(offset).max() <= FARTHEST:  # also of NaN
            raise refused
        return cls(names[0], offset, int(number[0]), made_with)


class VoiceExpert:
    """A linear model over statistics of the voice, trained on the actors of RAVDESS."""

    name, modality, crop, is_shipped = "statistics of the voice trained on RAVDESS", "audio", Crop(), True

    def __init__(
        self, blocks: str, networks: VoiceNetworks | None, classifier: VoiceClassifier, facts: VoiceFacts
    ) -> None:
        self.blocks, self.networks, self.classifier, self.facts = blocks, networks, classifier, facts
        held = (classifier.mean, classifier.scale, classifier.weights, classifier.bias)
        self.sha256 = hashlib.sha256(b"".join(values.tobytes() for values in held)).hexdigest()

    @property
    def prior(self) -> Prior:
        """How common each class was in training."""
        return np.array(self.facts.prior)

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
        facts.confidence.check_measures([*voice_quality([]), "strangeness", "clips"])
        networks = load_networks(VoiceNetworks(), weights.path / _NETWORKS) if blocks == "all" else None
        path = weights.path / "voice" / f"{blocks}.safetensors"
        try:
            held = load_file(path)
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: damaged or no safetensors file ({error}); {INSTALL_AGAIN}") from None
        n_features, n_classes = sum(SIZES[block] for block in CLIPS[blocks]), len(facts.classes)
        expected = {
            "mean": (n_features,),
            "scale": (n_features,),
            "weights": (n_features, n_classes),
            "bias": (n_classes,),
        }
        if {name: values.shape for name, values in held.items()} != expected:
            raise CheckpointError(f"{path}: not the weights of a voice expert of {n_classes} classes; {INSTALL_AGAIN}")
        sound = all(
            values.dtype == np.float32 and np.isfinite(values).all() for name, values in held.items() if name != "scale"
        )
        if not sound or held["scale"].dtype != np.float32 or not (held["scale"] > 0).all():
            raise CheckpointError(f"{path}: weights that are not finite or of another type; {INSTALL_AGAIN}")
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
        if speaker is not None and (speaker.blocks, speaker.made_with) != (self.blocks, self.sha256):
            raise ConfigError(
                f"the speaker was enrolled with the blocks {speaker.blocks!r} of the voice expert, which has "
                f"{self.blocks!r} here, or with other weights; enroll again by emotiwave calibrate"
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
        answer = put_together(answers, quality, self.prior, reasons, observed)
        return answer.with_prior(prior_weight)

    def enroll(self, clips: Sequence[Waveform]) -> tuple[Speaker, tuple[str | None, ...]]:
        """Learn what a speaker sounds like, of clips in whatever mood, without labels; the more moods the better.

        Returns:
            The speaker, and of each clip why it was left out or cut; None where there is nothing to say.

        Raises:
            MediaError: If no clip can be used.
        """
        vectors, reasons = self._measure(clips)
        found = [vector for vector in vectors if vector is not None]
        if not found:
            raise MediaError(f"no clip of the speaker can be used ({'; '.join(map(str, reasons)) or 'none given'})")
        speaker = Speaker(self.blocks, self.classifier.speaker(np.stack(found)), len(found), self.sha256)
        return speaker, tuple(reasons)

    def _measure(self, clips: Sequence[Waveform]) -> tuple[list[NDArray[np.float32] | None], list[str | None]]:
        """Give the vector of each clip, None where there is none, and what is to say of it."""
        vectors: list[NDArray[np.float32] | None] = []
        reasons: list[str | None] = []
        for clip in clips:
            if clip.rate != SAMPLE_RATE:
                raise ConfigError(f"sound of {clip.rate} Hz; expected {SAMPLE_RATE}: read it by media.sound.read_sound")
            most = round(LONGEST * SAMPLE_RATE)
            try:
                vector = voice_vector(checked_samples(clip.samples)[:most], self.networks, CLIPS[self.blocks])
            except (MediaError, FeatureError) as error:
                vectors.append(None)
                reasons.append(str(error))
                continue
            strangeness = self.classifier.strangeness(vector[None])[0]
            if strangeness > self.facts.strangest:
                vectors.append(None)
                reasons.append(
                    f"like no voice of training (strangeness {strangeness:.2f}; at most {self.facts.strangest:.2f} "
                    "there): is it speech, and long enough?"
                )
                continue
            vectors.append(vector)
            is_long = len(clip.samples) > most
            reasons.append(f"longer than {LONGEST:g} s; the first {LONGEST:g} s were heard" if is_long else None)
        return vectors, reasons


def checked_samples(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refuse what is no sound.

    Raises:
        MediaError: If it is not one channel of finite floats.
    """
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise MediaError(
            f"sound of shape {samples.shape} {samples.dtype}; expected one channel of floats, full scale at 1"
        )
    if samples.size and not np.abs(samples).max() <= LOUDEST_SAMPLE:
        raise MediaError(f"samples that are not finite, or beyond {LOUDEST_SAMPLE:g} times full scale")
    return np.asarray(samples, np.float32)


def voice_quality(clips: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Measure clips between their first sound and their last.

    ``level``: dB of full scale of the louder parts; ``range``: dB of those over the quietest, which pauses in noise
    raise; ``seconds``: log2 of how long it is.
    """
    levels, ranges, lengths = [], [], []
    for samples in clips:
        samples = without_offset(samples[: round(LONGEST * SAMPLE_RATE)])
        first, last = active_span(samples)
        sound = samples[first:last]
        frames = np.resize(sound, (max(1, len(sound) // _FRAME), _FRAME)).astype(np.float64)
        decibels = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
        low, high = np.percentile(decibels, (QUIETEST, LOUDEST))
        levels.append(high)
        ranges.append(high - low)
        lengths.append(np.log2(max(last - first, 1) / SAMPLE_RATE))
    return {"level": np.array(levels), "range": np.array(ranges), "seconds": np.array(lengths)}


def clips_measure(n_clips: int) -> float:
    """How much is known of a speaker, for the confidence: log2 of one more than the clips."""
    return float(np.log2(1 + n_clips))


def merge_to_seven(log_posterior: NDArray[np.float64], classes: Sequence[str]) -> NDArray[np.float64]:
    """Add the probabilities of the corpus's classes ``(clips, classes)`` that are the same of the seven."""
    seven = np.array([SEVEN.index(str(to_seven("ravdess", name))) for name in classes])
    merged = [np.logaddexp.reduce(log_posterior[:, seven == k], axis=1) for k in range(len(SEVEN))]
    return np.stack(merged, axis=1)
