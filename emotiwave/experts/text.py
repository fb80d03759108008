"""The text expert: sentences to emotions."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.batch import Batch
from emotiwave.experts.answer import Answer, put_together
from emotiwave.experts.confidence import Confidence
from emotiwave.experts.distribution import WeightsFolder
from emotiwave.experts.shares import Shares
from emotiwave.features.extractors.words import encode_words
from emotiwave.labels import SEVEN
from emotiwave.models.checkpoint import load_model
from emotiwave.models.fusion import FusionModel
from emotiwave.settings import Settings

MOST_WORDS = 1024
"""Words of a text that are read; of a longer one the first."""
MOST_LETTERS = 100
"""Letters of a word that are looked at to tell the script."""
AT_ONCE = 32
_COMMON = (
    "the of and a to in is you that it he was for on are as with his they i at be this have from or one "
    "had by not but what all were we when your can said there an each which she do how their if will up "
    "about out so would make like him into has my me just no know get am don't it's i'm that's"
)
ENGLISH = frozenset(_COMMON.split())
"""Common English words; of ten words of English, three or four are among them."""
LEAST_ENGLISH, ENOUGH_WORDS = 0.1, 8


class TextFacts(Settings):
    """What the weights' description says of the text expert."""

    prior: Shares
    thresholds: tuple[float, ...] = Field(min_length=len(SEVEN), max_length=len(SEVEN))
    """Probabilities that a class must exceed to be among several, tuned on validation."""
    confidence: Confidence


class TextExpert:
    """MiniLM (Wang et al., 2020) trained on GoEmotions."""

    modality = "text"

    def __init__(self, model: FusionModel, facts: TextFacts) -> None:
        self.model, self.facts = model, facts

    @classmethod
    def load(cls, weights: WeightsFolder) -> "TextExpert":
        """Read the model out of the folder of the weights."""
        return cls(load_model(weights.path / "text"), weights.facts("text", TextFacts))

    def __call__(self, texts: Sequence[str], *, prior_weight: float = 0.0) -> Answer:
        """Answer each text; one without a letter or emoji is not observed.

        Args:
            texts: English sentences.
            prior_weight: How much of the commonness of classes in training to take back (`Answer.with_prior`).
        """
        words = [text.replace("\0", " ").split() for text in texts]
        reasons = [_doubt(text_words) for text_words in words]
        logits, observed = self.logits([text_words[:MOST_WORDS] for text_words in words])
        for row in np.flatnonzero(~observed):
            reasons[row] = "no words"
        quality = text_quality([text_words for text_words, seen in zip(words, observed, strict=True) if seen])
        answers = self.facts.confidence.apply(logits[observed], quality)
        answer = put_together(answers, quality, np.array(self.facts.prior), reasons, observed)
        return answer.with_prior(prior_weight)

    def labels(self, answer: Answer) -> list[tuple[str, ...]]:
        """Name every class of each text whose probability exceeds its threshold: perhaps several, perhaps none."""
        exceeds = answer.observed[:, None] & (answer.probabilities > np.array(self.facts.thresholds))
        return [tuple(name for name, holds in zip(SEVEN, row, strict=True) if holds) for row in exceeds]

    @torch.inference_mode()
    def logits(self, texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Give log-posteriors before calibration ``(texts, 7)``, and which texts have a word that is known."""
        answers, observed = np.zeros((len(texts), len(SEVEN))), np.zeros(len(texts), dtype=bool)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            batch = _batch([texts[row] for row in rows], self.model.n_classes)
            encoded = self.model.encode(batch)
            answers[rows] = torch.log_softmax(self.model.fuse(encoded), dim=1).double().numpy()
            observed[rows] = encoded.present["text"].numpy()
        return answers, observed


def text_quality(texts: Sequence[Sequence[str]]) -> dict[str, NDArray[np.float64]]:
    """Measure texts, each a list of words: ``words``, log2 of one more than there are."""
    return {"words": np.log2(1 + np.array([len(words) for words in texts], np.float64))}


def _batch(texts: Sequence[Sequence[str]], n_classes: int) -> Batch:
    frames = [torch.from_numpy(encode_words(words)) for words in texts]
    longest = max(1, *map(len, frames))
    values = torch.zeros(len(texts), longest, frames[0].shape[1])
    mask = torch.zeros(len(texts), longest, dtype=torch.bool)
    for row, words in enumerate(frames):
        values[row, : len(words)], mask[row, : len(words)] = words, True
    ids = tuple(map(str, range(len(texts))))
    return Batch(ids, {"text": values}, {"text": mask}, torch.zeros(len(texts), n_classes), {"text": 0})


def _doubt(words: Sequence[str]) -> str | None:
    if len(words) > MOST_WORDS:
        return f"{len(words):,} words; the first {MOST_WORDS:,} were read"
    letters = [letter for word in words[:MOST_WORDS] for letter in word[:MOST_LETTERS] if letter.isalpha()]
    if letters and sum("LATIN" in unicodedata.name(letter, "") for letter in letters) < len(letters) / 2:
        return "hardly a Latin letter; the expert knows English only"
    bare = [re.sub(r"^\W+|\W+$", "", word.lower().replace("\u2019", "'")) for word in words]
    bare = [word for word in bare if word]
    if len(bare) >= ENOUGH_WORDS and sum(word in ENGLISH for word in bare) < LEAST_ENGLISH * len(bare):
        return "hardly a common English word; the expert knows English only"
    return None
