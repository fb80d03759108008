"""How much of a clip a run could use, and what was warned of while its features were extracted."""

from collections.abc import Collection, Mapping, Sequence

from emotiwave.analysis import ModalityUse
from emotiwave.features.prepared import PreparedRecording
from emotiwave.types import Segment


def uses_of(
    read: Sequence[PreparedRecording], asked: Sequence[str], stretches: Sequence[Segment | None]
) -> dict[str, ModalityUse]:
    """How much of each modality was used over all stretches, and the reasons, those of the least used first."""
    uses = {}
    for name in asked:
        rows = [row for prepared in read for row in prepared.usability if row["modality"] == name and "observed" in row]
        errors = [row["error"] for prepared in read for row in prepared.errors if row["modality"] == name]
        if not rows and not errors:
            continue
        observed = sum(float(row["observed"]) for row in rows) / len(stretches)
        told = dict.fromkeys(
            str(row["reason"]).removeprefix(f"{name} ")
            for row in sorted(rows, key=lambda row: row["observed"])
            if row["reason"] != f"{name} observed"
        )
        uses[name] = ModalityUse(
            used=any(row["used"] for row in rows),
            observed=min(1.0, observed),
            reason="; ".join([*list(told)[:2], *errors[:1]]) or None,
        )
    return uses


def warned(read: Sequence[PreparedRecording], asked: Collection[str], signals: Mapping[str, str]) -> list[str]:
    """What was warned of while the signals of the modalities asked for were read, each once."""
    heard = {signals[name] for name in asked}
    rows = [row for prepared in read for row in prepared.usability if "observed" not in row]
    return list(dict.fromkeys(str(row["reason"]).removeprefix("warning: ") for row in rows if row["modality"] in heard))
