from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.cityscapes import Cityscapes, CityscapesLayout
from leadline.data.lists import FrameId
from leadline.errors import ConfigError, InputError
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


ULM = FrameId("train/ulm/ulm_000064", 19)
AFTER = FrameId("train/ulm/ulm_000064", 20)
CODES = np.array([[0, 1, 257, 513], [2, 65535, 0, 1025]], np.uint16)


def put(root: Path, package: str, name: str, array: np.ndarray | None = None, value: object = None) -> Path:
    path = root / package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        path.write_text(json.dumps(value))
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.fixture(params=["", "_trainvaltest"], ids=["packages", "archives"])
def small(tmp_path, request) -> Path:
    def place(package: str) -> str:
        return f"{package}{request.param}/{package}" if request.param else package

    grey = np.full((2, 4, 3), 51, np.uint8)
    put(tmp_path, place("leftImg8bit"), "train/ulm/ulm_000064_000019_leftImg8bit.png", grey)
    put(tmp_path, place("leftImg8bit"), "test/bad-honnef/bad-honnef_000000_012345_leftImg8bit.png", grey)
    for number in (18, 19, 20):
        name = f"train/ulm/ulm_000064_{number:06d}_leftImg8bit.png"
        put(tmp_path, place("leftImg8bit_sequence"), name, grey + (0 if number == 19 else 51))
    put(tmp_path, place("disparity"), "train/ulm/ulm_000064_000019_disparity.png", CODES)
    camera = {"extrinsic": {"baseline": 0.25, "pitch": 0.1}, "intrinsic": {"fx": 8, "fy": 9, "u0": 1.5, "v0": 0.5}}
    put(tmp_path, place("camera"), "train/ulm/ulm_000064_000019_camera.json", value=camera)
    return tmp_path


def test_depth_is_baseline_times_focal_length_by_disparity(small):
    data = Cityscapes(small, "train")
    assert data.ids == [ULM]
    depth = data.depth(ULM)
    # d = (p - 1) / 256 pixels, 0 unknown, and nothing is known of what has none
    assert depth.valid.tolist() == [[False, False, True, True], [True, True, False, True]]
    expected = [2 / 1, 2 / 2, 2 * 256, 2 * 256 / 65534, 2 / 4]
    np.testing.assert_allclose(depth.values[depth.valid], expected, rtol=1e-6)
    assert (str(depth.kind), depth.unit) == ("metric-depth", "m")
    frame = data[0]
    assert np.array_equal(frame.image, np.full((2, 4, 3), 0.2, np.float32))
    lens = frame.camera
    assert (lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy) == (4, 2, 8, 9, 1.5, 0.5)
    assert frame.pose is None
    assert frame.time == 19 / 17
    assert all(path.is_file() for path in data.files(ULM))


def test_neighbours_come_from_the_sequences(small):
    data = Cityscapes(small, "train")
    clip = data.clip(0)
    assert [round(float(frame.image[0, 0, 0]), 3) for frame in clip] == [0.4, 0.2, 0.4]
    assert clip[2].depth is None
    assert clip[2].camera == clip[1].camera
    assert data.neighbour(ULM, 2) is None
    assert Cityscapes(small, "all").ids == [
        FrameId("test/bad-honnef/bad-honnef_000000", 12345), FrameId("train/ulm/ulm_000064", 18), ULM, AFTER
    ]  # fmt: skip


def test_disparity_of_sequences_is_used_where_it_is(small):
    put(small, "disparity_sequence", "train/ulm/ulm_000064_000020_disparity.png", CODES)
    depth = Cityscapes(small, "all").depth(AFTER)
    assert depth.values[0, 2] == 2


def test_lists_as_the_field_writes_them(small):
    data = Cityscapes(small)
    honnef = FrameId("test/bad-honnef/bad-honnef_000000", 12345)
    assert data.ids == [honnef]
    assert data.parse("ulm ulm_000064_000020") == AFTER
    assert data.parse("leftImg8bit/test/bad-honnef/bad-honnef_000000_012345_leftImg8bit.png") == honnef
    with pytest.raises(InputError, match="does not name a frame such as ulm_000064_000012"):
        data.parse("ulm 64 20")
    with pytest.raises(InputError, match="there is no city bonn"):
        data.parse("bonn bonn_000000_000019")
    (small / "splits").mkdir()
    (small / "splits/monodepth-val.txt").write_text("ulm ulm_000064_000018\nulm ulm_000064_000020\n")
    assert Cityscapes(small, "monodepth-val").ids[1] == AFTER


