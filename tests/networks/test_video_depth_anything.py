from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from common.golden import deterministic, golden_weights, shapes
from leadline.errors import ConfigError, InputError
from leadline.networks.video_depth_anything import (
    GRID,
    TEMPORAL,
    VARIANTS,
    Block,
    MotionModule,
    Scratch,
    Sizes,
    StreamState,
    TemporalAttention,
    VideoDepthAnything,
    _variant_of,
)

UNUSED = ("pretrained.mask_token", "head.scratch.refinenet4.resConfUnit1.")


def make(memory: int = 31) -> VideoDepthAnything:
    """The tiny network with weights under which every part shows in the output: motion modules start at zero."""
    network = VideoDepthAnything.build("tiny", memory=memory).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(torch.from_numpy(deterministic(name, tuple(value.shape))))
    return network


@pytest.fixture(scope="module")
def network() -> VideoDepthAnything:
    return make()


def video(batch: int, frames: int, height: int = 42, width: int = 56) -> Tensor:
    seed = 100 * batch + frames + height + width
    return torch.rand(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


def run(network: VideoDepthAnything, clip: Tensor) -> Tensor:
    with torch.no_grad():
        disparity = network(clip)
    assert isinstance(disparity, Tensor)
    return disparity


def streamed(network: VideoDepthAnything, clip: Tensor) -> tuple[Tensor, list[StreamState]]:
    answers, states = [], []
    state = None
    for frame in clip.unbind(1):
        disparity, state = network.stream(frame, state)
        answers.append(disparity)
        states.append(state)
    return torch.stack(answers, dim=1), states


@torch.no_grad()
def test_equals_the_public_code(golden: Path) -> None:
    network = VideoDepthAnything.build("vits").eval()
    missing, unknown = network.load_state_dict(golden_weights(golden, "video_depth_anything_vits"), strict=False)
    assert not unknown
    assert all(name.endswith("pos_encoder.pe") for name in missing)
    clip = np.random.default_rng(2026).standard_normal((1, 6, 3, 70, 98)).astype(np.float32)
    expected = np.load(golden / "video_depth_anything_vits.npz")["disparity"]
    np.testing.assert_allclose(network.forward_normalised(torch.from_numpy(clip)).numpy(), expected, atol=1e-4)


def test_names_and_shapes_are_the_public_ones(golden: Path) -> None:
    with torch.device("meta"):
        network = VideoDepthAnything.build("vits")
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert own == shapes(golden, "video_depth_anything_vits")


@pytest.mark.parametrize(("variant", "millions"), [("vits", 28.4), ("vitb", 113.1), ("vitl", 381.8)])
def test_sizes_are_the_published_ones(variant: str, millions: float) -> None:
    with torch.device("meta"):
        network = VideoDepthAnything.build(variant)
    assert network.architecture == variant
    # The published numbers leave out the table of positions and what takes no part.
    left_out = (*UNUSED, "pretrained.pos_embed")
    counted = sum(p.numel() for name, p in network.named_parameters() if not name.startswith(left_out))
    assert round(counted / 1e6, 1) == millions


def test_tiny_is_tiny() -> None:
    network = VideoDepthAnything.build("tiny")
    assert 2e6 < sum(p.numel() for p in network.parameters()) < 4e6


@pytest.mark.parametrize("size", [(14, 14), (14, 28), (70, 42), (42, 98)])
def test_gives_disparity_of_the_clip(network: VideoDepthAnything, size: tuple[int, int]) -> None:
    disparity = run(network, video(2, 3, *size))
    assert disparity.shape == (2, 3, *size)
    assert disparity.min() >= 0
    assert disparity.std() > 0.05


def test_normalises_the_colours_itself(network: VideoDepthAnything) -> None:
    clip = video(1, 2)
    # ImageNet's mean and standard deviation, by hand
    colours = [(clip[:, :, c] - m) / s for c, (m, s) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)])]
    with torch.no_grad():
        expected = network.forward_normalised(torch.stack(colours, dim=2))
    torch.testing.assert_close(run(network, clip), expected, atol=1e-4, rtol=0)


