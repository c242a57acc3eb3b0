from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.runtime.timing import interleaved, measure, percentiles


def test_rounds_come_back_to_everything_and_warm_calls_do_not_count():
    calls: list[str] = []

    def run(name: str) -> int:
        calls.append(name)
        return len(calls)

    given_ = interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=2, iterations=2)
    assert "".join(calls) == "aaabbbaaabbb"
    assert given_ == {"a": [2, 3, 8, 9], "b": [5, 6, 11, 12]}


def test_times_are_those_of_calls():
    times = measure({"nothing": lambda: None}, rounds=3, iterations=4)["nothing"]
    assert len(times) == 12
    assert min(times) >= 0


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_in_order(times):
    found = list(percentiles(times).values())
    assert found[0] == min(times)
    assert found == sorted(found)
    assert found[-1] <= max(times)


def test_percentiles_of_a_hundred():
    assert percentiles(np.arange(101.0)) == pytest.approx({"min": 0, "p50": 50, "p90": 90, "p99": 99})
