"""Items made ahead of their use."""

import threading
import time
from collections.abc import Iterator

import pytest

from emotiwave.media.ahead import ahead


def numbers(n: int, made: list[int] | None = None, fails_at: int | None = None) -> Iterator[int]:
    try:
        for k in range(n):
            if k == fails_at:
                raise ZeroDivisionError("planted")
            if made is not None:
                made.append(k)
            yield k
    finally:
        if made is not None:
            made.append(-1)  # closed


def test_all_items_come_in_order():
    with ahead(numbers(100), 3) as items:
        assert list(items) == list(range(100))


def test_no_more_are_made_than_asked_for():
    made: list[int] = []
    with ahead(numbers(100, made), 3) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert 4 <= len(made) <= 5  # one taken, three waiting, perhaps one in hand
    assert made[-1] == -1


def test_an_error_is_raised_where_the_item_would_be():
    with ahead(numbers(9, fails_at=4), 2) as items:
        taken = [next(items) for _ in range(4)]
        with pytest.raises(ZeroDivisionError):
            next(items)
    assert taken == [0, 1, 2, 3]


def test_the_thread_ends_with_the_context():
    before = threading.active_count()
    with ahead(numbers(10**9), 2) as items:
        assert next(items) == 0
    assert threading.active_count() == before
