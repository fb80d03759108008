"""Photos: any of the common formats as upright RGB, whatever the file was meant to do to its reader."""

import math
import os
import re
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from emotiwave.errors import MediaError
from emotiwave.media.containers import MAX_PIXELS, check_pixels, open_regular_file
from emotiwave.signals import Frame

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's names of grey levels of 16 bits."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Pillow's names of the formats that are read; PPM stands for PBM, PGM and PPM."""
_BACKGROUND = (255, 255, 255)
"""RGB behind what is transparent, as viewers show it."""
_SCAN = b"\xff\xda"
"""Marker of a scan of JPEG; two bytes of length and the number of its colours follow."""
_SEGMENTS = frozenset({*range(0xC0, 0xD0), *range(0xDB, 0xFF)} - {0xC2, 0xC6, 0xCA, 0xCE})
"""Second bytes of the markers of JPEG that have a length and may precede a scan, save those of progressive frames."""


def read_photo(path: Path, *, longest: int = 640) -> Frame:
    """Read a photo, the first picture of an animation: upright as its Exif data says, ``longest`` pixels at most.

    Grey levels of 16 bits keep their upper 8; what is transparent shows white. Photos of more than 50 megapixels are
    refused before they are decoded, save JPEG that is decoded at a fraction of its size; progressive JPEG is not,
    nor is JPEG with a scan per colour.

    Raises:
        MediaError: If the file cannot be opened, is of another format, too large, truncated or damaged.
    """
    with open_regular_file(path) as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's doubts of large or odd files; ours is the last word
                with Image.open(file, formats=FORMATS) as image:
                    full = max(image.size)
                    if not _is_read_by_rows(image, file):
                        check_pixels(path, *image.size)
                    image.draft("RGB", (longest, longest))  # of JPEG only: less to decode
                    check_pixels(path, *image.size)
                    ImageOps.exif_transpose(image, in_place=True)
                    picture = _rgb(image, path)
        except MediaError:
            raise
        except Image.DecompressionBombError as error:  # raised before the size can be asked for
            found = re.search(r"\d+", str(error))
            amount = f"{int(found[0]) / 1e6:,.0f} million" if found else "too many"
            raise MediaError(
                f"{path}: has {amount} pixels; at most {MAX_PIXELS / 1e6:,.0f} million are decoded: scale it down"
            ) from None
        except MemoryError:
            raise MediaError(f"{path}: needs more memory than there is: scale it down") from None
        except Exception as error:  # a damaged file raises anything from OSError to struct.error
            raise MediaError(
                f"{path}: cannot be read as a photo ({error}); expected a whole file of {', '.join(FORMATS)}"
            ) from None
    return _shrunk(picture, full, longest)


def shrink_photo(picture: NDArray[np.uint8], *, longest: int = 640) -> Frame:
    """Bring a picture ``(height, width, 3)`` to what `read_photo` makes of its file."""
    return _shrunk(Image.fromarray(picture), max(picture.shape[:2]), longest)


def _shrunk(picture: Image.Image, full: int, longest: int) -> Frame:
    picture.thumbnail((longest, longest), Image.Resampling.BOX)
    return Frame(np.array(picture), math.nan, math.nan, scale=full / max(picture.size))


def upright_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Bring an image that is open already to the pixels of its file, upright: ``(height, width, 3)``.

    Raises:
        MediaError: If it is too large, damaged, or its levels have no known scale.
    """
    where = Path("image")
    check_pixels(where, *image.size)
    try:
        picture = _rgb(ImageOps.exif_transpose(image), where)
    except (OSError, ValueError, SyntaxError) as error:  # read when it is first needed
        raise MediaError(f"image: cannot be read ({error})") from None
    return np.array(picture)


def _is_read_by_rows(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a picture is a JPEG of one scan; of all others libjpeg keeps the coefficients, at full size."""
    if image.format not in ("JPEG", "MPO"):
        return False
    at = file.tell()
    file.seek(2)  # after the marker of the start
    while len(head := file.read(5)) == 5 and head[0] == 0xFF and head[1] in _SEGMENTS:
        file.seek(int.from_bytes(head[2:4]) - 3, os.SEEK_CUR)  # the length counts its own two bytes
    file.seek(at)
    return head[:2] == _SCAN and head[4:] == bytes([len(image.getbands())])


def _rgb(image: Image.Image, path: Path) -> Image.Image:
    """Convert a decoded picture of any mode to RGB."""
    if image.mode in DEEP_MODES:
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
            raise MediaError(f"{path}: grey levels of 32 bits; expected 8 or 16: convert it, say to .png")
        return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise MediaError(f"{path}: pixels of floating point, of unknown scale; expected 8 or 16 bits: convert it")
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, _BACKGROUND)
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
