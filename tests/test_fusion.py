"""Evidence put together: by the formula, exactly nothing of what is absent, and robust over pieces."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import trim_mean

from emotiwave.analysis import Contributions
from emotiwave.explanation.shapley import attributable_scores
from emotiwave.recognizer.fusion import OVERLAP, PRIOR, RELIABILITY, Fusion, contributions_of
from emotiwave.recognizer.reading import Reading, trimmed_mean
from emotiwave.signals import Usability

ROOT = Path(__file__).parents[1]
NAMES = ("a", "b", "c")
SHARES = np.array([0.5, 0.3, 0.2])
FUSION = Fusion(NAMES, SHARES, overlap=0.5)


def contributions(evidence: dict[str, np.ndarray], reliability: dict[str, float]) -> Contributions:
    each = FUSION.each_subset(evidence, reliability)
    scores = {some: attributable_scores(values, "categorical") for some, values in each.items()}
    return contributions_of(scores, NAMES, "log_odds")


ONE, OTHER = np.array([1.0, -1.0, 0.0]), np.array([0.5, 0.0, 2.0])


def test_two_modalities_by_hand() -> None:
    # 1 / (1 + 0.5 * 0.4) and 0.4 / (1 + 0.5 * 1)
    expected = log_softmax(np.log(SHARES) + ONE / 1.2 + 0.4 * OTHER / 1.5)
    found = FUSION.log_posterior({"x": ONE, "y": OTHER}, {"x": 1.0, "y": 0.4})
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_three_that_are_as_reliable_have_the_gain_of_equal_correlation() -> None:
    evidence = {"x": ONE, "y": OTHER, "z": ONE}
    expected = log_softmax(np.log(SHARES) + (2 * ONE + OTHER) / (1 + 2 * 0.5))
    np.testing.assert_allclose(FUSION.log_posterior(evidence, dict.fromkeys("xyz", 1.0)), expected, rtol=1e-12)


def test_what_is_absent_or_worth_nothing_adds_exactly_nothing() -> None:
    alone = FUSION.log_posterior({"x": ONE}, {"x": 0.7})
    absent = FUSION.log_posterior({"x": ONE, "y": np.full(3, np.nan)}, {"x": 0.7, "y": 1.0})
    worthless = FUSION.log_posterior({"x": ONE, "y": 100 * OTHER}, {"x": 0.7, "y": 0.0})
    assert alone.tolist() == absent.tolist() == worthless.tolist()
    np.testing.assert_allclose(np.exp(FUSION.log_posterior({}, {})), SHARES, rtol=1e-12)


def test_stretches_are_fused_each_with_what_it_has() -> None:
    some = np.stack([ONE, np.full(3, np.nan), ONE])
    other = np.stack([OTHER, OTHER, np.full(3, np.nan)])
    worth = {"x": 1.0, "y": 0.4}
    found = FUSION.log_posterior({"x": some, "y": other}, worth)
    alone = [FUSION.log_posterior(one, worth) for one in ({"x": ONE, "y": OTHER}, {"y": OTHER}, {"x": ONE})]
    np.testing.assert_allclose(found, np.stack(alone), rtol=1e-12)


@given(st.lists(st.lists(st.floats(-8, 8), min_size=3, max_size=3), min_size=1, max_size=3), st.floats(0, 1))
def test_base_and_contributions_are_the_log_odds(rows: list[list[float]], worth: float) -> None:
    evidence = {name: np.array(row) for name, row in zip("xyz", rows, strict=False)}
    reliability = dict.fromkeys(evidence, worth)
    found = contributions(evidence, reliability)
    answer = np.exp(FUSION.log_posterior(evidence, reliability))
    for index, name in enumerate(NAMES):
        others = np.delete(answer, index).sum()
        assert found.total(name) == pytest.approx(np.log(answer[index] / others), abs=1e-8)
        assert found.base[name] == pytest.approx(np.log(SHARES[index] / (1 - SHARES[index])))
    assert set(found.modalities) == set(evidence)


def test_a_lone_modality_contributes_what_it_changes() -> None:
    found = contributions({"x": ONE}, {"x": 1.0})
    assert isinstance(found, Contributions)
    answer = np.exp(log_softmax(np.log(SHARES) + ONE))
    odds = np.log(answer / (1 - answer)) - np.log(SHARES / (1 - SHARES))
    np.testing.assert_allclose(list(found.modalities["x"].values()), odds, rtol=1e-9)


def test_constants_are_those_that_were_measured() -> None:
    measured = json.loads((ROOT / "results" / "fusion.json").read_text())
    assert round(measured["overlap"]["overlap"], 2) == OVERLAP
    assert set(RELIABILITY.values()) == {round(measured["reliability"]["reliability"], 2)}
    assert {name: round(share, 3) for name, share in measured["prior"]["prior"].items()} == PRIOR
    assert measured["overlap"]["nll_discounted_less_product"]["high"] < 0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40).filter(lambda some: len(some) % 5 == 0))
def test_the_trimmed_mean_of_equal_weights_is_scipys(values: list[float]) -> None:
    rows = np.array(values)[:, None]
    assert trimmed_mean(rows, np.ones(len(rows)), 0.2)[0] == pytest.approx(trim_mean(values, 0.2), abs=1e-9)


def test_the_trimmed_mean_by_weights() -> None:
    values = np.array([[0.0], [10.0], [100.0]])
    # shares .5, .3, .2: between .2 and .8 lie .3 of the first and .3 of the second
    assert trimmed_mean(values, np.array([5.0, 3.0, 2.0]), 0.2)[0] == pytest.approx(5.0)
    assert trimmed_mean(values, np.array([5.0, 3.0, 2.0]), 0.0)[0] == pytest.approx(23.0)
    assert trimmed_mean(values[:1], np.array([4.0]), 0.2)[0] == 0.0


def reading(evidence: list[list[float]], intervals: list[list[float]]) -> Reading:
    times = np.array(intervals)
    usability = Usability("audio", 1.0, {}, ignored=False)
    return Reading("audio", np.array(evidence), times, np.ones(len(times)), usability)


def test_stretches_get_the_pieces_in_them_by_how_long_they_are_in_it() -> None:
    found = reading([[0.0], [6.0]], [[0.0, 2.5], [2.5, 4.0]]).between(np.array([0.0, 1.0, 2.0, 3.0, 5.0, 6.0]))
    np.testing.assert_allclose(found[:4, 0], [0.0, 0.0, 3.0, 6.0])
    assert np.isnan(found[4, 0])


@given(
    st.lists(st.tuples(st.floats(-2, 9), st.floats(0.01, 5)), min_size=1, max_size=6),
    st.lists(st.floats(0.1, 3), min_size=1, max_size=5),
)
def test_stretches_are_those_of_a_plain_sum(pieces: list[tuple[float, float]], lengths: list[float]) -> None:
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    found = reading([[float(k)] for k in range(len(pieces))], [[a, a + b] for a, b in pieces]).between(edges)
    for k, (low, high) in enumerate(pairwise(edges)):
        inside = [max(0.0, min(high, a + b) - max(low, a)) for a, b in pieces]
        if sum(inside) > 1e-9:
            assert found[k, 0] == pytest.approx(np.average(range(len(pieces)), weights=inside), abs=1e-6)
        elif sum(inside) == 0:
            assert np.isnan(found[k, 0])


def test_what_lies_beyond_the_edges_is_left_out_and_without_times_nothing_is_known() -> None:
    late = reading([[1.0]], [[7.0, 9.0]]).between(np.array([0.0, 1.0, 2.0]))
    assert np.isnan(late).all()
    untimed = reading([[1.0]], [[np.nan, np.nan]])
    assert not untimed.is_timed
    assert np.isnan(untimed.between(np.array([0.0, 1.0]))).all()
    assert untimed.pool()[0] == 0.0  # of one class alone there is nothing to tell apart
    shifted = reading([[1.0, 3.0], [7.0, 9.0]], [[0.0, 1.0], [1.0, 2.0]])  # whatever both classes share
    assert shifted.pool().tolist() == [-1.0, 1.0]
