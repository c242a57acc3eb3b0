"""What may go wrong while a network is trained."""

from __future__ import annotations

import pytest
import torch

from leadline import checkpoint
from leadline.data.augmentation import Augmentation
from leadline.data.folder import Folder
from leadline.data.split import Holdout
from leadline.errors import InputError
from leadline.losses.reduce import image_mean
from leadline.methods.base import StudentOptions
from leadline.methods.supervised import Supervised
from leadline.training.options import FitOptions
from leadline.training.run import run

TINY = StudentOptions("litenet-tiny", pretrained=False)
CPU = {"device": "cpu", "workers": 0}


class Spoilt(Supervised):
    """Loses its way at some steps."""

    at: tuple[int, ...] = ()

    def parts(self, batch):
        parts = super().parts(batch)
        if self._trainer is not None and self.trainer.global_step + 1 in self.at:
            parts["data"] = parts["data"] * torch.nan
        return parts


def train(method, frames, out, **options):
    options = FitOptions(**{"steps": 12, "batch_size": 2, "size": (64, 96), "average": False} | CPU | options)
    return run(method, frames, options, out, {}, Holdout(0), Augmentation())


def test_steps_without_a_number_change_nothing_and_are_told(scenes, tmp_path, capsys):
    method = Spoilt(TINY)
    method.at = (3, 4, 9)
    train(method, Folder(scenes), tmp_path / "a.safetensors")
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert [line.split(":")[0] for line in said] == [f"step {step} left out" for step in (3, 4, 9)]
    assert ".png is not a number" in said[0]
    weights, _ = checkpoint.load(tmp_path / "a.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    # Nothing is learned from them, and no running mean counts them, when all but the first are spoilt.
    method = Spoilt(TINY)
    method.at = tuple(range(2, 10))
    train(method, Folder(scenes), tmp_path / "b.safetensors", steps=9)
    train(Supervised(TINY), Folder(scenes), tmp_path / "c.safetensors", steps=9, seed=0)
    first = Spoilt(TINY)
    first.at = (2,)
    train(first, Folder(scenes), tmp_path / "d.safetensors", steps=9)
    spoilt, whole, once = (checkpoint.load(tmp_path / f"{name}.safetensors")[0] for name in "bcd")
    counters = [name for name in spoilt if name.endswith("num_batches_tracked")]
    assert counters
    assert {int(spoilt[name]) for name in counters} == {1}
    assert {int(once[name]) for name in counters} == {8}
    assert {int(whole[name]) for name in counters} == {9}


def test_many_in_a_row_end_the_run(scenes, tmp_path):
    method = Spoilt(TINY)
    method.at = tuple(range(2, 20))
    with pytest.raises(InputError, match=r"training: steps 2 to 11 had no finite loss with .*\.png; look at these"):
        train(method, Folder(scenes), tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_in_the_middle_is_left_out(scenes, tmp_path, capfd, workers):
    class Broken(Folder):
        def load(self, id):
            if id.number == 5:
                raise InputError(f"{workers}/005.png: the picture is damaged or cut off")
            return super().load(id)

    train(Supervised(TINY), Broken(scenes), tmp_path / "a.safetensors", workers=workers)
    err = capfd.readouterr().err
    assert err.count(f"left out: {workers}/005.png: the picture is damaged or cut off") == 1
    assert (tmp_path / "a.safetensors").is_file()


def test_nothing_that_can_be_read_is_one_line(scenes, tmp_path):
    class Gone(Folder):
        ready = True

        def load(self, id):
            if self.ready:
                return super().load(id)
            raise InputError(f"{id}: the disk is gone")

    class Method(Supervised):
        def on_train_start(self):
            self.frames.ready = False

    frames = Gone(scenes)
    method = Method(TINY)
    method.frames = frames
    with pytest.raises(
        InputError, match=r"^none of the 2 images of a step can be read, the first: \S+: the disk is gone"
    ):
        train(method, frames, tmp_path / "a.safetensors")


def test_too_little_memory_says_what_helps(scenes, tmp_path):
    class Large(Supervised):
        def on_train_start(self):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with pytest.raises(InputError, match=r"2 images of 64x96; give --fit\.batch_size 1 --fit\.accumulate 2"):
        train(Large(TINY), Folder(scenes), tmp_path / "a.safetensors")


def test_a_loading_process_that_dies_is_named(scenes, tmp_path):
    import os

    class Deadly(Folder):
        def load(self, id):
            if torch.utils.data.get_worker_info() is not None and id.number > 12:
                os._exit(9)
            return super().load(id)

    with pytest.raises(InputError, match=r"a process that loads data died .*fewer --fit\.workers, then start again"):
        train(Supervised(TINY), Deadly(scenes), tmp_path / "a.safetensors", workers=1, steps=40)


def test_batches_that_are_added_up_are_one_batch(scenes, tmp_path):
    """With norms that do not look at the batch, and a loss of each image, the gradient of two batches of two is that of
    one of four."""

    class Frozen(Supervised):
        def parts(self, batch):
            output, target = self.student(batch["image"])[0], batch["target"]
            return {"error": image_mean((output - target).abs(), batch["mask"] & torch.isfinite(target))}

        def on_train_batch_start(self, batch, batch_idx):
            for module in self.modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.eval()

    means = {}
    for name, options in {"a": {"batch_size": 4}, "b": {"batch_size": 2, "accumulate": 2}}.items():
        train(Frozen(TINY), Folder(scenes), tmp_path / f"{name}.safetensors", steps=1, **options)
        state = torch.load(tmp_path / f"{name}.run" / "last.ckpt", weights_only=True)
        assert state["global_step"] == 1
        means[name] = torch.cat([each["exp_avg"].flatten() for each in state["optimizer_states"][0]["state"].values()])
    assert (means["b"] - means["a"]).norm() < 1e-3 * means["a"].norm()
