"""Extracted frames kept for the next time: by the bytes of the media, the extractor, its settings and its weights."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from emotiwave.features.extraction.frames import Frames, open_frames

VERSION = 1
"""Of what lies between media and extractors: raised when the same files and settings give other frames."""


def default_folder() -> Path:
    """Where frames are kept that are given no place."""
    return user_cache_path("emotiwave", appauthor=False) / "features"


class FeatureCache:
    """A folder of frames by key; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def find(self, key: str) -> Frames | None:
        """Open what is kept under a key."""
        return None if self.folder is None else open_frames(self._place(self.folder, key))

    def keep(self, key: str, frames: Frames) -> None:
        """Keep frames under a key.

        Raises:
            OSError: If the folder cannot be written to.
        """
        if self.folder is None:
            return
        path = self._place(self.folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        frames.write(path)

    @staticmethod
    def _place(folder: Path, key: str) -> Path:
        return folder / key[:2] / f"{key[2:]}.frames"


def cache_key(described: Mapping[str, Any]) -> str:
    """Name what frames depend on, in 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps([VERSION, described], sort_keys=True).encode()).hexdigest()
