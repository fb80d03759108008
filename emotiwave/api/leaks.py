"""Look for what stands in two splits of a corpus."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from emotiwave.api.data import prepare
from emotiwave.api.progress import show_preparation
from emotiwave.config import read_recipe
from emotiwave.doctor.leaks import Leak, find_leaks
from emotiwave.features.store import open_store
from emotiwave.run_folder import holds_run, read_run
from emotiwave.settings import PathLike
from emotiwave.types import Corpus


@dataclass(frozen=True)
class LeakageReport:
    """What of a split is in others too; ``n`` utterances are in the split."""

    corpus: str
    digest: str
    split: str
    n: int
    modalities: tuple[str, ...]
    leaks: tuple[Leak, ...]

    @property
    def n_leaked(self) -> int:
        """Utterances that leak by any modality."""
        return len({leak.utterance for leak in self.leaks})

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """How many by modality, kind and the other split."""
        found: dict[tuple[str, str, str], int] = {}
        for leak in self.leaks:
            key = (leak.modality, leak.kind, leak.other_split)
            found[key] = found.get(key, 0) + 1
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"n_leaked": self.n_leaked}


def find_leakage(
    source: PathLike, *, split: str = "test", overrides: Iterable[str] = (), console: Console | None = None
) -> LeakageReport:
    """Find utterances of a split that are in another one too, the same or nearly, in any modality.

    Args:
        source: A recipe file, the name of a shipped recipe, a run folder or a feature store. What a recipe needs
            prepared is prepared first.
        split: Whose utterances are looked for in the others.
        overrides: ``TABLE.KEY=VALUE`` strings for a recipe.
        console: Where progress is shown; standard error by default.

    Raises:
        EmotiwaveError: If the source cannot be read, or the split is empty.
    """
    corpus = _read(source, list(overrides), console or Console(stderr=True))
    leaks = tuple(find_leaks(corpus, split))
    return LeakageReport(corpus.name, corpus.digest, split, len(corpus.indices(split)), corpus.modalities, leaks)


def _read(source: PathLike, overrides: list[str], console: Console) -> Corpus:
    folder = Path(source)
    if (folder / "corpus.json").is_file():
        return open_store(folder)
    recipe = read_run(folder) if holds_run(folder) else read_recipe(os.fspath(source), overrides)
    if recipe.features is not None:
        prepared = prepare(recipe, console=console)
        if not prepared.was_ready:
            show_preparation(prepared, console, errors=console)
    return recipe.load_corpus()
