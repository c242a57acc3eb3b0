"""Depth up to scale and shift, from one data set or several."""

from __future__ import annotations

import pytest
import torch

from leadline.data.folder import DepthFormat, Folder
from leadline.data.mixed import Mixed
from leadline.data.samples import Samples
from leadline.depth import DepthMap, Kind
from leadline.errors import ConfigError, InputError
from leadline.foundation.semantics import open_encoder
from leadline.io.images import write_image
from leadline.methods.affine import V1, V2, AffineInvariant, Terms
from leadline.methods.base import StudentOptions
from leadline.networks.dinov2 import DINOv2

SIZE = (64, 96)
SMALL = {"width": 16, "blocks": 4, "attention_heads": 2, "grid": 8, "channels": [4, 8, 8, 8], "fused": 8}
TINY = StudentOptions("depth-anything-tiny", options=SMALL)


def ready(method: AffineInvariant, frames, indices, tmp_path) -> dict:
    """A method with its student made, and a batch of those frames."""
    same, failures = method.prepare(frames, indices, SIZE, tmp_path)
    assert failures == {}
    assert same is frames
    method.make_student(torch.ones(1))
    samples = Samples(frames, SIZE)
    return samples.collate([samples[0, index] for index in indices])


@pytest.fixture(scope="module")
def disparities(tmp_path_factory):
    """The same kind of scenes, whose files hold disparity that nobody knows the scale of."""
    import numpy as np

    folder = tmp_path_factory.mktemp("disparities")
    ramp = np.linspace(1, 5, SIZE[1], dtype=np.float32) * np.ones(SIZE, np.float32)
    for number in range(3):
        write_image(folder / "images" / f"{number}.png", np.full((*SIZE, 3), 0.3 * number, np.float32))
        DepthMap(ramp, Kind("disparity", "affine")).save(folder / "depths" / f"{number}.npz")
    return Folder(folder, depth=DepthFormat("affine-invariant-disparity", "arbitrary"))


def test_targets_are_disparity_from_0_to_1(scenes, disparities, tmp_path):
    mixed = Mixed({"depth": Folder(scenes), "disparity": disparities})
    method = AffineInvariant(TINY)
    batch = ready(method, mixed, [1, 25, 0], tmp_path)
    batch["mask"][0, :, :8] = False
    batch["target"][2, :, -4:] = 0.0  # no depth
    target = method.targets(batch)
    assert target[0, :, :8].isnan().all()
    assert target[2, :, -4:].isnan().all()
    for values in target:
        known = values[values.isfinite()]
        assert (float(known.min()), float(known.max())) == (0.0, 1.0)
    inverse = 1 / batch["target"][0, 0, 8:]
    torch.testing.assert_close(target[0, 0, 8:], (inverse - inverse.min()) / (inverse.max() - inverse.min()))
    torch.testing.assert_close(target[1, 0], torch.linspace(0, 1, SIZE[1]).expand(SIZE))


def test_nothing_but_the_shape_of_the_answer_counts(scenes, tmp_path):
    method = AffineInvariant(TINY, Terms(1.0, 1.0, 1.0))
    batch = ready(method, Folder(scenes), [0, 1], tmp_path)
    target = method.targets(batch).double()
    output = target + 0.2 * torch.rand_like(target)
    mask = torch.ones_like(target, dtype=torch.bool)
    one, other = (method.losses(values, target, mask, method.terms) for values in (output, 7 * output - 3))
    assert set(one) == {"absolute", "matching", "field"}
    for name in one:
        assert float(one[name]) > 1e-3
        assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-6)
    right = method.losses(5 * target + 2, target, mask, method.terms)
    assert all(float(value) == pytest.approx(0, abs=1e-6) for value in right.values())


def test_each_set_has_its_terms_and_each_image_weighs_the_same(scenes, disparities, tmp_path):
    mixed = Mixed({"one": Folder(scenes), "two": disparities})
    method = AffineInvariant(TINY, V2, {"two": V1})
    batch = ready(method, mixed, [3, 24, 7, 9], tmp_path)
    parts = method.train().parts(batch)
    assert set(parts) == {"one/absolute", "one/matching", "two/absolute", "two/field"}
    alone = AffineInvariant(TINY, V2)
    ready(alone, mixed.sets["one"], [0], tmp_path)
    alone.student = method.student
    singles = [
        alone.parts({key: value[place : place + 1] for key, value in batch.items()})["absolute"] for place in (0, 2, 3)
    ]
    # Of four images three are of the first set.
    assert float(parts["one/absolute"].detach()) == pytest.approx(float(sum(singles).detach()) / 4, rel=1e-4)


def test_a_few_steps_lower_the_loss(scenes, tmp_path):
    torch.manual_seed(0)
    method = AffineInvariant(TINY, Terms(matching=0.5, aligned=False)).train()
    batch = ready(method, Folder(scenes), [0, 1], tmp_path)
    optimiser = torch.optim.AdamW(method.parameters(), lr=3e-3)
    totals = []
    for _ in range(25):
        total = torch.stack(list(method.parts(batch).values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.8 * totals[0]
    assert str(method.student.kind) == "affine-invariant-disparity"


def test_what_cannot_be_learned_is_refused(scenes, tmp_path):
    with pytest.raises(InputError, match="training needs depth, and this image has none"):
        AffineInvariant(TINY).prepare(Folder(scenes, truth="none"), [0], SIZE, tmp_path)
    affine = Folder(scenes)
    frame = affine[0]
    depth = DepthMap(frame.depth.values, Kind("depth", "affine"))
    affine.load = lambda id: frame.replace(depth=depth)
    with pytest.raises(InputError, match="affine-invariant-depth, which has no disparity"):
        AffineInvariant(TINY).prepare(affine, [0], SIZE, tmp_path)
    mixed = Mixed({"rooms": Folder(scenes)})
    with pytest.raises(ConfigError, match="no set 'room'; did you mean 'rooms'"):
        AffineInvariant(TINY, sets={"room": V1}).prepare(mixed, [0], SIZE, tmp_path)


def test_a_vit_starts_from_what_it_learned_before(scenes, tmp_path):
    sizes = {"width": 16, "blocks": 4, "heads": 2, "grid": 8}
    torch.manual_seed(1)
    before = DINOv2(**sizes)
    before.save_folder(tmp_path / "vit", "cc-by-4.0")
    method = AffineInvariant(TINY, vit=str(tmp_path / "vit"))
    ready(method, Folder(scenes), [0], tmp_path)
    own = method.student.network.network.backbone.state_dict()
    for name, value in before.network.state_dict().items():
        assert torch.equal(own[name], value), name
    assert own.keys() == before.network.state_dict().keys()
    assert "cc-by-4.0" in method.licence()
    assert method.learned_from() == open_encoder(str(tmp_path / "vit")).digest
    DINOv2(**sizes | {"grid": 4}).save_folder(tmp_path / "other", "mit")
    with pytest.raises(InputError, match=r"other: 'embeddings\.position_embeddings' is"):
        ready(AffineInvariant(TINY, vit=str(tmp_path / "other")), Folder(scenes), [0], tmp_path)
    with pytest.raises(ConfigError, match="vit: swift has none"):
        ready(AffineInvariant(StudentOptions("swift"), vit=str(tmp_path / "vit")), Folder(scenes), [0], tmp_path)
