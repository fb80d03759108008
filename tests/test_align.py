"""Frames become frames of the store: which are observed, which go where, and what several become."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emotiwave.features.align import (
    Collapse,
    Plan,
    collapse,
    observed_frames,
    plan_align,
    plan_each,
    plan_pool,
    pool,
    then,
)
from emotiwave.sequences import FeatureSequence

NAN, INF = np.nan, np.inf


def times(*pairs: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def regular(n: int, rate: float = 1.0, start: float = 0.0) -> NDArray[np.float64]:
    return start + np.stack([np.arange(n), np.arange(1, n + 1)], axis=1) / rate


def at(*midpoints: float) -> NDArray[np.float64]:
    """Frames of no length, to say exactly where their middle is."""
    return np.stack([midpoints, midpoints], axis=1).astype(np.float64)


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)[:, None]


def pairs(plan: Plan) -> list[tuple[int, int]]:
    return sorted(zip(plan.frames.tolist(), plan.targets.tolist(), strict=True))


# --- what is observed


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ([1.0, 2.0, 3.0], True),
        ([0.0, 0.0, 1e-45], True),  # the smallest float32 above zero
        ([0.0, 0.0, 0.0], False),
        ([-0.0, 0.0, -0.0], False),
        ([1.0, -1.0, 0.0], True),  # the sum is zero, the frame is not
        ([3e38, 3e38, 1.0], True),  # the sum overflows, the values do not
        ([-3e38, -3e38, 1.0], True),
        ([1.0, NAN, 2.0], False),
        ([0.0, NAN, 0.0], False),
        ([1.0, INF, 2.0], False),
        ([1.0, -INF, 2.0], False),
        ([INF, -INF, 2.0], False),
    ],
)
def test_a_frame_is_observed_if_all_of_it_is_finite_and_some_of_it_not_zero(frame: list[float], expected: bool) -> None:
    values = np.array([[1, 1, 1], frame, [0, 0, 0]], dtype=np.float32)
    assert observed_frames(values).tolist() == [True, expected, False]


def test_of_no_frames_none_is_observed() -> None:
    assert observed_frames(np.empty((0, 3), np.float32)).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, -1.0, 3e38, NAN, INF, -INF]), min_size=3, max_size=3), max_size=6))
def test_observed_frames_are_those_of_the_definition(rows: list[list[float]]) -> None:
    values = np.array(rows, dtype=np.float32).reshape(-1, 3)
    expected = [all(np.isfinite(v) for v in row) and any(v != 0 for v in row) for row in rows]
    assert observed_frames(values).tolist() == expected


# --- pooling to a budget


def test_few_frames_stay_as_they_are() -> None:
    plan = plan_pool(regular(5), 5)
    assert pairs(plan) == [(i, i) for i in range(5)]
    np.testing.assert_array_equal(plan.intervals, regular(5))


def test_regular_frames_are_pooled_in_equal_numbers() -> None:
    plan = plan_pool(regular(6), 3)
    assert pairs(plan) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]
    assert plan.intervals.tolist() == [[0, 2], [2, 4], [4, 6]]


def test_spans_have_equal_length_in_time_not_equal_numbers_of_frames() -> None:
    """Middles 0, 1, 2, 3 and 10 in two spans of 5 s: four frames and one."""
    plan = plan_pool(at(0, 1, 2, 3, 10), 2)
    assert pairs(plan) == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1)]


def test_a_span_in_a_gap_has_no_frames_and_keeps_its_place_in_time() -> None:
    """Middles from 0 to 10 in spans of 2.5 s; nothing lies between 2.5 and 7.5."""
    plan = plan_pool(at(0, 1, 2, 8, 9, 10), 4)
    assert pairs(plan) == [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (5, 3)]
    assert plan.intervals.tolist() == [[0, 2], [2.5, 5], [5, 7.5], [8, 10]]


@pytest.mark.parametrize("where", [0.0, NAN, INF])
def test_without_times_spans_have_equal_numbers_of_frames(where: float) -> None:
    plan = plan_pool(np.full((7, 2), where), 3)
    # steps 0 to 6 in thirds: 0 1 | 2 3 | 4 5 6
    assert pairs(plan) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]


def test_a_single_time_that_is_unknown_does_no_harm() -> None:
    intervals = regular(7)
    intervals[3] = NAN
    assert pairs(plan_pool(intervals, 3)) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)]


def test_frames_inside_others_keep_the_order_of_spans() -> None:
    """A short word within a long one has the earlier middle, though it began later."""
    plan = plan_pool(times((0, 10), (1, 2), (10, 11), (11, 12)), 2)
    assert plan.targets.tolist() == sorted(plan.targets.tolist())
    assert pairs(plan) == [(0, 0), (1, 0), (2, 1), (3, 1)]  # middles 5, 5 (not 1.5), 10.5, 11.5 in halves of 3.25


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=30),
    most=st.integers(1, 12),
    how=st.sampled_from(["mean", "max"]),
    holes=st.sets(st.integers(0, 29)),
)
def test_pool_equals_a_loop_over_spans(gaps: list[float], most: int, how: Collapse, holes: set[int]) -> None:
    middle = np.cumsum(gaps)
    intervals = np.stack([middle - 0.001, middle + 0.001], axis=1)
    values = np.random.default_rng(len(gaps)).standard_normal((len(gaps), 2)).astype(np.float32)
    values[[i for i in holes if i < len(gaps)], 1] = NAN
    pooled = pool(FeatureSequence(values, intervals), most, how)
    if len(gaps) <= most:
        assert pooled.values is values
        return
    middle = intervals.mean(axis=1)
    share = (middle - middle[0]) / (middle[-1] - middle[0]) * most
    for k in range(most):
        inside = [i for i in range(len(gaps)) if k <= share[i] < k + 1 or (k == most - 1 and share[i] >= most)]
        if any(abs(share[i] - round(share[i])) < 1e-9 for i in range(1, len(gaps) - 1)):
            return  # on a border, where rounding decides
        usable = [i for i in inside if np.isfinite(values[i]).all()]
        if not usable:
            assert np.isnan(pooled.values[k]).all()
            continue
        expected = values[usable].mean(axis=0) if how == "mean" else values[usable].max(axis=0)
        np.testing.assert_allclose(pooled.values[k], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(pooled.intervals[k], [intervals[inside[0], 0], intervals[inside[-1], 1]])


def test_pool_by_hand() -> None:
    sequence = FeatureSequence(column(1, 3, NAN, 7, 0, NAN), regular(6))
    pooled = pool(sequence, 3)
    np.testing.assert_array_equal(pooled.values, column(2, 7, NAN))  # the zero is no measurement either
    np.testing.assert_array_equal(pool(sequence, 1, "max").values, column(7))


# --- alignment to words


def test_a_frame_belongs_to_the_word_that_its_middle_lies_in() -> None:
    words = times((0, 1), (1, 2), (3, 4))
    frames = times((0.8, 1.1), (0.9, 1.2), (1.5, 1.7), (2.4, 2.8), (2.8, 3.3), (3.9, 4.2))
    # middles 0.95, 1.05, 1.6, 2.6 (between words), 3.05, 4.05 (after the last)
    plan = plan_align(frames, words)
    assert pairs(plan) == [(0, 0), (1, 1), (2, 1), (4, 2)]
    assert plan.intervals is words


def test_a_middle_on_a_border_belongs_to_the_word_that_begins_there() -> None:
    assert pairs(plan_align(at(0, 1, 2), times((0, 1), (1, 2)))) == [(0, 0), (1, 1)]


def test_frames_before_and_after_all_words_belong_to_none() -> None:
    assert pairs(plan_align(at(-1, 0.5, 9), times((0, 1)))) == [(1, 0)]


def test_where_words_overlap_the_later_one_counts() -> None:
    assert pairs(plan_align(at(0.5, 1.5, 2.5), times((0, 2), (1, 3)))) == [(0, 0), (1, 1), (2, 1)]


def test_a_word_inside_another_takes_its_frames_and_the_outer_word_has_the_rest() -> None:
    plan = plan_align(at(0.5, 2.5, 5, 8.5, 9.5, 10.5), times((0, 10), (2, 3), (8, 9)))
    assert pairs(plan) == [(0, 0), (1, 1), (2, 0), (3, 2), (4, 0)]
    assert plan.targets.tolist() == [0, 0, 0, 1, 2], "ascending, as `collapse` needs"


def test_a_word_of_no_length_takes_nothing_from_the_one_around_it() -> None:
    assert pairs(plan_align(at(1, 2, 2.5), times((0, 3), (2, 2)))) == [(0, 0), (1, 0), (2, 0)]


def test_without_words_nothing_is_left() -> None:
    plan = plan_align(regular(3), times())
    assert (len(plan.frames), len(plan.targets), plan.intervals.shape) == (0, 0, (0, 2))


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=8),
    middles=st.lists(st.integers(-2, 60), max_size=12),
)
def test_alignment_equals_a_search_through_all_words(words: list[tuple[int, int]], middles: list[int]) -> None:
    reference = times(*sorted(((begin, begin + length) for begin, length in words), key=lambda word: word[0]))
    moments = sorted(m / 2 for m in middles)
    expected = []
    for frame, moment in enumerate(moments):
        inside = [k for k, (begin, end) in enumerate(reference) if begin <= moment < end]
        expected += [(frame, max(inside))] if inside else []
    plan = plan_align(at(*moments) if moments else times(), reference)
    assert pairs(plan) == expected
    assert (np.diff(plan.targets) >= 0).all()


# --- one plan after another, and carrying them out


def test_one_plan_after_another_by_hand() -> None:
    first = Plan(np.array([0, 1, 2, 4, 5]), np.array([0, 0, 1, 2, 3]), regular(4))
    second = Plan(np.array([0, 1, 3]), np.array([0, 0, 1]), regular(2))
    both = then(first, second)
    assert pairs(both) == [(0, 0), (1, 0), (2, 0), (5, 1)]  # frame 4 went into 2, which goes nowhere
    assert both.intervals is second.intervals


def test_collapse_by_hand() -> None:
    values = column(1, 2, 6, -8, 100)
    observed = np.array([True, True, True, True, False])
    one = Plan(np.array([0, 1, 2, 4]), np.array([0, 0, 2, 2]), regular(3))
    two = Plan(np.array([1, 3]), np.array([0, 0]), regular(1))
    np.testing.assert_array_equal(collapse(values, observed, [one, two]), column(1.5, NAN, 6, -3))
    np.testing.assert_array_equal(collapse(values, observed, [one, two], "max"), column(2, NAN, 6, 2))


def test_an_unobserved_frame_leaves_no_trace_even_if_it_is_infinite() -> None:
    values = np.array([[1, 2], [INF, NAN], [3, 4]], dtype=np.float32)
    plan = Plan(np.arange(3), np.zeros(3, np.int64), regular(1))
    assert collapse(values, observed_frames(values), [plan]).tolist() == [[2, 3]]


@pytest.mark.parametrize("how", ["mean", "max"])
def test_collapse_of_nothing(how: Collapse) -> None:
    nothing = np.empty((0, 3), np.float32)
    none = np.empty(0, dtype=bool)
    assert collapse(nothing, none, [], how).shape == (0, 3)
    assert collapse(nothing, none, [plan_each(times())], how).shape == (0, 3)
    padded = collapse(nothing, none, [Plan(np.empty(0, np.int64), np.empty(0, np.int64), regular(2))], how)
    assert padded.shape == (2, 3)
    assert np.isnan(padded).all()


@settings(max_examples=60, deadline=None)
@given(
    targets=st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=3),
    unobserved=st.sets(st.integers(0, 7)),
    how=st.sampled_from(["mean", "max"]),
)
def test_collapse_equals_a_loop(targets: list[list[int]], unobserved: set[int], how: Collapse) -> None:
    values = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    observed = np.array([i not in unobserved for i in range(8)])
    plans = [Plan(np.arange(len(of)), np.array(sorted(of), dtype=np.int64), regular(5)) for of in targets]
    expected = []
    for plan in plans:
        for target in range(5):
            rows = [f for f, t in zip(plan.frames, plan.targets, strict=True) if t == target and observed[f]]
            expected.append([NAN] * 3 if not rows else getattr(np, how)(values[rows].astype(np.float64), axis=0))
    found = collapse(values, observed, plans, how)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected).reshape(-1, 3), rtol=1e-5, atol=1e-6)
