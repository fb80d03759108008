"""Writing ``.csd`` files as the SDK lays them out."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from emotiwave.files import whole_file


def write_csd(
    path: Path,
    *,
    root: str,
    entries: Iterable[tuple[str, NDArray[Any], NDArray[Any]]],
    metadata: Mapping[str, Any],
    compression: int | None = None,
) -> Path:
    """Write one computational sequence; the file appears whole or not at all.

    Args:
        path: Where to.
        root: Name of the root group, such as ``All Labels``.
        entries: Video id, features ``(frames, size)``, intervals ``(frames, 2)`` in seconds; written one by one.
        metadata: JSON values by key; ``dimension names`` lists the columns.
        compression: Level of gzip, 1 to 9 (the SDK's ``deploy`` takes 9); None stores plainly.
    """
    options: dict[str, Any] = {} if compression is None else {"compression": "gzip", "compression_opts": compression}
    with whole_file(path) as scratch, h5py.File(scratch, "w") as file:
        data = file.create_group(root).create_group("data")
        for entry_id, features, intervals in entries:
            group = data.create_group(entry_id)
            group.create_dataset("features", data=features, **(options if len(features) else {}))
            group.create_dataset("intervals", data=intervals, **(options if len(intervals) else {}))
        described = file[root].create_group("metadata")  # pyright: ignore[reportAttributeAccessIssue]
        for key, value in {"root name": root, **metadata}.items():
            described.create_dataset(key, (1,), dtype=h5py.string_dtype())[0] = json.dumps(value)
    return path
