"""Exported files compute what torch computes, say what they are, and load again; else there is none."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from common.brightness import brightness
from common.commands import run
from leadline.camera import Pinhole
from leadline.checkpoint import KEY, Card
from leadline.errors import ConfigError, InputError
from leadline.export.executorch import EXECUTORCH
from leadline.export.graphs import ExportError, graph_of
from leadline.export.onnx import ONNX
from leadline.export.openvino import OPENVINO
from leadline.export.parity import ParityError, bundled_frames, check_parity, shown
from leadline.export.program import PROGRAM
from leadline.export.tensorrt import TENSORRT
from leadline.export.writing import Target, write
from leadline.foundation import load
from leadline.foundation.interface import Interface
from leadline.foundation.leadline_model import LeadlineModel
from leadline.networks import create
from leadline.networks.student import Student

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE = (64, 96)
FRAMES = shown(bundled_frames(), SIZE)


def made(architecture: str, **options) -> LeadlineModel:
    """A model in metres for one focal length, whose every part shows in its answers."""
    torch.manual_seed(0)
    network = create(architecture, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.1)
        for head in network.heads():
            head.weight.normal_(0, 0.5)
        norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        for norm in norms:  # without statistics of their own random features fade, and what is said is all but constant
            norm.momentum = 1.0
        if norms:
            network.train()(FRAMES)
    card = Card(architecture, "metric-depth", "m", SIZE, (0.5, 200.0), options, licence="mit", focal=80.0)
    return LeadlineModel(Student(network, card.kind, card.unit, card.depth_range), card, architecture)


@pytest.fixture(scope="module")
def tiny() -> LeadlineModel:
    return made("litenet-tiny")


@pytest.fixture(scope="module")
def written(tiny: LeadlineModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """It in every form that needs no more than what leadline needs, by the form's name."""
    folder = tmp_path_factory.mktemp("written")
    files = {target.name: folder / f"tiny{target.suffix}" for target in (ONNX, OPENVINO, PROGRAM)}
    for target in (ONNX, OPENVINO, PROGRAM):
        assert write(target, tiny, files[target.name], SIZE) < 1e-4
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.bin", "tiny.onnx", "tiny.pt2", "tiny.xml"]
    return files


@pytest.mark.parametrize("target", [ONNX, OPENVINO, PROGRAM], ids=lambda target: target.name)
def test_a_file_says_what_it_is_and_answers_like_torch(
    target: Target, tiny: LeadlineModel, written: dict[str, Path]
) -> None:
    out = written[target.name]
    (first, *_) = target.open(out)
    assert first.metadata[KEY] == tiny.card.to_json()
    assert first.metadata["licence"] == "mit"
    assert first.metadata["input"] == "single images: (batch, 3, 64, 96) float32 RGB in [0, 1]"
    assert "metric-depth, unit m" in first.metadata["output"]
    assert "focal length of 80 pixels" in first.metadata["output"]
    assert first.inputs[0].shape == (1, 3, *SIZE)
    again = load(out, threads=1)
    assert (again.kind, again.unit, again.licence, again.focal) == (tiny.kind, "m", "mit", 80.0)
    assert again.input_size(480, 640) == SIZE
    torch.testing.assert_close(again.infer(FRAMES[:2]), tiny.infer(FRAMES[:2]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("target", [ONNX, OPENVINO, PROGRAM], ids=lambda target: target.name)
def test_a_file_for_any_size_takes_any(target: Target, tmp_path: Path) -> None:
    model, out = brightness(), tmp_path / f"any{target.suffix}"
    assert write(target, model, out) < 1e-4
    (first, *_) = target.open(out)
    assert first.inputs[0].shape == (-1, 3, -1, -1)
    assert first.metadata["input"] == "single images: (batch, 3, height, width) float32 RGB in [0, 1]"
    again = load(out, threads=1)
    assert again.input_size(480, 640) == model.input_size(480, 640)
    for shape in ((1, 3, 64, 96), (2, 3, 57, 101)):
        images = torch.rand(shape)
        torch.testing.assert_close(again.infer(images), model.infer(images), rtol=1e-4, atol=0)


def test_nodes_are_named_after_layers(tiny: LeadlineModel, written: dict[str, Path]) -> None:
    names = [node.name for node in onnx.load(written["onnx"]).graph.node]
    assert len(set(names)) == len(names)
    layers = {name for name, _ in tiny.student.network.named_modules()}
    convolutions = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2].startswith("Conv")]
    assert len(convolutions) > 20
    assert set(convolutions) <= layers


