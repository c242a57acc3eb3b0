from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import spearmanr
from skimage.io import imread

from leadline.errors import ConfigError, InputError
from leadline.foundation import load
from leadline.foundation.network_file import NetworkCard, NetworkFileModel

CARDS = Path(__file__).parents[2] / "benchmarks" / "cards"
CARD = NetworkCard("affine-invariant-disparity", "NCHW", (0, 1), size=(8, 12))


def write(
    path: Path, layout: str = "NCHW", size: tuple[int | str, ...] = (8, 12), dtype: int = TensorProto.FLOAT
) -> Path:
    """A network whose outputs are 'mean' of the three channels it is given, 'red', and 'all' of them."""
    shape: list[int | str] = [1, *size, 3] if layout == "NHWC" else ["batch", 3, *size]
    axis = 3 if layout == "NHWC" else 1
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[axis], keepdims=1),
        helper.make_node("Gather", ["x", "zero"], ["red"], axis=axis),
        helper.make_node("Identity", ["x"], ["all"]),
    ]
    one = [1 if index == axis else side for index, side in enumerate(shape)]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, one),
            helper.make_tensor_value_info("red", TensorProto.FLOAT, one),
            helper.make_tensor_value_info("all", TensorProto.FLOAT, shape),
        ],
        [numpy_helper.from_array(np.array([0], np.int64), "zero")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_range_mean_and_std_are_applied_in_that_order(tmp_path: Path, images: torch.Tensor) -> None:
    card = replace(CARD, range=(-1, 1), mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0), sign=-1)
    mean, std = (torch.tensor(value)[:, None, None] for value in (card.mean, card.std))
    expected = -((images * 2 - 1 - mean) / std).mean(1)
    torch.testing.assert_close(NetworkFileModel(write(tmp_path / "n.onnx"), card, 1).infer(images), expected)


def test_layout_and_quantised_input(tmp_path: Path, images: torch.Tensor) -> None:
    path = write(tmp_path / "n.onnx", "NHWC", dtype=TensorProto.UINT8)
    model = NetworkFileModel(path, NetworkCard("scale-invariant-depth", "NHWC", (0, 255)), 1)
    torch.testing.assert_close(model.infer(images), (images * 255).round().mean(1))
    with pytest.raises(InputError, match="uint8; the range"):
        NetworkFileModel(path, NetworkCard("scale-invariant-depth", "NHWC", (0, 1)))


@pytest.mark.parametrize("output", ["red", 1])
def test_the_output_is_chosen_by_name_or_number(tmp_path: Path, images: torch.Tensor, output: int | str) -> None:
    model = NetworkFileModel(write(tmp_path / "n.onnx"), replace(CARD, output=output), 1)
    torch.testing.assert_close(model.infer(images), images[:, 0])


def test_a_wrong_output_is_named(tmp_path: Path, images: torch.Tensor) -> None:
    path = write(tmp_path / "n.onnx")
    with pytest.raises(InputError, match=r"no output 'read'; did you mean 'red'\? \(outputs: mean, red, all\)"):
        NetworkFileModel(path, replace(CARD, output="read"))
    with pytest.raises(InputError, match="no output 3"):
        NetworkFileModel(path, replace(CARD, output=3))
    with pytest.raises(InputError, match="say which output in the card"):
        NetworkFileModel(path, replace(CARD, output="all"), 1).infer(images)


def test_the_image_is_resized_to_the_files_size_and_back(tmp_path: Path) -> None:
    model = NetworkFileModel(write(tmp_path / "n.onnx"), CARD, 1)
    ramp = torch.linspace(0, 1, 48).expand(1, 3, 32, 48)
    output = model(ramp)
    assert model.input_size(32, 48) == (8, 12)
    assert output.shape == (1, 32, 48)
    assert (output - ramp[:, 0])[..., 6:-6].abs().max() < 1e-3  # the same place, not shifted by half a pixel


def test_what_is_not_positive_is_invalid_unless_affine(tmp_path: Path, images: torch.Tensor) -> None:
    path = write(tmp_path / "n.onnx")
    card = replace(CARD, range=(-1, 1), output="red")
    expected = images[:, 0] * 2 - 1
    torch.testing.assert_close(NetworkFileModel(path, card, 1).infer(images), expected)
    depth = NetworkFileModel(path, replace(card, kind="scale-invariant-depth"), 1).infer(images)
    assert torch.equal(torch.isnan(depth), expected <= 0)


def test_a_size_left_open_comes_from_the_card(tmp_path: Path) -> None:
    path = write(tmp_path / "n.onnx", size=("height", "width"))
    assert NetworkFileModel(path, replace(CARD, size=(6, 10)), 1).infer(torch.rand(3, 3, 6, 10)).shape == (
        3,
        6,
        10,
    )
    with pytest.raises(InputError, match=r"the card must give size: \[height, width\]"):
        NetworkFileModel(path, replace(CARD, size=None))
    with pytest.raises(InputError, match=r"size \[6, 10\] is not the file's \[8, 12\]"):
        NetworkFileModel(write(tmp_path / "m.onnx"), replace(CARD, size=(6, 10)))
    with pytest.raises(InputError, match="does not fit the card's layout NHWC"):
        NetworkFileModel(path, replace(CARD, layout="NHWC"))


