"""Worlds as training data."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from common.commands import run
from leadline import checkpoint, worlds
from leadline.data.samples import Draws, Samples, training_loader
from leadline.errors import ConfigError
from leadline.training.rendered import Live, Rendered, render

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
    render(more, range(43, 45), 2, frames.paths[0].parents[1], (), processes=1)
    assert len(Rendered(clips=3, frames=2, seed=40, processes=1, **SIZE)) == 6, "other clips in the folder do not count"
    assert len(Rendered(clips=2, frames=2, seed=40, processes=1, **SIZE)) == 4, "another set of clips, another folder"
    last = Rendered(clips=1, frames=2, seed=44, root=frames.paths[0].parents[1], processes=1, **SIZE)
    assert [frame.name for frame in last] == ["tract-000044-000000", "tract-000044-000001"], "its own clips only"


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


def test_live_clips_are_those_of_the_world_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    live = Live(clips=9, frames=3, seed=40, **SIZE)
    assert len(live) == 27
    assert live.size(26) == (32, 64)
    assert [live.place(index) for index in (0, 2, 3, 26)] == [0, 0, 1, 8]
    expected = worlds.create("tract", rate=2.0, **SIZE).clip(42, 3)[1]
    for _ in range(2):
        np.testing.assert_array_equal(live[7].image, expected.image)
        np.testing.assert_array_equal(live[7].depth.values, expected.depth.values)
        for place in range(9):  # others push it out
            live[3 * place]
    assert not list(tmp_path.iterdir())
    with pytest.raises(IndexError):
        live[27]
    with pytest.raises(ConfigError, match="nothing to render"):
        Live(clips=0)


def test_workers_render_ahead_what_one_process_would():
    live = Live(clips=6, frames=4, seed=3, **SIZE)
    samples = Samples(live, (32, 64), seed=1)
    draws = [Draws(24, 4, 6, 0, places=[live.place(index) for index in range(24)]) for _ in range(2)]
    alone = list(training_loader(samples, draws[0], 0))
    loader = training_loader(samples, draws[1], 2)
    assert loader.multiprocessing_context.get_start_method() == "forkserver"  # this process has rendered
    together = list(loader)
    assert len(alone) == 6
    for one, two in zip(alone, together, strict=True):
        torch.testing.assert_close(one["image"], two["image"])
        torch.testing.assert_close(one["target"], two["target"], equal_nan=True)


def test_a_student_learns_from_a_world_that_is_never_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "student.safetensors"
    code, _, err = run(
        capsys, "train", "supervised-tract", "--out", out, "--data", "leadline.training.rendered.Live",
        "--data.clips", 8, "--data.frames", 4, "--data.height", 64, "--data.width", 64, "--fit.size", "[64, 64]",
        "--fit.steps", 3, "--fit.batch_size", 2, "--fit.workers", 1, "--holdout.every", 4, "--holdout.block", 4,
        "--method.student.architecture", "swift",
    )  # fmt: skip
    assert code == 0, err
    card = checkpoint.read_card(out)
    assert "from seed 0" in card.data
    assert card.licence == "apache-2.0"
    assert not (tmp_path / "cache").exists()


def test_classes_are_those_of_the_world(tmp_path):
    size = {"height": 32, "width": 48}
    frames = Rendered("room", clips=2, frames=2, seed=5, root=tmp_path, processes=1, classes=True, **size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "depths", "images", "semantics"]
    world = worlds.create("room", rate=2.0, **size)
    for index in (3, 0):
        seed, moment = divmod(index, 2)
        expected = world.clip(5 + seed, 2)[moment]
        np.testing.assert_array_equal(frames[index].semantics, expected.semantics)
        np.testing.assert_array_equal(frames[index].image, expected.image)
    assert len(np.unique(frames[0].semantics)) > 3
    sample = Samples(frames, (32, 32))[0, 1]
    assert sample["semantics"].shape == (1, 32, 32)
    np.testing.assert_array_equal(sample["semantics"][0], frames[1].semantics[:, 8:40])
    with pytest.raises(ConfigError, match="holds this clip with another 'poses'"):
        Rendered("room", clips=2, frames=2, seed=5, root=tmp_path, processes=1, classes=True, poses=True, **size)


def test_the_sky_is_learned_to_be_far_and_settings_reach_the_world(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    size = {"height": 48, "width": 64}
    settings = {"fov": [50, 100], "yaw": [30, 30]}
    frames = Rendered("street", clips=1, frames=2, seed=5, processes=1, sky=300.0, settings=settings, **size)
    expected = worlds.create("street", rate=2.0, fov=(50, 100), yaw=(30, 30), **size).clip(5, 2)[1]
    frame = frames[1]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "street-1-48x64-1x2-2fps-seed5-classes-fov50to100-yaw30to30"
    }
    np.testing.assert_array_equal(frame.image, expected.image)
    sky = expected.semantics == worlds.kind("street").classes.index("sky")
    assert 0.02 < sky.mean() < 0.9
    assert (frame.depth.values[sky] == 300).all()
    np.testing.assert_array_equal(frame.depth.valid, expected.depth.valid | sky)
    assert frame.semantics is None, "classes were not asked for"
    plain = Rendered("street", clips=1, frames=2, seed=5, processes=1, classes=True, settings=settings, **size)
    assert not plain[1].depth.valid[sky].any()
    np.testing.assert_array_equal(plain[1].semantics, expected.semantics)
    with pytest.raises(ConfigError, match=r"world street has no 'yow'.*did you mean 'yaw'"):
        Rendered("street", clips=1, frames=1, settings={"yow": [0, 0]}, **size)


def test_clips_of_before_a_world_had_a_field_are_of_its_default(tmp_path):
    world = worlds.create("street", height=32, width=48)
    render(world, range(1), 1, tmp_path, (), processes=1)
    note = next((tmp_path / "clips").iterdir())
    told = json.loads(note.read_text())
    del told["settings"]["yaw"]
    note.write_text(json.dumps(told))
    assert render(world, range(1), 1, tmp_path, (), processes=1) == 0
    with pytest.raises(ConfigError, match="holds this clip with another 'yaw'"):
        render(worlds.create("street", height=32, width=48, yaw=(5, 5)), range(1), 1, tmp_path, (), processes=1)