def test_a_raw_file_takes_pictures_as_they_are(tmp_path: Path) -> None:
    model, out = brightness(focal=80.0), tmp_path / "raw.onnx"
    write(ONNX, model, out, raw=True)
    picture = bundled_frames()[0]
    whole = shown([picture], picture.shape[:2])
    camera = Pinhole(320, 240, 300.0, 300.0, 160.0, 120.0)
    for runtime in ("onnx", "openvino"):
        raw = load(out, threads=1, runtime=runtime)
        assert raw.input_size(*picture.shape[:2]) == picture.shape[:2]
        torch.testing.assert_close(raw.infer(whole), model(whole), rtol=1e-3, atol=1e-3)
        assert raw.at_focal(camera) == pytest.approx(model.at_focal(camera)) == pytest.approx(300 / 320 * 96 / 80)
        # By a focal length twice as long everything is twice as far.
        near, far = (raw.session(picture[None], np.array([focal], np.float32))[0] for focal in (100, 200))
        np.testing.assert_allclose(far, 2 * near, rtol=1e-4)
        assert near.shape == (1, 240, 320)


@pytest.fixture(scope="module")
def video() -> LeadlineModel:
    return made("swift-video")


def test_a_stream_remembers(video: LeadlineModel, tmp_path: Path) -> None:
    model, out = video, tmp_path / "video.onnx"
    write(ONNX, model, out, SIZE)
    again = load(out, threads=1)
    assert again.remembers
    memory = other = None
    for frame in FRAMES[:3]:
        expected, memory = model.infer_next(frame[None], memory)
        given, other = again.infer_next(frame[None], other)
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3)
    assert (given - again.infer(FRAMES[2:3])).abs().max() > 0.1
    with pytest.raises(InputError, match="another size"):
        again.infer_next(torch.rand(1, 3, 64, 128), other)


def test_a_stream_of_any_size_is_traced_once(video: LeadlineModel) -> None:
    graph = graph_of(video)
    program = graph.trace().module()
    inputs = graph.begin(torch.rand(1, 3, 96, 64))
    for _ in range(2):
        expected = graph.run(inputs)
        with torch.inference_mode():
            torch.testing.assert_close(program(*inputs), expected, rtol=1e-4, atol=1e-4)
        inputs = graph.after(expected, torch.rand(1, 3, 96, 64))


def test_a_rig_looks_around(tmp_path: Path) -> None:
    model, out = made("swift-bins", neighbours=True), tmp_path / "rig.pt2"
    write(PROGRAM, model, out, SIZE)
    again = load(out)
    assert again.looks_around
    pairs = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 1]])
    torch.testing.assert_close(
        again.infer_rig(FRAMES[:3], pairs), model.infer_rig(FRAMES[:3], pairs), rtol=1e-4, atol=0
    )
    assert (again.infer_rig(FRAMES[:3], pairs) - again.infer(FRAMES[:3])).abs().max() > 1


