from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.toy import Toy
from leadline.camera import Camera, Pinhole, RadialTangential
from leadline.data.augmentation import Augmentation
from leadline.data.clips import ClipSamples, usable
from leadline.data.folder import Folder, write_frames
from leadline.data.samples import Draws, collate, judging_loader, to_device, training_loader
from leadline.data.sevenscenes import SevenScenes
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.geometry.lift import reproject
from leadline.geometry.poses import axis_angle_to_matrix, compose, mirror, relative
from leadline.geometry.warp import sample
from leadline.training.rendered import Rendered

CAMERA = Pinhole(80, 48, 60.0, 56.0, 44.0, 21.0)


def wall(sequence: str, number: int, moving: bool = True) -> Frame:
    """A painted wall, seen askew by a camera that moves and turns."""
    turn = np.array([0.01, -0.02, 0.03]) * number * moving
    place = np.array([0.12, -0.05, 0.1]) * number * moving
    pose = compose(axis_angle_to_matrix(turn), place)
    normal = np.array([0.3, -0.2, 1.0])
    rays = CAMERA.rays() @ pose[:3, :3].T
    depth = (4 - place @ normal) / (rays @ normal)
    x, y, z = np.moveaxis(place + rays * depth[..., None], -1, 0)
    paint = np.stack([np.sin(5 * x), np.sin(4 * y + x), np.cos(3 * x - 3 * y + z)], axis=-1)
    return Frame(
        (0.5 + 0.4 * paint).astype(np.float32),
        DepthMap(depth.astype(np.float32), Kind("depth", "nothing"), "m", camera=CAMERA),
        CAMERA,
        pose,
        sequence=sequence,
        name=f"{number:03d}",
    )


@pytest.fixture(scope="module")
def walls(tmp_path_factory) -> Path:
    """Four frames of one sequence and two of another."""
    root = tmp_path_factory.mktemp("walls")
    write_frames(root, [wall("a", number) for number in range(4)] + [wall("b", number) for number in range(2)])
    return root


def misfit(batch: dict, source: int, motions: torch.Tensor | None = None) -> tuple[float, float]:
    """Mean difference of the middle frames and a source: looked up by true depth and motion, and as it is."""
    motion = (batch["motions"] if motions is None else motions)[:, source]
    uv, _, valid = reproject(batch["target"][:, 0], batch["camera"], motion, batch["camera"])
    neighbour = batch["clean_sources"][:, source]
    assert valid.float().mean() > 0.4
    led, still = ((batch["clean"] - other).abs().mean(1)[valid] for other in (sample(neighbour, uv), neighbour))
    return float(led.mean()), float(still.mean())


def test_frames_at_the_ends_of_their_sequence_are_left_out(walls):
    frames = Folder(walls)
    assert [str(id) for id in frames.ids] == [*(f"a/{n:06d}" for n in range(4)), "b/000000", "b/000001"]
    assert usable(frames) == [1, 2]
    assert usable(frames, (1,)) == [0, 1, 2, 4]
    assert usable(frames, (-2,)) == [2, 3]
    assert usable(frames, (-3, 1)) == []


def test_what_a_batch_holds(walls):
    samples = ClipSamples(Folder(walls), (24, 32), (1, -1), poses=True).subset([1, 2])
    assert len(samples) == 2
    (batch,) = judging_loader(samples, [0, 1], 2)
    assert {key: tuple(value.shape) for key, value in batch.items() if key != "camera"} == {
        "image": (2, 3, 24, 32), "clean": (2, 3, 24, 32), "target": (2, 1, 24, 32), "mask": (2, 1, 24, 32),
        "sources": (2, 2, 3, 24, 32), "clean_sources": (2, 2, 3, 24, 32), "motions": (2, 2, 4, 4), "index": (2,),
        "mirrored": (2,), "source_masks": (2, 2, 1, 24, 32), "focal": (2,),
    }  # fmt: skip
    assert batch["index"].tolist() == [1, 2]
    assert torch.equal(batch["clean_sources"][0, 0], batch["clean"][1]), "sources come in the order of the offsets"
    assert torch.equal(batch["clean_sources"][1, 1], batch["clean"][0])
    assert batch["motions"].dtype == batch["sources"].dtype == torch.float32
    poses = [wall("a", number).pose for number in range(4)]
    np.testing.assert_allclose(batch["motions"][1, 0], relative(poses[2], poses[3]), atol=1e-6)
    assert batch["mask"].all()


