"""How the image moved from one frame to the next: a light dense flow, where it can be believed, and how the camera
moved.

No network and no weights: patches are matched from coarse to fine by least squares (Lucas and Kanade, IJCAI 1981, in
the inverse form of Baker and Matthews, IJCV 2004), from a start that the phases of both spectra give (Kuglin and
Hines, 1975). Made for frames that follow one another: it finds motion of up to half of the image where all of it moves
together, and of a few per cent beside that where parts of it move by themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from leadline.geometry.warp import follow

#: Short side of the finest images that are matched, in pixels.
SIDE = 120
#: Images halved so often are matched first.
LEVELS = 3
#: Steps of least squares at each size.
STEPS = 3
#: Side of the patches that are matched, in pixels, and of the surroundings that light is told from.
PATCH, LIGHT = 7, 25
#: Curvature of a patch below which it is taken to move as what is around it; grey levels of deviation 1.
FLAT = 0.005
#: Curvature of a patch whose motion counts half when the camera's is told.
TEXTURE = 0.1
#: Disagreement of grey levels that says nothing: noise, and what a motion off by so many pixels makes of an edge.
NOISE, OFF = 0.25, 0.35
#: Every so many pixels the camera's motion is told from, and what keeps a motion that nothing tells near none.
GRID, RIDGE = 6, 1e-4
#: Most a depth may change from frame to frame by the camera's motion, as a logarithm.
MOST = 0.25


class Motion(NamedTuple):
    """Where the pixels of an image were seen in the one before.

    Args:
        flow: (2, h, w), right and down, in pixels of the images that were matched.
        trust: (h, w) in [0, 1]: 1 where both images agree along the flow, near 0 where something else is seen, such as
            what was hidden before, and beyond the border.
        texture: (h, w) in [0, 1): how much there was to match.
    """

    flow: Tensor
    trust: Tensor
    texture: Tensor


def grey(image: NDArray) -> Tensor:
    """What is matched of an image (H, W, 3), uint8 or in [0, 1]: (h, w) grey against what is around it, of deviation
    about 1, so that neither exposure nor a light that moves is motion; its short side is at most ``SIDE``."""
    height, width = image.shape[:2]
    every = max(1, min(height, width) // (2 * SIDE))  # what is left is still averaged over two by two
    pixels = torch.from_numpy(np.ascontiguousarray(image[::every, ::every])).permute(2, 0, 1).float().mean(0)
    scale = min(1.0, SIDE / min(height, width))
    size = max(8, round(height * scale)), max(8, round(width * scale))
    small = F.interpolate(pixels[None, None], size, mode="area")
    against = small - _mean(small, LIGHT)
    deviation = against.std() + 1e-3 * (255 if image.dtype == np.uint8 else 1)
    return (against / (_mean(against.square(), LIGHT).clamp(min=0).sqrt() + 0.2 * deviation))[0, 0]


def motion(before: Tensor, now: Tensor) -> Motion:
    """Where the pixels of ``now`` were seen in ``before``.

    Args:
        before: what :func:`grey` made of an image.
        now: that of the next, of the same size.
    """
    levels = [(before[None, None], now[None, None])]
    for _ in range(LEVELS):
        if min(levels[-1][0].shape[-2:]) >= 4 * PATCH:
            levels.append((F.avg_pool2d(levels[-1][0], 2), F.avg_pool2d(levels[-1][1], 2)))
    flow = _whole(*levels[-1])
    for old, new in reversed(levels):
        if flow.shape[-2:] != new.shape[-2:]:
            flow = 2 * F.interpolate(flow, new.shape[-2:], mode="bilinear", align_corners=False)
        flow = _matched(old, new, flow)
    energy = _mean(_gradient(levels[0][1]).square().sum(1, True), PATCH)[0, 0]
    return Motion(flow[0], _trust(*levels[0], flow), energy / (energy + TEXTURE))


def approach(seen: Motion, nearness: Tensor, focal: float) -> Tensor:
    """How much nearer the camera's own motion has brought what it sees: log(depth before / depth now), (h, w).

    The camera's motion is the rigid one that explains the flow best (Longuet-Higgins and Prazdny, 1980): three turns
    and a shift whose unit is that of depth, so that depth may be known up to scale. Least squares, again and again,
    without what does not agree: things that move by themselves.

    Args:
        seen: the motion of the image.
        nearness: (h, w) >= 0, inverse depth in any unit.
        focal: focal length in pixels of the images that were matched; depth changes by a shift as the flow says
            whatever it is, by a turn it scales with it.
    """
    height, width = nearness.shape
    y, x = torch.meshgrid(*((torch.arange(n) - (n - 1) / 2) / focal for n in (height, width)), indexing="ij")
    near = nearness / nearness.median().clamp(min=1e-9)
    grid = (slice(GRID // 2, None, GRID),) * 2
    u, v = (seen.flow[:, *grid] / focal).flatten(1)
    a, b, n, believed = (layer[grid].flatten() for layer in (x, y, near, seen.trust * seen.texture))
    none = torch.zeros_like(a)
    across = torch.stack((n, none, -a * n, -a * b, 1 + a * a, -b), 1)
    down = torch.stack((none, n, -b * n, -1 - b * b, a * b, a), 1)
    rows, moved = torch.stack((across, down), 1), torch.stack((u, v), 1)
    weight = believed
    for _ in range(4):
        weighted = rows * (weight / weight.sum().clamp(min=1e-6))[:, None, None]
        normal = torch.einsum("nki,nkj->ij", weighted, rows) + RIDGE * torch.eye(6)
        found = torch.linalg.solve(normal, torch.einsum("nki,nk->i", weighted, moved))
        off = (moved - rows @ found).norm(dim=1)
        weight = believed / (1 + (off / (1.5 * off.median() + 0.1 / focal)) ** 2)
    forward, pitch, yaw = found[2:5]
    return (1 + forward * near + pitch * y - yaw * x).clamp(math.exp(-MOST), math.exp(MOST)).log()


def _whole(before: Tensor, now: Tensor) -> Tensor:
    """The motion of the whole image, where one explains more than none: (1, 2, h, w)."""
    height, width = now.shape[-2:]
    window = torch.outer(*(torch.hann_window(n, periodic=False) for n in (height, width)))
    both = torch.fft.rfft2(before[0, 0] * window) * torch.fft.rfft2(now[0, 0] * window).conj()
    peak = int(torch.fft.irfft2(both / (both.abs() + 1e-6), s=(height, width)).argmax())
    down, right = peak // width, peak % width
    down, right = down - height * (down > height // 2), right - width * (right > width // 2)
    still = now.new_zeros(1, 2, height, width)
    moved = still + torch.tensor([right, down], dtype=now.dtype)[:, None, None]
    agreeing = [_trust(before, now, flow).mean() for flow in (still, moved)]
    return moved if agreeing[1] > agreeing[0] else still


def _matched(before: Tensor, now: Tensor, flow: Tensor) -> Tensor:
    """The flow, nearer to where patches look alike."""
    gradient = _gradient(now)
    gx, gy = gradient[:, :1], gradient[:, 1:]
    xx, xy, yy = _mean(torch.cat((gx * gx, gx * gy, gy * gy), 1), PATCH).split(1, 1)
    xx, yy = xx + FLAT, yy + FLAT
    inverse = torch.cat((yy, -xy, -xy, xx), 1) / (xx * yy - xy * xy)
    for _ in range(STEPS):
        pull = _mean(gradient * (now - follow(before, flow)).clamp(-1, 1), PATCH)
        step = torch.cat(((inverse[:, :2] * pull).sum(1, True), (inverse[:, 2:] * pull).sum(1, True)), 1)
        flow = _mean(flow + step.clamp(-2, 2), PATCH)
    return flow


def _trust(before: Tensor, now: Tensor, flow: Tensor) -> Tensor:
    """Where two images agree along a flow, (h, w) in [0, 1]."""
    layers = torch.cat((before, torch.ones_like(before)), 1)
    height, width = now.shape[-2:]
    led = follow(layers, flow)
    wrong = F.avg_pool2d((now - led[:, :1]).abs(), 3, 1, 1, count_include_pad=False)
    edges = F.max_pool2d(_gradient(now).abs().sum(1, True), 3, 1, 1)
    x = torch.arange(width, dtype=flow.dtype) + flow[0, 0]
    y = torch.arange(height, dtype=flow.dtype)[:, None] + flow[0, 1]
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    return torch.exp(-((wrong / (NOISE + OFF * edges)) ** 2))[0, 0] * inside


def _gradient(image: Tensor) -> Tensor:
    """(1, 2, h, w): the change to the right and down a pixel."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    right = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat((right, down), 1) / 2


def _mean(layers: Tensor, side: int) -> Tensor:
    """The mean over the square of odd side around each pixel; by running sums, many times faster than pooling."""
    half = side // 2
    sums = F.pad(layers, (half, half, half, half), mode="replicate")
    for dim in (-2, -1):
        summed = F.pad(sums.cumsum(dim), (1, 0, 0, 0) if dim == -1 else (0, 0, 1, 0))
        length = summed.shape[dim] - side
        sums = summed.narrow(dim, side, length) - summed.narrow(dim, 0, length)
    return sums / side**2
