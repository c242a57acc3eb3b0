from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadline.camera import Pinhole
from leadline.data.folder import DepthFormat, Folder
from leadline.depth import DepthMap
from leadline.errors import ConfigError, InputError
from leadline.io.images import write_image
from leadline.runtime.measured import Distances, Known, Length, gather, measured_points, sensor_frames, stereo_pairs

CAMERA = Pinhole(40, 30, 20.0, 20.0, 19.5, 14.5)
#: A wall that recedes to the right.
DEPTH = np.tile(np.linspace(2, 6, 40), (30, 1))


def seen(kind: str = "scale-invariant-depth", camera: Pinhole | None = CAMERA) -> DepthMap:
    """What a model says that is right up to a factor of 10."""
    return DepthMap(DEPTH / 10 if kind.endswith("depth") else 10 / DEPTH, kind, camera=camera)


def test_depths_are_those_of_the_nearest_pixel():
    uv = np.array([[3.4, 7.0], [38.6, 0.0]])
    _, said, truth = Distances(uv, np.array([1.0, 2.0])).pairs(seen())
    assert said == pytest.approx(DEPTH[[7, 0], [3, 39]] / 10)
    assert truth.tolist() == [1, 2]


def test_ranges_are_along_the_ray():
    _, _, truth = Distances(np.array([[34.5, 14.5]]), np.array([1.25]), along_ray=True).pairs(seen())
    assert truth == pytest.approx([1.0])


def test_an_object_that_faces_the_camera_is_as_far_as_its_size_says():
    # Half a metre over ten pixels of focal length 20: 1 m away.
    measured = Length(np.array([[10.0, 5.0], [20.0, 5.0]]), 0.5)
    uv, said, truth = measured.pairs(seen("affine-invariant-disparity"))
    assert uv.tolist() == [[15, 5]]
    assert truth == pytest.approx([1.0])
    assert said == pytest.approx([np.median(10 / DEPTH[5, 10:21])], rel=1e-5)


@pytest.mark.parametrize("kind", ["scale-invariant-depth", "scale-invariant-disparity"])
def test_an_object_that_recedes_gives_the_scale(kind):
    ends = np.array([[5.0, 4.0], [35.0, 20.0]])
    rays = CAMERA.unproject(ends)
    true = [DEPTH[4, 5] * rays[0], DEPTH[20, 35] * rays[1]]
    measured = Length(ends, float(np.linalg.norm(true[0] - true[1])), facing=False)
    _, said, truth = measured.pairs(seen(kind))
    ratio = truth / said if kind.endswith("-depth") else truth * said
    assert ratio == pytest.approx([10], rel=1e-5)


@pytest.mark.parametrize(
    ("measured", "kind", "camera", "expected"),
    [
        (Distances(np.array([[40.0, 0.0]]), np.ones(1)), "scale-invariant-depth", CAMERA, "u 40, v 0 lies outside"),
        (Distances(np.zeros((1, 2)), np.ones(1), True), "scale-invariant-depth", None, "need the camera"),
        (Length(np.eye(2), 1.0), "scale-invariant-depth", None, "need the camera"),
        (Length(np.eye(2), 1.0, False), "affine-invariant-depth", CAMERA, "facing"),
    ],
)
def test_what_cannot_be_used_names_the_image(measured, kind, camera, expected):
    known = [Known(Path("a.png"), [measured], "measured", name="a.png")]
    with pytest.raises((InputError, ConfigError), match=f"a.png: .*{expected}"):
        gather(lambda image, given: seen(kind, camera), known, "m")


def test_gathering_leaves_out_what_the_model_does_not_know_and_thins_what_is_dense():
    v, u = np.mgrid[:30, :40]
    uv = np.stack([u.ravel(), v.ravel()], axis=-1).astype(float)
    holed = DepthMap(np.where(u < 10, np.nan, DEPTH), "metric-depth", "mm")
    known = [Known(Path("a"), [Distances(uv, DEPTH.ravel())], "depth sensor")]
    gathered = gather(lambda image, camera: holed, known, "cm")
    assert len(gathered.points) == 900
    assert gathered.points.depth == pytest.approx(gathered.points.truth / 10)  # mm read as cm
    assert gathered.points.disparity == pytest.approx(10 / gathered.points.truth)
    twice = gather(lambda image, camera: seen(), [known[0], known[0]], "m")
    assert twice.sources == {"depth sensor": 2000}
    assert twice.images == 2
    with pytest.raises(InputError, match="no known distance"):
        gather(lambda image, camera: holed, [Known(Path("a"), [Distances(uv[:1], np.ones(1))], "x")], "m")


