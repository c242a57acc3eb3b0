from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.camera import Camera, Fisheye, Omnidirectional, Pinhole, RadialTangential
from leadline.errors import ConfigError, InputError

C3VD = Omnidirectional(
    1350, 1080, 678.544839, 542.975888, 769.2436, -8.127706e-4, 6.256742e-7, -1.196622e-9,
    c=0.99998688, d=0.00288274, e=-0.00296317,
)  # fmt: skip
CAMERAS = [
    Pinhole(64, 48, 50.0, 55.0, 30.0, 25.0),
    RadialTangential(64, 48, 50.0, 55.0, 30.0, 25.0, -0.2, 0.05, 0.002, -0.003, 0.01),
    Fisheye(64, 48, 40.0, 42.0, 30.0, 25.0, 0.05, -0.01, 0.003, -0.001),
    replace(C3VD.resize(48, 64), d=0.02, e=-0.01),
]


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    width, height = draw(st.integers(8, 2000)), draw(st.integers(8, 2000))
    focal = max(width, height) * draw(floats(0.3, 3))
    centre = {"cx": width * draw(floats(0.2, 0.8)), "cy": height * draw(floats(0.2, 0.8))}
    base = {"width": width, "height": height, "fx": focal, "fy": focal * draw(floats(0.8, 1.2)), **centre}
    k = [draw(floats(-size, size)) for size in (0.4, 0.2, 0.1, 0.05)]
    match draw(st.sampled_from(["pinhole", "radial", "fisheye", "omnidirectional"])):
        case "pinhole":
            return Pinhole(**base)
        case "radial":
            p1, p2 = draw(floats(-0.01, 0.01)), draw(floats(-0.01, 0.01))
            return RadialTangential(**base, k1=k[0], k2=k[1], p1=p1, p2=p2, k3=k[2])
        case "fisheye":
            return Fisheye(**base, k1=k[0] / 2, k2=k[1] / 2, k3=k[2] / 2, k4=k[3] / 2)
    stretch = {"c": draw(floats(0.9, 1.1)), "d": draw(floats(-0.05, 0.05)), "e": draw(floats(-0.05, 0.05))}
    polynomial = {"a0": focal, "a2": k[0] / focal, "a3": k[1] / focal**2, "a4": k[2] / focal**3}
    return Omnidirectional(width, height, **centre, **polynomial, **stretch)


def pixels(camera: Camera, seed: int, n: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).uniform((-0.5, -0.5), (camera.width - 0.5, camera.height - 0.5), (n, 2))


