"""What Bayes' rule answers, on made corpora that know their truth: nothing can do better on average."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from emotiwave.errors import ConfigError
from emotiwave.evaluation.scoring import optimal_predictions
from emotiwave.inference import as_predictions
from emotiwave.references.reference import Reference
from emotiwave.settings import Settings
from emotiwave.types import BAYES_OPTIMAL, Corpus, Predictions, all_configurations


class BayesOptimalSettings(Settings):
    """It has no keys: there is nothing to choose."""


@dataclass(frozen=True)
class BayesOptimal:
    """Reads off what the corpus knows; it learns nothing."""

    n_parameters: int = 0
    n_steps: int | None = None

    def predict(self, corpus: Corpus, split: str) -> Predictions:
        """Logits of every utterance of a split in each configuration; of continuous labels the posterior means.

        Raises:
            ConfigError: If the corpus does not know what Bayes' rule says.
            DatasetError: If the split is empty.
        """
        _check_knows(corpus)
        unanswered = np.zeros((len(corpus.indices(split)), len(corpus.label_set.names)), dtype=np.float32)
        asked = as_predictions(corpus, split, dict.fromkeys(all_configurations(corpus.modalities), unanswered), {})
        return cast("Predictions", optimal_predictions(corpus, asked))  # None only without posteriors


def fit(corpus: Corpus, settings: BayesOptimalSettings, seed: int) -> BayesOptimal:
    """Check that the corpus knows what Bayes' rule says; nothing is learned.

    Raises:
        ConfigError: If it does not.
    """
    _check_knows(corpus)
    return BayesOptimal()


def _check_knows(corpus: Corpus) -> None:
    posteriors = corpus.posteriors or {}
    lacking = [str(c) for c in all_configurations(corpus.modalities) if str(c) not in posteriors]
    if lacking:
        what = "posteriors" if not posteriors else f"posteriors for {', '.join(lacking)}"
        raise ConfigError(
            f"{corpus.name}: has no {what}, so what Bayes' rule says is not known; {BAYES_OPTIMAL!r} is for made "
            "corpora, such as 'synthetic': leave it out of the comparison"
        )


REFERENCE = Reference(
    fit=fit,
    settings=BayesOptimalSettings,
    about="what Bayes' rule says of a made corpus, which knows how it was made: the ceiling",
    mode="not trained; told the truth about how the corpus was made",
    seeded=False,
    reads_features=False,
)
