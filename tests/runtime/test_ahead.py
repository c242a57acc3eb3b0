from __future__ import annotations

import threading
import time

import pytest

from leadline.runtime.ahead import ahead


def test_items_come_in_order_from_a_thread_of_their_own():
    names = set()

    def items():
        for number in range(50):
            names.add(threading.current_thread().name)
            yield number

    assert list(ahead(items(), 3)) == list(range(50))
    assert threading.current_thread().name not in names
    assert len(names) == 1


def test_no_more_than_asked_for_are_taken_ahead():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    stream = ahead(items(), 2)
    assert next(stream) == 0
    time.sleep(0.3)
    assert len(taken) <= 4  # one given, two waiting, one in hand
    stream.close()
    before = len(taken)
    time.sleep(0.3)
    assert len(taken) == before


def test_what_goes_wrong_is_raised_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("broken")

    stream = ahead(items())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="broken"):
        next(stream)


def test_stages_may_follow_one_another_and_the_last_may_stop_early():
    stream = ahead((x + 1 for x in ahead(iter(range(10**9)), 2)), 2)
    assert [next(stream) for _ in range(5)] == [1, 2, 3, 4, 5]
    stream.close()


def test_what_is_taken_from_is_closed():
    closed = []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    stream = ahead(ahead(items(), 1), 1)
    assert next(stream) == 0
    stream.close()
    assert closed == [True]
