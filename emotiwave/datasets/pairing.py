"""Label pairs: what several corpora have of one class in one split, drawn together so that nothing is left over."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emotiwave.errors import DatasetError
from emotiwave.labels import SEVEN
from emotiwave.recordings import Count, Sources
from emotiwave.types import Segment, Utterance

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Item:
    """An utterance of one corpus, and the signal of it that is taken."""

    utterance: Utterance
    sources: Sources

    @property
    def has_group(self) -> bool:
        """Whether its corpus says who speaks, or in which dialogue."""
        return self.utterance.group != self.utterance.id


Place = tuple[str, str]
"""A split and a class of it."""
Items = Mapping[str, Sequence[Item]]
"""Modality -> what there is to take it from."""
Pair = Mapping[str, Item]
"""Modality -> what it is taken from; of a single modality where the others have nothing of the class."""


@dataclass
class Paired:
    """The pairs of a corpus as utterances, the sources of each by its id, and how many of what kind there are."""

    utterances: list[Utterance] = field(default_factory=list)
    sources: dict[str, Sources] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)


def by_place(items: Items) -> dict[Place, dict[str, list[Item]]]:
    """Sort what each modality has by split and class, both in their usual order."""
    found: dict[Place, dict[str, list[Item]]] = {}
    for modality, of_modality in items.items():
        for item in of_modality:
            place = (item.utterance.split, str(item.utterance.label))
            found.setdefault(place, {}).setdefault(modality, []).append(item)
    ordered = sorted(found, key=lambda place: (_rank(place[0]), place[0], SEVEN.index(place[1])))
    return {place: found[place] for place in ordered}


def pair_up(places: Mapping[Place, Items], modalities: Sequence[str], seed: int) -> Paired:
    """Pair what there is of each class in each split, and count it.

    Args:
        places: As `by_place` gives it.
        modalities: All that there are; counts name those that a class lacks.
        seed: Of the draw.

    Raises:
        DatasetError: If an item of a pair is cut out of a recording, and another is a recording too.
    """
    paired, totals = Paired(), Counter[str]()
    groups: dict[tuple[str, str], set[str]] = {}
    for (split, label), items in places.items():
        anchor = _choose_anchor(items)
        n_before = len(paired.utterances)
        for pair in draw_pairs(items, (split, label), seed):
            utterance = _join_utterance(pair, (split, label), anchor)
            paired.utterances.append(utterance)
            paired.sources[utterance.id] = _join_sources(pair)
            for modality, item in pair.items():
                groups.setdefault((modality, item.utterance.group), set()).add(utterance.group)
        n_pairs = len(paired.utterances) - n_before
        paired.counts[f"{split} {label}"] = _describe(items, modalities, n_pairs)
        totals[f"{split}: {'+'.join(items)}{' alone' if len(items) == 1 else ', pairs'}"] += n_pairs
    several = Counter(modality for (modality, _), met in groups.items() if len(met) > 1)
    paired.counts |= totals
    paired.counts |= {f"{name} speakers or items in several bootstrap groups": several[name] for name in several}
    return paired


def draw_pairs(items: Items, place: Place, seed: int) -> Iterator[Pair]:
    """Draw as many pairs as the modality with most items has; each modality is shuffled and repeated evenly."""
    n_pairs = max(map(len, items.values()))
    columns = []
    for modality, of_modality in items.items():
        # a draw of its own for every split, class and modality: none depends on what else there is
        random = np.random.default_rng([seed, *"/".join((*place, modality)).encode()])
        repeated = np.resize(random.permutation(len(of_modality)), n_pairs)
        columns.append([of_modality[k] for k in random.permutation(repeated)])
    for row in zip(*columns, strict=True):
        yield dict(zip(items, row, strict=True))


def _rank(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _choose_anchor(items: Items) -> str:
    """The side that a bootstrap resamples: one whose speakers or dialogues are known, else the one that repeats most.

    Every item of a longer side is in one pair, and so in one group. Grouped by that side instead, an item that is
    repeated would count as new evidence every time.
    """
    return min(items, key=lambda name: (not any(item.has_group for item in items[name]), len(items[name])))


def _join_utterance(pair: Pair, place: Place, anchor: str) -> Utterance:
    """Make the utterance of a pair; its ``speaker`` is the group, which need not be a person."""
    split, label = place
    utterances = {modality: item.utterance for modality, item in pair.items()}
    spoken = [utterances[modality] for modality in ("text", "audio") if modality in utterances]
    name = "+".join(f"{modality}:{utterance.id}" for modality, utterance in utterances.items())
    return Utterance(
        id=name,
        split=split,
        label=label,
        speaker=f"{anchor}:{utterances[anchor].group}",
        language=next((u.language for u in spoken if u.language), None),
        transcript=utterances["text"].transcript if "text" in utterances else None,
        segment=_segment(name, pair),
    )


def _segment(name: str, pair: Pair) -> Segment | None:
    """The stretch that is meant of the one file with times; it would cut those of other corpora as well."""
    timed = [item for item in pair.values() if item.sources.audio or item.sources.transcript or item.sources.words]
    segments = [item.utterance.segment for item in timed if item.utterance.segment]
    if segments and len(timed) > 1:
        raise DatasetError(
            f"paired: {name}: a stretch of one recording is paired with another recording, and only one of them can be "
            "cut out; take a corpus whose files are cut already, or whose words are plain text"
        )
    return segments[0] if segments else None


def _join_sources(pair: Pair) -> Sources:
    given = [vars(item.sources).items() for item in pair.values()]
    return Sources(**{key: value for keys in given for key, value in keys if value not in (None, False)})


def _describe(items: Items, modalities: Sequence[str], n_pairs: int) -> str:
    """Say how many pairs there are of a class, and how often what each modality has is in them."""
    absent = "".join(f", no {modality}" for modality in modalities if modality not in items)
    if len(items) == 1:
        return f"{n_pairs:,} of {next(iter(items))} alone{absent}"
    used = ", ".join(f"{len(of):,} {modality}{_times(n_pairs, len(of))}" for modality, of in items.items())
    return f"{n_pairs:,} pair{'s' * (n_pairs != 1)} of {used}{absent}"


def _times(n_pairs: int, n_items: int) -> str:
    """Say how often each item is used.

    >>> _times(7, 7), _times(7, 3), _times(6, 3)
    ('', ' (2 to 3 times each)', ' (2 times each)')
    """
    few, rest = divmod(n_pairs, n_items)
    if n_pairs == n_items:
        return ""
    return f" ({few} to {few + 1} times each)" if rest else f" ({few} times each)"
