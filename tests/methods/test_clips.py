from __future__ import annotations

import pytest
import torch

from leadline.camera import Camera
from leadline.data.augmentation import Augmentation
from leadline.data.clips import ClipSamples
from leadline.data.samples import collate
from leadline.errors import InputError
from leadline.methods.clips import around, each_with_neighbours, in_order, with_neighbours
from leadline.training.rendered import Rendered

SIZE = (32, 48)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered("tract", clips=2, frames=6, seed=3, rate=8, height=36, width=54, root=root, processes=1, poses=True)


@pytest.mark.parametrize("augmentation", [None, Augmentation(crop=1.0, flip=1.0, jitter=0.2)], ids=["plain", "varied"])
def test_clips_are_their_frames_with_their_neighbours(video, augmentation):
    length, starts = 3, [1, 2]
    clips = ClipSamples(video, SIZE, around(length), augmentation, poses=True)
    found = each_with_neighbours(collate([clips[4, start] for start in starts]))
    alone = ClipSamples(video, SIZE, (-1, 1), None, poses=True)
    if augmentation is not None:  # the same mirroring, and colours that change no "clean" image
        alone = ClipSamples(video, SIZE, (-1, 1), Augmentation(crop=1.0, flip=1.0, jitter=0.0), poses=True)
    expected = collate([alone[4, start + step] for start in starts for step in range(length)])
    for name in ("clean", "clean_sources", "mask"):
        assert torch.equal(found[name], expected[name]), name
    assert found["image"].shape == expected["image"].shape
    assert torch.equal(found["image"], found["clean"]) == (augmentation is None)
    torch.testing.assert_close(found["motions"], expected["motions"], rtol=1e-4, atol=1e-4)
    mine, theirs = (Camera._parameters(each["camera"]) for each in (found, expected))
    for name, values in mine.items():
        assert torch.equal(values, theirs[name])


def test_frames_whose_pose_was_lost_are_not_learned_from(video, monkeypatch):
    usable, offsets = with_neighbours(video, (-1, 1)), (-1, 1)
    assert with_neighbours(video, offsets, poses=True) == usable
    lost, known = video.ids[usable[-1] + 1], type(video).pose
    monkeypatch.setattr(type(video), "pose", lambda self, id: None if id == lost else known(self, id))
    assert with_neighbours(video, offsets) == usable
    assert with_neighbours(video, offsets, poses=True) == usable[:-1]
    monkeypatch.setattr(type(video), "pose", lambda self, id: None)
    with pytest.raises(InputError, match="no frame has a pose and neighbours with poses"):
        with_neighbours(video, offsets, poses=True)


def test_frames_stand_in_the_order_of_time(video):
    batch = collate([ClipSamples(video, SIZE, around(2), truths=True)[0, 1]])
    images, depths = in_order(batch, "clean"), in_order(batch, "target")
    single = ClipSamples(video, SIZE, (1,))
    for place, index in enumerate((0, 1, 2, 3)):
        assert torch.equal(images[0, place], single[0, index]["clean"])
        torch.testing.assert_close(depths[0, place], single[0, index]["target"], equal_nan=True)
