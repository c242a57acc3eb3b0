from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.rigs import rigs
from leadline.data.cityscapes import CityscapesLayout
from leadline.rig import Rig


@pytest.fixture(scope="module")
def made():
    return rigs(CityscapesLayout().mounts(), count=3, scale=0.1, drives=True)


@pytest.fixture(scope="module")
def root(made, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("cityscapes")
    written = CityscapesLayout().write_clip(root, 2, made)
    assert sorted(written) == sorted(path for path in root.rglob("*") if path.is_file())
    return root


def read(root: Path, package: str, suffix: str = ".png") -> Path:
    return root / package / "test" / "berlin" / f"berlin_000002_000001_{package}{suffix}"


def test_depth_by_disparity_and_camera(made, root):
    camera = json.loads(read(root, "camera", ".json").read_text())
    assert set(camera["extrinsic"]) == {"baseline", "pitch", "roll", "x", "y", "yaw", "z"}
    assert set(camera["intrinsic"]) == {"fx", "fy", "u0", "v0"}
    codes = cv2.imread(str(read(root, "disparity")), cv2.IMREAD_UNCHANGED)
    assert codes.dtype == np.uint16
    disparity = (codes.astype(np.float64) - 1) / 256
    true = made[1]["left"].depth.values
    product = camera["extrinsic"]["baseline"] * camera["intrinsic"]["fx"]
    np.testing.assert_allclose(disparity, product / true, atol=1 / 512 + 1e-5)

    left, right = (cv2.imread(str(read(root, f"{side}Img8bit"))).astype(np.float32) for side in ("left", "right"))
    v, u = np.mgrid[: left.shape[0], : left.shape[1]].astype(np.float32)
    seen = (u > disparity)[..., None]
    errors = {
        sign: np.abs(cv2.remap(right, u - sign * disparity.astype(np.float32), v, cv2.INTER_LINEAR) - left)[
            np.broadcast_to(seen, left.shape)
        ].mean()
        for sign in (-1, 0, 1)
    }
    assert errors[1] < 0.5 * min(errors[0], errors[-1])


def test_extrinsic_is_where_the_camera_sits(made, root):
    extrinsic = json.loads(read(root, "camera", ".json").read_text())["extrinsic"]
    (sp, sr, sy), (cp, cr, cy) = ([f(extrinsic[angle]) for angle in ("pitch", "roll", "yaw")] for f in (np.sin, np.cos))
    # as the data set's calibration document has it, from x forward, y left, z up
    turn = np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ])  # fmt: skip
    ahead = np.array([0.0, 0.0, 10.0])  # OpenCV's axes: x right, y down, z forward
    pose = np.linalg.inv(made[1].pose) @ made[1]["left"].pose
    origin = np.array([extrinsic[axis] for axis in "xyz"])
    np.testing.assert_allclose(pose[:3, :3] @ ahead + pose[:3, 3], turn @ [10, 0, 0] + origin)
    np.testing.assert_allclose(pose[:3, :3] @ [1.0, 0, 0], turn @ [0, -1, 0], atol=1e-12)


def test_sequences_and_vehicle(made, root):
    for index in range(3):
        name = f"leftImg8bit_sequence/test/berlin/berlin_000002_{index:06d}_leftImg8bit.png"
        image = cv2.imread(str(root / name))[..., ::-1]
        assert np.array_equal(image, np.rint(made[index]["left"].image * 255))
    vehicle = json.loads(read(root, "vehicle", ".json").read_text())
    assert vehicle == pytest.approx({"speed": np.hypot(4, 1), "yawRate": 0.3})


def test_every_30th_frame_is_annotated_from_the_20th(made, tmp_path):
    frames = dict(made[0])
    clip = [Rig({k: f.replace(time=float(index)) for k, f in frames.items()}, made[0].pose) for index in range(51)]
    CityscapesLayout().write_clip(tmp_path, 1, clip)
    names = sorted(path.name for path in (tmp_path / "disparity/val/frankfurt").iterdir())
    assert names == [f"frankfurt_000001_{index:06d}_disparity.png" for index in (19, 49)]
