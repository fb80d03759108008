"""Classifiers of texts, sound or pictures: an encoder of transformers with a trained head, and what its labels are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from emotiwave.errors import CheckpointError
from emotiwave.pretrained.files import Kind, find_files, read_json
from emotiwave.pretrained.image import ImagePreprocessing
from emotiwave.pretrained.loading import Encoder, load_encoder, read_network
from emotiwave.pretrained.speech import SpeechPreprocessing
from emotiwave.pretrained.text import TextPreprocessing
from emotiwave.probabilities import log_softmax, sigmoid
from emotiwave.signals import Waveform

if TYPE_CHECKING:
    import torch

AT_ONCE = 16
HEADS = {
    "text": "AutoModelForSequenceClassification",
    "speech": "AutoModelForAudioClassification",
    "image": "AutoModelForImageClassification",
}
NOT_NEEDED = re.compile(r"masked_spec_embed$|num_batches_tracked$")
BOUNDS = (1000, 1000, 65_536)
"""The most labels in the map and the head, and the widest layer below it."""
SMALLEST = 1e-6
"""A probability below it counts as this: several that are 0 have no order."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A published network that tells ``labels`` apart; what goes in depends on its kind."""

    encoder: Encoder
    labels: tuple[str, ...]
    module: "torch.nn.Module"
    preprocessing: Any
    several: bool
    """Whether several labels may hold at once (a sigmoid each)."""

    def __call__(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Give log-probabilities ``(inputs, labels)`` of words, of sound, or of pictures.

        Where several labels may hold, probabilities are brought to sum to 1.

        Raises:
            CheckpointError: If an answer is not finite.
        """
        import torch

        with torch.inference_mode():
            rows = [
                self._run(inputs[start : start + AT_ONCE]).double().numpy() for start in range(0, len(inputs), AT_ONCE)
            ]
        logits = np.concatenate([np.empty((0, len(self.labels))), *rows])
        if not np.isfinite(logits).all():
            raise CheckpointError(f"{self.encoder.name}: answers that are not finite; fetch the checkpoint again")
        if self.several:
            shares = np.maximum(sigmoid(logits), SMALLEST)
            return np.log(shares / shares.sum(axis=1, keepdims=True))
        return log_softmax(logits, axis=1)

    def _run(self, inputs: Sequence[Any]) -> "torch.Tensor":
        import torch

        if self.encoder.kind == "image":
            pictures = torch.cat([self.preprocessing.prepare(picture[None]) for picture in inputs])  # of any sizes
            return self.module(pixel_values=pictures).logits
        if self.encoder.kind == "speech":  # padding would change what each of them says
            return torch.cat([self.module(self._prepared(sound)[None]).logits for sound in inputs])
        pieces = [self.preprocessing.pieces(words)[0][: self.preprocessing.room] for words in inputs]
        rows = [[*self.preprocessing.before, *ids, *self.preprocessing.after] for ids in pieces]
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self.preprocessing.padding] * (longest - len(row))] for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        return self.module(input_ids=ids, attention_mask=(torch.arange(longest) < lengths[:, None]).long()).logits

    def _prepared(self, sound: Waveform) -> "torch.Tensor":
        samples, rate = sound.samples, self.preprocessing.rate
        if sound.rate != rate:
            samples = soxr.resample(samples, sound.rate, rate)
        least = self.preprocessing.field
        return self.preprocessing.prepare(np.pad(samples, (0, max(0, least - len(samples)))))


def load_classifier(name: str, kind: Kind, *, revision: str | None = None) -> Classifier:
    """Load a classifier with its head.

    Args:
        name: A folder that ``save_pretrained`` has written, or a name of the Hugging Face Hub.
        kind: What it must classify.
        revision: A branch, tag or commit of the Hub.

    Raises:
        ConfigError: If it cannot be found, or is of something else.
        CheckpointError: If its files are damaged, or it has no trained head.
    """
    import transformers

    raw = read_json(find_files(name, kind, revision).folder / "config.json")
    sizes = (len(raw.get("id2label") or {}), raw.get("num_labels") or 0, raw.get("classifier_proj_size") or 0)
    if not all(type(size) is int and 0 <= size <= most for size, most in zip(sizes, BOUNDS, strict=True)):
        raise CheckpointError(
            f"{name}: {sizes[0]:,} labels, num_labels {sizes[1]!r}, classifier_proj_size {sizes[2]!r}"
        )
    encoder = load_encoder(name, kind, revision=revision, weights=False)
    named = getattr(encoder.config, "id2label", None) or {}
    labels = tuple(str(named[index]) for index in sorted(named))
    if len(labels) < 2 or sorted(named) != list(range(len(labels))) or len(set(labels)) < len(labels):
        raise CheckpointError(f"{name}: id2label {named!r}; expected two or more labels that differ, numbered from 0")
    module = read_network(encoder, getattr(transformers, HEADS[kind]), NOT_NEEDED)
    preprocessing = {"text": TextPreprocessing, "speech": SpeechPreprocessing, "image": ImagePreprocessing}[kind]
    several = getattr(encoder.config, "problem_type", None) == "multi_label_classification"
    return Classifier(encoder, labels, module, preprocessing.of(encoder), several)
