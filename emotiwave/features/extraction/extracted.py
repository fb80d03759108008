"""What was extracted of one utterance, and what is to be told of it."""

from dataclasses import dataclass, field
from typing import Any

from emotiwave.features.extraction.frames import Frames
from emotiwave.signals import Usability, Word
from emotiwave.types import Utterance


@dataclass(eq=False)
class Extracted:
    """What was extracted of one utterance: frames and judgements by modality, and its words if it has any."""

    frames: dict[str, Frames] = field(default_factory=dict)
    usability: dict[str, Usability] = field(default_factory=dict)
    words: tuple[Word, ...] | None = None
    words_from: str = ""
    warnings: dict[str, list[str]] = field(default_factory=dict)
    """Signal -> what was noted while it was read."""
    errors: list[dict[str, str]] = field(default_factory=list)


def usability_rows(utterance: Utterance, of: Extracted) -> list[dict[str, Any]]:
    """Say of each modality how much was of use, why not the rest, and what else is known; and what was warned of."""
    rows = []
    for modality, judged in of.usability.items():
        facts = of.frames[modality].facts if modality in of.frames else {}
        row = {"utterance": utterance.id, "modality": modality, "observed": round(judged.observed, 4)}
        row |= {"used": not judged.ignored, "reason": str(judged)}
        rows.append(row | {name: value for name, value in facts.items() if value is not None})
    for signal, noted in of.warnings.items():
        rows += [{"utterance": utterance.id, "modality": signal, "reason": f"warning: {text}"} for text in noted]
    return rows
