"""Can photometric self-supervision learn in the worlds?

    python benchmarks/photometric_worlds.py [--world tract] [--places 40]

The error of a frame against its neighbour, warped by true depth and pose, against the same with a constant depth and
without warping. Pairs of neighbouring frames 256x320 whose median flow is 6 to 12 pixels, on pixels that are seen in
both, stand still and show no reflection; error of monodepth2 (0.85 SSIM, 0.15 L1). Ratios are of means over all pairs:
with the sensor off (fixed exposure, no noise, blur, smear, vignette, compression), and with the default one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from leadline import worlds
from leadline.frame import Frame
from leadline.geometry.lift import reproject
from leadline.geometry.poses import relative
from leadline.geometry.warp import sample
from leadline.losses.photometric import photometric_error
from leadline.worlds.sensor import PERFECT, Sensor

#: Median flow in pixels that a pair must have.
FLOW = 6.0, 12.0
#: Frames a second, one of which makes it so.
RATES = (64.0, 45.0, 32.0, 22.0, 16.0, 11.0, 8.0, 5.6, 4.0, 2.8, 2.0)
#: What moved by more than so many pixels beside its depth and pose does not stand still.
MOVED = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--world", default=None, choices=worlds.names())
    parser.add_argument("--places", type=int, default=40)
    arguments = parser.parse_args()
    print(f"{'world':<8}{'sensor':<9}{'pairs':>6}{'flow':>7}{'true':>9}{'/ constant':>12}{'/ identity':>12}")
    for name in [arguments.world] if arguments.world else worlds.names():
        for label, sensor in (("off", PERFECT), ("default", Sensor())):
            found = np.array(list(measured(name, sensor, arguments.places)))
            true, constant, identity, flow = found.mean(axis=0)
            ratios = f"{true / constant:>12.3f}{true / identity:>12.3f}"
            print(f"{name:<8}{label:<9}{len(found):>6}{flow:>7.1f}{true:>9.4f}{ratios}", flush=True)


def measured(world: str, sensor: Sensor, places: int) -> Iterator[tuple[float, float, float, float]]:
    """Of a pair of each place: the error with true depth, with constant depth, without warping, and its median flow."""
    for seed in range(1000, 1000 + places):
        for rate in RATES:
            place = worlds.create(world, rate=rate, sensor=sensor).clip(seed, 6)
            one = place[2]
            assert one.forward_flow is not None
            seen = np.isfinite(one.forward_flow[..., 0])
            flow = float(np.median(np.linalg.norm(one.forward_flow[seen], axis=1))) if seen.any() else np.inf
            if FLOW[0] <= flow <= FLOW[1]:
                yield *errors(one, place[3]), flow
            if flow >= FLOW[0]:
                break


def errors(one: Frame, two: Frame) -> tuple[float, float, float]:
    """Mean photometric error of ``two`` seen as ``one`` sees: by true depth, by constant depth, and as it is."""
    assert one.depth is not None
    assert one.forward_flow is not None
    truth = one.depth.values.astype(np.float64)
    typical = np.full_like(truth, np.median(truth[one.depth.valid]))
    right, wrong = (places(one, two, depth) for depth in (truth, typical))
    there = torch.from_numpy(np.indices(truth.shape)[::-1].transpose(1, 2, 0).copy())[None].float()
    still = (right - there - torch.from_numpy(one.forward_flow)[None]).norm(dim=-1) < MOVED
    hidden = sample(tensor(reflective(two)[..., None].astype(np.float32)), right)[:, 0] > 0
    inside = torch.isfinite(right).all(dim=-1) & torch.isfinite(wrong).all(dim=-1)
    used = still & inside & ~hidden & torch.from_numpy(one.depth.valid & ~reflective(one))[None]
    target, source = tensor(one.image), tensor(two.image)
    images = sample(source, right), sample(source, wrong), source
    seen = (photometric_error(target, image)[:, 0][used] for image in images)
    true, constant, identity = (float(values.mean()) for values in seen)
    return true, constant, identity


def places(one: Frame, two: Frame, depth: np.ndarray) -> Tensor:
    """(1, H, W, 2) where the pixels of ``one`` lie in ``two``."""
    assert one.camera is not None
    assert two.camera is not None
    assert one.pose is not None
    assert two.pose is not None
    uv, _, inside = reproject(depth, one.camera, relative(one.pose, two.pose), two.camera)
    return torch.from_numpy(np.where(inside[..., None], uv, np.nan)).float()[None]


def reflective(frame: Frame) -> np.ndarray:
    """(H, W) its reflections."""
    return np.zeros(frame.image.shape[:2], bool) if frame.reflective is None else frame.reflective


def tensor(values: np.ndarray) -> Tensor:
    """(1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)[None]


if __name__ == "__main__":
    main()
