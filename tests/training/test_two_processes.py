"""Two processes learn what one with twice the batch learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import each_method

NAMES = (
    "supervised", "affine", "segmentation", "litenet", "litenet on video", "vfm", "endodav", "intrinsic", "surround",
    "briges",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data, and what two processes made of it, started as on a cluster."""
    folder = tmp_path_factory.mktemp("two")
    each_method.write_data(folder)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        each_method.__file__, str(folder),
    ]  # fmt: skip
    tests = Path(__file__).parents[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_are_one_with_twice_the_batch(folder, tmp_path, name):
    two = each_method.losses(folder / "two" / f"{name}.safetensors")
    one = each_method.learned(each_method.methods(folder)[name](), tmp_path / "one.safetensors", 2, devices=1)
    assert len(one) == len(two) == each_method.STEPS
    assert one == pytest.approx(two, rel=1e-4)
    assert len(set(one)) > 1


def test_no_method_is_missing():
    assert set(NAMES) == set(each_method.methods(Path("x")))
