"""How a condition is written: ``KIND:MODALITY@FILE=SEVERITY,SEVERITY``, of which only the kind must be there."""

import re
from pathlib import Path

SEVERITIES = re.compile(r"=(?P<numbers>[\s\d.,eE+\-]*)$")


def split_condition(text: str) -> tuple[str, str, str, str]:
    """Divide a condition into its kind, modality, file and severities; what is not there is empty.

    A file may have ``=`` in its name, unless nothing but numbers follows it.

    >>> split_condition("background:audio@a=b.wav=0.1,1")
    ('background', 'audio', 'a=b.wav', '0.1,1')
    >>> split_condition("missing=0.5")
    ('missing', '', '', '0.5')
    """
    name, _, file = text.strip().partition("@")
    if file:
        found = SEVERITIES.search(file)
        values = found["numbers"] if found else ""
        file = file[: found.start()] if found else file
    else:
        name, _, values = name.partition("=")
    kind, _, modality = name.strip().partition(":")
    return kind, modality, file.strip(), values.strip()


def with_absolute_file(text: str) -> str:
    """Give the same condition with the whole path of its file, so that it is found from any folder."""
    kind, modality, file, values = split_condition(text)
    if not file:
        return text
    return f"{kind}:{modality}@{Path(file).absolute()}" + (f"={values}" if values else "")
