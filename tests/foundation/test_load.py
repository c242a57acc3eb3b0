from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from leadline.checkpoint import Card
from leadline.depth import Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation import base, load
from leadline.foundation.base import DepthModel
from leadline.foundation.leadline_model import LeadlineModel
from leadline.networks.student import Student


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained checkpoint of leadline's."""
    torch.manual_seed(0)
    card = Card("swift", "affine-invariant-disparity", "arbitrary", (64, 96), licence="mit")
    student = Student.from_card(card)
    folder = tmp_path_factory.mktemp("own")
    LeadlineModel(student, card, "own").save_pretrained(folder)
    return folder


def test_own_checkpoints_are_found_as_file_and_folder(own: Path) -> None:
    for spec in (own, own / "model.safetensors", str(own)):
        assert isinstance(load(spec), LeadlineModel)
    with pytest.raises(ConfigError, match="says its kind itself"):
        load(own, kind="metric-depth")


def test_own_checkpoints_on_the_hub_keep_their_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda spec, allow_patterns: str(own))
    model = load("somebody/a-student")
    assert isinstance(model, LeadlineModel)
    assert model.name == "somebody/a-student"


@pytest.mark.filterwarnings("ignore")
def test_own_exports_describe_themselves_and_agree_with_torch(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leadline.engines.openvino import OpenVINOSession
    from leadline.export.onnx import export_onnx

    model = load(own)
    assert isinstance(model, LeadlineModel)
    export_onnx(model, tmp_path / "own.onnx")
    exported, other = (load(tmp_path / "own.onnx", threads=1, runtime=name) for name in ("openvino", "onnx"))
    assert (exported.kind, exported.unit, exported.licence) == (model.kind, model.unit, "mit")
    opened = []
    begin = OpenVINOSession.__init__
    monkeypatch.setattr(OpenVINOSession, "__init__", lambda *given: (opened.append(given), begin(*given))[1])
    sizes = (64, 96), (120, 90)
    for size in sizes * 2:
        image = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 8), size, mode="bilinear")
        assert exported.input_size(*size) == model.input_size(*size)
        torch.testing.assert_close(exported(image), model(image), atol=2e-3, rtol=1e-3)
        torch.testing.assert_close(other(image), model(image), atol=2e-3, rtol=1e-3)
    assert len(opened) == len(sizes)  # each is made ready once


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("swift.onx", "did you mean 'swift.onnx'"),
        ("./nothing", "no such file or folder; a model is a leadline checkpoint"),
        ("notes.txt", "not a model file"),
        ("empty", "no model in this folder"),
        ("here/swift.onnx", r"here/swift\.onnx: no such file"),
    ],
)
def test_nothing_there_says_what_is_possible(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "swift.onnx").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        load(spec)
    assert "\n" not in str(caught.value)


class Red(DepthModel):
    """Returns what it is given, at half the size it is given it."""

    name, kind, unit, licence, digest = "red", Kind.parse("scale-invariant-depth"), "arbitrary", "mit", ""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height * 2, width * 2

    def infer(self, images: torch.Tensor) -> torch.Tensor:
        return base.resize(images, (images.shape[-2] // 2, images.shape[-1] // 2))[:, 0]


def test_a_model_predicts_in_place_and_without_gradients() -> None:
    ramp = torch.linspace(0, 1, 40, requires_grad=True).expand(1, 3, 20, 40)
    output = Red()(ramp)
    assert not output.requires_grad
    assert (output - ramp[:, 0])[..., 2:-2].abs().max() < 1e-5


def test_resize_averages_what_it_shrinks() -> None:
    stripes = torch.from_numpy(np.tile([0.0, 1.0], 32)).float().expand(1, 1, 16, 64)
    assert (base.resize(stripes, (4, 8)) - 0.5).abs()[..., 1:-1].max() < 0.05


def test_digest_of_a_large_file_sees_size_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "WHOLE", 1000)
    monkeypatch.setattr(base, "BLOCK", 100)
    content = bytearray(np.random.default_rng(0).bytes(20000))
    path = tmp_path / "weights"

    def digest(data: bytes, *also: str) -> str:
        path.write_bytes(data)
        return base.digest([path], *also)

    first, last = bytearray(content), bytearray(content)
    first[0] ^= 1
    last[-1] ^= 1
    found = [digest(content), digest(first), digest(last), digest(content + b"x"), digest(content, "also")]
    assert len(set(found)) == 5
    assert digest(content) == found[0]
