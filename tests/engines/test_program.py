"""A .pt2 file is a program on tensors, or it is refused before torch runs anything of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from leadline.engines.program import METADATA, ProgramSession
from leadline.engines.session import TensorSpec
from leadline.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")
EVIL = "__import__('pathlib').Path('ran').touch()"


class Halves(nn.Module):
    """Half of a batch, padded."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.pad(image, (1, 1, 1, 1), mode="reflect")[:, :, : image.shape[2] // 2] / 2


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "halves.pt2"
    dynamic = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC},)
    exported = torch.export.export(Halves(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=dynamic, strict=False)
    torch.export.save(exported, path, extra_files={METADATA: json.dumps({"outputs": "half", "licence": "mit"})})
    return path


def test_a_program_says_what_it_takes_and_computes(program: Path) -> None:
    session = ProgramSession(program)
    assert session.inputs == [TensorSpec("image", (-1, 3, -1, 8), "float32")]
    assert session.outputs == [TensorSpec("half", (-1, 3, -1, 10), "float32")]
    assert session.metadata["licence"] == "mit"
    image = np.random.default_rng(0).random((3, 3, 6, 8), np.float32)
    expected = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")[:, :, :3] / 2
    (given,) = session(image)
    np.testing.assert_array_equal(given, expected)
    with pytest.raises(InputError, match=r"cannot run on \(1, 3, 1, 8\)"):
        session(image[:1, :, :1])


def of_the_model(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """A change of the program's JSON, as one of the archive's files."""

    def changed(files: dict[str, bytes]) -> dict[str, bytes]:
        key = next(key for key in files if "/models/" in key)
        model = json.loads(files[key])
        change(model)
        return files | {key: json.dumps(model).encode()}

    return changed


def size(model: dict[str, Any]) -> None:
    """A size that is evaluated."""
    values = model["graph_module"]["graph"]["tensor_values"]
    values["image"]["sizes"][0] = {"as_expr": {"expr_str": EVIL, "hint": {"as_int": 2}}}


def size_of_a_tensor_named_to_hide_it(model: dict[str, Any]) -> None:
    """The same, where text is only shown."""
    values = model["graph_module"]["graph"]["tensor_values"]
    values["metadata"] = values["image"] | {"sizes": [{"as_expr": {"expr_str": EVIL}}]}


def guard(model: dict[str, Any]) -> None:
    """A guard that is executed."""
    model["guards_code"].append(EVIL)


def call(model: dict[str, Any]) -> None:
    """A function that is called."""
    first = model["graph_module"]["graph"]["nodes"][0]
    first |= {
        "target": "torch.os.system",
        "inputs": [{"name": "command", "arg": {"as_string": "touch ran"}, "kind": 1}],
    }


def argument(model: dict[str, Any]) -> None:
    """A function that is handed over."""
    model["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}


def writer(model: dict[str, Any]) -> None:
    """An operator that makes files."""
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def name(model: dict[str, Any]) -> None:
    """A name that becomes Python."""
    model["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = f"image={EVIL}"


def nested(model: dict[str, Any]) -> None:
    """A name of an input that becomes Python, in JSON inside JSON."""
    signature = model["graph_module"]["module_call_graph"][0]["signature"]
    signature["in_spec"] = signature["in_spec"].replace('"null"', json.dumps(json.dumps([EVIL])), 1)


def another_of_the_same_name(files: dict[str, bytes]) -> dict[str, bytes]:
    key = next(key for key in files if "/models/" in key)
    return {key.replace("models", "MODELS"): files[key]} | files


def below_another_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    key = next(key for key in files if "/models/" in key)
    return files | {f"other/{key.partition('/')[2]}": files[key]}


def beside(entry: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: files | {f"{next(iter(files)).partition('/')[0]}/{entry}": b"cos\nsystem\n(S'touch ran'\ntR."}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_the_model(size), "a size is no plain arithmetic: __import__"),
        (of_the_model(size_of_a_tensor_named_to_hide_it), "a size is no plain arithmetic"),
        (of_the_model(guard), "a guard is no plain arithmetic on sizes"),
        (of_the_model(call), r"calls what is no operator on tensors: torch\.os\.system"),
        (of_the_model(argument), "calls what is no operator on tensors"),
        (of_the_model(writer), "calls what is no operator on tensors"),
        (of_the_model(name), "a name is none: image=__import__"),
        (of_the_model(nested), "a name is none: __import__"),
        (another_of_the_same_name, "two files of the same name"),
        (below_another_folder, "two files of the same name"),
        (
            beside("data/constants/custom_obj_0"),
            r"holds more than a program and tensors \(data/constants/custom_obj_0\)",
        ),
        (beside("data/constants/model.pt"), "holds more than a program and tensors"),
        (beside("data/weights/model.pt"), "holds more than a program and tensors"),
        (beside("data/aotinductor/model/model.so"), "holds more than a program and tensors"),
        (lambda files: {"x/archive_version": b"0", "x/models/model.json": b"{"}, "not a file of torch.export that"),
        (lambda files: {"x/hello": b"hello"}, "not a file of torch.export$"),
    ],
)
def test_what_asks_torch_to_do_more_than_compute_is_refused(
    change: Callable, said: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(program) as source:
        files = {info.filename: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile("evil.pt2", "w") as target:
        for key, value in change(files).items():
            target.writestr(key, value)
    with pytest.raises(InputError, match=said):
        ProgramSession("evil.pt2")
    assert not Path("ran").exists()


def test_pickled_weights_are_refused(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "pickled.pt2"
    config = {"config": {"w": {"path_name": "weight_0", "is_param": True, "use_pickle": True, "tensor_meta": None}}}
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info, json.dumps(config) if info.filename.endswith("weights_config.json") else data)
    with pytest.raises(InputError, match="holds pickled weights"):
        ProgramSession(path)


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.pt2").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"x\.pt2: not a file of torch\.export that can be read"):
        ProgramSession(tmp_path / "x.pt2")
