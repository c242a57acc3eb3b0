"""Rigs of cameras, predicted as a user types it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from common.commands import run
from common.rigs import rigs
from leadline.camera import Pinhole
from leadline.data.ddad import DdadLayout
from leadline.io.images import read_image, write_image
from leadline.io.ply import read_ply
from leadline.io.video import write_video
from leadline.worlds.street.place import ring

MOUNTS = {name: mount for name, mount in ring(48, 64).items() if name in ("front", "front_left", "back")}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two instants of three cameras that drive through a box."""
    root = tmp_path / "car"
    for index, rig in enumerate(rigs(MOUNTS, count=2, scale=1.0, drives=True)):
        for name, frame in rig.items():
            write_image(root / name / f"{index}.png", frame.image)
    return describe(root)


def describe(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    cameras = {name: {"camera": mount.camera.to_dict(), "pose": mount.pose.tolist()} for name, mount in MOUNTS.items()}
    (root / "rig.yaml").write_text(yaml.safe_dump({"cameras": cameras}))
    return root


def test_a_rig_folder_is_recognised_and_written_together(folder, student_file, scenes, tmp_path, capsys):
    out = tmp_path / "out"
    picture = scenes / "images" / "000.png"
    formats = ("--formats", "npz", "colour", "ply", "--fov", 60)
    code, text, err = run(capsys, "predict", folder, picture, "--model", student_file, "--out", out, *formats)
    assert (code, err) == (0, "")
    assert "7 frames of 2 inputs" in text
    assert {path.name for path in out.iterdir()} == {"car", "000.depth.npz", "000.colour.png", "000.ply"}
    assert {path.name for path in (out / "car").iterdir()} == {
        *MOUNTS, "0.ply", "0.rig.png", "1.ply", "1.rig.png",
    }  # fmt: skip
    for name in MOUNTS:
        assert {path.name for path in (out / "car" / name).iterdir()} == {
            f"{index}.{what}" for index in (0, 1) for what in ("depth.npz", "colour.png")
        }
    points, _ = read_ply(out / "car" / "0.ply")
    assert len(points) == 3 * 48 * 64
    assert points[:, 0].min() < -0.4 < 0.4 < points[:, 0].max()  # behind and ahead


def test_what_is_missing_is_reported_and_the_rest_goes_on(folder, student_file, tmp_path, capsys):
    (folder / "back" / "1.png").unlink()
    (folder / "front" / "0.png").write_bytes(b"")
    code, text, err = run(capsys, "predict", folder, "--model", student_file, "--out", tmp_path / "out")
    assert code == 1
    assert "4 frames of 1 inputs" in text
    assert f"{folder}/back/1.png: no such file" in err
    assert f"{folder}/front/0.png: the file is empty" in err
    assert "2 of 6 frames of rigs are left out" in err
    assert (tmp_path / "out" / "car" / "1.rig.png").is_file()
    assert not (tmp_path / "out" / "car" / "back" / "1.depth.png").exists()


def test_videos_stop_at_the_limit(student_file, tmp_path, capsys):
    root = describe(tmp_path / "filmed")
    for index, name in enumerate(MOUNTS):
        write_video(root / f"{name}.mp4", 10, (np.full((48, 64, 3), 30 * n, np.uint8) for n in range(5 - index)))
    arguments = ("predict", root, "--model", student_file, "--out", tmp_path / "out", "--formats", "png")
    code, text, err = run(capsys, *arguments, "--limit", 2)
    assert (code, err) == (0, "")
    assert "6 frames" in text
    assert sorted(path.name for path in (tmp_path / "out" / "filmed").glob("*.png")) == [
        "000000.rig.png", "000001.rig.png",
    ]  # fmt: skip
    code, text, err = run(capsys, *arguments)
    assert code == 1
    assert "12 frames" in text
    assert "ends after 3 instants" in err
    assert "ends after 4 instants" in err


def test_the_cameras_of_a_data_set_are_predicted_together(student_file, tmp_path, capsys):
    layout, root = DdadLayout(), tmp_path / "ddad"
    made = rigs(layout.mounts(), count=2, scale=0.04, lidar=layout.lidar, drives=True)
    layout.write_clip(root, 0, made)
    layout.finish(root, 1)
    shutil.rmtree(root / "000000" / "point_cloud")  # truth is not read
    next((root / "000000" / "rgb" / "CAMERA_05").iterdir()).unlink()
    out = tmp_path / "out"
    arguments = ("predict", "--dataset", "ddad", root, "--model", student_file, "--out", out)
    code, text, err = run(capsys, *arguments, "--formats", "png", "ply")
    assert code == 1
    assert "11 frames of 1 inputs" in text
    assert "1 of 12 frames of rigs are left out" in err
    folder = out / "ddad" / "000000"
    cameras = {f"CAMERA_0{number}" for number in (1, 5, 6, 7, 8, 9)}
    instants = {f"00000{index}.{what}" for index in (0, 1) for what in ("ply", "rig.png")}
    assert {path.name for path in folder.iterdir()} == cameras | instants
    assert len(list(folder.glob("CAMERA_*/*.depth.png"))) == 11


def test_a_model_without_scale_is_refused_a_cloud_before_anything_is_written(folder, bright_teacher, tmp_path, capsys):
    out = tmp_path / "out"
    code, _, err = run(capsys, "predict", folder, "--model", bright_teacher, "--out", out, "--formats", "ply", "png")
    assert code == 1
    assert "needs metric depth" in err
    assert len(err.strip().splitlines()) == 1
    assert not out.exists()
    code, _, _ = run(capsys, "predict", folder, "--model", bright_teacher, "--out", out)
    assert code == 0
    assert read_image(out / "car" / "0.rig.png").shape[1] == 3 * 320 + 2 * 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dataset", "folder", "{scenes}"], 2, "dataset: .*no instant that several cameras of folder saw"),
        (["--dataset", "nuscnes", "{scenes}"], 2, "did you mean 'nuscenes'"),
        (["--dataset", "ddad", "{scenes}"], 1, "holds no frame of ddad, split all"),
        (["{car}", "{car}/../car"], 2, "two have one name"),
        (["{car}/front/../broken"], 2, "rig.yaml: cameras.front: pose: missing"),
    ],
)
def test_what_is_no_rig_is_said_in_one_line(arguments, code, message, folder, scenes, student_file, tmp_path, capsys):
    (folder / "broken").mkdir()
    cameras = {"front": {"images": "../front", "camera": Pinhole.from_fov(64, 48, 70).to_dict()}}
    (folder / "broken" / "rig.yaml").write_text(yaml.safe_dump({"cameras": cameras}))
    named = [argument.format(scenes=scenes, car=folder) for argument in arguments]
    found, _, err = run(capsys, "predict", *named, "--model", student_file, "--out", tmp_path / "out")
    assert found == code
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err)
    assert not (tmp_path / "out").exists()
