"""Features of spoiled media, kept so that every method and seed meets the same without extracting them again."""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotiwave.errors import DataWarning
from emotiwave.files import replace_file
from emotiwave.sequences import FeatureSequence


def keep_features(features: Mapping[str, FeatureSequence], path: Path) -> None:
    """Write sequences by utterance: values end to end, intervals, and how long each is.

    Raises:
        OSError: If the folder cannot be written to.
    """
    each = list(features.values())
    buffer = io.BytesIO()
    np.savez(
        buffer,
        ids=np.array(list(features), dtype=np.str_),
        lengths=np.array([len(one.values) for one in each], dtype=np.int64),
        values=np.concatenate([one.values for one in each]) if each else np.empty((0, 0), np.float32),
        intervals=np.concatenate([one.intervals for one in each]) if each else np.empty((0, 2)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())


def find_features(path: Path) -> dict[str, FeatureSequence] | None:
    """Read what was kept; None, with a warning where there is something else, if it must be extracted."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            ids, lengths = file["ids"].tolist(), file["lengths"]
            values, intervals = file["values"], file["intervals"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"{path}: cannot be read ({error}); it is written anew", DataWarning, stacklevel=2)
        return None
    ends = np.cumsum(lengths)
    if len(ids) != len(lengths) or int(lengths.sum()) != len(values) or len(values) != len(intervals):
        warnings.warn(f"{path}: does not fit together; it is written anew", DataWarning, stacklevel=2)
        return None
    return {
        one: FeatureSequence(values[end - length : end], intervals[end - length : end])
        for one, end, length in zip(ids, ends, lengths, strict=True)
    }
