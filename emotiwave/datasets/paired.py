"""Label-paired: photos, sound and texts of different corpora, joined where their class is the same; licences of each.

A face, a voice and a sentence of one class, drawn at random, were never said together: given the class, the modalities
are independent. Fusion then gains more than on real recordings, and adding the evidence of each modality up is right by
construction, so no claim about fusion or calibration may rest on such data. Its name and its task begin with
"label-paired", so that every number shows it.

Pairs are made inside one split, of the seven classes that corpora share. Every utterance of every corpus is in at least
one pair, and those of the shorter sides are repeated evenly. Where a side has no utterance of a class, the others stay
without it: the modality is really missing.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from emotiwave import datasets
from emotiwave.datasets.pairing import Item, Items, by_place, pair_up
from emotiwave.errors import DatasetError, unknown_name
from emotiwave.labels import SEVEN
from emotiwave.recordings import Count, MediaRecordings, Sources
from emotiwave.settings import Settings
from emotiwave.types import LabelSet

LABEL_PAIRED = "label-paired"
"""What the name and the task of such a corpus begin with."""
MODALITIES = ("vision", "audio", "text")
SIGNALS = {
    "vision": "photos (a film would bring its own sound and words along)",
    "audio": "sound",
    "text": "texts, transcripts or timed words",
}
"""What is taken of a corpus for each modality."""


class PairedSettings(Settings):
    """Keys of ``[dataset]`` for ``name = "paired"``."""

    vision: dict[str, Any] | None = None
    """The corpus of the photos: its name, or a table of ``name`` and that corpus's own keys, such as
    ``{name = "fer2013", duplicates = "drop_from_train"}``. Its ``task`` is ``seven`` where it has one."""
    audio: dict[str, Any] | None = None
    """The corpus of the sound, likewise."""
    text: dict[str, Any] | None = None
    """The corpus of the texts, likewise."""
    seed: int = Field(default=0, ge=0)
    """Which utterances of a class meet, and which are repeated once more than others."""
    unmatched: Literal["alone", "refuse"] = "alone"
    """What becomes of a class, or of a whole split, that a side does not have: the other sides stay without it and are
    counted, or an error."""

    @field_validator("vision", "audio", "text", mode="before")
    @classmethod
    def _corpus_is_known(cls, given: Any) -> Any:
        if given is None:
            return None
        keys = {"name": given} if isinstance(given, str) else given
        if not isinstance(keys, Mapping) or not isinstance(keys.get("name"), str):
            raise ValueError(f"expected the name of a corpus, or a table with name; one of {', '.join(_corpora())}")
        return _complete(keys)

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if len(self.sides) < 2:
            raise ValueError(
                f"corpora of {' and '.join(self.sides) or 'no modality'}; expected two or three of "
                f'{", ".join(MODALITIES)}, such as vision = "fer2013" and text = "dair_emotion"'
            )
        return self

    @property
    def sides(self) -> dict[str, dict[str, Any]]:
        """Modality -> the complete table of its corpus."""
        tables = {modality: getattr(self, modality) for modality in MODALITIES}
        return {modality: dict(table) for modality, table in tables.items() if table is not None}

    @property
    def task(self) -> str:
        """What is told apart, and on what kind of data."""
        return f"{LABEL_PAIRED} seven"


@dataclass(frozen=True, eq=False)
class _Side:
    """What one modality is taken from."""

    corpus: str
    licence: str
    tables: tuple[Path, ...]
    items: tuple[Item, ...]


def load(settings: PairedSettings) -> MediaRecordings:
    """Read the corpora and pair what they have of each class in each split.

    Raises:
        DatasetError: If a corpus cannot be read, gives no single classes or nothing of its modality, or ``unmatched``
            refuses what a side lacks.
        MissingExtraError: If a corpus needs what is not installed.
    """
    counts: dict[str, Count] = {}
    sides = {modality: _load_side(modality, table, counts) for modality, table in settings.sides.items()}
    places = by_place({modality: side.items for modality, side in sides.items()})
    if settings.unmatched == "refuse":
        for place, items in places.items():
            _refuse_unmatched(*place, items, sides)
    paired = pair_up(places, tuple(sides), settings.seed)
    return MediaRecordings(
        name=f"{LABEL_PAIRED} {'+'.join(side.corpus for side in sides.values())}",
        task=settings.task,
        licence="; ".join(dict.fromkeys(f"{side.corpus}: {side.licence}" for side in sides.values())),
        label_set=LabelSet("categorical", SEVEN),
        utterances=tuple(paired.utterances),
        sources=paired.sources,
        tables=tuple(dict.fromkeys(path for side in sides.values() for path in side.tables)),
        counts=counts | paired.counts,
    )


# The table of a corpus


def _corpora() -> dict[str, "datasets.MediaDataset"]:
    """What can be paired, by name.

    The registry names this module too, so it is looked into when it is complete, and not while modules are imported.
    """
    return {
        name: dataset
        for name, dataset in datasets.DATASETS.items()
        if isinstance(dataset, datasets.MediaDataset) and dataset.load is not load
    }


def _complete(table: Mapping[str, Any]) -> dict[str, Any]:
    """Check the table of a corpus and give it back with all of its keys."""
    keys, corpora = dict(table), _corpora()
    name = keys.pop("name")
    if name not in corpora:
        known = " (that one is no corpus of photos, sound or texts)" if name in datasets.DATASETS else ""
        raise ValueError(unknown_name("corpus of media", name, corpora) + known)
    settings = corpora[name].settings
    if "seven" in _tasks(settings) and keys.setdefault("task", "seven") != "seven":
        raise ValueError(
            f"{name}: task {keys['task']!r}; pairs are made of the seven classes that corpora share, one per "
            'utterance: leave task out, or set it to "seven"'
        )
    try:
        complete = settings.model_validate_json(json.dumps(keys, default=str), strict=True)
    except ValidationError as error:
        raise ValueError(f"{name}: {_explain(error, settings)}") from None
    return {"name": name} | complete.model_dump(mode="json", exclude_none=True)


def _tasks(settings: type[Settings]) -> tuple[Any, ...]:
    field = settings.model_fields.get("task")
    return () if field is None else get_args(field.annotation)


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown_name("key", key, settings.model_fields)
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


# One side


def _load_side(modality: str, table: Mapping[str, Any], counts: dict[str, Count]) -> _Side:
    """Read a corpus; what it has of other classes, or without this modality, is left out and counted."""
    keys = dict(table)
    corpus = keys.pop("name")
    dataset = _corpora()[corpus]
    where = f"{modality} ({corpus})"
    try:
        recordings = dataset.load(dataset.settings.model_validate_json(json.dumps(keys), strict=True))
    except DatasetError as error:
        raise DatasetError(f"paired: dataset.{modality}: {error}") from None
    _check_labels(recordings.label_set, modality, corpus, dataset.settings)
    counts |= {f"{where}: {what}": count for what, count in recordings.counts.items()}
    items, others, lacking = [], Counter[str](), 0
    for utterance in recordings.utterances:
        taken = _take(modality, recordings.sources[utterance.id])
        if utterance.label not in SEVEN:
            others[str(utterance.label)] += 1
        elif taken is None:
            lacking += 1
        else:
            items.append(Item(utterance, taken))
    for label in sorted(others):
        counts[f"{where}: of {label}, which is none of the seven, left out"] = others[label]
    if lacking:
        counts[f"{where}: without {modality}, left out"] = lacking
    if not items:
        raise DatasetError(
            f"paired: dataset.{modality}: {corpus} has nothing of it in the seven classes; expected {SIGNALS[modality]}"
        )
    items.sort(key=lambda item: item.utterance.id)  # pairs do not depend on the order that a corpus is read in
    return _Side(corpus, recordings.licence, recordings.tables, tuple(items))


def _check_labels(labels: LabelSet, modality: str, corpus: str, settings: type[Settings]) -> None:
    if labels.kind != "categorical":
        tasks = ", ".join(map(str, _tasks(settings)))
        raise DatasetError(
            f"paired: dataset.{modality}: {corpus} gives {labels.kind} labels, and pairs need one class each; set "
            f"dataset.{modality}.task to another of {tasks}, or take another corpus"
        )
    if not set(SEVEN) & set(labels.names):
        raise DatasetError(
            f"paired: dataset.{modality}: {corpus} has the classes {', '.join(labels.names)}; expected some of "
            f"{', '.join(SEVEN)}"
        )


def _take(modality: str, sources: Sources) -> Sources | None:
    """Take the signal of one modality, and nothing that would bring another; None where there is none."""
    match modality:
        case "vision":
            return Sources(image=sources.image, is_face=sources.is_face) if sources.image else None
        case "audio":
            sound = sources.audio or sources.video
            return Sources(audio=sound) if sound else None
        case _ if sources.text is not None:
            return Sources(text=sources.text)
        case _:
            taken = Sources(transcript=sources.transcript, words=sources.words, words_id=sources.words_id)
            return taken if taken.signals else None


def _refuse_unmatched(split: str, label: str, items: Items, sides: Mapping[str, _Side]) -> None:
    absent = " and ".join(f"{modality} ({side.corpus})" for modality, side in sides.items() if modality not in items)
    if absent:
        there = " and ".join(f"{len(of):,} of {modality} ({sides[modality].corpus})" for modality, of in items.items())
        raise DatasetError(
            f'paired: {split}: class {label!r} has {there} and none of {absent}; with unmatched = "alone" they stay '
            "without it"
        )
