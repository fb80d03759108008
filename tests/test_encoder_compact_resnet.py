"""The compact residual network: what of a picture counts, and what training does to pictures."""

import numpy as np
import pytest
import torch

from emotiwave.errors import ConfigError, FeatureError
from emotiwave.models.encoders import build_encoder, choose_encoder
from emotiwave.models.encoders.compact_resnet import CompactResnet, prepare, spoil, standardise
from emotiwave.models.encoders.encoder import Origin
from emotiwave.sequences import ComputationalSequence
from tests.tiny_encoders import one_thread

one_thread = pytest.fixture(scope="module", autouse=True)(one_thread)


def build(size: int = 400, **keys: object) -> CompactResnet:
    torch.manual_seed(0)
    encoder = build_encoder(
        choose_encoder("m", {"name": "compact_resnet", "widths": [8, 16], **keys}), Origin("m", size)
    )
    assert isinstance(encoder, CompactResnet)
    return encoder.eval()


def pictures(n: int = 3, side: int = 20, channels: int = 1) -> torch.Tensor:
    return 0.2 + 0.5 * torch.rand(n, 1, side * side * channels, generator=torch.Generator().manual_seed(1))


def answer(encoder: CompactResnet, values: torch.Tensor) -> torch.Tensor:
    return encoder(values, torch.ones(values.shape[:2], dtype=torch.bool))[0][:, 0]


def test_light_and_contrast_do_not_count() -> None:
    encoder, values = build(side=20), pictures()
    torch.testing.assert_close(answer(encoder, 0.4 * values + 0.3), answer(encoder, values), rtol=1e-3, atol=1e-4)


def test_a_black_picture_stays_finite() -> None:
    assert torch.isfinite(answer(build(), torch.zeros(2, 1, 400))).all()


def test_colours_count_by_their_brightness_alone() -> None:
    grey = pictures(side=20)
    torch.testing.assert_close(
        answer(build(1200), grey.repeat_interleave(3, dim=2)), answer(build(), grey), rtol=1e-4, atol=1e-5
    )
    red, green, blue = (prepare(torch.eye(3)[k].repeat(256)[None], 16).mean().item() for k in range(3))
    assert (red, green, blue) == pytest.approx((0.299, 0.587, 0.114))


def test_the_rows_of_a_picture_stay_rows() -> None:
    values = torch.zeros(1, 400)
    values[0, 3 * 20 + 17] = 1.0
    assert prepare(values, 20)[0, 0].nonzero().tolist() == [[3, 17]]


def test_a_mirror_image_answers_the_same() -> None:
    values = pictures()
    mirrored = values.unflatten(2, (20, 20)).flip(-1).flatten(2)
    torch.testing.assert_close(answer(build(), mirrored), answer(build(), values))
    plain = build(mirror=False)
    assert (answer(plain, mirrored) - answer(plain, values)).abs().max() > 1e-3


def test_standardised_pictures_have_mean_0_and_deviation_1() -> None:
    found = standardise(prepare(pictures()[:, 0], 20)).numpy()
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(1, 2, 3)), 1, rtol=1e-4)


def test_training_spoils_pictures_and_answering_does_not() -> None:
    encoder, values = build(dropout=0.0), pictures(8)
    torch.testing.assert_close(answer(encoder, values), answer(encoder, values), rtol=0, atol=0)
    encoder.train()
    torch.manual_seed(1)
    first, second = answer(encoder, values), answer(encoder, values)
    assert (first - second).abs().max() > 1e-3
    unspoilt = build(dropout=0.0, augment=False).train()
    torch.testing.assert_close(answer(unspoilt, values), answer(unspoilt, values))


def test_pictures_of_a_clip_are_spoilt_alike_and_others_otherwise() -> None:
    one = prepare(pictures(1)[:, 0], 20)
    torch.manual_seed(2)
    found = spoil(one.expand(4, -1, -1, -1), torch.tensor([0, 0, 1, 3]), 4)
    torch.testing.assert_close(found[0], found[1])
    assert (found[0] - found[2]).abs().max() > 0.05
    torch.manual_seed(2)
    without_the_second = spoil(one.expand(2, -1, -1, -1), torch.tensor([0, 3]), 4)
    torch.testing.assert_close(without_the_second, found[[0, 3]])


def test_a_single_picture_can_be_trained_on() -> None:
    encoder = build().train()
    before = encoder.network[1].running_mean.clone()
    answer(encoder, pictures(1)).sum().backward()
    torch.testing.assert_close(encoder.network[1].running_mean, before)  # no statistics of one picture
    assert encoder.network.training


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"s\*s or 3\*s\*s pixels; the data has 50 features"):
        build(50)
    frames = np.full((2, 400), 7.0, dtype=np.float32)
    sequence = ComputationalSequence(("a", "b"), frames, np.zeros((2, 2)), np.arange(3))
    with pytest.raises(FeatureError, match=r"values from 7 to 7; compact_resnet takes pixels from 0 to 1"):
        build().fit(sequence, ["a", "b"])
