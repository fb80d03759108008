"""Where YuNet's weights come from: a file that is named, the cache, or the network, once."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pooch

from emotiwave.errors import MediaError, printable

COMMIT = "82b38c8f98e7b52aa171400f3e4c722352d0669f"
FILE_NAME = "face_detection_yunet_2023mar.onnx"
URL = f"https://media.githubusercontent.com/media/opencv/opencv_zoo/{COMMIT}/models/face_detection_yunet/{FILE_NAME}"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SECONDS_TO_WAIT = 10
MOST_BYTES = 8 << 20
"""YuNet takes less than half a megabyte."""

KNOWN = {
    SHA256: "yunet 2023mar",
    "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2": "yunet n 320",
    "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31": "yunet n 640",
    "beb05bf2378aee45cd7c41056da07265b7bb91041ed1b06f923819a9c744ec36": "yunet s 320",
}
"""SHA-256 -> name: the file of OpenCV's model zoo (MIT), and exports in libfacedetection.train (Apache-2.0). The export
with inputs of any size is not among them: OpenCV 4 cannot read it."""


class NoYunetError(MediaError):
    """YuNet's file was not named, is not in the cache, and cannot be fetched."""


@dataclass(frozen=True)
class ModelFile:
    """Weights that may be given to OpenCV, and what they are."""

    name: str
    sha256: str
    content: bytes


def find_yunet(model: Path | None, sha256: str | None, *, may_download: bool) -> ModelFile:
    """Read YuNet's file: ``model``, else what EMOTIWAVE_YUNET names, else the cache, else fetch it into the cache.

    Only known files, or one whose hash is ``sha256``, are taken: OpenCV's reader of ONNX files was seen to crash on
    damaged ones, and would take the whole process with it.

    Raises:
        MediaError: If a file that is named cannot be read, or is not known.
        NoYunetError: If none is named, and there is none.
    """
    named = model or os.environ.get("EMOTIWAVE_YUNET")
    if named:
        return _read(Path(named), sha256)
    cached = Path(platformdirs.user_cache_dir("emotiwave")) / FILE_NAME
    if cached.is_file():
        try:
            return _read(cached, None)
        except MediaError:
            pass  # damaged: fetched anew below, or named as missing
    return _read(_fetch(cached, may_download), None)


def _read(path: Path, trusted: str | None) -> ModelFile:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise MediaError(f"{path}: more than {MOST_BYTES >> 20} MB; expected YuNet's ONNX file, {FILE_NAME}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError of names that no file can have
        why = getattr(error, "strerror", None) or error
        raise MediaError(f"{printable(str(path))}: YuNet's file cannot be read ({why})") from None
    found = hashlib.sha256(content).hexdigest()
    if found not in KNOWN and found != (trusted or "").lower():
        raise MediaError(
            f"{path}: no YuNet file that is known (its SHA-256 is {found}): damaged, or another network. "
            f"Get {FILE_NAME} of OpenCV's model zoo, or set faces.sha256 to this hash if you trust the file"
        )
    return ModelFile(KNOWN.get(found, f"yunet {found[:8]}"), found, content)


def _fetch(cached: Path, may_download: bool) -> Path:
    """Fetch YuNet's file into the cache."""
    way_out = f"Put {FILE_NAME} at {cached}, or name it by faces.model or EMOTIWAVE_YUNET"
    if not may_download:
        raise NoYunetError(f"YuNet's file is not in the cache. {way_out}")
    offline = next((name for name in ("EMOTIWAVE_OFFLINE", "HF_HUB_OFFLINE") if _is_set(name)), None)
    if offline:
        raise NoYunetError(f"YuNet's file is not in the cache, and {offline} forbids to download it. {way_out}")
    try:
        pooch.retrieve(
            URL,
            known_hash=f"sha256:{SHA256}",
            fname=cached.name,
            path=cached.parent,
            downloader=pooch.HTTPDownloader(timeout=SECONDS_TO_WAIT),  # pyright: ignore[reportArgumentType]
        )
    except ValueError:  # pooch's word for a wrong hash
        raise NoYunetError(f"what was downloaded is not YuNet's file: its SHA-256 differs. {way_out}") from None
    except OSError as error:  # of the network too: requests derives its errors from it
        raise NoYunetError(f"YuNet's file could not be downloaded ({type(error).__name__}). {way_out}") from None
    return cached


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
