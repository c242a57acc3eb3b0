from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is imported
# One thread a test process, before anything starts its threads: processes that fight for cores crawl.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

# The same examples every time: a test that fails must fail again. No deadlines: machines differ.
settings.register_profile("leadline", derandomize=True, deadline=None)
settings.load_profile("leadline")

ROOT = Path(__file__).parents[1]


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (set {variable} to the folder of real samples)")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples, which a user's clone does not have."""
    return _folder("LEADLINE_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Exact outputs of public networks for deterministic weights."""
    return _folder("LEADLINE_GOLDEN", ROOT.parent / "shared" / "golden")


def scene(seed: int, height: int = 96, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) uint8 and its depth (H, W) in m: a tilted wall and discs before it, nearer is brighter."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    depth = 4 + random.uniform(-1, 1) * x / width + random.uniform(-1, 1) * y / height
    for _ in range(3):
        cx, cy, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(8, 25)
        depth = np.where((x - cx) ** 2 + (y - cy) ** 2 < radius**2, random.uniform(1.5, 3), depth)
    shade = 1.2 / depth
    image = np.clip(255 * shade[..., None] * random.uniform(0.7, 1.0, 3), 0, 240).astype(np.uint8)
    return image, depth.astype(np.float32)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """A folder with 24 images and their metric depth, in the layout `leadline` expects."""
    from leadline.depth import DepthMap, Kind
    from leadline.io.images import write_image

    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(24):
        image, depth = scene(seed)
        write_image(folder / "images" / f"{seed:03d}.png", image)
        DepthMap(depth, Kind.parse("metric-depth"), "m").save(folder / "depths" / f"{seed:03d}.png", scale=1000)
    return folder


@pytest.fixture(scope="session")
def bright_teacher(tmp_path_factory) -> Path:
    """A real ONNX network with its card: depth = 1 / (mean of the colours + 0.05), right up to scale on `scenes`."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("teacher")
    constants = [
        helper.make_tensor("small", TensorProto.FLOAT, [1], [0.05]),
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["grey"], keepdims=1),
        helper.make_node("Add", ["grey", "small"], ["lifted"]),
        helper.make_node("Reciprocal", ["lifted"], ["depth"]),
    ]
    shape = ["N", 3, "H", "W"]
    graph = helper.make_graph(
        nodes, "bright", [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["N", 1, "H", "W"])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "bright.onnx")
    (folder / "bright.card.yaml").write_text(
        "name: bright\nkind: scale-invariant-depth\nlayout: NCHW\nrange: [0, 1]\nsize: [96, 128]\n"
        "licence: cc-by-nc-4.0\n"
    )
    return folder / "bright.onnx"


@pytest.fixture(scope="session")
def student_file(tmp_path_factory) -> Path:
    """An untrained litenet-tiny as a checkpoint for metric depth."""
    import torch

    from leadline import checkpoint
    from leadline.checkpoint import Card
    from leadline.networks import create

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("student") / "tiny.safetensors"
    card = Card("litenet-tiny", "metric-depth", "m", (64, 96), (0.5, 20.0), licence="apache-2.0", version="0")
    checkpoint.save(file, create("litenet-tiny").state_dict(), card)
    return file
