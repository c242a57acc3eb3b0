from __future__ import annotations

import pytest
import torch

from common.network_tester import NetworkTester, responsive
from leadline.errors import InputError
from leadline.networks import create
from leadline.networks.swift_video import SwiftVideo


class TestSwiftVideo(NetworkTester):
    variant = "swift-video"


@pytest.fixture(scope="module")
def network() -> SwiftVideo:
    torch.manual_seed(0)
    made = responsive(create("swift-video"))
    assert isinstance(made, SwiftVideo)
    return made


def clip(frames: int = 4) -> torch.Tensor:
    return torch.rand(2, frames, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def seen(network: SwiftVideo, images: torch.Tensor) -> torch.Tensor:
    """(B, T, H, W)"""
    answer = network.decode(network.encode(images.flatten(0, 1)), (64, 96), images.shape[1])
    return answer.unflatten(0, images.shape[:2])[:, :, 0]


@torch.no_grad()
def test_at_the_start_it_is_swift_bit_for_bit():
    torch.manual_seed(0)
    network, plain = create("swift-video").eval(), create("swift").eval()
    plain.load_state_dict(network.image.state_dict())
    assert torch.equal(seen(network, clip()), plain(clip().flatten(0, 1))[:, 0].unflatten(0, (2, 4)))


@torch.no_grad()
def test_it_remembers_and_never_looks_ahead(network):
    images = clip()
    before = seen(network, images)
    for changed in range(4):
        other = images.clone()
        other[:, changed] = 0.5
        after = seen(network, other)
        assert torch.equal(after[:, :changed], before[:, :changed])
        assert not any(torch.equal(after[:, t], before[:, t]) for t in range(changed, 4))


@torch.no_grad()
def test_a_live_video_gives_what_the_clip_gives(network):
    images, memory = clip(), None
    whole = seen(network, images)
    for t in range(4):
        answer, memory = network.following(images[:, t], memory)
        torch.testing.assert_close(answer[:, 0], whole[:, t])
    with pytest.raises(InputError, match="start anew"):
        network.following(images[:1, 0], memory)


def test_what_was_seen_first_is_learned_from_what_came_last(network):
    images = clip().requires_grad_()
    seen(network, images)[:, -1].sum().backward()
    assert images.grad[:, 0].any()
