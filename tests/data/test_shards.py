from __future__ import annotations

import gc
import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leadline.camera import Pinhole
from leadline.data.dataset import DataSet, open_dataset
from leadline.data.folder import Folder
from leadline.data.lists import FrameId
from leadline.data.packing import pack
from leadline.data.shards import Shards
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.io.images import read_image

CAMERA = Pinhole(16, 12, 14.0, 15.0, 7.25, 5.5)


class Tiny(DataSet):
    """Seven frames of two cameras in folders with dots; frame 3 has no depth, frame 4 of the right is damaged."""

    name = "tiny"
    source = "a test"
    licence = "research only"
    splits = {"all": "every frame", "left": "of one camera"}
    truths = {"depth": "exact"}
    tree = {"*/*/*": "images"}

    def frames(self, split: str) -> Sequence[FrameId]:
        return [FrameId("drive_1.5", number, camera) for number in range(5) for camera in ("left", "right")
                if (split == "all" or camera == "left") and (number > 1 or camera == "left")]  # fmt: skip

    def image(self, id: FrameId) -> Path:
        return self.root / id.sequence / id.camera / f"{id.number}.{'jpeg' if id.number % 2 else 'png'}"

    def depth(self, id: FrameId) -> DepthMap | None:
        values = np.random.default_rng(id.number).uniform(1, 9, (12, 16)).astype(np.float32)
        return None if id.number == 3 else DepthMap(values, Kind("depth", "nothing"), "m", values > 2)

    def camera(self, id: FrameId) -> Pinhole:
        return CAMERA

    def pose(self, id: FrameId) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, 3] = id.number / 3, 1, 2
        return pose

    def time(self, id: FrameId) -> float:
        return id.number / 30

    def more(self, id: FrameId) -> dict[str, Any]:
        return {"mask": np.tri(12, 16, dtype=bool), "reflective": np.tri(12, 16, 3) > 0} if id.number == 2 else {}


@pytest.fixture
def tiny(tmp_path) -> Path:
    root = tmp_path / "tiny"
    for camera in ("left", "right"):
        (root / "drive_1.5" / camera).mkdir(parents=True)
        for number in range(5):
            noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
            Image.fromarray(noise).save(
                root / "drive_1.5" / camera / f"{number}.{'jpeg' if number % 2 else 'png'}", quality=60
            )
    return root


def damaged(root: Path) -> Path:
    file = root / "drive_1.5" / "right" / "4.png"
    file.write_bytes(file.read_bytes()[:-40])
    return file


def same(one: Frame, other: Frame) -> None:
    np.testing.assert_array_equal(one.image, other.image)
    assert (one.camera, one.time, one.sequence, one.name) == (other.camera, other.time, other.sequence, other.name)
    for name in ("pose", "mask", "reflective"):
        assert (getattr(one, name) is None) == (getattr(other, name) is None)
        if getattr(one, name) is not None:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.depth is None) == (other.depth is None)
    if one.depth is not None:
        np.testing.assert_array_equal(one.depth.valid, other.depth.valid)
        np.testing.assert_array_equal(one.depth.values[one.depth.valid], other.depth.values[one.depth.valid])
        assert (one.depth.kind, one.depth.unit, one.depth.camera) == (other.depth.kind, other.depth.unit, other.camera)


def test_shards_are_the_data_set_again(tiny, tmp_path):
    source = Tiny(tiny)
    paths = pack(source, tmp_path / "out", per_shard=3, threads=2)
    assert paths == [tmp_path / "out" / f"{number:06d}.tar" for number in range(3)]
    shards = open_dataset("shards", tmp_path / "out")
    assert shards.ids == source.ids
    assert len(shards) == 8
    for index in (7, 0, 3, 2, 5):
        same(shards[index], source[index])
    assert shards.digest == source.digest
    assert (shards.describe(), shards.licence) == (source.describe(), "research only")
    id = shards.ids[3]
    assert shards.size(3) == (12, 16)
    assert (shards.camera(id), shards.time(id)) == (CAMERA, id.number / 30)
    np.testing.assert_array_equal(shards.pose(id), source.pose(id))
    assert shards.depth(id).camera is None
    assert Shards(tmp_path / "out", truth="none")[0].depth is None


