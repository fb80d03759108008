"""What a recogniser says of a clip: one form for Python, JSON, tables and notebooks."""

from emotiwave.analysis.analysis import (
    NOTHING_SAID,
    Analysis,
    AttributedSpan,
    Attribution,
    Contributions,
    Explanation,
    ModalityUse,
    Moment,
    Subject,
    json_schema,
)

__all__ = [
    "NOTHING_SAID",
    "Analysis",
    "AttributedSpan",
    "Attribution",
    "Contributions",
    "Explanation",
    "ModalityUse",
    "Moment",
    "Subject",
    "json_schema",
]
