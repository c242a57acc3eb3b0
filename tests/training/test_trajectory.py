from __future__ import annotations

import numpy as np
import pytest
import torch

from common.toy import Toy
from leadline.data.samples import Samples
from leadline.networks.pose import Motion
from leadline.training.trajectory import pose_report


class Moving(Toy):
    """The camera moves 0.1 to the right from frame to frame."""

    count = 7


class Fixed(torch.nn.Module):
    """A pose network that always answers the same motion."""

    def __init__(self, translation) -> None:
        super().__init__()
        self.translation = torch.nn.Parameter(torch.tensor([translation]))

    def forward(self, first, second) -> Motion:
        matrix = torch.eye(4).repeat(len(first), 1, 1)
        matrix[:, :3, 3] = self.translation
        return Motion(torch.zeros(len(first), 3), self.translation, matrix)


@pytest.fixture
def data(tmp_path) -> Moving:
    return Moving(Moving.write(tmp_path))


def test_the_right_direction_has_no_error_at_any_scale(data):
    # points move to the left by what the camera moves to the right
    for step in (-0.1, -3.0):
        found = pose_report(Fixed([step, 0.0, 0.0]), data, Samples(data, (32, 32)), range(len(data)))
        assert found["pose ATE, 5 frames"] == pytest.approx(0, abs=1e-6)
        assert found["pose rotation error"] == pytest.approx(0, abs=1e-4)
        # of 7 frames, 6 motions: 5 snippets that have two motions and more; two sequences
        assert found["pose snippets"] == 10
    wrong = pose_report(Fixed([0.0, 0.1, 0.0]), data, Samples(data, (32, 32)), range(len(data)))
    assert wrong["pose ATE, 5 frames"] > 0.05


def test_frames_without_neighbours_or_poses_are_passed_over(data):
    samples = Samples(data, (32, 32))
    network = Fixed([-0.1, 0.0, 0.0])
    assert pose_report(network, data, samples, [0, 2, 4, 6]) == {}
    assert pose_report(network, data, samples, [5, 6, 7, 8]) == {}  # two and two, of two sequences
    data.pose = lambda id: None if id.number == 3 else np.eye(4)
    assert pose_report(network, data, samples, range(7))["pose snippets"] == 2


def test_frames_may_be_some_apart(data):
    samples = Samples(data, (32, 32))
    found = pose_report(Fixed([-0.1, 0.0, 0.0]), data, samples, range(7), stride=2)
    assert found["pose snippets"] == 2 + 1  # of frames 0 2 4 6 and 1 3 5
    assert found["pose ATE, 5 frames"] == pytest.approx(0, abs=1e-6)
