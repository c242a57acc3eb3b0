"""A run that is killed, again and again, at any moment."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import torch

from common.killed import STEPS, work
from leadline import checkpoint

#: Twenty, which take minutes, where LEADLINE_ALL is set.
KILLS = 20 if os.environ.get("LEADLINE_ALL") else 8


def started(images: Path, out: Path) -> multiprocessing.process.BaseProcess:
    # From a process that has imported everything: most of the time of a new one would be imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["leadline.cli.train", "leadline.training.run", "leadline.methods.supervised"])
    process = context.Process(target=work, args=(str(images), str(out)))
    process.start()
    return process


def finished(images: Path, out: Path) -> dict[str, torch.Tensor]:
    """The weights of a run that is let go on to its end."""
    run = started(images, out)
    run.join()
    assert run.exitcode == 0
    return checkpoint.load(out)[0]


def test_whatever_is_killed_goes_on_to_the_very_same_weights(scenes, tmp_path):
    expected = finished(scenes, tmp_path / "warm.safetensors")
    began = time.monotonic()
    assert_equal(expected, finished(scenes, tmp_path / "whole.safetensors"))
    took = time.monotonic() - began
    outs = (tmp_path / f"killed-{number}.safetensors" for number in itertools.count())
    moments, kills, out = random.Random(0), 0, next(outs)
    while kills < KILLS:
        run = started(scenes, out)
        run.join(moments.uniform(0.2, 1) * took)
        if run.exitcode is None:
            run.kill()
            run.join()
            assert run.exitcode == -signal.SIGKILL
            kills += 1
        elif run.exitcode == 0:  # the next kills hit another run
            assert_equal(expected, checkpoint.load(out)[0])
            out = next(outs)
        else:
            raise AssertionError(f"a run that was started again ended with {run.exitcode}")
    assert_equal(expected, finished(scenes, out))
    for folder in tmp_path.glob("*.run"):
        assert json.loads((folder / "run.json").read_text())["finished"]
        assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == STEPS


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
