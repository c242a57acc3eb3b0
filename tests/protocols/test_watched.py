from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leadline.data.lists import FrameId, in_videos
from leadline.depth import DepthMap
from leadline.errors import InputError
from leadline.protocols.candidate import watched
from leadline.protocols.folder import FOLDER
from leadline.training.rendered import Rendered


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("tract")
    return Rendered(
        "tract", clips=2, frames=4, seed=3, rate=8, height=72, width=108, root=root, processes=1, poses=True
    )


def test_each_video_is_shown_whole_in_order_and_once(video):
    truths = [frame.depth.values for frame in video]
    images = [frame.image for frame in video]
    shown: list[list[int]] = []

    def watch(frames):
        shown.append([])
        for image in frames:
            number = next(i for i, known in enumerate(images) if np.array_equal(known, image))
            shown[-1].append(number)
            yield image, DepthMap(7 * truths[number], "scale-invariant-depth")

    candidate = watched("watching", watch, video)
    last = candidate(video.ids[-1], images[-1])
    assert shown == [[4, 5, 6, 7]]
    np.testing.assert_allclose(last.values, 7 * truths[-1])
    rules = replace(FOLDER, alignment="median-video", min_depth=1, max_depth=150, scores=(), temporal=True)
    result = rules.evaluate(candidate, video)
    assert shown == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert result.means["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert result.means["pairs"] == 6
    assert result.means["tae"] >= 0


def test_a_video_is_cut_where_much_is_left_out():
    def numbers(*chosen: int) -> list[list[int]]:
        return [[id.number for id in video] for video in in_videos([FrameId("s", number) for number in chosen])]

    assert numbers(0, 1, 2, 4, 40, 41, 42) == [[0, 1, 2, 4], [40, 41, 42]]
    assert numbers(0, 5, 10, 15, 40, 45) == [[0, 5, 10, 15], [40, 45]]
    assert numbers(7) == [[7]]
    assert numbers(0, 1, 2, 0, 1) == [[0, 1, 2], [0, 1]]
    both = [FrameId("s", number, camera) for number in (0, 1) for camera in ("left", "right")]
    assert in_videos(both) == [both[::2], both[1::2]]


def test_a_video_that_breaks_is_reported_for_each_of_its_frames_and_the_others_are_judged(video):
    asked = []

    def watch(frames):
        asked.append(1)
        for number, image in enumerate(frames):
            if len(asked) == 1 and number == 2:
                raise InputError("frame 2 is broken")
            yield image, DepthMap(np.ones(image.shape[:2]), "scale-invariant-depth")

    candidate = watched("watching", watch, video)
    for index in (3, 0, 1):
        with pytest.raises(InputError, match="its video cannot be watched: frame 2 is broken"):
            candidate(video.ids[index], video[index].image)
    assert candidate(video.ids[5], video[5].image).shape == (72, 108)
    assert len(asked) == 2
