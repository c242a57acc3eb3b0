from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from leadline.engines import Session, TensorSpec
from leadline.engines.onnx import OnnxSession
from leadline.engines.openvino import OpenVINOSession, core
from leadline.errors import ConfigError, InputError

WEIGHT = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
IMAGE = np.random.default_rng(1).random((1, 3, 9, 12), np.float32)
FILES = [OnnxSession, OpenVINOSession]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One convolution, any batch and height, width 12, with a card inside."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["depth"], pads=[1, 1, 1, 1])],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", 12])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", 2, "height", 12])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"leadline": '{"kind": "x"}'})
    path = tmp_path_factory.mktemp("engines") / "network.onnx"
    onnx.save(model, path)
    return path


SIGNAL = """
import os, signal, sys
{}
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
SESSIONS = """
from leadline.engines.openvino import OpenVINOSession
first = OpenVINOSession(sys.argv[1], 1)
second = OpenVINOSession(sys.argv[1], 1)
del first
del second
"""
PLUGINS = """
import openvino
from leadline.engines.openvino import signal_stack_kept
with signal_stack_kept():
    first = openvino.Core().compile_model(sys.argv[1], "CPU")
    second = openvino.Core().compile_model(sys.argv[1], "CPU")
    del first
    del second
"""


@pytest.mark.skipif(sys.platform != "linux", reason="stacks for signals are kept on Linux")
@pytest.mark.parametrize("code", [SESSIONS, PLUGINS], ids=["sessions", "plugins"])
def test_openvino_leaves_no_freed_stack_to_signals(code: str, network: Path) -> None:
    """In a process of its own, as a signal would be the end of this one."""
    command = [sys.executable, "-c", SIGNAL.format(code), str(network)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "handled\n", "")


@pytest.mark.parametrize("engine", FILES)
def test_a_file_says_what_it_takes_and_gives(engine: type, network: Path) -> None:
    session: Session = engine(network, threads=1)
    assert session.inputs == [TensorSpec("image", (-1, 3, -1, 12), "float32")]
    assert session.outputs == [TensorSpec("depth", (-1, 2, -1, 12), "float32")]
    assert session.metadata["leadline"] == '{"kind": "x"}'


@pytest.mark.parametrize("shape", [(1, 3, 9, 12), (2, 3, 5, 12)])
def test_all_engines_compute_the_same(network: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(2).random(shape, np.float32)
    sessions: list[Session] = [OnnxSession(network, 1), OpenVINOSession(network, 1)]
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("bchwij,ocij->bohw", windows, WEIGHT)
    for session in sessions:
        (output,) = session(image)
        np.testing.assert_allclose(output, expected, atol=1e-5)


def test_openvino_keeps_float32_whatever_the_cpu_prefers(network: Path) -> None:
    (output,) = OpenVINOSession(network, 1)(IMAGE)
    (expected,) = OnnxSession(network, 1)(IMAGE)
    assert np.abs(output - expected).max() < 1e-5  # bfloat16 would be off by 1e-2


def test_openvino_results_survive_the_next_call(network: Path) -> None:
    session = OpenVINOSession(network, 1)
    (first,) = session(IMAGE)
    before = first.copy()
    session(np.zeros_like(IMAGE))
    np.testing.assert_array_equal(first, before)


def test_openvino_pair_keeps_its_card_and_takes_a_fixed_size(network: Path, tmp_path: Path) -> None:
    model = core().read_model(network)
    model.set_rt_info('{"kind": "y"}', ["leadline"])
    openvino.serialize(model, str(tmp_path / "a.xml"), str(tmp_path / "b.bin"))
    session = OpenVINOSession(tmp_path / "a.xml", 1, shape=(1, 3, 9, 12), weights=tmp_path / "b.bin")
    assert session.metadata["leadline"] == '{"kind": "y"}'
    assert session.inputs[0].shape == (1, 3, 9, 12)
    np.testing.assert_allclose(session(IMAGE)[0], OnnxSession(network, 1)(IMAGE)[0], atol=1e-5)
    with pytest.raises(InputError, match="expects image"):
        session(IMAGE[:, :, :8])
    with pytest.raises(InputError, match=r"cannot prepare this file for an input of \(1, 4, 9, 12\)"):
        OpenVINOSession(network, 1, shape=(1, 4, 9, 12))


@pytest.mark.parametrize("engine", FILES)
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((IMAGE[:, :2],), r"expects image \(any, 3, any, 12\) float32, given \(1, 2, 9, 12\) float32"),
        ((IMAGE[0],), r"given \(3, 9, 12\)"),
        ((), "takes 1 arrays .*given 0"),
        ((IMAGE.astype(np.complex64),), "given .*complex64"),
    ],
)
def test_wrong_arrays_are_named(engine: type, network: Path, arrays: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine(network, 1)(*arrays)


@pytest.mark.parametrize("engine", FILES)
def test_unreadable_files_are_one_clear_line(engine: type, tmp_path: Path, network: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"junk\.onnx: (ONNX Runtime|OpenVINO) cannot read this file") as caught:
        engine(junk)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"none\.onnx: no such file"):
        engine(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match="threads: must be at least 1"):
        engine(network, threads=0)


@pytest.mark.parametrize(("engine", "package"), [(OnnxSession, "onnxruntime"), (OpenVINOSession, "openvino")])
def test_a_missing_package_says_what_to_install(
    engine: type, package: str, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("leadline.engines.openvino.core", core.__wrapped__)  # it may have been imported before
    with pytest.raises(ConfigError, match=r"pip install 'leadline\[export\]'"):
        engine(network)
