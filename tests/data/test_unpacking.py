from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from leadline.data.unpacking import unpacked, unpacked_folder
from leadline.errors import InputError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "archive"
    source.write_bytes(b"abc")
    return source


def test_a_source_that_changes_has_another_folder(source: Path) -> None:
    first = unpacked_folder(source)
    assert first.is_relative_to(source.parent / "cache")
    assert unpacked_folder(source) == first
    source.write_bytes(b"abcd")
    second = unpacked_folder(source)
    os.utime(source, (1, 1))
    assert len({first, second, unpacked_folder(source)}) == 3
    source.unlink()
    with pytest.raises(InputError, match="archive: no such file"):
        unpacked_folder(source)


def test_processes_that_need_the_same_source_wait_for_the_one_that_unpacks_it(source: Path) -> None:
    folder, runs, together = unpacked_folder(source), [], Barrier(4)

    def unpack(wanted: Callable[[Path], bool]) -> None:
        runs.append(1)
        for name in "abc":
            if wanted(folder / name):
                (folder / name).write_text(name)

    def ask(name: str) -> str:
        together.wait()
        return unpacked(folder / name, [folder / "a", folder / "b"], unpack).read_text()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, "abab")) == list("abab")
    assert len(runs) == 1
    assert not (folder / "c").exists()


def test_a_cache_that_cannot_be_made_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_CACHE", str(source / "below-a-file"))
    with pytest.raises(InputError, match=r"cannot make this folder .*set LEADLINE_CACHE"):
        unpacked(unpacked_folder(source) / "a", [], lambda wanted: None)