def test_the_camera_follows_resize_and_crop(walls):
    (batch,) = judging_loader(ClipSamples(Folder(walls), (24, 32)), [1, 2], 2)
    camera = batch["camera"]
    assert (camera.height, camera.width, tuple(camera.fx.shape)) == (24, 32, (2, 1, 1))
    # 48x80 becomes 24x40, of which four columns are cut off on each side
    expected = [30.0, 28.0, (44 + 0.5) / 2 - 0.5 - 4, (21 + 0.5) / 2 - 0.5]
    for name, value in zip(("fx", "fy", "cx", "cy"), expected, strict=True):
        np.testing.assert_allclose(getattr(camera, name).ravel(), value, rtol=1e-6)


@pytest.mark.parametrize("augmentation", [None, Augmentation(0.6, 0.0, 0.3), Augmentation(0.6, 1.0, 0.3)])
def test_depth_and_motion_lead_to_the_neighbours(walls, augmentation):
    samples = ClipSamples(Folder(walls), (36, 48), augmentation=augmentation, seed=4, poses=True)
    batch = collate([samples[draw, 1 + draw % 2] for draw in range(6)])
    for source in range(2):
        led, still = misfit(batch, source)
        assert led < 0.02
        assert still > 5 * led
        if augmentation and augmentation.flip:
            assert misfit(batch, source, mirror(batch["motions"]))[0] > 5 * led, "the world is mirrored with the image"


def test_a_mirrored_clip_moves_as_in_a_mirror(walls):
    plain, flipped = (
        ClipSamples(Folder(walls), (48, 80), augmentation=Augmentation(1, flip, 0), poses=True)[0, 2] for flip in (0, 1)
    )
    for key in ("image", "clean", "sources", "clean_sources", "target"):
        torch.testing.assert_close(flipped[key], plain[key].flip(-1), rtol=0, atol=0)
    torch.testing.assert_close(flipped["motions"], mirror(plain["motions"]), rtol=0, atol=1e-6)
    assert flipped["camera"] == CAMERA.flip()


def test_colours_change_alike_in_the_whole_clip(tmp_path):
    write_frames(tmp_path, [wall("a", number, moving=False) for number in range(3)])
    item = ClipSamples(Folder(tmp_path), (40, 60), augmentation=Augmentation(0.7, 0.5, 0.4), seed=2)[3, 1]
    assert not torch.equal(item["image"], item["clean"])
    for place in range(2):
        assert torch.equal(item["sources"][place], item["image"])
        assert torch.equal(item["clean_sources"][place], item["clean"])


def test_a_draw_is_a_function_of_seed_and_number(walls):
    def make(seed: int) -> ClipSamples:
        return ClipSamples(Folder(walls), (24, 32), augmentation=Augmentation(), seed=seed, poses=True)

    first, again, other = make(1)[7, 1], pickle.loads(pickle.dumps(make(1)))[7, 1], make(1)[8, 1]
    for key in ("image", "sources", "clean_sources", "motions"):
        assert torch.equal(first[key], again[key])
    assert first["camera"] == again["camera"]
    assert not torch.equal(first["sources"], other["sources"])
    assert not torch.equal(first["sources"], make(2)[7, 1]["sources"])