def test_positions_of_the_stored_grid_are_the_stored_ones(network: VideoDepthAnything) -> None:
    vit = network.pretrained
    assert torch.equal(vit.positions((GRID, GRID)), vit.pos_embed)
    # Of any other grid they are resized, also where the number of patches is the same.
    assert vit.positions((1, GRID**2)).shape == vit.pos_embed.shape
    assert not torch.equal(vit.positions((1, GRID**2)), vit.pos_embed)


def test_positions_are_sampled_where_dinov2_does() -> None:
    network = VideoDepthAnything.build("tiny")
    # On a slope, a value tells where it was read: patch i at (i + 1/2) 37 / (n + 0.1). Bicubic interpolation is off
    # by less than 0.05 there, a scale of 37 / n by 0.3 at the far end.
    slope = torch.arange(GRID, dtype=torch.float32)[:, None, None].expand(GRID, GRID, network.sizes.width)
    with torch.no_grad():
        network.pretrained.pos_embed[0, 1:] = slope.flatten(0, 1)
        table = network.pretrained.positions((10, 12))[0, 1:, 0].view(10, 12)
    expected = (torch.arange(10) + 0.5) * GRID / 10.1 - 0.5
    torch.testing.assert_close(table[:, 3], expected, atol=0.05, rtol=0)


def test_frames_see_each_other_and_clips_do_not(network: VideoDepthAnything) -> None:
    clip = video(2, 4)
    together = run(network, clip)
    alone = torch.cat([run(network, one[None]) for one in clip])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    other = clip.clone()
    other[:, 3] = 1 - other[:, 3]
    assert (run(network, other)[:, 0] - together[:, 0]).abs().max() > 0.01


def test_untrained_frames_are_seen_alone() -> None:
    torch.manual_seed(0)
    network = VideoDepthAnything.build("tiny").eval()
    clip = video(1, 3)
    disparity = run(network, clip)
    for index in range(3):
        torch.testing.assert_close(disparity[:, index], run(network, clip[:, index : index + 1])[:, 0])
    assert disparity.min() > 0  # nothing starts behind the last ReLU, where no gradient reaches