def test_neighbours_and_lists_are_found_across_shards(tiny, tmp_path):
    pack(Tiny(tiny), tmp_path / "out", per_shard=2)
    shards = Shards(tmp_path / "out")
    place = shards.ids.index(FrameId("drive_1.5", 3, "right"))
    assert [frame.name for frame in shards.clip(place)] == ["000002", "000003", "000004"]
    assert shards.neighbour(FrameId("drive_1.5", 2, "right"), -1) is None
    (tmp_path / "list.txt").write_text("drive_1.5/right/000004\n# comment\ndrive_1.5/left/000000\n")
    chosen = Shards(tmp_path / "out", str(tmp_path / "list.txt"))
    assert chosen.ids == [FrameId("drive_1.5", 4, "right"), FrameId("drive_1.5", 0, "left")]
    assert chosen.digest != shards.digest
    assert len(Shards(tmp_path / "out", every=3)) == 3


def test_files_keep_their_bytes_and_say_what_they_are(tiny, tmp_path):
    pack(Tiny(tiny, "left"), tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "000000.tar") as tar:
        names = tar.getnames()
        assert names[:3] == [f"drive_1-5-left-000000.{end}" for end in ("image.png", "depth.npz", "json")]
        assert {name.partition(".")[2] for name in names if name.startswith("drive_1-5-left-000002")} == {
            "image.png", "depth.npz", "mask.png", "reflective.png", "json"}  # fmt: skip
        assert "drive_1-5-left-000003.depth.npz" not in names
        for number, end in ((0, "png"), (1, "jpg")):
            packed = tar.extractfile(f"drive_1-5-left-{number:06d}.image.{end}").read()
            assert packed == Tiny(tiny).image(FrameId("drive_1.5", number, "left")).read_bytes()
        note = json.loads(tar.extractfile("drive_1-5-left-000001.json").read())
        assert (note["sequence"], note["number"], note["camera_name"]) == ("drive_1.5", 1, "left")
        assert note["licence"] == "research only"
        assert note["pose"][0][3] == 1 / 3
        assert {member.mtime for member in tar.getmembers()} == {0}
        tar.extract("drive_1-5-left-000001.depth.npz", tmp_path, filter="data")
    assert DepthMap.load(tmp_path / "drive_1-5-left-000001.depth.npz").camera == CAMERA
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (index["data"], index["split"], index["frames"]) == ("tiny", "left", 5)
    whole = (tmp_path / "out" / "000000.tar").read_bytes()
    assert index["shards"][0]["sha256"] == hashlib.sha256(whole).hexdigest()


