"""A disk that takes no more: a line, and nothing half-written. A limit on the size of files stands in for it."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from common.commands import run
from leadline.data.folder import Folder
from leadline.data.packing import pack
from leadline.io.video import VideoWriter

SIZE = (96, 128)
#: Bytes a file may have; more where a run of training is to come as far as its checkpoint.
SMALL, CHECKPOINT = 4096, 100_000
#: What a user types, where {root} is the folder of inputs and {out} that of results.
COMMANDS = {
    "predict an image": "predict {root}/scenes/images/000.png --model {root}/s.safetensors --out {out} --format npz",
    "predict a video": "predict {root}/clip.mp4 --model {root}/s.safetensors --out {out}",
    "predict point clouds": "predict {root}/scenes/images/000.png --model {root}/s.safetensors --out {out} "
    "--format ply --fov 60",
    "pack": "data pack folder {root}/scenes --out {out}/packed",
    "label": "label --teacher {root}/s.safetensors --data {root}/shards --out {out}/labelled",
    "export to ONNX": "export --model {root}/s.safetensors --to onnx --out {out}/s.onnx",
    "export to OpenVINO": "export --model {root}/s.safetensors --to openvino --out {out}/s.xml",
    "train": "train supervised-folder --data.root {root}/scenes --out {out}/t.safetensors --fit.steps 2 "
    "--fit.batch_size 1 --fit.size [64,96] --fit.device cpu --fit.workers 0 "
    "--method.student.architecture litenet-tiny --method.student.pretrained false",
    "render": "synth tract --frames 2 --out {out}/tract",
}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def good(scenes, student_file, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("good")
    shutil.copytree(scenes, root / "scenes")
    shutil.copy(student_file, root / "s.safetensors")
    pack(Folder(scenes), root / "shards", per_shard=6)
    with VideoWriter(root / "clip.mp4", 10, SIZE) as video:
        for number in range(4):
            video.write(np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8))
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_one_line_and_nothing_half_written(good, tmp_path, capsys, name):
    out = tmp_path / "out"
    out.mkdir()
    most = CHECKPOINT if name == "train" else SMALL
    with files_of_at_most(most):
        code, _, said = run(capsys, *COMMANDS[name].format(root=good, out=out).split())
    assert code == 1, said
    assert "File too large" in said.strip().splitlines()[-1]
    assert len(said.strip().splitlines()[-1]) < 400
    assert "Traceback" not in said
    assert not [path for path in out.rglob("*") if path.is_file() and path.stat().st_size >= most]
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
