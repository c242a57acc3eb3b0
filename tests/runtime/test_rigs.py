from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import leadline
from common.reprojection import seen_at
from common.rigs import rigs
from leadline import worlds
from leadline.data.rig_folder import Instant
from leadline.depth import DepthMap, Kind
from leadline.errors import InputError, KindError
from leadline.geometry.poses import invert, transform
from leadline.io.images import read_image
from leadline.io.ply import read_ply
from leadline.rig import Rig
from leadline.runtime.rigs import fuse, mounts, predict_rig, predict_rigs, sheet
from leadline.runtime.writing import ImageWriter
from leadline.worlds.street.place import ring

RING = ring(48, 64)
LEFT_TO_RIGHT = ["back_left", "front_left", "front", "front_right", "back_right", "back"]


def truth(rig):
    return {name: frame.depth for name, frame in rig.items()}


@pytest.fixture(scope="module")
def box():
    """A rig that has driven and turned, in a box that ends at 15, 10, -1.5 and 6.5 m."""
    return rigs(RING, count=3, scale=1.0, drives=True)[2]


@pytest.fixture(scope="module")
def street():
    return worlds.create("street").clip(seed=3, frames=3).rig(1, ring(96, 128), flow=False)


def test_the_clouds_of_all_cameras_lie_on_one_scene(box):
    points, colours = fuse(box, truth(box))
    assert points.dtype == np.float32
    assert points.shape == colours.shape == (sum(frame.depth.valid.sum() for frame in box.values()), 3)
    x, y, z = transform(box.pose, points.astype(float)).T
    walls = np.stack([15 - abs(x), 10 - abs(y), z + 1.5, 6.5 - z])
    assert abs(walls.min(axis=0)).max() < 1e-3
    assert {0, 1, 2, 3} == set(walls.argmin(axis=0).tolist())
    front = box["front"]
    own = colours[: front.image.size // 3].reshape(front.image.shape)
    assert next(iter(box)) == "front"
    assert np.array_equal(own, np.rint(front.image * 255))


def test_each_camera_has_the_depth_of_what_the_others_see(street):
    """Points of one camera, projected into its neighbours by plain numpy, have the depth that is there."""
    depths, placed = truth(street), mounts(street)
    compared = 0
    for name in LEFT_TO_RIGHT:
        points, _ = fuse(street, {name: depths[name]})
        for other in LEFT_TO_RIGHT:
            local = transform(invert(placed[other]), points.astype(float))
            there = np.where(depths[other].valid, depths[other].values, np.nan)
            own, seen = seen_at(local, there, street[other].camera.K)
            known = np.isfinite(seen) & (own < 60)
            if name == other:
                np.testing.assert_allclose(own[known], seen[known], rtol=1e-4)
            elif known.sum() > 100:
                apart = (own - seen)[known] / own[known]
                assert np.median(abs(apart)) < 0.01
                assert (apart < 0.1).mean() > 0.8  # but where one looks behind what the other sees
                compared += 1
    assert compared >= 12


def test_cameras_that_see_at_other_times_are_put_where_they_were(box):
    """The mount is what the poses say, not what it was when the cameras stood still."""
    later = box["back"].replace(pose=box["back"].pose @ np.array(
        [[1, 0, 0, 0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))  # fmt: skip
    moved = Rig({"back": later}, box.pose)
    points, _ = fuse(moved, {"back": box["back"].depth})
    still, _ = fuse(box, {"back": box["back"].depth})
    np.testing.assert_allclose(points - still, np.broadcast_to([0, 0.3, 0], points.shape), atol=1e-4)


def test_masked_and_far_pixels_give_no_points(box):
    front = box["front"]
    mask = np.zeros(front.image.shape[:2], bool)
    mask[:, 20:40] = True
    masked = Rig({"front": front.replace(mask=mask)}, box.pose)
    expected = mask & (front.depth.values <= 12)
    points, colours = fuse(masked, {"front": front.depth}, reach=12.0)
    assert 0 < expected.sum() < mask.sum()
    assert len(points) == expected.sum()
    assert np.array_equal(colours, np.rint(front.image[expected] * 255))


def test_units_and_disparity_are_brought_to_metres(box):
    depth = box["front"].depth
    wanted, _ = fuse(box, {"front": depth})
    for same in (depth.to_unit("mm"), depth.to_disparity(), depth.to_unit("mm").to_disparity()):
        np.testing.assert_allclose(fuse(box, {"front": same})[0], wanted, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_fused_is_refused(box):
    scaled = DepthMap(box["front"].depth.values, Kind("depth", "scale"), camera=box["front"].camera)
    with pytest.raises(KindError, match="needs metric depth; scale-invariant-depth has a scale of its own"):
        fuse(box, {"front": scaled})
    with pytest.raises(InputError, match="no poses"):
        fuse(replace(box, pose=None), truth(box))
    with pytest.raises(InputError, match="no poses"):
        fuse(Rig({"front": box["front"].replace(pose=None)}, box.pose), truth(box))


def test_cameras_stand_as_they_look_around(box, monkeypatch):
    captions = []
    draw = leadline.runtime.rigs.contact_sheet
    monkeypatch.setattr(
        "leadline.runtime.rigs.contact_sheet",
        lambda rows, names, height: captions.append(names) or draw(rows, names, height),
    )
    picture = sheet(box, truth(box))
    for nudge in (-0.01, 0.01):  # the rear camera stays on its side
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(nudge), -np.sin(nudge)], [np.sin(nudge), np.cos(nudge)]]
        sheet(replace(box, pose=box.pose @ turn), truth(box))
    sheet(replace(box, pose=None), truth(box))
    assert captions == [LEFT_TO_RIGHT] * 3 + [list(RING)]
    with_view = sheet(box, truth(box), fuse(box, truth(box)))
    assert with_view.shape[0] == picture.shape[0]
    assert with_view.shape[1] == picture.shape[1] + 4 + picture.shape[0]


def test_one_range_of_colours_for_all_cameras(box):
    """A wall that two cameras see at one depth has one colour, whatever else they see."""
    depths = truth(box)
    near, far = (
        replace(depths[name], values=np.full((48, 64), d, np.float32)) for name, d in (("front", 2), ("back", 9))
    )
    near.values[20:40] = far.values[20:40] = 4.0
    picture = sheet(Rig({name: box[name] for name in ("front", "back")}, box.pose), {"front": near, "back": far})
    left, right = picture[-120, 100], picture[-120, -100]
    assert np.array_equal(left, right)
    assert not np.array_equal(picture[-10, 100], picture[-10, -100])


def test_every_camera_is_asked_with_its_own_lens(student_file, box):
    depths = predict_rig(leadline.load(str(student_file)), box)
    assert list(depths) == list(box)
    for name, depth in depths.items():
        assert depth.camera == box[name].camera
        assert depth.shape == (48, 64)
    tiny = box["back"].replace(image=np.zeros((4, 64, 3)), depth=None, camera=None, normals=None, mask=None,
        reflective=None, semantics=None, forward_flow=None, backward_flow=None)  # fmt: skip
    with pytest.raises(InputError, match="back: this image is 64x4 pixels"):
        predict_rig(leadline.load(str(student_file)), Rig({"back": tiny}))


def test_instants_are_written_and_what_is_left_out_is_reported(student_file, box, tmp_path):
    predictor, reports = leadline.load(str(student_file)), []
    few = Rig({name: box[name] for name in ("front", "back")}, box.pose)
    instants = [
        Instant("drive/one", "000", box, []),
        Instant("drive/one", "001", None, ["nothing here"]),
        Instant("drive/one", "002", few, ["a.png: no such file"]),
    ]
    writer = ImageWriter(tmp_path, ["npz", "colour", "ply"], "turbo")
    assert predict_rigs(predictor, instants, writer, reports.append) == 8
    assert reports == ["nothing here", "a.png: no such file"]
    folder = tmp_path / "drive" / "one"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "000.ply", "000.rig.png", "002.ply", "002.rig.png",
    ]  # fmt: skip
    for name in box:
        numbers = ["000", "002"] if name in few else ["000"]
        expected = {f"{number}.{what}" for number in numbers for what in ("depth.npz", "colour.png")}
        assert {path.name for path in (folder / name).iterdir()} == expected
    points, colours = read_ply(folder / "000.ply")
    expected, painted = fuse(box, {name: DepthMap.load(folder / name / "000.depth.npz") for name in box})
    assert np.allclose(points, expected, atol=1e-3)
    assert np.array_equal(colours, painted)
    shapes = [read_image(folder / f"{number}.rig.png").shape for number in ("000", "002")]
    assert shapes[0][0] == shapes[1][0]
    assert shapes[0][1] - shapes[1][1] == 4 * (320 + 4)


def test_a_model_without_scale_gives_no_cloud(bright_teacher, box, tmp_path):
    predictor = leadline.load(str(bright_teacher))

    def never():
        raise AssertionError("asked for an instant")
        yield

    with pytest.raises(KindError, match="use a metric model"):
        predict_rigs(predictor, never(), ImageWriter(tmp_path / "out", ["ply"], "turbo"), print)
    assert not (tmp_path / "out").exists()
    assert predict_rigs(predictor, [Instant("s", "0", box, [])], ImageWriter(tmp_path, [], "turbo"), print) == 6
    height, width, _ = read_image(tmp_path / "s" / "0.rig.png").shape
    assert width == 6 * 320 + 5 * 4
    assert height < 2 * 240 + 60
