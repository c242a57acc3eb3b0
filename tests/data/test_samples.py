from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from leadline.data.augmentation import Augmentation
from leadline.data.folder import Folder
from leadline.data.samples import MIXED, Draws, Samples, covering, judging_loader


@pytest.mark.parametrize(("height", "width"), [(480, 640), (375, 1242), (1000, 100), (64, 96)])
def test_covering_keeps_the_aspect_and_covers(height, width):
    h, w = covering(height, width, (64, 96))
    assert h >= 64
    assert w >= 96
    assert h == 64 or w == 96
    assert abs(np.log(w / h * height / width)) < 1.5 / min(h, w)


def test_a_plain_sample_is_the_middle_of_the_image(scenes):
    frames = Folder(scenes)
    sample = Samples(frames, (64, 64))[0, 3]
    assert sample["image"].shape == (3, 64, 64)
    assert torch.equal(sample["image"], sample["clean"])
    assert sample["mask"].all()
    whole = frames[3].depth.values
    assert sample["target"].shape == (1, 64, 64)
    assert sample["target"][0, 32, 32] == whole[48, 64]


def test_image_and_target_move_together(scenes):
    """Brightness is a function of depth in these scenes, so it stays one after any geometric change."""
    samples = Samples(Folder(scenes), (64, 96), Augmentation(crop=0.6, jitter=0), seed=5)
    for draw in range(6):
        sample = samples[draw, 2]
        grey, depth = sample["image"].mean(0).flatten(), sample["target"].flatten()
        assert torch.corrcoef(torch.stack([grey, 1 / depth]))[0, 1] > 0.9


def test_a_draw_is_a_function_of_seed_and_number(scenes):
    samples = Samples(Folder(scenes), (64, 96), Augmentation(), seed=5)
    first, again, other = samples[7, 0], samples[7, 0], samples[8, 0]
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])
    assert not torch.equal(first["image"], first["clean"])


def test_draws_are_permutations_and_go_on_where_they_were():
    whole = list(Draws(count=10, batch=4, steps=9, seed=3))
    assert list(Draws(count=10, batch=4, steps=9, seed=3, start=5)) == whole[5:]
    indices = [index for batch in whole for _, index in batch]
    for epoch in range(3):
        assert sorted(indices[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert indices[:10] != indices[10:20]
    assert list(Draws(count=10, batch=4, steps=9, seed=4)) != whole


def test_workers_do_not_change_what_is_read(scenes):
    """In a process of its own: a worker is forked, and this one may hold the threads of every runtime there is."""
    code = (
        "import sys, torch\n"
        "from leadline.data.augmentation import Augmentation\n"
        "from leadline.data.folder import Folder\n"
        "from leadline.data.samples import MIXED, Draws, Samples, training_loader\n"
        "samples = Samples(Folder(sys.argv[1]), (64, 96), Augmentation(), seed=1)\n"
        "draws = Draws(len(samples), 3, 2, seed=1)\n"
        "for a, b in zip(training_loader(samples, draws, 0), training_loader(samples, draws, 1), strict=True):\n"
        "    assert torch.equal(a['image'], b['image']) and torch.equal(a['index'], b['index'])\n"
        "print('equal')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(scenes)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "equal"


def test_judging_reads_each_frame_once_in_order(scenes):
    batches = list(judging_loader(Samples(Folder(scenes), (64, 96)), [5, 1, 9], 2))
    assert [batch["index"].tolist() for batch in batches] == [[5, 1], [9]]


def test_frames_of_few_places_come_at_a_time_and_every_frame_once():
    places = [place for place in range(20) for _ in range(6)]
    order = [index for batch in Draws(120, 4, 30, seed=2, places=places) for _, index in batch]
    assert sorted(order) == list(range(120))
    assert order != sorted(order)
    shown = [places[index] for index in order]
    for start in range(0, 120, 6 * MIXED):
        assert len(set(shown[start : start + 6 * MIXED])) == MIXED
    first = shown[: 6 * MIXED]
    assert first != sorted(first), "the frames of the places are mixed"
    resumed = [index for batch in Draws(120, 4, 30, seed=2, start=17, places=places) for _, index in batch]
    assert resumed == order[17 * 4 :]
    alone, plain = (list(Draws(50, 5, 20, seed=2, places=where)) for where in (list(range(50)), None))
    assert alone == plain


def test_another_camera_is_seen_by_the_student_alone(scenes):
    samples = Samples(Folder(scenes), (64, 96), Augmentation(crop=1.0, flip=0.0, jitter=0.0, sensor=1.0), seed=5)
    plain = Samples(Folder(scenes), (64, 96), Augmentation(crop=1.0, flip=0.0, jitter=0.0), seed=5)
    one, other = samples[3, 0], plain[3, 0]
    assert torch.equal(one["clean"], other["clean"])
    assert torch.equal(one["target"], other["target"])
    assert (one["image"] - one["clean"]).abs().mean() > 0.01
