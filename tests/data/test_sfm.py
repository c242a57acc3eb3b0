from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from leadline.camera import Pinhole, RadialTangential
from leadline.data.dataset import open_dataset
from leadline.data.lists import FrameId
from leadline.data.sfm import Sfm
from leadline.errors import InputError
from leadline.frame import Frame
from leadline.io.ply import write_ply

#: Three points before the first camera, the first two on one line of sight, and one that is behind the second camera.
POINTS = {3: (0.0, 0.0, 4.0), 5: (0.0, 0.0, 2.0), 9: (1.0, -0.5, 5.0), 11: (0.0, 0.0, -3.0)}


def colmap(root, sparse="sparse/0", images="images", size=(64, 48)):
    """Two views of POINTS, the second 1 to the right; point 9 is seen by the first only. Written by hand."""
    model = root / sparse
    model.mkdir(parents=True, exist_ok=True)
    (model / "cameras.txt").write_text("1 PINHOLE 64 48 50 50 32.5 24.5\n2 SIMPLE_RADIAL 64 48 50 32 24 0.1\n")
    (model / "images.txt").write_text(
        "2 1 0 0 0 -1 0 0 1 cam/f-2.png\n6.9 24.6 3 1 1 -1 -17.6 24.5 5 7 24 11\n"
        "1 1 0 0 0 0 0 0 1 cam/f-1.png\n32.5 24.5 3 32.5 24.5 5 42.5 19.5 9\n"
        "4 1 0 0 0 0 0 0 2 cam/f-10.png\n\n"
    )
    (model / "points3D.txt").write_text(
        "".join(f"{key} {x} {y} {z} 9 9 9 0.1 1 0\n" for key, (x, y, z) in POINTS.items())
    )
    (root / images / "cam").mkdir(parents=True, exist_ok=True)
    for number in (1, 2, 10):
        Image.new("RGB", size, (number, 0, 0)).save(root / images / "cam" / f"f-{number}.png")
    return root


def test_a_colmap_folder_gives_cameras_poses_and_sparse_depth(tmp_path):
    frames = open_dataset("sfm", colmap(tmp_path))
    assert frames.ids == [FrameId("cam/f", 1), FrameId("cam/f", 2), FrameId("cam/f", 10)]
    first, second, third = (frames[index] for index in range(3))
    assert [round(frame.image.max() * 255) for frame in (first, second, third)] == [1, 2, 10]
    assert first.camera == first.depth.camera == Pinhole(64, 48, 50.0, 50.0, 32.0, 24.0)
    assert third.camera == RadialTangential(64, 48, 50.0, 50.0, 31.5, 23.5, k1=0.1)
    assert str(first.depth.kind) == "scale-invariant-depth"
    rows, columns = np.nonzero(first.depth.valid)
    # the nearer of the two on the axis, and (1, -0.5, 5) at (32 + 10, 24 - 5)
    assert {(v, u, float(first.depth.values[v, u])) for v, u in zip(rows, columns, strict=True)} == {
        (24, 32, 2.0), (19, 42, 5.0)}  # fmt: skip
    np.testing.assert_allclose(second.pose[:3, 3], [1, 0, 0])
    # point 3 at 32 - 12.5; 5 at 32 - 25; 11 is behind, 9 is not seen
    rows, columns = np.nonzero(second.depth.valid)
    assert sorted(second.depth.values[rows, columns].tolist()) == [2, 4]
    assert sorted(columns.tolist()) in ([7, 19], [7, 20])
    assert not third.depth.valid.any()


@pytest.mark.parametrize(("sparse", "images"), [("sparse", "images"), (".", "images"), (".", "."), ("sparse/1", ".")])
def test_the_model_may_lie_elsewhere(tmp_path, sparse, images):
    assert Sfm(colmap(tmp_path, sparse, images))[0].depth.valid.sum() == 2


def test_the_model_itself_may_be_named(tmp_path):
    colmap(tmp_path)
    for folder in ("sparse", "sparse/0"):
        frames = Sfm(tmp_path / folder)
        assert frames.ids[0] == FrameId("cam/f", 1)
        assert frames[0].depth.valid.sum() == 2