def test_images_without_calibration_have_no_camera(tmp_path):
    put(tmp_path, "leftImg8bit", "val/ulm/ulm_000064_000019_leftImg8bit.jpg", np.zeros((2, 4, 3), np.uint8))
    data = Cityscapes(tmp_path, "val", "none")
    frame = data[0]
    assert frame.camera is None
    assert frame.depth is None
    assert data.files(data.ids[0]) == [data.paths[0]]


def test_what_is_missing_is_named(small):
    honnef = Cityscapes(small)
    with pytest.raises(InputError, match=r"bad-honnef_000000_012345_camera\.json: no such file; camera_trainvaltest"):
        honnef.depth(honnef.ids[0])
    data = Cityscapes(small, "train")
    calibration = data.files(ULM)[2]
    calibration.write_text('{"intrinsic": {"fx": 1}}')
    with pytest.raises(InputError, match=r"camera\.json: should hold extrinsic\.baseline and intrinsic\.fx, fy, u0"):
        data.camera(ULM)
    calibration.write_text(json.dumps({"extrinsic": {"baseline": 1}, "intrinsic": dict.fromkeys(("fx", "fy"), 1)}))
    with pytest.raises(InputError, match=r"camera\.json: should hold"):
        data.camera(ULM)
    data.files(ULM)[1].unlink()
    with pytest.raises(InputError, match=r"splits/monodepth-train\.txt: split monodepth-train needs this list"):
        Cityscapes(small, "monodepth-train")
    calibration.write_text(
        json.dumps({"extrinsic": {"baseline": 1}, "intrinsic": dict.fromkeys(("fx", "fy", "u0", "v0"), 1)})
    )
    with pytest.raises(InputError, match=r"ulm_000064_000019_disparity\.png: no such file"):
        data.depth(ULM)
    with pytest.raises(InputError, match="holds no frame of cityscapes, split val"):
        Cityscapes(small, "val")


def test_what_the_layout_writes_is_read(made, root):
    data = Cityscapes(root)
    assert data.ids == [FrameId("test/berlin/berlin_000002", 1)]
    frame, true = data[0], made[1]["left"]
    np.testing.assert_allclose(frame.image, true.image, atol=1e-6)
    assert frame.depth.valid.all()
    product = 0.209313 * true.camera.fx
    np.testing.assert_allclose(product / frame.depth.values, product / true.depth.values, atol=1 / 512 + 1e-5)
    np.testing.assert_allclose(frame.camera.K, true.camera.K)
    assert len(data.clip(0)) == 3
    assert len(Cityscapes(root, "all")) == 3


def test_sequences_may_be_jpeg_beside_annotated_png(small):
    whole = Cityscapes(small, "all").ids
    for path in list(small.glob("**/leftImg8bit_sequence/*/*/*.png")):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    data = Cityscapes(small, "all")
    assert data.ids == whole
    assert all(path.is_file() for path in data.paths)
    assert {data.image(ULM).suffix, data.image(AFTER).suffix} == {".png", ".jpg"}


def test_images_made_smaller_keep_their_calibration(tmp_path):
    name = "train/ulm/ulm_000064_000019"
    put(tmp_path, "leftImg8bit", f"{name}_leftImg8bit.png", np.zeros((128, 256, 3), np.uint8))
    camera = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2262.5, "fy": 2265, "u0": 1097, "v0": 513}}
    put(tmp_path, "camera", f"{name}_camera.json", value=camera)
    whole = Pinhole(2048, 1024, 2262.5, 2265.0, 1097.0, 513.0)
    assert Cityscapes(tmp_path, "train").camera(ULM) == whole.resize(128, 256)
    put(tmp_path, "leftImg8bit", f"{name}_leftImg8bit.png", np.zeros((192, 640, 3), np.uint8))
    with pytest.raises(InputError, match=r"000019_camera.json: the camera is of a 2048x1024 image"):
        Cityscapes(tmp_path, "train").camera(ULM)


def test_the_bonnet_can_be_left_out(made, root):
    whole, upper = Cityscapes(root, "all"), Cityscapes(root, "all", above=0.75)
    one, other = whole[0], upper[0]
    assert (other.height, other.width) == (round(0.75 * one.height), one.width)
    np.testing.assert_array_equal(other.image, one.image[: other.height])
    assert other.camera.cy == one.camera.cy
    with pytest.raises(ConfigError, match="above: 0 is no part"):
        Cityscapes(root, "all", above=0)
