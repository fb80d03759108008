"""One self-contained HTML page about inspected files: findings, pictures, facts."""

from emotiwave.doctor.figures import pictures
from emotiwave.doctor.inspection import Inspection
from emotiwave.doctor.layout import MARKS, counted_files, fact_tables, file_name, summary
from emotiwave.drawing import page


def write_page(inspection: Inspection) -> str:
    """Draw an inspection as one HTML page that loads nothing and runs nothing."""
    return page(
        "doctor/page.html",
        kicker="Emotiwave data doctor",
        title=f"Inspection of {counted_files(inspection)}",
        summary=summary(inspection),
        findings=[(finding, file_name(finding.file), MARKS[finding.severity]) for finding in inspection.findings],
        pictures=pictures(inspection),
        tables=fact_tables(inspection.facts),
        paths=[facts.file for facts in inspection.facts],
    )