def test_several_reconstructions_are_several_sequences(tmp_path):
    for scene in ("a", "b"):
        colmap(tmp_path / scene)
    colmap(tmp_path / "a" / "dense", "sparse")  # the undistorted copy of a: not another
    frames = Sfm(tmp_path)
    assert [str(id) for id in frames.ids] == [
        f"{scene}/cam/f/{number:06d}" for scene in ("a", "b") for number in (1, 2, 10)]  # fmt: skip
    assert frames.image(frames.ids[0]) == tmp_path / "a" / "images" / "cam" / "f-1.png"
    assert frames.neighbour(frames.ids[1], 1) == frames.ids[2]
    assert frames.neighbour(frames.ids[2], 1) is None
    assert len(frames.clip(1)) == 3


def test_images_that_were_resized_have_a_camera_of_their_size(tmp_path):
    frame = Sfm(colmap(tmp_path, size=(32, 24)))[0]
    assert frame.camera == Pinhole(32, 24, 25.0, 25.0, 15.75, 11.75)
    assert frame.depth.shape == (24, 32)
    colmap(tmp_path / "other", size=(48, 48))
    with pytest.raises(InputError, match=r"f-1\.png: the camera is of a 64x48 image"):
        Sfm(tmp_path / "other")[0]


def test_a_list_of_images(tmp_path):
    frames = colmap(tmp_path / "d")
    (tmp_path / "list.txt").write_text("cam/f-10.png\nimages/cam/f-1.png\n")
    assert [id.number for id in Sfm(frames, str(tmp_path / "list.txt")).ids] == [10, 1]
    (tmp_path / "list.txt").write_text("f-11.png\n")
    with pytest.raises(InputError, match=r"line 1, 'f-11\.png': .*holds 0 images"):
        Sfm(frames, str(tmp_path / "list.txt"))


def endoscopic(root, count=3):
    """Two points, the second on the axis; cameras 0.1 apart to the right, the last turned half round the axis."""
    root.mkdir(parents=True)
    write_ply(root / "structure.ply", np.float32([[0.5, 0, 2], [0, 0, 1]]))
    poses = ""
    for view in range(count):
        turn = (1, 0) if view == count - 1 else (0, 1)
        poses += (
            f"  poses[{view}]: \n    position: \n      x: {0.1 * view}\n      y: 0\n      z: 0\n"
            f"    orientation: \n      x: 0\n      y: 0\n      z: {turn[0]}\n      w: {turn[1]}\n"
        )
    (root / "motion.yaml").write_text(f"header: \n  seq: 0\nposes[]:\n{poses}")
    (root / "camera_intrinsics_per_view").write_text("20\n21\n32\n24\n")
    (root / "visible_view_indexes").write_text("".join(f"{7 + view}\n" for view in range(count)))
    (root / "view_indexes_per_point").write_text("-1\n7\n9\n-1\n8\n9\n")
    for view in range(count):
        Image.new("RGB", (64, 48)).save(root / f"{7 + view:08d}.jpg")
    return root


def test_an_endoscopic_reconstruction_written_by_hand(tmp_path):
    endoscopic(tmp_path / "bag_1" / "segment")
    frames = Sfm(tmp_path)
    assert [str(id) for id in frames.ids] == [f"bag_1/segment/{number:06d}" for number in (7, 8, 9)]
    seen = [{(int(u), int(v)): float(frame.depth.values[v, u]) for v, u in np.argwhere(frame.depth.valid)}
            for frame in (frames[index] for index in range(3))]  # fmt: skip
    # x = 0.5 at depth 2 is 5 px from the centre; at 0.2 to the right the others are turned about the axis
    assert seen == [{(37, 24): 2.0}, {(30, 24): 1.0}, {(29, 24): 2.0, (36, 24): 1.0}]
    assert frames[1].camera == Pinhole(64, 48, 20.0, 21.0, 32.0, 24.0)
    np.testing.assert_allclose(frames[2].pose[:3, :3], np.diag([-1, -1, 1]), atol=1e-12)


