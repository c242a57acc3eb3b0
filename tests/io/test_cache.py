from __future__ import annotations

import os

import pytest

from leadline.errors import InputError
from leadline.io.cache import cache_folder, cache_key


def test_the_cache_lies_where_it_is_asked_to(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"


def test_a_key_changes_with_files_and_words(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(b"abc")
    keys = {cache_key([one]), cache_key([two]), cache_key([one, two]), cache_key([one], "left")}
    assert len(keys) == 4
    assert cache_key([one]) in keys
    os.utime(one, (1, 1))
    assert cache_key([one]) not in keys
    with pytest.raises(InputError, match="three: no such file"):
        cache_key([one, tmp_path / "three"])