def test_the_same_frames_give_the_same_bytes(tiny, tmp_path):
    for name, threads in (("a", 1), ("b", 3)):
        pack(Tiny(tiny), tmp_path / name, per_shard=3, threads=threads)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [*(f"00000{n}.{end}" for n in range(3) for end in ("json", "tar")), "index.json"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_whole_shards_are_not_made_again(tiny, tmp_path):
    paths = pack(Tiny(tiny), tmp_path / "out", per_shard=3)
    before = [path.read_bytes() for path in paths]
    stamps = [path.stat().st_ino for path in paths]
    (tmp_path / "out" / "index.json").unlink()
    paths[0].write_bytes(before[0][:-512])
    paths[2].with_suffix(".json").unlink()
    assert pack(Tiny(tiny), tmp_path / "out", per_shard=3) == paths
    assert [path.read_bytes() for path in paths] == before
    assert [path.stat().st_ino == stamp for path, stamp in zip(paths, stamps, strict=True)] == [False, True, False]
    pack(Tiny(tiny, mask="auto", drop_highlights=True), tmp_path / "out", per_shard=3)
    assert paths[1].stat().st_ino != stamps[1]


def test_a_damaged_frame_is_reported_and_the_rest_goes_on(tiny, tmp_path):
    whole = (tiny / "drive_1.5" / "right" / "4.png").read_bytes()
    file, said = damaged(tiny), []
    pack(Tiny(tiny), tmp_path / "out", per_shard=4, report=lambda id, error: said.append((str(id), str(error))))
    assert [id for id, _ in said] == ["drive_1.5/right/000004"]
    assert said[0][1].startswith(f"{file}: the picture is damaged")
    shards = Shards(tmp_path / "out")
    assert len(shards) == 7
    assert shards.digest != Tiny(tiny).digest
    same(shards[6], Tiny(tiny)[6])
    assert shards.index["failed"] == [{"frame": said[0][0], "error": said[0][1]}]
    file.write_bytes(whole)
    pack(Tiny(tiny), tmp_path / "out", per_shard=4)
    assert Shards(tmp_path / "out").digest == Tiny(tiny).digest


def test_nothing_that_can_be_read_is_an_error(tiny, tmp_path):
    damaged(tiny)
    (tmp_path / "list.txt").write_text("")

    class Damaged(Tiny):
        def frames(self, split: str) -> list[FrameId]:
            return [FrameId("drive_1.5", 4, "right")]

    with pytest.raises(InputError, match=r"no frame could be packed, the first: .*4\.png: the picture is damaged"):
        pack(Damaged(tiny), tmp_path / "out")
    with pytest.raises(InputError, match=r"holds no index\.json"):
        Shards(tmp_path / "out")


def test_an_image_that_is_not_its_file_is_packed_as_it_is(tiny, tmp_path):
    class Half(Tiny):
        def load(self, id: FrameId) -> Frame:
            frame = super().load(id)
            return Frame(frame.image[:6], sequence=frame.sequence, name=frame.name)

    pack(Half(tiny), tmp_path / "out")
    assert Shards(tmp_path / "out").paths[1].name.endswith(".image.png")  # a JPEG file, cut
    same(Shards(tmp_path / "out")[1], Half(tiny)[1])


def test_a_folder_of_ones_own_can_be_packed(scenes, tmp_path):
    source = Folder(scenes, every=8)
    pack(source, tmp_path / "out", depth="png")
    shards = Shards(tmp_path / "out")
    assert shards.digest == source.digest
    for index in range(3):
        assert shards[index].name == source[index].name
        np.testing.assert_array_equal(shards[index].image, source[index].image)
        np.testing.assert_allclose(shards[index].depth.values, source[index].depth.values, atol=6 / 65534)
        assert shards[index].depth.unit == "m"


def test_names_that_would_be_one_key_are_told_apart(tiny, tmp_path):
    class Twins(Tiny):
        def frames(self, split: str) -> list[FrameId]:
            return [FrameId("a.b", 1), FrameId("a/b", 1)]

        def image(self, id: FrameId) -> Path:
            return self.root / "drive_1.5" / "left" / ("0.png" if "." in id.sequence else "2.png")

    pack(Twins(tiny), tmp_path / "out")
    shards = Shards(tmp_path / "out")
    for index in range(2):
        same(shards[index], Twins(tiny)[index])


def test_what_is_missing_or_wrong_is_named(tiny, tmp_path):
    out = tmp_path / "out"
    paths = pack(Tiny(tiny), out, per_shard=4)
    for options in ({"per_shard": 0}, {"depth": "exr"}, {"threads": 0}):
        with pytest.raises(ConfigError, match="shards: per_shard"):
            pack(Tiny(tiny), out, **options)
    with pytest.raises(ConfigError, match="mask: 'auto' is for packing"):
        Shards(out, mask="auto")
    with pytest.raises(InputError, match=r"000000\.tar: is a shard of another packing"):
        pack(Tiny(tiny, "left"), out, per_shard=4)
    with pytest.raises(InputError, match=r"000001\.tar: is a shard of another packing"):
        pack(Tiny(tiny), out, per_shard=8)
    with pytest.raises(InputError, match="has no frame x/000001"):
        Shards(out).load(FrameId("x", 1))
    shards = Shards(out)
    content = paths[0].read_bytes()
    start, size = shards._places[shards.ids[0]].files["image.png"]
    paths[0].write_bytes(content[:start] + b"\0" * size + content[start + size :])
    with pytest.raises(InputError, match=r"out/000000\.tar/drive_1-5-left-000000\.image\.png: not a picture"):
        shards[0]
    paths[1].write_bytes(b"")
    with pytest.raises(InputError, match=r"000001\.tar: is cut off at"):
        shards[5]
    with pytest.raises(InputError, match=r"000001\.tar: is missing or cut off"):
        Shards(out)
    (out / "index.json").write_text("{}")
    with pytest.raises(InputError, match=r"index\.json: is not the index of shards"):
        Shards(out)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the last file open
def test_the_public_library_reads_them(tiny, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    source = Tiny(tiny)
    paths = pack(source, tmp_path / "out", per_shard=3)
    samples = list(webdataset.WebDataset([str(path) for path in paths], shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples[:2]] == ["drive_1-5-left-000000", "drive_1-5-left-000001"]
    assert len(samples) == 8
    for sample, frame, path in zip(samples, source, source.paths, strict=True):
        image = sample["image.png"] if "image.png" in sample else sample["image.jpg"]
        np.testing.assert_array_equal(image, read_image(path))
        assert ("depth.npz" in sample) == (frame.depth is not None)
        assert sample["json"]["time"] == frame.time
    np.testing.assert_array_equal(samples[0]["depth.npz"]["valid"], source[0].depth.valid)
    gc.collect()
