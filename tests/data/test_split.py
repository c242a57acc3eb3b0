from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.data.split import Holdout
from leadline.errors import ConfigError


def test_every_third_block_of_forty_with_gaps_of_five():
    train, kept = Holdout(every=3, block=40, gap=5).split(480)
    assert kept == [index for index in range(480) if index // 40 % 3 == 2]
    assert set(train).isdisjoint(kept)
    assert min(abs(a - b) for a in train for b in kept) == 6
    assert len(train) == 480 - 160 - 4 * 5 - 3 * 5


@given(st.integers(1, 400), st.integers(2, 8), st.integers(0, 20), st.integers(-1, 4))
def test_nothing_is_trained_on_and_judged(count, every, block, gap):
    try:
        train, kept = Holdout(every, block, gap).split(count)
    except ConfigError:
        return
    assert train
    assert set(train).isdisjoint(kept)
    assert all(0 <= index < count for index in train + kept)


def test_nothing_kept_apart():
    assert Holdout(every=0).split(3) == ([0, 1, 2], [])


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="at least 2"):
        Holdout(every=1).split(10)
    with pytest.raises(ConfigError, match="leaves none"):
        Holdout(every=2, block=1, gap=1).split(6)
