"""A run of training that is there to be killed; here, where another process finds it."""

from __future__ import annotations

import torch

from leadline.cli import main

STEPS = 16
FIT = (
    "--fit.steps", str(STEPS), "--fit.batch_size", "2", "--fit.size", "[64, 64]", "--fit.workers", "0",
    "--fit.device", "cpu", "--fit.save_every", "1", "--fit.judge_every", "6", "--holdout.every", "6",
    "--holdout.block", "1",
    "--method.student.architecture", "litenet-tiny", "--method.student.pretrained", "false",
)  # fmt: skip


def work(images: str, out: str) -> None:
    torch.set_num_threads(1)
    assert main(["train", "supervised-folder", "--data.root", images, "--out", out, *FIT]) == 0
