"""Masks of reflections: equations, and what they find where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from leadline import worlds
from leadline.camera import Camera
from leadline.geometry.poses import relative
from leadline.losses.reflection import (
    BEHIND,
    CHI_SQUARE,
    DETECTORS,
    LEAST,
    NEAR,
    RIDGE,
    Evidence,
    averaged,
    brightened,
    mahalanobis,
    triplets,
)
from leadline.methods.intrinsic import compare
from leadline.metrics.decomposition import MaskScores
from leadline.worlds.room import Room

SIZE = (96, 128)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def evidence(image: Tensor, diffuse: Tensor, swept: Tensor | None = None, seen: Tensor | None = None) -> Evidence:
    everywhere = torch.ones_like(image, dtype=torch.bool)
    alike = image.expand(-1, len(NEAR + BEHIND), -1, -1)
    return Evidence(image, diffuse, alike if swept is None else swept, everywhere if seen is None else seen)


def test_mahalanobis_is_the_equation():
    image, diffuse = 0.3 * noise(2, 1, 20, 30) ** 3, 0.1 * noise(2, 1, 20, 30, seed=1)
    seen = noise(2, 1, 20, 30, seed=2) > 0.2
    found = mahalanobis(evidence(image, diffuse, seen=seen))
    for each in range(2):
        kept = seen[each, 0].numpy()
        pairs = np.stack([image[each, 0].numpy(), diffuse[each, 0].numpy()], axis=-1).astype(np.float64)
        apart = pairs - pairs[kept].mean(axis=0)
        inverse = np.linalg.inv(np.cov(pairs[kept].T, bias=True) + RIDGE * np.eye(2))
        distance = np.einsum("hwi,ij,hwj->hw", apart, inverse, apart)
        difference = pairs[..., 0] - pairs[..., 1]
        expected = kept & (distance > CHI_SQUARE) & (difference > max(LEAST, difference[kept].mean()))
        assert 0 < expected.sum() < kept.sum()
        np.testing.assert_array_equal(found[each, 0].numpy(), expected)


def test_each_image_is_judged_by_what_is_usual_in_it():
    image, diffuse = 0.3 * noise(3, 1, 20, 30) ** 3, 0.1 * noise(3, 1, 20, 30, seed=1)
    together = mahalanobis(evidence(image, diffuse))
    apart = torch.cat([mahalanobis(evidence(image[i : i + 1], diffuse[i : i + 1])) for i in range(3)])
    assert torch.equal(together, apart)


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
def test_nothing_is_found_where_there_is_nothing_to_find(detector):
    image = noise(2, 1, 20, 30)
    nowhere = torch.zeros_like(image, dtype=torch.bool)
    assert not detector(evidence(image, image)).any()
    assert not detector(evidence(torch.full_like(image, 0.3), torch.zeros_like(image))).any()  # all alike
    unknown = torch.full_like(image, torch.inf)
    assert not detector(evidence(unknown, unknown, seen=nowhere)).any()
    some = noise(2, 1, 20, 30, seed=3) > 0.5
    swept = noise(2, len(NEAR + BEHIND), 20, 30, seed=4)
    holes = Evidence(*(torch.where(some, e, torch.inf) for e in (image, 0.1 * image, swept)), some)
    assert not (detector(holes) & ~some).any()


def test_triplets_compare_with_what_lies_behind():
    """Of four pixels one is clearest behind; one just as clear in front, one hardly clearer; one has no view behind."""
    near = torch.tensor([[0.3, 0.1, 0.3, 0.3]]).repeat(len(NEAR), 1)
    near[0, 0] = torch.inf  # at half its depth no source shows it
    behind = torch.tensor([[0.4, 0.1, 0.4, torch.inf]]).repeat(len(BEHIND), 1)
    behind[1, 0], behind[2, 2] = 0.1, 0.295
    image = torch.zeros(1, 1, 1, 4)
    found = triplets(evidence(image, image, torch.cat([near, behind])[None, :, None]))
    assert found.flatten().tolist() == [True, False, False, False]


def test_errors_are_averaged_over_a_window():
    errors = noise(1, 1, 20, 30)
    padded = np.pad(errors[0, 0].numpy(), 4, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
    np.testing.assert_allclose(averaged(errors)[0, 0].numpy(), windows.mean(axis=(2, 3)), atol=1e-6)


def test_an_image_alone_is_reflective_where_its_residual_brightens():
    residual = torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.3, 0.3], [0.6, 0.0, -0.1], [-1.0, -1.0, -1.0]]).T.view(1, 3, 2, 2)
    assert brightened(residual).flatten().tolist() == [False, True, False, False]


def as_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)


def seen_in(place: worlds.Place) -> tuple[Evidence, Tensor, Tensor]:
    """What the true diffuse image, true depth and true poses say of the middle frame of three, its truth, and the frame
    itself."""
    middle, *sources = frames = [place.shoot(index, flow=False) for index in (1, 0, 2)]
    images = torch.stack([as_tensor(frame.image) for frame in frames])[None]
    diffuse = torch.stack([as_tensor(frame.diffuse) for frame in frames])[None]
    depth = torch.from_numpy(middle.depth.values)[None, None]
    motions = [torch.from_numpy(relative(middle.pose, frame.pose))[None].float() for frame in sources]
    own = (images, diffuse, (images / diffuse).log(), depth, depth > 0)
    views = compare(*own, motions, Camera.stack([middle.camera]), NEAR + BEHIND)
    return views.evidence, torch.from_numpy(middle.reflective)[None, None], images[:, 0]


def room(seed: int, reflections: bool = True) -> worlds.Place:
    place = Room(height=SIZE[0], width=SIZE[1], rate=4).clip(seed, 3)
    if not reflections:
        shade = place.shade

        def matt(*arguments):
            body, gloss = shade(*arguments)
            return body, 0 * gloss

        place.shade = matt
    return place


#: Other rooms than those the least difference was chosen on.
SEEDS = range(300, 308)


@pytest.mark.parametrize("name", DETECTORS)
def test_at_most_half_a_percent_of_a_scene_without_reflections_is_flagged(name):
    """With the noise of a camera, which the true diffuse image does not have."""
    scores = MaskScores()
    for seed in SEEDS:
        found, _, _ = seen_in(room(seed, reflections=False))
        scores.update(DETECTORS[name](found), torch.zeros_like(found.seen), found.seen)
    assert scores.compute()["flagged"] <= 0.005


@pytest.mark.parametrize(("name", "precision"), [("mahalanobis", 0.7), ("triplets", 0.4)])
def test_the_mask_beats_every_threshold_of_brightness(name, precision):
    """Over all rooms together; the threshold is the one that is best on these very images."""
    scores, bright = MaskScores(), [MaskScores() for _ in range(20)]
    for seed in SEEDS:
        found, true, image = seen_in(room(seed))
        scores.update(DETECTORS[name](found), true, found.seen)
        for level, each in enumerate(bright):
            each.update(image.mean(dim=1, keepdim=True) > level / 20, true, found.seen)
    reached = scores.compute()
    assert reached["precision"] > precision
    assert reached["f1"] > 1.2 * max(each.compute()["f1"] for each in bright)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_planted_mirror_is_found(name):
    """A wall of random spots, parallel to a camera that moves aside; in it a mirror, a twentieth of the image, shows
    spots twice as far away."""
    height, width, wall, focal, step = 96, 128, 2.0, 100.0, 0.12
    camera = Camera.from_dict(
        {"width": width, "height": height, "fx": focal, "fy": focal, "cx": (width - 1) / 2, "cy": (height - 1) / 2}
    )
    random = torch.Generator().manual_seed(0)
    spots = [torch.rand(1, 3, height // 4, 2 * width // 4, generator=random) for _ in range(2)]
    own, shown = (0.8 * torch.nn.functional.interpolate(s, (height, 2 * width), mode="bilinear") + 0.1 for s in spots)

    def seen_from(place: int) -> tuple[Tensor, Tensor, Tensor]:
        near, far = (round(place * step * focal / depth) for depth in (wall, 2 * wall))
        mirror = torch.zeros(1, 1, height, width, dtype=torch.bool)
        mirror[..., 36:60, 50 - near : 75 - near] = True
        matt = own[..., near + 30 : near + 30 + width]
        glass = torch.where(mirror, 0.3, matt)
        return torch.where(mirror, shown[..., far + 30 : far + 30 + width], matt), glass, mirror

    views = [seen_from(place) for place in (0, -1, 1)]
    images, diffuse = (torch.stack([view[part] for view in views], dim=1) for part in (0, 1))
    motions = []
    for place in (-1, 1):
        motion = torch.eye(4)[None]
        motion[:, 0, 3] = -place * round(step * focal / wall) * wall / focal
        motions.append(motion)
    depth = torch.full((1, 1, height, width), wall)
    everywhere = torch.ones_like(depth, dtype=torch.bool)
    own = (images, diffuse, (images / diffuse).log(), depth, everywhere)
    found = compare(*own, motions, Camera.stack([camera]), NEAR + BEHIND)
    scores = MaskScores()
    scores.update(DETECTORS[name](found.evidence), views[0][2], found.evidence.seen)
    reached = scores.compute()
    assert reached["precision"] > 0.9
    assert reached["recall"] > 0.5
