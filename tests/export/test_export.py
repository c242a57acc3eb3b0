"""Exported files compute what torch computes, say what they are, and load again; else there is none."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from common.commands import run
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
    card = Card(architecture, "metric-depth", "m", SIZE, (0.5, 200.0), options, licence="mit", focal=80.0)
    return LeadlineModel(Student(network, card.kind, card.unit, card.depth_range), card, architecture)


@pytest.fixture(scope="module")
def tiny() -> LeadlineModel:
    return made("litenet-tiny")


@pytest.mark.parametrize("target", [ONNX, OPENVINO, PROGRAM], ids=lambda target: target.name)
def test_a_file_says_what_it_is_and_answers_like_torch(target: Target, tiny: LeadlineModel, tmp_path: Path) -> None:
    out = tmp_path / f"tiny{target.suffix}"
    assert write(target, tiny, out, SIZE) < 1e-4
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
    assert not list(tmp_path.glob(".*"))


def test_nodes_are_named_after_layers(tiny: LeadlineModel, tmp_path: Path) -> None:
    write(ONNX, tiny, tmp_path / "tiny.onnx", SIZE)
    names = [node.name for node in onnx.load(tmp_path / "tiny.onnx").graph.node]
    assert len(set(names)) == len(names)
    layers = {name for name, _ in tiny.student.network.named_modules()}
    convolutions = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2].startswith("Conv")]
    assert len(convolutions) > 20
    assert set(convolutions) <= layers


def test_a_raw_file_takes_pictures_as_they_are(tiny: LeadlineModel, tmp_path: Path) -> None:
    out = tmp_path / "raw.onnx"
    write(ONNX, tiny, out, raw=True)
    picture = bundled_frames()[0]
    whole = shown([picture], picture.shape[:2])
    for runtime in ("onnx", "openvino"):
        model = load(out, threads=1, runtime=runtime)
        assert model.input_size(*picture.shape[:2]) == picture.shape[:2]
        torch.testing.assert_close(model.infer(whole), tiny(whole), rtol=1e-3, atol=1e-3)
        # By a focal length twice as long everything is twice as far.
        session = model.session
        near, far = (session(picture[None], np.array([focal], np.float32))[0] for focal in (100, 200))
        np.testing.assert_allclose(far, 2 * near, rtol=1e-4)
        assert near.shape == (1, 240, 320)


def test_a_stream_remembers(tmp_path: Path) -> None:
    model, out = made("swift-video"), tmp_path / "video.onnx"
    write(ONNX, model, out, SIZE)
    again = load(out, threads=1)
    assert again.remembers
    memory = other = None
    alone = again.infer(FRAMES[1:2])
    for frame in FRAMES[:3]:
        expected, memory = model.infer_next(frame[None], memory)
        given, other = again.infer_next(frame[None], other)
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3)
    second, _ = again.infer_next(FRAMES[1:2], again.infer_next(FRAMES[:1])[1])
    assert (second - alone).abs().max() > 1e-3
    with pytest.raises(InputError, match="another size"):
        again.infer_next(torch.rand(1, 3, 64, 128), other)


def test_a_rig_looks_around(tmp_path: Path) -> None:
    model, out = made("swift-bins", neighbours=True), tmp_path / "rig.pt2"
    write(PROGRAM, model, out, SIZE)
    again = load(out)
    assert again.looks_around
    pairs = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 1]])
    torch.testing.assert_close(
        again.infer_rig(FRAMES[:3], pairs), model.infer_rig(FRAMES[:3], pairs), rtol=1e-4, atol=0
    )
    assert (again.infer_rig(FRAMES[:3], pairs) - again.infer(FRAMES[:3])).abs().max() > 1e-3


def test_a_window_is_exported_for_one_size() -> None:
    with pytest.raises(ConfigError, match=r"give --size, such as 56 84"):
        graph_of(made("vda-tiny"))
    assert graph_of(made("vda-tiny"), (56, 84)).interface.frames == 32
    with pytest.raises(ConfigError, match="several images together"):
        graph_of(made("vda-tiny"), (56, 84), raw=True)


def test_what_computes_something_else_is_not_kept(tiny: LeadlineModel, tmp_path: Path) -> None:
    def wrong(path: Path):
        (session,) = PROGRAM.open(path)
        return [lambda *arrays: [1.01 * output for output in session(*arrays)]]

    with pytest.raises(ParityError, match=r"not written: for 1x3x64x96 its depth differs from torch's by"):
        write(Target("pt2", ".pt2", PROGRAM.write, wrong), tiny, tmp_path / "x.pt2", SIZE)
    with pytest.raises(ParityError, match=r"its depth is \(1, 64, 96\)"):
        check_parity(graph_of(tiny, SIZE), lambda image: [image[:, 0]], "x")
    assert not list(tmp_path.iterdir())


def test_the_layer_that_cannot_be_followed_is_named(tmp_path: Path) -> None:
    model = made("litenet-tiny")
    name, layer = next((n, m) for n, m in model.student.network.named_modules() if type(m).__name__ == "ConvELU")
    forward = layer.forward
    layer.forward = lambda x: forward(x) if x.mean().item() > 0 else x
    with pytest.raises(ExportError, match=rf"cannot follow it in {name} \(ConvELU\)"):
        write(PROGRAM, model, tmp_path / "x.pt2", SIZE)
    layer.forward = lambda x: forward(torch.special.bessel_j1(x))
    with pytest.raises(ExportError, match=rf"ONNX cannot express aten\.special_bessel_j1\.default in {name}"):
        write(ONNX, model, tmp_path / "x.onnx", SIZE)
    assert not list(tmp_path.iterdir())


def test_programs_that_ask_torch_to_do_more_than_compute_are_refused(tiny: LeadlineModel, tmp_path: Path) -> None:
    write(PROGRAM, tiny, tmp_path / "good.pt2", SIZE)

    def changed(name: str, change) -> Path:
        with zipfile.ZipFile(tmp_path / "good.pt2") as source, zipfile.ZipFile(tmp_path / name, "w") as target:
            files = {info.filename: source.read(info) for info in source.infolist()}
            for key, value in change(files).items():
                target.writestr(key, value)
        return tmp_path / name

    def evaluated(files):
        key = next(key for key in files if "/models/" in key)
        model = json.loads(files[key])
        model["graph_module"]["extra"] = {"expr_str": "__import__('os').system('true')"}
        return files | {key: json.dumps(model)}

    def pickled(files):
        return files | {"good/data/constants/custom_obj_0": b"cos\nsystem\n(S'true'\ntR."}

    with pytest.raises(InputError, match="a size is no plain arithmetic"):
        load(changed("a.pt2", evaluated))
    with pytest.raises(InputError, match="holds objects or compiled code"):
        load(changed("b.pt2", pickled))
    (tmp_path / "c.pt2").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"c\.pt2: not a file of torch\.export"):
        load(tmp_path / "c.pt2")


def test_interfaces_come_back_as_they_went_in() -> None:
    card = Card("swift-video", "affine-invariant-disparity", "arbitrary", SIZE)
    interface = Interface("stream", 32, None, True, SIZE, (48, 16), int8=True, floats=("a", "b"))
    assert Interface.from_metadata(interface.metadata(card), "x") == interface
    assert interface.state_shape(2, 480, 640) == (2, 48, 4, 6)
    assert Interface("stream", 32, state=(48, 16)).state_shape(1, 70, 96) == (1, 48, 6, 6)
    assert Interface.from_metadata({}, "x") is None
    with pytest.raises(InputError, match=r"x\.onnx: what it takes and gives cannot be read"):
        Interface.from_metadata({"leadline_interface": '{"form": "song"}'}, "x.onnx")


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