def seen_points(camera: Camera, seed: int = 0, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Random points that the camera sees, and their pixels."""
    uv = np.concatenate(([[camera.cx, camera.cy]], pixels(camera, seed, n)))
    rays = camera.unproject(uv)
    points = rays[np.isfinite(rays).all(-1)] * np.random.default_rng(seed).uniform(0.5, 5)
    uv, valid = camera.project(points)
    assert valid.all()
    return points, uv


# ---- models


@settings(max_examples=300, deadline=None)
@given(cameras(), st.integers(0, 2**31))
def test_project_inverts_unproject(camera: Camera, seed: int) -> None:
    centre = np.array([[camera.cx, camera.cy]])
    uv = np.concatenate((centre, pixels(camera, seed)))
    rays = camera.unproject(uv)
    seen = np.isfinite(rays).all(-1)
    assert seen[0], "the principal point must have a ray"
    depth = np.random.default_rng(seed).uniform(0.1, 100, (seen.sum(), 1))
    back, valid = camera.project(rays[seen] * depth)
    assert valid.all()
    np.testing.assert_allclose(back, uv[seen], rtol=0, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(cameras(), st.integers(0, 2**31))
def test_unproject_inverts_project(camera: Camera, seed: int) -> None:
    tangents = np.random.default_rng(seed).uniform(-0.45, 0.45, (50, 2))
    rays = np.concatenate((tangents, np.ones((50, 1))), -1)
    uv, valid = camera.project(rays)
    assert valid[np.linalg.norm(rays[:, :2], axis=-1) < 0.3].all()
    inverse = camera.unproject(uv[valid])
    np.testing.assert_allclose(inverse, rays[valid], rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_radial_tangential_is_opencv(seed: int) -> None:
    camera, rng = CAMERAS[1], np.random.default_rng(seed)
    points = rng.uniform((-1, -1, 2), (1, 1, 4), (100, 3))
    distortion = np.array([camera.k1, camera.k2, camera.p1, camera.p2, camera.k3])
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.K, distortion)
    ours, valid = camera.project(points)
    assert valid.all()
    np.testing.assert_allclose(ours, theirs[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_fisheye_is_opencv(seed: int) -> None:
    camera, rng = CAMERAS[2], np.random.default_rng(seed)
    points = rng.uniform((-5, -5, 1), (5, 5, 4), (100, 3))
    distortion = np.array([camera.k1, camera.k2, camera.k3, camera.k4])
    theirs, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), camera.K, distortion)
    ours, valid = camera.project(points)
    assert valid.all()
    np.testing.assert_allclose(ours, theirs[:, 0], rtol=0, atol=1e-9)


def test_omnidirectional_is_the_published_formula() -> None:
    uv = np.array([[0.0, 540.0], [678.0, 10.0], [900.0, 700.0], [1349.0, 400.0]])
    xy = (uv - (C3VD.cx, C3VD.cy)) @ np.linalg.inv([[C3VD.c, C3VD.d], [C3VD.e, 1]]).T
    r = np.linalg.norm(xy, axis=-1)
    z = 769.2436 - 8.127706e-4 * r**2 + 6.256742e-7 * r**3 - 1.196622e-9 * r**4
    rays = C3VD.unproject(uv)
    np.testing.assert_allclose(rays, np.concatenate((xy / z[:, None], np.ones((4, 1))), -1), rtol=1e-12)
    back, valid = C3VD.project(7.0 * rays)
    assert valid.all()
    np.testing.assert_allclose(back, uv, rtol=0, atol=1e-6)


def test_c3vd_corners_look_backwards() -> None:
    rays = C3VD.rays()
    assert rays.shape == (1080, 1350, 3)
    v, u = np.mgrid[:1080, :1350]
    r = np.hypot(u - C3VD.cx, v - C3VD.cy)
    forward = np.isfinite(rays).all(-1)
    z = np.polynomial.polynomial.polyval(r, [C3VD.a0, 0, C3VD.a2, C3VD.a3, C3VD.a4])
    agrees = forward == (z > 0)
    assert agrees[abs(z) > 10].all()  # r here ignores the stretch
    assert not forward[0, 0]
    assert forward.mean() > 0.9


def test_nothing_is_seen_behind_or_beyond_the_model() -> None:
    behind = np.array([[0.1, 0, -1], [0.1, 0, 0], [0, 0, 0], [np.nan, 0, 1], [1, np.inf, 1]])
    for camera in CAMERAS:
        uv, valid = camera.project(behind)
        assert not valid.any()
        assert np.isfinite(uv).all()
    # r (1 - 0.5 r^2) turns back at r^2 = 2/3, where it is 0.5443
    barrel = RadialTangential(64, 48, 50.0, 50.0, 32.0, 24.0, k1=-0.5)
    inside, outside = math.sqrt(2 / 3) - 1e-6, math.sqrt(2 / 3) + 1e-6
    _, valid = barrel.project(np.array([[inside, 0.0, 1.0], [outside, 0.0, 1.0]]))
    assert valid.tolist() == [True, False]
    rays = barrel.unproject(np.array([[32 + 50 * 0.544, 24.0], [32 + 50 * 0.545, 24.0]]))
    assert np.isfinite(rays[:, 0]).tolist() == [True, False]
    # t (1 - 0.5 t^2) likewise, in the angle
    fisheye = Fisheye(64, 48, 50.0, 50.0, 32.0, 24.0, k1=-0.5)
    _, valid = fisheye.project(np.array([[math.tan(inside), 0.0, 1.0], [math.tan(outside), 0.0, 1.0]]))
    assert valid.tolist() == [True, False]
    rays = fisheye.unproject(np.array([[32 + 50 * 0.544, 24.0], [32 + 50 * 0.545, 24.0]]))
    assert np.isfinite(rays[:, 0]).tolist() == [True, False]
    # an equidistant fisheye sees 90 degrees at a radius of pi/2 focal lengths: no z-depth from there on
    wide = Fisheye(400, 400, 100.0, 100.0, 200.0, 200.0)
    rays = wide.unproject(np.array([[200 + 155.0, 200.0], [200 + 158.0, 200.0]]))
    np.testing.assert_allclose(rays[0], (math.tan(1.55), 0, 1), rtol=1e-9, atol=1e-15)
    assert np.isnan(rays[1, 0])


def test_rays_are_the_pixels_in_order() -> None:
    camera = CAMERAS[0]
    rays = camera.rays()
    assert rays.shape == (48, 64, 3)
    assert rays.dtype == np.float64
    np.testing.assert_allclose(rays[7, 11], ((11 - 30) / 50, (7 - 25) / 55, 1), rtol=1e-12)
    assert camera.rays(np.zeros(1, np.float32)).dtype == np.float32


# ---- constructors


def test_field_of_view() -> None:
    camera = Pinhole.from_fov(640, 480, 90)
    assert camera.fx == pytest.approx(320)
    assert camera.fy == camera.fx
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    left, right = camera.unproject(np.array([[-0.5, 239.5], [639.5, 239.5]]))
    assert math.degrees(math.atan(right[0]) - math.atan(left[0])) == pytest.approx(90)
    with pytest.raises(ConfigError, match="180"):
        Pinhole.from_fov(640, 480, 180)


def test_impossible_parameters() -> None:
    with pytest.raises(ConfigError, match="0x48"):
        Pinhole.from_focal(0, 48, 50)
    with pytest.raises(ConfigError, match="fx is -1"):
        Pinhole(64, 48, -1.0, 50.0, 30.0, 25.0)
    with pytest.raises(ConfigError, match="k1 is nan"):
        RadialTangential(64, 48, 50.0, 50.0, 30.0, 25.0, k1=math.nan)


# ---- changes of the image


def expected(uv: np.ndarray, sx: float, sy: float) -> np.ndarray:
    return (uv + 0.5) * (sx, sy) - 0.5


@settings(max_examples=150, deadline=None)
@given(cameras(), st.integers(1, 3000), st.integers(1, 3000))
def test_resize(camera: Camera, height: int, width: int) -> None:
    points, uv = seen_points(camera)
    resized = camera.resize(height, width)
    assert (resized.height, resized.width) == (height, width)
    new, valid = resized.project(points)
    assert valid.all()
    np.testing.assert_allclose(new, expected(uv, width / camera.width, height / camera.height), rtol=0, atol=1e-6)


@settings(max_examples=150, deadline=None)
@given(cameras(), st.data())
def test_crop_pad_flip(camera: Camera, data: st.DataObject) -> None:
    points, uv = seen_points(camera)
    top, left = data.draw(st.integers(0, camera.height - 1)), data.draw(st.integers(0, camera.width - 1))
    height = data.draw(st.integers(1, camera.height - top))
    width = data.draw(st.integers(1, camera.width - left))
    cropped = camera.crop(top, left, height, width)
    assert (cropped.height, cropped.width) == (height, width)
    np.testing.assert_allclose(cropped.project(points)[0], uv - (left, top), rtol=0, atol=1e-6)

    padded = camera.pad(top, 2, left, 3)
    assert (padded.height, padded.width) == (camera.height + top + 2, camera.width + left + 3)
    np.testing.assert_allclose(padded.project(points)[0], uv + np.array((left, top)), rtol=0, atol=1e-6)

    flipped, valid = camera.flip().project(points * (-1, 1, 1))
    assert valid.all()
    np.testing.assert_allclose(flipped, (camera.width - 1, 0) + uv * (-1, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_changes_undo_each_other(camera: Camera) -> None:
    for same in (
        camera.flip().flip(),
        camera.pad(3, 4, 5, 6).crop(3, 5, camera.height, camera.width),
        camera.resize(31, 17).resize(camera.height, camera.width),
    ):
        assert same.to_dict() == pytest.approx(camera.to_dict())


def test_crop_outside() -> None:
    with pytest.raises(ConfigError, match="columns 60:70"):
        CAMERAS[0].crop(0, 60, 10, 10)


def test_fit() -> None:
    camera = CAMERAS[0]
    assert camera.fit(64, 48) is camera
    assert camera.fit(128, 96) == camera.resize(96, 128)
    with pytest.raises(InputError, match="64x48"):
        camera.fit(64, 64)


# ---- files and dictionaries


@settings(max_examples=50, deadline=None)
@given(cameras())
def test_dictionary_round_trip(camera: Camera) -> None:
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera
    assert Camera.from_dict(yaml.safe_load(yaml.safe_dump(camera.to_dict()))) == camera


def test_load(tmp_path) -> None:
    for camera in CAMERAS:
        (tmp_path / "camera.json").write_text(json.dumps(camera.to_dict()))
        (tmp_path / "camera.yaml").write_text(yaml.safe_dump(camera.to_dict()))
        assert Camera.load(tmp_path / "camera.json") == camera
        assert Camera.load(tmp_path / "camera.yaml", 128, 96) == camera.resize(96, 128)
    path = tmp_path / "by_hand.yml"
    path.write_text("width: 64\nheight: 48\nK: [50, 0, 30, 0, 55, 25, 0, 0, 1]\n")
    assert Camera.load(path) == CAMERAS[0]
    path.write_text("model: fisheye\nwidth: 64\nheight: 48\nK: [[50, 0, 30], [0, 55, 25], [0, 0, 1]]\nk1: 1e-4\n")
    assert Camera.load(path) == Fisheye(64, 48, 50, 55, 30, 25, k1=1e-4)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("width: 64\nheight: 48\nfocal: 3", ConfigError, "focal: not a key"),
        ("model: fisheyes", ConfigError, "did you mean 'fisheye'"),
        ("width: 64\nheight: 48\nfx: 5\nfy: 5\ncx: 3", ConfigError, "cy: missing"),
        ("width: 64\nheight: 48\nfx: wide\nfy: 5\ncx: 3\ncy: 3", ConfigError, "fx: 'wide' is not a number"),
        ("width: 64\nheight: 48\nK: [1, 2, 3]", InputError, "3x3"),
        ("width: 64\nheight: 48\nK: [5, 1, 3, 0, 5, 3, 0, 0, 1]", InputError, "fx, 0, cx"),
        ("width: 64\nheight: 48\nfx: 5\nK: [5, 0, 3, 0, 5, 3, 0, 0, 1]", ConfigError, "one or the other"),
        ("just text", InputError, "holds no keys"),
        ("a: [1", InputError, "cannot be read"),
    ],
)
def test_bad_files(tmp_path, text: str, error: type[Exception], message: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message) as caught:
        Camera.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_matrix_file(tmp_path, real_data) -> None:
    camera = Camera.load(real_data / "sevenscenes" / "camera-intrinsics.txt", 640, 480)
    assert camera == Pinhole(640, 480, 585.0, 585.0, 320.0, 240.0)
    with pytest.raises(InputError, match="width and height"):
        Camera.load(real_data / "sevenscenes" / "camera-intrinsics.txt")
    (tmp_path / "k.txt").write_text("1 2 three")
    with pytest.raises(InputError, match="3x3"):
        Camera.load(tmp_path / "k.txt", 64, 48)
    with pytest.raises(InputError, match="cannot be read"):
        Camera.load(tmp_path / "absent.txt", 64, 48)


# ---- torch


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_torch_agrees_with_numpy(camera: Camera) -> None:
    points, uv = seen_points(camera)
    theirs, valid = camera.project(torch.from_numpy(points))
    assert valid.all()
    np.testing.assert_allclose(theirs.numpy(), uv, rtol=0, atol=1e-9)
    single = camera.rays(torch.zeros(1))
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), camera.rays(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_gradients_of_all_parameters(camera: Camera) -> None:
    values = camera._parameters()
    tensors = [torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in values.values()]
    points = torch.tensor([[0.1, 0.2, 1.0], [-0.3, 0.1, 1.2], [0.2, -0.25, 2.0]], dtype=torch.float64)
    uv = torch.from_numpy(camera.project(points.numpy())[0])

    def both(points: torch.Tensor, uv: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        learned = replace(camera, **dict(zip(values, parameters, strict=True)))
        return learned.project(points)[0], learned.unproject(uv)

    assert torch.autograd.gradcheck(
        both, (points.requires_grad_(), uv.requires_grad_(), *tensors), eps=1e-6, atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_gradients_stay_finite_where_nothing_is_seen(camera: Camera) -> None:
    learned = replace(camera, cx=torch.tensor(float(camera.cx), requires_grad=True))
    points = torch.tensor(
        [[0.0, 0, 0], [0, 0, 1], [1, 1, -1], [1, 0, 1e-30], [50.0, 0, 1], [0.1, 0.1, 1]], requires_grad=True
    )
    uv, valid = learned.project(points)
    rays = learned.unproject(torch.tensor([[30.0, 25.0], [1e4, 1e4], [5.0, 5.0]]))
    loss = uv[valid].sum() + torch.where(torch.isfinite(rays), rays, 0.0).sum()
    loss.backward()
    assert torch.isfinite(points.grad).all()
    assert torch.isfinite(learned.cx.grad)
    assert valid[1]
    assert valid[5]


def test_learned_focal_length_has_the_right_gradient() -> None:
    fx = torch.tensor(50.0, requires_grad=True)
    uv, _ = replace(CAMERAS[0], fx=fx).resize(96, 128).project(torch.tensor([[0.3, 0.0, 2.0]]))
    uv[0, 0].backward()
    assert fx.grad == pytest.approx(2 * 0.3 / 2)  # resized by two: u = 2 fx x/z + ...


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.model)
def test_stack(camera: Camera) -> None:
    batch = [camera, camera.flip(), camera.pad(2, 0, 3, 0).crop(0, 0, 48, 64)]
    stacked = Camera.stack(batch)
    rays = stacked.rays(torch.zeros(1))
    assert rays.shape == (3, 48, 64, 3)
    for one, many in zip(batch, rays, strict=True):
        np.testing.assert_allclose(many.numpy(), one.rays(), rtol=1e-4, atol=1e-5)
    uv, valid = stacked.project(rays * 3)
    seen = torch.isfinite(rays).all(-1)
    assert torch.equal(valid, seen)
    grid = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(48), indexing="xy"), -1)
    assert (uv - grid)[seen].abs().max() < 1e-3
    with pytest.raises(ConfigError, match="one image size"):
        Camera.stack([camera, camera.resize(20, 20)])


def test_importing_the_vocabulary_does_not_import_torch() -> None:
    code = "import sys, leadline.camera, leadline.frame, leadline.depth; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
