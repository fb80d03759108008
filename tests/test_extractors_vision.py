"""The extractor of faces as they are."""

import numpy as np
import pytest

from emotiwave.errors import FeatureError
from emotiwave.features.extractors.face import Face, FaceCropSettings


def intervals(n: int) -> np.ndarray:
    return np.stack([np.arange(n), np.arange(n) + 1.0], axis=1)


@pytest.mark.parametrize("is_grey", [True, False])
def test_pictures_come_back(is_grey):
    extractor = Face(FaceCropSettings(side=10, is_grey=is_grey))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 10, 10, 1 if is_grey else 3), np.uint8)
    sequence = extractor(pictures, intervals(4))
    assert sequence.values.shape == (4, 100 if is_grey else 300)
    assert sequence.values[2, 0] == np.float32(pictures[2, 0, 0, 0]) / np.float32(255)
    back = np.round(sequence.values.reshape(pictures.shape) * 255).astype(np.uint8)
    np.testing.assert_array_equal(back, pictures)
    np.testing.assert_array_equal(sequence.intervals, intervals(4))


def test_default_is_grey_48():
    extractor = Face(FaceCropSettings())
    assert (extractor.side, extractor.is_grey, extractor.size, extractor.pictures) == (48, True, 2304, "faces")


def test_photos_have_no_times():
    times = np.full((1, 2), np.nan)
    sequence = Face(FaceCropSettings(side=8))(np.full((1, 8, 8, 1), 255, np.uint8), times)
    assert (sequence.values == 1).all()
    assert np.isnan(sequence.intervals).all()


@pytest.mark.parametrize(
    ("pictures", "times"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), intervals(2)),
        (np.zeros((2, 8, 8), np.uint8), intervals(2)),
        (np.zeros((2, 8, 9, 1), np.uint8), intervals(2)),
        (np.zeros((2, 8, 8, 1), np.float32), intervals(2)),
        (np.zeros((2, 8, 8, 1), np.uint8), intervals(3)),
    ],
)
def test_other_pictures_are_refused(pictures, times):
    with pytest.raises(FeatureError, match=r"expected faces of shape \(frames, 8, 8, 1\) uint8"):
        Face(FaceCropSettings(side=8))(pictures, times)
