"""Reading ``.npy`` and ``.npz`` files that may be damaged or hostile: no pickle, no bomb, one kind of error."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotiwave.errors import FeatureError

MAX_BYTES = 8 * 2**30
"""An archive that would unpack to more than this is refused before anything is read."""


def map_array(path: Path) -> NDArray[Any]:
    """Memory-map an array, read-only.

    Raises:
        FeatureError: If the file is missing, truncated, damaged, or holds Python objects.
    """
    try:
        # a plain view: slicing np.memmap costs several times more than slicing np.ndarray
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except Exception as error:  # a damaged header raises anything from ValueError to TokenError
        raise FeatureError(f"{path}: truncated or damaged ({error})") from None


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of an archive into memory.

    Raises:
        FeatureError: If the file is missing, truncated, damaged, holds Python objects, or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise FeatureError(f"{path}: would unpack to {size:,} bytes; at most {MAX_BYTES:,} are read")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FeatureError:
        raise
    except Exception as error:  # a damaged archive raises anything from BadZipFile to NotImplementedError
        raise FeatureError(f"{path}: cannot be read as an .npz archive ({error})") from None
