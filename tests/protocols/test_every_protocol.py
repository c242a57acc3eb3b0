"""Every protocol on files in the layout of its data set: the truth as prediction has no error, its scale no weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from common.rigs import rigs
from leadline.data.dataset import DataSet, open_dataset
from leadline.data.layout import layouts
from leadline.data.lists import FrameId
from leadline.depth import DepthMap
from leadline.frame import Frame
from leadline.protocols import protocols
from leadline.protocols.candidate import Candidate
from leadline.protocols.protocol import Protocol

JUDGED = [name for name in protocols() if name not in ("folder", "da-2k")]
#: A grid of another size than the answer is looked up in it, so that cells do not meet; see the protocol.
GRID = {"make3d": 0.05}


def photograph(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(height)
    Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(path)
    return random.uniform(1, 8, (height, width)).astype(np.float32)


def by_hand(name: str, root) -> None:
    """The data sets that no world is written as."""
    if name == "nyu":
        depth = photograph(root / "test/office/rgb_00001.png", 480, 640)
        Image.fromarray((depth * 1000).astype(np.uint16)).save(root / "test/office/sync_depth_00001.png")
    elif name == "diode":
        stem = root / "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"
        depth = photograph(stem.with_suffix(".png"), 768, 1024)
        np.save(f"{stem}_depth.npy", depth[..., None])
        np.save(f"{stem}_depth_mask.npy", np.ones(depth.shape, np.float32))
    else:
        depth = photograph(root / "office/images/dslr_images/DSC_0219.JPG", 40, 60)
        (root / "office/ground_truth_depth/dslr_images").mkdir(parents=True)
        depth.tofile(root / "office/ground_truth_depth/dslr_images/DSC_0219.JPG")


@pytest.fixture(scope="module")
def root_of(tmp_path_factory):
    roots = {}

    def make(name: str):
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp("data") / name
            roots[name].mkdir()
            if name not in layouts():
                by_hand(name, roots[name])
                return roots[name]
            layout = layouts()[name]()
            unit = "mm" if "tract" in layout.worlds else "m"
            drives = "street" in layout.worlds
            mounts = layout.mounts()
            scale = 160 / next(iter(mounts.values())).camera.width
            shot = rigs(mounts, 3, scale, unit, layout.lidar, layout.rate, drives)
            number = 8 if name == "hamlyn" else 0  # rectified14: cropped by some
            layout.write_clip(roots[name], number, shot)
            if name != "hamlyn":
                layout.finish(roots[name], 1)
        return roots[name]

    return make


#: The tests' box is larger than a room.
JUDGING = {name: replace(rules, max_depth=100) if name == "booster" else rules for name, rules in protocols().items()}


def opened(rules: Protocol, root) -> DataSet:
    return open_dataset(rules.data, root, split="all", truth=rules.truth)


def oracle(data: DataSet, factor: float = 1.0) -> Candidate:
    """Answers with the truth of the whole image, whatever part of it is shown: metric and in a unit that nobody uses,
    or times a factor and up to scale."""

    def answer(id: FrameId, _: Frame) -> DepthMap:
        frame = data.load(id)
        depth = frame.depth.to_depth() if frame.depth else DepthMap(np.ones(frame.image.shape[:2]), "metric-depth", "m")
        values = np.where(depth.valid, depth.values, 1)
        if factor == 1:
            return DepthMap(values, depth.kind, depth.unit).to_unit("cm" if depth.unit != "cm" else "m")
        return DepthMap(values * np.float32(factor), "scale-invariant-depth")

    return Candidate("oracle", answer)


@pytest.mark.parametrize("name", JUDGED)
def test_the_truth_has_no_error(name, root_of):
    rules = JUDGING[name]
    data = opened(rules, root_of(rules.data))
    result = replace(rules, alignment="none").evaluate(oracle(data), data)
    limit = GRID.get(rules.name, 1e-6)
    assert result.failures == []
    assert result.means["images"] + len(result.without_truth) == len(data)
    assert bool(result.without_truth) == (name == "cityscapes")  # which has disparity for the middle of a sequence only
    assert result.means["abs_rel"] <= limit
    assert result.means["delta1"] >= 1 - 2 * limit
    assert result.protocol["frames"] == len(data)
    if rules.across:
        assert result.means["pairs"] > 0
    if rules.temporal:
        assert result.pairs


@pytest.mark.parametrize("name", [name for name in JUDGED if protocols()[name].alignment != "none"])
def test_the_scale_of_a_prediction_does_not_matter_where_it_is_fitted(name, root_of):
    rules = JUDGING[name]
    data = opened(rules, root_of(rules.data))
    three, seven = (rules.evaluate(oracle(data, factor), data).means for factor in (3.0, 7.0))
    for key in ("abs_rel", "rmse", "delta1"):
        assert three[key] == pytest.approx(seven[key], rel=1e-4, abs=1e-5), key
    assert three["abs_rel"] < max(1e-3, 2 * GRID.get(rules.name, 0))


def test_the_crops_of_the_field():
    every = protocols()
    assert every["kitti-eigen"].judged.of(375, 1242) == (slice(153, 371), slice(44, 1197))
    assert every["kitti-marigold"].view.of(375, 1242) == (slice(23, 375), slice(13, 1229))
    assert every["kitti-marigold"].judged.of(352, 1216) == (slice(117, 321), slice(43, 1172))
    assert every["cityscapes"].view.of(1024, 2048) == (slice(0, 768), slice(0, 2048))
    assert every["cityscapes"].judged.of(768, 2048) == (slice(256, 768), slice(192, 1856))
    rows, columns = every["make3d"].view.of(2272, 1704)
    assert (rows.stop - rows.start, columns) == (852, slice(0, 1704))
    assert every["c3vd"].view.of(1080, 1350) == (slice(180, 900), slice(200, 1150))
    assert every["nyu"].judged.of(480, 640) == (slice(45, 471), slice(41, 601))
    for number, expected in ((12, None), (14, (slice(0, 288), slice(180, 590)))):
        assert every["hamlyn"].view_of(FrameId(f"rectified{number:02d}", 0), 288, 720) == expected