def test_intrinsics_may_be_of_each_view_or_with_one_focal_length(tmp_path):
    root = endoscopic(tmp_path / "s")
    (root / "camera_intrinsics_per_view").write_text("20 32 24")
    assert Sfm(root)[2].camera == Pinhole(64, 48, 20.0, 20.0, 32.0, 24.0)
    (root / "camera_intrinsics_per_view").write_text("1 1 2 3\n4 5 6 7\n8 9 10 11\n")
    assert Sfm(root)[1].camera == Pinhole(64, 48, 4.0, 5.0, 6.0, 7.0)
    (root / "camera_intrinsics_per_view").write_text("1 1 2 3 4")
    with pytest.raises(InputError, match="camera_intrinsics_per_view: holds 5 numbers"):
        Sfm(root)[0]


def test_filtered_files_go_first(tmp_path):
    root = endoscopic(tmp_path / "s")
    write_ply(root / "structure_filtered.ply", np.float32([[0, 0, 1]]))
    (root / "view_indexes_per_point_filtered").write_text("-1\n7\n")
    depth = Sfm(root)[0].depth
    assert depth.values[depth.valid].tolist() == [1]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no reconstruction; wanted are COLMAP's cameras and images"):
        Sfm(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Sfm(tmp_path / "none")
    root = endoscopic(tmp_path / "s")
    (root / "motion.yaml").write_text("poses[]:\n  poses[0]:\n    position: {x: 0, y: 0, z: 0}\n")
    with pytest.raises(InputError, match=r"motion\.yaml: should hold poses\[\] of 3 views"):
        Sfm(root)[0]
    (root / "camera_intrinsics_per_view").unlink()
    with pytest.raises(InputError, match="camera_intrinsics_per_view: no such file"):
        Sfm(root)[0]
    shutil.rmtree(root)
    root = endoscopic(tmp_path / "s")
    (root / "view_indexes_per_point").write_text("-1\n7\n")
    with pytest.raises(InputError, match="view_indexes_per_point: should hold a -1 and the views of each of 2 points"):
        Sfm(root)[0]
    colmap(tmp_path / "c")
    (tmp_path / "c" / "sparse" / "0" / "points3D.txt").unlink()
    with pytest.raises(InputError, match=r"holds no points3D\.bin or points3D\.txt"):
        Sfm(tmp_path / "c")[0]


def grey_at(frame: Frame, reach=10):
    """Patches (N, n, n) around the points a frame sees, and where they are in the order of the structure."""
    grey = frame.image.mean(axis=2)
    return lambda u, v: grey[v - reach : v + reach + 1, u - reach : u + reach + 1].ravel()


def test_points_of_a_real_reconstruction_look_the_same_in_every_view(real_data):
    frames = Sfm(real_data / "sinus_endoscopy")
    assert len(frames) == 35
    assert frames.ids[0] == FrameId("", 4584)
    first, later = frames[10], frames[20]
    assert first.camera == Pinhole(1920, 1080, 677.171, 677.171, 872.127, 471.918)
    assert 150 < first.depth.valid.sum() < 250
    # in the picture, not in the black that is more than half of the image
    assert np.mean(first.image.max(axis=2)[first.depth.valid] > 0.1) > 0.98
    assert 0.5 < np.median(first.depth.values[first.depth.valid]) < 3
    # the world's points of the one, in the other
    points = first.depth.to_points().astype(np.float64)
    moved = points @ first.pose[:3, :3].T + first.pose[:3, 3] - later.pose[:3, 3]
    there, ahead = later.camera.project(moved @ later.pose[:3, :3])
    assert ahead.all()
    here = np.argwhere(first.depth.valid)[:, ::-1]
    there = np.rint(there).astype(int)
    inside = ((there > 10) & (there < [1909, 1069])).all(axis=1)
    one, other = grey_at(first), grey_at(later)
    shuffled = np.random.default_rng(0).permutation(there[inside])
    alike, unlike = (
        np.median([np.corrcoef(one(*a), other(*b))[0, 1] for a, b in zip(here[inside], places, strict=True)])
        for places in (there[inside], shuffled)
    )
    assert alike > 0.5
    assert abs(unlike) < 0.2


def test_linked_reconstructions_are_found(tmp_path):
    colmap(tmp_path / "disk/a")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/scene").symlink_to(tmp_path / "disk/a")
    assert {id.sequence for id in Sfm(tmp_path / "root").ids} == {"scene/cam/f"}
