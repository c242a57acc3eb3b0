from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from common.toy import SIZE, Toy, truth
from leadline import align
from leadline.data.lists import FrameId
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.frame import Frame
from leadline.protocols.candidate import Candidate, made_elsewhere
from leadline.protocols.protocol import Protocol
from leadline.protocols.windows import BottomCentre, Pixels, Shares
from leadline.rig import FORWARD, Rig

PLAIN = Protocol(name="plain", about="for tests", data="toy", alignment="none", max_depth=10)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Toy:
    return Toy(Toy.write(tmp_path_factory.mktemp("toy")))


def scattered(data: Toy, kind: str = "metric-depth", factor: float = 1.0) -> Candidate:
    """Truth times random factors, other ones for every pixel and frame."""

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        random = np.random.default_rng(data.ids.index(id))
        values = factor * truth(data)(id, frame).values * np.exp(random.normal(0.2, 0.3, SIZE))
        return DepthMap(values, Kind.parse(kind), "m" if kind.startswith("metric") else "arbitrary")

    return Candidate("scattered", answer, parallel=True)


def reference(data: Toy, candidate: Candidate, rules: Protocol, rows: slice, columns: slice, scaled: bool) -> dict:
    """The figures in plain numpy and loops, as the field's evaluators write them."""
    every = []
    for id in data.ids:
        g = data.depth(id).values.astype(np.float64)
        p = candidate.answer(id, data.load(id)).values.astype(np.float64)
        inside = np.zeros(SIZE, bool)
        inside[rows, columns] = True
        pairs = [(p[y, x], g[y, x]) for y in range(SIZE[0]) for x in range(SIZE[1])
                 if inside[y, x] and rules.min_depth < g[y, x] < rules.max_depth]  # fmt: skip
        p, g = np.array(pairs).T
        if scaled:
            p = p * np.median(g) / np.median(p)
        p = np.clip(p, rules.min_depth, rules.max_depth)
        ratio, d = np.maximum(p / g, g / p), np.log(p) - np.log(g)
        every.append([
            np.mean(np.abs(p - g) / g), np.mean((p - g) ** 2 / g), np.sqrt(np.mean((p - g) ** 2)),
            np.sqrt(np.mean(d**2)), np.mean(np.abs(np.log10(p) - np.log10(g))), 100 * d.std(), np.mean(ratio < 1.25),
            np.mean(ratio < 1.25**2), np.mean(ratio < 1.25**3),
        ])  # fmt: skip
    names = ["abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "delta1", "delta2", "delta3"]
    return dict(zip(names, np.mean(every, axis=0), strict=True))


@pytest.mark.parametrize("alignment", ["none", "median"])
@pytest.mark.parametrize(
    ("judged", "rows", "columns"),
    [
        (None, slice(0, 24), slice(0, 32)),
        (Shares(0.4, 0.99, 0.036, 0.964), slice(9, 23), slice(1, 30)),
        (Pixels(12, 48, 8, 60, size=(48, 64)), slice(6, 24), slice(4, 30)),
    ],
)
def test_figures_equal_those_of_plain_numpy(toy, alignment, judged, rows, columns):
    rules = replace(PLAIN, alignment=alignment, judged=judged, min_depth=2.1, max_depth=5.2)
    candidate = scattered(toy, "scale-invariant-depth" if alignment == "median" else "metric-depth")
    result = rules.evaluate(candidate, toy)
    for name, value in reference(toy, candidate, rules, rows, columns, alignment == "median").items():
        assert result.means[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    assert result.means["images"] == 6


def test_the_truth_has_no_error_and_its_scale_does_not_matter_under_median_alignment(toy):
    rules = replace(PLAIN, scores=("boundary_f1",))
    result = rules.evaluate(Candidate("truth", truth(toy)), toy)
    assert result.means["abs_rel"] == result.means["silog"] == 0
    assert result.means["delta1"] == 1
    again = replace(rules, alignment="median")
    one, other = (
        again.evaluate(scattered(toy, "scale-invariant-depth", factor=factor), toy).means for factor in (1.0, 7.0)
    )
    for name in set(one) - {"scale_median"}:
        assert one[name] == pytest.approx(other[name], rel=1e-5), name


def test_a_model_sees_the_view_only_and_is_judged_there(toy):
    sizes = set()

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        sizes.add(frame.image.shape)
        whole = toy.depth(id).values
        return DepthMap(np.maximum(whole[8:, 6:26], 0.1), "metric-depth", "m")

    result = replace(PLAIN, view=BottomCentre(16, 20)).evaluate(Candidate("", answer), toy)
    assert sizes == {(16, 20, 3)}
    assert result.means["abs_rel"] == 0


def test_every_video_has_one_scale_of_its_own(toy):
    def answer(id: FrameId, frame: Frame) -> DepthMap:
        factor = {"one": 3.0, "two": 5.0}[id.sequence]
        return DepthMap(truth(toy)(id, frame).values * factor, "scale-invariant-depth")

    rules = replace(PLAIN, alignment="median-video")
    result = rules.evaluate(Candidate("", answer), toy)
    assert result.means["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert [round(1 / row["scale"]) for row in result.images] == [3, 3, 3, 5, 5, 5]
    assert result.means["scale_median"] == pytest.approx((1 / 3 + 1 / 5) / 2)  # of two videos, not of six frames


def test_how_many_work_changes_nothing(toy):
    for alignment in ("none", "mad-video"):
        rules = replace(PLAIN, alignment=alignment, temporal=alignment == "mad-video")
        one, four = (rules.evaluate(scattered(toy), toy, workers) for workers in (1, 4))
        assert one.images == four.images
        assert one.pairs == four.pairs
        assert one.means == four.means


def test_who_must_not_be_asked_in_parallel_is_not(toy):
    asked, most = 0, 0
    lock = threading.Lock()

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        nonlocal asked, most
        with lock:
            asked += 1
            most = max(most, asked)
        time.sleep(0.01)
        with lock:
            asked -= 1
        return truth(toy)(id, frame)

    PLAIN.evaluate(Candidate("", answer), toy, workers=4)
    assert most == 1
    PLAIN.evaluate(Candidate("", answer, parallel=True), toy, workers=4)
    assert most > 1


def test_adjacent_frames_of_a_video_are_compared_and_never_two_videos(toy):
    rules = replace(PLAIN, temporal=True)
    right = rules.evaluate(Candidate("", truth(toy)), toy)
    assert [row["name"] for row in right.pairs] == ["one/000000 000001", "one/000001 000002",
                                                    "two/000000 000001", "two/000001 000002"]  # fmt: skip
    assert right.means["tgm"] == 0

    def shaken(id: FrameId, frame: Frame) -> DepthMap:
        return DepthMap(truth(toy)(id, frame).values * (1.2 if id.number % 2 else 1.0), "metric-depth", "m")

    wrong = rules.evaluate(Candidate("", shaken), toy)
    assert wrong.means["tae"] > right.means["tae"] + 10
    assert wrong.means["tgm"] == pytest.approx(
        0.2 * np.mean([toy.depth(id).values[1:].mean() for id in toy.ids]), rel=0.01
    )
    assert right.means["tae_depthcrafter"] == pytest.approx(right.means["tae"], rel=0.5)


class Ring(Toy):
    """Two cameras at one instant, 90 degrees apart, each looking at its wall; what they see does not overlap."""

    cameras = ("left", "right")
    angle = 0.3

    def pose(self, id):
        turn = self.angle * (1 if id.camera == "left" else -1)
        pose = np.eye(4)
        pose[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]] @ FORWARD
        return pose

    def depth(self, id):
        """z-depth of a wall that stands across the body's axis, 4 m ahead of it."""
        rays = self.camera(id).rays()
        return DepthMap(4 / (rays @ self.pose(id)[:3, :3].T)[..., 0], Kind("depth", "nothing"), "m")

    def rig(self, indices):
        return Rig({self.ids[i].camera: self[i] for i in indices}, np.eye(4))


def test_neighbouring_cameras_are_compared_and_cameras_weigh_the_same(tmp_path):
    data = Ring(Ring.write(tmp_path))
    rules = replace(PLAIN, average="cameras", across=True)
    right = rules.evaluate(Candidate("", truth(data)), data)
    assert len(right.pairs) == 2 * len(data.instants()) == 12
    assert right.means["cross_view_relative"] < 0.02  # of the nearest pixel
    assert right.means["overlap_abs_rel"] == 0

    def biased(id: FrameId, frame: Frame) -> DepthMap:
        return DepthMap(data.depth(id).values * (1.3 if id.camera == "left" else 1.0), "metric-depth", "m")

    wrong = rules.evaluate(Candidate("", biased), data)
    assert wrong.groups["left"]["abs_rel"] == pytest.approx(0.3, rel=1e-4)
    assert wrong.groups["right"]["abs_rel"] == 0
    assert wrong.means["abs_rel"] == pytest.approx(0.15, rel=1e-4)
    assert wrong.means["cross_view_relative"] > 0.1
    # without two frames of the left camera, images weigh otherwise, cameras do not
    data.ids = data.ids[:1] + [id for id in data.ids if id.camera == "right"]
    by_images = replace(rules, average="images", across=False).evaluate(Candidate("", biased), data)
    by_cameras = replace(rules, across=False).evaluate(Candidate("", biased), data)
    assert by_images.means["abs_rel"] == pytest.approx(0.3 / 7, rel=1e-4)
    assert by_cameras.means["abs_rel"] == pytest.approx(0.15, rel=1e-4)


class Shiny(Toy):
    def more(self, id):
        flags = np.zeros(SIZE, bool)
        flags[12:, 10:20] = True
        return {"reflective": flags}


def test_reflective_pixels_have_figures_of_their_own(tmp_path):
    data = Shiny(Shiny.write(tmp_path))

    def fooled(id: FrameId, frame: Frame) -> DepthMap:
        values = truth(data)(id, frame).values
        values[12:, 10:20] *= 2
        return DepthMap(values, "metric-depth", "m")

    result = PLAIN.evaluate(Candidate("", fooled), data)
    assert result.groups["reflective"]["abs_rel"] == pytest.approx(1)
    assert result.groups["elsewhere"]["abs_rel"] == 0
    assert 0 < result.means["abs_rel"] < 1
    assert result.groups["reflective"]["images"] == 6


def test_a_bad_frame_is_named_and_the_rest_goes_on(tmp_path):
    data = Toy(Toy.write(tmp_path))
    data.image(data.ids[0]).write_bytes(b"not a picture")
    result = PLAIN.evaluate(Candidate("", truth(data)), data)
    assert len(result.failures) == 1
    assert "one-000000.png" in result.failures[0]
    assert result.means["images"] == 5
    for id in data.ids:
        data.image(id).write_bytes(b"not a picture")
    with pytest.raises(InputError, match="none of 6 frames can be judged"):
        PLAIN.evaluate(Candidate("", truth(data)), data)


@pytest.mark.parametrize(("kind", "end"), [("metric-depth", 1e-3), ("metric-disparity", 10.0)])
def test_pixels_without_an_answer_count_as_the_end_of_the_range(toy, kind, end):
    def broken(id: FrameId, frame: Frame) -> DepthMap:
        depth = truth(toy)(id, frame)
        values = depth.values.copy()
        values[5, 5] = np.nan if id.number == 1 else values[5, 5]
        depth = DepthMap(values, depth.kind, "m")
        return depth if kind == "metric-depth" else depth.to_disparity()

    result = PLAIN.evaluate(Candidate("", broken), toy)
    pixels = 23 * 32
    for row in result.images:
        g = toy.depth(toy.ids[row["index"]]).values[5, 5]
        missing = row["index"] % 3 == 1
        assert row["unanswered"] == pytest.approx(missing / pixels)
        assert row["abs_rel"] == pytest.approx(missing * abs(end - g) / g / pixels, abs=1e-6)


def test_a_model_that_answers_nothing_has_no_figures(toy):
    nothing = Candidate("", lambda id, frame: DepthMap(np.full(SIZE, np.nan), "scale-invariant-depth"))
    result = replace(PLAIN, alignment="median").evaluate(nothing, toy)
    assert np.isnan(result.means["abs_rel"])
    assert result.means["unanswered"] == 1


def test_predictions_made_elsewhere_are_judged(toy, tmp_path):
    scatter = scattered(toy)
    expected = PLAIN.evaluate(scatter, toy).means["abs_rel"]
    maps = [scatter(id, np.empty(0)) for id in toy.ids]
    for id, depth in zip(toy.ids, maps, strict=True):
        depth.save(tmp_path / "folders" / f"{id}.npz")
        depth.save(tmp_path / "flat" / f"{str(id).replace('/', '-')}.npz")
    np.save(tmp_path / "all.npy", np.stack([depth.values for depth in maps]))
    for path, kind, unit in (("folders", None, ""), ("flat", None, ""), ("all.npy", "metric-depth", "m")):
        candidate = made_elsewhere(tmp_path / path, toy, kind, unit)
        assert PLAIN.evaluate(candidate, toy).means["abs_rel"] == pytest.approx(expected, rel=1e-6), path
    with pytest.raises(InputError, match="give --kind"):
        made_elsewhere(tmp_path / "all.npy", toy)
    with pytest.raises(InputError, match=r"not numbers \(3, height, width\)"):
        made_elsewhere(tmp_path / "all.npy", Toy(toy.root, split="first"), "metric-depth", "m")
    with pytest.raises(InputError, match="no such folder of predictions"):
        made_elsewhere(tmp_path / "nowhere", toy)
    (tmp_path / "flat" / "one-000000.npz").unlink()
    result = PLAIN.evaluate(made_elsewhere(tmp_path / "flat", toy), toy)
    assert result.failures == [f"{tmp_path}/flat/one/000000.npz: no prediction of this frame, nor with one of "
                               ".png .npz .exr .npy .pfm .tif .tiff"]  # fmt: skip


def test_predictions_may_be_called_as_their_images(toy, tmp_path):
    for id in toy.ids:
        scattered(toy)(id, np.empty(0)).save(tmp_path / f"{toy.image(id).stem}.npz")
    expected = PLAIN.evaluate(scattered(toy), toy).means["abs_rel"]
    assert PLAIN.evaluate(made_elsewhere(tmp_path, toy), toy).means["abs_rel"] == pytest.approx(expected, rel=1e-6)


def test_a_small_disparity_is_enlarged_as_disparity(toy, tmp_path):
    import cv2

    small = np.random.default_rng(0).uniform(0.1, 0.5, (6, 12, 16)).astype(np.float32)
    np.save(tmp_path / "small.npy", small)
    result = replace(PLAIN, alignment="median").evaluate(
        made_elsewhere(tmp_path / "small.npy", toy, "scale-invariant-disparity"), toy
    )
    for row, disparity in zip(result.images, small, strict=True):
        truth_map = toy.depth(toy.ids[row["index"]])
        p = 1 / cv2.resize(disparity, SIZE[::-1])[truth_map.valid]
        g = truth_map.values[truth_map.valid]
        p = np.clip(p * np.median(g) / np.median(p), 1e-3, 10)
        assert row["abs_rel"] == pytest.approx(np.mean(np.abs(p - g) / g), rel=1e-5)


def test_the_unit_of_an_answer_counts(toy):
    for unit in ("m", "mm", "cm"):
        answer = Candidate("", lambda id, frame, unit=unit: truth(toy)(id, frame).to_unit(unit))
        assert PLAIN.evaluate(answer, toy).means["abs_rel"] == pytest.approx(0, abs=1e-6)
    near = Candidate("", lambda id, frame: truth(toy)(id, frame).to_disparity().to_unit("1/mm"))
    assert PLAIN.evaluate(near, toy).means["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_an_answer_of_another_shape_is_refused(toy):
    wide = Candidate("", lambda id, frame: DepthMap(np.ones((10, 40)), "metric-depth", "m"))
    with pytest.raises(InputError, match=r"the prediction is 40x10, which is the shape neither of the image \(32x24\)"):
        PLAIN.evaluate(wide, toy)


def test_what_fails_in_a_video_leaves_nothing_behind(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fails(id: FrameId, frame: Frame) -> DepthMap:
        if id.number == 2:
            raise KeyboardInterrupt
        return DepthMap(np.ones(SIZE), "scale-invariant-depth")

    with pytest.raises(KeyboardInterrupt):
        replace(PLAIN, alignment="median-video").evaluate(Candidate("", fails, parallel=True), toy, workers=4)
    assert list(tmp_path.iterdir()) == []


def test_what_is_broken_off_stops(tmp_path):
    class Long(Toy):
        count = 150

    data = Long(Long.write(tmp_path))
    asked = []

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        asked.append(id)
        time.sleep(0.002)
        if len(asked) >= 10:
            raise KeyboardInterrupt
        return truth(data)(id, frame)

    with pytest.raises(KeyboardInterrupt):
        PLAIN.evaluate(Candidate("", answer, parallel=True), data, workers=2)
    assert len(asked) < 100


def test_a_hiccup_of_python_costs_nothing(toy):
    """Python 3.11 raises SystemError where threads parse the headers of numpy's files at one time; not twice."""
    failed = set()

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        if id.number == 1 and id not in failed:
            failed.add(id)
            raise SystemError("AST constructor recursion depth mismatch")
        return truth(toy)(id, frame)

    result = PLAIN.evaluate(Candidate("", answer), toy)
    assert failed
    assert (result.means["images"], result.failures) == (len(toy), [])


def test_a_missing_camera_does_not_take_the_others_with_it(tmp_path):
    data = Ring(Ring.write(tmp_path))

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        if id == data.ids[1]:
            raise InputError(f"{id}: no prediction")
        return data.depth(id)

    result = replace(PLAIN, average="cameras", across=True).evaluate(Candidate("", answer), data)
    assert result.failures == ["one/right/000000: no prediction"]
    assert result.means["images"] == 11
    assert result.means["pairs"] == 10
    assert result.protocol["judged_digest"] != result.protocol["digest"]
    with pytest.raises(ConfigError, match="goes image by image only"):
        replace(PLAIN, across=True, alignment="median-video")


def test_cameras_of_one_scene_are_videos_of_their_own(tmp_path):
    data = Ring(Ring.write(tmp_path))

    def answer(id: FrameId, frame: Frame) -> DepthMap:
        return DepthMap(data.depth(id).values * (3 if id.camera == "left" else 5), "scale-invariant-depth")

    result = replace(PLAIN, alignment="median-video").evaluate(Candidate("", answer), data)
    assert result.means["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert len({round(row["scale"], 6) for row in result.images}) == 2


def test_marigolds_alignment_leaves_zeros_out():
    rng = np.random.default_rng(0)
    truth_map = rng.uniform(1, 10, (20, 20))
    prediction = np.where(truth_map < 5, 2 / truth_map, 0)  # a ReLU
    kind = Kind.parse("affine-invariant-disparity")
    scales = {}
    for name in ("lsq-disparity", "lsq-positive-disparity"):
        fit = align.alignment(name).fit([prediction], [truth_map], [np.ones((20, 20), bool)], kind)
        scales[name] = fit[0]
    assert scales["lsq-positive-disparity"] == pytest.approx((0.5, 0), abs=1e-9)
    assert scales["lsq-disparity"] != pytest.approx((0.5, 0), abs=1e-3)


def test_a_result_says_how_it_was_made(toy):
    made = PLAIN.evaluate(Candidate("", truth(toy)), toy).protocol
    assert made["frames"] == 6
    assert made["digest"] == toy.digest
    assert made["split"] == "all"
    assert made["truth"] == "depth"
    assert made["unit"] == "m"
    assert made["versions"]["leadline"]
    first = PLAIN.evaluate(Candidate("", truth(toy)), Toy(toy.root, split="first")).protocol
    assert first["digest"] != made["digest"]


def test_impossible_rules_are_refused():
    with pytest.raises(ConfigError, match="min_depth"):
        replace(PLAIN, min_depth=5, max_depth=2)
    with pytest.raises(ConfigError, match="did you mean 'median'"):
        replace(PLAIN, alignment="meddian")
    with pytest.raises(ConfigError, match="boundary_f1"):
        replace(PLAIN, scores=("boundary",))


def test_names_differ_and_every_protocol_has_its_data_set():
    from leadline.data.dataset import datasets
    from leadline.protocols import open_protocol, protocols

    every = protocols()
    wanted = """kitti-eigen kitti-improved kitti-marigold cityscapes make3d ddad nuscenes nuscenes-vfdepth scared-af
        scared-video hamlyn hamlyn-edm hamlyn-video servct c3vd simcol3d scannet-reflection sevenscenes booster nyu
        diode eth3d da-2k folder"""
    assert set(wanted.split()) <= set(every)
    for name, rules in every.items():
        data = datasets()[rules.data]
        assert rules.split is None or rules.split in {**data.splits, **data.elsewhere}, name
        assert rules.truth is None or rules.truth in data.truths, name
    with pytest.raises(ConfigError, match="did you mean 'kitti-eigen'"):
        open_protocol("kitti-eigne")
    assert len({id(rules) for rules in every.values()}) == len(every)
    assert all(len(list(group)) == 1 for _, group in itertools.groupby(sorted(rules.about for rules in every.values())))
