from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.depth import Kind
from leadline.errors import ConfigError
from leadline.foundation.base import DepthModel
from leadline.runtime.predictor import Predictor
from leadline.runtime.tiles import Letterboxed, Tiled

KINDS = ("metric-depth", "scale-invariant-depth", "affine-invariant-disparity")


class Pointwise(DepthModel):
    """Answers the brightness of each pixel; on request of each call in other units, as networks do."""

    name, licence, digest = "pointwise", "mit", "pointwise"

    def __init__(self, kind: str, drifts: bool = False, size: tuple[int, int] | None = None) -> None:
        self.kind, self.drifts, self.size = Kind.parse(kind), drifts, size
        self.unit = "m" if kind.startswith("metric") else "arbitrary"
        self.calls, self.sizes = 0, set()

    def input_size(self, height, width):
        return self.size or (height, width)

    def infer(self, images):
        self.sizes.add(tuple(images.shape[-2:]))
        depth = 1 + images.mean(1)
        if self.drifts and self.calls:
            gain = torch.linspace(0.7, 1.6, len(images))[:, None, None]
            depth = depth * gain + (0.3 if self.kind.up_to == "affine" else 0)
        self.calls += 1
        return depth


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0].permute(1, 2, 0).numpy()


@settings(max_examples=15)
@given(st.integers(20, 150), st.integers(20, 150), st.integers(32, 90), st.sampled_from(KINDS))
def test_a_pointwise_model_says_the_same_in_tiles(height, width, side, kind):
    shown = image(height, width)
    plain = Predictor(Pointwise(kind)).predict(shown)
    tiled = Predictor(Tiled(Pointwise(kind), side)).predict(shown)
    np.testing.assert_allclose(tiled.values, plain.values, rtol=1e-5)
    assert tiled.kind == plain.kind


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_in_other_units_come_into_those_of_the_whole_image(kind):
    shown = image(120, 200)
    model = Pointwise(kind, drifts=True)
    tiled = Predictor(Tiled(model, 64)).predict(shown)
    np.testing.assert_allclose(tiled.values, 1 + shown.mean(2), rtol=1e-3)
    assert model.sizes == {(120, 200), (64, 64)}


def test_tiles_see_more_than_the_whole_image():
    """Of a network that sees 64x64, tiles keep the stripes that a whole image loses."""
    stripes = np.full((256, 256, 3), 0.25, np.float32)
    stripes[:, ::4] = stripes[:, 1::4] = 0.75
    truth = 1 + stripes.mean(2)
    errors = [
        np.abs(Predictor(model).predict(stripes).values - truth).mean()
        for model in (Pointwise("metric-depth", size=(64, 64)), Tiled(Pointwise("metric-depth", size=(64, 64)), 64))
    ]
    assert errors[1] < 0.2 * errors[0]


def test_what_no_tile_knows_is_the_whole_images_and_what_nobody_knows_stays_unknown():
    class Partly(Pointwise):
        def infer(self, images):
            depth = super().infer(images)
            return torch.where(images[:, 0] > 0.9, torch.nan, depth)

    shown = 0.5 * image(80, 120)
    shown[30:40, 50:60] = 1
    depth = Predictor(Tiled(Partly("metric-depth"), 48)).predict(shown)
    assert not depth.valid[30:40, 50:60].any()
    assert depth.valid.sum() == 80 * 120 - 100


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (100, 100)])
def test_letterboxes_keep_the_aspect_and_the_place(size):
    shown = image(*size)
    model = Pointwise("metric-depth", size=(100, 100))
    depth = Predictor(Letterboxed(model)).predict(shown)
    assert depth.shape == size
    assert np.abs(depth.values - 1 - shown.mean(2))[4:-4, 4:-4].mean() < 0.01
    wide = np.zeros((50, 100, 3), np.float32)
    seen = []
    model.infer = lambda images: seen.append(images) or images.mean(1)
    Predictor(Letterboxed(model)).predict(wide)
    assert (seen[0][0, :, :20] == 0.5).all()
    assert (seen[0][0, :, 30:70] == 0).all()


def test_what_cannot_be_tiled_is_refused():
    with pytest.raises(ConfigError, match="at least 32"):
        Tiled(Pointwise("metric-depth"), 8)
    model = Pointwise("metric-depth")
    model.remembers = True
    with pytest.raises(ConfigError, match="sees video"):
        Tiled(model, 64)


def test_a_batch_of_images_of_several_sizes_keeps_their_order():
    predictor = Predictor(Pointwise("metric-depth"), batch=2)
    images = [image(40, 60, 0), image(40, 60, 1), image(40, 60, 2), image(30, 30, 3), image(40, 60, 4)]
    for depth, shown in zip(predictor.predict_batch(images), images, strict=True):
        np.testing.assert_allclose(depth.values, 1 + shown.mean(2), rtol=1e-5)
    assert predictor.model.calls == 4
    predictor.warm_up(40, 60)
    assert predictor.model.calls == 5
