"""What can be named in a recipe or on the command line."""

from importlib import import_module
from pathlib import Path

from emotiwave.conditions.registry import KINDS
from emotiwave.config import shipped_recipes
from emotiwave.datasets import DATASETS
from emotiwave.errors import ConfigError, unknown_name
from emotiwave.features.extractors import EXTRACTORS
from emotiwave.metrics import described_metrics
from emotiwave.models import MODELS
from emotiwave.models.encoders import ENCODERS
from emotiwave.references import REFERENCES


def list_names(kind: str) -> dict[str, str]:
    """Name what can be used, each with a line about it.

    Raises:
        ConfigError: If there is nothing of that kind to list.
    """
    listings = {
        "models": {name: _first_line(model) for name, model in MODELS.items()},
        "datasets": {name: _first_line(import_module(dataset.load.__module__)) for name, dataset in DATASETS.items()},
        "extractors": {name: _first_line(import_module(of.settings.__module__)) for name, of in EXTRACTORS.items()},
        "encoders": {name: _first_line(of.build) for name, of in ENCODERS.items()},
        "references": {name: of.about for name, of in REFERENCES.items()},
        "metrics": described_metrics(),
        "conditions": {name: f"{kind.about} ({kind.unit})" for name, kind in KINDS.items()},
        "recipes": {name: _first_comment(path) for name, path in shipped_recipes().items()},
    }
    if kind not in listings:
        raise ConfigError(unknown_name("listing", kind, listings))
    return listings[kind]


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
