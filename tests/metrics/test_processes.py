"""Figures made by several processes are those of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# The same items, in one process and then dealt out to two; also some that cannot be judged.
SCRIPT = """
import datetime, json, sys
import numpy as np, torch, torch.distributed as dist
from leadline.camera import Pinhole
from leadline.geometry.poses import compose
from leadline.metrics.collection import DepthErrors, MeanScores
from leadline.metrics.cross_view import CrossViewErrors
from leadline.metrics.temporal import TemporalErrors

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
camera = Pinhole(16, 12, 12.0, 12.0, 7.5, 5.5)


def judge(rank, world):
    metrics = {"depth": DepthErrors(), "scores": MeanScores(["a", "b"]), "temporal": TemporalErrors(),
               "cross": CrossViewErrors()}
    for item in range(rank, 7, world):
        rng = np.random.default_rng(item)
        depth, mask = rng.uniform(1, 4, (2, 12, 16)), rng.random((2, 12, 16)) < 0.7
        if item == 3:
            mask[:] = False
        away = np.diag([-1.0, 1.0, -1.0, 1.0]) if item == 5 else compose(np.eye(3), np.array([0.2, 0.0, 0.0]))
        pred, gt, known = (torch.from_numpy(a) for a in (depth[0], depth[1], mask[0]))
        pair = [camera] * 2, [np.eye(4), away]
        metrics["depth"].update(pred, gt, known, [str(item)])
        metrics["scores"].update({"a": float(item), "b": float("nan") if item % 2 else 1.0}, str(item))
        metrics["temporal"].update(depth, mask, *pair, str(item))
        metrics["cross"].update(depth, mask, *pair, depth[::-1], mask, str(item))
    figures = {name: {key: value.item() for key, value in metric.compute().items()} for name, metric in metrics.items()}
    return {"figures": figures, "unjudged": {name: metric.unjudged for name, metric in metrics.items()}}


alone = judge(0, 1)
dist.init_process_group("gloo", f"file://{store}", datetime.timedelta(seconds=60), 2, rank)
print(json.dumps([alone, judge(rank, 2)]))
dist.destroy_process_group()
"""


def test_two_processes_find_what_one_finds(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path / "store")],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()  # one that waits for another that failed
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors
    (alone, first), (_, second) = (json.loads(text.splitlines()[-1]) for text, _ in outputs)
    for name, figures in alone["figures"].items():
        for process in (first, second):
            assert process["figures"][name] == pytest.approx(figures, rel=1e-6, nan_ok=True), name
        named = first["unjudged"][name] + second["unjudged"][name]
        assert sorted(named) == sorted(alone["unjudged"][name])
    figures = alone["figures"]
    assert (figures["depth"]["images"], figures["depth"]["without_truth"]) == (6, 1)
    assert figures["scores"]["b_missing"] == 3
    assert (figures["temporal"]["pairs"], figures["temporal"]["without_overlap"]) == (5, 2)
    assert figures["cross"]["pairs"] > 0
    assert figures["cross"]["without_overlap"] >= 2
