"""What every depth network must do. The test of a new one inherits this and names its variant."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.export import Dim, ExportedProgram

from leadline.networks import DepthNetwork, create

DYNAMIC = {"image": {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}
SIZES = ((64, 96), (97, 131), (32, 45))


def responsive(network: DepthNetwork) -> DepthNetwork:
    """Give the network weights under which every part shows in the output: initial ones hide faults.

    Layer scales start at a millionth, heads near zero, biases and normalisations at trivial values.
    """
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim < 2:
                base = 0.5 if "gamma" in name else value
                value.copy_(base + 0.1 * torch.randn(value.shape, generator=generator))
            elif not value.any():  # a path that starts with nothing
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        answers: dict[int, Tensor] = {}
        hooks = [
            head.register_forward_hook(lambda _, __, output, index=index: answers.update({index: output}))
            for index, head in enumerate(network.heads())
        ]
        network.train()
        for _ in range(30):
            network(torch.rand(2, 3, 64, 96, generator=generator))  # settles the running statistics
        for index, head in enumerate(network.heads()):
            spread, centre = answers[index].std(), answers[index].mean()
            head.bias.copy_((head.bias - centre) / spread)
            head.weight /= spread
        for hook in hooks:
            hook.remove()
        network.eval()
    return network


class NetworkTester:
    """Inherit, and set ``variant``.

    Attributes:
        variant: name of the architecture.
        unused: endings of the names of parameters that take no part, as the network's docstring explains.
    """

    variant: ClassVar[str]
    unused: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class")
    def network(self) -> DepthNetwork:
        torch.manual_seed(0)
        return responsive(create(self.variant))

    @pytest.fixture(scope="class")
    def exported(self, network: DepthNetwork) -> ExportedProgram:
        return torch.export.export(network, (torch.rand(2, 3, 96, 128),), dynamic_shapes=DYNAMIC)

    @pytest.mark.parametrize("size", SIZES)
    def test_gives_disparity_of_the_image_size(self, network: DepthNetwork, size: tuple[int, int]) -> None:
        image = _images(2, size)
        disparity = _run(network, image)
        assert disparity.shape == (2, 1, *size)
        assert disparity.min() > 0
        assert disparity.max() < 1
        assert disparity.std() > 0.05  # of a sigmoid whose logits vary by about one

    def test_training_gives_maps_finest_first(self) -> None:
        network = create(self.variant).train()
        height, width = 97, 131
        maps = network(_images(2, (height, width)))
        assert isinstance(maps, list)
        assert len(maps) == len(network.heads()) > 1
        halvings = [round(np.log2(height / m.shape[-2])) for m in maps]
        assert halvings[0] == 0
        assert halvings == sorted(set(halvings))
        for disparity, s in zip(maps, halvings, strict=True):
            assert disparity.shape == (2, 1, -(-height // 2**s), -(-width // 2**s))

    def test_maps_have_as_many_values_under_autocast(self, network: DepthNetwork) -> None:
        image = _images(1, (64, 96))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            answer = network(image)
        assert answer.dtype == torch.float32
        assert len(answer.unique()) > 0.5 * len(network(image).unique())

    def test_what_takes_no_part_is_not_trained(self, network: DepthNetwork) -> None:
        resting = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
        assert resting == {name for name, _ in network.named_parameters() if name.endswith(self.unused or ("\0",))}

    def test_gradients_reach_every_parameter(self, network: DepthNetwork) -> None:
        torch.manual_seed(1)
        trained = copy.deepcopy(network).train()
        # A random weighting: the mean alone has no gradient through layers that normalise over the image.
        sum((m * torch.rand_like(m)).sum() for m in trained(_images(4, (64, 96)))).backward()  # type: ignore[union-attr]
        without = {n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()}
        assert without == {n for n, _ in trained.named_parameters() if n.endswith(self.unused or ("\0",))}

    def test_features_are_those_it_promises(self, network: DepthNetwork) -> None:
        with torch.no_grad():
            features = network.encode(_images(1, (128, 192)))
        assert tuple(f.shape[1] for f in features) == network.widths
        assert features[-1].shape[-2:] == (128 // network.stride, 192 // network.stride)

    def test_state_survives_a_file(self, network: DepthNetwork, tmp_path: Path) -> None:
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        other = create(network.architecture, **network.options)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        image = _images(1, (64, 96))
        assert torch.equal(_run(other.eval(), image), _run(network, image))

    def test_eval_is_deterministic(self, network: DepthNetwork) -> None:
        image = _images(2, (64, 96))
        assert torch.equal(_run(network, image), _run(network, image))

    def test_images_of_a_batch_do_not_touch(self, network: DepthNetwork) -> None:
        image = _images(3, (64, 96))
        alone = torch.cat([_run(network, one[None]) for one in image])
        torch.testing.assert_close(_run(network, image), alone, atol=1e-5, rtol=0)

    def test_batch_of_each_image_matters(self, network: DepthNetwork) -> None:
        disparity = _run(network, _images(2, (64, 96)))
        assert (disparity[0] - disparity[1]).abs().max() > 0.01

    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
    def test_torch_export_takes_any_size(self, network: DepthNetwork, exported: ExportedProgram) -> None:
        program = exported.module()
        for batch, size in ((1, (97, 131)), (3, (64, 160))):
            image = _images(batch, size)
            with torch.no_grad():
                torch.testing.assert_close(program(image), _run(network, image), atol=1e-5, rtol=0)

    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
    def test_onnx_takes_any_size(self, network: DepthNetwork, exported: ExportedProgram, tmp_path: Path) -> None:
        torch.onnx.export(exported, (), tmp_path / "network.onnx", dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
        for batch, size in ((1, (97, 131)), (3, (64, 160))):
            image = _images(batch, size)
            (disparity,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
            np.testing.assert_allclose(disparity, _run(network, image).numpy(), atol=1e-4)


def _images(batch: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(sum(size)))


def _run(network: DepthNetwork, image: Tensor) -> Tensor:
    with torch.no_grad():
        disparity = network(image)
    assert isinstance(disparity, Tensor)
    return disparity
