"""What CREMA-D's table of actors says of each: sex, age, race and ethnicity, where the table is there."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emotiwave.errors import DatasetError

FILE = "VideoDemographics.csv"
MAX_BYTES = 2**20


def read_actors(root: Path) -> dict[str, Mapping[str, str]]:
    """Read what is known of each actor, ages by decade (``20-29``); nothing where the table is not there.

    Raises:
        DatasetError: If it is there and is not as published.
    """
    path = root / FILE
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_BYTES:
        raise DatasetError(f"{path}: has more than {MAX_BYTES:,} bytes; expected a row for each of 91 actors")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return {
            str(row["ActorID"]): {
                "sex": str(row["Sex"]).lower(),
                "age": _decade(int(row["Age"])),
                "race": str(row["Race"]),
                "ethnicity": str(row["Ethnicity"]),
            }
            for row in table.to_dict("records")
        }
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{path}: cannot be read as the table of actors ({error}); expected columns ActorID, Age, Sex, Race and "
            "Ethnicity"
        ) from None


def _decade(age: int) -> str:
    """Write the decade of an age.

    >>> _decade(51)
    '50-59'
    """
    return f"{age // 10 * 10}-{age // 10 * 10 + 9}"
