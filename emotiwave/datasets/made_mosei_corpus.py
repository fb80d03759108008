"""Made files in the layout of CMU-MOSEI, written on first use: planted emotions whose Bayes-optimal answer is known."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from emotiwave.datasets.csd.corpus import CsdSettings
from emotiwave.datasets.csd.mosei_labels import MOSEI, MoseiTask, Ties
from emotiwave.datasets.csd.mosei_recordings import load_mosei
from emotiwave.datasets.made_mosei.keeping import keep_made_mosei
from emotiwave.datasets.made_mosei.settings import MadeMoseiSettings
from emotiwave.datasets.made_mosei.writing import describe
from emotiwave.recordings import Recordings
from emotiwave.settings import AbsolutePath

MADE_MOSEI = replace(MOSEI, name="made_mosei", licence="made by Emotiwave; public domain", published_folds=None)
FILES_BELOW = Path("emotiwave-stores")
"""Where made files go that are given no place."""


class MadeMoseiCorpusSettings(MadeMoseiSettings):
    """Keys of ``[dataset]`` for ``name = "made_mosei"``: what to make, and what to ask of it."""

    root: AbsolutePath | None = None
    """The folder of the made files; by default one in ./emotiwave-stores, named by a hash of what is made."""
    task: MoseiTask = "emotions"
    """As for ``mosei``; the Bayes-optimal answers are those of ``emotions``."""
    ties: Ties = "first"
    """As for ``mosei``."""


def load(settings: MadeMoseiCorpusSettings) -> Recordings:
    """Make the files if they are not there yet, and read labels and folds; `features.prepare` reads the features.

    Raises:
        DatasetError: If the folder holds anything else, or the files cannot be written or read.
    """
    root = keep_made_mosei(settings.root or _default_root(settings), settings)
    return load_mosei(MADE_MOSEI, CsdSettings(root=root), settings.task, settings.ties)


def _default_root(settings: MadeMoseiCorpusSettings) -> Path:
    described = json.dumps(describe(settings), sort_keys=True)
    return (FILES_BELOW / f"made_mosei-files-{hashlib.sha256(described.encode()).hexdigest()[:10]}").absolute()
