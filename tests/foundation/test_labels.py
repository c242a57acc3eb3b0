from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.depth import Kind
from leadline.errors import InputError
from leadline.foundation.labels import LabelCache

SIZE = (6, 8)


def teacher(kind: str = "metric-depth", digest: str = "d") -> Any:
    return SimpleNamespace(kind=Kind.parse(kind), digest=digest)


def label(seed: int = 0, low: float = -3, high: float = 3) -> np.ndarray:
    return (10 ** np.random.default_rng(seed).uniform(low, high, SIZE)).astype(np.float32)


@pytest.mark.parametrize("power", [-30, -6, 0, 4, 30])
def test_depth_keeps_its_relative_precision_at_any_scale(tmp_path: Path, power: int) -> None:
    cache = LabelCache(tmp_path, teacher(), SIZE)
    expected = label() * np.float32(10.0**power)  # six decades within one map
    cache.put("ab12", expected)
    found = cache.get("ab12")
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@given(shift=st.floats(-1e4, 1e4), spread=st.floats(1e-2, 1e4), seed=st.integers(0, 99))
def test_affine_disparity_keeps_its_differences(
    tmp_path_factory: pytest.TempPathFactory, shift: float, spread: float, seed: int
) -> None:
    cache = LabelCache(tmp_path_factory.getbasetemp() / "affine", teacher("affine-invariant-disparity"), SIZE)
    expected = (shift + spread * np.random.default_rng(seed).random(SIZE)).astype(np.float32)
    cache.put("ab", expected)
    found = cache.get("ab")
    assert found is not None
    assert np.abs(found - expected).max() <= 1e-3 * spread + 1e-6 * abs(shift)


@pytest.mark.parametrize("kind", ["metric-depth", "affine-invariant-disparity"])
def test_invalid_pixels_survive(tmp_path: Path, kind: str) -> None:
    cache = LabelCache(tmp_path, teacher(kind), SIZE)
    holes = label()
    holes[0, :3] = [np.nan, np.inf, -np.inf]
    cache.put("a", holes)
    cache.put("b", np.full(SIZE, np.nan))
    cache.put("c", np.zeros(SIZE, np.float32))
    found = cache.get("a")
    assert found is not None
    np.testing.assert_array_equal(np.isnan(found), ~np.isfinite(holes))
    np.testing.assert_array_equal(cache.get("b"), np.full(SIZE, np.nan))
    np.testing.assert_array_equal(cache.get("c"), np.zeros(SIZE))


def test_keys_follow_content_teacher_size_and_frame(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    first.write_bytes(b"one")
    copy.write_bytes(b"one")
    other.write_bytes(b"two")
    cache = LabelCache(tmp_path, teacher(), SIZE)
    assert cache.key(first) == cache.key(copy)
    different = {
        cache.key(first),
        cache.key(other),
        cache.key(first, 0),
        cache.key(first, 1),
        LabelCache(tmp_path, teacher(digest="e"), SIZE).key(first),
        LabelCache(tmp_path, teacher(), (8, 6)).key(first),
    }
    assert len(different) == 6
    before = cache.key(first)
    first.write_bytes(b"changed")
    assert cache.key(first) != before
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        cache.key(tmp_path / "none.png")


def test_a_damaged_file_is_no_label_and_is_replaced(tmp_path: Path) -> None:
    cache = LabelCache(tmp_path, teacher(), SIZE)
    assert cache.get("abcdef") is None
    cache.put("abcdef", label())
    (file,) = tmp_path.rglob("*.npz")
    assert file == tmp_path / "ab" / "cd" / "abcdef.npz"
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"\x93NUMPY") + 130] ^= 0xFF  # inside the values: only the checksum can tell
    for damaged in (b"", b"junk", whole[: len(whole) // 2], bytes(flipped)):
        file.write_bytes(damaged)
        assert cache.get("abcdef") is None
    cache.put("abcdef", label())
    assert cache.get("abcdef") is not None


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    cache = LabelCache(tmp_path, teacher(), SIZE)
    with pytest.raises(InputError, match=r"labels here are \(6, 8\)"):
        cache.put("a", np.ones((8, 6)))
    LabelCache(tmp_path, teacher(), (8, 6)).put("a", np.ones((8, 6)))
    assert cache.get("a") is None


def test_many_writers_of_one_label_leave_one_whole_file(tmp_path: Path) -> None:
    cache = LabelCache(tmp_path, teacher(), SIZE)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cache.put("ab", label()), range(40)))
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 1
    assert cache.get("ab") is not None
