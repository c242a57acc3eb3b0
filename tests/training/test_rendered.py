"""Worlds as training data."""

from __future__ import annotations

import numpy as np
import pytest

from leadline import worlds
from leadline.errors import ConfigError
from leadline.training.rendered import Rendered, render

SIZE = {"height": 32, "width": 64}


def test_clips_are_rendered_once_and_are_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    frames = Rendered(clips=3, frames=2, seed=40, processes=1, **SIZE)
    assert len(frames) == 6
    assert frames[0].depth.unit == "mm"
    assert frames[0].camera is not None
    assert frames.licence == "apache-2.0"
    assert "seeds 40 to 42" in frames.describe()
    expected = worlds.create("tract", rate=2.0, **SIZE).clip(41, 2)[1]
    assert frames[3].name == "tract-000041-000001"
    np.testing.assert_array_equal(frames[3].image, expected.image)
    np.testing.assert_allclose(frames[3].depth.values, expected.depth.values, atol=400 / 65534)

    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    Rendered(clips=3, frames=2, seed=40, processes=1, **SIZE)
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    more = worlds.create("tract", rate=2.0, **SIZE)
    render(more, range(43, 45), 2, frames.paths[0].parents[1], truth=False, processes=1)
    assert len(Rendered(clips=3, frames=2, seed=40, processes=1, **SIZE)) == 6, "other clips in the folder do not count"
    assert len(Rendered(clips=2, frames=2, seed=40, processes=1, **SIZE)) == 4, "another set of clips, another folder"


def test_a_clip_that_was_cut_off_is_rendered_again(tmp_path):
    world = worlds.create("tract", **SIZE)
    assert render(world, range(2), 2, tmp_path, processes=1) == 2
    victim = next((tmp_path / "clips").glob("tract-000001*"))
    victim.unlink()
    (tmp_path / "images" / "tract-000001-000001.png").unlink()
    assert render(world, range(2), 2, tmp_path, processes=1) == 1
    assert (tmp_path / "images" / "tract-000001-000001.png").is_file()
    assert render(world, range(2), 2, tmp_path) == 0


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"frames": 0}, {"world": "tracht"}])
def test_nothing_to_render(tmp_path, wrong):
    with pytest.raises(ConfigError):
        Rendered(root=tmp_path, **{"clips": 1, "frames": 1} | wrong, **SIZE)
    assert not list(tmp_path.iterdir())
