"""leadline predict --decompose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import leadline
from common.commands import run
from leadline import checkpoint
from leadline.checkpoint import Card
from leadline.errors import ConfigError
from leadline.io.images import read_image, write_image
from leadline.io.video import VideoWriter
from leadline.networks import create


@pytest.fixture(scope="module")
def intrinsic_file(tmp_path_factory):
    """An untrained network that says of every image that it is half as bright and its residual twice as large."""
    torch.manual_seed(0)
    network = create("intrinsic", backbone="litenet-tiny")
    bias = network.decomposition.head.bias
    with torch.no_grad():
        bias[len(bias) // 2 :] = np.log(2)
    file = tmp_path_factory.mktemp("intrinsic") / "intrinsic.safetensors"
    card = Card(
        "intrinsic",
        "metric-depth",
        "m",
        (64, 96),
        (0.5, 20.0),
        options=network.options,
        licence="apache-2.0",
        version="0",
    )
    checkpoint.save(file, network.state_dict(), card)
    return file


def picture(height: int = 80, width: int = 121) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + x, 200 - y, np.full_like(x, 90)], axis=-1).astype(np.uint8)


def test_the_parts_of_an_image_are_written_as_pictures(intrinsic_file, tmp_path, capsys):
    write_image(tmp_path / "a.png", picture())
    out = tmp_path / "out"
    code, _, err = run(
        capsys,
        "predict",
        tmp_path / "a.png",
        "--model",
        intrinsic_file,
        "--out",
        out,
        "--decompose",
        "--formats",
        "png",
    )
    assert code == 0, err
    assert sorted(path.name for path in out.iterdir()) == [
        "a.depth.png", "a.diffuse.png", "a.mask.png", "a.residual.png"
    ]  # fmt: skip
    parts = {kind: read_image(out / f"a.{kind}.png") for kind in ("diffuse", "residual", "mask")}
    assert all(part.shape == (80, 121, 3) for part in parts.values())
    assert np.abs(parts["diffuse"].astype(int) - picture()).max() <= 6  # as its network sees it, resized
    assert np.unique(parts["residual"]).tolist() == [round(255 * 2 / 3)]
    assert (parts["mask"] == 255).all()


def test_python_gives_the_same_parts(intrinsic_file):
    apart = leadline.load(str(intrinsic_file)).decompose(picture())
    np.testing.assert_allclose(apart.residual, 2, rtol=1e-5)
    assert apart.reflective.dtype == bool
    assert apart.diffuse.shape == (80, 121, 3)


def test_of_a_video_every_frame_is_taken_apart(intrinsic_file, tmp_path, capsys):
    with VideoWriter(tmp_path / "v.mp4", 10, (80, 120)) as video:
        for _ in range(3):
            video.write(picture(80, 120))
    out = tmp_path / "out"
    code, _, err = run(
        capsys,
        "predict",
        tmp_path / "v.mp4",
        "--model",
        intrinsic_file,
        "--out",
        out,
        "--decompose",
        "--formats",
        "colour",
    )
    assert code == 0, err
    assert sorted(path.name for path in (out / "v").iterdir()) == [
        f"{number:06d}.{kind}.png" for number in range(3) for kind in ("diffuse", "mask", "residual")
    ]


def test_without_being_asked_nothing_of_it_is_written(intrinsic_file, tmp_path, capsys):
    write_image(tmp_path / "a.png", picture())
    code, _, _ = run(
        capsys, "predict", tmp_path / "a.png", "--model", intrinsic_file, "--out", tmp_path / "o", "--formats", "png"
    )
    assert code == 0
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["a.depth.png"]


def test_a_model_of_depth_alone_is_refused_before_anything_is_written(student_file, tmp_path, capsys):
    write_image(tmp_path / "a.png", picture())
    out = tmp_path / "out"
    code, _, err = run(capsys, "predict", tmp_path / "a.png", "--model", student_file, "--out", out, "--decompose")
    assert code == 2
    assert err == (
        "leadline: tiny: gives depth only and takes no image apart; a checkpoint that does, with runtime torch: "
        "leadline train intrinsic-room\n"
    )
    assert not out.exists()
    with pytest.raises(ConfigError, match="gives depth only"):
        leadline.load(str(student_file)).decompose(picture())