def test_gradients_reach_every_parameter(network: VideoDepthAnything) -> None:
    trained = copy.deepcopy(network)
    disparity = trained(video(1, 3))
    (disparity * torch.rand(disparity.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    without = {name for name, p in trained.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {name for name, _ in trained.named_parameters() if name.startswith(UNUSED)}


def test_checkpointing_changes_nothing_but_memory(network: VideoDepthAnything) -> None:
    clip = video(1, 6)
    gradients, answers, kept, calls = [], [], [], []
    for on in (False, True):
        trained = copy.deepcopy(network)
        trained.checkpointing = on
        assert trained.checkpointing is on
        sizes: dict[int, int] = {}
        count: dict[type, int] = {}

        def keep(x: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        for module in trained.modules():
            if isinstance(module, Block | MotionModule | Scratch):
                # Before, not after: computing again stops as soon as all that is needed is there.
                module.register_forward_pre_hook(
                    lambda m, _, count=count: count.update({type(m): count.get(type(m), 0) + 1})
                )
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            answers.append(trained(clip))
        kept.append(sum(sizes.values()))
        answers[-1].square().mean().backward()
        gradients.append([p.grad for p in trained.parameters() if p.grad is not None])
        calls.append(count)
    assert torch.equal(*answers)
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, atol=1e-6, rtol=1e-4)
    assert kept[1] < kept[0] / 3
    assert calls[0] == {Block: 8, MotionModule: 4, Scratch: 2}
    assert calls[1] == {kind: 2 * count for kind, count in calls[0].items()}
    assert VideoDepthAnything.build("tiny", checkpointing=True).checkpointing


def test_can_be_trained() -> None:
    torch.manual_seed(0)
    network = VideoDepthAnything.build("tiny", checkpointing=True)
    # A slope, brighter in the second frame
    clip = torch.linspace(0, 1, 42).expand(1, 2, 3, 28, 42) * torch.tensor([0.5, 1.0])[:, None, None, None]
    truth = clip[:, :, 0]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        loss = (network(clip) - truth).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    constant = (truth - truth.median()).abs().mean()
    assert losses[-1] < 0.4 * constant


def test_parameters_are_spatial_or_temporal(network: VideoDepthAnything) -> None:
    named = {id(p): name for name, p in network.named_parameters()}
    temporal = [named[id(p)] for p in network.temporal_parameters()]
    spatial = [named[id(p)] for p in network.spatial_parameters()]
    assert sorted(temporal + spatial) == sorted(named.values())
    assert all(name.startswith(TEMPORAL) for name in temporal)
    # 26 tensors a motion module: normalisation 2, in 2, out 2, two attentions of 5, three norms of 2, two linears of 2
    assert len(temporal) == 4 * 26


def test_mixed_precision_gives_disparity_in_float32(network: VideoDepthAnything) -> None:
    clip = video(1, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        disparity = run(network, clip)
    expected = run(network, clip)
    assert disparity.dtype == torch.float32
    assert (disparity - expected).abs().mean() < 0.05 * expected.mean()
    half = copy.deepcopy(network).to(torch.bfloat16)
    assert run(half, clip.to(torch.bfloat16)).dtype == torch.bfloat16


def test_streaming_one_frame_is_a_clip_of_one(network: VideoDepthAnything) -> None:
    clip = video(2, 1)
    disparity, state = network.stream(clip[:, 0])
    torch.testing.assert_close(disparity, run(network, clip)[:, 0])
    assert state.size == (2, 42, 56)


@pytest.mark.parametrize("memory", [0, 1, 3, 8])
def test_streaming_equals_causal_masks(monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    network = make(memory)
    clip = video(2, 7, 28, 42)
    answers, _ = streamed(network, clip)

    def masked(attention: TemporalAttention, x: Tensor, _: object) -> Tensor:
        frames, width = x.shape[1:]
        query, key = torch.arange(frames)[:, None], torch.arange(frames)[None]
        first = (query - memory).clamp(min=0)
        visible = (key >= first) & (key <= query)
        # Every frame has its own window, so a key has another position for every query.
        shown = x[:, None] + attention.pos_encoder.pe[0][(key - first).clamp(min=0)]
        heads = (width // 8,) * 8
        q = attention.to_q(shown[:, torch.arange(frames), torch.arange(frames)])
        mixed = []
        for q_h, k_h, v_h in zip(
            q.split(heads, -1),
            attention.to_k(shown).split(heads, -1),
            attention.to_v(shown).split(heads, -1),
            strict=True,
        ):
            score = torch.einsum("ntc,ntsc->nts", q_h, k_h) / (width // 8) ** 0.5
            mixed.append(torch.einsum("nts,ntsc->ntc", score.masked_fill(~visible, -torch.inf).softmax(-1), v_h))
        return attention.to_out(torch.cat(mixed, dim=-1))

    both_ways = run(network, clip)
    monkeypatch.setattr(TemporalAttention, "forward", masked)
    torch.testing.assert_close(answers, run(network, clip), atol=1e-4, rtol=0)
    assert (answers - both_ways).abs().max() > 0.01


def test_state_has_a_fixed_largest_size() -> None:
    network = make(memory=3)
    _, states = streamed(network, video(2, 7))
    counts = [{inputs.shape[1] for inputs in state.inputs} for state in states]
    assert counts == [{1}, {2}, {3}, {3}, {3}, {3}, {3}]
    stored = [sum(inputs.untyped_storage().nbytes() for inputs in state.inputs) for state in states]
    assert stored[3] == stored[4] == stored[-1]
    assert len(states[-1].inputs) == 8
    assert not any(inputs.requires_grad for inputs in states[-1].inputs)
    # A state is not changed by what follows.
    again, _ = network.stream(video(2, 7)[:, 4], states[3])
    torch.testing.assert_close(again, streamed(network, video(2, 7))[0][:, 4])


def test_stream_of_another_size_is_told(network: VideoDepthAnything) -> None:
    _, state = network.stream(video(1, 1)[:, 0])
    with pytest.raises(InputError, match=r"\(1, 42, 70\) in a stream of \(1, 42, 56\)"):
        network.stream(video(1, 1, 42, 70)[:, 0], state)
    with pytest.raises(InputError, match=r"\(2, 42, 56\) in a stream"):
        network.stream(video(2, 1)[:, 0], state)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 3, 42, 57), "height 42 and width 57 must be multiples of 14"),
        ((1, 2, 3, 41, 56), "height 41 and width 56 must be multiples of 14"),
        ((1, 33, 3, 14, 14), "33 frames, expected 1 to 32"),
        ((1, 0, 3, 14, 14), "0 frames"),
        ((1, 2, 4, 14, 14), r"expected \(B, T, 3, H, W\)"),
        ((2, 3, 14, 14), r"expected \(B, T, 3, H, W\)"),
    ],
)
def test_clips_that_do_not_fit_are_told(network: VideoDepthAnything, shape: tuple[int, ...], message: str) -> None:
    for call in (network, network.forward_normalised):
        with pytest.raises(InputError, match=message):
            call(torch.zeros(shape))
    if shape[1] == 2:
        with pytest.raises(InputError, match=message):
            network.stream(torch.zeros(shape)[:, 0])


def test_longest_clip_fits(network: VideoDepthAnything) -> None:
    assert run(network, video(1, 32, 14, 28)).shape == (1, 32, 14, 28)


def test_impossible_options_are_told() -> None:
    with pytest.raises(ConfigError, match=r"variant: no 'vit-s'.*did you mean 'vits'"):
        VideoDepthAnything.build("vit-s")
    for memory in (-1, 32):
        with pytest.raises(ConfigError, match=f"memory: {memory} is not 0 to 31"):
            VideoDepthAnything.build("tiny", memory=memory)
    with pytest.raises(ConfigError, match="width 100 is no multiple of 3 heads"):
        VideoDepthAnything(Sizes(100, 4, 3, (0, 1, 2, 3), (32, 32, 32, 32), 32))
    with pytest.raises(ConfigError, match="48 is no multiple of 32 groups"):
        VideoDepthAnything(Sizes(96, 4, 3, (0, 1, 2, 3), (32, 32, 48, 32), 32))


def test_public_checkpoints_load(network: VideoDepthAnything, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    for name in ("tiny.pth", "tiny.safetensors"):
        loaded = VideoDepthAnything.load_public(tmp_path / name, checkpointing=True, memory=7).eval()
        assert (loaded.architecture, loaded.checkpointing, loaded.memory) == ("tiny", True, 7)
        assert torch.equal(run(loaded, video(1, 2)), run(network, video(1, 2)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_is_read_from_the_shapes(variant: str) -> None:
    with torch.device("meta"):
        stored = VideoDepthAnything.build(variant).state_dict()
    assert _variant_of(stored, "file.pth") == variant


def test_wrong_public_checkpoints_are_told(network: VideoDepthAnything, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    with pytest.raises(InputError, match=r"weights\.pth: no such file"):
        VideoDepthAnything.load_public(file)
    torch.save({"model": 1}, file)
    with pytest.raises(InputError, match=r"weights\.pth: no tensor 'pretrained\.cls_token'"):
        VideoDepthAnything.load_public(file)
    weights = network.state_dict()
    key = "head.motion_modules.2.temporal_transformer.proj_out.bias"

    def refused(changed: dict[str, Tensor], message: str) -> None:
        torch.save(changed, file)
        with pytest.raises(InputError, match=message):
            VideoDepthAnything.load_public(file)

    refused({**weights, "pretrained.cls_token": torch.zeros(1, 1, 99)}, "width 99, 8 blocks, 32 features")
    refused({**weights, key: torch.zeros(5)}, rf"'{key}' is \(5,\), in Video Depth Anything, tiny it is \(32,\)")
    refused({k: v for k, v in weights.items() if k != key}, f"lacks '{key}'")
    refused({**weights, "more": torch.zeros(1)}, "has an unknown 'more'")
