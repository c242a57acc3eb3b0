from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.errors import ConfigError
from leadline.geometry.warp import follow
from leadline.losses.photometric import photometric_error
from leadline.networks.flow import AppearanceNetwork, FlowNetwork

BOTH = [(FlowNetwork, 2), (AppearanceNetwork, 3)]


def pair(batch: int = 2, size: tuple[int, int] = (64, 96)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(size))
    return torch.rand(batch, 3, *size, generator=generator), torch.rand(batch, 3, *size, generator=generator)


def texture(height: int, width: int) -> Tensor:
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=torch.Generator().manual_seed(5))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("size", [(64, 96), (97, 131), (20, 45)])
@pytest.mark.parametrize(("kind", "channels"), BOTH)
@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "resnet18"])
@torch.no_grad()
def test_gives_maps_of_four_scales_finest_first(
    kind: type[nn.Module], channels: int, encoder: str, size: tuple[int, int]
) -> None:
    maps = kind(encoder, pretrained=False).eval()(*pair(3, size))
    assert [tuple(m.shape) for m in maps] == [(3, channels, -(-size[0] // s), -(-size[1] // s)) for s in (1, 2, 4, 8)]


@pytest.mark.parametrize(("kind", "channels"), BOTH)
def test_gradients_reach_every_parameter(kind: type[nn.Module], channels: int) -> None:
    torch.manual_seed(0)
    network = kind(pretrained=False, scales=3).train()
    maps = network(*pair(4))
    assert len(maps) == 3
    sum((m * torch.rand_like(m)).sum() for m in maps).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(("kind", "channels"), BOTH)
@torch.no_grad()
def test_maps_start_near_zero(kind: type[nn.Module], channels: int) -> None:
    torch.manual_seed(0)
    for values in kind().eval()(*pair()):
        assert 0 < values.abs().max() < 0.01


@torch.no_grad()
def test_change_of_brightness_stays_between_black_and_white() -> None:
    torch.manual_seed(0)
    network = AppearanceNetwork().eval()
    for parameter in network.decoder.heads.parameters():
        parameter *= 1e5
    for change in network(*pair()):
        assert 0.9 < change.abs().max() <= 1


@pytest.mark.parametrize(("kind", "channels"), BOTH)
@torch.no_grad()
def test_borders_that_were_added_do_not_show(kind: type[nn.Module], channels: int) -> None:
    torch.manual_seed(0)
    network = kind(pretrained=False).eval()
    first, second = pair(1, (90, 120))
    rows, columns = torch.arange(96).clamp(max=89), torch.arange(128).clamp(max=119)
    whole = network(first[:, :, rows][..., columns], second[:, :, rows][..., columns])
    for part, full in zip(network(first, second), whole, strict=True):
        torch.testing.assert_close(part, full[..., : part.shape[-2], : part.shape[-1]])


def test_flow_learns_a_shift_of_three_pixels() -> None:
    """The scene moves 3 pixels right and 1 up from the first image to the second: seen (x, y) at (x + 3, y - 1)."""
    torch.manual_seed(0)
    canvas = texture(80, 96)
    first, second = canvas[..., 8:72, 8:88], canvas[..., 9:73, 5:85]
    network = FlowNetwork().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)

    def error() -> Tensor:
        flows = [F.interpolate(flow, (64, 80), mode="bilinear") for flow in network(first, second)]
        return sum(photometric_error(follow(second, flow), first).mean() for flow in flows) / 4

    before = error().item()
    for _ in range(60):
        loss = error()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3 * before
    for flow in network(first, second):
        middle = flow[0, :, flow.shape[2] // 4 : -flow.shape[2] // 4, flow.shape[3] // 4 : -flow.shape[3] // 4]
        torch.testing.assert_close(middle.flatten(1).median(1).values, torch.tensor([3.0, -1.0]), atol=0.3, rtol=0)


def test_appearance_learns_what_to_add_to_the_second_image() -> None:
    torch.manual_seed(0)
    second = 0.5 * texture(64, 80)
    first = second + torch.tensor([0.2, 0.1, -0.05])[:, None, None]
    network = AppearanceNetwork().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
    for _ in range(40):
        loss = sum(
            (second + F.interpolate(change, (64, 80), mode="bilinear") - first).square().mean()
            for change in network(first, second)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for change in network(first, second):
        torch.testing.assert_close(change.mean((0, 2, 3)), torch.tensor([0.2, 0.1, -0.05]), atol=0.03, rtol=0)


@pytest.mark.parametrize("scales", [0, 6])
def test_impossible_numbers_of_scales_are_told(scales: int) -> None:
    with pytest.raises(ConfigError, match="scales"):
        FlowNetwork(pretrained=False, scales=scales)


@torch.no_grad()
def test_flow_is_exact_in_mixed_precision() -> None:
    network = FlowNetwork(pretrained=False).eval()
    network.decoder.heads[0].conv.bias.fill_(20.03)
    with torch.autocast("cpu", torch.bfloat16):
        (flow, *_) = network(*pair())
    assert flow.dtype == torch.float32
    torch.testing.assert_close(flow, torch.full_like(flow, 20.03), atol=1e-2, rtol=0)


@torch.no_grad()
def test_double_precision_stays_double() -> None:
    first, second = (image.double() for image in pair())
    assert {flow.dtype for flow in FlowNetwork(pretrained=False).eval().double()(first, second)} == {torch.float64}
