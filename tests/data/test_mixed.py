from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadline.cli.train import recipe_parser
from leadline.data.folder import Folder
from leadline.data.images import Images
from leadline.data.mixed import Mixed
from leadline.data.samples import Draws, Samples
from leadline.errors import ConfigError
from leadline.frame import Frame


class Numbers(Images):
    """Grey images whose value says which they are; two frames a place."""

    def __init__(self, name: str, count: int, shape: tuple[int, int], first: float, licence: str) -> None:
        super().__init__([Path(f"{name}-{index}") for index in range(count)])
        self.shape, self.first, self.licence = shape, first, licence  # type: ignore[misc]

    def size(self, index):
        return self.shape

    def place(self, index):
        return index // 2

    def describe(self):
        return f"{len(self)} greys"

    def __getitem__(self, index):
        return Frame(np.full((*self.shape, 3), self.first + 0.01 * index, np.float32), name=self.paths[index].name)


@pytest.fixture
def mixed() -> Mixed:
    return Mixed({"small": Numbers("a", 3, (40, 60), 0.1, "mit"), "large": Numbers("b", 5, (64, 32), 0.5, "mit")})


def test_frames_come_one_set_after_the_other(mixed):
    assert len(mixed) == 8
    assert mixed.ends == [3, 8]
    assert [mixed.whose(index) for index in range(8)] == [
        *(("small", index) for index in range(3)),
        *(("large", index) for index in range(5)),
    ]
    values = [float(mixed[index].image[0, 0, 0]) for index in range(8)]
    assert values == pytest.approx([0.1, 0.11, 0.12, 0.5, 0.51, 0.52, 0.53, 0.54])
    assert [mixed.size(index) for index in (2, 3)] == [(40, 60), (64, 32)]
    assert mixed[-1].name == mixed[7].name == mixed.paths[7].name == "b-4"
    with pytest.raises(IndexError):
        mixed[8]


def test_no_place_is_of_two_sets(mixed):
    assert [mixed.place(index) for index in range(8)] == [0, 0, 1, 3, 3, 4, 4, 5]


def test_it_says_what_it_is_made_of(mixed):
    assert mixed.describe() == "small: 3 greys; large: 5 greys"
    assert mixed.licence == "mit"
    other = Mixed({"a": Numbers("a", 1, (8, 8), 0, "mit"), "b": Numbers("b", 1, (8, 8), 0, "cc-by-nc-4.0")})
    assert other.licence == "mit; cc-by-nc-4.0"
    assert mixed.fingerprint() != Mixed(dict(reversed(mixed.sets.items()))).fingerprint()
    with pytest.raises(ConfigError, match="at least one data set"):
        Mixed({})


def test_samples_of_all_sets_have_one_size_and_say_whose_they_are(mixed):
    samples = Samples(mixed, (32, 32))
    drawn = [key for batch in Draws(8, 4, 2, seed=0) for key in batch]
    items = [samples[key] for key in drawn]
    assert sorted(item["index"] for item in items) == list(range(8))
    for item in items:
        assert item["image"].shape == (3, 32, 32)
        name, place = mixed.whose(item["index"])
        assert float(item["image"].mean()) == pytest.approx({"small": 0.1, "large": 0.5}[name] + 0.01 * place)


def test_a_recipe_may_mix(scenes, tmp_path):
    recipe = tmp_path / "mixed.yaml"
    folder = f"{{class_path: leadline.data.folder.Folder, init_args: {{root: {scenes}}}}}"
    recipe.write_text(
        "method: {class_path: leadline.methods.affine.AffineInvariant, init_args: {sets: {two: {matching: 0}}}}\n"
        f"data: {{class_path: leadline.data.mixed.Mixed, init_args: {{sets: {{one: {folder}, two: {folder}}}}}}}\n"
        "fit: {steps: 1}\n"
    )
    parser = recipe_parser()
    config = parser.instantiate_classes(parser.parse_args(["--config", str(recipe), "--out", "x.safetensors"]))
    assert isinstance(config.data, Mixed)
    assert isinstance(config.data.sets["two"], Folder)
    assert len(config.data) == 2 * len(Folder(scenes))
    assert config.method.sets["two"].matching == 0
    assert config.method.sets["two"].absolute == 1
