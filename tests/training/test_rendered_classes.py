from __future__ import annotations

import numpy as np

from leadline import worlds
from leadline.data.samples import Samples
from leadline.training.rendered import Live
from leadline.training.rendered_classes import LiveClasses


def test_frames_are_those_of_the_world_with_their_classes():
    size = {"height": 32, "width": 48}
    frames = LiveClasses("room", clips=2, frames=2, seed=5, **size)
    plain = Live("room", clips=2, frames=2, seed=5, **size)
    world = worlds.create("room", rate=2.0, **size)
    for index in (3, 0, -1):
        seed, moment = divmod(index % 4, 2)
        expected = world.clip(5 + seed, 2)[moment]
        np.testing.assert_array_equal(frames[index].semantics, expected.semantics)
        np.testing.assert_array_equal(frames[index].image, plain[index].image)
    assert len(np.unique(frames[0].semantics)) > 3
    sample = Samples(frames, (32, 32))[0, 1]
    assert sample["semantics"].shape == (1, 32, 32)
    np.testing.assert_array_equal(sample["semantics"][0], frames[1].semantics[:, 8:40])