def test_workers_do_not_change_what_is_read(walls):
    """In a process of its own: a worker is forked, and this one may hold the threads of every runtime there is."""
    code = (
        "import sys, torch\n"
        "from leadline.data.augmentation import Augmentation\n"
        "from leadline.data.clips import ClipSamples, usable\n"
        "from leadline.data.folder import Folder\n"
        "from leadline.data.samples import Draws, to_device, training_loader\n"
        "frames = Folder(sys.argv[1])\n"
        "samples = ClipSamples(frames, (24, 32), augmentation=Augmentation(), seed=1, poses=True)\n"
        "samples = samples.subset(usable(frames))\n"
        "draws = Draws(len(samples), 3, 3, seed=1)\n"
        "for a, b in zip(training_loader(samples, draws, 0), training_loader(samples, draws, 2), strict=True):\n"
        "    b = to_device(b, 'cpu')\n"
        "    assert all(torch.equal(a[k], b[k]) for k in ('image', 'sources', 'motions', 'index'))\n"
        "    assert torch.equal(a['camera'].rays(a['image']), b['camera'].rays(b['image']))\n"
        "print('equal')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(walls)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "equal", done.stderr


def test_cameras_move_to_the_device_with_the_batch(walls):
    samples = ClipSamples(Folder(walls), (24, 32), poses=True)
    draws = Draws(2, 2, 1, seed=0)
    (batch,) = training_loader(samples.subset([1, 2]), draws, 0)
    moved = to_device(batch, "meta")
    assert moved["motions"].device.type == moved["camera"].fx.device.type == moved["camera"].cy.device.type == "meta"
    assert (moved["camera"].height, moved["camera"].width) == (24, 32)
    assert batch["camera"].fx.device.type == "cpu"


def test_what_is_not_known_or_not_wanted_is_missing(walls, scenes):
    assert "motions" not in ClipSamples(Folder(walls), (24, 32))[0, 1]
    unknown = ClipSamples(Folder(scenes), (24, 32), poses=True)[0, 1]
    assert not {"motions", "camera"} & unknown.keys()
    known = ClipSamples(Folder(walls), (24, 32), poses=True)[0, 1]
    assert not {"motions", "camera"} & collate([known, unknown]).keys(), "a batch holds what every item holds"


def test_a_camera_stands_in_or_is_believed(walls, scenes):
    def camera(root: Path, given: Camera | float) -> Camera:
        return ClipSamples(Folder(root), (48, 64), camera=given)[0, 1]["camera"]

    assert camera(scenes, 70.0) == Pinhole.from_fov(64, 48, 70.0)
    assert camera(walls, 70.0) == ClipSamples(Folder(walls), (48, 64))[0, 1]["camera"]
    lens = RadialTangential(160, 96, 130.0, 130.0, 80.0, 48.0, k1=-0.2)
    assert camera(walls, lens) == lens.resize(48, 80).crop(0, 8, 48, 64)
    with pytest.raises(InputError, match="does not fit"):
        camera(scenes, lens)


class Sparse(Toy):
    """Toy frames of which only the middle ones have depth."""

    def depth(self, id):
        if id.number != 1:
            raise InputError(f"{id}: has no depth")
        return super().depth(id)


def test_neighbours_need_no_depth(tmp_path):
    frames = Sparse(Toy.write(tmp_path))
    item = ClipSamples(frames, (24, 32), poses=True)[0, 1]
    assert item["target"].isfinite().any()
    np.testing.assert_allclose(item["motions"][:, 0, 3], [0.1, -0.1], atol=1e-6)
    assert frames.truth == "depth"
    with pytest.raises(InputError, match="has no depth"):
        ClipSamples(frames, (24, 32), (1,))[0, 0]


def test_a_neighbour_that_is_missing_or_broken_is_named(tmp_path):
    write_frames(tmp_path, [wall("a", number) for number in range(3)])
    samples = ClipSamples(Folder(tmp_path), (24, 32))
    with pytest.raises(InputError, match=r"a-002\.png: has no neighbour at \+1"):
        samples[0, 2]
    (tmp_path / "images" / "a-002.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a-002\.png"):
        samples[0, 1]


@pytest.mark.parametrize("offsets", [(), (0, 1), (1, 1)])
def test_offsets_that_make_no_clip(walls, offsets):
    with pytest.raises(ConfigError, match="offsets"):
        ClipSamples(Folder(walls), (24, 32), offsets)


def test_rendered_clips_have_known_motion(tmp_path):
    place = {"world": "room", "clips": 2, "frames": 3, "height": 48, "width": 64, "processes": 1}
    frames = Rendered(root=tmp_path / "moving", poses=True, **place)
    assert usable(frames) == [1, 4]
    samples = ClipSamples(frames, (48, 64), augmentation=Augmentation(0.8, 0.5), poses=True)
    batch = collate([samples[draw, index] for draw, index in enumerate(usable(frames) * 2)])
    for source in range(2):
        led, still = misfit(batch, source)
        assert led < 0.7 * still
    assert len(Rendered(root=tmp_path / "moving", **place)) == 6, "poses that are there do no harm"
    place |= {"clips": 1, "frames": 1, "root": tmp_path / "plain"}
    Rendered(**place)
    assert not (tmp_path / "plain" / "poses").exists()
    with pytest.raises(ConfigError, match="'poses'"):
        Rendered(poses=True, **place)


def test_real_depth_and_poses_lead_to_the_neighbours(real_data):
    frames = SevenScenes(real_data / "sevenscenes", split="all")
    offsets = (-8, 8)
    indices = usable(frames, offsets)
    assert len(indices) == len(frames) - 16
    samples = ClipSamples(frames, (120, 160), offsets, Augmentation(0.8, 0.5), poses=True)
    batch = collate([samples[draw, index] for draw, index in enumerate(indices[::58])])
    for source in range(2):
        led, still = misfit(batch, source)
        assert led < 0.7 * still


def test_depth_of_the_neighbours_comes_where_it_is_wanted(walls):
    frames = Folder(walls)
    item = ClipSamples(frames, (24, 32), (1, -1), truths=True).subset([1])[0, 0]
    assert item["source_targets"].shape == item["source_masks"].shape == (2, 1, 24, 32)
    for source, index in enumerate((2, 0)):
        alone = ClipSamples(frames, (24, 32), (1,) if index == 0 else (-1,)).subset([index])[0, 0]
        assert torch.equal(item["source_targets"][source], alone["target"])
    assert "source_targets" not in ClipSamples(frames, (24, 32), (1, -1)).subset([1])[0, 0]
