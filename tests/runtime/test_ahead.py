from __future__ import annotations

import threading
import time

import pytest
import torch

from leadline.runtime.ahead import ahead, in_parallel


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


def test_several_at_a_time_come_in_order():
    busy, most, lock = 0, 0, threading.Lock()

    def slow(number):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.002 * (number % 3))
        with lock:
            busy -= 1
        return number * number

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert list(in_parallel(slow, range(40))) == [number * number for number in range(40)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert 2 <= most <= 3


@pytest.mark.parametrize("where", ["function", "items"])
def test_results_before_what_goes_wrong_are_not_lost(where):
    def items():
        yield from range(5)
        if where == "items":
            raise KeyError("broken")
        yield from range(5, 50)

    def function(number):
        if number == 5:
            raise KeyError("broken")
        return number

    found = []
    with pytest.raises(KeyError, match="broken"):
        found.extend(in_parallel(function, items()))
    assert found == [0, 1, 2, 3, 4]


def test_who_stops_early_takes_no_more_and_closes_what_it_took_from():
    taken, closed = [], []

    def items():
        try:
            for number in range(10**9):
                taken.append(number)
                yield number
        finally:
            closed.append(True)

    stream = in_parallel(abs, items())
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    stream.close()
    assert len(taken) <= 3 + 2 * torch.get_num_threads() + 1
    assert closed == [True]
