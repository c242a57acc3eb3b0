from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from common.golden import golden_weights
from common.network_tester import NetworkTester
from leadline.errors import ConfigError, InputError
from leadline.networks import create
from leadline.networks.litenet import DilatedBlock, LiteNet


class TestLiteNet(NetworkTester):
    variant = "litenet-tiny"

    @property
    def unused(self) -> tuple[str, ...]:  # type: ignore[override]
        network = create(self.variant)
        return tuple(
            f"{name}.norm.{part}"
            for name, module in network.named_modules()
            if isinstance(module, DilatedBlock)
            for part in ("weight", "bias")
        )


def golden_image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(11).random((2, 3, 64, 96)).astype(np.float32))


@pytest.mark.parametrize("decoder", ["litemono", "litenet"])
@torch.no_grad()
def test_equals_the_public_code(golden: Path, decoder: str) -> None:
    expected = np.load(golden / "lite_mono.npz")
    network = create("litenet", decoder=decoder)
    network.load_state_dict(golden_weights(golden, "lite_mono"))
    network.eval()
    features = network.encode(golden_image())
    for index, feature in enumerate(features):
        np.testing.assert_allclose(feature.numpy(), expected[f"feature{index}"], atol=1e-4)
    np.testing.assert_allclose(network(golden_image()).numpy(), expected[f"{decoder}_disp0"], atol=1e-4)
    network.train()  # the decoder has neither dropout nor statistics: only the number of maps changes
    for index, disparity in enumerate(network.decode(features, (64, 96))):
        np.testing.assert_allclose(disparity.numpy(), expected[f"{decoder}_disp{index}"], atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "parameters", "numbers"),
    [
        ("litenet", 3_074_747, 3_078_125),
        ("litenet-tiny", 2_147_659, 2_149_978),
        ("litenet-small", 2_476_859, 2_479_466),
        ("litenet-8m", 8_775_851, 8_781_437),
    ],
)
def test_sizes_are_the_published_ones(variant: str, parameters: int, numbers: int) -> None:
    network = create(variant)
    assert sum(p.numel() for p in network.parameters()) == parameters  # theirs count those that take no part
    assert sum(v.numel() for v in network.state_dict().values()) == numbers


def test_cost_is_the_published_one() -> None:
    network = create("litenet").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 3, 256, 320))
    assert counter.get_total_flops() / 2e9 == pytest.approx(3.35, abs=0.011)  # normalisations are not counted here


@pytest.mark.parametrize(
    ("variant", "size", "third"),
    [
        ("litenet", "640x192", [1, 2, 3, 1, 2, 3, 2, 4, 6]),
        ("litenet", "1024x320", [1, 2, 5, 1, 2, 5, 2, 4, 10]),
        ("litenet-tiny", "640x192", [1, 2, 3, 2, 4, 6]),
        ("litenet-small", "1024x320", [1, 2, 5, 2, 4, 10]),
        ("litenet-8m", "1024x320", [1, 2, 3, 1, 2, 3, 2, 4, 6]),
    ],
)
def test_dilations_are_those_of_the_training_size(variant: str, size: str, third: list[int]) -> None:
    network = create(variant, dilations=size)
    assert isinstance(network, LiteNet)
    rates = [
        [block.ddwconv["conv"].dilation[0] for block in stage if isinstance(block, DilatedBlock)]
        for stage in network.encoder.stages
    ]
    assert rates == [third[:3], third[:3], third]


def write_public(folder: Path, network: LiteNet, **notes: object) -> None:
    torch.save({**network.encoder.state_dict(), **notes}, folder / "encoder.pth")
    torch.save(network.decoder.state_dict(), folder / "depth.pth")


def test_public_checkpoints_load(tmp_path: Path) -> None:
    source = LiteNet.build("litenet-small", dilations="1024x320", decoder="litemono")
    counter = {"stages.0.0.total_ops": torch.zeros(1)}
    write_public(tmp_path, source, height=320, width=1024, use_stereo=False, **counter)
    for arguments in ((tmp_path,), (tmp_path / "encoder.pth", tmp_path / "depth.pth")):
        loaded = LiteNet.load_public(*arguments, decoder="litemono").eval()
        assert loaded.architecture == "litenet-small"
        assert loaded.options == {"dilations": "1024x320", "decoder": "litemono"}
        with torch.no_grad():
            assert torch.equal(loaded(golden_image()), source.eval()(golden_image()))


def test_public_names_are_those_of_the_public_code(golden: Path, tmp_path: Path) -> None:
    weights = golden_weights(golden, "lite_mono")
    for part, file in (("encoder", "encoder.pth"), ("decoder", "depth.pth")):
        torch.save({k.partition(".")[2]: v for k, v in weights.items() if k.startswith(part)}, tmp_path / file)
    loaded = LiteNet.load_public(tmp_path).eval()
    expected = np.load(golden / "lite_mono.npz")["litenet_disp0"]
    with torch.no_grad():
        np.testing.assert_allclose(loaded(golden_image()).numpy(), expected, atol=1e-4)


def test_wrong_public_checkpoints_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encoder\.pth: no such file"):
        LiteNet.load_public(tmp_path)
    network = LiteNet.build("litenet-tiny")
    write_public(tmp_path, network)

    torch.save(LiteNet.build("litenet").decoder.state_dict(), tmp_path / "depth.pth")
    with pytest.raises(InputError, match=r"depth\.pth: 'decoder.* in litenet-tiny it is"):
        LiteNet.load_public(tmp_path)
    torch.save({"decoder.0.conv.conv.weight": torch.zeros(1)}, tmp_path / "depth.pth")
    with pytest.raises(InputError, match=r"depth\.pth: lacks 'decoder\.0\.conv\.conv\.bias'"):
        LiteNet.load_public(tmp_path)
    torch.save({**network.decoder.state_dict(), "more": torch.zeros(1)}, tmp_path / "depth.pth")
    with pytest.raises(InputError, match=r"depth\.pth: has an unknown 'more'"):
        LiteNet.load_public(tmp_path)

    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "encoder.pth")
    with pytest.raises(InputError, match=r"encoder\.pth: no tensor 'downsample_layers"):
        LiteNet.load_public(tmp_path)
    (tmp_path / "encoder.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"encoder\.pth: not a PyTorch state dict"):
        LiteNet.load_public(tmp_path)
    torch.save(network, tmp_path / "encoder.pth")  # a pickled module may run code when it is loaded
    with pytest.raises(InputError, match=r"encoder\.pth: not a PyTorch state dict"):
        LiteNet.load_public(tmp_path)


@pytest.mark.parametrize("option", [{"decoder": "litmono"}, {"dilations": "640x480"}])
def test_impossible_options_are_told(option: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        create("litenet-tiny", **option)