def test_files_of_points(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((30, 40, 3), np.uint8))
    (tmp_path / "p.yaml").write_text(
        "unit: cm\nfov: 90\npoints:\n- {image: a.png, u: 3, v: 4, depth: 150}\n"
        "- {image: a.png, u: 5, v: 6, range: 90}\n"
        "- {image: a.png, u: 1, v: 2, u2: 11, v2: 2, length: 50, facing: false}\n"
    )
    [known] = measured_points(tmp_path / "p.yaml", "m")
    assert known.image == tmp_path / "a.png"
    assert known.camera == Pinhole.from_fov(40, 30, 90)
    depth, distance, length = known.measurements
    assert (depth.uv.tolist(), depth.values, depth.along_ray) == ([[3, 4]], [1.5], False)
    assert (distance.values, distance.along_ray) == ([0.9], True)
    assert (length.ends.tolist(), length.length, length.facing) == ([[1, 2], [11, 2]], 0.5, False)
    (tmp_path / "p.csv").write_text("image, u, v, depth, range\na.png, 3, 4, 150,\na.png, 5, 6, , 90\n")
    [known] = measured_points(tmp_path / "p.csv", "mm")
    assert [float(each.values[0]) for each in known.measurements] == [150, 90]
    assert known.camera is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("points: 3", "no list 'points'"),
        ("unit: ft\npoints: []", "unit: one of m, cm, mm"),
        ("pionts: []\npoints: []", "did you mean 'points'"),
        ("points: [{u: 1, v: 1, depth: 1}]", "point 1: image missing"),
        ("points: [{image: a, u: 1, v: 1}]", "one of depth, range and length, not none"),
        ("points: [{image: a, u: 1, v: 1, depth: 1, range: 1}]", "not depth and range"),
        ("points: [{image: a, u: 1, depth: 1}]", "v missing"),
        ("points: [{image: a, u: 1, v: x, depth: 1}]", "v: a number, not 'x'"),
        ("points: [{image: a, u: 1, v: 1, depth: -1}]", "depth: above 0"),
        ("points: [{image: a, u: 1, v: 1, dpeth: 1}]", "did you mean 'depth'"),
        ("points: [{image: a, u: 1, v: 1, u2: 1, v2: 1, length: 1}]", "the two pixels are the same"),
        ("points: [", "not a YAML file"),
    ],
)
def test_files_of_points_that_are_wrong_say_where(text, expected, tmp_path):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError, match=expected) as raised:
        list(measured_points(tmp_path / "p.yaml", "m"))
    assert "p.yaml" in str(raised.value)


def test_sensor_frames_are_in_the_unit_asked_for(scenes):
    data = Folder(scenes, every=12)
    first, second = sensor_frames(data, "cm")
    [distances] = first.measurements
    u, v = distances.uv.astype(int).T
    assert distances.values == pytest.approx(100 * data[0].depth.values[v, u], rel=1e-5)
    assert second.image == data.paths[1]
    relative = Folder(scenes, depth=DepthFormat("scale-invariant-depth", "arbitrary"))
    relative.format.read(relative.depth_paths[0])  # what leadline wrote says itself that it is metric
    next(iter(sensor_frames(relative, "m")))


def test_a_real_stereo_pair_gives_the_depth_of_its_calibration(tmp_path):
    data = pytest.importorskip("skimage.data")
    left, right, disparity = data.stereo_motorcycle()
    write_image(tmp_path / "l.png", left)
    write_image(tmp_path / "r.png", right)
    camera = Pinhole(741, 500, 994.978, 994.978, 311.193, 254.877)
    pair = [tmp_path / "l.png"], [tmp_path / "r.png"]
    [known] = stereo_pairs(*pair, 193.001, lambda *_: camera, 31.086)
    [distances] = known.measurements
    u, v = distances.uv.astype(int).T
    known_there = np.isfinite(disparity[v, u])
    truth = 994.978 * 193.001 / (disparity[v, u][known_there] + 31.086)
    error = np.abs(distances.values[known_there] / truth - 1)
    assert np.median(error) < 0.005
    assert (error < 0.03).mean() > 0.9
    assert 2000 < np.median(distances.values) < 5000  # mm
    with pytest.raises(InputError, match="needs its pinhole camera"):
        next(iter(stereo_pairs(*pair, 1.0, lambda *_: None)))
    with pytest.raises(ConfigError, match="do not make pairs"):
        next(iter(stereo_pairs(pair[0], [], 1.0, lambda *_: camera)))
    with pytest.raises(ConfigError, match="baseline"):
        next(iter(stereo_pairs(*pair, 0.0, lambda *_: camera)))
