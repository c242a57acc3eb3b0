from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leadline.data.masks import highlights, valid_area
from leadline.errors import InputError

ROWS, COLUMNS = np.mgrid[:120, :160]


def disc(radius: float = 55) -> np.ndarray:
    return radius**2 > (ROWS - 59.5) ** 2 + (COLUMNS - 79.5) ** 2


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.9, (120, 160, 3)).astype(np.float32)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / (a | b).sum())


def test_highlights_are_bright_and_colourless_and_one_pixel_wider() -> None:
    image = torch.full((2, 3, 9, 11), 0.3)
    image[0, :, 4, 5] = 1
    image[1, :, 4, 5] = torch.tensor([1.0, 0.3, 0.2])  # red, however bright
    expected = torch.zeros(2, 1, 9, 11, dtype=torch.bool)
    expected[0, 0, 3:6, 4:7] = True
    assert torch.equal(highlights(image), expected)
    assert torch.equal(highlights(image[0]), expected[0])
    assert highlights(image, dilation=0).sum() == 1


def test_black_is_no_highlight() -> None:
    assert not highlights(torch.zeros(3, 4, 4)).any()


def test_highlights_of_real_tissue_are_a_small_share(real_data: Path) -> None:
    shares = []
    for path in sorted((real_data / "colonoscopy_photos").glob("*.jpg"))[::8]:
        image = torch.from_numpy(load(path)).permute(2, 0, 1)
        found = highlights(image)
        assert (image.amax(0)[highlights(image, dilation=0)[0]] >= 0.9).all()
        shares.append(found.float().mean().item())
    assert min(shares) > 0
    assert np.median(shares) < 0.1


def test_a_round_picture_is_found_pixel_by_pixel() -> None:
    image = noise() * disc()[..., None]
    assert agreement(valid_area([image]), disc()) > 0.97


def test_noise_text_a_logo_and_a_status_bar_are_no_picture() -> None:
    rng = np.random.default_rng(1)
    image = noise() * disc()[..., None]
    image += rng.uniform(0, 7 / 255, image.shape).astype(np.float32)
    image[3:10, 4:30:3] = 1
    image[105:115, 140:155] = 1
    image[-4:] = 0.2
    assert agreement(valid_area([image]), disc()) > 0.97


def test_a_letterbox_is_found() -> None:
    image = noise()
    image[:15] = image[-15:] = 0
    area = valid_area([image])
    assert area[15:-15].all()
    assert not area[:15].any()
    assert not area[-15:].any()


def test_a_dark_lumen_at_the_rim_stays_if_any_image_shows_it_or_the_outline_says_so() -> None:
    lumen = (ROWS - 60) ** 2 + (COLUMNS - 30) ** 2 < 12**2
    image = noise() * (disc() & ~lumen)[..., None]
    assert valid_area([image])[lumen & disc(50)].mean() > 0.8
    bright = noise() * disc()[..., None]
    assert agreement(valid_area([image, bright]), disc()) > 0.97
    assert agreement(valid_area([bright, image]), disc()) > 0.97


@pytest.mark.parametrize(
    "image",
    [
        noise(),
        noise() * (ROWS > 50)[..., None],  # a black sky
        noise() * (ROWS < 0)[..., None],  # nothing at all
        noise() * ((ROWS - 60) ** 2 + (COLUMNS - 80) ** 2 < 9)[..., None],  # a lamp in the night
        noise() * ~disc()[..., None],  # black, but enclosed
    ],
)
def test_without_a_border_the_whole_image_is_kept(image: np.ndarray) -> None:
    assert valid_area([image]).all()


def test_tiny_images_do_not_fail() -> None:
    for shape in ((1, 1, 3), (2, 3, 3), (5, 40, 3)):
        assert valid_area([np.ones(shape, dtype=np.float32)]).all()
        assert valid_area([np.zeros(shape, dtype=np.float32)]).all()


def test_refuses_no_images_and_mixed_sizes() -> None:
    with pytest.raises(InputError, match="no images"):
        valid_area([])
    with pytest.raises(InputError, match=r"\(60, 160\) and \(120, 160\)"):
        valid_area([noise(), noise()[:60]])


def test_real_endoscopes_have_a_round_picture(real_data: Path) -> None:
    paths = sorted((real_data / "sinus_endoscopy").glob("0*.jpg"))[::12]
    area = valid_area(load(path) for path in paths)
    height, width = area.shape
    assert not area[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert area[height // 2, width // 2]
    # A circle cut off above and below: as wide as 1060 of 1920 pixels.
    widest = int(area.sum(axis=1).max())
    assert widest == pytest.approx(1060, abs=40)
    assert area.mean() == pytest.approx(0.4, abs=0.03)

    alone = [valid_area([load(path)]) for path in sorted((real_data / "colonoscopy_photos").glob("*.jpg"))[:40:8]]
    for found in alone:
        assert found.mean() == pytest.approx(0.87, abs=0.02)


def test_most_photographs_are_kept_whole(real_data: Path) -> None:
    paths = sorted((real_data / "photos").glob("*.jpg"))[::4]
    kept = sum(bool(valid_area([load(path)]).all()) for path in paths)
    assert kept >= 0.9 * len(paths)