def test_without_a_card_the_error_is_one_to_fill_in(tmp_path: Path, images: torch.Tensor) -> None:
    path = write(tmp_path / "net.v1.onnx", "NHWC")
    with pytest.raises(InputError, match=r"write net\.v1\.card\.yaml beside it") as caught:
        load(path)
    form = str(caught.value).split("\n", 1)[1]
    assert "layout: NHWC" in form
    assert "size: [8, 12]" in form
    beside = tmp_path / "net.v1.card.yaml"
    beside.write_text(form)
    with pytest.raises(InputError, match=r"kind, range missing; a complete card looks like this:\nname: net\.v1"):
        load(path)
    filled = form.replace("kind:", "kind: affine-invariant-disparity").replace("range:", "range: [0, 1]")
    beside.write_text(filled)
    model = load(path, threads=1)
    assert (model.name, model.licence) == ("net.v1", "unknown")
    torch.testing.assert_close(model.infer(images), images.mean(1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layuot: NCHW", "unknown key 'layuot'; did you mean 'layout'"),
        ("kind: depth", "unknown kind 'depth'"),
        ("unit: m", "cannot be in 'm'"),
        ("sign: 2", "sign: 1 or -1"),
        ("range: [1, 0]", "the lower value first"),
        ("range: 255", "range: 2 numbers in brackets"),
        ("size: [8.5, 2]", "whole pixels"),
        ("std: [0, 1, 1]", "positive numbers"),
        ("layout: CHW", "NHWC or NCHW"),
        ("a: [", "not a YAML file"),
    ],
)
def test_wrong_cards_are_one_clear_line(tmp_path: Path, line: str, message: str) -> None:
    entries = {"kind": "affine-invariant-disparity", "layout": "NCHW", "range": "[0, 1]"}
    entries.pop(line.split(":")[0], None)
    path = tmp_path / "n.card.yaml"
    path.write_text("\n".join([*(f"{key}: {value}" for key, value in entries.items()), line]))
    with pytest.raises(InputError, match=message) as caught:
        NetworkCard.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digest_names_file_and_card(tmp_path: Path) -> None:
    path = write(tmp_path / "n.onnx")
    original = NetworkFileModel(path, CARD).digest
    assert NetworkFileModel(path, CARD).digest == original
    assert NetworkFileModel(path, replace(CARD, sign=-1)).digest != original
    assert NetworkFileModel(write(tmp_path / "m.onnx", size=("h", "w")), CARD).digest != original


@pytest.mark.parametrize("name", ["pydnet_pp", "pydnet_mobile_kitti", "fast_depth_224"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_published_networks_see_near_things_nearer(name: str, real_data: Path) -> None:
    """Against a depth sensor: what the card says of kind and sign must be so."""
    model = load(real_data / "peers" / f"{name}.tflite", card=CARDS / f"{name}.card.yaml", threads=1)
    correlations = []
    for frame in (0, 300, 400):
        stem = real_data / "sevenscenes" / "seq-01" / f"frame-{frame:06d}"
        image = torch.from_numpy(imread(f"{stem}.color.jpg").astype(np.float32) / 255).permute(2, 0, 1)[None]
        prediction = model(image)[0].numpy()
        depth = imread(f"{stem}.depth.png").astype(float)
        known = (depth > 0) & (depth < 65535) & np.isfinite(prediction)
        correlations.append(spearmanr(prediction[known][::50], depth[known][::50]).statistic)
    sign = 1 if model.kind.quantity == "depth" else -1
    assert sign * np.median(correlations) > 0.5


def test_runtimes_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "n.onnx", size=("height", "width"))
    images = torch.rand(2, 3, 20, 30)
    expected = load(path, card=CARD, threads=1)(images)
    torch.testing.assert_close(load(path, card=CARD, threads=1, runtime="onnx")(images), expected)
    with pytest.raises(ConfigError, match="openvino or onnx for a network file, not 'tensorrt'"):
        load(path, card=CARD, runtime="tensorrt")
    other = path.rename(tmp_path / "n.tflite")
    with pytest.raises(ConfigError, match=r"ONNX Runtime reads \.onnx files only"):
        load(other, card=CARD, runtime="onnx")


def test_options_of_other_models_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "n.onnx")
    with pytest.raises(ConfigError, match="the kind of a network file is said in its card"):
        load(path, card=CARD, kind="metric-depth")
    with pytest.raises(ConfigError, match="a card is for network files"):
        load(tmp_path, card=CARD)
