"""The text expert: sentences to emotions."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from emotiwave.batch import Batch
from emotiwave.errors import ConfigError
from emotiwave.experts.answer import Answer, Prior, put_together
from emotiwave.experts.confidence import Confidence
from emotiwave.experts.distribution import WeightsFolder
from emotiwave.experts.expert import Crop
from emotiwave.experts.model import load_expert
from emotiwave.experts.shares import Shares
from emotiwave.features.extractors.words import encode_words
from emotiwave.labels import SEVEN
from emotiwave.models.fusion import FusionModel
from emotiwave.settings import Settings

MOST_WORDS = 1024
"""Words of a text that are read; of a longer one the first."""
MOST_LETTERS = 6000
"""Letters of a text that are read."""
EMOTICON = re.compile(r"[:;=8xX][-'^o]?[()\[\]/\\|*<>]|<3|\^[_.]?\^")
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

    name, modality, crop, is_shipped = "MiniLM trained on GoEmotions", "text", Crop(), True

    def __init__(self, model: FusionModel, facts: TextFacts) -> None:
        self.model, self.facts = model, facts

    @property
    def prior(self) -> Prior:
        """How common each class was in training."""
        return np.array(self.facts.prior)

    @classmethod
    def load(cls, weights: WeightsFolder) -> "TextExpert":
        """Read the model out of the folder of the weights."""
        facts = weights.facts("text", TextFacts)
        facts.confidence.check_measures(text_quality([]))
        return cls(load_expert(weights.path / "text", "text"), facts)

    def __call__(self, texts: Sequence[str], *, prior_weight: float = 0.0) -> Answer:
        """Answer each text; one without a letter, emoji or emoticon is not observed.

        Args:
            texts: English sentences.
            prior_weight: How much of the commonness of classes in training to take back (`Answer.with_prior`).

        Raises:
            ConfigError: If there is one text where a list is expected.
        """
        if isinstance(texts, str):
            raise ConfigError("expected a list of texts; got one text: put it into a list")
        words = [text.replace("\0", " ").split() if isinstance(text, str) else [] for text in texts]
        reasons = [_doubt(text_words) for text_words in words]
        logits, known = self.logits([_first(text_words) for text_words in words])
        observed = known & np.array([says_something(text_words) for text_words in words], dtype=bool)
        for row, text in enumerate(texts):
            if not observed[row]:
                reasons[row] = "no words" if isinstance(text, str) else f"{type(text).__name__} is no text"
        quality = text_quality([text_words for text_words, seen in zip(words, observed, strict=True) if seen])
        answers = self.facts.confidence.apply(logits[observed], quality)
        answer = put_together(answers, quality, self.prior, reasons, observed)
        return answer.with_prior(prior_weight)

    def labels(self, answer: Answer) -> list[tuple[str, ...]]:
        """Name every class of each text whose probability exceeds its threshold: perhaps several, perhaps none.

        Thresholds were tuned on answers without a prior weight.
        """
        exceeds = answer.observed[:, None] & (answer.probabilities > np.array(self.facts.thresholds))
        return [tuple(name for name, holds in zip(SEVEN, row, strict=True) if holds) for row in exceeds]

    @torch.inference_mode()
    def logits(self, texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Give log-posteriors before calibration ``(texts, 7)``, and which texts have a word that is seen."""
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


def _first(words: Sequence[str]) -> list[str]:
    """Give the words that are read."""
    read, n_letters = [], 0
    for word in words[:MOST_WORDS]:
        read.append(word[: MOST_LETTERS - n_letters])
        n_letters += len(read[-1])
        if n_letters >= MOST_LETTERS:
            break
    return read


def says_something(words: Sequence[str]) -> bool:
    """Whether any word has a letter, an emoji or an emoticon."""
    return any(EMOTICON.search(word) or any(map(_is_letter_or_emoji, word)) for word in words)


def _is_letter_or_emoji(letter: str) -> bool:
    return letter.isalpha() or unicodedata.category(letter) == "So"


def _doubt(words: Sequence[str]) -> str | None:
    if len(words) > MOST_WORDS:
        return f"{len(words):,} words; the first {MOST_WORDS:,} were read"
    if sum(map(len, words)) > MOST_LETTERS:
        return f"{sum(map(len, words)):,} letters; the first {MOST_LETTERS:,} were read"
    letters = [letter for word in words for letter in word if letter.isalpha()]
    if letters and sum("LATIN" in unicodedata.name(letter, "") for letter in letters) < len(letters) / 2:
        return "hardly a Latin letter; the expert knows English only"
    bare = [re.sub(r"^\W+|\W+$", "", word.lower().replace("\u2019", "'")) for word in words]
    bare = [word for word in bare if word]
    if len(bare) >= ENOUGH_WORDS and sum(word in ENGLISH for word in bare) < LEAST_ENGLISH * len(bare):
        return "hardly a common English word; the expert knows English only"
    return None
