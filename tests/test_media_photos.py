import math
import os
import struct
import zlib
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from emotiwave.errors import MediaError
from emotiwave.media.photos import read_photo

COLOURS = np.zeros((16, 24, 3), np.uint8)
COLOURS[:8, :12], COLOURS[:8, 12:], COLOURS[8:, :12], COLOURS[8:, 12:] = (
    (250, 10, 10),
    (10, 250, 10),
    (10, 10, 250),
    200,
)
ORIENTED = {
    1: COLOURS,
    2: COLOURS[:, ::-1],
    3: COLOURS[::-1, ::-1],
    4: COLOURS[::-1],
    5: COLOURS.transpose(1, 0, 2),
    6: np.rot90(COLOURS, 1),
    7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(COLOURS, -1),
}
"""How a picture lies in the file by its Exif orientation, so that it is upright when that is followed."""


def png_of(width, height, content=b""):
    """A PNG whose header may say anything."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm", "a.webp"])
def test_formats_without_loss(tmp_path, name):
    Image.fromarray(COLOURS).save(tmp_path / name, lossless=True)
    frame = read_photo(tmp_path / name)
    np.testing.assert_array_equal(frame.image, COLOURS)
    assert frame.image.dtype == np.uint8
    assert math.isnan(frame.start)
    assert math.isnan(frame.end)
    assert frame.scale == 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(ORIENTED[orientation]))
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    frame = read_photo(tmp_path / "a.jpg")
    assert frame.image.shape == COLOURS.shape
    np.testing.assert_allclose(frame.image.astype(int), COLOURS, atol=12)


def test_modes_become_rgb(tmp_path):
    levels = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    grey = np.repeat(levels[:, :, None], 3, axis=2)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "grey.png").image, grey)
    Image.fromarray(levels.astype(np.uint16) * 256 + 7).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.png").image, grey)
    (tmp_path / "deep.pgm").write_bytes(
        b"P5 16 16 65535\n" + (levels.astype(np.uint16) * 256 + 7).astype(">u2").tobytes()
    )
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.pgm").image, grey)
    Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    np.testing.assert_allclose(read_photo(tmp_path / "palette.png").image.astype(int), COLOURS, atol=4)
    Image.fromarray(levels > 127).save(tmp_path / "black_and_white.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "black_and_white.png").image, (grey > 127) * np.uint8(255))
    Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    np.testing.assert_allclose(read_photo(tmp_path / "cmyk.jpg").image.astype(int), COLOURS, atol=40)
    assert np.argmax(read_photo(tmp_path / "cmyk.jpg").image[2, 2]) == 0


def test_what_is_transparent_shows_white(tmp_path):
    alpha = np.full((16, 24, 1), 255, np.uint8)
    alpha[:8], alpha[8:, :12] = 0, 51
    Image.fromarray(np.concatenate([COLOURS, alpha], axis=2)).save(tmp_path / "a.png")
    image = read_photo(tmp_path / "a.png").image.astype(int)
    assert (image[:8] == 255).all()
    np.testing.assert_allclose(image[8:, :12], 0.2 * COLOURS[8:, :12] + 0.8 * 255, atol=1)
    np.testing.assert_array_equal(image[8:, 12:], COLOURS[8:, 12:])
    Image.fromarray(COLOURS).save(tmp_path / "key.png", transparency=(250, 10, 10))
    image = read_photo(tmp_path / "key.png").image
    assert (image[:8, :12] == 255).all()
    np.testing.assert_array_equal(image[8:], COLOURS[8:])


def test_an_animation_gives_its_first_picture(tmp_path):
    first, second = Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_allclose(read_photo(tmp_path / "a.gif").image.astype(int), COLOURS, atol=8)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_large_photos_are_scaled_down_by_area(tmp_path, name):
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8), (800, 600))
    Image.fromarray(smooth).save(tmp_path / name)
    frame = read_photo(tmp_path / name, longest=200)
    assert frame.image.shape == (150, 200, 3)
    assert frame.scale == 4.0
    expected = cv2.resize(smooth, (200, 150), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(frame.image.astype(int), expected, atol=8)


def test_large_photos_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "a.png"
    for width, height in [(20_000, 2_501), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]:
        path.write_bytes(png_of(width, height))
        with pytest.raises(MediaError, match=r"a\.png: .*pixels"):
            read_photo(path)


def test_a_photo_of_hundreds_of_megapixels_is_refused_in_plain_words(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(20_000, 20_000))
    with pytest.raises(MediaError, match="has 400 million pixels; at most 50 million are decoded: scale it down"):
        read_photo(tmp_path / "a.png")


def test_a_large_jpeg_is_decoded_at_a_fraction(tmp_path):
    Image.new("L", (10_000, 6_000), 99).save(tmp_path / "a.jpg")  # 60 megapixels
    frame = read_photo(tmp_path / "a.jpg", longest=500)
    assert frame.image.shape == (300, 500, 3)
    assert frame.scale == 20.0
    assert (frame.image == 99).all()
    with pytest.raises(MediaError, match="10,000 x 6,000 pixels"):
        read_photo(tmp_path / "a.jpg", longest=9_000)


def in_scans_per_colour(path: Path, width: int, height: int) -> None:
    """A baseline JPEG header of three colours whose first scan holds one of them; no pixels."""
    tables = b"\xff\xdb\0\x43\0" + bytes([1] * 64)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes([1, 17, 0, 2, 17, 0, 3, 17, 0])
    path.write_bytes(b"\xff\xd8" + tables + frame + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + b"\0" * 64)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_jpeg_in_several_scans_is_refused_since_all_of_it_would_be_kept(tmp_path, mode):
    path = tmp_path / "a.jpg"
    Image.new(mode, (10_000, 6_000)).save(path, progressive=True)
    with pytest.raises(MediaError, match=r"a\.jpg: pictures of 10,000 x 6,000 pixels"):
        read_photo(path)
    Image.new(mode, (800, 600)).save(path, progressive=True)
    assert read_photo(path, longest=100).image.shape == (75, 100, 3)
    in_scans_per_colour(path, 10_000, 6_000)
    with pytest.raises(MediaError, match="10,000 x 6,000 pixels"):
        read_photo(path)


def test_what_is_no_photo(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty.jpg").touch()
    Image.fromarray(COLOURS).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    Image.fromarray(COLOURS).save(tmp_path / "a.ico")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tiff")
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "deep.tiff")
    for name, reason in [
        ("text.jpg", "cannot be read as a photo"),
        ("empty.jpg", "is empty"),
        ("half.png", "cannot be read as a photo"),
        ("a.ico", "cannot be read as a photo"),
        ("none.jpg", "does not exist"),
        ("float.tiff", "floating point"),
        ("deep.tiff", "32 bits"),
        ("", "is a folder"),
    ]:
        with pytest.raises(MediaError, match=reason) as caught:
            read_photo(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_photos_are_not_run(tmp_path):
    """Pillow would give PostScript to another program."""
    (tmp_path / "a.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(MediaError, match="cannot be read as a photo"):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.ppm"])
def test_damaged_files_end_in_a_photo_or_a_media_error(tmp_path, name):
    generator = np.random.default_rng(1)
    Image.fromarray(generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    path = tmp_path / f"b{Path(name).suffix}"
    for _ in range(150):
        damaged = bytearray(content[: generator.choice([len(content) // 2, len(content)])])
        for place in generator.integers(min(len(damaged), 400), size=3):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            frame = read_photo(path)
        except MediaError:
            continue
        assert frame.image.ndim == 3
        assert max(frame.image.shape[:2]) <= 640


@pytest.mark.skipif("EMOTIWAVE_DATA" not in os.environ, reason="EMOTIWAVE_DATA does not name the folder of real data")
def test_real_faces():
    paths = list(islice(Path(os.environ["EMOTIWAVE_DATA"], "fer2013", "test").rglob("*.jpg"), 50))
    assert len(paths) == 50
    assert {read_photo(path).image.shape for path in paths} == {(48, 48, 3)}
