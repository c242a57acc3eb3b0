"""A small semantic encoder from worlds' classes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from leadline.data.folder import Folder
from leadline.data.samples import Samples
from leadline.data.split import Holdout
from leadline.errors import ConfigError, InputError
from leadline.foundation.semantics import open_encoder
from leadline.methods.segmentation import Encoder, Labeller, Segmentation
from leadline.training.options import FitOptions
from leadline.training.rendered import Rendered
from leadline.training.run import run

SIZE = (32, 64)
TINY = Encoder(width=16, blocks=2, heads=2, grid=4)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Rendered:
    root = tmp_path_factory.mktemp("rooms")
    return Rendered("room", 2, 2, height=SIZE[0], width=SIZE[1], root=root, processes=1, classes=True)


def test_it_learns_what_pixels_show(rooms, tmp_path):
    torch.manual_seed(0)
    method = Segmentation(TINY)
    frames, failures = method.prepare(rooms, [0], SIZE, tmp_path)
    assert failures == {}
    method.make_student(torch.empty(0))
    samples = Samples(frames, SIZE)
    batch = samples.collate([samples[0, 0], samples[0, 2]])
    assert method.targets(batch).isnan().all()
    optimiser = torch.optim.AdamW(method.parameters(), lr=3e-3)
    losses = []
    for _ in range(100):
        (loss,) = method.train().parts(batch).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    commonest = torch.bincount(batch["semantics"].flatten()).max() / batch["semantics"].numel()
    assert (method.eval().answer(batch["image"]) == batch["semantics"]).float().mean() > commonest
    logits = method.student(batch["image"])
    assert logits.shape == (2, 13, *SIZE)
    loss = -logits.log_softmax(1).gather(1, batch["semantics"]).mean()
    assert float(method.parts(batch)["cross_entropy"].detach()) == pytest.approx(float(loss.detach()), rel=1e-5)


def test_a_run_gives_the_folder_of_an_encoder(rooms, tmp_path):
    out = tmp_path / "semantics.safetensors"
    method = Segmentation(TINY)
    budget = FitOptions(steps=2, batch_size=1, size=SIZE, device="cpu", workers=0)
    outcome = run(method, rooms, budget, out, {}, Holdout(2, 2, 0))
    assert outcome.report is None  # of depth there is nothing to say
    encoder = open_encoder(str(tmp_path / "semantics"))
    assert (encoder.channels, encoder.licence) == (16, "apache-2.0")
    image = torch.rand(1, 3, *SIZE)
    trained = Labeller(TINY, 13).eval()
    trained.load_state_dict(load_file(out))
    torch.testing.assert_close(encoder.tokens(image), trained.network(image))


def test_frames_that_do_not_know_are_refused(scenes, rooms, tmp_path):
    with pytest.raises(InputError, match="it is not known what this image shows"):
        Segmentation(TINY).prepare(Folder(scenes), [0], SIZE, tmp_path)
    method = Segmentation(TINY, classes=2)
    method.prepare(rooms, [0], SIZE, tmp_path)
    method.make_student(torch.empty(0))
    samples = Samples(rooms, SIZE)
    batch = samples.collate([samples[0, 0]])
    with pytest.raises(InputError, match="there is a label"):
        method.parts(batch)
    batch["mask"] &= batch["semantics"] < 2  # what may not be used may hold anything
    assert torch.isfinite(method.parts(batch)["cross_entropy"])
    with pytest.raises(ConfigError, match="size: 60x96 does not divide into patches of 8"):
        Segmentation(TINY).prepare(rooms, [0], (60, 96), tmp_path)
