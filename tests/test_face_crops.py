import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotiwave.errors import MediaError
from emotiwave.faces.crops import cut_face, cut_square, fit_face
from emotiwave.faces.face import Face

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (60, 80, 3), np.uint8)


def blobs(points, shape=(200, 300), width=4.0):
    """A picture of bright round blobs with their middles at points, where the corner of the picture is (0, 0)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    light = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2)) for x, y in points)
    return np.repeat((255 * np.clip(light, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def middle_of(light):
    """Where the light of a part of a picture has its middle."""
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    weight = light.astype(float)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def test_a_square_of_the_same_size_is_copied():
    square = cut_square(NOISE, (30, 25), 20, 0.0, side=20, is_grey=False)
    assert (square == NOISE[15:35, 20:40]).all()


def test_shrinking_takes_the_mean_of_pixels():
    square = cut_square(NOISE, (40, 30), 60, 0.0, side=20, is_grey=False)
    expected = NOISE[:, 10:70].reshape(20, 3, 20, 3, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(square.astype(float) - expected).max() <= 0.5


def test_shrinking_much_and_turning_keeps_the_mean_without_moire():
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[:, ::2] = 200  # stripes that sampling would turn into others
    for angle in (0.0, 17.0):
        square = cut_square(image, (600, 600), 800, angle, side=48, is_grey=True)
        assert np.abs(square.astype(float) - 100).max() < 12


def test_a_quarter_turn_turns_the_pixels():
    square = cut_square(NOISE, (30, 25), 20, 90.0, side=20, is_grey=False)
    assert (square == np.rot90(NOISE[15:35, 20:40])).all()  # what leaned to the right stands up


def test_outside_the_picture_the_border_goes_on():
    image = np.full((40, 40, 3), 90, np.uint8)
    image[:, 0] = 200
    square = cut_square(image, (0, 20), 20, 0.0, side=20, is_grey=False)
    assert (square[:, :10] == 200).all()
    assert (square[:, 12:] == 90).all()
    far = cut_square(image, (-500, -500), 20, 0.0, side=20, is_grey=False)
    assert (far == 200).all()


@pytest.mark.parametrize("angle", [-40.0, -10.0, 0.0, 25.0])
@pytest.mark.parametrize("side", [48, 224])
@pytest.mark.parametrize("size", [60.0, 150.0])
def test_eyes_come_to_lie_level_and_the_face_in_the_middle(angle, side, size):
    centre = np.array([150.0, 100.0])
    turn = math.radians(angle)
    along = np.array([math.cos(turn), math.sin(turn)])
    up = np.array([math.sin(turn), -math.cos(turn)])
    right, left = centre - along * size / 4 + up * size / 8, centre + along * size / 4 + up * size / 8
    image = blobs([right, left], width=size / 20)
    face = Face(*(centre - size / 2), size, size, 1.0, np.array([right, left]))
    square = cut_face(image, face, side=side, is_grey=True, margin=0.1, align=True)[..., 0]
    seen_right = middle_of(square[:, : side // 2])
    seen_left = middle_of(square[:, side // 2 :]) + np.array([side / 2, 0])
    per_pixel = side / (size * 1.2)
    assert seen_right == pytest.approx([side / 2 - size / 4 * per_pixel, side / 2 - size / 8 * per_pixel], abs=0.6)
    assert seen_left == pytest.approx([side / 2 + size / 4 * per_pixel, side / 2 - size / 8 * per_pixel], abs=0.6)
    unturned = cut_face(image, face, side=side, is_grey=True, margin=0.1, align=False)[..., 0]
    seen = middle_of(unturned[:, side // 2 :])[1] - middle_of(unturned[:, : side // 2])[1]
    assert seen == pytest.approx(size / 2 * math.sin(turn) * per_pixel, abs=0.8)


def test_landmarks_do_not_change_the_scale():
    image = blobs([(100, 90), (140, 90)])
    plain = Face(80, 60, 80, 90, 1.0)
    marked = Face(80, 60, 80, 90, 1.0, np.array([[100.0, 90.0], [140.0, 90.0]]))
    cuts = [cut_face(image, face, side=96, is_grey=False, margin=0.2, align=True) for face in (plain, marked)]
    assert (cuts[0] == cuts[1]).all()


def test_grey_is_one_channel_of_luma():
    image = np.zeros((20, 20, 3), np.uint8)
    image[...] = (200, 100, 30)
    square = fit_face(image, 10, True)
    assert square.shape == (10, 10, 1)
    assert (square == round(0.299 * 200 + 0.587 * 100 + 0.114 * 30)).all()
    assert fit_face(image, 10, False).shape == (10, 10, 3)


def test_a_grey_face_of_48_pixels_stays_as_it_is():
    face = np.repeat(RNG.integers(0, 256, (48, 48, 1), np.uint8), 3, axis=2)
    assert (fit_face(face, 48, True)[..., 0] == face[..., 0]).all()


def test_a_whole_face_that_is_not_square_keeps_its_proportions():
    image = np.zeros((40, 20, 3), np.uint8)
    image[:, 10:] = 255
    square = fit_face(image, 40, True)[..., 0]
    assert (square[:, :20] == 0).all()
    assert (square[:, 20:] == 255).all()


def test_enlarging_interpolates():
    image = np.repeat(np.linspace(0, 250, 26).astype(np.uint8)[None, :, None], 26, axis=0).repeat(3, axis=2)
    square = cut_square(image, (13, 13), 10, 0.0, side=100, is_grey=True)[..., 0].astype(int)
    assert np.abs(square[0] - np.linspace(75.5, 174.5, 100)).max() <= 1


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    x=st.floats(-1e5, 1e5),
    y=st.floats(-1e5, 1e5),
    edge=st.floats(1e-3, 1e5),
    angle=st.floats(-360, 360),
)
def test_any_square_of_any_picture(height, width, x, y, edge, angle):
    image = NOISE[:1].repeat(height, axis=0)[:, :1].repeat(width, axis=1)
    square = cut_square(image, (x, y), edge, angle, side=16, is_grey=False)
    assert (square == image[0, 0]).all()


def test_a_very_long_picture():
    image = np.full((40_000, 3, 3), 7, np.uint8)
    assert (fit_face(image, 48, False) == 7).all()


def test_what_is_no_picture_is_refused():
    for image in (np.zeros((48, 48), np.uint8), np.zeros((48, 48, 3)), np.zeros((48, 0, 3), np.uint8)):
        with pytest.raises(MediaError, match="uint8 array of RGB"):
            fit_face(image, 48, True)
