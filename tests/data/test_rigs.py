from __future__ import annotations

import numpy as np
import pytest
import torch

from common.rigs import rigs
from leadline.data.augmentation import Augmentation
from leadline.data.ddad import Ddad, DdadLayout
from leadline.data.rigs import Instants, RigSamples
from leadline.data.samples import Samples

SIZE = (64, 96)
#: Cameras by name, which is their order in a batch; by yaw they follow one another as 01 05 07 09 08 06.
RING = [(0, 1), (1, 3), (3, 5), (5, 4), (4, 2), (2, 0)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path) -> Ddad:
    layout = DdadLayout()
    layout.write_clip(tmp_path / "ddad", 0, rigs(layout.mounts(), 3, 0.06, lidar=layout.lidar, drives=True))
    layout.finish(tmp_path / "ddad", 1)
    return Ddad(tmp_path / "ddad", split="all")


def test_an_instant_has_all_its_views_and_who_neighbours_whom(data):
    samples = RigSamples(data, SIZE)
    item = samples[0, 6]  # the second instant
    assert item["image"].shape == (6, 3, *SIZE)
    assert item["target"].shape == item["mask"].shape == (6, 1, *SIZE)
    assert sorted(map(tuple, item["pairs"].tolist())) == sorted([*RING, *(pair[::-1] for pair in RING)])
    plain = Samples(data, SIZE)
    for view, index in enumerate(item["index"].tolist()):
        assert index == 6 + view
        assert torch.equal(item["image"][view], plain[0, index]["image"])
        assert item["focal"][view] == plain[0, index]["focal"]
    assert item["focal"][0] > 1.9 * item["focal"][1]  # the front camera sees farther


def test_rigs_of_a_batch_are_counted_through(data):
    samples = RigSamples(data, SIZE)
    one, other = samples[0, 0], samples[1, 12]
    batch = samples.collate([one, other])
    assert batch["image"].shape == (12, 3, *SIZE)
    assert torch.equal(batch["pairs"], torch.cat((one["pairs"], other["pairs"] + 6)))
    assert batch["index"].tolist() == [*range(6), *range(12, 18)]


def test_all_views_are_changed_alike(data):
    samples = RigSamples(data, SIZE, Augmentation(crop=0.5, flip=0.5, jitter=0.0), seed=3)
    mirrored = set()
    for draw in range(8):
        item = samples[draw, 0]
        assert len(set(item["mirrored"].tolist())) == 1
        mirrored.add(bool(item["mirrored"][0]))
        zoom = item["focal"] / samples[0, 0]["focal"]
        torch.testing.assert_close(zoom, zoom[:1].expand(6), rtol=1e-3, atol=0)
        again = samples[draw, 0]
        assert torch.equal(item["image"], again["image"])
    assert mirrored == {True, False}


def test_a_missing_camera_does_not_take_the_others_with_it(data):
    lost = data.image(data.ids[8])
    lost.unlink()
    instants = Instants(data)
    assert list(instants.together) == [0, 6, 12]
    assert instants.missing == {8: f"{lost}: no such file"}
    samples = RigSamples(data, SIZE)
    item = samples[0, 6]
    assert item["index"].tolist() == [6, 7, 9, 10, 11]
    # 07 and 09, once neighbours of the lost 06's neighbours only, close the ring
    left = [index - 6 - (index > 8) for index in (6, 7, 9, 10, 11)]
    assert left == [0, 1, 2, 3, 4]
    assert len(item["pairs"]) == 10
    batch = samples.collate([samples[0, 0], item])
    assert batch["image"].shape[0] == 11
    assert batch["pairs"].max() == 10


def test_without_lidar_an_instant_is_left_out(data):
    lost = data.depth_files(data.ids[0])[0]
    lost.unlink()
    instants = Instants(data)
    assert list(instants.together) == [6, 12]
    assert instants.missing == dict.fromkeys(range(6), f"{lost}: no such file")


def test_the_first_camera_may_be_missing(data):
    data.image(data.ids[0]).unlink()
    assert list(Instants(data).together) == [1, 6, 12]
    assert RigSamples(data, SIZE)[0, 1]["index"].tolist() == [1, 2, 3, 4, 5]


def test_targets_are_lidars(data):
    item = RigSamples(data, SIZE)[0, 0]
    known = torch.isfinite(item["target"])
    assert 0.01 < known.float().mean() < 0.7
    assert 1 < np.median(item["target"][known]) < 30
