"""What a worker is asked, and what it says: plain data, which goes between processes and into the table of jobs."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["analysis", "configurations"]
FILES = ("video", "audio", "image", "transcript")
"""Fields that are files, by the names that `make_clip` has for them."""


@dataclass(frozen=True)
class Task:
    """One clip to analyse. ``files`` maps fields to paths that the service made up; ``name`` is only told back."""

    id: str
    kind: Kind
    name: str
    files: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    modalities: tuple[str, ...] | None = None
    explain: bool = False
    timeline: bool = True
    start: float | None = None
    end: float | None = None
    is_face: bool = False
    abstain_above: float | None = None
    conditions: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it is nothing but a text, asked for as texts usually are, so that others can be answered with it."""
        return self.text is not None and not self.files and self.kind == "analysis" and not self.conditions

    @property
    def together(self) -> tuple[Any, ...]:
        """What texts must have in common to be answered together."""
        return (self.modalities, self.explain)


@dataclass(frozen=True)
class Outcome:
    """What came of a task: a result, or an error with the HTTP status that tells whose fault it is."""

    id: str
    result: dict[str, Any] | None = None
    error: str | None = None
    status: int = 200
    fault: str | None = None
    """Of a fault of ours what and where, for the log."""
