from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from leadline.errors import ConfigError
from leadline.foundation.semantics import SemanticEncoder
from leadline.losses.distribution import as_image, dense, mapping, pooled
from leadline.methods.semantic_alignment import Alignment, SemanticAlignment
from leadline.networks import create

NETWORKS = ["swift", "litenet-tiny"]


class Patches(SemanticEncoder):
    """A frozen convolution over patches of 16 pixels."""

    channels, stride = 20, 16

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(torch.nn.Conv2d(3, 20, 16, 16), (0.5,) * 3, (0.25,) * 3, "patches", "mit", "patches")

    def features(self, prepared: Tensor) -> Tensor:
        answer: Tensor = self.network(prepared)
        return answer


def alignment(architecture: str = "litenet-tiny", kind: str = "dense", **options: float) -> SemanticAlignment:
    torch.manual_seed(0)
    return SemanticAlignment(create(architecture), Alignment(kind, **options), Patches())  # type: ignore[arg-type]


def sample(height: int = 64, width: int = 96) -> tuple[Tensor, Tensor, Tensor]:
    """Image, the student's depth, the teacher's depth."""
    generator = torch.Generator().manual_seed(5)
    image = torch.rand(2, 3, height, width, generator=generator)
    student, teacher = 1 + torch.rand(2, 2, 1, height, width, generator=generator)
    return image, student.requires_grad_(), teacher.requires_grad_()


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("size", [(64, 96), (75, 131)])
def test_the_mapping_trains_the_projector_and_the_alignment_the_student(
    architecture: str, size: tuple[int, int]
) -> None:
    network = create(architecture)
    module = alignment(architecture)
    image, student, teacher = sample(*size)
    parts = module.losses(network.encode(image), student, teacher, image)
    assert set(parts) == {"alignment", "mapping"}
    own, others = list(module.parameters()), [p for p in network.encoder.parameters() if p.requires_grad]
    assert own
    for name, trained, untouched in (("mapping", own, others), ("alignment", others, own)):
        found = torch.autograd.grad(parts[name], trained, retain_graph=True, allow_unused=True)
        assert any(gradient is not None and gradient.any() for gradient in found), name
        spared = torch.autograd.grad(parts[name], [*untouched, student, teacher], retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in spared), name
    assert all(parameter.grad is None for parameter in module.encoder.network.parameters())


def test_the_global_form_trains_what_made_the_students_depth_only() -> None:
    module = alignment(kind="global")
    assert list(module.parameters()) == []
    image, student, teacher = sample()
    parts = module.losses([], student, teacher, image)
    assert set(parts) == {"alignment"}
    parts["alignment"].backward()
    assert student.grad is not None
    assert student.grad.any()
    assert teacher.grad is None
    assert all(parameter.grad is None for parameter in module.encoder.network.parameters())


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_parts_are_the_weighted_losses_of_the_features_at_a_sixteenth(architecture: str) -> None:
    network, module = create(architecture).eval(), alignment(architecture, weight=0.5, temperature=2.0)
    image, student, teacher = sample()
    features = network.encode(image)
    sixteenth = next(x for x in features if x.shape[-2:] == (4, 6))
    assert module.projector is not None
    projected = module.projector(module.encoder.tokens(image))
    parts = module.losses(features, student, teacher, image)
    assert parts["alignment"].item() == pytest.approx(0.5 * dense(projected, sixteenth, 2.0).item())
    assert parts["mapping"].item() == pytest.approx(0.5 * mapping(projected, sixteenth).item())
    found, wanted = (module.encoder.pooled(as_image(x, torch.ones_like(x).bool())) for x in (student, teacher))
    parts = alignment(architecture, "global").losses([], student, teacher, image)
    assert parts["alignment"].item() == pytest.approx(0.01 * pooled(found, wanted).item())


def test_tokens_lie_where_the_features_lie_though_these_reach_beyond_the_image() -> None:
    """Swift extends the image to multiples of 32; its features' cells stay at 16 pixels."""
    module = alignment("swift")
    image = sample(70, 100)[0]
    tokens = module.encoder.under(image, (6, 8), 16)
    inside = module.encoder.tokens(image[..., :64, :96])
    torch.testing.assert_close(tokens[..., :4, :6], inside)


def test_the_scale_of_either_depth_and_what_is_masked_have_no_say() -> None:
    module = alignment(kind="global")
    image, student, teacher = sample()
    mask = torch.ones_like(student, dtype=torch.bool)
    mask[..., :20] = False
    loss = module.losses([], student, teacher, image, mask)["alignment"].item()
    assert loss > 0
    spoilt = teacher.detach().masked_fill(~mask, float("nan"))
    assert module.losses([], 7 * student, 3 * spoilt, image, mask)["alignment"].item() == pytest.approx(loss, rel=1e-3)
    equal = module.losses([], 2 * teacher, teacher, image, mask)["alignment"].item()
    assert equal == pytest.approx(0, abs=1e-6)


def test_only_the_projector_is_in_the_state_dict_and_copies_share_the_encoder() -> None:
    module = alignment()
    assert all(key.startswith("projector.") for key in module.state_dict())
    twin = copy.deepcopy(module)
    assert twin.encoder is module.encoder
    assert twin.projector is not module.projector
    module.train()
    assert not module.encoder.network.training


def test_a_few_steps_align_student_and_projector() -> None:
    torch.manual_seed(0)
    network = create("litenet-tiny").train()
    module = alignment(weight=1.0)
    image, student, teacher = sample()
    optimiser = torch.optim.Adam([*network.encoder.parameters(), *module.parameters()], 1e-3)
    totals = []
    for _ in range(15):
        parts = module.losses(network.encode(image), student.detach(), teacher.detach(), image)
        total = parts["alignment"] + parts["mapping"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_imagenet_features_are_the_default(architecture: str) -> None:
    module = SemanticAlignment(create(architecture), Alignment())
    assert module.encoder.name == "efficientnet-lite0"
    image, student, teacher = sample()
    parts = module.losses(create(architecture).eval().encode(image), student, teacher, image)
    assert all(part.isfinite() and part > 0 for part in parts.values())


def test_bfloat16_features_give_finite_float32_losses() -> None:
    network, module = create("litenet-tiny"), alignment()
    image, student, teacher = sample()
    with torch.autocast("cpu", torch.bfloat16):
        parts = module.losses(network.encode(image), student, teacher, image)
    assert all(part.dtype == torch.float32 and part.isfinite() for part in parts.values())


def test_impossible_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"kind: 'dens' is neither dense nor global; did you mean 'dense'"):
        alignment(kind="dens")
    with pytest.raises(ConfigError, match="temperature: must be positive, not 0"):
        alignment(temperature=0)