def test_rounding_of_a_flat_output_is_no_fault_and_a_fault_in_it_is() -> None:
    """Bins that have learned nothing say the same nearly everywhere: what of it is rounding, hangs on the batch."""
    torch.manual_seed(0)
    network = create("swift-bins", neighbours=True)
    torch.nn.init.normal_(network.attention.project.weight, std=0.1)
    card = Card("swift-bins", "metric-depth", "m", SIZE, (0.5, 200.0), {"neighbours": True})
    graph = graph_of(LeadlineModel(Student(network, card.kind, card.unit, card.depth_range), card, "bins"), SIZE)
    (depth,) = graph.run(graph.begin(FRAMES[:3]))
    assert torch.aminmax(depth).min > 0.999 * depth.max()

    def precise(images: np.ndarray, pairs: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [doubled(torch.from_numpy(images).double(), torch.from_numpy(pairs)).float().numpy()]

    def alone(images: np.ndarray, pairs: np.ndarray) -> list[np.ndarray]:
        return [graph.run((torch.from_numpy(images), torch.zeros(0, 2, dtype=torch.long)))[0].numpy()]

    doubled = copy.deepcopy(graph.module).double()
    assert check_parity(graph, precise, "x") < 1e-3
    with pytest.raises(ParityError, match=r"its depth differs from torch's by"):
        check_parity(graph, alone, "x")


def test_a_window_is_exported_for_one_size() -> None:
    with pytest.raises(ConfigError, match=r"give --size, such as 56 84"):
        graph_of(made("vda-tiny"))
    assert graph_of(made("vda-tiny"), (56, 84)).interface.frames == 32
    with pytest.raises(ConfigError, match="several images together"):
        graph_of(made("vda-tiny"), (56, 84), raw=True)


def test_what_computes_something_else_is_not_kept(tmp_path: Path) -> None:
    model = brightness()
    graph = graph_of(model, SIZE)

    def wrong(image: np.ndarray) -> list[np.ndarray]:
        return [1.01 * graph.run((torch.from_numpy(image),))[0].numpy()]

    target = Target("pt2", ".pt2", lambda graph, path: path.write_bytes(b"wrong") and None, lambda path: [wrong])
    with pytest.raises(ParityError, match=r"not written: for 1x3x64x96 its depth differs from torch's by"):
        write(target, model, tmp_path / "x.pt2", SIZE)
    with pytest.raises(ParityError, match=r"its depth is \(1, 64, 96\)"):
        check_parity(graph, lambda image: [image[:, 0]], "x")
    assert not list(tmp_path.iterdir())


def test_the_layer_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    model = brightness()
    layer = model.student.network.middle
    forward = layer.forward
    layer.forward = lambda x: forward(x) if x.mean().item() > 0 else x
    with pytest.raises(ExportError, match=r"cannot follow it in middle \(Conv2d\)"):
        write(PROGRAM, model, tmp_path / "x.pt2", SIZE)
    layer.forward = lambda x: forward(torch.special.bessel_j1(x))
    with pytest.raises(ExportError, match=r"ONNX cannot express aten\.special_bessel_j1\.default in middle$"):
        write(ONNX, model, tmp_path / "x.onnx", SIZE)
    assert not list(tmp_path.iterdir())


def test_interfaces_come_back_as_they_went_in() -> None:
    card = Card("swift-video", "affine-invariant-disparity", "arbitrary", SIZE)
    interface = Interface("stream", 32, None, True, SIZE, (48, 16), int8=True, floats=("a", "b"))
    assert Interface.from_metadata(interface.metadata(card), "x") == interface
    assert interface.state_shape(2, 480, 640) == (2, 48, 4, 6)
    assert Interface("stream", 32, state=(48, 16)).state_shape(1, 70, 96) == (1, 48, 6, 6)
    assert Interface.from_metadata({}, "x") is None
    with pytest.raises(InputError, match=r"x\.onnx: what it takes and gives cannot be read \(form 'song'\)"):
        Interface.from_metadata({"leadline_interface": '{"form": "song"}'}, "x.onnx")
    with pytest.raises(InputError, match=r"cannot be read \(raw, but not what size it is brought to\)"):
        Interface.from_metadata({"leadline_interface": '{"raw": true}'}, "x.onnx")


@pytest.mark.parametrize(("target", "package"), [(EXECUTORCH, "executorch"), (TENSORRT, "tensorrt")])
def test_what_is_missing_is_said(target: Target, package: str, tiny: LeadlineModel, tmp_path: Path) -> None:
    try:
        __import__(package)
    except ImportError:
        with pytest.raises(ConfigError, match=f"needs the package {package}"):
            write(target, tiny, tmp_path / f"x{target.suffix}", SIZE)
        assert not list(tmp_path.iterdir())
    else:
        pytest.skip(f"{package} is here")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--to", "pt2", "--out", "x.onnx"], "must end in .pt2"),
        (["--size", "64", "--out", "x.onnx"], "size: a height and a width"),
        (["--size", "8", "8", "--out", "x.onnx"], "at least 32x32 pixels"),
        (["--int8", "--out", "x.onnx"], "give frames of your camera with --calibration"),
        (["--truth", "t", "--out", "x.onnx"], "give --int8"),
        (["--to", "half", "--raw", "--out", "x.safetensors"], "has no --int8, --raw and --size"),
        (["--calibration", "nowhere", "--out", "x.onnx"], "nowhere"),
    ],
)
def test_wrong_words_are_answered_in_a_line(words, expected, student_file, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "export", "--model", student_file, *words)
    assert code in (1, 2)
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
