from __future__ import annotations

import pytest
import torch

from leadline.errors import ConfigError, InputError
from leadline.networks import create
from leadline.networks.student import Student
from leadline.networks.video import VideoDepth


@pytest.fixture(scope="module")
def network() -> VideoDepth:
    """A tiny one whose motion modules do something."""
    torch.manual_seed(0)
    made = create("vda-tiny").eval()
    assert isinstance(made, VideoDepth)
    for module in made.network.head.motion_modules:
        torch.nn.init.normal_(module.temporal_transformer["proj_out"].weight, std=0.05)
    return made


def images(count: int = 3, height: int = 56, width: int = 70) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_images_are_clips_of_one_frame_and_frames_of_a_clip_see_one_another(network):
    clip = images()
    alone = network(clip)
    assert alone.shape == (3, 1, 56, 70)
    expected = torch.stack([network.network(image[None, None])[0] for image in clip])
    torch.testing.assert_close(alone, expected)
    together = network.decode(network.encode(clip), (56, 70), 3)
    torch.testing.assert_close(together[:, 0], network.network(clip[None])[0])
    assert (together - alone).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(("height", "width", "seen"), [(64, 96, (56, 84)), (56, 70, (56, 70)), (61, 83, (56, 70))])
def test_any_size_is_seen_at_multiples_of_14_and_answered_at_its_own(network, height, width, seen):
    shapes = []
    hook = network.network.pretrained.register_forward_hook(lambda _, given, __: shapes.append(given[0].shape[-2:]))
    assert network(images(1, height, width)).shape == (1, 1, height, width)
    hook.remove()
    assert shapes == [seen]


def test_training_gives_four_scales_of_one_map(network):
    maps = network.train()(images(2, 64, 96))
    network.eval()
    assert [tuple(each.shape[-2:]) for each in maps] == [(64, 96), (32, 48), (16, 24), (8, 12)]
    halves = torch.nn.functional.avg_pool2d(maps[0], 2)
    torch.testing.assert_close(maps[1], halves)


@torch.no_grad()
def test_a_student_starts_at_a_depth_and_sees_clips():
    torch.manual_seed(0)
    student = Student(create("vda-tiny"), "metric-depth", "mm", (1.0, 400.0)).eval()
    student.start_at(20.0)
    answer = student(images(2, 64, 96))
    assert answer.median() == pytest.approx(20.0, rel=0.3)
    assert answer.max() < 200  # nowhere behind a ReLU that answers 0
    (clip,) = student.clip(images(4, 64, 96)[None])
    assert clip.shape == (4, 1, 64, 96)
    with pytest.raises(ConfigError, match="sees single images, no clips"):
        Student(create("litenet-tiny"), "metric-depth", "mm", (1.0, 400.0)).clip(images()[None])


@torch.no_grad()
def test_a_live_video_is_seen_frame_by_frame(network):
    clip = images(3, 64, 96)
    memory, answers = None, []
    for image in clip:
        answer, memory = network.following(image[None], memory)
        answers.append(answer)
    torch.testing.assert_close(answers[0], network(clip[:1]))
    assert answers[2].shape == (1, 1, 64, 96)
    assert (answers[2] - network(clip[2:])).abs().max() > 1e-3  # it remembers
    with pytest.raises(InputError, match="start anew"):
        network.following(images(1, 64, 128), memory)


def test_too_long_clips_are_refused(network):
    with pytest.raises(InputError, match="33 frames, expected 1 to 32"):
        network.decode(network.encode(images(1)), (56, 70), 33)
    with pytest.raises(ConfigError, match="no 'huge'"):
        VideoDepth("huge")
